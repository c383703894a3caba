"""The corpus's four tables: pieces, works, instruments, sources.

Each is tab-separated with a header; ``workflow/schemas/<table>.schema.yaml``
describes a row. Rows are counted as a text editor does: the header is row 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from at4ramt.corpus.variations import draw_variation
from at4ramt.errors import InputError, mended, shown, suggestion, told
from at4ramt.files import read_small, text_lines
from at4ramt.limits import MOST_ROWS

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"

TRAINING, VALIDATION, TEST, UNSEEN = "training", "validation", "test", "test_unseen_piano"
SPLITS = (TRAINING, VALIDATION, TEST, UNSEEN)
NEEDED_SPLITS = (TRAINING, VALIDATION, TEST)

# Two splits may share a work only if they are these: the test works are played
# on the held-out pianos as well, by design.
SHARING = frozenset({TEST, UNSEEN})


@cache
def table_schema(table: str) -> dict[str, Any]:
    """Return what a row of a table is, from ``workflow/schemas/``."""
    import yaml

    with open(SCHEMAS / f"{table}.schema.yaml", encoding="utf-8") as opened:
        content: dict[str, Any] = yaml.safe_load(opened)
    return content


@cache
def _corpus_cell(column: str) -> re.Pattern[str]:
    wanted = table_schema("corpus")["properties"][column]
    return re.compile("|".join(wanted.get("enum", [wanted.get("pattern", "")])))


def cell_fault(column: str, cell: str) -> str | None:
    """Return what is wrong with a text in a column of every corpus's table; None if nothing is."""
    if _corpus_cell(column).fullmatch(cell):
        return None
    wanted = table_schema("corpus")["properties"][column]["description"]
    return f"found {shown(cell)}, expected {wanted}"


# Python would also take 1_0 for ten, digits of other scripts, and nan, which no bound is above.
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def _convert(text: str, kind: str) -> Any:
    """Return a cell as its schema's type, or as it is if it is none (the schema then says so)."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "integer" and WHOLE.fullmatch(text):
        return int(text)
    if kind == "number" and NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def read_table(path: str | Path, table: str) -> pd.DataFrame:
    """Return a table with its columns' types, every row checked against its schema.

    ``table`` is ``pieces``, ``works``, ``instruments`` or ``sources``; the index
    is ``row``, the row's number in the file. The first column must be unique.

    Raises:
        InputError: the file is missing or empty, a column is unknown, missing or
            doubled, a row has another number of cells, a cell is not what the
            schema says, or a name stands twice.
    """
    import jsonschema

    schema = table_schema(table)
    properties: dict[str, Any] = schema["properties"]
    try:
        lines = text_lines(read_small(path))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected the table of {table}, found no such file. Name an existing one "
            f"under corpus in the configuration."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: expected a text file, could not read it ({told(error)}). "
            f"{mended(error, 'Save it anew as UTF-8.')}"
        ) from error
    if len(lines) > MOST_ROWS:
        raise InputError(
            f"{path}: expected at most {MOST_ROWS} rows, found {len(lines)}. Check that this is "
            f"the table of {table}."
        )
    header = lines[0].split("\t") if lines else []
    for column in header:
        if column not in properties:
            raise InputError(
                f"{path}, row 1: unknown column {shown(column)}.{suggestion(column, properties)} "
                f"Expected the columns {', '.join(properties)}, tab-separated."
            )
        if header.count(column) > 1:
            raise InputError(f"{path}, row 1: the column {column!r} stands twice. Delete one.")
    for column in schema["required"]:
        if column not in header:
            raise InputError(
                f"{path}, row 1: expected a column {column!r}, found "
                f"{', '.join(header) or 'none'}. Add it, tab-separated."
            )
    validator = jsonschema.Draft202012Validator(schema)
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            raise InputError(
                f"{path}, row {number}: expected {len(header)} tab-separated cells, found "
                f"{len(cells)}. Mend the row."
            )
        row = {
            column: _convert(cell.strip(), properties[column]["type"])
            for column, cell in zip(header, cells, strict=True)
        }
        wrong = next(validator.iter_errors(row), None)
        if wrong is not None:
            column = str(wrong.path[0])
            wanted = " ".join(str(properties[column]["description"]).split())
            choices = properties[column].get("enum", [])
            hint = suggestion(str(row[column]), choices) if choices else ""
            raise InputError(
                f"{path}, row {number}, column {column}: found {json.dumps(row[column])[:240]}, "
                f"expected: {wanted}{hint} Mend the cell."
            )
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise InputError(f"{path}: expected at least one row below the header, found none.")
    for column in properties:
        if column not in header:
            for row in rows:
                row[column] = properties[column]["default"]
    content = pd.DataFrame(rows, index=pd.Index(numbers, name="row"))[list(properties)]
    name = content.columns[0]
    doubled = content.index[content[name].duplicated()]
    if len(doubled):
        value = content.loc[doubled[0], name]
        first = content.index[content[name] == value][0]
        raise InputError(
            f"{path}, row {doubled[0]}, column {name}: {shown(value)} stands in row {first} "
            "already. Delete or rename one of them."
        )
    return content


def read_sources(path: str | Path) -> pd.DataFrame:
    """Return the sources table, indexed by source (which stays a column too)."""
    return read_table(path, "sources").set_index("source", drop=False)


def _check_known(
    path: str | Path, table: pd.DataFrame, column: str, known: pd.Index, other: str
) -> None:
    for number, value in table[column].items():
        for each in value.split(","):
            if each not in known:
                raise InputError(
                    f"{path}, row {number}, column {column}: {shown(each)} is not in the table of "
                    f"{other}.{suggestion(each, known)} Add it there, or mend the cell."
                )


def read_works(path: str | Path, sources: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the works table, indexed by work; with ``sources``, each source must be known."""
    table = read_table(path, "works")
    if sources is not None:
        _check_known(path, table, "source", sources.index, "sources")
    return table.set_index("work", drop=False)


