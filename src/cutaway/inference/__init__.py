"""Prompt in, tokens out."""
