"""The constant-Q transform of audio of any length, block by block.

What comes out equals what :func:`~at4ramt.features.cqt.complex_cqt` makes of the
whole: the same number of frames at the same times, with differences below a
millionth of the largest magnitude, which is rounding. Memory is that of a
block, about 50 MB, however long the audio is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from at4ramt.features.cqt import PITCHES_PER_OCTAVE, CqtSettings, complex_cqt, pitch_hz

BLOCK_FRAMES = 4096
"""Frames transformed at once, two minutes: the margins on either side, of 1.4 s, are done twice."""

MARGIN_FILTERS = 1.5
"""Audio needed on either side of a block, in lengths of the lowest bin's filter (0.9 s).

Half a length is the filter's own; behind it the filters that halve the rate,
octave after octave, must have died away. From 0.75 on the difference is rounding."""


def cqt_blocks(
    blocks: Iterable[npt.NDArray[np.float32]], settings: CqtSettings
) -> Iterator[npt.NDArray[np.complex64]]:
    """Yield the complex constant-Q transform of mono audio as it comes.

    Args:
        blocks: samples at ``settings.sample_rate_hz``, each ``(samples,)``.
        settings: the numbers of the transform.

    Yields:
        Successive frames, complex64, ``(at most 4096, bins)`` but for the last
        block, which may have a margin more; together ``1 + samples //
        hop_length_samples`` of them, or none without samples.
    """
    hop = settings.hop_length_samples
    margin = math.ceil(MARGIN_FILTERS * _filter_seconds(settings) * settings.sample_rate_hz / hop)
    held = np.zeros(0, np.float32)  # audio from frame `origin` on
    origin = done = 0  # frames
    for block in blocks:
        held = np.concatenate([held, block])
        # All blocks begin on a frame: the audio that is halved for each octave is then the same.
        while origin * hop + len(held) >= (end := done + BLOCK_FRAMES + margin) * hop:
            transform = complex_cqt(held[: (end - origin) * hop], settings)
            yield transform[done - origin : done - origin + BLOCK_FRAMES]
            done += BLOCK_FRAMES
            start = max(0, done - margin)
            held, origin = held[(start - origin) * hop :], start
    if len(held):
        with warnings.catch_warnings():
            # Audio shorter than a filter is what it is.
            warnings.filterwarnings("ignore", "n_fft=", UserWarning)
            yield complex_cqt(held, settings)[done - origin :]


def _filter_seconds(settings: CqtSettings) -> float:
    """Return the length of the lowest bin's filter: as many periods as part it from the next."""
    periods = 1 / (2 ** (1 / (PITCHES_PER_OCTAVE * settings.bins_per_pitch)) - 1)
    return float(periods / pitch_hz(settings.first_pitch))
