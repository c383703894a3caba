"""Reading audio: every format gives the same samples, every fault its own message."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from at4ramt.errors import InputError
from at4ramt.features.audio import audio_seconds, read_audio

SECONDS = 2.0


def chord(rate: int, seconds: float = SECONDS) -> np.ndarray:
    """Return three sines below 3.2 kHz, faded at both ends so that nothing is cut."""
    time = np.arange(round(rate * seconds)) / rate
    fade = np.sin(np.pi * time / seconds) ** 2
    return fade * sum(
        level * np.sin(2 * np.pi * hz * time)
        for level, hz in ((0.3, 220.0), (0.2, 987.0), (0.1, 3200.0))
    )


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "chord.wav"
    soundfile.write(path, chord(16000), 16000, subtype="PCM_16")
    return path


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_every_format_gives_the_signal_itself(
    tmp_path: Path, rate: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "x.wav"
    samples = chord(rate)
    if channels == 2:
        # Unequal channels with the chord as their mean.
        samples = np.stack([1.5 * samples, 0.5 * samples], axis=1)
    soundfile.write(path, samples, rate, subtype=subtype)
    read = read_audio(path, 16000)
    assert read.dtype == np.float32
    assert read.shape == (32000,)
    # 16 bits step by 3e-5; soxr's HQ recipe is good for 20 bits.
    assert np.abs(read - chord(16000)).max() < (5e-5 if subtype == "PCM_16" else 1e-5)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "aiff"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, chord(44100), 44100)
    difference = read_audio(path, 16000) - chord(16000)
    assert np.sqrt(np.mean(difference**2)) < (1e-2 if suffix == "ogg" else 5e-5)


def test_frequencies_above_the_new_rate_are_removed(tmp_path: Path) -> None:
    time = np.arange(88200) / 44100
    path = tmp_path / "high.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 9000 * time), 44100, subtype="FLOAT")
    middle = read_audio(path, 16000)[2000:-2000]
    assert np.abs(middle).max() < 1e-4


def test_seconds_come_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full(12345, 0.1), 44100)
    assert audio_seconds(path) == pytest.approx(12345 / 44100, abs=0)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.wav: no such audio file.*check the path"):
        read_audio(tmp_path / "absent.wav", 16000)


def test_a_file_without_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.touch()
    with pytest.raises(InputError, match="no bytes"):
        read_audio(path, 16000)


def test_a_file_that_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_text("OnsetTime\tOffsetTime\tMidiPitch\n" * 20)
    with pytest.raises(InputError, match=r"not audio that can be read.*convert"):
        read_audio(path, 16000)


@pytest.mark.parametrize("kept", [20, 44, 1000, -1, -32000])
@pytest.mark.parametrize("function", [lambda path: read_audio(path, 16000), audio_seconds])
def test_a_truncated_wav(wav: Path, kept: int, function) -> None:
    whole = wav.read_bytes()
    wav.write_bytes(whole[:kept])
    with pytest.raises(InputError, match=r"chord\.wav: the file is truncated: its header promises"):
        function(wav)


def test_a_truncated_rf64(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, chord(16000), 16000, format="RF64", subtype="PCM_24")
    assert len(read_audio(path, 16000)) == 32000
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path, 16000)


def test_a_truncated_flac(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    noise = np.random.default_rng(0).standard_normal(64000) * 0.1
    soundfile.write(path, noise, 16000)
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path, 16000)


def test_a_wav_of_unknown_length_and_chunks_of_odd_size_are_read(wav: Path) -> None:
    whole = wav.read_bytes()
    start = whole.index(b"data")
    # A chunk of 3 bytes is padded to 4; a streaming writer promises all there can be.
    note = b"note" + struct.pack("<I", 3) + b"abc\0"
    data = b"data" + struct.pack("<I", 0xFFFFFFFF) + whole[start + 8 :]
    wav.write_bytes(whole[:start] + note + data)
    assert np.abs(read_audio(wav, 16000) - chord(16000)).max() < 5e-5


@pytest.mark.parametrize("suffix", ["raw", "RAW"])
def test_a_suffix_of_samples_without_a_header(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(bytes(1000))
    with pytest.raises(InputError, match=r"this is not audio that can be read"):
        audio_seconds(path)


@pytest.mark.parametrize(("rate", "hours"), [(999, 0), (1_000_001, 0), (8000, 25)])
def test_what_no_recording_is_like(wav: Path, rate: int, hours: int) -> None:
    content = bytearray(wav.read_bytes())
    struct.pack_into("<I", content, 24, rate)
    if hours:
        # All there can be of a wav of one byte a frame, its samples a hole in the file.
        struct.pack_into("<HHIIHH", content, 20, 1, 1, rate, rate, 1, 8)
        struct.pack_into("<I", content, 40, hours * 3600 * rate)
    wav.write_bytes(content)
    if hours:
        os.truncate(wav, 44 + hours * 3600 * rate)
    with pytest.raises(InputError, match=r"d\.wav: its header says (999 Hz|1000001 Hz|25 hours)"):
        audio_seconds(wav)


def test_an_empty_wav(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(InputError, match="no samples"):
        read_audio(path, 16000)


def test_a_silent_wav(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full((1000, 2), 5e-7), 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"silent \(peak 5e-07"):
        read_audio(path, 16000)
    soundfile.write(path, np.zeros(1000), 16000, subtype="PCM_16")
    with pytest.raises(InputError, match="silent"):
        read_audio(path, 16000)


def test_channels_that_cancel(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([chord(16000), -chord(16000)], axis=1), 16000)
    with pytest.raises(InputError, match="2 channels cancel"):
        read_audio(path, 16000)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    samples = chord(16000)
    samples[8000] = value
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"sample 8000 \(0\.500 s\) is not a finite number"):
        read_audio(path, 16000)


def test_integers_stored_as_floats(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, 32768 * chord(16000), 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="full scale of 1"):
        read_audio(path, 16000)
