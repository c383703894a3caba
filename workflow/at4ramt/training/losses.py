"""Both losses of the paper: weighted binary cross-entropy and its weights.

A loss is a pair of weights per pitch, one for frames in which it is active and
one for the others; ``global`` uses one pair for all pitches, ``per_pitch`` one
each, ``plain`` a given one. The weights come from the centres of the training split and travel with
the model.

Source: the paper, section "Loss function".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import InputError, suggestion

LOSSES = ("global", "per_pitch", "plain")


@dataclass(frozen=True)
class LossWeights:
    """Weights of active and of inactive frames, float32 ``(pitches,)`` each."""

    active: npt.NDArray[np.float32]
    inactive: npt.NDArray[np.float32]


def loss_weights(
    kind: str, active_frames: npt.ArrayLike, frames: int, *, cap: float, positive: float = 1.0
) -> LossWeights:
    """Return the weights under which active and inactive frames count the same.

    ``w1 = n / 2 n1`` and ``w0 = n / 2 n0``, each at most ``cap``; with them a
    constant prediction of one half has a loss of ln 2. For ``per_pitch`` the
    numbers are each pitch's own; a pitch that never sounds gets ``w1 = 0`` and
    ``w0 = 1``, one that always sounds ``w1 = 1`` and ``w0 = 0``.

    Args:
        kind: ``"global"``, ``"per_pitch"`` or ``"plain"``.
        active_frames: frames in which each pitch is active, ``(pitches,)``.
        frames: number of frames.
        cap: upper bound of a weight.
        positive: weight of an active cell in a ``plain`` loss, where any other weighs 1.

    Raises:
        InputError: for an unknown kind, no frames, or if no pitch ever sounds.
    """
    if kind not in LOSSES:
        raise InputError(
            f"config key training.loss is '{kind}'; expected one of "
            f"{', '.join(LOSSES)}.{suggestion(kind, LOSSES)}"
        )
    active = np.asarray(active_frames, dtype=np.float64)
    if frames <= 0 or active.sum() == 0:
        raise InputError(
            "no pitch sounds in the centres of the training split; expected labelled frames; "
            "check the notes of the training pieces and shards.minimum_level"
        )
    if kind == "plain":
        ones = np.ones(len(active), np.float32)
        return LossWeights(ones * np.float32(positive), ones)
    inactive = frames - active
    total = float(frames)
    if kind == "global":
        active = np.full_like(active, active.sum())
        inactive = np.full_like(inactive, inactive.sum())
        total = float(frames * len(active))
    with np.errstate(divide="ignore"):
        one = np.where(active > 0, np.minimum(total / (2 * active), cap), 0.0)
        zero = np.where(inactive > 0, np.minimum(total / (2 * inactive), cap), 0.0)
    one = np.where(inactive == 0, 1.0, one)
    zero = np.where(active == 0, 1.0, zero)
    return LossWeights(one.astype(np.float32), zero.astype(np.float32))


def cross_entropies(labels: Any, logits: Any, weights: Any) -> tuple[Any, Any]:
    """Return weighted and unweighted cross-entropy of every cell, in a Keras graph.

    Args:
        labels: 0 or 1, float tensor ``(..., pitches)``.
        logits: float tensor of the same shape.
        weights: tensor ``(2, pitches)``: inactive, active.

    Returns:
        Two tensors of the shape of ``logits``, in nats.
    """
    from keras import ops

    # log(1 + exp(-|z|)) keeps both tails finite.
    plain = ops.relu(logits) - logits * labels + ops.softplus(-ops.absolute(logits))
    return plain * (labels * weights[1] + (1.0 - labels) * weights[0]), plain
