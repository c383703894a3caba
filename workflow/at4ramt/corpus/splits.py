"""Which pieces are trained on, which decide when to stop, and which are scored.

What is published, and what is ours:

- ``configuration_2`` of MAPS (Sigtia, Benetos and Dixon 2016): the 60 pieces on the two recorded
  pianos are the test, the 210 on the seven sampled ones are for training. Which of these are held
  back for validation is ours to choose (Kelz et al. 2016 draw 30 pieces at random): all pieces of
  a share of the *works*, so that no work is in both.
- ``configuration_2_without_overlap``: many works are played on both kinds of pianos. Hawthorne
  et al. 2018 leave the training pieces of such works out (139 remain), and so does this.
- ``configuration_1_fold_1`` to ``_4``: Sigtia et al. train on 216 and test on 54 of all 270
  pieces, four times. Their lists of names were on a page of their own and are no
  formula: they can be had with a sheet (:mod:`at4ramt.corpus.sheet`). These folds are ours:
  works, shuffled with a fixed seed, are cut into five parts with as equal numbers of pieces
  as works allow, and fold *k* tests on the *k*-th. The four tests are disjoint, and no work is
  in two splits of a fold. The fifth part is always trained on.

Every choice ranks works by a number that depends on a seed and the work's own name. It is
therefore the same on all machines, and a work that is added or taken out moves hardly any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import pandas as pd

from at4ramt.corpus.layout import Recording
from at4ramt.corpus.pieces import SHARING, SPLITS, TEST, TRAINING, UNSEEN, VALIDATION
from at4ramt.errors import InputError
from at4ramt.seeds import purpose_seed

RECORDED_PIANOS = ("ENSTDkAm", "ENSTDkCl")
"""MAPS's two real ones: a Disklavier, recorded from a distance (ambient) and closely."""

CONFIGURATION_2, WITHOUT_OVERLAP = "configuration_2", "configuration_2_without_overlap"
FOLDS = 4
FOLD_PARTS = 5
MAPS_SPLITS = (
    CONFIGURATION_2,
    WITHOUT_OVERLAP,
    *(f"configuration_1_fold_{number}" for number in range(1, FOLDS + 1)),
)


def ranked_works(works: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Return the different works in a seeded order."""
    return sorted(set(works), key=lambda work: purpose_seed(seed, purpose, work))


def chosen_works(works: Iterable[str], share: float, seed: int, purpose: str) -> set[str]:
    """Return a share of the works, rounded, at least one, drawn by seed and purpose."""
    ranked = ranked_works(works, seed, purpose)
    return set(ranked[: max(1, round(share * len(ranked)))])


def seeded_splits(works: Sequence[str], share: float, seed: int) -> list[str]:
    """Return a split for each piece, given its work.

    A share of the works is the test, as large a share of all works is for validation, the others
    are trained on.

    Raises:
        InputError: there are fewer than three works.
    """
    different = set(works)
    if len(different) < 3:
        raise InputError(
            f"corpus: expected three works or more, to train, validate and test on different "
            f"ones; found {len(different)}. Add recordings, or name the splits in a sheet "
            "(corpus.split)."
        )
    count = max(1, min(round(share * len(different)), (len(different) - 1) // 2))
    ranked = ranked_works(works, seed, "splits by work")
    split_of = dict.fromkeys(ranked[:count], TEST) | dict.fromkeys(
        ranked[count : 2 * count], VALIDATION
    )
    return [split_of.get(work, TRAINING) for work in works]


def maps_splits(
    recordings: Sequence[Recording], split: str, share: float, seed: int
) -> list[str | None]:
    """Return a split for each piece of MAPS, None for one that the split leaves out.

    Args:
        recordings: the pieces.
        split: one of :data:`MAPS_SPLITS`; the module tells what they are.
        share: of the works left for training, how many are held back for validation.
        seed: for that choice. The folds themselves have a seed of their own.

    Raises:
        InputError: the pieces have no piano to test or to train on.
    """
    if split.startswith(CONFIGURATION_2):
        tested = [recording.instrument in RECORDED_PIANOS for recording in recordings]
        if all(tested) or not any(tested):
            raise InputError(
                f"config key corpus.split is {split!r}, which tests on "
                f"{' and '.join(RECORDED_PIANOS)} and trains on the other pianos; found pieces of "
                f"{', '.join(sorted({r.instrument for r in recordings})) or 'none'} only. "
                "Put the others under corpus.root, or choose another split."
            )
        held_out, left_out = UNSEEN, set[str]()
        if split == WITHOUT_OVERLAP:
            left_out = {r.work for r, test in zip(recordings, tested, strict=True) if test}
    else:
        part = _part_of_works(recordings)
        number = int(split.rpartition("_")[2]) - 1
        tested = [part[recording.work] == number for recording in recordings]
        held_out, left_out = TEST, set()
    trained = [
        r.work
        for r, test in zip(recordings, tested, strict=True)
        if not test and r.work not in left_out
    ]
    validation = chosen_works(trained, share, seed, "validation by work")
    found: list[str | None] = []
    for recording, test in zip(recordings, tested, strict=True):
        if test:
            found.append(held_out)
        elif recording.work in left_out:
            found.append(None)
        else:
            found.append(VALIDATION if recording.work in validation else TRAINING)
    return found


def _part_of_works(recordings: Sequence[Recording]) -> dict[str, int]:
    """Return the part, 0 to 4, of each work; a work lies where the middle of its pieces does."""
    pieces = Counter(recording.work for recording in recordings)
    part, before = {}, 0
    for work in ranked_works(pieces, 0, "folds of configuration 1"):
        middle = (before + pieces[work] / 2) / len(recordings)
        part[work] = min(FOLD_PARTS - 1, int(middle * FOLD_PARTS))
        before += pieces[work]
    return part


def shared_works(table: pd.DataFrame) -> pd.DataFrame:
    """Return which works are in two splits of a table of pieces.

    Columns ``work``, ``split`` and ``other`` (in the order of :data:`SPLITS`), ``pieces`` and
    ``other_pieces``, a row for each work and pair of splits; :data:`SHARING` splits
    may share works.
    """
    pieces = Counter(zip(table["work"], table["split"], strict=True))
    rows = [
        (work, split, other, pieces[work, split], pieces[work, other])
        for work in sorted(set(table["work"]))
        for split, other in combinations(SPLITS, 2)
        if {split, other} != SHARING and pieces[work, split] and pieces[work, other]
    ]
    return pd.DataFrame(rows, columns=["work", "split", "other", "pieces", "other_pieces"])
