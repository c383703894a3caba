"""Labels: equal to a loop over frames and notes, and to others' reading of the notes."""

import logging

import mir_eval
import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from at4ramt.corpus.maps import LABEL
from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.labels import check_lengths, frame_labels

SETTINGS = CqtSettings(16000, 512, 3, 37, 56, 4, 4)
CONSTANTS = {"audio_path": "a.wav", "notes_path": "a.txt"}


def notes_of(rows: list[tuple[float, float, int]]) -> np.ndarray:
    return np.array(rows, dtype=LABEL)


def brute_force(rows: list[tuple[float, float, int]], frames: int) -> np.ndarray:
    roll = np.zeros((frames, 64), dtype=np.uint8)
    for t in range(frames):
        for onset, offset, pitch in rows:
            if onset <= t * 512 / 16000 < offset and 33 <= pitch <= 96:
                roll[t, pitch - 33] = 1
    return roll


# Times at frames, a rounding error beside them, and anywhere.
at_frames = st.integers(0, 60).map(lambda t: t * 512 / 16000)
beside = at_frames.flatmap(
    lambda s: st.sampled_from([np.nextafter(s, 9.0), max(0.0, np.nextafter(s, -1.0))])
)
times = st.one_of(at_frames, beside.map(float), st.floats(0, 2))
notes = st.tuples(times, times, st.integers(0, 127)).map(
    lambda note: (min(note[:2]), max(note[:2]), note[2])
)


@given(st.lists(notes, max_size=12), st.integers(0, 50))
def test_the_roll_equals_a_loop(rows: list[tuple[float, float, int]], frames: int) -> None:
    found = frame_labels(notes_of(rows), frames, SETTINGS)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, brute_force(rows, frames))


def test_frame_times_are_the_doubles_nearest_to_their_decimals() -> None:
    # 0.032 s a frame has three decimals: text says these times exactly.
    frames = 200_000
    decimals = [f"{32 * n // 1000}.{32 * n % 1000:03d}" for n in range(frames)]
    assert SETTINGS.frame_seconds(frames).tolist() == [float(text) for text in decimals]


@given(st.integers(0, 1000), st.integers(1, 9))
def test_a_note_written_at_a_frame_s_time_begins_and_ends_with_it(frame: int, length: int) -> None:
    edges = [float(f"{32 * n // 1000}.{32 * n % 1000:03d}") for n in (frame, frame + length)]
    roll = frame_labels(notes_of([(edges[0], edges[1], 60)]), frame + length + 3, SETTINGS)
    assert np.flatnonzero(roll[:, 27]).tolist() == list(range(frame, frame + length))


def random_notes(seed: int) -> list[tuple[float, float, int]]:
    """Return notes in half milliseconds, never at a frame's time, none overlapping its like."""
    rng = np.random.default_rng(seed)
    rows = []
    for pitch in rng.choice(np.arange(21, 109), 40, replace=False):
        edges = np.unique(rng.integers(0, 20000 // 32, 8) * 32 + rng.integers(1, 31, 8))
        for onset, offset in zip(edges[::2], edges[1::2], strict=False):
            rows.append(((onset + 0.5) / 1000, (offset + 0.5) / 1000, int(pitch)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_the_roll_equals_pretty_midi_s(seed: int) -> None:
    rows = random_notes(seed)
    piano = pretty_midi.Instrument(program=0)
    piano.notes = [pretty_midi.Note(90, pitch, onset, offset) for onset, offset, pitch in rows]
    by_millisecond = piano.get_piano_roll(fs=1000)
    frames = 1 + (by_millisecond.shape[1] - 1) // 32
    expected = (by_millisecond[33:97, ::32] > 0).T
    np.testing.assert_array_equal(frame_labels(notes_of(rows), frames, SETTINGS), expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_roll_equals_mir_eval_s(seed: int) -> None:
    rows = random_notes(seed)
    frames = 640
    seconds = np.arange(frames) * 0.032
    expected = np.zeros((frames, 64), dtype=np.uint8)
    for pitch in range(33, 97):
        intervals = np.array([note[:2] for note in rows if note[2] == pitch]).reshape(-1, 2)
        ones = [1] * len(intervals)
        expected[:, pitch - 33] = mir_eval.util.interpolate_intervals(intervals, ones, seconds, 0)
    np.testing.assert_array_equal(frame_labels(notes_of(rows), frames, SETTINGS), expected)


def test_repeated_and_overlapping_notes_of_a_pitch() -> None:
    rows = [(0.0, 0.2, 60), (0.1, 0.15, 60), (0.2, 0.3, 60), (0.29, 0.31, 60)]
    roll = frame_labels(notes_of(rows), 12, SETTINGS)
    assert roll[:, 27].tolist() == [1] * 10 + [0, 0]
    assert roll.sum() == 10


def level(*parts: tuple[float, float]) -> np.ndarray:
    """Return levels from pairs of seconds and level."""
    return np.concatenate([np.full(round(s / 0.032), v, np.float32) for s, v in parts])


def test_notes_that_end_after_the_audio() -> None:
    with pytest.raises(InputError, match=r"a\.txt: the last note ends at 31\.50 s but a\.wav"):
        check_lengths(notes_of([(0, 31.5, 60)]), level((30, 0.03)), 30.0, SETTINGS, **CONSTANTS)
    check_lengths(notes_of([(0, 30.9, 60)]), level((30, 0.03)), 30.0, SETTINGS, **CONSTANTS)


def test_music_after_the_last_note() -> None:
    short = notes_of([(0, 10.0, 60)])
    with pytest.raises(InputError, match=r"ends at 10\.00 s .* 20\.0 s of the rest as loud"):
        check_lengths(short, level((30, 0.03)), 30.0, SETTINGS, **CONSTANTS)


def test_silence_after_the_last_note_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    short = notes_of([(0, 10.0, 60)])
    with caplog.at_level(logging.WARNING):
        check_lengths(short, level((13, 0.03), (17, 1e-4)), 30.0, SETTINGS, **CONSTANTS)
    assert "20.0 s after the last note" in caplog.text
    caplog.clear()
    check_lengths(short, level((19, 0.03)), 19.0, SETTINGS, **CONSTANTS)
    assert not caplog.records


def test_a_piece_without_notes() -> None:
    with pytest.raises(InputError, match=r"a\.txt: there are no notes"):
        check_lengths(notes_of([]), level((3, 0.03)), 3.0, SETTINGS, **CONSTANTS)
