"""One table for every kind of corpus: a row a piece, whatever it was found as.

The table is made whenever the Snakefile is parsed, in every job: it lists folders and reads small
tables, and opens no audio.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from at4ramt.corpus import folder, maestro, maps_layout, splits
from at4ramt.corpus.layout import BRACES, LayoutProblem, Recording, piece_names
from at4ramt.corpus.pieces import (
    TEST,
    TRAINING,
    UNSEEN,
    VALIDATION,
    cell_fault,
    read_instruments,
    read_pieces,
    read_sources,
    read_works,
    table_schema,
)
from at4ramt.corpus.sheet import apply_sheet, is_sheet
from at4ramt.errors import InputError, shown, suggestion

KINDS = ("embedded", "maps", "maestro", "folder")
COLUMNS = (
    "piece", "work", "instrument", "split", "audio", "audio_member", "notes", "notes_member",
)  # fmt: skip

NAMED_SPLITS = {
    "maps": splits.MAPS_SPLITS,
    "maestro": (maestro.PUBLISHED,),
    "folder": tuple[str, ...](),
}
"""What ``corpus.split`` may be for each kind, beside null and the path of a sheet."""


@dataclass(frozen=True)
class Survey:
    """A corpus as it lies on the disk.

    ``table`` has the columns :data:`COLUMNS`, indexed by piece; ``problems`` what no audio is
    needed to see; ``excluded`` the reasons of excluded pieces, by piece.
    """

    table: pd.DataFrame
    problems: tuple[LayoutProblem, ...]
    excluded: Mapping[str, str]


def corpus_table(corpus: Mapping[str, Any], located: Callable[[str], str] = str) -> pd.DataFrame:
    """Return the table of a corpus's pieces: see :func:`survey_corpus`."""
    return survey_corpus(corpus, located).table


def survey_corpus(corpus: Mapping[str, Any], located: Callable[[str], str] = str) -> Survey:
    """Return the pieces of a corpus, and what is wrong with its files.

    Pieces that lack a partner are not in the table but among the problems. Excluded ones are in
    neither; they are taken out after the splits were chosen, so that no other piece moves.

    Args:
        corpus: the config's section of that name.
        located: gives the path of a table that the config names.

    Raises:
        InputError: the corpus is not where it should be, a table is wrong, an excluded piece is
            unknown, or a split that is needed is empty.
    """
    kind = corpus["kind"]
    if kind not in KINDS:
        raise InputError(
            f"config key corpus.kind is {kind!r}; expected one of {', '.join(KINDS)}."
            f"{suggestion(str(kind), KINDS)}"
        )
    excluded = dict(corpus.get("exclude") or {})
    if kind == "embedded":
        found, problems = _embedded(corpus, located), list[LayoutProblem]()
        recordings = found
    else:
        found, problems = _found(kind, corpus)
        recordings, left_out = _with_splits(found, problems, kind, corpus, located)
        problems += left_out
    # Names of all that was found, so that a piece has one name whatever the split leaves out.
    names = _names([recording.name for recording in found], problems)
    for piece in excluded:
        if piece not in names.values():
            raise InputError(
                f"config key corpus.exclude names the piece {piece!r}, which the corpus does not "
                f"have.{suggestion(piece, names.values())} Expected a piece of its table."
            )
    rows = [
        {**vars(recording), "piece": names[recording.name]}
        for recording in recordings
        if names[recording.name] not in excluded
    ]
    if not rows:
        raise InputError(
            f"corpus: expected recordings with their notes, found none of {len(found)} usable. "
            + (problems[0].message if problems else "Exclude fewer, or name some in the sheet.")
        )
    table = pd.DataFrame(rows)[list(COLUMNS)].set_index("piece", drop=False)
    problems = [replace(problem, piece=names.get(problem.piece, "")) for problem in problems]
    problems = [problem for problem in problems if problem.piece not in excluded]
    check_table(table)
    _check_splits(table)
    return Survey(table, (*problems, *_shared(table, kind)), excluded)


def _embedded(corpus: Mapping[str, Any], located: Callable[[str], str]) -> list[Recording]:
    sources = read_sources(located(corpus["sources"]))
    works = read_works(located(corpus["works"]), sources)
    instruments = read_instruments(located(corpus["instruments"]), sources)
    pieces = read_pieces(located(corpus["pieces"]), works, instruments)
    rows = zip(pieces["piece"], pieces["work"], pieces["instrument"], pieces["split"], strict=True)
    return [
        Recording(
            name=piece,
            work=work,
            instrument=instrument,
            split=split,
            audio=f"results/corpus/{instrument}/MUS/{piece}.wav",
            notes=f"results/corpus/{instrument}/MUS/{piece}.txt",
        )
        for piece, work, instrument, split in rows
    ]


