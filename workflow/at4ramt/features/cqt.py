"""The constant-Q transform, with its phase.

Source: the paper's section on features, as read in docs/method.md: 3 bins a
pitch for the 56 pitches from MIDI 37, a hop of 512 samples at 16 kHz. A margin
of pitches on either side is kept, so that a transposition is a crop. The
transform is linear, so that noise can be added to it instead of to the audio;
that needs the complex numbers, of which the paper's inputs are the magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

A4_PITCH = 69
A4_HZ = 440.0
PITCHES_PER_OCTAVE = 12

SPARSITY = 0.01
"""Share of a filter's spectrum, by magnitude, that is left out: librosa's default."""

HANN_BANDWIDTH = 1.5
"""Equivalent noise bandwidth of a Hann window in bins of its transform."""

RESAMPLING_QUALITY = "soxr_hq"
"""Between octaves; "soxr_qq" would let frequencies above the halved rate fold back."""

GEMM_FRAMES = 512
"""Frames multiplied at once: what they take, two megabytes, stays in the processor's cache."""

LEVEL_FRAMES = 4096


def pitch_hz(pitch: float) -> float:
    """Return the frequency of a MIDI pitch in Hz, equally tempered with A4 at 440 Hz."""
    return float(A4_HZ * 2.0 ** ((pitch - A4_PITCH) / PITCHES_PER_OCTAVE))


