"""The transform: bins at their pitches, frames at their times, linear, librosa's own."""

import json
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from at4ramt.features.audio import read_audio
from at4ramt.features.cqt import CqtSettings, complex_cqt, core_level, pitch_hz

RATE = 16000
HOP = 512
SETTINGS = CqtSettings(
    sample_rate_hz=RATE,
    hop_length_samples=HOP,
    bins_per_pitch=3,
    lowest_pitch=37,
    pitches=56,
    margin_pitches=4,
    margin_above_pitches=4,
)


def sine(hz: float, seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)).astype("f4")


def piano_like(seconds: float, seed: int) -> np.ndarray:
    """Return decaying harmonic tones at random times, float32, ``(samples,)``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(RATE * seconds)) / RATE
    total = np.zeros_like(time)
    for _ in range(round(3 * seconds)):
        start, hz = rng.uniform(0, seconds), pitch_hz(rng.integers(37, 93))
        age = np.maximum(time - start, 0)
        for harmonic in range(1, 7):
            decay = np.exp(-age * harmonic)
            total += 0.1 / harmonic * decay * np.sin(2 * np.pi * hz * harmonic * age)
    return total.astype(np.float32)


def mean_core(audio: np.ndarray) -> np.ndarray:
    """Return the core's mean magnitude away from the ends, ``(168,)``."""
    return np.abs(complex_cqt(audio, SETTINGS)[20:-20, SETTINGS.core]).mean(axis=0)


