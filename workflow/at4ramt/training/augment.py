"""What each segment of a step is changed by: how loud its noise is, transposition, gain, tone.

All of it is free, since the features are the complex transform: a transposition by whole
semitones is a crop of the bins, with the labels moved along, and gain and tone are
factors on the bins. What is drawn is a function of the generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CURVES = 3
"""Waves of the tone curve: the first tilts the spectrum, the others bend it."""


@dataclass(frozen=True)
class Augmentation:
    """How far segments are changed, each by another draw.

    Attributes:
        transpose_pitches: at most so many semitones up or down.
        gain_db: at most so much louder or softer.
        equaliser_db: standard deviation of the tone curve's first wave; of wave ``n``
            an ``n``-th of it.
    """

    transpose_pitches: int = 0
    gain_db: float = 0.0
    equaliser_db: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        return self.transpose_pitches > 0 or self.gain_db > 0 or self.equaliser_db > 0

    def draw(
        self, rng: np.random.Generator, count: int, bins: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what ``count`` segments are changed by.

        Returns:
            Semitones up, int32, ``(count,)``; factors on the bins, gain included, float32,
            ``(count, bins)``; and the gain alone, as a ratio of amplitudes, ``(count,)``.
        """
        reach = self.transpose_pitches
        semitones = rng.integers(-reach, reach + 1, count, dtype=np.int32)
        gain = rng.uniform(-self.gain_db, self.gain_db, count)
        decibels = np.repeat(gain[:, None], bins, axis=1)
        place = np.pi * np.linspace(0, 1, bins)
        for wave in range(1, CURVES + 1):
            height = rng.normal(0, 1, count) * self.equaliser_db / wave
            phase = rng.uniform(0, 2 * np.pi, count)
            decibels += height[:, None] * np.cos(wave * place + phase[:, None])
        return (semitones, _ratio(decibels).astype(np.float32), _ratio(gain).astype(np.float32))


UNCHANGED = Augmentation()


def draw_levels(
    rng: np.random.Generator,
    count: int,
    level: float,
    *,
    drawn: bool,
    snr_db: tuple[float, float] | None = None,
    clean_share: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Return the noise levels of ``count`` segments.

    Args:
        rng: the generator.
        count: how many.
        level: the level; the highest, where levels are drawn.
        drawn: whether they are drawn uniformly from 0 to the level.
        snr_db: draw signal-to-noise ratios uniformly from this range instead; levels are then
            the ratios of amplitudes of noise and music.
        clean_share: share of the segments that get none, of those ratios.
    """
    if snr_db is not None:
        levels = _ratio(-rng.uniform(*snr_db, count))
        levels[rng.random(count) < clean_share] = 0.0
        return levels.astype(np.float32)
    levels = np.full(count, level, np.float32)
    if drawn:
        levels *= rng.random(count, dtype=np.float32)
    return levels


def learning_rate_at(
    progress: float, highest: float, *, schedule: str, warmup_share: float
) -> float:
    """Return the learning rate after a share of a training, 0..1.

    It rises linearly over the first ``warmup_share``, then stays (``constant``) or falls
    along half a cosine to a thousandth of the highest (``cosine``).
    """
    if progress < warmup_share:
        return highest * max(progress / warmup_share, 1e-3)
    if schedule == "constant":
        return highest
    fallen = (progress - warmup_share) / (1 - warmup_share)
    return float(highest * (1e-3 + (1 - 1e-3) * (0.5 + 0.5 * np.cos(np.pi * min(fallen, 1.0)))))


def _ratio(decibels: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    return 10.0 ** (decibels / 20)
