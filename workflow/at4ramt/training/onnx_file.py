"""The network as an ONNX file: inference without TensorFlow, in any language.

The file stands beside the ``.keras`` archive it is made from, computes the same
logits, and carries the same card in its metadata under ``at4ramt.json``. An
archive trained anew leaves the old export behind; each export therefore names
the sha256 of its archive.

Each Keras layer becomes the ONNX operators of its definition, in Keras' own
axis order (channels last): see https://onnx.ai/onnx/operators/. Keras' own export,
by way of TensorFlow and tf2onnx, computes the same from twice the nodes, but
writes other bytes each time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import AGAIN, InputError, mend, told
from at4ramt.files import file_digest, parse_json, read_small, whole_file
from at4ramt.limits import LARGEST_CONTENT_BYTES
from at4ramt.training.model_file import CARD, check_features, load_model
from at4ramt.training.network import context_frames

log = logging.getLogger("at4ramt")

SUFFIX = ".onnx"
KERAS_DIGEST, GRAPH_DIGEST = "keras_sha256", "graph_sha256"
INPUT, OUTPUT = "cqt_magnitude", "pitch_logits"
# Of 2022: runtimes of the years since read it, and the network needs nothing newer.
OPSET, IR_VERSION = 17, 8
# Largest difference of a logit that single precision explains: sums are made in another order.
TOLERANCE = 1e-4
CHUNK_ROWS = 512
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}

OPERATORS = frozenset((
    "Add", "Concat", "Conv", "Identity", "Log", "MatMul", "MaxPool", "Mul", "Pad", "ReduceMax",
    "ReduceMean", "Relu", "Reshape", "Sigmoid", "Slice", "Sub", "Sum", "Tanh", "TopK", "Transpose",
))  # fmt: skip
"""All that the rules below write."""

# Numbers of fields in onnx.proto.
MODEL_GRAPH, MODEL_METADATA, MODEL_FUNCTIONS = 7, 14, (20, 25)
ENTRY_KEY, ENTRY_VALUE = 1, 2
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
ATTRIBUTE_PARTS = frozenset((5, 6, 10, 11, 22, 23))


@dataclass(frozen=True)
class OnnxModel:
    """An exported model, ready to run.

    Attributes:
        card: what the ``.keras`` archive says of itself in ``at4ramt.json``.
        path: where it was read from.
        keras_digest: sha256 of the archive it was made from.
        session: the ``onnxruntime.InferenceSession``.
    """

    card: dict[str, Any]
    path: str
    keras_digest: str
    session: Any

    @property
    def sizes(self) -> tuple[Any, Any]:
        """Bins that it takes and pitches that it gives."""
        (signal,), (logits,) = self.session.get_inputs(), self.session.get_outputs()
        return signal.shape[-1], logits.shape[-1]

    def logits(self, magnitudes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits of all frames whose window lies within ``magnitudes``.

        Memory beside input and output is that of 512 frames, however many there are.

        Args:
            magnitudes: float32, ``(frames, bins)``, at least one window of ``c`` frames, the
                card's ``context_frames``.

        Returns:
            float32, ``(frames - c + 1, pitches)``, for the frames in the windows' middles.
        """
        window = int(self.card["context_frames"])
        context = window - 1
        if len(magnitudes) < window:
            raise ValueError(f"{len(magnitudes)} frames; a window has {window}")
        starts = range(0, len(magnitudes) - context, CHUNK_ROWS)
        chunks = (magnitudes[None, first : first + CHUNK_ROWS + context] for first in starts)
        try:
            found = [self.session.run([OUTPUT], {INPUT: each})[0] for each in chunks]
        # The runtime's own errors have no base class but Exception.
        except Exception as error:
            raise self._unrunnable(told(error), mend(error, AGAIN)) from error
        rows = [min(CHUNK_ROWS, len(magnitudes) - context - first) for first in starts]
        shapes = [each.shape for each in found]
        if shapes != [(1, count, self.sizes[1]) for count in rows]:
            raise self._unrunnable(f"it gives {shapes[0]} for {rows[0]} frames", AGAIN)
        return np.concatenate([each[0] for each in found])

    def _unrunnable(self, found: str, what_to_do: str) -> InputError:
        return InputError(
            f"{self.path}: the network cannot be run ({found}); expected an ONNX file that this "
            f"workflow wrote; {what_to_do}"
        )


