"""The equivariant network: transposed input gives transposed output; steps change nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from at4ramt.errors import InputError
from at4ramt.training.loop import predict_logits
from at4ramt.training.model_file import load_model, save_model
from at4ramt.training.network import NETWORKS, build_network, context_frames, output_step
from at4ramt.training.onnx_file import export_onnx, load_onnx

BINS, PITCHES = 234, 56
SETTINGS = {
    "input_scale": 100.0,
    "dropout_convolution": 0.0,
    "dropout_dense": 0.0,
    "bins": BINS,
    "pitches": PITCHES,
}


@pytest.fixture(scope="module")
def network() -> Any:
    """A network whose weights are all drawn, those that begin as zeros too."""
    built = build_network("equivariant", **SETTINGS, seed=1)
    rng = np.random.default_rng(2)
    built.set_weights([w + rng.normal(0, 0.05, w.shape) for w in built.get_weights()])
    return built


def frames(count: int, seed: int = 0) -> np.ndarray:
    """Return magnitudes ``(count, bins)`` such as music has."""
    return np.random.default_rng(seed).exponential(0.03, (count, BINS)).astype(np.float32)


def test_three_bins_up_is_one_pitch_up_away_from_the_ends(network, monkeypatch):
    # What all pitches do at once depends a little on those that the ends cut off: left out.
    alike = replace(NETWORKS["equivariant"], summarised=())
    monkeypatch.setitem(NETWORKS, "equivariant", alike)
    network = build_network("equivariant", **SETTINGS, seed=1)
    rng = np.random.default_rng(2)
    # Without biases, silence is as the zeros beyond the ends.
    drawn = [rng.normal(0, 0.3 / np.sqrt(w.shape[-1]), w.shape) * (w.ndim > 1) for w in
             network.get_weights()]  # fmt: skip
    network.set_weights(drawn)
    magnitudes = np.zeros((context_frames(network) + 4, BINS), np.float32)
    magnitudes[:, 60:110] = frames(len(magnitudes))[:, :50]
    here, above = (
        np.asarray(network(np.roll(magnitudes, shift, axis=1)[None]))[0] for shift in (0, 3)
    )
    # The pitch whose relatives and their neighbours all lie within the outputs, twice.
    scale = np.abs(here).max()
    np.testing.assert_allclose(here[:, 25], above[:, 26], atol=1e-5 * scale)
    assert np.abs(here[:, 25] - above[:, 25]).max() > 1e-2 * scale


def test_in_training_it_gives_some_of_the_frames_that_it_gives_otherwise(network):
    step, window = output_step(network), context_frames(network)
    assert (step, window) == (4, 9 + 8 * (1 + 1 + 2 + 4 + 8 + 16))
    magnitudes = frames(window + 3 * step + 1)
    every = np.asarray(network(magnitudes[None], training=False))[0]
    some = np.asarray(network(magnitudes[None], training=True))[0]
    assert every.shape == (3 * step + 2, PITCHES) and some.shape == (4, PITCHES)
    np.testing.assert_allclose(some, every[::step], atol=2e-5)


def test_a_sequence_gives_what_its_windows_give(network):
    window = context_frames(network)
    rows = frames(window + 520)
    together = predict_logits(network, rows)
    assert together.shape == (521, PITCHES)
    for at in (0, 511, 512, 520):
        alone = np.asarray(network(rows[None, at : at + window]))[0, 0]
        np.testing.assert_allclose(together[at], alone, atol=2e-5)


def test_the_first_layer_s_windows_lie_around_each_pitch_s_middle_bin():
    # A line at the fundamental of one pitch alone: the strongest reaction is that pitch's own.
    network = build_network("equivariant", **SETTINGS, seed=1)
    layer = network.get_layer("bins_to_pitches")
    heard = keras.Model(network.input, layer.output)
    kernel, bias = layer.get_weights()
    kernel[:] = 0
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
    layer.set_weights([kernel, bias * 0])
    magnitudes = np.zeros((1, 9, BINS), np.float32)
    magnitudes[0, 4, 3 * 17] = 0.5
    found = np.asarray(heard(magnitudes))[0, 0, :, 0]
    expected = np.zeros(BINS // 3)
    expected[17] = np.log1p(50.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_its_export_computes_the_same(network, tmp_path: Path):
    path = tmp_path / "a.keras"
    card = {"context_frames": context_frames(network), "features": {}}
    save_model(path, network, keras.optimizers.Adam(), card)
    export_onnx(path, tmp_path / "a.onnx")
    rows = frames(context_frames(network) + 30, seed=3)
    expected = predict_logits(load_model(path).network, rows)
    np.testing.assert_allclose(predict_logits(network, rows), expected, atol=1e-5)
    np.testing.assert_allclose(load_onnx(tmp_path / "a.onnx").logits(rows), expected, atol=1e-4)


def test_less_than_nothing_is_heard_as_nothing(network, tmp_path: Path):
    path = tmp_path / "a.keras"
    card = {"context_frames": context_frames(network), "features": {}}
    save_model(path, network, keras.optimizers.Adam(), card)
    export_onnx(path, tmp_path / "a.onnx")
    rows = frames(context_frames(network) + 30, seed=3) - np.float32(0.03)
    assert rows.min() < -1 / SETTINGS["input_scale"]
    expected = predict_logits(network, np.maximum(rows, 0))
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(predict_logits(network, rows), expected)
    np.testing.assert_allclose(load_onnx(tmp_path / "a.onnx").logits(rows), expected, atol=1e-4)


def test_bins_that_are_no_whole_pitches_are_refused():
    with pytest.raises(InputError, match="235 bins"):
        build_network("equivariant", **SETTINGS | {"bins": 235}, seed=1)
