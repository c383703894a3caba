"""How a varied piece differs from its work: transposed, in another tempo, detuned, in a room.

A training that hears each passage once hears it as one player, tuner and room made it. A row of
the pieces table with a *variation* other than 0 is rendered otherwise: what differs is drawn,
within the ranges of config.corpus.variations, from a stream seeded by the work, the excerpt and
the variation, so that the same row gives the same bits, and is played alike on another piano.

- The *performance* is transposed, its tempo is scaled, its velocities are moved and their
  contrast is scaled. The labels are made from the performance, so they move along exactly.
- The *piano* is detuned: all keys by one number of cents, and each key by another.
- The *recording* is made in a synthetic room (:func:`room_response`), with a tilted spectrum
  and another gain. Labels say where strings are damped, not where a room's echo ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from at4ramt.corpus.midi import Performance, on_grid, without_overlap
from at4ramt.corpus.sampler import Piano, Voice
from at4ramt.seeds import purpose_seed

LOWEST_KEY, HIGHEST_KEY = 21, 108
SOFTEST, LOUDEST = 1, 127
MIDDLE_VELOCITY = 64

# A room's echo: silent for the way to the nearest wall and back, then noise that decays. What lies
# above DAMPING_HZ decays faster, by air and furniture, in DAMPED_SHARE of the time.
SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.003, 0.015
DAMPING_HZ, DAMPED_SHARE = 1000.0, 0.6
# The echo is followed until it has decayed by this much.
ROOM_FLOOR_DB = 60.0
TILT_HZ = 500.0
LARGEST_TILT_DB = 24.0
LEAD_FRAMES = 2048


@dataclass(frozen=True)
class Variation:
    """What differs from the work as it is.

    Attributes:
        transpose_semitones: added to every pitch.
        tempo_factor: the performance is played so many times as fast.
        velocity_shift: added to every velocity.
        velocity_contrast: factor of the velocities' distances from :data:`MIDDLE_VELOCITY`.
        detune_cents: all keys are tuned so much higher.
        detune_keys_cents: standard deviation of a key's own tuning.
        room_seconds: reverberation time (60 dB) of the room at low frequencies.
        room_db: level of the echo, relative to the direct sound; None for no room.
        tilt_db: the spectrum's tilt, in dB an octave, around :data:`TILT_HZ`.
        gain_db: of the recording.
        seed: of the keys' own tuning and of the room.
    """

    transpose_semitones: int = 0
    tempo_factor: float = 1.0
    velocity_shift: int = 0
    velocity_contrast: float = 1.0
    detune_cents: float = 0.0
    detune_keys_cents: float = 0.0
    room_seconds: float = 0.0
    room_db: float | None = None
    tilt_db: float = 0.0
    gain_db: float = 0.0
    seed: int = 0


AS_IT_IS = Variation()


def draw_variation(ranges: Mapping[str, Any], work: str, excerpt: str, variation: int) -> Variation:
    """Return the variation of a piece; number 0 is the work as it is.

    Args:
        ranges: config.corpus.variations: pairs of the lowest and the highest value,
            ``detune_keys_cents`` and ``room_share`` (how many are in a room) as numbers.
        work: name of the work.
        excerpt: name of the excerpt of it.
        variation: number of the variation.
    """
    if variation == 0:
        return AS_IT_IS
    seed = purpose_seed(0, "variation", work, excerpt, variation)
    random = np.random.default_rng(seed)

    def between(key: str) -> float:
        return float(random.uniform(*ranges[key]))

    low, high = ranges["transpose_semitones"]
    return Variation(
        transpose_semitones=int(random.integers(low, high, endpoint=True)),
        tempo_factor=between("tempo_factor"),
        velocity_shift=round(between("velocity_shift")),
        velocity_contrast=between("velocity_contrast"),
        detune_cents=between("detune_cents"),
        detune_keys_cents=float(ranges["detune_keys_cents"]),
        # Drawn whether or not there is a room, so that the rest does not hang on it.
        room_seconds=between("room_seconds"),
        room_db=_or_none(between("room_db"), float(random.uniform()) < ranges["room_share"]),
        tilt_db=between("tilt_db"),
        gain_db=between("gain_db"),
        seed=purpose_seed(seed, "room and keys"),
    )


def _or_none(value: float, there: bool) -> float | None:
    return value if there else None


def vary_performance(performance: Performance, variation: Variation) -> Performance:
    """Return a performance transposed, in its tempo and with its velocities.

    Notes that leave the piano's 88 keys are left out. Times are on the grid of ticks.
    """
    notes = performance.notes.copy()
    notes["pitch"] += variation.transpose_semitones
    notes = notes[(notes["pitch"] >= LOWEST_KEY) & (notes["pitch"] <= HIGHEST_KEY)]
    far = notes["velocity"] - MIDDLE_VELOCITY
    velocity = MIDDLE_VELOCITY + variation.velocity_contrast * far + variation.velocity_shift
    notes["velocity"] = np.clip(np.round(velocity), SOFTEST, LOUDEST).astype(int)
    if variation.tempo_factor == 1:
        return Performance(notes, performance.pedal, performance.beats)
    for name in ("onset", "offset"):
        notes[name] = on_grid(notes[name] / variation.tempo_factor)
    pedal = on_grid(performance.pedal / variation.tempo_factor)
    beats = performance.beats / variation.tempo_factor
    return Performance(without_overlap(notes), pedal, beats)


def detune(piano: Piano, variation: Variation) -> Piano:
    """Return a piano whose keys are tuned as the variation says."""
    if variation.detune_cents == 0 and variation.detune_keys_cents == 0:
        return piano
    random = np.random.default_rng(purpose_seed(variation.seed, "keys"))
    cents = variation.detune_cents + variation.detune_keys_cents * random.standard_normal(128)

    @cache
    def voices(key: int, velocity: int) -> Sequence[Voice]:
        faster = float(2 ** (cents[key] / 1200))
        return [
            replace(voice, tone=replace(voice.tone, step=voice.tone.step * faster))
            for voice in piano.voices(key, velocity)
        ]

    return Piano(piano.name, voices, piano.sample)


def room_response(variation: Variation, rate: int) -> NDArray[np.float32]:
    """Return what a room answers to a click, (2, frames), the click itself at frame 0.

    Each ear hears noise of its own, whose level falls by 60 dB in ``room_seconds``; all its
    energy is ``room_db`` relative to the click's.
    """
    if variation.room_db is None:
        return np.ones((2, 1), np.float32)
    random = np.random.default_rng(purpose_seed(variation.seed, "room"))
    delay = round(rate * random.uniform(SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS))
    frames = round(rate * variation.room_seconds * ROOM_FLOOR_DB / 60)
    size = fast_size(frames)
    noise = random.standard_normal((2, size))
    low = 1 / (1 + (np.fft.rfftfreq(size, 1 / rate) / DAMPING_HZ) ** 2)
    below = np.fft.irfft(np.fft.rfft(noise) * low, size)
    time = np.arange(size) / rate
    decay, faster = (
        10 ** (-3 * time / (part * variation.room_seconds)) for part in (1.0, DAMPED_SHARE)
    )
    echo = (below * decay + (noise - below) * faster)[:, :frames]
    echo *= 10 ** (variation.room_db / 20) / np.sqrt(np.mean(np.sum(echo**2, axis=1)))
    response = np.zeros((2, 1 + delay + frames), np.float32)
    response[:, 1 + delay :] = echo
    response[:, 0] = 1
    return response


def tilt(variation: Variation, hertz: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the gain of the tilted spectrum at some frequencies, 1 at :data:`TILT_HZ`."""
    octaves = np.log2(np.maximum(hertz, 1.0) / TILT_HZ)
    gain_db = np.clip(variation.tilt_db * octaves, -LARGEST_TILT_DB, LARGEST_TILT_DB)
    return np.asarray(10 ** (gain_db / 20), np.float32)


