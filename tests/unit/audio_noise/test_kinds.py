"""Kinds of noise: their power, spectrum and course, against what their definitions say."""

import numpy as np
import pytest
from scipy.signal import welch

from at4ramt.audio_noise import kinds
from at4ramt.audio_noise.kinds import (
    GENERATED,
    MIXING_RATE_HZ,
    reverberation,
    room_tail,
    unit_noise,
    unit_reverberation,
)
from at4ramt.features.power import active_power

SECONDS = 28
SAMPLES = SECONDS * MIXING_RATE_HZ


@pytest.fixture(scope="module")
def excerpts():
    """Tones a semitone apart, each of power 1."""
    time = np.arange(MIXING_RATE_HZ * 2) / MIXING_RATE_HZ
    hertz = 220 * 2 ** (np.arange(12) / 12)
    return (np.sqrt(2) * np.sin(2 * np.pi * hertz[:, np.newaxis] * time)).astype(np.float16)


def noise(kind, samples, seed, excerpts):
    return np.concatenate(list(unit_noise(kind, samples, seed, excerpts=excerpts)))


@pytest.mark.parametrize("kind", GENERATED)
def test_power_is_one_everywhere_and_a_seed_is_one_noise(kind, excerpts):
    whole = noise(kind, SAMPLES, 5, excerpts)
    assert whole.dtype == np.float32 and len(whole) == SAMPLES
    assert active_power(whole, MIXING_RATE_HZ) == pytest.approx(1, abs=0.03)
    # Where one span fades into the next, too.
    step = kinds.SPAN_FRAMES - kinds.FADE_FRAMES
    seam = np.square(whole[step : step + kinds.FADE_FRAMES], dtype=np.float64).mean()
    assert seam == pytest.approx(1, abs=0.35)
    assert np.array_equal(noise(kind, 100_001, 5, excerpts), whole[:100_001])
    other = noise(kind, 100_001, 6, excerpts)
    assert abs(np.corrcoef(other, whole[:100_001])[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("kind", "per_octave"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)]
)
def test_colours_fall_by_so_many_decibels_an_octave_and_are_flat_below_hearing(kind, per_octave):
    frequency, density = welch(noise(kind, SAMPLES, 7, None), MIXING_RATE_HZ, nperseg=1 << 14)
    level = 10 * np.log10(density)
    heard = (frequency > 40) & (frequency < 10_000)
    slope = np.polyfit(np.log2(frequency[heard]), level[heard], 1)[0]
    assert slope == pytest.approx(per_octave, abs=0.15)
    below = (frequency > 3) & (frequency < 15)
    expected = level[heard][0] - per_octave * np.log2(frequency[heard][0] / 20)
    assert level[below].mean() == pytest.approx(expected, abs=1.5)


def test_hum_is_the_mains_harmonics_and_wanders():
    hum = noise("hum", SAMPLES, 11, None).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(hum * np.hanning(len(hum)))) ** 2
    frequency = np.fft.rfftfreq(len(hum), 1 / MIXING_RATE_HZ)
    number = np.rint(frequency / 50)
    near = (number >= 1) & (np.abs(frequency - 50 * number) < 0.002 * 50 * number + 0.5)
    assert spectrum[near].sum() / spectrum.sum() == pytest.approx(0.999, abs=0.0012)
    harmonics = np.array([spectrum[near & (number == k)].sum() for k in range(1, 31)])
    fall = np.polyfit(np.log10(np.arange(1, 31)), 10 * np.log10(harmonics), 1)[0]
    assert fall == pytest.approx(-20, abs=5)
    seconds = np.square(hum).reshape(SECONDS, -1).mean(axis=1)
    assert 0.01 < seconds.std() / seconds.mean() < 0.3
    # The frequency, by the phase that the fundamental gains in a second.
    time = np.arange(SAMPLES) / MIXING_RATE_HZ
    turned = (hum * np.exp(-2j * np.pi * 50 * time)).reshape(SECONDS, -1).mean(axis=1)
    drift = np.diff(np.unwrap(np.angle(turned))) / (2 * np.pi)
    assert 1e-4 < np.abs(drift).max() <= 1.1 * kinds.HUM_DRIFT * 50


def test_babble_keeps_the_band_of_its_voices_and_no_pitch_of_theirs(excerpts):
    # All voices have one tone, at which all of the power lay if they were played as they are.
    frequency, density = welch(
        noise("babble", SAMPLES, 13, excerpts[:1]), MIXING_RATE_HZ, nperseg=1 << 14
    )
    inside = (frequency > 105) & (frequency < 445)
    assert density[inside].sum() > 0.98 * density.sum()
    of_tones = [density[np.abs(frequency - tone) < 3].sum() for tone in range(110, 440, 3)]
    assert max(of_tones) < 0.15 * density.sum()
    with pytest.raises(ValueError, match="without excerpts"):
        unit_noise("babble", 10, 1)
    with pytest.raises(ValueError, match="'grey'"):
        unit_noise("grey", 10, 1)


def test_a_room_is_the_convolution_with_its_tail_without_the_direct_sound():
    random = np.random.default_rng(1)
    music = random.standard_normal(60_000).astype(np.float32)
    music[30_000:] *= 1e-4
    tail = room_tail(17)
    blocks = np.split(music, [5, 5, 700, 41_000])
    wet = np.concatenate(list(reverberation(blocks, tail)))
    expected = np.convolve(music.astype(np.float64), tail.astype(np.float64))[: len(music)]
    np.testing.assert_allclose(wet, expected, atol=1e-4 * np.abs(expected).max())
    unit = np.concatenate(list(unit_reverberation(lambda: blocks, 17)))
    assert active_power(unit, MIXING_RATE_HZ) == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(unit / unit[1000], wet / wet[1000], rtol=1e-3, atol=1e-3)


def test_a_tail_falls_by_60_db_in_its_time_and_begins_after_the_direct_sound():
    lengths = []
    for seed in range(30):
        tail = room_tail(seed).astype(np.float64)
        gap = round(kinds.ROOM_GAP_SECONDS * MIXING_RATE_HZ)
        assert not tail[:gap].any() and tail[gap:].any()
        assert np.square(tail).sum() == pytest.approx(1)
        lengths.append(len(tail) / MIXING_RATE_HZ)
        tenths = np.array_split(np.square(tail[gap:]), 10)
        fall = 10 * np.log10(tenths[0].mean() / tenths[-1].mean())
        assert fall == pytest.approx(54, abs=5)
    low, high = kinds.ROOM_RT60_SECONDS
    assert low <= min(lengths) < low + 0.15 and high - 0.15 < max(lengths) <= high
