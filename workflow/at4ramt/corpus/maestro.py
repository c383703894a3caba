"""MAESTRO as it is distributed: a csv that names recordings, MIDI files and splits.

Source: Hawthorne et al. 2019; version 3 has 1,276 performances, version 1 and 2 the same columns.
The published splits have no composition in two of them. The pianos are not named; the
competitions are, by year, so an instrument here is the year's.
"""

from __future__ import annotations

import csv
import io
import os
import re

from at4ramt.corpus.layout import (
    AUDIO_SUFFIXES,
    LayoutProblem,
    Recording,
    list_files,
    same_name,
    split_suffix,
)
from at4ramt.corpus.pieces import TEST, TRAINING, VALIDATION, cell_fault
from at4ramt.errors import InputError, mended, shown, suggestion, told
from at4ramt.files import read_small

PUBLISHED = "published"
TABLE = re.compile(r"(?:.*/)?maestro-v\d+\.\d+\.\d+\.csv")
SPLITS = {"train": TRAINING, "validation": VALIDATION, "test": TEST}
COLUMNS = (
    "canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename",
)  # fmt: skip


def find_maestro(root: str) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the pieces of MAESTRO below a folder, and which of them lack a file.

    Audio that was converted is taken too: the name counts, not its suffix.

    Raises:
        InputError: the folder or the csv is missing, there are several of them, or the csv is
            not what it should be, with its row.
    """
    files = list_files(root)
    tables = [path for path in files if TABLE.fullmatch(path)]
    if len(tables) != 1:
        found = ", ".join(tables) or "none"
        raise InputError(
            f"{root}: expected one maestro-v<version>.csv in it, found {found}. Set corpus.root to "
            "the folder of one version, unpacked."
        )
    path = os.path.join(root, tables[0])
    folder = tables[0].rpartition("/")[0]
    there = set(files)
    audio_of = {
        stem: file for file in files for stem, suffix in [split_suffix(file)]
        if suffix in AUDIO_SUFFIXES
    }  # fmt: skip
    recordings, problems = [], []
    row_of: dict[str, int] = {}
    rows = _read(path)
    for number, row in rows:
        if row["split"] not in SPLITS:
            raise InputError(
                f"{path}, row {number}, column split: expected one of {', '.join(SPLITS)}, found "
                f"{shown(row['split'])}.{suggestion(row['split'], SPLITS)} Mend the row."
            )
        audio, notes = (
            f"{folder}/{row[column]}" if folder else row[column]
            for column in ("audio_filename", "midi_filename")
        )
        name = os.path.basename(split_suffix(audio)[0])
        if name in row_of:
            raise InputError(
                f"{path}, row {number}, column audio_filename: {shown(name)} is the piece of row "
                f"{row_of[name]} already. Delete one of the rows."
            )
        row_of[name] = number
        audio_there = audio if audio in there else audio_of.get(split_suffix(audio)[0])
        missing = [file for file, ok in ((audio, audio_there), (notes, notes in there)) if not ok]
        if missing or audio_there is None:
            problems.append(
                LayoutProblem(
                    name,
                    os.path.join(root, missing[0]),
                    "missing partner",
                    f"{path}, row {number}: expected {told(' and '.join(missing))} in {root}, "
                    "found no "
                    "such file. Unpack the corpus again, or exclude the piece (corpus.exclude).",
                )
            )
            continue
        title = " ".join(
            same_name(f"{row['canonical_composer']}: {row['canonical_title']}").split()
        )
        if fault := cell_fault("work", title):
            raise InputError(
                f"{path}, row {number}, columns canonical_composer and canonical_title: {fault} "
                "Mend the row."
            )
        recordings.append(
            Recording(
                name=name,
                work=title,
                instrument=f"Disklavier_{row['year'].strip()}",
                split=SPLITS[row["split"]],
                audio=os.path.join(root, audio_there),
                notes=os.path.join(root, notes),
            )
        )
    if not recordings:
        raise InputError(
            f"{root}: expected the recordings of MAESTRO, found not one of the {len(rows)} that "
            f"{path} names with its MIDI file (the archive -midi.zip has no audio). For example: "
            f"{problems[0].message if problems else 'the table is empty.'}"
        )
    return recordings, problems


def _read(path: str) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of the csv with their numbers; the header is row 1."""
    try:
        content = read_small(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(content, newline=""))
        header = list(reader.fieldnames or [])
        for column in COLUMNS:
            if header.count(column) != 1:
                raise InputError(
                    f"{path}, row 1: expected a column {column!r}, found "
                    f"{header.count(column) or 'none'} in {shown(header)}. Use the csv of the "
                    "distribution."
                )
        rows = list(enumerate(reader, start=2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: expected the csv of MAESTRO, could not read it ({told(error)}). "
            f"{mended(error, 'Download it again.')}"
        ) from error
    for number, row in rows:
        for column in COLUMNS:
            wanted = r"\s*[0-9]{4}\s*" if column == "year" else r".*\S.*"
            if not re.fullmatch(wanted, row[column] or ""):
                raise InputError(
                    f"{path}, row {number}, column {column}: expected "
                    f"{'a year' if column == 'year' else 'a value'}, found {shown(row[column])}. "
                    "Mend the row."
                )
    return rows