def _found(kind: str, corpus: Mapping[str, Any]) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the recordings of a user's corpus, and what is wrong with its files."""
    if not corpus["root"]:
        raise InputError(
            f"config key corpus.root is empty; expected the folder of the corpus, since "
            f"corpus.kind is {kind!r}. Set it, absolute or from the working directory."
        )
    root = os.path.expanduser(corpus["root"])
    if BRACES & set(root):
        raise InputError(
            f"config key corpus.root is {root!r}; expected a path without braces, in which "
            "Snakemake sees a wildcard. Rename the folder, or link to it."
        )
    if kind == "maestro":
        found, problems = maestro.find_maestro(root)
    else:
        find = maps_layout.find_maps if kind == "maps" else folder.find_pairs
        found, problems = find(root, corpus["labels"])
    found, unusable = folder.with_usable_names(root, found)
    return found, problems + unusable


def _with_splits(
    recordings: list[Recording],
    problems: list[LayoutProblem],
    kind: str,
    corpus: Mapping[str, Any],
    located: Callable[[str], str],
) -> tuple[list[Recording], list[LayoutProblem]]:
    """Return the recordings that are used, with their splits, and which a sheet leaves out."""
    split, share, seed = corpus["split"], float(corpus["validation_share"]), corpus["split_seed"]
    left_out: list[LayoutProblem] = []
    chosen: list[str | None]
    if is_sheet(split):
        known = [problem.piece for problem in problems if problem.piece]
        recordings, left_out = apply_sheet(recordings, located(split), known)
    elif split is not None and split not in NAMED_SPLITS[kind]:
        raise InputError(
            f"config key corpus.split is {split!r}; expected, for corpus.kind {kind!r}, "
            f"{', '.join(('null', *NAMED_SPLITS[kind]))} or the path of a sheet (.tsv or .csv)."
            f"{suggestion(split, NAMED_SPLITS[kind])}"
        )
    if kind == "maps" and not is_sheet(split):
        chosen = splits.maps_splits(recordings, split or splits.CONFIGURATION_2, share, seed)
    elif recordings and not recordings[0].split:
        chosen = [*splits.seeded_splits([r.work for r in recordings], share, seed)]
    else:
        chosen = [recording.split for recording in recordings]
    return [
        replace(recording, split=each)
        for recording, each in zip(recordings, chosen, strict=True)
        if each is not None
    ], left_out


def _names(found: list[str], problems: list[LayoutProblem]) -> dict[str, str]:
    """Return the name in the table of every piece, those with problems included."""
    own = [*found, *sorted({problem.piece for problem in problems} - {"", *found})]
    return dict(zip(own, piece_names(own), strict=True))


def check_table(table: pd.DataFrame) -> None:
    """Check a table of pieces against workflow/schemas/corpus.schema.yaml, column by column.

    Raises:
        InputError: a column is missing or unknown, a name stands twice, or a cell is not what
            the schema says; with the piece.
    """
    schema = table_schema("corpus")
    properties: dict[str, Any] = schema["properties"]
    for column in schema["required"]:
        if column not in table:
            raise InputError(f"table of pieces: expected a column {column!r}, found {list(table)}.")
    for column in table:
        if column not in properties:
            raise InputError(
                f"table of pieces: unknown column {column!r}.{suggestion(column, properties)}"
            )
        wanted = properties[column]
        if wanted["type"] == "string":
            right = [
                isinstance(cell, str) and cell_fault(column, cell) is None
                for cell in table[column].tolist()
            ]
        else:
            right = (table[column] > wanted["exclusiveMinimum"]).tolist()
        if not all(right):
            wrong = table.iloc[right.index(False)]
            raise InputError(
                f"table of pieces, {shown(wrong['piece'])}, column {column}: found "
                f"{shown(wrong[column])}, expected {wanted['description']} Rename the file, or "
                "mend the sheet."
            )
    if table["piece"].duplicated().any():
        doubled = table.loc[table["piece"].duplicated().to_numpy(), "piece"].iloc[0]
        raise InputError(f"table of pieces: {doubled!r} stands twice. Rename one of them.")


def _check_splits(table: pd.DataFrame) -> None:
    there = set(table["split"])
    empty = [split for split in (TRAINING, VALIDATION) if split not in there]
    if not there & {TEST, UNSEEN}:
        empty.append(f"{TEST} or {UNSEEN}")
    if empty:
        counted = ", ".join(f"{n} {split}" for split, n in table["split"].value_counts().items())
        raise InputError(
            f"corpus: expected pieces in every split, found none in {' and '.join(empty)} "
            f"({len(table)} pieces: {counted or 'none'}). Add recordings, exclude fewer, or "
            "assign splits in a sheet (corpus.split)."
        )


def _shared(table: pd.DataFrame, kind: str) -> list[LayoutProblem]:
    """Return a remark on each pair of splits with works in common."""
    shared = splits.shared_works(table)
    hint = f"corpus.split: {splits.WITHOUT_OVERLAP}" if kind == "maps" else "a sheet (corpus.split)"
    return [
        LayoutProblem(
            "",
            "",
            "shared works",
            f"{len(works)} works are both in {split} and in {other} "
            f"({works['pieces'].sum()} and {works['other_pieces'].sum()} pieces), so a score on "
            f"{other} is in part one on works that the model was trained or tuned on. "
            f"{hint} keeps them apart.",
            stops=False,
        )
        for (split, other), works in shared.groupby(["split", "other"], sort=False)
    ]
