"""The splits of MAPS and of a folder, on corpora of any shape."""

from collections import Counter, defaultdict

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.corpus import splits
from at4ramt.corpus.layout import Recording
from at4ramt.corpus.maps_layout import INSTRUMENTS
from at4ramt.errors import InputError

steady = settings(deadline=None)
SAMPLED = tuple(name for name in INSTRUMENTS if not name.startswith("ENST"))


def recordings(pairs):
    return [
        Recording(name=f"{work}_{instrument}", work=work, instrument=instrument, audio="", notes="")
        for work, instrument in pairs
    ]


# Any set of pieces that has both kinds of pianos, and a work that is on no recorded one.
CORPORA = st.sets(
    st.tuples(st.integers(0, 30).map("w{}".format), st.sampled_from(INSTRUMENTS)), max_size=60
).map(lambda pairs: recordings(sorted(pairs | {("w0", "ENSTDkCl"), *(("u", s) for s in SAMPLED)})))


def by_split(chosen, pieces):
    works, instruments = defaultdict(set), defaultdict(set)
    for split, piece in zip(chosen, pieces, strict=True):
        works[split].add(piece.work)
        instruments[split].add(piece.instrument)
    return works, instruments


@steady
@given(CORPORA, st.floats(0.05, 0.4))
def test_configuration_2_is_by_piano(pieces, share):
    chosen = splits.maps_splits(pieces, "configuration_2", share, 0)
    works, instruments = by_split(chosen, pieces)
    assert instruments["test_unseen_piano"] <= {"ENSTDkAm", "ENSTDkCl"}
    for split in ("training", "validation"):
        assert instruments[split].isdisjoint({"ENSTDkAm", "ENSTDkCl"})
    assert works["training"].isdisjoint(works["validation"])
    assert None not in chosen
    held_back, both = len(works["validation"]), len(works["training"] | works["validation"])
    assert held_back == max(1, round(share * both))


@steady
@given(CORPORA)
def test_without_overlap_no_work_of_the_test_is_trained_or_validated_on(pieces):
    chosen = splits.maps_splits(pieces, "configuration_2_without_overlap", 0.2, 0)
    works, _ = by_split(chosen, pieces)
    assert works["test_unseen_piano"].isdisjoint(works["training"] | works["validation"])
    # Left out is what shares a work with the test, and nothing else; the test itself is whole.
    for split, piece in zip(chosen, pieces, strict=True):
        if piece.instrument in splits.RECORDED_PIANOS:
            assert split == "test_unseen_piano"
        else:
            assert (split is None) == (piece.work in works["test_unseen_piano"])


@steady
@given(CORPORA)
def test_the_folds_test_on_different_works(pieces):
    tested = []
    for number in range(1, 5):
        chosen = splits.maps_splits(pieces, f"configuration_1_fold_{number}", 0.15, number)
        works, _ = by_split(chosen, pieces)
        assert set(works) <= {"training", "validation", "test"}
        assert works["training"].isdisjoint(works["validation"] | works["test"])
        assert works["validation"].isdisjoint(works["test"])
        tested.append(works["test"])
    assert sum(map(len, tested)) == len(set().union(*tested))


def test_a_whole_maps_has_the_published_sizes():
    # 160 works on 270 pieces, the number that MAPS's names have, give or take a few.
    pieces = recordings((f"w{(30 * i + j) * 7 % 160}", name)
                        for i, name in enumerate(INSTRUMENTS) for j in range(30))  # fmt: skip
    counted = Counter(splits.maps_splits(pieces, "configuration_2", 0.15, 0))
    assert counted["test_unseen_piano"] == 60
    assert counted["training"] + counted["validation"] == 210
    for number in range(1, 5):
        counted = Counter(splits.maps_splits(pieces, f"configuration_1_fold_{number}", 0.15, 0))
        assert counted["test"] == pytest.approx(54, abs=2)


def test_the_folds_are_the_same_everywhere():
    # Committed: a change here is a change of everybody's folds.
    pieces = recordings((work, "StbgTGd2") for work in "abcdefghij")
    tested = {}
    for number in range(1, 5):
        chosen = splits.maps_splits(pieces, f"configuration_1_fold_{number}", 0.15, 5)
        works, _ = by_split(chosen, pieces)
        tested[number] = "".join(sorted(works["test"]))
    assert tested == {1: "be", 2: "gi", 3: "fj", 4: "ac"}


@pytest.mark.parametrize("instruments", [("ENSTDkAm", "ENSTDkCl"), ("StbgTGd2",)])
def test_configuration_2_needs_both_kinds_of_pianos(instruments):
    pieces = recordings((f"w{n}", name) for n in range(3) for name in instruments)
    with pytest.raises(InputError, match=rf"found pieces of {', '.join(instruments)} only"):
        splits.maps_splits(pieces, "configuration_2", 0.15, 0)


WORKS = st.lists(st.integers(0, 40).map(str), min_size=3, max_size=80).filter(
    lambda works: len(set(works)) >= 3
)


@steady
@given(WORKS, st.floats(0.01, 0.4), st.integers(0, 5))
def test_seeded_splits_are_by_work_and_all_there(works, share, seed):
    chosen = splits.seeded_splits(works, share, seed)
    of_work = defaultdict(set)
    for work, split in zip(works, chosen, strict=True):
        of_work[work].add(split)
    assert all(len(found) == 1 for found in of_work.values())
    assert set(chosen) == {"training", "validation", "test"}
    # Which row a piece stands in is no matter.
    backwards = splits.seeded_splits(works[::-1], share, seed)
    assert backwards[::-1] == chosen


@steady
@given(st.integers(20, 60), st.integers(0, 100))
def test_a_further_work_moves_few_others(count, seed):
    works = [f"w{n}" for n in range(count)]
    before = splits.seeded_splits(works, 0.15, seed)
    after = splits.seeded_splits([*works, "new"], 0.15, seed)[:-1]
    # One work may push another over each of the two borders, and a share may round up.
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 4


def test_two_works_are_too_few():
    with pytest.raises(InputError, match=r"expected three works or more.*found 2.*corpus\.split"):
        splits.seeded_splits(["a", "b", "a"], 0.15, 0)


def test_shared_works_are_counted_by_hand():
    table = pd.DataFrame(
        [("a", "training"), ("a", "training"), ("a", "test_unseen_piano"), ("b", "validation"),
         ("b", "test"), ("b", "test_unseen_piano"), ("c", "training")],
        columns=["work", "split"],
    )  # fmt: skip
    assert splits.shared_works(table).to_numpy().tolist() == [
        ["a", "training", "test_unseen_piano", 2, 1],
        ["b", "validation", "test", 1, 1],
        ["b", "validation", "test_unseen_piano", 1, 1],
    ]
