"""What the end of `make demo` prints: where the report is, and the headline table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path


def tidy(value: str) -> str:
    """Return a number of more than four digits after the point with three; other text as it is."""
    _, point, digits = value.partition(".")
    if not point or len(digits) <= 3:
        return value
    try:
        return f"{float(value):.3f}"
    except ValueError:
        return value


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as text, each column as wide as its widest cell; no rows, no text."""
    columns = zip_longest(*rows, fillvalue="")
    padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def closing_words(results: Path) -> str:
    """Return the headline table and the report's place; what is missing is said."""
    lines = []
    table = results / "tables" / "headline.csv"
    if table.exists():
        with open(table, newline="", encoding="utf-8") as opened:
            rows = [[tidy(cell) for cell in row] for row in csv.reader(opened)]
        lines += ["", aligned(rows), ""]
    report = results / "report.html"
    if report.exists():
        lines.append(f"The report: {report} (open it in a browser; it needs no network)")
    else:
        lines.append(f"There is no {report} yet: `snakemake report` makes it")
    return "\n".join(lines)


if __name__ == "__main__":
    print(closing_words(Path(sys.argv[1])))
