"""The power of a recording while it sounds, against which noise is measured.

The mean over a whole recording counts its silence: the same music with a longer pause after it
would be given softer noise. The *active power* is the mean square of those frames of 32 ms whose
mean square lies within 40 dB of the loudest frame's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FRAME_SECONDS = 0.032
RANGE_DB = 40.0


class ActivePower:
    """Measures the active power of samples that pass through it in blocks.

    Frames follow one another from the first sample on. The last one counts if it is whole, or if
    there is no other.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._length = max(1, round(FRAME_SECONDS * sample_rate_hz))
        self._powers: list[npt.NDArray[np.float64]] = []
        self._held = np.zeros(0, np.float32)

    def feed(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Take samples ``(samples,)`` in, and return them."""
        held = np.concatenate([self._held, block])
        frames = held[: len(held) // self._length * self._length].reshape(-1, self._length)
        self._held = held[frames.size :]
        self._powers.append(np.square(frames, dtype=np.float64).mean(axis=1))
        return block

    def power(self) -> float:
        """Return the active power, full scale 1; of silence, or of no samples, it is 0."""
        powers = np.concatenate(self._powers) if self._powers else np.zeros(0)
        if not len(powers) and len(self._held):
            powers = np.square(self._held[np.newaxis], dtype=np.float64).mean(axis=1)
        if not len(powers):
            return 0.0
        return float(powers[powers >= powers.max() * 10 ** (-RANGE_DB / 10)].mean())


def active_power(samples: npt.NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return the active power of samples, ``(samples,)``."""
    meter = ActivePower(sample_rate_hz)
    meter.feed(samples)
    return meter.power()
