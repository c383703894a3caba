"""The rule from frames to notes, against a slow reading of its own text and against known music."""

import dataclasses

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from support.replicas import Music, music, sound

from at4ramt.features.cqt import CqtSettings, complex_cqt
from at4ramt.features.labels import frame_labels
from at4ramt.transcription.notes import (
    NoteCollector,
    NoteSettings,
    notes_from_probabilities,
    onset_flux,
    velocities,
)

SECONDS = 0.032
RULE = NoteSettings(threshold=0.5, lowest_pitch=37, frame_seconds=SECONDS)
RUNS_ALONE = dataclasses.replace(RULE, refine_onsets=False)
FEATURES = CqtSettings(
    sample_rate_hz=16000,
    hop_length_samples=512,
    bins_per_pitch=3,
    lowest_pitch=37,
    pitches=56,
    margin_pitches=4,
    margin_above_pitches=4,
)


def plain_notes(active: np.ndarray, gap: int, shortest: int) -> list[tuple[float, float, int]]:
    """Read the rule as it is written, one pitch and frame at a time."""
    notes = []
    for pitch in range(active.shape[1]):
        runs: list[list[int]] = []
        for frame in np.flatnonzero(active[:, pitch]):
            if runs and frame - runs[-1][1] <= gap + 1:
                runs[-1][1] = frame
            else:
                runs.append([frame, frame])
        notes += [
            (max(0.0, (first - 0.5) * SECONDS), (last + 0.5) * SECONDS, 37 + pitch)
            for first, last in runs
            if last + 1 - first >= shortest
        ]
    return sorted(notes, key=lambda note: (note[0], note[2]))


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(0, 60),
    pitches=st.integers(1, 4),
    share=st.floats(0, 1),
    gap=st.integers(0, 4),
    shortest=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_runs_are_bridged_and_the_short_ones_dropped(
    frames: int, pitches: int, share: float, gap: int, shortest: int, seed: int
) -> None:
    probabilities = np.random.default_rng(seed).random((frames, pitches))
    rule = NoteSettings(
        threshold=1 - share,
        lowest_pitch=37,
        frame_seconds=SECONDS,
        minimum_note_seconds=shortest * SECONDS,
        bridge_gap_seconds=gap * SECONDS,
    )
    notes = notes_from_probabilities(probabilities, rule)
    expected = plain_notes(probabilities >= 1 - share, gap, shortest)
    assert notes["pitch"].tolist() == [pitch for _, _, pitch in expected]
    np.testing.assert_allclose(notes["onset"], [onset for onset, _, _ in expected])
    np.testing.assert_allclose(notes["offset"], [offset for _, offset, _ in expected])


