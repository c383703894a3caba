"""A piano that needs no recording: for listening to notes where no sampled piano is at hand.

A key is a sum of harmonics that die away, the higher the faster, as a string's
do; nothing in it is measured. It is played by :mod:`at4ramt.corpus.sampler`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from at4ramt.corpus.pianos import RATE, SOFTENING_POWER, damper_speed
from at4ramt.corpus.sampler import Piano, Tone, Voice
from at4ramt.features.cqt import pitch_hz

TONE_SECONDS = 6.0
HARMONICS = 12
ATTACK_SECONDS = 0.003
DECAY_PER_SECOND = 0.8
"""Rate at which the fundamental of A4 dies away; a harmonic's grows with its frequency."""


def plain_piano() -> Piano:
    """Return the piano."""
    return Piano("plain", _voices, lru_cache(maxsize=None)(_tone))


def _voices(key: int, velocity: int) -> Sequence[Voice]:
    gain = 0.3 * (velocity / 127) ** SOFTENING_POWER
    return [Voice(Tone(str(key), 1.0, attack=ATTACK_SECONDS), gain, gain, damper_speed(key))]


def _tone(key: str) -> NDArray[np.float32]:
    """Return the sound of a key, ``(1, frames)``, at the sampler's rate."""
    hertz = pitch_hz(int(key))
    time = np.arange(round(TONE_SECONDS * RATE)) / RATE
    sound = np.zeros(len(time))
    for harmonic in range(1, HARMONICS + 1):
        if harmonic * hertz < RATE / 2:
            decay = DECAY_PER_SECOND * np.sqrt(harmonic * hertz / 440)
            wave = np.sin(2 * np.pi * harmonic * hertz * time)
            sound += wave * np.exp(-decay * time) / harmonic**1.5
    return sound.astype(np.float32)[None]
