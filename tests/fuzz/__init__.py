"""Hostile files for every reader: drawn, damaged, found by coverage, and kept once found."""

READERS = ("notes", "midi", "audio")
"""Names of the modules in `fuzz.readers`."""