def export_onnx(keras_path: str | Path, onnx_path: str | Path) -> None:
    """Write a model as an ONNX file, after comparing its outputs with Keras'.

    The file's bytes are a function of the archive's.

    Args:
        keras_path: a file that ``save_model`` wrote.
        onnx_path: the file to write.

    Raises:
        InputError: if the archive is missing or none of this workflow.
        NotImplementedError: if the network has a layer that no rule exists for.
        ArithmeticError: if the two compute different logits; nothing is written.
    """
    import onnx

    stored = load_model(keras_path)
    model = onnx_model(stored.network)
    graph = model.graph.SerializeToString(deterministic=True)
    about = {
        CARD: json.dumps(stored.card, indent=2, sort_keys=True),
        KERAS_DIGEST: stored.digest,
        GRAPH_DIGEST: hashlib.sha256(graph).hexdigest(),
    }
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    with whole_file(onnx_path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        difference = _largest_difference(stored.network, load_onnx(temporary))
        # Written so that NaN fails too.
        if not difference <= TOLERANCE:
            raise ArithmeticError(
                f"{onnx_path}: its logits differ from those of {keras_path} by up to "
                f"{difference:g}; expected at most {TOLERANCE:g}"
            )
    log.info("%s: logits equal Keras' to %.1e", onnx_path, difference)


def onnx_model(network: Any) -> Any:
    """Return a Keras network as an ``onnx.ModelProto``.

    Args:
        network: layers that each are used once, ``(batch, frames, bins)`` to
            ``(batch, frames - c + 1, pitches)``.

    Raises:
        NotImplementedError: if a layer has no rule, or is used more than once.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    first, *layers = network.layers
    # What a tensor of Keras is called here.
    names = {id(first.output): INPUT}
    for layer in layers:
        kind = type(layer).__name__
        # Its layers once each: one that is used twice has no single input.
        if kind not in LAYERS or len(layer._inbound_nodes) != 1:
            raise NotImplementedError(
                f"layer '{layer.name}' ({kind}): the ONNX export knows "
                f"{', '.join(LAYERS)}, each used once; add a rule to training/onnx_file.py"
            )
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        signals = [names[id(each)] for each in inputs]
        names[id(layer.output)] = LAYERS[kind](graph, layer, *signals)
    graph.add("Identity", [names[id(network.outputs[0])]], OUTPUT)
    (*_, bins), (*_, pitches) = network.input_shape, network.output_shape
    frames = helper.make_tensor_value_info(
        INPUT,
        TensorProto.FLOAT,
        ["batch", "frames", bins],
        "magnitudes of the constant-Q transform that the metadata's features describe",
    )
    logits = helper.make_tensor_value_info(
        OUTPUT,
        TensorProto.FLOAT,
        ["batch", f"frames - {context_frames(network) - 1}", pitches],
        "the sigmoid of a logit is the probability that the pitch is active in the frame",
    )
    return helper.make_model(
        helper.make_graph(graph.nodes, network.name, [frames], [logits], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="at4ramt",
    )


def load_onnx(
    path: str | Path, features: Mapping[str, Any] | None = None, *, threads: int = 1
) -> OnnxModel:
    """Open an exported model.

    Args:
        path: a file that :func:`export_onnx` wrote.
        features: the config's section that the frames were made with; None where
            they will be made with the model's own settings.
        threads: CPU threads; 0 for all.

    Raises:
        InputError: if the file is missing, no such file, or made for other features.
    """
    import onnxruntime

    if not Path(path).is_file():
        raise InputError(f"{path}: no such model; run snakemake {path} to export it")
    check_graph(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is raised, too
    # Threads that wait for one another would do so at full speed: the same time for an answer, and
    # a seventh more of the processor, or a third where others need it too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        metadata = session.get_modelmeta().custom_metadata_map
        card, digest = parse_json(metadata[CARD]), metadata[KERAS_DIGEST]
        if not isinstance(card, dict):
            raise ValueError(f"{CARD} is no table")
        (signal,), (logits,) = session.get_inputs(), session.get_outputs()
        if (signal.name, logits.name) != (INPUT, OUTPUT) or len(signal.shape) != 3:
            raise ValueError(f"it takes {signal.name} and gives {logits.name}")
    # The runtime's own errors have no base class but Exception.
    except Exception as error:
        raise InputError(
            f"{path}: not an exported model of this workflow ({told(error)}); expected an ONNX "
            f"file with {CARD} in its metadata; {mend(error, AGAIN)}"
        ) from error
    check_features(path, card, features)
    return OnnxModel(card, str(path), digest, session)


def check_graph(path: str | Path) -> None:
    """Refuse a file with anything else than our exports are made of, before it is run.

    The runtime computes what is constant while it opens a file, however large or long; loops over
    what it is told to; and reads weights from other files. Here its operators are looked at, by
    protobuf's wire format: to import onnx for that takes as long as to open the file.

    Raises:
        InputError: if the file is too large, no protobuf, has an operator, a function or a
            tensor that we do not write, or another graph than when it was written.
    """
    try:
        data = memoryview(read_small(path, LARGEST_CONTENT_BYTES))
        digests: list[str] = []
        written: bytes | None = None
        for model_field, model_value in _fields(data):
            if model_field == MODEL_METADATA:
                entry = dict(_fields(model_value))
                if bytes(entry.get(ENTRY_KEY, b"")) == GRAPH_DIGEST.encode():
                    written = bytes(entry.get(ENTRY_VALUE, b""))
            if model_field in MODEL_FUNCTIONS:
                raise ValueError("functions, which no export of ours has")
            if model_field != MODEL_GRAPH:
                continue
            digests.append(hashlib.sha256(model_value).hexdigest())
            for graph_field, graph_value in _fields(model_value):
                if graph_field == GRAPH_NODE:
                    _check_node(graph_value)
                elif graph_field == GRAPH_INITIALIZER:
                    outside = {TENSOR_EXTERNAL, TENSOR_LOCATION}
                    if outside & {number for number, _ in _fields(graph_value)}:
                        raise ValueError("weights outside the file")
                elif graph_field == GRAPH_SPARSE:
                    raise ValueError("sparse weights, which no export of ours has")
        if len(digests) != 1:
            raise ValueError(f"{len(digests)} graphs; expected one")
        # Exports of before 0.2 do not say it.
        if written is not None and written != digests[0].encode():
            raise ValueError("its graph is not the one that was written: the file is damaged")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not an exported model of this workflow ({told(error)}); expected an ONNX "
            f"file that it wrote; {mend(error, AGAIN)}"
        ) from error


def _check_node(node: memoryview) -> None:
    operators = []
    for number, value in _fields(node):
        if number == NODE_OPERATOR:
            operators.append(bytes(value).decode())
        elif number == NODE_DOMAIN and bytes(value):
            raise ValueError(f"an operator of {bytes(value)[:40]!r}")
        elif number == NODE_ATTRIBUTE and ATTRIBUTE_PARTS & {part for part, _ in _fields(value)}:
            raise ValueError("a graph or tensor within an operator")
    if len(operators) != 1 or operators[0] not in OPERATORS:
        raise ValueError(f"the operator {operators[:3]}, which no export of ours has")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field of a protobuf message; numbers are empty."""
    place = 0

    def number() -> int:
        nonlocal place
        value = 0
        for shift in range(0, 70, 7):
            if place >= len(message):
                break
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("it is no protobuf message, or was cut off")

    while place < len(message):
        key = number()
        size = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            number()
        elif key & 7 == 2:
            size = number()
        elif not size:
            raise ValueError("it is no protobuf message")
        if place + size > len(message):
            raise ValueError("it was cut off")
        yield key >> 3, message[place : place + size] if key & 7 == 2 else message[:0]
        place += size


def exported(keras_path: str | Path, *, threads: int = 1) -> OnnxModel | None:
    """Return the export beside a model, or None if there is none of this very archive.

    None also where ``onnxruntime`` is not installed: whoever asks can fall back on Keras.

    Args:
        keras_path: the archive.
        threads: CPU threads; 0 for all.

    Raises:
        InputError: if there is a file of the export's name that is no export.
    """
    path = Path(keras_path).with_suffix(SUFFIX)
    if not path.is_file():
        return None
    try:
        model = load_onnx(path, threads=threads)
    except ImportError:
        return None
    return model if model.keras_digest == file_digest(keras_path) else None


@dataclass
class _Graph:
    """Nodes and weights in the making; each node is named as its result."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.add_node(operator, inputs, [name], name, **attributes)
        return name

    def add_node(
        self, operator: str, inputs: list[str], outputs: list[str], name: str, **attributes: Any
    ) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))

    def constant(self, value: npt.ArrayLike, kind: type, name: str) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def activation(self, layer: Any, signal: str) -> str:
        name = layer.activation.__name__
        if name == "linear":
            return signal
        if name not in ACTIVATIONS:
            raise NotImplementedError(
                f"layer '{layer.name}': the ONNX export knows no activation '{name}', only "
                f"{', '.join(ACTIVATIONS)}; add it to training/onnx_file.py"
            )
        return self.add(ACTIVATIONS[name], [signal], f"{layer.name}/{name}")


def _rescaling(graph: _Graph, layer: Any, signal: str) -> str:
    scale = graph.constant(layer.scale, np.float32, f"{layer.name}/scale")
    offset = graph.constant(layer.offset, np.float32, f"{layer.name}/offset")
    scaled = graph.add("Mul", [signal, scale], f"{layer.name}/scaled")
    return graph.add("Add", [scaled, offset], f"{layer.name}/shifted")


def _reshape(graph: _Graph, layer: Any, signal: str) -> str:
    # Keras' shape leaves the batch out; ONNX takes a 0 for "as it is".
    shape = graph.constant((0, *layer.target_shape), np.int64, f"{layer.name}/shape")
    return graph.add("Reshape", [signal, shape], f"{layer.name}/reshaped")


def _convolution(graph: _Graph, layer: Any, signal: str) -> str:
    kernel, *bias = layer.get_weights()
    inputs = [
        graph.add("Transpose", [signal], f"{layer.name}/channels_first", perm=TO_CHANNELS_FIRST),
        # From (time, bin, in, out) to (out, in, time, bin).
        graph.constant(kernel.transpose(3, 2, 0, 1), np.float32, f"{layer.name}/kernel"),
        *(graph.constant(each, np.float32, f"{layer.name}/bias") for each in bias),
    ]
    result = graph.add(
        "Conv",
        inputs,
        f"{layer.name}/convolved",
        strides=layer.strides,
        dilations=layer.dilation_rate,
    )
    result = graph.add("Transpose", [result], f"{layer.name}/channels_last", perm=TO_CHANNELS_LAST)
    return graph.activation(layer, result)


def _max_pooling(graph: _Graph, layer: Any, signal: str) -> str:
    name, shape = layer.name, {"kernel_shape": layer.pool_size, "strides": layer.strides}
    result = graph.add("Transpose", [signal], f"{name}/channels_first", perm=TO_CHANNELS_FIRST)
    result = graph.add("MaxPool", [result], f"{name}/pooled", **shape)
    return graph.add("Transpose", [result], f"{name}/channels_last", perm=TO_CHANNELS_LAST)


def _dense(graph: _Graph, layer: Any, signal: str) -> str:
    kernel, *bias = layer.get_weights()
    weights = graph.constant(kernel, np.float32, f"{layer.name}/kernel")
    result = graph.add("MatMul", [signal, weights], f"{layer.name}/product")
    for each in bias:
        shift = graph.constant(each, np.float32, f"{layer.name}/bias")
        result = graph.add("Add", [result, shift], f"{layer.name}/sum")
    return graph.activation(layer, result)


def _frame_median(graph: _Graph, layer: Any, signal: str) -> str:
    name, bins = layer.name, layer.input.shape[-1]
    upper = bins // 2 + 1
    count = graph.constant([upper], np.int64, f"{name}/count")
    largest, places = f"{name}/largest", f"{name}/places"
    graph.add_node("TopK", [signal, count], [largest, places], largest, axis=-1, largest=1)
    bounds = [
        graph.constant([value], np.int64, f"{name}/{what}")
        for what, value in (("first", bins - upper), ("end", upper), ("axis", -1))
    ]
    middle = graph.add("Slice", [largest, *bounds], f"{name}/middle")
    median = graph.add("ReduceMean", [middle], f"{name}/median", axes=[-1], keepdims=1)
    return graph.add("Sub", [signal, median], f"{name}/less_median")


def _log_magnitude(graph: _Graph, layer: Any, signal: str) -> str:
    name = layer.name
    scale, one = (
        graph.constant(value, np.float32, f"{name}/{what}")
        for what, value in (("scale", layer.scale), ("one", 1.0))
    )
    magnitude = graph.add("Relu", [signal], f"{name}/magnitude")
    scaled = graph.add("Mul", [magnitude, scale], f"{name}/scaled")
    return graph.add("Log", [graph.add("Add", [scaled, one], f"{name}/shifted")], f"{name}/log")


def _padded(graph: _Graph, name: str, signal: str, pads: Sequence[tuple[int, int]]) -> str:
    """Return the signal with zeros at both ends of each axis."""
    ends = [before for before, _ in pads] + [after for _, after in pads]
    widths = graph.constant(ends, np.int64, f"{name}/widths")
    return graph.add("Pad", [signal, widths], f"{name}/padded")


def _zero_padding(graph: _Graph, layer: Any, signal: str) -> str:
    return _padded(graph, layer.name, signal, [(0, 0), *layer.padding, (0, 0)])


def _cropping(graph: _Graph, layer: Any, signal: str) -> str:
    for axis, (before, after) in enumerate(layer.cropping, start=1):
        if before or after:
            end = layer.input.shape[axis] - after
            signal = _slice(graph, f"{layer.name}/{axis}", signal, axis, before, end)
    return signal


def _slice(graph: _Graph, name: str, signal: str, axis: int, first: int, end: int) -> str:
    bounds = [
        graph.constant([value], np.int64, f"{name}/{what}")
        for what, value in (("first", first), ("end", end), ("axis", axis))
    ]
    return graph.add("Slice", [signal, *bounds], f"{name}/slice")


def _pitch_shifts(graph: _Graph, layer: Any, signal: str) -> str:
    name = layer.name
    below, above = layer.padding(layer.input.shape[2])
    padded = _padded(graph, name, signal, [(0, 0), (0, 0), (below, above), (0, 0)])
    shifted = [
        _slice(graph, f"{name}/{shift}", padded, 2, below + shift, below + shift + layer.pitches)
        for shift in layer.shifts
    ]
    return graph.add("Concat", shifted, f"{name}/stacked", axis=-1)


def _frame_crop(graph: _Graph, layer: Any, signal: str) -> str:
    cut = layer.frames * layer.step
    return _slice(graph, layer.name, signal, 1, cut, -cut) if cut else signal


def _pitch_summary(graph: _Graph, layer: Any, signal: str) -> str:
    both = [
        graph.add(f"Reduce{kind}", [signal], f"{layer.name}/{kind}", axes=[2], keepdims=1)
        for kind in ("Mean", "Max")
    ]
    return graph.add("Concat", both, f"{layer.name}/both", axis=-1)


def _add(graph: _Graph, layer: Any, *signals: str) -> str:
    return graph.add("Sum", list(signals), f"{layer.name}/sum")


def _concatenate(graph: _Graph, layer: Any, *signals: str) -> str:
    return graph.add("Concat", list(signals), f"{layer.name}/joined", axis=layer.axis)


def _activation(graph: _Graph, layer: Any, signal: str) -> str:
    return graph.activation(layer, signal)


def _dropout(_graph: _Graph, _layer: Any, signal: str) -> str:
    return signal


# Options that a rule does not look at (padding="same") show in export_onnx's comparison.
LAYERS: Mapping[str, Callable[..., str]] = {
    "Activation": _activation,
    "Add": _add,
    "Concatenate": _concatenate,
    "FrameMedian": _frame_median,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Conv2D": _convolution,
    "SteppedConvolution": _convolution,
    "LogMagnitude": _log_magnitude,
    "PitchShifts": _pitch_shifts,
    "FrameCrop": _frame_crop,
    "PitchSummary": _pitch_summary,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "MaxPooling2D": _max_pooling,
    "Dense": _dense,
    "Dropout": _dropout,
    "SpatialDropout2D": _dropout,
}


def _largest_difference(network: Any, exported_model: OnnxModel) -> float:
    """Return the largest difference of a logit over some frames of noise, NaN included."""
    rng = np.random.default_rng(0)
    frames = rng.random((4 * context_frames(network) + 1, network.input_shape[-1]), np.float32)
    frames *= rng.random((len(frames), 1), np.float32)
    expected = np.asarray(network.predict_on_batch(frames[None]))[0]
    found = exported_model.logits(frames)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else math.inf
