"""Cutaway: a language model built from raw text, every part of it, and a way to look inside."""
