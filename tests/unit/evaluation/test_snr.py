"""Signal-to-noise ratios against measured noise and against the paper's number."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation import snr


def test_equals_ratios_measured_on_drawn_noise() -> None:
    generator = np.random.default_rng(2)
    clean, level = generator.exponential(0.03, 500_000), 0.34
    noise = generator.uniform(0, level, 500_000)
    mean, square = snr.magnitude_statistics([clean[:1000].reshape(10, 100), clean[1000:]])
    ratios = snr.signal_to_noise(level, mean, square)
    measured = {
        "snr_paper_db": 10 * math.log10(clean.mean() / noise.mean()),
        "snr_amplitude_db": 20 * math.log10(clean.mean() / noise.mean()),
        "snr_power_db": 10 * math.log10((clean**2).mean() / (noise**2).mean()),
        "snr_power_centred_db": 10 * math.log10((clean**2).mean() / noise.var()),
    }
    assert set(ratios) == set(snr.SNR_COLUMNS)
    assert ratios == pytest.approx(measured, abs=0.03)


def test_the_papers_number() -> None:
    # Results: "average sound level of 0.03 .. intensity factor of 0.34 .. SNR of -7.7dB".
    # The printed .03 gives -7.5; -7.7 needs a mean that rounds to .03.
    printed = snr.signal_to_noise(0.34, 0.03, 0.03**2)["snr_paper_db"]
    assert printed == pytest.approx(10 * math.log10(0.03 / 0.17))
    assert round(printed, 1) == -7.5
    unrounded = 0.17 * 10**-0.77
    assert round(unrounded, 2) == 0.03
    assert snr.signal_to_noise(0.34, unrounded, 1.0)["snr_paper_db"] == pytest.approx(-7.7)
    assert snr.signal_to_noise(0.34, 0.03, 1.0)["snr_amplitude_db"] == pytest.approx(-15.1, abs=0.1)


def test_no_noise_is_infinite_and_arrays_broadcast() -> None:
    ratios = snr.signal_to_noise([0.0, 0.34], 0.03, 0.01)
    for name in snr.SNR_COLUMNS:
        assert ratios[name][0] == np.inf
        assert ratios[name][1] == snr.signal_to_noise(0.34, 0.03, 0.01)[name]


def test_table_crosses_levels_and_pianos() -> None:
    levels = pd.DataFrame({"round": [1, 2], "level": [0.02, 0.34]})
    pianos = pd.DataFrame(
        {
            "instrument": ["a", "b", "c"],
            "mean_magnitude": [0.03, 0.02, 0.01],
            "mean_square_magnitude": [0.004, 0.003, 0.002],
        }
    )
    table = snr.snr_table(levels, pianos)
    assert list(table.columns) == [
        "round",
        "level",
        "instrument",
        "mean_magnitude",
        *snr.SNR_COLUMNS,
    ]
    assert len(table) == 6
    row = table[(table["round"] == 2) & (table["instrument"] == "b")].iloc[0]
    assert row["snr_power_db"] == pytest.approx(10 * math.log10(0.003 / (0.34**2 / 3)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-0.1, 0.03, 0.01), "noise level -0.1"),
        ((math.nan, 0.03, 0.01), "noise level nan"),
        ((0.1, 0.0, 0.0), "mean magnitude 0.0.*silent"),
        ((0.1, 0.03, 0.0001), "below the square of the mean"),
    ],
)
def test_bad_input_is_named(arguments, words: str) -> None:
    with pytest.raises(InputError, match=words):
        snr.signal_to_noise(*arguments)


def test_no_frames_is_an_error() -> None:
    with pytest.raises(InputError, match="no frames"):
        snr.magnitude_statistics([np.zeros((0, 168))])
