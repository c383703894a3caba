"""Excerpts: what is kept, what is cut, and what humanising does to a score."""

import numpy as np
import pytest

from at4ramt.corpus import performances
from at4ramt.corpus.midi import NOTE, Performance
from at4ramt.errors import InputError


def played(notes, pedal=()):
    return Performance(
        np.array(notes, dtype=NOTE), np.array(pedal, dtype=float).reshape(-1, 2), np.arange(200.0)
    )


def test_only_notes_that_begin_inside_are_kept_and_the_pedal_is_carried_in():
    whole = played(
        [
            (0, 12, 50, 60),
            (9.9, 10.5, 60, 60),
            (10.0, 10.5, 62, 60),
            (19.0, 25.0, 64, 60),
            (20.0, 21.0, 66, 60),
            (29.5, 30.0, 40, 60),
        ],
        [(8.0, 11.0), (12.0, 13.0), (19.5, 24.0)],
    )
    # 30 s long, excerpts of 10 s: position 0.5 begins at 10 s.
    excerpt = performances.cut_excerpt(whole, 0.5, 10.0)
    assert excerpt.notes.tolist() == [(0.0, 0.5, 62, 60), (9.0, 10.0, 64, 60)]
    assert excerpt.pedal.tolist() == [[0.0, 1.0], [2.0, 3.0], [9.5, 10.0]]
    assert performances.sounding(excerpt, 10.0)["offset"].tolist() == [1.0, 10.0]


@pytest.mark.parametrize(("position", "first"), [(0.0, 0), (1.0, 20)])
def test_positions_reach_from_the_start_to_the_end(position, first):
    whole = played([(second, second + 1, 60 + second % 5, 60) for second in range(30)])
    excerpt = performances.cut_excerpt(whole, position, 10.0)
    assert len(excerpt.notes) == 10
    assert excerpt.notes["pitch"][0] == 60 + first % 5


def test_a_short_work_is_taken_whole():
    whole = played([(1, 2, 60, 60), (2, 3, 62, 60)])
    assert len(performances.cut_excerpt(whole, 0.7, 30.0).notes) == 2


def test_times_are_whole_ticks():
    whole = played([(0.123456789, 0.987654321, 60, 60), (40, 41, 60, 60)], [(0.33333333, 0.7)])
    excerpt = performances.cut_excerpt(whole, 0.0, 10.0)
    assert excerpt.notes.tolist() == [(0.1235, 0.9877, 60, 60)]
    assert excerpt.pedal.tolist() == [[0.3333, 0.7]]


def test_a_silent_excerpt_is_an_error():
    with pytest.raises(InputError, match="no note begins"):
        performances.cut_excerpt(played([(0, 1, 60, 60), (99, 100, 60, 60)]), 0.5, 10.0)


def score():
    chords = [
        (0.5 * beat, 0.5 * beat + 0.5, pitch, 90)
        for beat in range(160)
        for pitch in (45, 60, 64, 72)
    ]
    return Performance(np.array(chords, dtype=NOTE), np.zeros((0, 2)), np.arange(0, 81, 0.5))


def test_humanising_is_the_works_own_and_repeatable():
    first, again, other = (performances.humanise(score(), name) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(first.notes, again.notes)
    np.testing.assert_array_equal(first.pedal, again.pedal)
    assert (first.notes["velocity"] != other.notes["velocity"]).any()


def test_humanising_does_what_the_module_says():
    before = score()
    after = performances.humanise(before, "a")
    assert len(after.notes) == len(before.notes)
    order = np.lexsort((before.notes["onset"], before.notes["pitch"]))
    order_after = np.lexsort((after.notes["onset"], after.notes["pitch"]))
    shift = after.notes["onset"][order_after] - before.notes["onset"][order]
    assert np.abs(shift).max() <= 0.02 + 1e-12
    assert 0.006 < shift.std() < 0.012
    velocity = {p: after.notes["velocity"][after.notes["pitch"] == p].mean() for p in (45, 60, 72)}
    # The melody is 9 above the bass, the bass 4 above the inner voices.
    assert velocity[72] - velocity[45] == pytest.approx(9, abs=1.5)
    assert velocity[45] - velocity[60] == pytest.approx(4, abs=1.5)
    assert after.notes["velocity"].min() >= 20 and after.notes["velocity"].max() <= 112
    assert 5 < after.notes["velocity"].std() < 15
    assert (after.pedal[:, 1] > after.pedal[:, 0]).all()
    assert (after.pedal[1:, 0] > after.pedal[:-1, 1]).all()
    assert 0.4 < np.diff(after.pedal, axis=1).sum() / 80 < 0.8


def test_a_scores_own_pedal_is_kept():
    marked = Performance(score().notes, np.array([[1.0, 2.0]]), score().beats)
    assert performances.humanise(marked, "a").pedal.tolist() == [[1.0, 2.0]]


def test_every_work_can_be_read(tables, archive):
    for row in tables["works"].itertuples():
        performance = performances.read_work(
            archive(row.source), row.member, row.work, row.dynamics
        )
        assert performance.seconds > 60, row.work
        assert len(np.unique(performance.notes["velocity"])) > 10, row.work
        notes = performance.notes
        for pitch in np.unique(notes["pitch"]):
            one = notes[notes["pitch"] == pitch]
            assert (one["onset"][1:] >= one["offset"][:-1]).all(), row.work


def test_unknown_dynamics_are_named(archive):
    with pytest.raises(InputError, match=r"works table, w, column dynamics.*'performd'.*performed"):
        performances.read_work(archive("maestro"), "x.mid", "w", "performd")


def test_an_unknown_member_is_named(archive):
    with pytest.raises(InputError, match=r"miditok.*expected the file 'x\.mid' inside"):
        performances.read_work(archive("maestro"), "x.mid", "w", "performed")
