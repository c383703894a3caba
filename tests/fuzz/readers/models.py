"""Models: what their files say of themselves, and what is let through to Keras and ONNX Runtime."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st

from at4ramt.features.cqt import CqtSettings
from at4ramt.training.backend import start_backend
from at4ramt.training.model_file import CARD, check_card, check_network, read_card, save_model
from at4ramt.training.network import NETWORKS, NetworkSize, build_network
from at4ramt.training.onnx_file import (
    GRAPH_DIGEST,
    INPUT,
    KERAS_DIGEST,
    OUTPUT,
    export_onnx,
    load_onnx,
)
from at4ramt.transcription.models import open_model
from fuzz.harness import Reader, case_file, expect, taken_by_one
from fuzz.mutations import damaged

NAME = "model"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
FEATURES = {
    "sample_rate_hz": 16000,
    "hop_length_samples": 512,
    "bins_per_pitch": 3,
    "lowest_pitch": 60,
    "pitches": 15,
    "margin_pitches": 0,
    "margin_above_pitches": 0,
    "overtone_pitches": 0,
}
BINS, PITCHES, WINDOW = 45, 15, 7
GOOD = {"features": FEATURES, "frame_step": 2, "context_frames": WINDOW, "threshold_fitted": 0.5}


def check(data: bytes) -> None:
    taken_by_one((_keras, _onnx), (data,), [NAME])


def _keras(data: bytes) -> None:
    """Look at an archive as far as Keras is not needed for it."""
    path = case_file(f"{NAME}.keras", data)
    card = read_card(path)
    check_card(path, card)
    check_network(path)
    settings = CqtSettings.from_config(card["features"])
    expect(0 < settings.bins < 1 << 16, f"{settings.bins} bins are taken")
    with zipfile.ZipFile(path) as archive:
        # To read a member to its end is to compare its checksum.
        members = {name: archive.read(name) for name in archive.namelist()}
    expect(members.keys() <= {CARD, CONFIG, "metadata.json", WEIGHTS}, str(members.keys()))
    named = re.search(rb'"class_name"\s*:\s*"Lambda"', members[CONFIG])
    expect(named is None, "code is let through to Keras")
    expect(isinstance(json.loads(members[CONFIG]), dict), "a network that is no table is taken")


def _onnx(data: bytes) -> None:
    path = case_file(f"{NAME}.onnx", data)
    loaded = load_onnx(path)
    model = open_model(path)
    frames = 2 * model.margin_frames + 4
    heard = model.features.heard
    given = np.linspace(0, 1, frames * (heard.stop - heard.start), dtype=np.float32)
    probabilities = model.probabilities(given.reshape(frames, -1))
    expect(probabilities.shape == (4, model.features.pitches), f"{probabilities.shape}")
    digest = _graph_digest(data)
    if digest is not None:
        expect(digest == _graph_digest(real().export), "a graph that nobody wrote is taken")
        expect(np.array_equal(_logits(loaded), real_logits()), "the same graph, other logits")


def _graph_digest(data: bytes) -> str | None:
    from onnx import load_model_from_string

    return {each.key: each.value for each in load_model_from_string(data).metadata_props}.get(
        GRAPH_DIGEST
    )


def _logits(loaded: Any) -> Any:
    """Run a network as it is, whatever its card says of it."""
    given = np.linspace(0, 1, (WINDOW + 5) * BINS, dtype=np.float32).reshape(1, -1, BINS)
    return loaded.session.run([OUTPUT], {INPUT: given})[0]


@dataclass(frozen=True)
class Written:
    """A small network as the workflow writes it: the members of its archive, and its export."""

    members: dict[str, bytes]
    archive: bytes
    export: bytes


@cache
def real() -> Written:
    start_backend(1, 0)
    import keras

    with mock.patch.dict(NETWORKS, tiny=NetworkSize(filters=2, dense=(4, 3))):
        network = build_network(
            "tiny",
            bins=BINS,
            pitches=PITCHES,
            input_scale=1.0,
            dropout_convolution=0.1,
            dropout_dense=0.1,
            seed=1,
        )
    # Not those of its seed, which Keras would draw again where it finds none.
    rng = np.random.default_rng(1)
    network.set_weights([each + rng.normal(0, 0.1, each.shape) for each in network.get_weights()])
    # Of no state for each weight, and so within the bytes that a case has.
    optimizer = keras.optimizers.SGD()
    optimizer.build(network.trainable_variables)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "real.keras"
        save_model(path, network, optimizer, GOOD)
        export_onnx(path, path.with_suffix(".onnx"))
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        return Written(members, path.read_bytes(), path.with_suffix(".onnx").read_bytes())


@cache
def real_logits() -> Any:
    return _logits(load_onnx(case_file("real.onnx", real().export)))


def keras(
    card: Any = None,
    *,
    layer: Any = None,
    text: str | None = None,
    more: dict[str, bytes] | None = None,
) -> bytes:
    """Return the real archive with another card, layer or members."""
    config = json.loads(real().members[CONFIG])
    config["config"]["layers"][1] |= layer or {}
    said = json.dumps(GOOD if card is None else card) if text is None else text
    members = real().members | {CARD: said.encode(), CONFIG: json.dumps(config).encode()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in (members | (more or {})).items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            packed.writestr(info, data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def onnx(
    card: Any = None, *, text: str | None = None, bins: int = BINS, pitches: int = PITCHES
) -> bytes:
    """Return a network that adds seven neighbouring frames, without the digest of its graph."""
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.ones((1, 1, WINDOW, 1), np.float32)
    nodes = [
        helper.make_node("Reshape", [INPUT, "shape"], ["image"]),
        helper.make_node("Conv", ["image", "kernel"], ["added"]),
        helper.make_node("Reshape", ["added", "back"], ["whole"]),
        helper.make_node("Slice", ["whole", "first", "end", "axis"], ["cut"]),
        helper.make_node("Identity", ["cut"], [OUTPUT]),
    ]
    constants = {
        "kernel": kernel,
        "shape": np.array([1, 1, -1, bins]),
        "back": np.array([1, -1, bins]),
        "first": np.array([0]),
        "end": np.array([pitches]),
        "axis": np.array([2]),
    }
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    signal = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", bins])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "f", pitches])
    model = helper.make_model(
        helper.make_graph(nodes, "made", [signal], [logits], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    said = json.dumps(GOOD if card is None else card) if text is None else text
    helper.set_model_props(model, {CARD: said, KERAS_DIGEST: "0" * 64})
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def hostile_onnx(what: str) -> bytes:
    """Return a file with what none of our exports has."""
    from onnx import TensorProto, helper

    signal = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", "frames", BINS])
    logits = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)
    weights = []
    if what == "constant of a shape":
        weights = [helper.make_tensor("size", TensorProto.INT64, [1], [1 << 34])]
        nodes = [
            helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"]),
            helper.make_node("Add", [INPUT, "sum"], [OUTPUT]),
        ]
    elif what == "endless loop":
        inside = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["on"]),
                helper.make_node("Identity", ["x"], ["y"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
            ],
        )
        weights = [
            helper.make_tensor("count", TensorProto.INT64, [], [1 << 40]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ]
        nodes = [helper.make_node("Loop", ["count", "yes", INPUT], [OUTPUT], body=inside)]
    else:
        outside = helper.make_tensor("kernel", TensorProto.FLOAT, [2], [0.0, 0.0])
        outside.ClearField("float_data")
        outside.data_location = TensorProto.EXTERNAL
        entry = outside.external_data.add()
        entry.key, entry.value = "location", "../../../../etc/hostname"
        weights = [outside]
        nodes = [helper.make_node("Add", [INPUT, "kernel"], [OUTPUT])]
    model = helper.make_model(
        helper.make_graph(nodes, "made", [signal], [logits], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    helper.set_model_props(model, {CARD: json.dumps(GOOD), KERAS_DIGEST: "0" * 64})
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def seeds() -> dict[str, bytes]:
    # Packed, a third of the bytes: a search tries small files.
    return {"keras": real().archive, "packed": keras(), "onnx": real().export}


_numbers = st.sampled_from(
    (None, 0, 1, -1, 2, 3, 10**9, 10**400, 0.5, "3", True, [], {}, float("nan"))
)
_any_json = st.recursive(
    st.one_of(_numbers, st.sampled_from(("Dense", "Lambda", "keras", "os"))),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.dictionaries(
            st.sampled_from(("class_name", "module", "config", "layers", "units", "x")),
            inside,
            max_size=3,
        ),
    ),
    max_leaves=5,
)
_configs = st.builds(
    lambda around, content, depth: (
        around[0] + b"[" * depth + json.dumps(content).encode() + b"]" * depth + around[1]
    ),
    st.sampled_from(((b"", b""), (b'{"config": {"layers": ', b"}}"))),
    _any_json,
    st.sampled_from((0, 0, 0, 1, 300, 3000)),
)


def telling(values: int) -> bytes:
    """Return weights, the first of which is said to have so many values, of which none is there."""
    import h5py

    content = io.BytesIO(real().members[WEIGHTS])
    with h5py.File(content, "r+") as file:
        arrays: list[str] = []
        file.visititems(
            lambda name, part: arrays.append(name) if isinstance(part, h5py.Dataset) else None
        )
        del file[arrays[0]]
        file.create_dataset(arrays[0], shape=(values,), dtype="f4")
    return content.getvalue()


def drawn() -> st.SearchStrategy[bytes]:
    of_features = st.tuples(st.sampled_from([*FEATURES]), _numbers).map(
        lambda change: GOOD | {"features": FEATURES | dict([change])}
    )
    of_card = st.tuples(st.sampled_from([*GOOD]), _numbers).map(
        lambda change: GOOD | dict([change])
    )
    cards = st.one_of(st.just(GOOD), of_features, of_card, st.sampled_from(([], {}, 1, "x")))
    layers = st.one_of(
        st.none(),
        st.sampled_from(
            (
                {"class_name": "Lambda"},
                {"module": "os"},
                {"class_name": ["Dense"]},
                {"class_name": None},
                {"config": {"units": 10**9}},
                {"config": {"batch_shape": [None, 10**12]}},
                {"class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}},
                {"config": {"units": [[1e300]]}},
            )
        ),
    )
    more = st.one_of(
        st.sampled_from(({}, {}, {"../escaped": b""}, {"assets/x": b"a"}, {CONFIG: b"[" * 9999})),
        _configs.map(lambda content: {CONFIG: content}),
        st.sampled_from((1 << 20, 1 << 29)).map(lambda values: {WEIGHTS: telling(values)}),
        damaged({"weights": real().members[WEIGHTS]}).map(lambda content: {WEIGHTS: content}),
    )
    texts = st.one_of(
        st.none(),
        st.none(),
        st.sampled_from(("", "[" * 5000, "{", "9" * 5000, '"\\ud800"', "\x1b[2J")),
    )
    sizes = st.sampled_from(((45, 15), (45, 15), (46, 15), (47, 47)))
    return st.one_of(
        st.builds(
            lambda card, layer, more, text: keras(card, layer=layer, more=more, text=text),
            cards,
            layers,
            more,
            texts,
        ),
        st.builds(
            lambda card, text, size: onnx(card, text=text, bins=size[0], pitches=size[1]),
            cards,
            texts,
            sizes,
        ),
        st.sampled_from(("constant of a shape", "endless loop", "outside")).map(hostile_onnx),
        damaged({"onnx": real().export}),
    )


READER = Reader("models", check, seeds, drawn, called=[NAME], megabytes=1024, largest=1 << 16)
