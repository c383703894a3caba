"""Bounds of what is read: far beyond any recording of a piano, far below what a machine has.

What lies beyond one of them is damaged, or made to fill a memory or a disk, and is refused before
that is tried. docs/reliability.md says which reader has which.
"""

from __future__ import annotations

LONGEST_HOURS = 24
LONGEST_SECONDS = 3600.0 * LONGEST_HOURS
"""A recording, its notes and its features last no longer."""

MOST_NOTES = 2_000_000
"""Twenty-three a second for all of these hours."""

MOST_QUARTERS = 2_000_000
"""Of a score."""

LARGEST_TEXT_BYTES = 64 << 20
"""A list of notes or a table: thirty bytes for each note of these."""

MOST_ROWS = 500_000
"""Of a table: fifty times the pieces of the largest corpus that is planned for."""

LARGEST_MIDI_BYTES = 16 << 20
"""Eight for each note; a performance with pedal takes twelve, and of few notes."""

SAMPLE_RATES_HZ = (1_000, 1_000_000)
MOST_CHANNELS = 1024
"""Of a recording; libsndfile's own bound."""

LARGEST_RECORDING_BYTES = 64 << 30
"""A recording in a zip, unpacked: all of these hours in 48 kHz, eight channels and 32 bits."""

LARGEST_CONTENT_BYTES = 1 << 30
"""What is unpacked into memory: a sound font, a model, the state of a training."""

MOST_VALUES, DEEPEST = 100_000, 32
"""Values of a configuration, its aliases written out, and how deep they may lie."""
