"""The exported network computes what Keras does, in another program, and says what it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from support.models import write_model

from at4ramt.errors import InputError
from at4ramt.evaluation.metrics import probabilities
from at4ramt.features.frames import load_frames
from at4ramt.files import file_digest
from at4ramt.training.loop import predict_logits
from at4ramt.training.model_file import load_model, read_card, save_model
from at4ramt.training.network import context_frames
from at4ramt.training.onnx_file import OnnxModel, export_onnx, exported, load_onnx


class Pair(NamedTuple):
    """A Keras archive and its export: where they are, and both opened."""

    keras_path: Path
    onnx_path: Path
    network: Any
    onnx: OnnxModel


@pytest.fixture(scope="module", params=["small", "paper"])
def pair(request, tmp_path_factory):
    path = write_model(tmp_path_factory.mktemp("pair") / "a.keras", request.param)
    export_onnx(path, path.with_suffix(".onnx"))
    return Pair(
        path, path.with_suffix(".onnx"), load_model(path).network,
        load_onnx(path.with_suffix(".onnx")),
    )  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(7, 1100), loudest=st.floats(0, 20), seed=st.integers(0, 99))
@example(frames=7, loudest=1, seed=0)
@example(frames=518, loudest=1, seed=0)  # one chunk
@example(frames=519, loudest=1, seed=0)
@example(frames=1030, loudest=1, seed=0)
def test_noise_of_any_length_gives_the_same_logits(pair, frames, loudest, seed):
    """The loudest frames of the embedded corpus reach 5."""
    rng = np.random.default_rng(seed)
    magnitudes = rng.random((frames, 168), np.float32) * np.float32(loudest)
    found = pair.onnx.logits(magnitudes)
    assert found.shape == (frames - 6, 56) and found.dtype == np.float32
    np.testing.assert_allclose(found, predict_logits(pair.network, magnitudes), atol=1e-4)


def test_frames_of_music_give_the_same_transcription(pair, tmp_path, write_shard):
    shard = write_shard(tmp_path / "I.parquet", ["a", "b", "c"])
    frames = load_frames([shard], padding=3, bins=slice(12, 180)).magnitudes
    expected = probabilities(predict_logits(pair.network, frames))
    found = probabilities(pair.onnx.logits(frames))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-6)
    near = np.abs(expected - 0.5) < 1e-6
    np.testing.assert_array_equal((found >= 0.5)[~near], (expected >= 0.5)[~near])


def test_another_runtime_reads_the_file_too(pair):
    """ONNX's own evaluator, in numpy; several excerpts at once."""
    frames = np.random.default_rng(0).random((3, 12, 168), np.float32)
    (found,) = ReferenceEvaluator(str(pair.onnx_path)).run(None, {"cqt_magnitude": frames})
    expected = pair.network.predict_on_batch(frames)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_file_says_what_it_is(pair):
    session = onnxruntime.InferenceSession(str(pair.onnx_path))
    (given_,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given_.name, given_.type) == ("cqt_magnitude", "tensor(float)")
    assert (made.name, made.type) == ("pitch_logits", "tensor(float)")
    assert given_.shape == ["batch", "frames", 168] and made.shape == ["batch", "frames - 6", 56]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["at4ramt.json"]) == read_card(pair.keras_path) == pair.onnx.card
    assert metadata["keras_sha256"] == file_digest(pair.keras_path)
    assert max(entry.version for entry in onnx.load(pair.onnx_path).opset_import) <= 17


def test_two_exports_are_the_same_bytes(pair, tmp_path):
    export_onnx(pair.keras_path, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == pair.onnx_path.read_bytes()


def test_inference_needs_no_tensorflow(pair, root):
    script = """if True:
        import sys, numpy
        from at4ramt.training.onnx_file import exported
        assert exported(sys.argv[1]).logits(numpy.zeros((9, 168), numpy.float32)).shape == (3, 56)
        print({"tensorflow", "keras", "librosa", "onnx", "pandas"} & set(sys.modules))
    """
    environment = os.environ | {"PYTHONPATH": str(root / "workflow")}
    command = [sys.executable, "-c", script, str(pair.keras_path)]
    assert subprocess.check_output(command, env=environment, text=True).strip() == "set()"


def test_too_little_memory_is_no_fault_of_the_file(pair, root):
    script = """if True:
        import resource, sys, numpy
        from at4ramt.errors import InputError
        from at4ramt.training.onnx_file import load_onnx
        model, frames = load_onnx(sys.argv[1]), numpy.zeros((600, 168), numpy.float32)
        pages = int(open("/proc/self/statm").read().split()[0])
        here = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (here, here))
        try:
            model.logits(frames)
        except InputError as error:
            print(error)
    """
    environment = os.environ | {"PYTHONPATH": str(root / "workflow")}
    command = [sys.executable, "-c", script, str(pair.onnx_path)]
    said = subprocess.check_output(command, env=environment, text=True).strip()
    assert said.startswith(f"{pair.onnx_path}: the network cannot be run (")
    assert said.endswith("; give the job more memory, then run the same command again")


def test_only_the_export_of_this_very_model_is_taken(tmp_path):
    path = write_model(tmp_path / "a.keras", "small")
    assert exported(path) is None
    export_onnx(path, tmp_path / "a.onnx")
    assert exported(path).path == str(tmp_path / "a.onnx")
    write_model(path, "small", seed=2)
    assert exported(path) is None


def test_other_files_are_refused(tmp_path, pair):
    with pytest.raises(InputError, match=r"none\.onnx: no such model; run snakemake"):
        load_onnx(tmp_path / "none.onnx")
    for name, content in (
        ("half", pair.onnx_path.read_bytes()[:5000]),
        ("empty", b""),
        ("bare", without_metadata(pair.onnx_path)),
    ):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.onnx: not an exported model of this"):
            load_onnx(path)


def without_metadata(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    return model.SerializeToString()


def test_too_few_frames_are_a_mistake_of_the_caller(pair):
    with pytest.raises(ValueError, match="6 frames; a window has 7"):
        pair.onnx.logits(np.zeros((6, 168), np.float32))


@pytest.mark.parametrize(
    ("layers", "error"),
    [
        ([keras.layers.LayerNormalization(name="other")], NotImplementedError),
        ([keras.layers.Dense(56, activation="gelu", name="other")], NotImplementedError),
        ([keras.layers.Rescaling(np.nan)], ArithmeticError),
        # An option that the rule for the layer does not look at.
        (
            [
                keras.layers.Reshape((-1, 168, 1)),
                keras.layers.Conv2D(1, (7, 1), padding="same"),
                keras.layers.Reshape((-1, 168)),
            ],
            ArithmeticError,
        ),
    ],
)
def test_a_network_that_cannot_be_exported_leaves_no_file(tmp_path, layers, error):
    frames = signal = keras.Input((None, 168))
    for layer in layers:
        signal = layer(signal)
    path = tmp_path / "a.keras"
    network = keras.Model(frames, signal)
    card = {"context_frames": context_frames(network)}
    save_model(path, network, keras.optimizers.SGD(), card)
    with pytest.raises(error, match=r"layer 'other'|logits differ"):
        export_onnx(path, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_of_a_weight_is_found(pair, tmp_path, place):
    """The runtime would run it and hear something else."""
    content = bytearray(Path(pair.onnx.path).read_bytes())
    content[int(place * len(content))] ^= 0x40
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: not an exported model .*damaged"):
        load_onnx(path)
