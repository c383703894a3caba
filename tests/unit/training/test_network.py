"""The networks have the paper's size, and a sequence gives what its windows give."""

import numpy as np
import pytest

from at4ramt.errors import InputError
from at4ramt.training.loop import predict_logits
from at4ramt.training.network import (
    build_network,
    context_frames,
    frame_median_layer,
    rebuilt_network,
)

SETTINGS = {
    "bins": 168,
    "pitches": 56,
    "input_scale": 10.0,
    "dropout_convolution": 0.1,
    "dropout_dense": 0.2,
}


@pytest.mark.parametrize(("name", "parameters"), [("paper", 956_306), ("small", 237_944)])
def test_the_parameters_are_those_of_the_paper(name, parameters):
    assert build_network(name, **SETTINGS, seed=1).count_params() == parameters


def test_a_sequence_gives_what_its_separate_windows_give():
    network = build_network("small", **SETTINGS, seed=1)
    rows = np.random.default_rng(0).random((620, 168), np.float32) * 0.05
    windows = np.stack([rows[i : i + 7] for i in range(len(rows) - 6)])
    separate = network.predict_on_batch(windows)[:, 0]
    together = predict_logits(network, rows)
    assert context_frames(network) == 7
    assert together.shape == separate.shape == (614, 56)
    np.testing.assert_allclose(together, separate, atol=2e-6)


def test_the_weights_are_a_function_of_the_seed():
    first, again, other = (build_network("small", **SETTINGS, seed=s) for s in (5, 5, 6))
    for a, b, c in zip(first.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or (a != c).any()


def test_an_unknown_network_and_too_few_bins_are_refused():
    with pytest.raises(InputError, match=r"network\.name is 'samll'.*Did you mean 'small'"):
        build_network("samll", **SETTINGS, seed=1)
    with pytest.raises(InputError, match="more than 30 bins"):
        build_network("small", **{**SETTINGS, "bins": 30}, seed=1)


@pytest.mark.parametrize("bins", [168, 167])
def test_the_median_input_is_that_of_each_frame(bins):
    frames = np.random.default_rng(1).random((2, 9, bins), np.float32)
    found = np.asarray(frame_median_layer()()(frames))
    np.testing.assert_allclose(found, frames - np.median(frames, axis=2, keepdims=True), atol=1e-6)


def test_a_rebuilt_network_has_the_weights_and_hears_frames_without_their_median():
    network = build_network("small", **SETTINGS, seed=1)
    settings = {key: value for key, value in SETTINGS.items() if key not in ("bins", "pitches")}
    rebuilt = rebuilt_network(network, "small", **settings, seed=9, median_input=True)
    rows = np.random.default_rng(2).random((1, 12, 168), np.float32)
    without = rows - np.median(rows, axis=2, keepdims=True)
    np.testing.assert_allclose(
        rebuilt.predict_on_batch(rows), network.predict_on_batch(without), atol=2e-5
    )
