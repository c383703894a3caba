"""Kinds of noise of unit power, of any length, in blocks.

All are made at :data:`MIXING_RATE_HZ`, whatever the recording's own rate: the same ratio then is as
much noise in the band of a piano on every corpus. What comes is a function of kind and seed
alone: shorter noise is the beginning of longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.features.audio import BLOCK_FRAMES
from at4ramt.features.power import ActivePower

MIXING_RATE_HZ = 22_050
"""basic-pitch's rate, which loses nothing that the pitches of a piano need."""

GENERATED = ("white", "pink", "brown", "hum", "babble")
"""Noise that does not depend on the recording that it is added to."""

ROOM = "room"
KINDS = (*GENERATED, ROOM)

EXPONENTS = {"pink": 1.0, "brown": 2.0}
"""By how much power falls with frequency: as its reciprocal to this power."""

FLOOR_HZ = 20.0
"""Below what can be heard power no longer rises: else most of brown noise were there."""

SPAN_FRAMES = 1 << 19
FADE_FRAMES = 1 << 14
"""Spans of noise are drawn apart and follow one another with 0.7 s in which one fades into the
next, at equal power: memory does not depend on the length."""

HUM_HZ = 50.0
HUM_HARMONICS = 100
HUM_HARMONIC_DB = 3.0
HUM_DRIFT = 1e-3
HUM_SWELL = 0.2
HUM_BROADBAND = 1e-3
"""Of mains hum: the grid's frequency, the harmonics up to 5 kHz, by how many dB (one standard
deviation) their amplitudes differ from 1/k, how far the frequency and the amplitude wander at most
(as shares), and the share of its power that is pink noise."""

VOICES = 48
VOICE_RATES = (0.5, 2.0)
VOICE_LEVEL_DB = 4.0
"""Of babble: how many excerpts sound at once, how fast they are played, and how many dB (one
standard deviation) their levels differ."""

ROOM_RT60_SECONDS = (0.4, 1.2)
ROOM_GAP_SECONDS = 0.02
"""Of a room: how long its sound takes to fall by 60 dB, and when it begins after the direct one."""

Samples = npt.NDArray[np.float32]
Recording = Callable[[], Iterable[Samples]]
"""Gives a recording's blocks, one channel at the mixing rate, from its beginning."""


def unit_noise(
    kind: str, samples: int, seed: int, *, excerpts: npt.NDArray[Any] | None = None
) -> Iterator[Samples]:
    """Yield noise of power 1 at the mixing rate, in blocks.

    Args:
        kind: one of :data:`GENERATED`.
        samples: how many in all.
        seed: what is drawn by.
        excerpts: what babble is made of, ``(excerpts, samples)``, each of active power 1.

    Raises:
        ValueError: if the kind is another, or babble lacks its excerpts.
    """
    if kind == "white":
        return _white(samples, seed)
    if kind in EXPONENTS:
        return _joined(lambda random: coloured_span(EXPONENTS[kind], random), samples, seed)
    if kind == "hum":
        return _hum(samples, seed)
    if kind == "babble" and excerpts is not None:
        return _joined(lambda random: babble_span(excerpts, random), samples, seed)
    raise ValueError(f"unknown noise {kind!r}, or babble without excerpts")


def _white(samples: int, seed: int) -> Iterator[Samples]:
    random = np.random.default_rng(seed)
    for start in range(0, samples, BLOCK_FRAMES):
        yield random.standard_normal(min(BLOCK_FRAMES, samples - start)).astype(np.float32)


def _joined(
    span_of: Callable[[np.random.Generator], Samples], samples: int, seed: int
) -> Iterator[Samples]:
    """Yield spans that fade into one another, each drawn by a generator of its own."""
    angle = np.linspace(0, np.pi / 2, FADE_FRAMES, dtype=np.float32)
    rising, falling = np.sin(angle), np.cos(angle)
    step = SPAN_FRAMES - FADE_FRAMES
    last: Samples | None = None
    for number, start in enumerate(range(0, samples, step)):
        span = span_of(np.random.default_rng([seed, number]))
        if last is not None:
            span[:FADE_FRAMES] = span[:FADE_FRAMES] * rising + last * falling
        yield span[: min(step, samples - start)]
        last = span[step:]


def _of_power_1(samples: npt.NDArray[np.floating]) -> Samples:
    return np.asarray(samples / np.sqrt(np.square(samples, dtype=np.float64).mean()), np.float32)


def coloured_span(exponent: float, random: np.random.Generator) -> Samples:
    """Return a span of noise whose power falls as frequency to ``-exponent``, above 20 Hz."""
    from colorednoise import powerlaw_psd_gaussian

    floor = FLOOR_HZ / MIXING_RATE_HZ
    return _of_power_1(powerlaw_psd_gaussian(exponent, SPAN_FRAMES, floor, random))


