"""AT4rAMT: adversarial training for robust automatic music transcription."""

__version__ = "0.1.0"