def test_a_threshold_is_reached_in_the_precision_of_the_probabilities() -> None:
    at = np.full((4, 1), np.float32(0.78))
    assert len(notes_from_probabilities(at, dataclasses.replace(RULE, threshold=0.78))) == 1


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 2600), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_it_does_not_matter_in_what_pieces_the_frames_come(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Runs of some length, and a transform with enough flux to part them.
    probabilities = np.repeat(rng.random((260, 5)), 10, axis=0).astype(np.float32)
    magnitudes = rng.gamma(0.3, 0.5, (2600, 15)).astype(np.float32)
    collector = NoteCollector(RULE)
    for part in np.split(np.arange(2600), sorted(cuts)):
        collector.add(probabilities[part], magnitudes[part])
    found = collector.notes()
    expected = notes_from_probabilities(probabilities, RULE, magnitudes)
    assert len(expected) > 100
    np.testing.assert_array_equal(found, expected)
    for pitch in range(37, 42):
        own = found[found["pitch"] == pitch]
        assert (own["offset"] > own["onset"]).all()
        assert (own["onset"][1:] >= own["offset"][:-1] - 1e-9).all()


def heard(played: Music, seconds: float, notes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the magnitudes of the music, and the roll that a perfect model gives."""
    audio = sound(played, seconds, 16000).mean(axis=1).astype(np.float32)
    magnitudes = np.abs(complex_cqt(audio, FEATURES)[:, FEATURES.core])
    return magnitudes, frame_labels(notes, len(magnitudes), FEATURES)[:, 4:60].astype(np.float32)


def matched(reference: np.ndarray, estimated: np.ndarray) -> int:
    """Return how many notes mir_eval matches, onsets within 50 ms."""
    spans = [np.stack([notes["onset"], notes["offset"]], 1) for notes in (reference, estimated)]
    hertz = [440 * 2 ** ((notes["pitch"] - 69) / 12) for notes in (reference, estimated)]
    pairs = mir_eval.transcription.match_notes(
        spans[0], hertz[0], spans[1], hertz[1], offset_ratio=None
    )
    return len(pairs)


def test_a_key_struck_again_under_the_pedal_is_a_note_again(notes_of) -> None:
    strikes = [5000, 9000, 12000, 20000]  # ticks of 0.1 ms; released at once, held by the pedal
    played = Music(tuple((at, at + 1000, 60, 80) for at in strikes), ((4000, 30000),))
    reference = notes_of(played)
    magnitudes, roll = heard(played, 3.5, reference)
    together = notes_from_probabilities(roll, RUNS_ALONE, magnitudes)
    assert together["pitch"].tolist() == [60]
    np.testing.assert_allclose(together["onset"], 0.5, atol=0.017)
    np.testing.assert_allclose(together["offset"], 3.0, atol=0.017)
    apart = notes_from_probabilities(roll, RULE, magnitudes)
    assert apart["pitch"].tolist() == [60] * 4
    np.testing.assert_allclose(apart["onset"], np.array(strikes) / 10_000, atol=0.05)
    np.testing.assert_allclose(apart["offset"][:-1], apart["onset"][1:])
    np.testing.assert_allclose(apart["offset"][-1], 3.0, atol=0.017)


def test_what_nobody_struck_is_no_note(notes_of) -> None:
    played = Music(((5000, 20000, 60, 80),), ())
    magnitudes, roll = heard(played, 3.0, notes_of(played))
    roll[60 // 2 :, 64 - 37] = 1  # a model that takes a resonance for a note
    assert set(notes_from_probabilities(roll, RUNS_ALONE, magnitudes)["pitch"]) == {60, 64}
    assert set(notes_from_probabilities(roll, RULE, magnitudes)["pitch"]) == {60}


def test_refined_onsets_are_right_where_the_model_is_late(notes_of) -> None:
    found = right = wanted = late = 0
    for name in ("one", "two", "three"):
        played = music(name, 12.0)
        reference = notes_of(played)
        magnitudes, roll = heard(played, 12.0, reference)
        delayed = np.roll(roll, 3, axis=0)  # 96 ms: no onset within the 50 of the measure
        estimated = notes_from_probabilities(delayed, RULE, magnitudes)
        wanted += len(reference)
        found += len(estimated)
        right += matched(reference, estimated)
        late += matched(reference, notes_from_probabilities(delayed, RUNS_ALONE, magnitudes))
    assert late / wanted < 0.2
    assert 2 * right / (wanted + found) > 0.75


def test_flux_rises_at_the_attack_of_its_pitch() -> None:
    audio = sound(Music(((10000, 25000, 57, 90),), ()), 3.0, 16000).mean(axis=1)
    magnitudes = np.abs(complex_cqt(audio.astype(np.float32), FEATURES)[:, FEATURES.core])
    flux = onset_flux(magnitudes, 3)
    assert flux.shape == (len(magnitudes), 56)
    frame, pitch = np.unravel_index(flux.argmax(), flux.shape)
    assert pitch == 57 - 37
    assert abs(frame * SECONDS - 1.0) < 0.033
    assert flux[60:, pitch].max() < 0.1 * flux.max()  # it only falls from there
    louder = onset_flux(2 * magnitudes, 3)
    assert louder.max() > flux.max()


@given(st.lists(st.floats(1e-7, 10), min_size=1, max_size=40), st.floats(0.01, 100))
def test_velocities_are_monotone_centred_and_free_of_the_recording_s_level(
    levels: list[float], gain: float
) -> None:
    level = np.array(levels)
    velocity = velocities(level)
    order = np.argsort(level)
    assert (np.diff(velocity[order]) >= 0).all()
    assert velocity.min() >= 1 and velocity.max() <= 127
    assert velocity[order][(len(level) - 1) // 2] <= 64 <= velocity[order][len(level) // 2]
    if level.min() * min(1, gain) > 1e-6:
        assert np.abs(velocities(gain * level) - velocity).max() <= 1


def test_without_magnitudes_velocities_are_unknown() -> None:
    notes = notes_from_probabilities(np.ones((9, 2)), RULE)
    assert notes["velocity"].tolist() == [64, 64]


def test_velocities_follow_those_played(notes_of) -> None:
    # The replica's amplitude is (velocity / 127) ** 1.5. Pitches an octave apart are not compared:
    # the transform's filters are longer for the lower, and its magnitudes larger.
    played = Music(
        tuple(
            (5000 + 4000 * place, 8000 + 4000 * place, 60, 50 + 4 * (7 * place % 17))
            for place in range(17)
        ),
        (),
    )
    reference = notes_of(played)
    magnitudes, roll = heard(played, 8.0, reference)
    estimated = notes_from_probabilities(roll, RULE, magnitudes)
    assert estimated["pitch"].tolist() == reference["pitch"].tolist()
    assert spearmanr(estimated["velocity"], reference["velocity"])[0] > 0.98
    # 1.5 for a decibel: 30 log10 of the amplitude's ratio.
    expected = 45 * np.log10(reference["velocity"] / np.median(reference["velocity"]))
    assert np.abs(estimated["velocity"] - 64 - expected).max() < 3


@pytest.mark.parametrize("level", [0.0, 0.34])
def test_onsets_stand_out_from_noise(notes_of, level: float) -> None:
    rng = np.random.default_rng(3)
    played = music("noise", 24.0)
    reference = notes_of(played)
    magnitudes, roll = heard(played, 24.0, reference)
    magnitudes *= 0.24 / np.sqrt(np.square(magnitudes).mean())  # as loud as the demo's excerpts
    magnitudes += np.float32(level) * rng.random(magnitudes.shape, np.float32)
    estimated = notes_from_probabilities(roll, RULE, magnitudes)
    right = matched(reference, estimated)
    assert right / len(reference) > 0.6
    assert right / len(estimated) > 0.75


def test_settings_come_from_the_features() -> None:
    made = NoteSettings.for_features(FEATURES, 0.7, refine_onsets=False)
    assert made == dataclasses.replace(RULE, threshold=0.7, refine_onsets=False)


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_pieces_of_a_few_frames(frames: int) -> None:
    notes = notes_from_probabilities(np.ones((frames, 56)), RULE, np.ones((frames, 168)))
    assert len(notes) == 0  # nothing has an onset
