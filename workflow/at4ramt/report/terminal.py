"""What the end of `make demo` prints: F1 by arm and noise level, and where the report is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as text, each column as wide as its widest cell; no rows, no text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def arms_by_level(rows: Sequence[dict[str, str]], split: str) -> str:
    """Return F1 at threshold 0.5 of one split as text: a line an arm, a column a noise level.

    Args:
        rows: rows of ``results/tables/headline.csv``.
        split: the split to show.
    """
    chosen = [row for row in rows if row["split"] == split]
    levels = list(dict.fromkeys(row["level"] for row in chosen))
    arms = list(dict.fromkeys(row["arm"] for row in chosen))
    f1 = {(row["arm"], row["level"]): f"{float(row['f1_half']):.3f}" for row in chosen}
    table = [["noise level", *(f"{float(level):g}" for level in levels)]]
    table += [[arm, *(f1.get((arm, level), "") for level in levels)] for arm in arms]
    return aligned(table)


def closing_words(results: Path) -> str:
    """Return the headline table and the report's place; what is missing is said."""
    lines = []
    table = results / "tables" / "headline.csv"
    if table.exists():
        with open(table, newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened))
        for split in dict.fromkeys(row["split"] for row in rows):
            lines += ["", f"F1 at threshold 0.5, {split}", arms_by_level(rows, split)]
        lines.append("")
    report = results / "report.html"
    if report.exists():
        lines.append(f"The report: {report} (open it in a browser; it needs no network)")
    else:
        lines.append(f"There is no {report} yet: `snakemake --cores all report` makes it")
    return "\n".join(lines)


if __name__ == "__main__":
    print(closing_words(Path(sys.argv[1])))
