"""Noise that is added to CQT magnitudes: the paper's, and what the paper proposes to try.

Unit noise of each kind, which a level scales:

* ``uniform``, the paper's: independent numbers between 0 and 1, a draw per frame and bin;
* ``uniform_centred``: the same numbers less 1/2, so that nothing but the offset differs;
* ``gaussian`` and ``gaussian_rectified`` (its absolute value);
* ``white``, ``pink``, ``brown``, ``blue`` and ``violet``: Gaussian noise whose power falls or
  rises along the bins of a frame as 1/f^k of their cycles, with k = 0, 1, 2, -1, -2, made by
  the library colorednoise (Timmer and Koenig 1995). White is ``gaussian`` made otherwise.

All but the centred one have the power of ``uniform``, a mean square of 1/3: the same level is
as much noise. Only ``uniform`` and ``gaussian_rectified`` have an offset (:func:`mean_of`).

Every draw is a function of three numbers only: a seed that names its purpose,
the row (a frame) and the bin. It needs no state and no stored noise matrix, it
does not depend on how frames are batched or on how many there are, neighbouring
windows see the same noise in the frames they share, and NumPy and every Keras
backend give the same value on CPU and GPU. The generator mixes the three with
the 32-bit finaliser of Wellons' "hash prospector" search (lowbias32), twice per
row and once per cell.

Coloured noise comes from a pool of rows that is made once a process: seed and row choose
the row of the pool and how far it is turned along the bins, which its distribution allows.
What models are scored in has a pool of its own, so that none of it was heard in training.

Source: the paper, section "Noise Generation": uniform random numbers between 0
and 1, scaled by a noise level and added to the magnitudes; "white (Gaussian), pink, brown
and further coloured noises".
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.seeds import purpose_seed

COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0, "blue": -1.0, "violet": -2.0}
"""Exponent of the fall of power along the bins."""
CELL_NOISES = ("uniform", "uniform_centred", "gaussian", "gaussian_rectified")
ADDED_NOISES = (*CELL_NOISES, *COLOURS)
"""Kinds that are drawn without regard to music or model."""

UNIT_RMS = math.sqrt(1 / 3)
POOL_ROWS = 4096
TRAINING_POOL = "coloured noise"
EVALUATION_POOL = "coloured noise of evaluation"

_MULTIPLIER_1 = 0x7FEB352D
_MULTIPLIER_2 = 0x846CA68B
_BIN_STRIDE = 0x9E3779B9
_MANTISSA = 24
# Any odd constant: a cell's second number must not be its first.
_SECOND = 0x5BD1E995


def seed_words(seed: int) -> tuple[int, int]:
    """Split a 63-bit seed into the two 32-bit words that key the generator."""
    return seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF


def unit_noise(
    kind: str, seed: int, rows: npt.ArrayLike, bins: int, *, pool: str = TRAINING_POOL
) -> npt.NDArray[np.float32]:
    """Return unit noise of a kind for some rows.

    Args:
        kind: one of :data:`ADDED_NOISES`.
        seed: from :func:`at4ramt.seeds.purpose_seed`.
        rows: row numbers, non-negative integers, any shape ``s``.
        bins: bins per row.
        pool: which pool coloured noise is taken from, of :func:`coloured_pool`.

    Returns:
        float32, ``(*s, bins)``.

    Raises:
        ValueError: for another kind.
    """
    keyed = keyed_rows(seed, rows)
    if kind in COLOURS:
        shift = ((keyed & np.uint32(0xFFFF)).astype(np.int64) * bins) >> 16
        turned = (np.arange(bins) + shift[..., None]) % bins
        return coloured_pool(kind, bins, pool)[(keyed >> np.uint32(20))[..., None], turned]
    if kind not in CELL_NOISES:
        raise ValueError(f"unknown noise {kind!r}; expected one of {ADDED_NOISES}")
    word = _cells(keyed, bins)
    first = _unit(word)
    if kind == "uniform":
        return first
    if kind == "uniform_centred":
        return first - np.float32(0.5)
    with np.errstate(over="ignore"):
        second = _unit(_mix(word ^ np.uint32(_SECOND)))
    # Box and Muller (1958); 1 - u is never 0.
    normal = np.sqrt(np.float32(-2) * np.log1p(-first)) * np.cos(np.float32(2 * np.pi) * second)
    normal *= np.float32(UNIT_RMS)
    return np.abs(normal) if kind == "gaussian_rectified" else normal


def uniform_noise(seed: int, rows: npt.ArrayLike, bins: int) -> npt.NDArray[np.float32]:
    """Return the paper's noise, in [0, 1), for some rows; arguments as of :func:`unit_noise`.

    24 random bits each, so every value is exact.
    """
    return _unit(_cells(keyed_rows(seed, rows), bins))


class UnitNoise:
    """What :func:`unit_noise` gives, inside a Keras graph.

    Uniform and coloured noise is the same to the bit, Gaussian noise to rounding.

    Args:
        kind: one of :data:`ADDED_NOISES`.
        bins: bins per row.
    """

    def __init__(self, kind: str, bins: int) -> None:
        from keras import ops

        if kind not in ADDED_NOISES:
            raise ValueError(f"unknown noise {kind!r}; expected one of {ADDED_NOISES}")
        self.kind, self.bins = kind, bins
        strides = np.arange(bins, dtype=np.uint32) * np.uint32(_BIN_STRIDE)
        self.strides = ops.convert_to_tensor(strides, "uint32")
        self.pool = (
            ops.convert_to_tensor(coloured_pool(kind, bins).ravel()) if kind in COLOURS else None
        )

    def __call__(self, words: Any, rows: Any) -> Any:
        """Return float32 ``(*s, bins)``.

        Args:
            words: the two words of :func:`seed_words`, uint32 tensor ``(2,)``.
            rows: row numbers, integer tensor of any shape ``s``.
        """
        from keras import ops

        keyed = keyed_rows_ops(words, rows)
        if self.pool is not None:
            low = ops.cast(ops.bitwise_and(keyed, word_constant(0xFFFF)), "int32")
            shift = ops.expand_dims(ops.right_shift(low * self.bins, 16), -1)
            turned = (ops.arange(self.bins, dtype="int32") + shift) % self.bins
            chosen = ops.cast(ops.right_shift(keyed, word_constant(20)), "int32")
            return ops.take(self.pool, ops.expand_dims(chosen * self.bins, -1) + turned)
        word = _mix_ops(ops.expand_dims(keyed, -1) + self.strides)
        first = _unit_ops(word)
        if self.kind == "uniform":
            return first
        if self.kind == "uniform_centred":
            return first - 0.5
        second = _unit_ops(_mix_ops(ops.bitwise_xor(word, word_constant(_SECOND))))
        normal = ops.sqrt(-2.0 * ops.log1p(-first)) * ops.cos(2 * np.pi * second) * UNIT_RMS
        return ops.absolute(normal) if self.kind == "gaussian_rectified" else normal


def mean_of(kind: str) -> float:
    """Return the mean of unit noise: the offset that it adds to every bin.

    Zero for ``gradient``, whose offset nobody knows beforehand.
    """
    if kind == "uniform":
        return 0.5
    return UNIT_RMS * math.sqrt(2 / math.pi) if kind == "gaussian_rectified" else 0.0


@cache
def coloured_pool(kind: str, bins: int, purpose: str = TRAINING_POOL) -> npt.NDArray[np.float32]:
    """Return rows of coloured unit noise, float32 ``(POOL_ROWS, bins)``.

    Args:
        kind: one of :data:`COLOURS`.
        bins: bins per row.
        purpose: :data:`TRAINING_POOL`, of level searches, training and validation, or
            :data:`EVALUATION_POOL`, of the scores.
    """
    from colorednoise import powerlaw_psd_gaussian

    random = np.random.default_rng(purpose_seed(0, purpose, kind, bins))
    pool = powerlaw_psd_gaussian(COLOURS[kind], (POOL_ROWS, bins), random_state=random)
    pool *= UNIT_RMS / np.sqrt(np.mean(np.square(pool)))
    return np.asarray(pool, np.float32)


def keyed_rows(seed: int, rows: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Return 32 random bits for each row, in the shape of ``rows``."""
    low, high = (np.uint32(word) for word in seed_words(seed))
    with np.errstate(over="ignore"):
        return _mix(_mix(np.asarray(rows).astype(np.uint32) ^ low) + high)