def relative_rms(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_layout_is_the_papers() -> None:
    assert SETTINGS.bins == 192
    assert (SETTINGS.core.start, SETTINGS.core.stop) == (12, 180)
    assert SETTINGS.first_pitch == 33
    assert pitch_hz(37) == pytest.approx(69.2957, abs=1e-4)
    assert SETTINGS.frame_seconds(4)[3] == 0.096
    assert CqtSettings.from_config(SETTINGS.as_dict()) == SETTINGS


@pytest.mark.parametrize("pitch", range(37, 93))
def test_a_tone_peaks_in_its_own_bin(pitch: int) -> None:
    core = mean_core(sine(pitch_hz(pitch), 2.5))
    assert core.argmax() == 3 * (pitch - 37)
    # A third of a semitone off gets half, a semitone off a hundredth.
    others = np.abs(np.arange(168) - core.argmax()) >= 3
    assert core[others].max() < 0.02 * core.max()


def test_a_third_of_a_semitone_is_a_bin() -> None:
    for shift in (-1, 1):
        assert mean_core(sine(pitch_hz(60 + shift / 3), 2.5)).argmax() == 3 * (60 - 37) + shift


def test_harmonics_are_at_their_distances() -> None:
    audio = sum(sine(110.0 * h, 2.5, 0.3 / h) for h in range(1, 9))
    core = mean_core(audio)
    for harmonic in range(1, 9):
        expected = 3 * (45 - 37) + round(36 * np.log2(harmonic))
        assert core[expected - 1 : expected + 2].argmax() == 1


def librosas(audio: np.ndarray, settings: CqtSettings) -> np.ndarray:
    transform = librosa.cqt(
        audio, sr=settings.sample_rate_hz, hop_length=settings.hop_length_samples,
        fmin=librosa.midi_to_hz(settings.first_pitch), n_bins=settings.bins,
        bins_per_octave=12 * settings.bins_per_pitch, tuning=0.0, filter_scale=1, norm=1,
        sparsity=0.01, window="hann", scale=True, pad_mode="constant", res_type="soxr_hq",
    )  # fmt: skip
    return transform.T


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")  # librosa of the shortest
@pytest.mark.parametrize("samples", [99, 511, 512, 5000, 160_077])
@pytest.mark.parametrize(
    ("rate", "hop", "bins_per_pitch", "lowest", "pitches", "margin", "above"),
    [
        (16000, 512, 3, 37, 56, 4, 4),
        (16000, 512, 3, 37, 56, 4, 26),  # overtones, up to 7.6 kHz
        (16000, 512, 3, 21, 88, 0, 0),  # the piano
        (16000, 512, 5, 37, 56, 4, 4),
        (16000, 256, 1, 40, 5, 0, 0),  # less than an octave
        (44100, 512, 3, 37, 56, 4, 4),  # a rate that is lowered before the first octave
        (16000, 480, 2, 40, 30, 2, 2),
        (48000, 441, 3, 37, 56, 0, 0),  # an odd hop length: the rate is never lowered
        (8000, 100, 3, 37, 48, 1, 9),  # one that is odd after two octaves
    ],
)
def test_the_transform_is_librosa_s(
    rate: int,
    hop: int,
    bins_per_pitch: int,
    lowest: int,
    pitches: int,
    margin: int,
    above: int,
    samples: int,
) -> None:
    settings = CqtSettings(rate, hop, bins_per_pitch, lowest, pitches, margin, above)
    audio = np.random.default_rng(6).normal(0, 0.1, samples).astype(np.float32)
    audio += 0.3 * np.sin(2 * np.pi * pitch_hz(60) / rate * np.arange(samples)).astype(np.float32)
    found = complex_cqt(audio, settings)
    assert found.shape == (1 + samples // hop, settings.bins)
    # librosa has a frame more where lowering the rate rounded the length up.
    expected = librosas(audio, settings)[: len(found)]
    assert np.abs(found - expected).max() < 2e-6 * np.abs(expected).max()


def test_the_core_is_the_paper_s_transform_of_168_bins() -> None:
    # The margin moves the octaves between which the rate is halved, so the two
    # agree to the precision of the filters: 0.3 % and 0.4 % when this was written.
    audio = piano_like(8.0, seed=1)
    plain = librosas(audio, CqtSettings(RATE, HOP, 3, 37, 56, 0, 0))
    ours = np.abs(complex_cqt(audio, SETTINGS)[:, SETTINGS.core])
    expected = np.abs(plain)
    assert ours.shape == expected.shape == (1 + len(audio) // 512, 168)
    assert np.abs(ours - expected).mean() / expected.mean() < 0.006
    assert relative_rms(ours, expected) < 0.006


@pytest.mark.parametrize("gain", [0.05, 0.5, 3.0])
def test_noise_added_to_the_transform_is_noise_added_to_the_audio(gain: float) -> None:
    music = piano_like(6.0, seed=2)
    noise = (0.05 * np.random.default_rng(3).standard_normal(len(music))).astype(np.float32)
    mixed = np.abs(complex_cqt(music + np.float32(gain) * noise, SETTINGS))
    of_music, of_noise = complex_cqt(music, SETTINGS), complex_cqt(noise, SETTINGS)
    assert relative_rms(np.abs(of_music + gain * of_noise), mixed) < 2e-6

    def stored(transform: np.ndarray) -> np.ndarray:
        real, imag = transform.real.astype(np.float16), transform.imag.astype(np.float16)
        return real.astype(np.float32) + 1j * imag.astype(np.float32)

    assert relative_rms(np.abs(stored(of_music) + gain * stored(of_noise)), mixed) < 4e-4


def test_the_level_is_the_core_s_mean_magnitude() -> None:
    rng = np.random.default_rng(4)
    real, imag = rng.standard_normal((2, 5, 192)).astype(np.float16)
    expected = [
        np.mean([abs(complex(real[t, b], imag[t, b])) for b in range(12, 180)]) for t in range(5)
    ]
    np.testing.assert_allclose(core_level(real, imag, SETTINGS), expected, rtol=1e-6)


def test_frame_times_hold_to_the_end_of_a_long_file(tmp_path: Path) -> None:
    rate, seconds = 22050, 630.0
    audio = np.zeros(round(rate * seconds), dtype=np.float32)
    frames = [10, 9843, 19650, 19670]
    for frame in frames:
        # The sample at 22.05 kHz nearest to the frame's centre, t * 0.032 s.
        audio[round(frame * HOP / RATE * rate)] = 1.0
    path = tmp_path / "clicks.wav"
    soundfile.write(path, audio, rate)
    magnitude = np.abs(complex_cqt(read_audio(path, RATE), SETTINGS))
    assert len(magnitude) == 1 + int(seconds * RATE) // HOP == 19688
    for frame in frames:
        near = slice(frame - 8, frame + 9)
        # Each octave comes from audio that was halved once more: none may lag.
        for octave in range(0, 192, 36):
            profile = magnitude[near, octave : octave + 36].sum(axis=1)
            assert profile.argmax() == 8
            np.testing.assert_allclose(profile, profile[::-1], atol=0.02 * profile[8])


def test_the_same_audio_gives_the_same_bits() -> None:
    audio = piano_like(2.0, seed=5)
    assert complex_cqt(audio, SETTINGS).tobytes() == complex_cqt(audio, SETTINGS).tobytes()


def test_features_start_without_what_takes_long_to_import() -> None:
    program = (
        "import json, sys, numpy, at4ramt.features.shards;"
        "from at4ramt.features.cqt import CqtSettings, complex_cqt;"
        "complex_cqt(numpy.zeros(999), CqtSettings(16000, 512, 3, 37, 56, 4, 4));"
        "slow = ('librosa', 'numba', 'pandas', 'scipy', 'tensorflow');"
        "print(json.dumps([name for name in slow if name in sys.modules]))"
    )
    package = Path(sys.modules["at4ramt"].__file__ or "").resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=package
    )
    assert json.loads(done.stdout) == []
