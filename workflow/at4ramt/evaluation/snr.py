"""Signal-to-noise ratios of uniform noise on CQT magnitudes.

Noise of level l is drawn from U(0, l) and added to clean magnitudes C. Its mean
is l/2, its mean square l^2/3 and its variance l^2/12. Four ratios follow, in dB:

============================  ==================================  =================
column                        definition                          mean C .03, l .34
============================  ==================================  =================
``snr_paper_db``              10 log10(mean C / (l/2))            -7.5
``snr_amplitude_db``          20 log10(mean C / (l/2))            -15.1
``snr_power_db``              10 log10(mean C^2 / (l^2/3))        needs mean C^2
``snr_power_centred_db``      10 log10(mean C^2 / (l^2/12))       6.0 dB above
============================  ==================================  =================

The paper (Results) takes the first and prints -7.7 dB for these two numbers. With
the rounded .03 that it prints beside it the formula gives -7.5; -7.7 needs a
mean of .0289, which rounds to .03, so we take it to be computed from the
unrounded mean. As magnitudes are amplitudes, a ratio of them in dB is customarily
20 log10: the second column. The last two compare powers; the very last without the
noise's mean, which a listener to a spectrogram can subtract.

Level 0 has no noise: all four are infinite.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from at4ramt.errors import InputError

SNR_COLUMNS = ("snr_paper_db", "snr_amplitude_db", "snr_power_db", "snr_power_centred_db")


def magnitude_statistics(blocks: Iterable[NDArray[np.floating[Any]]]) -> tuple[float, float]:
    """Return mean C and mean C^2 over all cells of several arrays of magnitudes.

    The blocks may have any shapes and are read once, in order. Raises InputError
    when they hold no cell.
    """
    cells, total, square = 0, 0.0, 0.0
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        cells += values.size
        total += float(values.sum())
        square += float(np.square(values).sum())
    if not cells:
        raise InputError(
            "no frames to take the mean magnitude of: expected at least one. "
            "Check that the split has pieces and that shards.minimum_level keeps some frames."
        )
    return total / cells, square / cells


def signal_to_noise(
    level: ArrayLike, mean_magnitude: ArrayLike, mean_square_magnitude: ArrayLike
) -> dict[str, Any]:
    """Return the four ratios in dB, by column name; see the module for their definitions.

    The arguments are numbers or arrays that broadcast. Raises InputError for a
    negative level, for clean magnitudes of mean 0 and for a mean square below
    the square of the mean (no data have that).
    """
    noise = np.asarray(level, dtype=np.float64)
    mean = np.asarray(mean_magnitude, dtype=np.float64)
    square = np.asarray(mean_square_magnitude, dtype=np.float64)
    if not (np.isfinite(noise) & (noise >= 0)).all():
        raise InputError(
            f"noise level {level!r}: expected a finite number >= 0. Correct the level."
        )
    if not (np.isfinite(mean) & (mean > 0)).all():
        raise InputError(
            f"mean magnitude {mean_magnitude!r}: expected a number > 0. "
            "The audio is silent or its features are broken; render or extract it again."
        )
    # a little slack, because a constant signal reaches equality but for rounding
    if not (square >= np.square(mean) * (1 - 1e-6)).all():
        raise InputError(
            f"mean square magnitude {mean_square_magnitude!r} is below the square of the mean "
            f"magnitude {mean_magnitude!r}. Take both from the same frames."
        )
    with np.errstate(divide="ignore"):
        amplitude = np.log10(mean / (noise / 2))
        power = np.log10(square / (np.square(noise) / 3))
    values = (10 * amplitude, 20 * amplitude, 10 * power, 10 * (power + np.log10(4.0)))
    return {name: value[()] for name, value in zip(SNR_COLUMNS, values, strict=True)}


def snr_table(levels: pd.DataFrame, statistics: pd.DataFrame) -> pd.DataFrame:
    """Return every row of ``levels`` on every row of ``statistics``, with the four ratios.

    ``levels`` has a column level (and any others, such as arm, seed, round);
    ``statistics`` has mean_magnitude and mean_square_magnitude (and any others,
    such as split, instrument). Raises InputError as :func:`signal_to_noise` does.
    """
    table = levels.merge(statistics, how="cross")
    ratios = signal_to_noise(
        table["level"].to_numpy(),
        table["mean_magnitude"].to_numpy(),
        table["mean_square_magnitude"].to_numpy(),
    )
    return table.drop(columns="mean_square_magnitude").assign(**ratios)
