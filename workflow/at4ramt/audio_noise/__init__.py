"""Noise in the audio: its kinds, babble made of the corpus, mixtures, and pools to train with."""
