"""The adaptive adversary: a perturbation of the magnitudes computed from the model's gradient.

The paper trains against noise whose amount is fitted to the model while its
direction is random, and proposes an adversary that adapts as further research. This
one moves each bin of each frame by the same amount, up or down, whichever raises
the weighted loss: the fast gradient sign method (Goodfellow, Shlens and Szegedy
2015), or in several steps projected gradient descent (Madry et al. 2018). At level
``l`` the amount is ``l / 2``: the mean magnitude of the paper's noise at that level.

Magnitudes may become negative, as they do under centred noise: cut off at zero, the
perturbation would have another mean magnitude than the noise it is compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.training.backend import gradient_of
from at4ramt.training.losses import LossWeights, cross_entropies
from at4ramt.training.network import context_frames, frame_median_layer

GRADIENT = "gradient"
# Of several steps all together go so far, in multiples of the amount (Madry et al. 2018).
STEP_SHARE = 2.5
CHUNK_ROWS = 512


def perturbation(
    network: Any, signal: Any, labels: Any, mask: Any, pair: Any, amount: Any, steps: int
) -> Any:
    """Return what the adversary adds, inside a Keras graph.

    Args:
        network: magnitudes ``(batch, frames, bins)`` to logits ``(batch, outputs, pitches)``.
        signal: magnitudes, float32 ``(batch, frames, bins)``.
        labels: 0 or 1, float32 ``(batch, outputs, pitches)``.
        mask: 1 where an output counts, float32 ``(batch, outputs, 1)``.
        pair: loss weights, inactive and active, ``(2, pitches)``.
        amount: the largest change of a bin, ``(batch, 1, 1)``.
        steps: 1 for the fast gradient sign method.

    Returns:
        float32, the shape of ``signal``; plus or minus ``amount`` everywhere. No gradient
        flows through it.
    """
    from keras import ops

    def towards(value: Any) -> Any:
        # Bins that no filter reaches have no gradient: they move as well, to no effect.
        return ops.where(value >= 0, 1.0, -1.0)

    def loss(moved: Any) -> Any:
        weighted, _ = cross_entropies(labels, network(moved, training=False), pair)
        return ops.sum(weighted * mask)

    moved = ops.zeros_like(signal)
    for _ in range(steps):
        direction = towards(gradient_of(loss, signal + moved))
        share = min(1.0, STEP_SHARE / steps)
        moved = ops.clip(moved + share * amount * direction, -amount, amount)
    # In the corners, so that all have the same mean magnitude; where the steps came back to
    # where they began, which an even number can, as the last one went.
    return ops.stop_gradient(amount * ops.where(moved == 0, direction, ops.sign(moved)))


def perturb_rows(
    network: Any,
    magnitudes: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    centre: npt.NDArray[np.bool_],
    weights: LossWeights,
    level: float,
    steps: int = 1,
    median_removed: bool = False,
) -> npt.NDArray[np.float32]:
    """Return magnitudes of successive frames as the adversary leaves them.

    Each frame is moved to raise the loss of all centres whose window it is in.

    Args:
        network: Keras model.
        magnitudes: ``(rows, bins)``, with half a window of rows at both ends that
            are context only.
        labels: ``(rows, pitches)``; those of context rows do not count.
        centre: ``(rows,)``.
        weights: loss weights.
        level: level of the noise that is replaced; each bin moves by half of it.
        steps: as of :func:`perturbation`.
        median_removed: whether the network is handed magnitudes less each frame's median,
            which the adversary knows.

    Returns:
        float32, ``(rows, bins)``; their median is not taken off.
    """
    from keras import ops

    less_median = frame_median_layer()()

    def listener(signal: Any, training: bool) -> Any:
        return network(less_median(signal) if median_removed else signal, training=training)

    reach = context_frames(network) - 1
    pad = ((reach, reach), (0, 0))
    # A window of zeros at both ends of each chunk: every output that a row is part of is seen.
    heard = np.pad(magnitudes, pad)
    truth = np.pad(labels.astype(np.float32), pad)
    counted = np.pad((centre.astype(np.float32))[:, None], pad)
    pair = np.stack([weights.inactive, weights.active]).astype(np.float32)
    amount = np.full((1, 1, 1), level / 2, np.float32)
    half = reach // 2
    parts = []
    for first in range(0, len(magnitudes), CHUNK_ROWS):
        last = min(first + CHUNK_ROWS, len(magnitudes))
        rows = slice(first, last + 2 * reach)
        outputs = slice(first + half, last + 2 * reach - half)
        added = perturbation(
            listener,
            ops.convert_to_tensor(heard[None, rows]),
            ops.convert_to_tensor(truth[None, outputs]),
            ops.convert_to_tensor(counted[None, outputs]),
            ops.convert_to_tensor(pair),
            ops.convert_to_tensor(amount),
            steps,
        )
        parts.append(np.asarray(added)[0, reach:-reach])
    return magnitudes + np.concatenate(parts)
