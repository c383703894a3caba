"""The constant-Q transform, with its phase.

Source: the paper's section on features, as read in docs/method.md: 3 bins a
pitch for the 56 pitches from MIDI 37, a hop of 512 samples at 16 kHz. A margin
of pitches on either side is kept, so that a transposition is a crop. The
transform is linear, so that noise can be added to it instead of to the audio;
that needs the complex numbers, of which the paper's inputs are the magnitude.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

A4_PITCH = 69
A4_HZ = 440.0
PITCHES_PER_OCTAVE = 12

# librosa's defaults of version 0.11, written out because they have moved before.
# "soxr_qq" as res_type would let frequencies above the halved rates fold back.
LIBROSA_SETTINGS: Mapping[str, Any] = {
    "tuning": 0.0,
    "filter_scale": 1,
    "norm": 1,
    "sparsity": 0.01,
    "window": "hann",
    "scale": True,
    "pad_mode": "constant",
    "res_type": "soxr_hq",
}


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
        margin_pitches: further pitches below and above the core.
    """

    sample_rate_hz: int
    hop_length_samples: int
    bins_per_pitch: int
    lowest_pitch: int
    pitches: int
    margin_pitches: int

    @classmethod
    def from_config(cls, features: Mapping[str, Any]) -> CqtSettings:
        """Return the settings of the config's section ``features``."""
        return cls(**{name: int(features[name]) for name in cls.__dataclass_fields__})

    def as_dict(self) -> dict[str, int]:
        """Return the settings under the config's key names."""
        return asdict(self)

    @property
    def bins(self) -> int:
        """Number of bins, margin included."""
        return (self.pitches + 2 * self.margin_pitches) * self.bins_per_pitch

    @property
    def core(self) -> slice:
        """The bins without the margin."""
        margin = self.margin_pitches * self.bins_per_pitch
        return slice(margin, margin + self.pitches * self.bins_per_pitch)

    @property
    def first_pitch(self) -> int:
        """MIDI pitch of bin 0, margin included."""
        return self.lowest_pitch - self.margin_pitches

    def frame_seconds(self, frames: int) -> npt.NDArray[np.float64]:
        """Return the times of the first ``frames`` frames in seconds, ``(frames,)``.

        The product is an integer and is divided once, so that each time is the
        double nearest to the true one, however long the file is.
        """
        return np.arange(frames, dtype=np.int64) * self.hop_length_samples / self.sample_rate_hz


def complex_cqt(audio: npt.NDArray[np.float32], settings: CqtSettings) -> npt.NDArray[np.complex64]:
    """Return the complex constant-Q transform of mono audio.

    Frame ``t`` is centred on sample ``t * hop_length_samples``; audio beyond
    both ends counts as zero. About 4 KiB a frame are needed while it runs (an
    hour: half a gigabyte), since a whole file is transformed at once.

    Args:
        audio: samples, ``(samples,)``, at ``settings.sample_rate_hz``.
        settings: the numbers of the transform.

    Returns:
        The transform, complex64, ``(1 + samples // hop_length_samples, bins)``.
    """
    # The module itself: librosa's lazy top-level names cost a little more, and
    # importing them anywhere else would slow every light script by seconds.
    from librosa.core.constantq import cqt

    transform = cqt(
        np.asarray(audio, dtype=np.float32),
        sr=settings.sample_rate_hz,
        hop_length=settings.hop_length_samples,
        fmin=pitch_hz(settings.first_pitch),
        n_bins=settings.bins,
        bins_per_octave=PITCHES_PER_OCTAVE * settings.bins_per_pitch,
        dtype=np.complex64,
        **LIBROSA_SETTINGS,
    )
    return np.ascontiguousarray(transform.T, dtype=np.complex64)


def core_level(
    real: npt.NDArray[np.floating], imag: npt.NDArray[np.floating], settings: CqtSettings
) -> npt.NDArray[np.float32]:
    """Return each frame's mean magnitude over the core bins, float32, ``(frames,)``.

    Args:
        real: real parts, ``(frames, bins)``, margin included.
        imag: imaginary parts, likewise.
        settings: the numbers of the transform.
    """
    magnitude = np.hypot(
        real[:, settings.core].astype(np.float32), imag[:, settings.core].astype(np.float32)
    )
    return np.asarray(magnitude.mean(axis=1, dtype=np.float64), dtype=np.float32)
