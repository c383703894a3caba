"""A network that hears every pitch alike: transposed music gives transposed pitches.

All of its layers share their weights over pitch. A convolution with a stride of one
semitone makes features of each pitch; a *harmonic stack* puts those of its overtones
beside them, so that a small layer sees what belongs together but lies octaves apart;
residual blocks with ever wider steps in time follow a note from its onset to the lifting
of the pedal, for which they also see what all pitches do at once.

A frame of pitches depends on several seconds of music, and neighbouring frames on almost
the same. In training the network therefore computes only every ``step``-th frame: there
its first layer has a stride of ``step`` and the others the dilations as given; otherwise,
it gives every frame, with dilations ``step`` times as wide. Both compute the same
(tests/unit/training/test_equivariant.py).

Sources: harmonic stacking as in Bittner et al. 2022, "A
lightweight instrument-agnostic model for polyphonic note transcription"; dilated residual
blocks as in Bai, Kolter and Koltun 2018, "An empirical evaluation of generic convolutional
and recurrent networks for sequence modeling".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from at4ramt.errors import InputError

HARMONICS = (-19, -12, 0, 12, 19, 24, 28, 31, 34, 36)
"""Semitones from a pitch to its overtones 2 to 8, and to what it is overtone 2 and 3 of."""

RELATED = (-24, -19, -12, -7, -5, 5, 7, 12, 19, 24, 28)
"""Semitones to the pitches that a pitch is most often mistaken for, or masked by."""

FIRST_LOGIT = -2.0
"""Output before training: an eighth of all cells are active."""


@dataclass(frozen=True)
class EquivariantSize:
    """What tells two networks of this kind apart.

    Attributes:
        step: frames from one output to the next in training.
        front: features of the first convolution.
        front_kernel: its frames and bins; both odd.
        channels: features of each pitch.
        summary: units that see all pitches at once.
        dilations: steps between the three taps in time of each block.
        summarised: numbers of the blocks that see all pitches, from 0.
        related: features of each pitch that its relatives see before block 1; 0 for none.
        harmonics: semitones of the harmonic stack.
        overtones: whether the bins above the highest pitch are heard.
    """

    step: int = 4
    front: int = 24
    front_kernel: tuple[int, int] = (9, 7)
    channels: int = 48
    summary: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    summarised: tuple[int, ...] = (0, 2, 4)
    related: int = 8
    harmonics: tuple[int, ...] = HARMONICS
    overtones: bool = True


def build_equivariant(
    size: EquivariantSize,
    *,
    bins: int,
    pitches: int,
    bins_per_pitch: int,
    input_scale: float,
    dropout: float,
    initialiser: Callable[[str], Any],
    seed: Callable[[], int],
    name: str,
    median_input: Callable[[Any], Any] | None = None,
) -> Any:
    """Build a network with freshly drawn weights.

    Input: CQT magnitudes, float32, ``(batch, T, bins)``: ``bins_per_pitch`` for each pitch and
    as many octaves more above them as there are. Output: logits ``(batch, T - c, pitches)``,
    or, in training, every ``size.step``-th of them.

    Args:
        size: the network.
        bins: bins per frame.
        pitches: outputs; their bins are the lowest.
        bins_per_pitch: bins a semitone.
        input_scale: the network hears ``log(1 + input_scale * magnitude)``.
        dropout: share of features dropped in each block, in all frames and pitches.
        initialiser: Keras initialisers by class name, each with a seed of its own.
        seed: the next seed.
        name: the model's name.
        median_input: takes each frame's median off first, if given.

    Raises:
        InputError: if the bins are no whole pitches.
    """
    import keras
    from keras import layers

    own = equivariant_layers()
    if bins % bins_per_pitch or bins < pitches * bins_per_pitch:
        raise InputError(
            f"network '{name}' got {bins} bins; expected {bins_per_pitch} a pitch for {pitches} "
            "pitches or more; correct the config's section features"
        )
    frames = keras.Input((None, bins), name="cqt_magnitude")
    signal = frames if median_input is None else median_input(frames)
    signal = own.LogMagnitude(input_scale, name="loudness")(signal)
    signal = layers.Reshape((-1, bins, 1), name="one_channel")(signal)
    above = bins - pitches * bins_per_pitch
    if above and not size.overtones:
        signal = layers.Cropping2D(((0, 0), (0, above)), name="core_bins")(signal)
    reach = size.front_kernel[1] // 2
    behind = reach + 1 - bins_per_pitch
    signal = layers.ZeroPadding2D(((0, 0), (reach, max(0, behind))), name="bins_beside")(signal)
    signal = own.SteppedConvolution(
        size.front,
        size.front_kernel,
        strides=(1, bins_per_pitch),
        step=size.step,
        strides_in_training=True,
        activation="relu",
        kernel_initializer=initialiser("GlorotUniform"),
        name="bins_to_pitches",
    )(signal)

    def dense(units: int, name: str, activation: str | None = None, kind: Any = None) -> Any:
        return layers.Dense(
            units,
            activation=activation,
            kernel_initializer=kind or initialiser("GlorotUniform"),
            name=name,
        )

    signal = own.PitchShifts(size.harmonics, pitches, name="harmonic_stack")(signal)
    signal = dense(size.channels, "harmonics_to_features", "relu")(signal)

    def block(signal: Any, kernel: tuple[int, int], dilation: int, name: str, whole: bool) -> Any:
        heard = signal
        if whole:
            every = own.PitchSummary(name=f"{name}_all_pitches")(signal)
            every = dense(size.summary, f"{name}_summary", "relu")(every)
            every = dense(size.channels, f"{name}_of_all")(every)
            heard = layers.Add(name=f"{name}_with_all")([signal, every])
        if kernel[1] > 1:
            beside = kernel[1] // 2
            heard = layers.ZeroPadding2D(((0, 0), (beside, beside)), name=f"{name}_beside")(heard)
        moved = own.SteppedConvolution(
            size.channels,
            kernel,
            dilation_rate=(dilation * size.step, 1),
            step=size.step,
            activation="relu",
            kernel_initializer=initialiser("HeUniform"),
            name=f"{name}_convolution",
        )(heard)
        if dropout:
            moved = layers.SpatialDropout2D(dropout, seed=seed(), name=f"{name}_dropout")(moved)
        small = keras.initializers.VarianceScaling(0.5, seed=seed())
        moved = dense(size.channels, f"{name}_mixed", kind=small)(moved)
        crop = (kernel[0] - 1) // 2 * dilation
        kept = own.FrameCrop(crop, size.step, name=f"{name}_cropped")(signal)
        added = layers.Add(name=f"{name}_added")([kept, moved])
        return layers.Activation("relu", name=f"{name}_relu")(added)

    signal = block(signal, (3, 3), 1, "neighbours", whole=False)
    for number, dilation in enumerate(size.dilations):
        if number == 1 and size.related:
            few = dense(size.related, "related_features", "relu")(signal)
            few = own.PitchShifts(RELATED, pitches, name="related_pitches")(few)
            both = layers.Concatenate(name="with_related")([signal, few])
            both = dense(size.channels, "related_to_features")(both)
            added = layers.Add(name="related_added")([signal, both])
            signal = layers.Activation("relu", name="related_relu")(added)
        signal = block(
            signal, (3, 1), dilation, f"block_{number + 1}", whole=number in size.summarised
        )
    logits = layers.Dense(
        1,
        kernel_initializer=initialiser("GlorotUniform"),
        bias_initializer=keras.initializers.Constant(FIRST_LOGIT),
        name="pitch_logit",
    )(signal)
    logits = layers.Reshape((-1, pitches), name="pitch_logits")(logits)
    return keras.Model(frames, logits, name=name)


@cache
def equivariant_layers() -> Any:
    """Return the layer classes, known to Keras' safe loading once this was called."""
    import keras
    from keras import ops

    registered = keras.saving.register_keras_serializable(package="at4ramt")

    @registered
    class LogMagnitude(keras.layers.Layer):
        """Magnitudes to ``log(1 + scale * magnitude)``; less than nothing is nothing.

        Some noise on magnitudes, and a frame less its median, goes below zero.
        """

        def __init__(self, scale: float, **options: Any) -> None:
            super().__init__(**options)
            self.scale = scale

        def call(self, magnitudes: Any) -> Any:
            """Return an array of the same shape."""
            return ops.log1p(self.scale * ops.relu(magnitudes))

        def get_config(self) -> dict[str, Any]:
            """Return what rebuilds the layer."""
            return super().get_config() | {"scale": self.scale}

    @registered
    class PitchShifts(keras.layers.Layer):
        """Features of other pitches beside each pitch's own; zeros beyond the ends.

        ``(batch, T, pitches and more, features)`` to ``(batch, T, pitches, shifts * features)``.
        """

        def __init__(self, shifts: Sequence[int], pitches: int, **options: Any) -> None:
            super().__init__(**options)
            self.shifts, self.pitches = tuple(shifts), pitches

        def padding(self, there: int) -> tuple[int, int]:
            """Return the pitches of zeros needed below and above ``there`` pitches."""
            return max(0, -min(self.shifts)), max(0, self.pitches + max(self.shifts) - there)

        def call(self, features: Any) -> Any:
            """Return the stacked features."""
            below, above = self.padding(features.shape[2])
            padded = ops.pad(features, ((0, 0), (0, 0), (below, above), (0, 0)))
            return ops.concatenate(
                [padded[:, :, below + s : below + s + self.pitches] for s in self.shifts], axis=-1
            )

        def get_config(self) -> dict[str, Any]:
            """Return what rebuilds the layer."""
            return super().get_config() | {"shifts": list(self.shifts), "pitches": self.pitches}

    @registered
    class SteppedConvolution(keras.layers.Conv2D):
        """A convolution over time and pitch that takes steps in training.

        Its ``strides`` and ``dilation_rate`` are those that give every frame. In training
        the dilation is divided by ``step``, or, of the layer that takes every frame in, the
        stride is multiplied by it.
        """

        def __init__(
            self,
            filters: int,
            kernel_size: Any,
            *,
            step: int,
            strides_in_training: bool = False,
            **options: Any,
        ) -> None:
            super().__init__(filters, kernel_size, **options)
            self.step, self.strides_in_training = step, strides_in_training

        def call(self, features: Any, training: bool | None = None) -> Any:
            """Return the activations, fewer by the kernel's reach in time."""
            strides, dilation = self.strides, self.dilation_rate
            if training and self.strides_in_training:
                strides = (strides[0] * self.step, strides[1])
            elif training:
                dilation = (dilation[0] // self.step, dilation[1])
            result = ops.conv(
                features,
                self.kernel,
                strides=list(strides),
                padding="valid",
                dilation_rate=dilation,
                data_format=self.data_format,
            )
            return self.activation(result + self.bias)

        def get_config(self) -> dict[str, Any]:
            """Return what rebuilds the layer."""
            own = {"step": self.step, "strides_in_training": self.strides_in_training}
            return super().get_config() | own

    @registered
    class FrameCrop(keras.layers.Layer):
        """Takes frames off both ends: ``frames`` in training, ``step`` times as many else."""

        def __init__(self, frames: int, step: int, **options: Any) -> None:
            super().__init__(**options)
            self.frames, self.step = frames, step

        def call(self, features: Any, training: bool | None = None) -> Any:
            """Return the frames between."""
            cut = self.frames if training else self.frames * self.step
            return features[:, cut : ops.shape(features)[1] - cut]

        def compute_output_shape(self, shape: Any) -> Any:
            """Return the shape of a layer that gives every frame."""
            frames = None if shape[1] is None else shape[1] - 2 * self.frames * self.step
            return (shape[0], frames, *shape[2:])

        def get_config(self) -> dict[str, Any]:
            """Return what rebuilds the layer."""
            return super().get_config() | {"frames": self.frames, "step": self.step}

    @registered
    class PitchSummary(keras.layers.Layer):
        """Mean and maximum of each feature over the pitches, ``(batch, T, 1, 2 * features)``."""

        def call(self, features: Any) -> Any:
            """Return both, the mean first."""
            return ops.concatenate(
                [
                    ops.mean(features, axis=2, keepdims=True),
                    ops.max(features, axis=2, keepdims=True),
                ],
                axis=-1,
            )

    return SimpleNamespace(
        LogMagnitude=LogMagnitude,
        PitchShifts=PitchShifts,
        SteppedConvolution=SteppedConvolution,
        FrameCrop=FrameCrop,
        PitchSummary=PitchSummary,
    )
