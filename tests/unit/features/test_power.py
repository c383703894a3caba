"""Active power of signals whose loud part is known by hand."""

import numpy as np
import pytest

from at4ramt.features.power import ActivePower, active_power

RATE = 16_000
FRAME = 512


def test_silence_and_what_is_far_below_the_loudest_frame_do_not_count():
    loud = np.tile([0.5, -0.5], 10 * FRAME // 2)
    softer = loud[: 4 * FRAME] * 10 ** (-39 / 20)
    lost = loud[: 7 * FRAME] * 10 ** (-41 / 20)
    signal = np.concatenate([np.zeros(8 * FRAME), loud, lost, softer, np.zeros(30 * FRAME)])
    expected = 0.25 * (10 + 4 * 10**-3.9) / 14
    assert active_power(signal.astype(np.float32), RATE) == pytest.approx(expected, rel=1e-5)
    # Louder or softer, it is the same music.
    quiet = (signal / 1000).astype(np.float32)
    assert active_power(quiet, RATE) == pytest.approx(expected / 1e6, rel=1e-5)


def test_blocks_change_nothing_and_an_end_that_fills_no_frame_is_left_out():
    random = np.random.default_rng(3)
    signal = random.standard_normal(20 * FRAME + 100).astype(np.float32)
    whole = np.square(signal[: 20 * FRAME], dtype=np.float64).mean()
    for cuts in ([], [1, 2, 500], [512, 513, 4000, 20 * FRAME]):
        meter = ActivePower(RATE)
        for block in np.split(signal, cuts):
            assert meter.feed(block) is block
        assert meter.power() == pytest.approx(whole, rel=1e-6)
    assert active_power(signal[:100], RATE) == pytest.approx(
        np.square(signal[:100], dtype=np.float64).mean()
    )
    assert active_power(np.zeros(0, np.float32), RATE) == 0.0
    assert active_power(np.zeros(3 * FRAME, np.float32), RATE) == 0.0
