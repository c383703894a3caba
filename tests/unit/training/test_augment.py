"""What segments are changed by is drawn as it says, and changes what the network hears alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from at4ramt.training.augment import Augmentation, draw_levels, learning_rate_at


def test_transposition_gain_and_tone_are_of_the_sizes_asked_for() -> None:
    rng = np.random.default_rng(1)
    semitones, factors, gains = Augmentation(4, 6.0, 3.0).draw(rng, 20_000, 234)
    assert sorted(set(semitones.tolist())) == list(range(-4, 5))
    decibels = 20 * np.log10(gains)
    assert -6 <= decibels.min() < -5.9 and 5.9 < decibels.max() <= 6
    curve = 20 * np.log10(factors / gains[:, None])
    # Waves of 3, 3/2 and 1 dB, each with a cosine's mean square of a half.
    assert np.sqrt((curve**2).mean()) == pytest.approx(3 * np.sqrt(0.5 * (1 + 1 / 4 + 1 / 9)), 0.02)
    # Smooth: no two neighbouring bins far apart.
    assert np.abs(np.diff(curve, axis=1)).max() < 1.0


def test_nothing_asked_for_changes_nothing() -> None:
    semitones, factors, gains = Augmentation().draw(np.random.default_rng(1), 5, 12)
    assert not Augmentation().changes and Augmentation(gain_db=1).changes
    np.testing.assert_array_equal(semitones, 0)
    np.testing.assert_allclose(factors, 1)
    np.testing.assert_allclose(gains, 1)


def test_levels_are_ratios_in_the_range_and_some_segments_stay_clean() -> None:
    rng = np.random.default_rng(2)
    levels = draw_levels(rng, 20_000, 1.0, drawn=False, snr_db=(-10, 30), clean_share=0.2)
    assert (levels == 0).mean() == pytest.approx(0.2, abs=0.01)
    snr = -20 * np.log10(levels[levels > 0])
    assert -10 <= snr.min() < -9.9 and 29.9 < snr.max() <= 30
    assert np.mean(snr) == pytest.approx(10, abs=0.3)
    drawn = draw_levels(np.random.default_rng(3), 1000, 0.5, drawn=True)
    again = 0.5 * np.random.default_rng(3).random(1000, dtype=np.float32)
    np.testing.assert_array_equal(drawn, again)
    np.testing.assert_array_equal(draw_levels(rng, 3, 0.5, drawn=False), [0.5, 0.5, 0.5])


def test_the_step_size_rises_then_falls_along_a_cosine() -> None:
    def rate(progress: float) -> float:
        return learning_rate_at(progress, 0.002, schedule="cosine", warmup_share=0.1)

    assert rate(0.05) == pytest.approx(0.001)
    assert rate(0.1) == pytest.approx(0.002)
    assert rate(0.55) == pytest.approx(0.001 + 0.000001)
    assert rate(1.0) == pytest.approx(0.000002)
    assert 0 < rate(0.0) < 1e-5
    assert learning_rate_at(0.7, 0.002, schedule="constant", warmup_share=0.1) == 0.002


def test_a_transposed_segment_is_the_matrix_some_bins_further_down(training_matrix) -> None:
    from at4ramt.training.acoustic import AcousticNoise
    from at4ramt.training.losses import LossWeights
    from at4ramt.training.network import build_network
    from at4ramt.training.segments import SegmentModel

    rng = np.random.default_rng(4)
    rows = len(training_matrix.centre)
    shape = (rows, 168 + 2 * 3 * 2)
    real, imag = (rng.normal(0, 0.1, shape).astype(np.float16) for _ in range(2))
    labels = (rng.random((rows, 56 + 2 * 2)) < 0.1).astype(np.uint8)
    power = rng.random(rows).astype(np.float32)
    magnitudes = np.hypot(real.astype(np.float32), imag.astype(np.float32))
    matrix = replace(
        training_matrix,
        magnitudes=magnitudes, labels=labels, real=real, imag=imag, rms=power, transpose=2,
    )  # fmt: skip
    network = build_network(
        "small", bins=168, pitches=56, input_scale=10.0, dropout_convolution=0.0,
        dropout_dense=0.0, seed=1,
    )  # fmt: skip
    ones = np.ones(56, np.float32)
    silence = np.zeros((300, 168), np.float16)
    starts = matrix.segment_starts(8)[:3].astype(np.int32)
    changes = [np.array([2, 0, -1], np.int32), rng.random((3, 168)).astype(np.float32) + 0.5]
    window = starts[:, None] + np.arange(8 + 6)
    for acoustic in (None, AcousticNoise(silence, silence)):
        model = SegmentModel(
            network, matrix, LossWeights(ones, ones), segment_frames=8,
            noise="none" if acoustic is None else "audio_white", acoustic=acoustic, augmented=True,
        )  # fmt: skip
        found = np.asarray(model([starts, np.zeros(3, np.float32), *changes]))
        answers, _ = model._answers(starts, changes)
        for at, semitones in enumerate((2, 0, -1)):
            # Two semitones up: what is heard at a pitch was two pitches below it.
            first = 3 * (2 - semitones)
            heard = magnitudes[window[at], first : first + 168] * changes[1][at]
            expected = np.asarray(network(heard[None]))[0]
            np.testing.assert_allclose(found[at], expected, atol=1e-4)
            sounding = labels[window[at][3:-3], 2 - semitones :][:, :56]
            np.testing.assert_array_equal(np.asarray(answers)[at], sounding)


def test_untransposed_frames_are_the_middle_ones(training_matrix) -> None:
    rng = np.random.default_rng(4)
    rows = len(training_matrix.centre)
    wide = replace(
        training_matrix,
        magnitudes=rng.random((rows, 168 + 12), dtype=np.float32),
        labels=rng.integers(0, 2, (rows, 60)).astype(np.uint8),
        transpose=2,
    )
    narrow = wide.untransposed(168)
    np.testing.assert_array_equal(narrow.magnitudes, wide.magnitudes[:, 6:174])
    np.testing.assert_array_equal(narrow.labels, wide.labels[:, 2:58])
    assert narrow.transpose == 0 and training_matrix.untransposed(168) is training_matrix
