"""The pieces table of the robust recipe: every passage of every training work, twice, varied.

``PYTHONPATH=workflow python -m at4ramt.corpus.excerpts resources config/corpus`` prints
config/corpus/robust_pieces.tsv from the fetched archives and the other tables. A work's split is
that of pieces.tsv, and so are the rows of both test splits, so that scores of test pieces are of
the same audio as the experiment's. Works that pieces.tsv does not have train.

Training works are cut into successive excerpts of :data:`TRAINING_SECONDS` (the last one ends
with the work, so that two may overlap). Each is rendered twice, on two of
:data:`TRAINING_PIANOS`, as another variation each. Validation works are heard in excerpts spread
over them on :data:`VALIDATION_PIANO`, which no training piece is played on, and some on training
pianos, none of them varied.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from at4ramt.corpus.performances import read_work
from at4ramt.corpus.pieces import (
    TRAINING,
    VALIDATION,
    excerpt_number,
    read_instruments,
    read_pieces,
    read_sources,
    read_works,
)

TRAINING_SECONDS = 90.0
# By turns, a list for each rendering; no piano stands at the same place of both. The pianos that
# are another preset of a font's recordings, or have few of their own, are in one of the lists.
TRAINING_PIANOS = (
    ("TimGM6mb", "MyPianoF", "FluidR3M", "MuseGenL", "TimGMC70", "MuseGenB", "FluidR3S"),
    ("MuseGenL", "TimGMC70", "FreePatB", "FreePatG", "TimGM6mb", "MyPianoF", "FluidR3M"),
)
VALIDATION_PIANO, VALIDATION_SECONDS = "Vsco2Pno", 60.0
VALIDATION_EXCERPTS, VALIDATION_EXCERPTS_ON_TRAINING_PIANOS = 5, 1
# The length of the experiment's excerpts (config/config.yaml, corpus.excerpt_seconds).
TEST_SECONDS = 30.0

COLUMNS = ("piece", "work", "instrument", "split", "position", "excerpt_seconds", "variation")
Row = tuple[str, str, str, str, str, str, str]


def _row(
    work: str, number: int, piano: str, split: str, position: float, seconds: float, variation: int
) -> Row:
    name = f"MAPS_MUS-{work}-{number}_{piano}"
    return name, work, piano, split, f"{position:.4f}", f"{seconds:g}", str(variation)


def _excerpts(seconds: float, each: float) -> int:
    """Return how many excerpts of ``each`` seconds cover a work that lasts ``seconds``."""
    return max(1, math.ceil(seconds / each))


def training_rows(work: str, seconds: float, turn: int) -> list[Row]:
    """Return the rows of a training work that lasts ``seconds``; ``turn`` excerpts came before."""
    excerpts = _excerpts(seconds, TRAINING_SECONDS)
    rows = []
    for number in range(excerpts):
        position = number / max(1, excerpts - 1)
        for variation, pianos in enumerate(TRAINING_PIANOS, start=1):
            piano = pianos[(turn + number) % len(pianos)]
            rows.append(_row(work, number, piano, TRAINING, position, TRAINING_SECONDS, variation))
    return rows


def validation_rows(work: str, seconds: float, turn: int) -> list[Row]:
    """Return the rows of a validation work, the ``turn``-th."""
    excerpts = min(VALIDATION_EXCERPTS, _excerpts(seconds, VALIDATION_SECONDS))
    rows = []
    for number in range(excerpts):
        position = number / max(1, excerpts - 1)
        pianos = [VALIDATION_PIANO]
        if number < VALIDATION_EXCERPTS_ON_TRAINING_PIANOS:
            pianos.append(TRAINING_PIANOS[0][turn % len(TRAINING_PIANOS[0])])
        rows += [
            _row(work, number, piano, VALIDATION, position, VALIDATION_SECONDS, 0)
            for piano in pianos
        ]
    return rows


def work_seconds(resources: str | Path, tables: str | Path) -> dict[str, float]:
    """Return how long every work lasts; ``resources`` is the folder of the fetched archives."""
    sources = read_sources(Path(tables) / "sources.tsv")
    works = read_works(Path(tables) / "works.tsv", sources)
    return {
        str(row["work"]): read_work(
            Path(resources) / sources.loc[row["source"], "archive"],
            row["member"],
            row["work"],
            row["dynamics"],
        ).seconds
        for _, row in works.iterrows()
    }


def robust_table(tables: str | Path, seconds: Mapping[str, float]) -> str:
    """Return the table, as a text; ``tables`` is the folder of the others.

    ``seconds`` says how long each work lasts (:func:`work_seconds`).
    """
    tables = Path(tables)
    sources = read_sources(tables / "sources.tsv")
    works = read_works(tables / "works.tsv", sources)
    instruments = read_instruments(tables / "instruments.tsv", sources)
    pieces = read_pieces(tables / "pieces.tsv", works, instruments)
    split_of = pieces.drop_duplicates("work").set_index("work")["split"]
    rows: list[Row] = []
    turns = {TRAINING: 0, VALIDATION: 0}
    # A work that the experiment does not use trains.
    for work in [*split_of.index, *works.index.difference(split_of.index, sort=False)]:
        split = split_of.get(work, TRAINING)
        if split == TRAINING:
            rows += training_rows(work, seconds[work], turns[split])
            turns[split] += _excerpts(seconds[work], TRAINING_SECONDS)
        elif split == VALIDATION:
            rows += validation_rows(work, seconds[work], turns[split])
            turns[split] += 1
    for piece in pieces[~pieces["split"].isin(list(turns))].itertuples():
        number = int(excerpt_number(piece.piece, piece.instrument))
        position, split = float(piece.position), str(piece.split)
        rows.append(_row(piece.work, number, piece.instrument, split, position, TEST_SECONDS, 0))
    return "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])


if __name__ == "__main__":
    print(robust_table(sys.argv[2], work_seconds(*sys.argv[1:3])), end="")
