"""The paper's noise: uniform numbers added to CQT magnitudes, one draw per frame cell.

Every draw is a function of three numbers only: a seed that names its purpose,
the row (a frame) and the bin. It needs no state and no stored noise matrix, it
does not depend on how frames are batched or on how many there are, neighbouring
windows see the same noise in the frames they share, and NumPy and every Keras
backend give the same value on CPU and GPU. The generator mixes the three with
the 32-bit finaliser of Wellons' "hash prospector" search (lowbias32), twice per
row and once per cell.

Source: the paper, section "Noise Generation": uniform random numbers between 0
and 1, scaled by a noise level and added to the magnitudes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MULTIPLIER_1 = 0x7FEB352D
_MULTIPLIER_2 = 0x846CA68B
_BIN_STRIDE = 0x9E3779B9
_MANTISSA = 24


def seed_words(seed: int) -> tuple[int, int]:
    """Split a 63-bit seed into the two 32-bit words that key the generator."""
    return seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF


def uniform_noise(seed: int, rows: npt.ArrayLike, bins: int) -> npt.NDArray[np.float32]:
    """Return noise in [0, 1) for some rows.

    Args:
        seed: from :func:`at4ramt.seeds.purpose_seed`.
        rows: row numbers, non-negative integers, any shape ``s``.
        bins: bins per row.

    Returns:
        float32, ``(*s, bins)``; 24 random bits each, so every value is exact.
    """
    low, high = (np.uint32(word) for word in seed_words(seed))
    row = np.asarray(rows).astype(np.uint32)
    with np.errstate(over="ignore"):
        keyed = _mix(_mix(row ^ low) + high)
        cell = keyed[..., None] + np.arange(bins, dtype=np.uint32) * np.uint32(_BIN_STRIDE)
        word = _mix(cell)
    return (word >> np.uint32(32 - _MANTISSA)).astype(np.float32) * np.float32(2.0**-_MANTISSA)


def uniform_noise_ops(words: Any, rows: Any, bins: int) -> Any:
    """Return what :func:`uniform_noise` does, inside a Keras graph.

    Args:
        words: the two words of :func:`seed_words`, uint32 tensor ``(2,)``.
        rows: row numbers, integer tensor of any shape ``s``.
        bins: bins per row.

    Returns:
        float32 tensor ``(*s, bins)``.
    """
    from keras import ops

    row = ops.cast(rows, "uint32")
    keyed = _mix_ops(_mix_ops(ops.bitwise_xor(row, words[0])) + words[1])
    strides = np.arange(bins, dtype=np.uint32) * np.uint32(_BIN_STRIDE)
    word = _mix_ops(ops.expand_dims(keyed, -1) + ops.convert_to_tensor(strides, "uint32"))
    shifted = ops.right_shift(word, _constant(32 - _MANTISSA))
    return ops.cast(shifted, "float32") * np.float32(2.0**-_MANTISSA)


def _mix(word: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    word = (word ^ (word >> np.uint32(16))) * np.uint32(_MULTIPLIER_1)
    word = (word ^ (word >> np.uint32(15))) * np.uint32(_MULTIPLIER_2)
    return word ^ (word >> np.uint32(16))


def _constant(value: int) -> Any:
    from keras import ops

    return ops.convert_to_tensor(np.uint32(value), "uint32")


def _mix_ops(word: Any) -> Any:
    from keras import ops

    def folded(part: Any, shift: int) -> Any:
        return ops.bitwise_xor(part, ops.right_shift(part, _constant(shift)))

    word = folded(word, 16) * _constant(_MULTIPLIER_1)
    word = folded(word, 15) * _constant(_MULTIPLIER_2)
    return folded(word, 16)
