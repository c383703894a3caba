"""White noise in the audio: what our models and their peers hear of the same recording.

Noise is mixed at :data:`MIXING_RATE_HZ`, whatever the recording's own rate: the same
signal-to-noise ratio then is as much noise in the band of a piano on every corpus. Its
power is measured against the mean power of the whole recording, its channels averaged. Both
are linear, as resampling and the constant-Q transform are: noise may be transformed once and
added at any ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import soxr

from at4ramt.features.audio import BLOCK_FRAMES, AudioFile, audio_blocks
from at4ramt.seeds import purpose_seed

MIXING_RATE_HZ = 22_050
"""basic-pitch's rate, which loses nothing that the pitches of a piano need."""

Samples = npt.NDArray[np.float32]


def noise_seed(seed: int, piece: str) -> int:
    """Return the seed of the noise in a piece's audio, by the run's seed: one for all systems."""
    return purpose_seed(seed, "white noise in the audio", piece)


def noise_gain(power: float, snr_db: float) -> float:
    """Return what unit noise is multiplied by to lie ``snr_db`` below a mean power."""
    return float(np.sqrt(power / 10 ** (snr_db / 10)))


def with_noise(audio: Samples, snr_db: float, random: np.random.Generator) -> Samples:
    """Return audio with white noise whose power is ``snr_db`` below its own mean power."""
    gain = noise_gain(float(np.square(audio, dtype=np.float64).mean()), snr_db)
    return audio + (random.standard_normal(len(audio)) * gain).astype(np.float32)


def measure(audio: AudioFile) -> tuple[int, float]:
    """Return a recording's number of samples at the mixing rate, and their mean power.

    Raises:
        InputError: if the recording cannot be used.
    """
    samples, energy = 0, 0.0
    for block in audio_blocks(audio, MIXING_RATE_HZ):
        samples += len(block)
        energy += float(np.square(block, dtype=np.float64).sum())
    return samples, energy / samples


def unit_noise(samples: int, seed: int) -> Iterator[Samples]:
    """Yield white noise of power 1, ``samples`` in all, in blocks; the blocks change nothing."""
    random = np.random.default_rng(seed)
    for start in range(0, samples, BLOCK_FRAMES):
        block = random.standard_normal(min(BLOCK_FRAMES, samples - start))
        yield block.astype(np.float32)


def noisy_audio(audio: AudioFile, snr_db: float | None, seed: int) -> Iterator[Samples]:
    """Yield a recording with noise, one channel at the mixing rate, in blocks.

    Args:
        audio: the recording.
        snr_db: signal-to-noise ratio in dB; None for the recording as it is.
        seed: what :func:`noise_seed` gives.

    Raises:
        InputError: if the recording cannot be used.
    """
    if snr_db is None:
        yield from audio_blocks(audio, MIXING_RATE_HZ)
        return
    gain = noise_gain(measure(audio)[1], snr_db)
    random = np.random.default_rng(seed)
    for block in audio_blocks(audio, MIXING_RATE_HZ):
        yield block + np.float32(gain) * random.standard_normal(len(block)).astype(np.float32)


def resampled(blocks: Iterable[Samples], sample_rate_hz: int) -> Iterator[Samples]:
    """Yield samples at the mixing rate as samples at another, by the recipe of the features."""
    if sample_rate_hz == MIXING_RATE_HZ:
        yield from blocks
        return
    stream = soxr.ResampleStream(MIXING_RATE_HZ, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
