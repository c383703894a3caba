"""A page to listen to and look at: recordings, with noise, and what two models wrote down."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from at4ramt.evaluation.metrics import pooled
from at4ramt.files import read_json
from at4ramt.report import style
from at4ramt.report.transcription import ROLL_COLOURS

NOTE_HEIGHT = 0.9
ONSET_SECONDS = 0.03
"""What of a note is drawn full: its onset, so that repeated notes can be told apart."""


def read_listening(path: str | Path) -> dict[str, Any]:
    """Return the content of listening.json: see :mod:`at4ramt.evaluation.listening`."""
    content: dict[str, Any] = read_json(path)
    return content


def note_states(
    reference: Sequence[Sequence[float]],
    notes: Sequence[Sequence[float]],
    pairs: Sequence[Sequence[int]],
) -> list[tuple[str, float, float, int]]:
    """Return (state, onset, offset, pitch) of what a roll shows, in the order it is drawn.

    What was found is shown as the model wrote it, ``right``; what was not as the
    reference has it, ``missed``; what is not in the reference is ``false``.
    """
    found = {int(one) for one, _ in pairs}
    right = {int(other) for _, other in pairs}
    states = [("missed", note) for place, note in enumerate(reference) if place not in found]
    states += [("false", note) for place, note in enumerate(notes) if place not in right]
    states += [("right", note) for place, note in enumerate(notes) if place in right]
    return [(state, note[0], note[1], int(note[2])) for state, note in states]


def draw_notes(
    states: Sequence[tuple[str, float, float, int]], *, seconds: float, pitches: tuple[int, int]
) -> bytes:
    """Return a small piano roll of the notes of :func:`note_states`, as PNG.

    ``seconds`` is the length of the time axis, ``pitches`` the lowest and highest MIDI
    pitch of the other. As SVG a roll of many notes would be ten times as large.
    """
    figure, axes = plt.subplots(figsize=(4.4, 2.3))
    for state, onset, offset, pitch in states:
        bottom = (pitch - NOTE_HEIGHT / 2, NOTE_HEIGHT)
        for end, alpha in ((offset, 0.55), (min(offset, onset + ONSET_SECONDS), 1.0)):
            axes.broken_barh(
                [(onset, end - onset)], bottom, color=ROLL_COLOURS[state], alpha=alpha, linewidth=0
            )
    low, high = pitches
    axes.set_xlim(0, seconds)
    axes.set_ylim(low - 1, high + 1)
    style.label_pitch_axis(axes, low, high - low + 1, offset=low)
    axes.tick_params(labelsize="x-small")
    axes.set_xlabel("time [s]", fontsize="x-small")
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return memory.getvalue()


def count_notes(excerpt: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row for each transcription of an excerpt: notes, found ones, precision to F1."""
    rows = []
    for sound in excerpt["sounds"]:
        if sound["model"] is None:
            continue
        hits, notes, wanted = (
            len(part) for part in (sound["pairs"], sound["notes"], excerpt["reference"])
        )
        precision, recall, f1 = pooled(hits, notes - hits, wanted - hits)
        rows.append(
            {
                "condition": sound["condition"],
                "model": sound["model"],
                "threshold": sound["threshold"],
                "notes played": wanted,
                "notes written": notes,
                "of these right": hits,
                "precision": precision,
                "recall": recall,
                "F1": f1,
            }
        )
    return pd.DataFrame(rows)


def _cell(sound: Mapping[str, Any], excerpt: Mapping[str, Any], pitches: tuple[int, int]) -> str:
    """Return a player and a piano roll, with a line above that says what they are."""
    title = "recording" if sound["model"] is None else style.arm_style(sound["model"]).label
    if sound["model"] is None:
        states = [("right", note[0], note[1], int(note[2])) for note in excerpt["reference"]]
    else:
        states = note_states(excerpt["reference"], sound["notes"], sound["pairs"])
    player = (
        f'<audio controls preload="metadata" src="data:audio/mpeg;base64,{sound["audio"]}"></audio>'
    )
    roll = draw_notes(states, seconds=excerpt["seconds"], pitches=pitches)
    picture = (
        f'<img alt="piano roll" src="data:image/png;base64,{base64.b64encode(roll).decode()}">'
    )
    return f"<td><b>{html.escape(title)}</b><br>{player}<br>{picture}</td>"


def write_listening(content: Mapping[str, Any], path: str | Path) -> None:
    """Write the page; ``content`` is that of :func:`read_listening`."""
    conditions = {"clean": "as recorded", "noisy": f"with noise, {content['snr_db']:g} dB"}
    legend = ", ".join(
        f'<span style="color:{colour}">■</span> {name}' for name, colour in ROLL_COLOURS.items()
    )
    parts = [
        "<style>audio { width: 20em; } table.sounds td { border: none; } "
        "table.sounds img { width: 24em; }</style>",
        style.paragraph(
            "Left: what was played, as recorded and with white noise added to the audio, "
            f"{content['snr_db']:g} dB below the music. Beside it: the notes that two models "
            "write down, played by the workflow's sampler. Rolls on the left show the notes of "
            "the corpus. Only notes that begin in the excerpt are shown and played, so what "
            "sounds from before is missing from the transcriptions."
        ),
        f"<p>{legend}; a note's onset is dark</p>",
    ]
    for excerpt in content["excerpts"]:
        sounds = excerpt["sounds"]
        every = [*excerpt["reference"], *(n for sound in sounds for n in sound.get("notes", []))]
        keys = np.array([note[2] for note in every] or [60], int)
        pitches = (int(keys.min()), int(keys.max()))
        rows = [
            f'<tr><th colspan="{sum(sound["condition"] == condition for sound in sounds)}">'
            f"{html.escape(label)}</th></tr><tr>"
            + "".join(
                _cell(sound, excerpt, pitches)
                for sound in sounds
                if sound["condition"] == condition
            )
            + "</tr>"
            for condition, label in conditions.items()
        ]
        counts = count_notes(excerpt)
        shown = counts.assign(
            condition=[conditions[each] for each in counts["condition"]],
            model=[style.arm_style(each).label for each in counts["model"]],
        )
        formats = dict.fromkeys(("threshold", "precision", "recall", "F1"), ".2f")
        parts += [
            style.heading(f"{excerpt['piece']} ({style.split_label(excerpt['split'])})"),
            style.paragraph(
                f"{excerpt['seconds']:.3g} s from {excerpt['start_seconds']:.3g} s on; "
                f"piano {excerpt['instrument']}."
            ),
            '<table class="sounds">' + "".join(rows) + "</table>",
            style.html_table(shown, "Notes found (onset within 50 ms)", formats),
        ]
    style.write_page(path, "Listen and look", *parts)
