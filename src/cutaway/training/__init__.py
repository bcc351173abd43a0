"""Batches in, better weights out: one loop, many objectives."""
