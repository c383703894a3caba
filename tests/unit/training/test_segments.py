"""Segments: each centre once an epoch, none across pieces, losses as of separate windows."""

import dataclasses

import keras
import numpy as np
import pytest

from at4ramt.features.frames import aligned_zeros
from at4ramt.training.losses import loss_weights
from at4ramt.training.network import build_network
from at4ramt.training.noise import unit_noise
from at4ramt.training.segments import SegmentModel

SETTINGS = {
    "bins": 168,
    "pitches": 56,
    "input_scale": 10.0,
    "dropout_convolution": 0.0,
    "dropout_dense": 0.0,
}


@pytest.mark.parametrize("length", [1, 3, 8])
def test_every_centre_is_the_output_of_exactly_one_segment(training_matrix, length):
    for offset in range(length):
        starts = training_matrix.segment_starts(length, offset)
        outputs = (starts[:, None] + training_matrix.padding + np.arange(length)).ravel()
        times = np.bincount(outputs, minlength=len(training_matrix.centre))
        assert (times[training_matrix.centre] == 1).all()
        assert times.max() == 1
        reach = starts[:, None] + np.arange(length + 2 * training_matrix.padding)
        assert reach.min() >= 0 and reach.max() < len(training_matrix.centre)


def test_no_window_of_a_centre_touches_another_piece(training_matrix):
    for row in np.flatnonzero(training_matrix.centre):
        window = training_matrix.piece[row - 3 : row + 4]
        assert set(window) <= {training_matrix.piece[row], -1}


@pytest.mark.parametrize("noise", ["uniform", "gaussian_rectified", "brown"])
def test_a_step_has_the_loss_of_its_windows_one_by_one(training_matrix, noise):
    network = build_network("small", **SETTINGS, seed=2)
    active = training_matrix.labels[training_matrix.centre].sum(axis=0)
    weights = loss_weights("per_pitch", active, int(training_matrix.centre.sum()), cap=50)
    model = SegmentModel(network, training_matrix, weights, segment_frames=8, noise=noise)
    model.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    model.draw_noise(99)
    starts = training_matrix.segment_starts(8)[:6]
    levels = np.linspace(0, 0.3, 6, dtype=np.float32)
    step = model.train_on_batch([starts, levels], return_dict=True)

    loss = hits = estimated = referenced = cells = 0.0
    for start, level in zip(starts, levels, strict=True):
        for row in range(start + 3, start + 11):
            if not training_matrix.centre[row]:
                continue
            around = np.arange(row - 3, row + 4)
            drawn = unit_noise(noise, 99, around, 168)
            window = training_matrix.magnitudes[around] + level * drawn
            logits = network.predict_on_batch(window[None])[0, 0].astype(np.float64)
            truth = training_matrix.labels[row].astype(bool)
            cost = np.log1p(np.exp(np.where(truth, -logits, logits)))
            loss += (cost * np.where(truth, weights.active, weights.inactive)).sum()
            hits += (truth & (logits >= 0)).sum()
            estimated += (logits >= 0).sum()
            referenced += truth.sum()
            cells += 56
    assert step["cells"] == cells
    assert step["weighted"] == pytest.approx(loss, rel=1e-4)
    assert step["loss"] == pytest.approx(loss / cells, rel=1e-4)
    assert (step["tp"], step["estimated"], step["referenced"]) == (hits, estimated, referenced)


def test_segments_longer_than_the_edge_are_refused(training_matrix):
    with pytest.raises(ValueError, match="longer edge"):
        training_matrix.segment_starts(9)


def test_the_device_shares_the_training_frames_or_copies_what_it_cannot_share(training_matrix):
    def tensor_of(magnitudes):
        matrix = dataclasses.replace(training_matrix, magnitudes=magnitudes)
        network = build_network("small", **SETTINGS, seed=2)
        weights = loss_weights("global", np.ones(56, np.int64), 10, cap=50)
        model = SegmentModel(network, matrix, weights, segment_frames=8, noise="none")
        return model.magnitudes

    shared = aligned_zeros(training_matrix.magnitudes.shape, np.float32)
    unaligned = aligned_zeros((shared.size + 1,), np.float32)[1:].reshape(shared.shape)
    frozen = aligned_zeros(shared.shape, np.float32)
    for magnitudes, follows in ((shared, True), (unaligned, False), (frozen, False)):
        magnitudes[:] = training_matrix.magnitudes
        magnitudes.setflags(write=magnitudes is not frozen)
        tensor = tensor_of(magnitudes)
        np.testing.assert_array_equal(tensor, training_matrix.magnitudes)
        magnitudes.setflags(write=True)
        magnitudes[3, 5] = -7
        assert (float(tensor[3, 5]) == -7) == follows