def read_instruments(path: str | Path, sources: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the instruments table, indexed by instrument.

    The column ``source`` may name several sources, separated by commas
    (:func:`archives_of`).
    """
    table = read_table(path, "instruments")
    if sources is not None:
        _check_known(path, table, "source", sources.index, "sources")
    return table.set_index("instrument", drop=False)


def archives_of(instruments: pd.DataFrame, sources: pd.DataFrame, instrument: str) -> pd.DataFrame:
    """Return the rows of the sources table that an instrument's recordings come from."""
    return sources.loc[instruments.loc[instrument, "source"].split(",")]


def fetch_settings(sources: pd.DataFrame, archive: str) -> dict[str, str]:
    """Return what fetches an archive: its row of the sources table, less the remarks."""
    row = sources.loc[sources["archive"] == archive].iloc[0]
    columns = ("source", "registry", "package", "version", "sha256", "bytes")
    return {column: str(row[column]) for column in columns}


def excerpt_number(piece: str, instrument: str) -> str:
    """Return the number in a piece's name, MAPS_MUS-<work>-<number>_<instrument>."""
    return piece.removesuffix(f"_{instrument}").rpartition("-")[2]


def render_settings(
    pieces: pd.DataFrame,
    works: pd.DataFrame,
    instruments: pd.DataFrame,
    sources: pd.DataFrame,
    piece: str,
    corpus: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all that the tables say about how a piece sounds, for ``render.render_piece``.

    ``corpus`` is the config's section: lengths and ranges of variations that rows leave to it.
    """
    row = pieces.loc[piece]
    work = works.loc[row["work"]]
    return {
        "archive_sha256": str(sources.loc[work["source"], "sha256"]),
        "member": str(work["member"]),
        "work": str(work["work"]),
        "dynamics": str(work["dynamics"]),
        "position": float(row["position"]),
        "excerpt_seconds": float(row["excerpt_seconds"] or corpus["excerpt_seconds"]),
        "variation": asdict(
            draw_variation(
                corpus["variations"],
                str(work["work"]),
                excerpt_number(piece, str(row["instrument"])),
                int(row["variation"]),
            )
        ),
        "gain_db": float(instruments.loc[row["instrument"], "gain_db"]),
    }


def read_pieces(path: str | Path, works: pd.DataFrame, instruments: pd.DataFrame) -> pd.DataFrame:
    """Return the pieces table, checked, indexed by piece (which stays a column too).

    The splits are by work and by piano: training, validation and test share no
    work; ``test_unseen_piano`` has works of the test split (or of none other)
    on held-out instruments, which no other split uses; validation may have
    another held-out instrument of its own.

    Raises:
        InputError: naming the row, for whatever :func:`read_table` raises, a
            work or instrument that its table does not have, a name that does
            not agree with the row, an empty split, a work in two splits, or an
            instrument on the wrong side.
    """
    table = read_table(path, "pieces")
    _check_known(path, table, "work", works.index, "works")
    _check_known(path, table, "instrument", instruments.index, "instruments")
    for number, row in table.iterrows():
        piece, work, instrument = row["piece"], row["work"], row["instrument"]
        which = excerpt_number(piece, instrument)
        if piece != f"MAPS_MUS-{work}-{which}_{instrument}" or not which.isdigit():
            raise InputError(
                f"{path}, row {number}, column piece: expected "
                f"MAPS_MUS-{work}-<number>_{instrument}, as the row's work and instrument say, "
                f"found {shown(piece)}. Rename the piece."
            )
        held_out = bool(instruments.loc[instrument, "held_out"])
        if held_out and row["split"] not in (UNSEEN, VALIDATION):
            raise InputError(
                f"{path}, row {number}, column instrument: {instrument} is held out, so its "
                f"pieces belong to {UNSEEN}, or all to {VALIDATION}; found split "
                f"{row['split']!r}. Choose a training piano or one of these splits."
            )
        if not held_out and row["split"] == UNSEEN:
            raise InputError(
                f"{path}, row {number}, column instrument: {UNSEEN} takes held-out instruments "
                f"only, and {instrument} is not held out. Choose another split or instrument."
            )
    chosen = set(table.loc[table["split"] == VALIDATION, "instrument"])
    for number, row in table[table["split"] == UNSEEN].iterrows():
        if row["instrument"] in chosen:
            raise InputError(
                f"{path}, row {number}, column instrument: {row['instrument']} is in {VALIDATION} "
                f"too, by which models are chosen; expected another piano in {UNSEEN}. "
                "Choose another one here or there."
            )
    for split in NEEDED_SPLITS:
        if not (table["split"] == split).any():
            raise InputError(
                f"{path}, column split: no piece is in the split {split!r}, and it must not be "
                "empty. Add a piece to it."
            )
    for work, rows in table.groupby("work", sort=False):
        splits = list(dict.fromkeys(rows["split"]))
        if len(splits) > 1 and not set(splits) <= SHARING:
            first = rows.index[rows["split"] == splits[0]][0]
            clash = next(
                number
                for number, split in rows["split"].items()
                if split != splits[0] and not {split, splits[0]} <= SHARING
            )
            raise InputError(
                f"{path}, row {clash}, column split: the work {work!r} is in "
                f"{table.loc[clash, 'split']!r} here and in {table.loc[first, 'split']!r} in row "
                f"{first}; a work belongs to one split (only {TEST} and {UNSEEN} share works, by "
                "design). Move one of the pieces."
            )
    return table.set_index("piece", drop=False)