def in_room(audio: NDArray[np.float32], variation: Variation, rate: int) -> NDArray[np.float32]:
    """Return stereo audio (2, frames) as it is recorded: in its room, tilted; as long as before."""
    if variation.room_db is None and variation.tilt_db == 0:
        return audio
    response = room_response(variation, rate)
    # The tilt has no phase, so that it begins before the sound: by less than LEAD_FRAMES.
    size = 4 * fast_size(response.shape[1] + 2 * LEAD_FRAMES)
    block = size - response.shape[1] - 2 * LEAD_FRAMES
    transfer = np.fft.rfft(response, size) * tilt(variation, np.fft.rfftfreq(size, 1 / rate))
    frames = audio.shape[1]
    heard = np.zeros((2, frames + size), np.float32)
    for start in range(0, frames, block):
        padded = np.zeros((2, size), np.float32)
        part = audio[:, start : start + block]
        padded[:, LEAD_FRAMES : LEAD_FRAMES + part.shape[1]] = part
        heard[:, start : start + size] += np.fft.irfft(np.fft.rfft(padded) * transfer, size)
    return heard[:, LEAD_FRAMES : LEAD_FRAMES + frames]


def fast_size(frames: int) -> int:
    """Return a length of at least ``frames`` whose transform is fast: 2^k, 3 * 2^k or 5 * 2^k."""
    return min(part << max(0, (-(-frames // part) - 1).bit_length()) for part in (1, 3, 5))
