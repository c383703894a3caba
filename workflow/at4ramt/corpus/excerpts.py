"""The pieces table of the robust recipe: every passage of every training work, twice, varied.

``python -m at4ramt.corpus.excerpts RESOURCES CORPUS`` prints config/corpus/robust_pieces.tsv; RESOURCES
is the folder of the fetched archives, CORPUS that of the tables. A work's split is that of
pieces.tsv, and so are the rows of both test splits, so that scores of test pieces are of the
same audio as the experiment's.

Training works are cut into successive excerpts of :data:`TRAINING_SECONDS` (the last one ends
with the work, so that two may overlap). Each is rendered twice, on two of
:data:`TRAINING_PIANOS`, as another variation each. Validation works are heard in excerpts spread over them on
:data:`VALIDATION_PIANO`, which no training piece is played on, and some on training pianos,
none of them varied.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pandas as pd

from at4ramt.corpus.performances import read_work
from at4ramt.corpus.pieces import (
    TRAINING,
    VALIDATION,
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

COLUMNS = ("piece", "work", "instrument", "split", "position", "excerpt_seconds", "variation")
Row = tuple[str, str, str, str, str, str, str]


def _row(
    work: str, number: int, piano: str, split: str, position: float, seconds: float, variation: int
) -> Row:
    name = f"MAPS_MUS-{work}-{number}_{piano}"
    return name, work, piano, split, f"{position:.4f}", f"{seconds:g}", str(variation)


def training_rows(work: str, seconds: float, turn: int) -> list[Row]:
    """Return the rows of a training work that lasts ``seconds``; ``turn`` excerpts came before."""
    excerpts = max(1, math.ceil(seconds / TRAINING_SECONDS))
    rows = []
    for number in range(excerpts):
        position = number / max(1, excerpts - 1)
        for variation, pianos in enumerate(TRAINING_PIANOS, start=1):
            piano = pianos[(turn + number) % len(pianos)]
            rows.append(_row(work, number, piano, TRAINING, position, TRAINING_SECONDS, variation))
    return rows


def validation_rows(work: str, seconds: float, turn: int) -> list[Row]:
    """Return the rows of a validation work, the ``turn``-th."""
    excerpts = min(VALIDATION_EXCERPTS, max(1, math.ceil(seconds / VALIDATION_SECONDS)))
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


def robust_pieces(resources: str | Path, tables: str | Path, test_seconds: float) -> list[Row]:
    """Return the rows of the table; ``test_seconds`` is the excerpts' length in pieces.tsv."""
    resources, tables = Path(resources), Path(tables)
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
        if split not in turns:
            continue
        about = works.loc[work]
        archive = resources / sources.loc[about["source"], "archive"]
        played = read_work(archive, about["member"], str(work), about["dynamics"])
        if split == TRAINING:
            new = training_rows(str(work), played.seconds, turns[split])
            turns[split] += len(new) // len(TRAINING_PIANOS)
        else:
            new = validation_rows(str(work), played.seconds, turns[split])
            turns[split] += 1
        rows += new
    tests = pieces[~pieces["split"].isin(list(turns))]
    for _, piece in tests.iterrows():
        cells = [str(piece[name]) for name in COLUMNS[:4]]
        position = f"{piece['position']:.3f}"
        rows.append((*cells, position, f"{test_seconds:g}", "0"))  # type: ignore[arg-type]
    return rows


def main(arguments: list[str]) -> int:
    """Print the table."""
    rows = robust_pieces(arguments[0], arguments[1], test_seconds=30.0)
    print(pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(sep="\t", index=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
