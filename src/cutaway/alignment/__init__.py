"""Judgements in, better answers out: preferences and judges, rewards, and what learns from them."""
