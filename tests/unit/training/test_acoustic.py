"""Noise in the audio while training: what a step hears is what the mixture would give."""

import dataclasses

import keras
import numpy as np
import pytest

from at4ramt.audio_noise.pool import Pool
from at4ramt.features.frames import FrameMatrix
from at4ramt.training.acoustic import BLOCK_ROWS, AcousticNoise, noise_rows_ops
from at4ramt.training.arms import MIXED_KINDS, is_acoustic, pool_kinds
from at4ramt.training.losses import loss_weights
from at4ramt.training.network import build_network
from at4ramt.training.noise import seed_words
from at4ramt.training.segments import SegmentModel

SEED = 2**40 + 17


@pytest.fixture(scope="module")
def noise() -> AcousticNoise:
    rng = np.random.default_rng(4)
    parts = [rng.normal(0, 0.1, (2, 700, 192)).astype(np.float16) for _ in range(2)]
    return AcousticNoise.from_pools(
        [Pool(kind, *part, slice(12, 180)) for kind, part in zip(("a", "b"), parts, strict=True)]
    )


@pytest.fixture(scope="module")
def music(training_matrix: FrameMatrix) -> FrameMatrix:
    """The training frames with a phase, and pieces of different loudness."""
    rng = np.random.default_rng(5)
    phase = rng.uniform(0, 2 * np.pi, training_matrix.magnitudes.shape)
    return dataclasses.replace(
        training_matrix,
        real=(training_matrix.magnitudes * np.cos(phase)).astype(np.float16),
        imag=(training_matrix.magnitudes * np.sin(phase)).astype(np.float16),
        rms=np.where(training_matrix.piece < 0, 0, 0.1 + 0.2 * training_matrix.piece).astype("f4"),
    )


def test_the_pools_stand_one_after_the_other_without_their_margins(noise):
    assert noise.real.shape == noise.imag.shape == (1400, 168)
    assert (noise.real[0] != noise.real[700]).any()


def test_noise_goes_on_in_time_within_a_block_and_keras_draws_the_same_rows(noise):
    rows = np.arange(20 * BLOCK_ROWS)
    chosen = noise.rows_for(SEED, rows)
    assert chosen.min() >= 0 and chosen.max() < 1400
    steps = np.diff(chosen) % 1400
    assert (steps[np.flatnonzero(rows[1:] % BLOCK_ROWS)] == 1).all()
    starts = chosen[::BLOCK_ROWS] - rows[::BLOCK_ROWS]
    assert len(set(starts % 1400)) > 15
    words = np.array(seed_words(SEED), np.uint32)
    drawn = np.asarray(noise_rows_ops(words, rows.reshape(4, -1), 1400))
    np.testing.assert_array_equal(drawn.ravel(), chosen)
    assert (noise.rows_for(SEED + 1, rows) != chosen).mean() > 0.9


def test_a_step_hears_the_sum_of_both_transforms(music, noise):
    network = build_network(
        "small", bins=168, pitches=56, input_scale=10.0,
        dropout_convolution=0.0, dropout_dense=0.0, seed=2,
    )  # fmt: skip
    active = music.labels[music.centre].sum(axis=0)
    weights = loss_weights("per_pitch", active, int(music.centre.sum()), cap=50)
    model = SegmentModel(
        network, music, weights, segment_frames=8, noise="audio_white", acoustic=noise
    )
    model.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    model.draw_noise(SEED)
    starts = music.segment_starts(8)[5:11]
    levels = np.linspace(0, 3, 6, dtype=np.float32)
    step = model.train_on_batch([starts, levels], return_dict=True)

    loss = cells = 0.0
    for start, level in zip(starts, levels, strict=True):
        for row in np.flatnonzero(music.centre[start + 3 : start + 11]) + start + 3:
            window = []
            for near in range(row - 3, row + 4):
                at = noise.rows_for(SEED, near)
                heard = music.real[near].astype(complex) + 1j * music.imag[near]
                added = noise.real[at].astype(complex) + 1j * noise.imag[at]
                window.append(np.abs(heard + level * music.rms[near] * added))
            logits = network.predict_on_batch(np.array([window], np.float32))[0, 0].astype(float)
            truth = music.labels[row].astype(bool)
            cost = np.logaddexp(0, np.where(truth, -logits, logits))
            loss += (cost * np.where(truth, weights.active, weights.inactive)).sum()
            cells += 56
    assert step["cells"] == cells > 500
    assert step["weighted"] == pytest.approx(loss, rel=1e-4)


def test_without_noise_the_magnitudes_are_the_music_s(music, noise):
    rows = np.flatnonzero(music.centre)[:40]
    found = noise.added(music, rows, SEED, 0.0)
    np.testing.assert_allclose(found, music.magnitudes[rows], rtol=2e-3, atol=1e-5)


def test_kinds_name_the_pools_they_are_drawn_from():
    assert pool_kinds("audio_hum") == ("hum",)
    assert pool_kinds("audio_mixed") == MIXED_KINDS
    assert is_acoustic("audio_white") and not is_acoustic("white")
