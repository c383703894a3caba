"""Our models beside their peers, with noise in the audio: a figure and a table.

Derived from audio.parquet by :func:`at4ramt.evaluation.tables.audio_scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from at4ramt.evaluation.tables import AUDIO_CRITERIA, AUDIO_NOISES, order_arms
from at4ramt.report import noisy, style

CRITERIA = {
    "frames": "frames of the network",
    "note_frames": "frames of the notes",
    "onset": "notes, onset within 50 ms",
    "onset_offset": "notes, onset and offset",
}
DRAWN = ("frames", "onset")
NOISES = {
    "white": "white noise in the audio",
    "pink": "pink noise in the audio",
    "brown": "brown noise in the audio",
    "hum": "mains hum in the audio",
    "babble": "a babble of pianos in the audio",
    "room": "a room's reverberation",
}
"""What a reader is told that a noise is."""
THRESHOLDS = {
    "default": "default thresholds",
    "fitted": "the models' own thresholds",
    "best": "best thresholds on validation",
}


def order_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of ``audio_scores`` in order: splits, criteria, thresholds, noise, systems.

    Each kind of noise ascends, and what is without comes first.
    """
    place = {
        "split": style.order_splits(table["split"]),
        "criterion": list(AUDIO_CRITERIA),
        "threshold_kind": list(THRESHOLDS),
        "noise": list(AUDIO_NOISES),
        "system": order_arms(list(table["system"])),
    }
    return table.sort_values(
        ["split", "criterion", "threshold_kind", "noise", "snr_db", "system"],
        key=lambda column: (
            column.map(place[str(column.name)].index) if column.name in place else -column
        ),
        ignore_index=True,
    )


def ratio_label(snr_db: float) -> str:
    """Return what a reader is told of a signal-to-noise ratio; infinite is without noise."""
    return "clean" if np.isinf(snr_db) else f"{snr_db:g}".replace("-", "−")


def panels(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return criterion and noise of each row of panels: frames in all noises, then notes.

    A criterion has the noises that it was scored in. Without any noise there is one row for each.
    """
    found = []
    for criterion in DRAWN:
        scored = set(table.loc[table["criterion"] == criterion, "noise"])
        noises = [noise for noise in NOISES if noise in scored] or ["none"] * bool(scored)
        found += [(criterion, noise) for noise in noises]
    return found


def axis_label(noise: str) -> str:
    """Return what is along the axis of a panel of one kind of noise."""
    if noise == "none":
        return "no noise in the audio"
    if noise == "room":
        return f"direct sound over {NOISES[noise]} [dB]"
    return f"signal-to-noise ratio of {NOISES[noise]} [dB]"


def drawn_thresholds(table: pd.DataFrame) -> str:
    """Return the thresholds that systems are drawn at: the best, or where none were fitted theirs.

    Without validation in the audio there are no best ones.
    """
    return "best" if "best" in set(table["threshold_kind"]) else "fitted"


def plot_systems(table: pd.DataFrame, path: str | Path, said: Sequence[str] = ()) -> None:
    """Draw F1 over the noise in the audio: a row a criterion and noise, a column a split.

    All systems that were scored in a noise are in its panels. ``table`` is that of
    ``audio_scores``; ``said`` are the sentences that stand above.
    """
    kind = drawn_thresholds(table)
    rows = table[table["threshold_kind"] == kind]
    splits = noisy.test_splits(rows)
    ratios = sorted(rows["snr_db"].unique(), reverse=True)
    systems = noisy.drawn_arms(rows["system"])
    lines = panels(rows)
    figure, grid = plt.subplots(
        len(lines),
        len(splits),
        squeeze=False,
        sharex=True,
        sharey="row",
        figsize=(5.3 * len(splits), 4.0 * len(lines)),
    )
    for line, (criterion, noise) in enumerate(lines):
        shown = rows[(rows["criterion"] == criterion) & rows["noise"].isin(["none", noise])]
        there = shown.loc[shown["noise"] == noise, "system"]
        for column, split in enumerate(splits):
            axes = grid[line, column]
            chosen = shown[(shown["split"] == split) & shown["system"].isin(there)]
            _draw_panel(axes, chosen, systems, ratios)
            axes.set_title(f"{style.split_label(split)}\n{THRESHOLDS[kind]}")
            axes.set_xticks(range(len(ratios)), [ratio_label(ratio) for ratio in ratios])
            axes.set_xlabel(axis_label(noise))
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel(f"F1 ({CRITERIA[criterion]})")
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    if said:
        style.say_above(figure, said)
    style.save_figure(figure, path)


def _draw_panel(
    axes: plt.Axes, rows: pd.DataFrame, systems: Sequence[str], ratios: Sequence[float]
) -> None:
    for place, system in enumerate(systems):
        run = rows[rows["system"] == system].sort_values("snr_db", ascending=False)
        style.draw_intervals(
            axes,
            system,
            run["snr_db"].map(list(ratios).index),
            run["f1"],
            run["f1_low"],
            run["f1_high"],
            shift=0.05 * (place - (len(systems) - 1) / 2),
        )


def write_systems(
    table: pd.DataFrame, csv: str | Path, page: str | Path, differences: Sequence[str] = ()
) -> None:
    """Write the ordered table as CSV, and as a page by split, criterion and threshold.

    ``differences`` are further parts of the page: those of ``peer_tables``.
    """
    style.write_csv(csv, table)
    parts = [
        style.paragraph(
            "All systems hear the same recordings and the same noise, so many decibels below the "
            "music's power while it sounds, and are counted alike: "
            "against the corpus's notes, extended by the pedal, in our models' range of pitches, "
            "in every frame of the full rate. Counts of all pieces are pooled, with 95 % intervals "
            "over pieces. Frames of the network are the cells of frame and pitch that it says "
            "sound; frames of the notes are those within the notes that it writes. Notes are "
            "formed without noise and in white noise."
        ),
        style.paragraph(
            "Default thresholds are 0.5 for models of this workflow and basic-pitch's own. A "
            "model's own is that "
            "of its card, found on frames of validation when it was trained. The best ones are "
            "found on recordings of validation, for frames, frames of notes and notes apart and "
            "for each ratio apart, those with the most F1, of all systems alike: what "
            "a system could reach if it knew how noisy it is."
        ),
    ]
    several = len(set(table["noise"]) - {"none"}) > 1
    for (split, criterion, kind), rows in table.groupby(
        ["split", "criterion", "threshold_kind"], sort=False
    ):
        shown = pd.DataFrame(
            {
                **({"noise": rows["noise"]} if several else {}),
                "noise [dB]": [ratio_label(ratio) for ratio in rows["snr_db"]],
                "system": [style.arm_style(system).label for system in rows["system"]],
                "precision": rows["precision"],
                "recall": rows["recall"],
                "F1": rows["f1"],
                "95 % from": rows["f1_low"],
                "to": rows["f1_high"],
            }
        )
        parts.append(
            style.html_table(
                shown,
                f"{style.split_label(str(split)).capitalize()}: {CRITERIA[str(criterion)]}, "
                f"{THRESHOLDS[str(kind)]}",
                {name: ".3f" for name in shown if name not in ("noise", "noise [dB]", "system")},
            )
        )
    style.write_page(page, "Systems with noise in the audio", *parts, *differences)
