"""Hostile files for every reader: drawn, damaged, found by coverage, and kept once found."""

READERS = (
    "notes", "midi", "audio", "soundfont", "patch", "tables", "sheets", "config", "archives",
    "arrays", "parquet", "models",
)  # fmt: skip
"""Names of the modules in `fuzz.readers`."""
