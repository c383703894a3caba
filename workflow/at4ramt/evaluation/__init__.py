"""Scores of every model on every piece and noise level, and what derives from them."""