@dataclass(frozen=True)
class CqtSettings:
    """The numbers that the features are made of: the config's section ``features``.

    The fundamental of pitch ``lowest_pitch + k`` is exactly at the core bin
    ``bins_per_pitch * k``, where the core is the bins without the margin; the
    following bins lie above it, a third of a semitone each for three bins a pitch.

    Attributes:
        sample_rate_hz: rate of the audio.
        hop_length_samples: samples from one frame to the next.
        bins_per_pitch: bins a semitone.
        lowest_pitch: MIDI pitch of the first core bin.
        pitches: number of pitches of the core.
        margin_pitches: further pitches below the core.
        margin_above_pitches: further pitches above the core; in the config null for as many.
        overtone_pitches: how many of those above the networks hear.
    """

    sample_rate_hz: int
    hop_length_samples: int
    bins_per_pitch: int
    lowest_pitch: int
    pitches: int
    margin_pitches: int
    margin_above_pitches: int
    overtone_pitches: int = 0

    @classmethod
    def from_config(cls, features: Mapping[str, Any]) -> CqtSettings:
        """Return the settings of the config's section ``features``."""
        values = cls.resolved(features)
        return cls(**{name: int(values[name]) for name in cls.__dataclass_fields__})

    @staticmethod
    def resolved(features: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``features`` with the values of what is null or, in an older file, not there."""
        values = {"overtone_pitches": 0, **features}
        if values.get("margin_above_pitches") is None and "margin_pitches" in values:
            values["margin_above_pitches"] = values["margin_pitches"]
        return values

    def as_dict(self) -> dict[str, int]:
        """Return the settings under the config's key names."""
        return asdict(self)

    @property
    def all_pitches(self) -> int:
        """Number of pitches, margin included."""
        return self.margin_pitches + self.pitches + self.margin_above_pitches

    @property
    def bins(self) -> int:
        """Number of bins, margin included."""
        return self.all_pitches * self.bins_per_pitch

    @property
    def core(self) -> slice:
        """The bins without the margin."""
        margin = self.margin_pitches * self.bins_per_pitch
        return slice(margin, margin + self.pitches * self.bins_per_pitch)

    @property
    def heard(self) -> slice:
        """The bins that the networks hear: the core and some of its overtones."""
        return slice(self.core.start, self.core.stop + self.overtone_pitches * self.bins_per_pitch)

    @property
    def first_pitch(self) -> int:
        """MIDI pitch of bin 0, margin included."""
        return self.lowest_pitch - self.margin_pitches

    def frame_seconds(self, frames: int, first: int = 0) -> npt.NDArray[np.float64]:
        """Return the times of ``frames`` frames from ``first`` on in seconds, ``(frames,)``.

        The product is an integer and is divided once, so that each time is the
        double nearest to the true one, however long the file is.
        """
        index = np.arange(first, first + frames, dtype=np.int64)
        return index * self.hop_length_samples / self.sample_rate_hz


@dataclass(frozen=True)
class _Octave:
    """The filters of one octave, for audio whose rate was halved so many times.

    Attributes:
        halvings: how often the rate is halved before.
        hop: samples from frame to frame at that rate.
        kernel: the filters in time, real and imaginary parts alternating, float32,
            ``(window samples, 2 * bins)``.
    """

    halvings: int
    hop: int
    kernel: npt.NDArray[np.float32]


def complex_cqt(audio: npt.NDArray[np.float32], settings: CqtSettings) -> npt.NDArray[np.complex64]:
    """Return the complex constant-Q transform of mono audio.

    Frame ``t`` is centred on sample ``t * hop_length_samples``; audio beyond
    both ends counts as zero. This is the algorithm of Schörkhuber and Klapuri
    (2010): filters of one octave serve all, as the rate is halved from octave to
    octave. Numbers are those of ``librosa.cqt`` 0.11 to a millionth of the largest
    (``tuning=0``, ``filter_scale=1``, ``norm=1``, ``sparsity=0.01``, ``window="hann"``,
    ``scale=True``, ``pad_mode="constant"``, ``res_type="soxr_hq"``), in a third of the
    time, and without the two seconds that importing librosa takes: a job has one piece.

    About 4 KiB a frame are needed while it runs (an hour: half a gigabyte),
    since a whole file is transformed at once.

    Args:
        audio: samples, ``(samples,)``, at ``settings.sample_rate_hz``.
        settings: the numbers of the transform.

    Returns:
        The transform, complex64, ``(1 + samples // hop_length_samples, bins)``.
    """
    samples = np.asarray(audio, dtype=np.float32)
    frames = 1 + len(samples) // settings.hop_length_samples
    transform = np.empty((frames, settings.bins), np.complex64)
    end, halvings = settings.bins, 0
    for octave in _octaves(settings):
        if octave.halvings > halvings:
            samples = _at_lower_rate(samples, 2 ** (octave.halvings - halvings))
            halvings = octave.halvings
        bins = octave.kernel.shape[1] // 2
        _correlate(samples, octave, transform[:, end - bins : end])
        end -= bins
    return transform


@cache
def _octaves(settings: CqtSettings) -> tuple[_Octave, ...]:
    """Return the filters, from the highest octave down."""
    per_octave = PITCHES_PER_OCTAVE * settings.bins_per_pitch
    hertz = pitch_hz(settings.first_pitch) * 2 ** (np.arange(settings.bins) / per_octave)
    # A filter has as many periods as part its bin from the two beside it.
    ratio = 4 ** (1 / per_octave)
    quality = (ratio + 1) / (ratio - 1)
    starts = range(settings.bins - per_octave, -per_octave, -per_octave)
    hop, halvings = settings.hop_length_samples, 0
    # The rate is halved beforehand as long as the top filter is far below its half, and
    # the hop length can be halved for each octave, too.
    top_hz = hertz[-1] * (1 + HANN_BANDWIDTH / 2 / quality)
    spare = math.ceil(math.log2(settings.sample_rate_hz / 2 / top_hz)) - 2
    twos = (hop & -hop).bit_length() - 1
    for _ in range(max(0, min(spare, twos - len(starts) + 1))):
        hop, halvings = hop // 2, halvings + 1
    octaves = []
    for start in starts:
        rate = settings.sample_rate_hz / 2**halvings
        of_octave = hertz[max(0, start) : start + per_octave]
        # Halving keeps the power, and so lets amplitudes grow.
        scale = np.sqrt(2.0**halvings / (quality * settings.sample_rate_hz / of_octave))
        octaves.append(_Octave(halvings, hop, _kernel(of_octave, rate, quality, scale)))
        if hop % 2 == 0:
            hop, halvings = hop // 2, halvings + 1
    return tuple(octaves)


def _kernel(
    hertz: npt.NDArray[np.float64], rate: float, quality: float, scale: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Return filters at ``hertz``, each times its ``scale``, as :class:`_Octave` has them."""
    lengths = quality * rate / hertz
    size = 2 ** math.ceil(math.log2(lengths.max()))
    filters = np.zeros((len(hertz), size), complex)
    for row, frequency, length in zip(filters, hertz, lengths, strict=True):
        at = np.arange(-length // 2, length // 2)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(at)) / len(at))
        wave = window * np.exp(2j * np.pi * frequency / rate * at)
        start = (size - len(at)) // 2
        row[start : start + len(at)] = wave / np.abs(wave).sum() * length
    spectrum = np.fft.fft(filters, axis=1)[:, : size // 2 + 1] / size
    # What librosa leaves out for speed is left out here for its numbers.
    magnitude = np.abs(spectrum)
    ordered = np.sort(magnitude, axis=1)
    share = np.cumsum(ordered / magnitude.sum(axis=1, keepdims=True), axis=1)
    smallest = np.take_along_axis(ordered, np.argmin(share < SPARSITY, axis=1)[:, None], axis=1)
    spectrum[magnitude < smallest] = 0
    # To multiply a frame's spectrum by a filter's is to multiply the frame by this.
    in_time = np.fft.fft(spectrum, n=size, axis=1) * scale[:, None]
    return (
        np.stack([in_time.real, in_time.imag], axis=-1)
        .transpose(1, 0, 2)
        .reshape(size, -1)
        .astype(np.float32)
    )


def _at_lower_rate(samples: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Return audio of the same power with a sample for ``factor``, rounded up."""
    import soxr

    size = math.ceil(len(samples) / factor)
    resampled = soxr.resample(samples, factor, 1, quality=RESAMPLING_QUALITY)[:size]
    return np.pad(resampled, (0, size - len(resampled))) * np.float32(math.sqrt(factor))


def _correlate(
    samples: npt.NDArray[np.float32], octave: _Octave, out: npt.NDArray[np.complex64]
) -> None:
    """Write each frame's product with the filters into ``out``, ``(frames, bins)``."""
    size, hop = len(octave.kernel), octave.hop
    needed = (len(out) - 1) * hop + size
    padded = np.zeros(max(needed, size // 2 + len(samples)), np.float32)
    padded[size // 2 : size // 2 + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for start in range(0, len(out), GEMM_FRAMES):
        rows = slice(start, min(start + GEMM_FRAMES, len(out)))
        out[rows] = (windows[rows] @ octave.kernel).view(np.complex64)


def core_level(
    real: npt.NDArray[np.floating], imag: npt.NDArray[np.floating], settings: CqtSettings
) -> npt.NDArray[np.float32]:
    """Return each frame's mean magnitude over the core bins, float32, ``(frames,)``.

    Args:
        real: real parts, ``(frames, bins)``, margin included.
        imag: imaginary parts, likewise.
        settings: the numbers of the transform.
    """
    level = np.empty(len(real), np.float32)
    # In parts: an hour in float32 would be a quarter of a gigabyte.
    for start in range(0, len(real), LEVEL_FRAMES):
        rows = slice(start, start + LEVEL_FRAMES)
        parts = (part[rows, settings.core].astype(np.float32) for part in (real, imag))
        level[rows] = np.hypot(*parts).mean(axis=1, dtype=np.float64)
    return level
