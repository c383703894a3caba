"""A user's own sheet of splits: a table of names, tab-separated (.tsv) or with commas (.csv)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import replace

from at4ramt.corpus.layout import LayoutProblem, Recording, piece_names, same_name, split_suffix
from at4ramt.corpus.pieces import SPLITS, cell_fault
from at4ramt.errors import InputError, mended, shown, suggestion, told
from at4ramt.files import read_small
from at4ramt.limits import MOST_ROWS

COLUMNS = ("name", "split", "work", "instrument")


def is_sheet(split: str | None) -> bool:
    """Return whether the value of ``corpus.split`` is the path of a sheet."""
    return split is not None and split_suffix(split)[1] in (".tsv", ".csv")


def apply_sheet(
    recordings: Sequence[Recording], path: str, known: Sequence[str] = ()
) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the recordings as a sheet describes them, and what it does not describe.

    The column ``name`` has a piece's own name (:attr:`Recording.name`), with or without a suffix,
    or its name in the table of pieces; ``split``, ``work`` and ``instrument`` may be left out, and
    a column that is there has no empty cell. A recording without a row is left out. ``known`` are
    further names that a row may have: pieces with which something is wrong.

    Raises:
        InputError: naming file and row: the sheet is missing, has an unknown or doubled column, a
            name that no piece has or that stands twice, an unknown split, an empty cell, or a
            work or an instrument that the table of pieces cannot have.
    """
    rows = _read(path)
    by_name = {recording.name: recording for recording in recordings}
    own = [*by_name, *sorted(set(map(same_name, known)) - set(by_name))]
    called = dict(zip(piece_names(own), own, strict=True)) | {name: name for name in own}
    found: dict[str, Recording] = {}
    first_row: dict[str, int] = {}
    for number, row in rows:
        written = same_name(row["name"])
        name = called.get(written) or called.get(split_suffix(written)[0])
        if name is None:
            raise InputError(
                f"{path}, row {number}, column name: no piece is called {shown(row['name'])}."
                f"{suggestion(written, own)} Expected a name as {next(iter(own), '')!r} is."
            )
        if name in first_row:
            raise InputError(
                f"{path}, row {number}, column name: {shown(row['name'])} stands in row "
                f"{first_row[name]} already. Delete one of them."
            )
        first_row[name] = number
        if "split" in row and row["split"] not in SPLITS:
            raise InputError(
                f"{path}, row {number}, column split: expected one of {', '.join(SPLITS)}, found "
                f"{shown(row['split'])}.{suggestion(row['split'], SPLITS)} Mend the cell."
            )
        for column in ("work", "instrument"):
            if column in row and (fault := cell_fault(column, row[column])):
                raise InputError(f"{path}, row {number}, column {column}: {fault} Mend the cell.")
        if name in by_name:
            cells = {column: row[column] for column in COLUMNS[1:] if column in row}
            found[name] = replace(by_name[name], **cells)
    left_out = [
        LayoutProblem(
            recording.name,
            recording.audio,
            "not in the sheet",
            f"{recording.audio}: expected a row with its name in {path}, found none; the piece is "
            f"left out. Add a row with the name {recording.name!r} to use it.",
            stops=False,
        )
        for recording in recordings
        if recording.name not in found
    ]
    return [found[recording.name] for recording in recordings if recording.name in found], left_out


def _read(path: str) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a sheet with their numbers; the header is row 1."""
    delimiter = "\t" if split_suffix(path)[1] == ".tsv" else ","
    try:
        content = read_small(path).decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected the sheet that corpus.split names, found no such file in "
            f"{os.getcwd()}. Mend the path."
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: expected a table in UTF-8, could not read it ({told(error)}). "
            f"{mended(error, 'Save it anew.')}"
        ) from error
    if len(lines) > MOST_ROWS:
        raise InputError(
            f"{path}: expected at most {MOST_ROWS} rows, found {len(lines)}. Check that this is "
            "the sheet of splits."
        )
    header = [cell.strip() for cell in lines[0]] if lines else []
    for column in header:
        if column not in COLUMNS or header.count(column) > 1:
            raise InputError(
                f"{path}, row 1: {'unknown' if column not in COLUMNS else 'doubled'} column "
                f"{shown(column)}.{suggestion(column, COLUMNS)} Expected {', '.join(COLUMNS)}, "
                f"separated by {'tabs' if delimiter == chr(9) else 'commas'}."
            )
    if "name" not in header:
        raise InputError(
            f"{path}, row 1: expected a column 'name', found {', '.join(header) or 'none'}. Add it."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line]
        if not any(cells):
            continue
        if len(cells) != len(header) or not all(cells):
            raise InputError(
                f"{path}, row {number}: expected {len(header)} cells, none of them empty, found "
                f"{shown(cells)}. Mend the row."
            )
        rows.append((number, dict(zip(header, cells, strict=True))))
    return rows
