"""Note-level scores: F1 of notes over noise level, and the table of all.

Derived from notes.parquet by :func:`at4ramt.evaluation.tables.note_scores`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from at4ramt.evaluation.tables import order_arms
from at4ramt.report import noisy, style

CRITERIA = {"onset": "onset within 50 ms", "onset_offset": "onset and offset"}


def plot_notes(table: pd.DataFrame, path: str | Path, *, kind: str = "fitted") -> None:
    """Draw pooled note F1 over level: a row a criterion, a column a split, all arms.

    ``table`` is that of ``note_scores``; ``kind`` is the threshold. The fitted one is what
    transcription takes.
    """
    rows = table[table["threshold_kind"] == kind]
    splits = noisy.test_splits(rows)
    figure, grid = plt.subplots(
        len(CRITERIA),
        len(splits),
        squeeze=False,
        sharex=True,
        sharey="row",
        figsize=(5.3 * len(splits), 4.0 * len(CRITERIA)),
    )
    for line, (criterion, label) in enumerate(CRITERIA.items()):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            chosen = rows[(rows["split"] == split) & (rows["criterion"] == criterion)]
            noisy.draw_over_level(axes, chosen, "f1")
            axes.set_title(f"{style.split_label(split)}\n{style.THRESHOLD_LABELS[kind]}")
            axes.set_xlabel(noisy.LEVEL_AXIS, fontsize="small")
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel(f"F1 of notes ({label})")
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)


def order_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of ``note_scores`` in the order of splits, criteria, thresholds and arms."""
    arms, splits = order_arms(list(table["arm"])), style.order_splits(table["split"])
    place = {"arm": arms, "split": splits, "criterion": list(CRITERIA)}
    order = ["split", "criterion", "threshold_kind", "level", "arm"]
    return table.sort_values(
        order,
        key=lambda column: (
            column.map(place[str(column.name)].index) if column.name in place else column
        ),
        ignore_index=True,
    )


def write_notes(table: pd.DataFrame, csv: str | Path, page: str | Path) -> None:
    """Write the ordered table as CSV, and as a page by split, criterion and threshold."""
    style.write_csv(csv, table)
    parts = [
        style.paragraph(
            "A note is found if the model wrote one of its pitch whose onset is at most 50 ms "
            "away (onset), and whose offset is at most 50 ms or a fifth of the note's duration "
            "away (onset and offset). Precision, recall and F1 are pooled: notes of all pieces "
            "are counted together, with 95 % intervals over pieces. Mean of pieces: each piece's "
            "own F1, averaged, as other work often has it."
        )
    ]
    for (split, criterion, kind), rows in table.groupby(
        ["split", "criterion", "threshold_kind"], sort=False
    ):
        shown = pd.DataFrame(
            {
                "level": rows["level"],
                "arm": [style.arm_style(arm).label for arm in rows["arm"]],
                "round": rows["round"],
                "precision": rows["precision"],
                "recall": rows["recall"],
                "F1": rows["f1"],
                "95 % from": rows["f1_low"],
                "to": rows["f1_high"],
                "F1, mean of pieces": rows["piece_f1"],
            }
        )
        parts.append(
            style.html_table(
                shown,
                f"{style.split_label(str(split)).capitalize()}: {CRITERIA[str(criterion)]}, "
                f"{style.THRESHOLD_LABELS[str(kind)]}",
                {name: ".3f" for name in shown if name not in ("level", "arm", "round")}
                | {"level": "g"},
            )
        )
    style.write_page(page, "Notes found, by arm and noise level", *parts)
