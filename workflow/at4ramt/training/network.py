"""The networks: the paper's, the demo's and the robust transcriber's, by name.

All are convolutional over time without padding, so the same model takes a
window of ``c`` frames (7 for the first two) and gives one frame of pitches, or
takes a whole piece of ``T`` frames and gives ``T - c + 1``, with identical results
and a third of the arithmetic of the first layer, or less.

Source: the paper, figure of the network; jsleep/wav2mid, from which its
"intuitive filter shapes" come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from at4ramt.errors import InputError, suggestion
from at4ramt.training.equivariant import EquivariantSize, build_equivariant, equivariant_layers


@dataclass(frozen=True)
class NetworkSize:
    """Filters of both convolutions and units of both hidden dense layers."""

    filters: int
    dense: tuple[int, int]


NETWORKS: dict[str, NetworkSize | EquivariantSize] = {
    "paper": NetworkSize(filters=50, dense=(1000, 200)),
    "small": NetworkSize(filters=24, dense=(400, 200)),
    "equivariant": EquivariantSize(),
    # Its ablations: each leaves one thing out.
    "equivariant_core": EquivariantSize(overtones=False),
    "equivariant_flat": EquivariantSize(harmonics=(0,), related=0),
    "equivariant_short": EquivariantSize(dilations=(1, 1, 1, 1, 1)),
    "equivariant_apart": EquivariantSize(summarised=()),
}
KERNELS = ((5, 25), (3, 5))
POOL = (1, 3)


def build_network(
    name: str,
    *,
    bins: int,
    pitches: int,
    input_scale: float,
    dropout_convolution: float,
    dropout_dense: float,
    seed: int,
    median_input: bool = False,
    bins_per_pitch: int = 3,
) -> Any:
    """Build a network with freshly drawn weights.

    Input: CQT magnitudes, float32, ``(batch, T, bins)``, ``T >= c``.
    Output: logits, float32, ``(batch, T - c + 1, pitches)``; the sigmoid of a logit
    is the probability that the pitch is active in the window's middle frame. The
    window's ``c`` frames are 7 in the first two, whose parameters are 956,306 and
    237,944 with 168 bins and 56 pitches. In training, :func:`output_step` may be
    more than 1.

    Args:
        name: a key of :data:`NETWORKS`.
        bins: bins per frame.
        pitches: outputs.
        input_scale: constant factor on the input.
        dropout_convolution: share dropped after each pooling.
        dropout_dense: share dropped after each hidden dense layer.
        seed: seed of initial weights and of dropout.
        median_input: whether each frame's median is taken off first.
        bins_per_pitch: bins a semitone.

    Raises:
        InputError: if no network has this name or the bins do not suit it.
    """
    import keras
    from keras import layers

    if name not in NETWORKS:
        raise InputError(
            f"config key network.name is '{name}'; expected one of "
            f"{', '.join(NETWORKS)}.{suggestion(name, NETWORKS)}"
        )
    size = NETWORKS[name]
    seeds = iter(range(seed % (2**31 - 64), 2**31))

    def initialiser(kind: str) -> Any:
        return keras.initializers.get({"class_name": kind, "config": {"seed": next(seeds)}})

    if isinstance(size, EquivariantSize):
        return build_equivariant(
            size,
            bins=bins,
            pitches=pitches,
            bins_per_pitch=bins_per_pitch,
            input_scale=input_scale,
            dropout=dropout_convolution,
            initialiser=initialiser,
            seed=seeds.__next__,
            name=f"at4ramt_{name}",
            median_input=frame_median_layer()(name="frame_median") if median_input else None,
        )
    frames = keras.Input((None, bins), name="cqt_magnitude")
    signal = frames
    if median_input:
        signal = frame_median_layer()(name="frame_median")(signal)
    signal = layers.Rescaling(input_scale, name="input_scale")(signal)
    signal = layers.Reshape((-1, bins, 1), name="one_channel")(signal)
    width = bins
    for number, kernel in enumerate(KERNELS, start=1):
        width = (width - kernel[1] + 1) // POOL[1]
        if width < 1:
            raise InputError(
                f"network '{name}' needs more than {bins} bins per frame; "
                "raise features.pitches or features.bins_per_pitch"
            )
        signal = layers.Conv2D(
            size.filters,
            kernel,
            activation="relu",
            kernel_initializer=initialiser("GlorotUniform"),
            name=f"convolution_{number}",
        )(signal)
        signal = layers.MaxPooling2D(POOL, name=f"pooling_{number}")(signal)
        signal = layers.Dropout(
            dropout_convolution, seed=next(seeds), name=f"dropout_convolution_{number}"
        )(signal)
    signal = layers.Reshape((-1, width * size.filters), name="bins_to_features")(signal)
    for number, units in enumerate(size.dense, start=1):
        signal = layers.Dense(
            units,
            activation="sigmoid",
            kernel_initializer=initialiser("GlorotUniform"),
            name=f"dense_{number}",
        )(signal)
        signal = layers.Dropout(dropout_dense, seed=next(seeds), name=f"dropout_dense_{number}")(
            signal
        )
    logits = layers.Dense(
        pitches, kernel_initializer=initialiser("GlorotUniform"), name="pitch_logits"
    )(signal)
    return keras.Model(frames, logits, name=f"at4ramt_{name}")


def rebuilt_network(network: Any, name: str, **settings: Any) -> Any:
    """Return the same network with its weights but another dropout or input.

    Args:
        network: from :func:`build_network`.
        name: as of :func:`build_network`.
        settings: what else :func:`build_network` is given, but for sizes.
    """
    rebuilt = build_network(
        name, bins=network.input_shape[-1], pitches=network.output_shape[-1], **settings
    )
    rebuilt.set_weights(network.get_weights())
    return rebuilt


@cache
def frame_median_layer() -> Any:
    """Return the layer class that takes each frame's median off, known to Keras' safe loading."""
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable(package="at4ramt")
    class FrameMedian(keras.layers.Layer):
        """Magnitudes ``(batch, T, bins)`` less the median over the bins of each frame."""

        def call(self, magnitudes: Any) -> Any:
            """Return the magnitudes less their median, which may be negative."""
            bins = magnitudes.shape[-1]
            upper = bins // 2 + 1
            largest, _ = ops.top_k(magnitudes, upper, sorted=True)
            # Of an even number the mean of the two in the middle.
            middle = largest[..., bins - upper : upper]
            return magnitudes - ops.mean(middle, axis=-1, keepdims=True)

    return FrameMedian


def context_frames(network: Any) -> int:
    """Return how many frames a network takes for one frame of pitches: its window.

    Each convolution over time takes its reach off both ends, and no layer else does; what
    goes round a convolution is cropped to it.
    """
    return 1 + sum(
        (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        for layer in network.layers
        if hasattr(layer, "kernel_size")
    )


def output_step(network: Any) -> int:
    """Return of how many frames a network gives one output in training; else it gives all."""
    steps = {
        layer.step
        for layer in network.layers
        if hasattr(layer, "kernel_size") and hasattr(layer, "step")
    }
    return int(max(steps, default=1))


def known_layers() -> None:
    """Make the workflow's own layers known to Keras, which is to load networks with them."""
    frame_median_layer()
    equivariant_layers()


@contextmanager
def computing_in(precision: str, network: Any) -> Iterator[None]:
    """Let a network compute in another precision for as long as the context lasts.

    Weights stay float32, and so do the logits: what is saved afterwards is the
    model that it would be otherwise.

    Args:
        precision: a Keras dtype policy: ``"float32"`` or ``"mixed_bfloat16"``.
        network: from :func:`build_network`.
    """
    inner = network.layers[:-1]
    policies = [layer.dtype_policy for layer in inner]
    if precision == "float32":
        yield
        return
    try:
        _set_policies(network, [precision] * len(inner))
        yield
    finally:
        _set_policies(network, policies)


def _set_policies(network: Any, policies: Sequence[Any]) -> None:
    for layer, policy in zip(network.layers, policies, strict=False):
        layer.dtype_policy = policy
    # What was compiled computes as before.
    network.train_function = network.test_function = network.predict_function = None