def babble_span(excerpts: npt.NDArray[Any], random: np.random.Generator) -> Samples:
    """Return a span of a crowd of excerpts, each backwards, from anywhere, at a speed of its own.

    An excerpt that ends begins again. So many sound at once that no melody is to be heard.
    """
    span = np.zeros(SPAN_FRAMES, np.float32)
    time = np.arange(SPAN_FRAMES, dtype=np.float64)
    for _ in range(VOICES):
        excerpt = excerpts[random.integers(len(excerpts))][::-1].astype(np.float32)
        rate = np.exp(random.uniform(*np.log(VOICE_RATES)))
        gain = 10 ** (random.normal(0, VOICE_LEVEL_DB) / 20)
        place = (random.uniform(0, len(excerpt)) + rate * time) % len(excerpt)
        before = place.astype(np.int64) % len(excerpt)
        share = (place - before).astype(np.float32)
        after = (before + 1) % len(excerpt)
        span += np.float32(gain) * (excerpt[before] * (1 - share) + excerpt[after] * share)
    return _of_power_1(span)


def _wander(random: np.random.Generator, largest: float) -> npt.NDArray[np.float64]:
    """Return amplitude, frequency (Hz) and phase of slow oscillations, ``(3, 4)``."""
    frequency = np.exp(random.uniform(np.log(0.02), np.log(0.5), 4))
    return np.stack([np.full(4, largest / 4), frequency, random.uniform(0, 2 * np.pi, 4)])


def _hum(samples: int, seed: int) -> Iterator[Samples]:
    random = np.random.default_rng([seed, 1])
    drift, swell = _wander(random, HUM_DRIFT), _wander(random, HUM_SWELL)
    number = np.arange(1, HUM_HARMONICS + 1)
    amplitude = 10 ** (random.normal(0, HUM_HARMONIC_DB, HUM_HARMONICS) / 20) / number
    phase = random.uniform(0, 2 * np.pi, HUM_HARMONICS)
    power = np.square(amplitude).sum() / 2 * (1 + np.square(swell[0]).sum() / 2)
    coefficients = amplitude * np.exp(1j * phase) * np.sqrt((1 - HUM_BROADBAND) / power)
    start = 0
    for broadband in _joined(lambda random: coloured_span(1.0, random), samples, seed):
        hum = np.empty(len(broadband), np.float32)
        # By 16,384 samples, whose powers of one oscillation stay in the processor's cache.
        for first in range(0, len(hum), 1 << 14):
            part = slice(first, first + (1 << 14))
            time = (start + np.arange(*part.indices(len(hum)))) / MIXING_RATE_HZ
            turned = time.copy()
            for share, frequency, angle in drift.T:
                # The integral of the frequency: cos, since its derivative is the oscillation.
                turned -= (
                    share * np.cos(2 * np.pi * frequency * time + angle) / (2 * np.pi * frequency)
                )
            base = np.exp(2j * np.pi * HUM_HZ * turned)
            # Horner's rule on the harmonics, as a polynomial in the fundamental.
            total = np.zeros(len(time), np.complex128)
            for coefficient in coefficients[::-1]:
                total += coefficient
                total *= base
            level = 1 + sum(a * np.sin(2 * np.pi * f * time + angle) for a, f, angle in swell.T)
            hum[part] = total.real * level
        yield hum + np.float32(np.sqrt(HUM_BROADBAND)) * broadband
        start += len(broadband)


def room_tail(seed: int) -> Samples:
    """Return what a room answers to an impulse after the direct sound, at the mixing rate.

    Noise that decays exponentially, as long as it is within 60 dB, of energy 1.
    """
    random = np.random.default_rng(seed)
    rt60 = random.uniform(*ROOM_RT60_SECONDS)
    gap = round(ROOM_GAP_SECONDS * MIXING_RATE_HZ)
    time = np.arange(gap, round(rt60 * MIXING_RATE_HZ)) / MIXING_RATE_HZ
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    return np.pad(tail / np.sqrt(np.square(tail).sum()), (gap, 0)).astype(np.float32)


def reverberation(recording: Iterable[Samples], tail: Samples) -> Iterator[Samples]:
    """Yield what a room adds to a recording, as many samples as it has."""
    from scipy.signal import oaconvolve

    rest = np.zeros(len(tail) - 1, np.float32)
    for block in recording:
        if not len(block):
            continue
        wet = np.asarray(oaconvolve(block, tail), np.float32)
        wet[: len(rest)] += rest
        yield wet[: len(block)]
        rest = wet[len(block) :]


def unit_reverberation(recording: Recording, seed: int) -> Iterator[Samples]:
    """Yield :func:`reverberation` of active power 1; the recording is read twice."""
    tail = room_tail(seed)
    meter = ActivePower(MIXING_RATE_HZ)
    for block in reverberation(recording(), tail):
        meter.feed(block)
    gain = np.float32(1 / np.sqrt(meter.power()))
    for block in reverberation(recording(), tail):
        yield gain * block
