"""A transcription as files: MIDI, a table of notes, a picture of the piano roll."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from at4ramt.corpus.midi import Performance, write_midi
from at4ramt.files import whole_file

NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
COLUMNS = ("onset_seconds", "offset_seconds", "pitch", "name", "velocity")

ROWS = 12
"""A picture has at most so many rows; of a long recording each row holds more."""

ROW_SECONDS = 20.0
"""What a row holds at most, while there are fewer rows."""


def note_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, such as ``C#4`` for 61."""
    return f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"


def write_notes_midi(path: str | Path, notes: npt.NDArray[np.void], title: str) -> None:
    """Write notes as a MIDI file of one track, without pedal.

    Args:
        path: the file to write.
        notes: dtype :data:`~at4ramt.corpus.midi.NOTE`.
        title: name of the track; what MIDI's Latin-1 has no letter for becomes a ``?``.
    """
    latin = title.encode("latin-1", "replace").decode("latin-1")
    write_midi(path, Performance(notes, np.zeros((0, 2))), latin)


def write_notes_csv(path: str | Path, notes: npt.NDArray[np.void]) -> None:
    """Write a row for each note: onset and offset in seconds, pitch, its name, velocity."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for onset, offset, pitch, velocity in notes.tolist():
            writer.writerow((f"{onset:.4f}", f"{offset:.4f}", pitch, note_name(pitch), velocity))


def plot_roll(
    path: str | Path,
    notes: npt.NDArray[np.void],
    *,
    seconds: float,
    lowest_pitch: int,
    pitches: int,
    title: str,
) -> None:
    """Draw the piano roll, darker where louder, in rows as a score has them.

    Args:
        path: the picture, of a format that matplotlib writes (png, svg, pdf).
        notes: dtype :data:`~at4ramt.corpus.midi.NOTE`.
        seconds: length of the recording.
        lowest_pitch: lowest MIDI pitch of the axis.
        pitches: number of pitches of the axis.
        title: stands above.
    """
    from matplotlib.figure import Figure

    rows = int(np.clip(np.ceil(seconds / ROW_SECONDS), 1, ROWS))
    row_seconds = seconds / rows
    figure = Figure(figsize=(14, 0.8 + 2.2 * rows), layout="constrained")
    named = [pitch for pitch in range(lowest_pitch, lowest_pitch + pitches) if pitch % 12 == 0]
    for row, axes in enumerate(figure.subplots(rows, squeeze=False)[:, 0]):
        start, end = row * row_seconds, (row + 1) * row_seconds
        shown = notes[(notes["offset"] > start) & (notes["onset"] < end)]
        axes.hlines(
            shown["pitch"],
            shown["onset"],
            shown["offset"],
            colors=[(0, 0, 0, 0.25 + 0.75 * velocity / 127) for velocity in shown["velocity"]],
            linewidth=2.2,
        )
        axes.plot(shown["onset"], shown["pitch"], "|", color="#0072B2", markersize=5)
        axes.set_xlim(start, end)
        axes.set_ylim(lowest_pitch - 1, lowest_pitch + pitches)
        axes.set_yticks(named, [note_name(pitch) for pitch in named])
        axes.grid(axis="y", linewidth=0.4)
    axes.set_xlabel("time [s]")
    # A recording may be called anything, and between two dollars anything would be mathematics.
    figure.suptitle(title, fontsize="medium", parse_math=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