def keyed_rows_ops(words: Any, rows: Any) -> Any:
    """Return what :func:`keyed_rows` does, inside a Keras graph."""
    from keras import ops

    row = ops.cast(rows, "uint32")
    return _mix_ops(_mix_ops(ops.bitwise_xor(row, words[0])) + words[1])


def _cells(keyed: npt.NDArray[np.uint32], bins: int) -> npt.NDArray[np.uint32]:
    with np.errstate(over="ignore"):
        strides = np.arange(bins, dtype=np.uint32) * np.uint32(_BIN_STRIDE)
        return _mix(keyed[..., None] + strides)


def _unit(word: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    return (word >> np.uint32(32 - _MANTISSA)).astype(np.float32) * np.float32(2.0**-_MANTISSA)


def _unit_ops(word: Any) -> Any:
    from keras import ops

    shifted = ops.right_shift(word, word_constant(32 - _MANTISSA))
    return ops.cast(shifted, "float32") * np.float32(2.0**-_MANTISSA)


def _mix(word: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    word = (word ^ (word >> np.uint32(16))) * np.uint32(_MULTIPLIER_1)
    word = (word ^ (word >> np.uint32(15))) * np.uint32(_MULTIPLIER_2)
    return word ^ (word >> np.uint32(16))


def word_constant(value: int) -> Any:
    """Return a 32-bit word as a constant of a Keras graph."""
    from keras import ops

    return ops.convert_to_tensor(np.uint32(value), "uint32")


def _mix_ops(word: Any) -> Any:
    from keras import ops

    def folded(part: Any, shift: int) -> Any:
        return ops.bitwise_xor(part, ops.right_shift(part, word_constant(shift)))

    word = folded(word, 16) * word_constant(_MULTIPLIER_1)
    word = folded(word, 15) * word_constant(_MULTIPLIER_2)
    return folded(word, 16)
