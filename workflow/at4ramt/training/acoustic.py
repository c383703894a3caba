"""Acoustic noise in training: pools of transformed noise, added to the complex transform.

The constant-Q transform is linear, so that ``|CQT(music) + level * rms * CQT(noise)|`` is what
a recording with that noise in it would give, where ``rms`` is the root of the music's active
power: the level is a ratio of amplitudes, and the signal-to-noise ratio ``-20 log10(level)`` dB.

Which row of the pool a frame gets is a function of a seed and the frame's row: successive rows
in blocks of :data:`BLOCK_ROWS`, so that the noise goes on in time as it does in a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.audio_noise.pool import Pool
from at4ramt.features.frames import FrameMatrix
from at4ramt.training.noise import keyed_rows, keyed_rows_ops, word_constant

BLOCK_ROWS = 128


@dataclass(frozen=True)
class AcousticNoise:
    """Transformed noise to draw from.

    Attributes:
        real: real parts, float16, ``(rows, bins)``.
        imag: imaginary parts likewise.
    """

    real: npt.NDArray[np.float16]
    imag: npt.NDArray[np.float16]

    @classmethod
    def from_pools(cls, pools: Sequence[Pool]) -> AcousticNoise:
        """Return the noise of one or more pools, in the bins that the networks see."""
        return cls(
            *(
                np.ascontiguousarray(
                    np.concatenate([getattr(pool, part)[:, pool.heard] for pool in pools])
                )
                for part in ("real", "imag")
            )
        )

    def rows_for(self, seed: int, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the pool's row for each row of the music, in the shape of ``rows``."""
        row = np.asarray(rows).astype(np.int64)
        offset = (keyed_rows(seed, row // BLOCK_ROWS) >> np.uint32(8)).astype(np.int64)
        return (offset + row) % len(self.real)

    def added(
        self, matrix: FrameMatrix, rows: npt.NDArray[np.int64], seed: int, levels: npt.ArrayLike
    ) -> npt.NDArray[np.float32]:
        """Return magnitudes of rows of the music with noise in them.

        Args:
            matrix: the music, with its transform.
            rows: row numbers, any shape ``s``.
            seed: from :func:`at4ramt.seeds.purpose_seed`.
            levels: ratio of amplitudes, of a shape that broadcasts to ``s``.

        Returns:
            float32, ``(*s, bins)``.
        """
        assert matrix.real is not None and matrix.imag is not None and matrix.rms is not None
        chosen = self.rows_for(seed, rows)
        gain = (np.asarray(levels, np.float32) * matrix.rms[rows])[..., None]
        real = matrix.real[rows] + gain * self.real[chosen].astype(np.float32)
        imag = matrix.imag[rows] + gain * self.imag[chosen].astype(np.float32)
        return np.hypot(real, imag)


def noise_rows_ops(words: Any, rows: Any, pool_rows: int) -> Any:
    """Return what :meth:`AcousticNoise.rows_for` gives, int32, inside a Keras graph."""
    from keras import ops

    row = ops.cast(rows, "int32")
    keyed = keyed_rows_ops(words, row // BLOCK_ROWS)
    offset = ops.cast(ops.right_shift(keyed, word_constant(8)), "int32")
    return (offset + row) % pool_rows
