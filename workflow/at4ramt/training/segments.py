"""One training step: gather segments of the frame matrix, disturb them, weigh the loss.

A segment is a run of ``segment_frames`` neighbouring frames and the context on
both sides of it; the network, convolutional over time, gives one output for
each frame of the run. Windows of neighbouring frames share their rows and the
first convolution, which makes a step several times cheaper than one on separate
windows with the same number of centres; with ``segment_frames = 1`` it is that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from at4ramt.features.frames import FrameMatrix
from at4ramt.training.acoustic import AcousticNoise, noise_rows_ops
from at4ramt.training.adversary import GRADIENT, perturbation
from at4ramt.training.backend import sharing_tensor
from at4ramt.training.losses import LossWeights, cross_entropies
from at4ramt.training.network import output_step
from at4ramt.training.noise import ADDED_NOISES, UnitNoise, seed_words

PARTS = ("real", "imag")


class SegmentModel(keras.Model):
    """Trains a network on segments of a frame matrix that stays on the device.

    Its inputs are row numbers, noise levels and what segments are changed by, so
    only these travel at each step. Frames that are no centres feed the context and
    carry no loss. A network may give only every so many-th frame in training.

    Args:
        network: from :func:`at4ramt.training.network.build_network`.
        matrix: the training frames; its ``edge`` must admit the segments.
        weights: loss weights per pitch.
        segment_frames: outputs per segment.
        noise: kind of :mod:`at4ramt.training.noise`, ``gradient`` or ``none``.
        gradient_steps: steps of the ``gradient`` adversary.
        acoustic: noise to draw from, if it is noise in the audio.
        augmented: whether inputs have a transposition and factors on the bins too.
    """

    def __init__(
        self,
        network: Any,
        matrix: FrameMatrix,
        weights: LossWeights,
        *,
        segment_frames: int,
        noise: str,
        gradient_steps: int = 1,
        acoustic: AcousticNoise | None = None,
        augmented: bool = False,
    ) -> None:
        super().__init__(name="segments")
        self.network = network
        self.noise, self.gradient_steps = noise, gradient_steps
        (*_, bins), (*_, pitches) = network.input_shape, network.output_shape
        self.added = UnitNoise(noise, bins) if noise in ADDED_NOISES else None
        self.augmented, self.transpose = augmented, matrix.transpose
        self.bins, self.pitches = bins, pitches
        self.beside = (matrix.magnitudes.shape[1] - bins) // 2
        self.padding = matrix.padding
        self.step = output_step(network)
        self.run = np.arange(segment_frames, dtype=np.int32) + matrix.padding
        self.reach = np.arange(segment_frames + 2 * matrix.padding, dtype=np.int32)
        self.acoustic_rows = 0
        if acoustic is None:
            self.magnitudes = self._held("magnitudes", matrix.magnitudes, "float32")
        else:
            self.acoustic_rows = len(acoustic.real)
            self.music = [self._held(name, getattr(matrix, name), "float16") for name in PARTS]
            self.pool = [
                self._held(f"pool_{name}", getattr(acoustic, name), "float16") for name in PARTS
            ]
            self.rms = self._held("rms", matrix.rms, "float32")
        self.labels = self._held("labels", matrix.labels, "uint8")
        self.centre = self._held("centre", matrix.centre.astype(np.uint8), "uint8")
        self.pair = self._held("pair", np.stack([weights.inactive, weights.active]), "float32")
        self.noise_words = self._held("noise_words", np.zeros(2, np.int32), "int32")
        self.totals = {
            name: keras.metrics.Sum(name=name)
            for name in ("weighted", "plain", "tp", "estimated", "referenced", "cells")
        }

    def _held(self, name: str, value: Any, dtype: str) -> Any:
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=dtype,
            trainable=False,
            initializer=lambda shape, dtype=None: sharing_tensor(value, dtype),
        )

    def draw_noise(self, seed: int) -> None:
        """Make ``seed`` the seed of the noise of all steps that follow."""
        self.noise_words.assign(np.array(seed_words(seed), np.uint32).view(np.int32))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return logits ``(batch, outputs, pitches)`` for rows and levels ``(batch,)``.

        With augmentation, the inputs are those two, semitones ``(batch,)`` and factors
        ``(batch, bins)``.
        """
        starts, levels, *changes = inputs
        rows = ops.expand_dims(starts, 1) + self.reach
        levels = ops.reshape(levels, (-1, 1, 1))
        if self.acoustic_rows:
            return self.network(self._mixed(rows, levels, changes), training=training)
        signal = self._changed(ops.take(self.magnitudes, rows, axis=0), changes)
        if self.added is not None:
            words = ops.cast(self.noise_words, "uint32")
            signal = signal + levels * self.added(words, rows)
        elif self.noise == GRADIENT:
            labels, mask = self._answers(starts, changes)
            signal = signal + perturbation(
                self.network, signal, labels, mask, self.pair, levels / 2, self.gradient_steps
            )
        return self.network(signal, training=training)

    def _changed(self, heard: Any, changes: Sequence[Any]) -> Any:
        """Return music ``(batch, T, more bins)`` in the network's bins, transposed and filtered."""
        heard = ops.cast(self._moved(heard, changes, self.beside, self.bins), "float32")
        return heard * ops.expand_dims(changes[1], 1) if self.augmented else heard

    def _moved(self, values: Any, changes: Sequence[Any], beside: int, width: int) -> Any:
        """Return ``width`` columns behind ``beside``, or, transposed up, behind fewer."""
        if not self.transpose:
            return values
        first = beside - beside // self.transpose * ops.cast(changes[0], "int32")
        columns = ops.reshape(first, (-1, 1, 1)) + ops.arange(width, dtype="int32")
        shape = (*ops.shape(values)[:2], width)
        return ops.take_along_axis(values, ops.broadcast_to(columns, shape), axis=-1)

    def _mixed(self, rows: Any, levels: Any, changes: Sequence[Any]) -> Any:
        """Return the magnitudes of the music with noise in it, ``(*rows.shape, bins)``."""
        words = ops.cast(self.noise_words, "uint32")
        chosen = noise_rows_ops(words, rows, self.acoustic_rows)
        gain = levels * ops.expand_dims(ops.take(self.rms, rows), -1)
        square = 0.0
        for music, pool in zip(self.music, self.pool, strict=True):
            part = self._changed(ops.take(music, rows, axis=0), changes)
            part = part + gain * ops.cast(ops.take(pool, chosen, axis=0), "float32")
            square = square + ops.square(part)
        return ops.sqrt(square)

    def _answers(self, starts: Any, changes: Sequence[Any], step: int = 1) -> tuple[Any, Any]:
        """Return labels ``(batch, outputs, pitches)`` and which outputs are centres."""
        rows = ops.expand_dims(starts, 1) + self.run[::step]
        labels = ops.take(self.labels, rows, axis=0)
        labels = ops.cast(self._moved(labels, changes, self.transpose, self.pitches), "float32")
        mask = ops.cast(ops.take(self.centre, rows, axis=0), "float32")
        return labels, ops.expand_dims(mask, -1)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the mean weighted cross-entropy over the batch's centres and pitches.

        The batch's sums, from which an epoch's history is made, go into metrics.
        """
        labels, mask = self._answers(x[0], x[2:], self.step)
        weighted, plain = cross_entropies(labels, y_pred, self.pair)
        cells = ops.sum(mask) * labels.shape[-1]
        total = ops.sum(weighted * mask)
        active = ops.cast(y_pred >= 0.0, "float32") * mask
        self.totals["weighted"].update_state(total)
        self.totals["plain"].update_state(plain * mask)
        self.totals["tp"].update_state(active * labels)
        self.totals["estimated"].update_state(active)
        self.totals["referenced"].update_state(labels * mask)
        self.totals["cells"].update_state(cells)
        return total / ops.maximum(cells, 1.0)
