"""Recordings as people have them: formats, rates, levels, lengths."""

import logging
import tracemalloc
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import soundfile
import soxr
from support.replicas import Music, sound

from at4ramt.errors import InputError
from at4ramt.features import audio, stream
from at4ramt.transcription import notes
from at4ramt.transcription.models import Model
from at4ramt.transcription.transcribe import TranscriptionSettings, transcribe_file

RATE = 44100
SECONDS = 6.0
# Chords and single notes, none of them a harmonic of another that sounds; 0.1 ms ticks.
PLAYED = Music(
    tuple(
        (onset, release, pitch, velocity)
        for onset, release, pitches, velocity in (
            (5000, 14000, (48, 55, 64), 80),
            (15000, 19000, (50,), 90),
            (20000, 29000, (47, 57, 66), 70),
            (30000, 34000, (72,), 100),
            (35000, 38000, (74,), 80),
            (40000, 52000, (45, 52, 61), 90),
        )
        for pitch in pitches
    ),
    (),
)
AUDIO = sound(PLAYED, SECONDS, RATE)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def at(rate: int) -> np.ndarray:
    return soxr.resample(AUDIO, RATE, rate)


def scores(reference: np.ndarray, estimated: np.ndarray) -> tuple[float, float]:
    """Return precision and recall of the notes, onsets within 50 ms."""
    spans = [np.stack([notes["onset"], notes["offset"]], 1) for notes in (reference, estimated)]
    hertz = [440 * 2 ** ((notes["pitch"] - 69) / 12) for notes in (reference, estimated)]
    precision, recall, *_ = mir_eval.transcription.precision_recall_f1_overlap(
        spans[0], hertz[0], spans[1], hertz[1], offset_ratio=None
    )
    return precision, recall


def make_recording(kind: str, folder: Path) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.01, AUDIO.shape)
    match kind:
        case "mono FLAC of 24 bits at 22.05 kHz":
            return write(folder / "a.flac", at(22050).mean(axis=1), 22050, "PCM_24")
        case "float wav at 96 kHz, beyond full scale":
            return write(folder / "b.wav", 3 * at(96000), 96000, "FLOAT")
        case "OGG with noise, in a name with spaces and accents":
            return write(folder / "Étude nº 3 – déjà vu.ogg", AUDIO + noise)
        case "MP3":
            return write(folder / "d.mp3", AUDIO)
        case "telephone":
            return write(folder / "e.wav", at(8000).mean(axis=1), 8000, "ULAW")
        case "8 bits":
            return write(folder / "h.wav", AUDIO, RATE, "PCM_U8")
        case "six channels":
            return write(folder / "f.w64", np.repeat(AUDIO, 3, axis=1))
        case "very quiet, with an offset":
            return write(folder / "g.wav", 0.001 * AUDIO + 0.02, RATE, "PCM_24")
        case _:
            link = folder / "link.wav"
            link.symlink_to(write(folder / "target.wav", AUDIO))
            return link


@pytest.mark.parametrize(
    "kind",
    [
        "mono FLAC of 24 bits at 22.05 kHz",
        "float wav at 96 kHz, beyond full scale",
        "OGG with noise, in a name with spaces and accents",
        "MP3",
        "telephone",
        "8 bits",
        "six channels",
        "very quiet, with an offset",
        "symbolic link",
    ],
)
def test_recordings_nobody_tuned_to(kind: str, tmp_path: Path, detector: Model, notes_of) -> None:
    reference = notes_of(PLAYED)
    found = transcribe_file(make_recording(kind, tmp_path), detector)
    assert min(scores(reference, found)) >= 0.8, found
    assert (found["offset"] <= SECONDS + 0.05).all()


def test_it_tells_how_far_it_is_and_needs_no_more_memory_for_more(
    tmp_path: Path, detector: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK_FRAMES", 256)
    monkeypatch.setattr(notes, "BLOCK_FRAMES", 256)
    monkeypatch.setattr(audio, "BLOCK_FRAMES", 1 << 14)
    short, long = (
        write(tmp_path / f"{times}.wav", np.tile(at(16000), (times, 1)), 16000) for times in (4, 16)
    )
    transcribe_file(short, detector)  # what librosa keeps from its first call

    def peak(path: Path) -> tuple[int, list[tuple[float, float]]]:
        told: list[tuple[float, float]] = []
        tracemalloc.start()
        transcribe_file(path, detector, progress=lambda *seconds: told.append(seconds))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held, told

    (less, _), (more, told) = peak(short), peak(long)
    assert more < 1.2 * less
    done = [seconds for seconds, _ in told]
    assert len(done) > 8 and done == sorted(done)
    assert told[-1] == (16 * SECONDS, 16 * SECONDS)


def test_blocks_leave_no_seam(
    tmp_path: Path, detector: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.wav", np.tile(AUDIO, (3, 1)))
    at_once = transcribe_file(path, detector)
    monkeypatch.setattr(stream, "BLOCK_FRAMES", 128)
    in_blocks = transcribe_file(path, detector)
    assert len(at_once) > 20
    np.testing.assert_array_equal(in_blocks, at_once)


def test_silence_has_no_notes(
    tmp_path: Path, detector: Model, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "silence.wav", np.zeros((RATE, 2)))
    with caplog.at_level(logging.WARNING, "at4ramt"):
        assert len(transcribe_file(path, detector)) == 0
    assert "silence.wav: the audio is silent" in caplog.text


# A mean of nothing is told in the user's terminal.
@pytest.mark.filterwarnings("error:::at4ramt")
@pytest.mark.parametrize("samples", [1, 50, 700, 20000, 64000])
def test_recordings_shorter_than_a_filter(samples: int, tmp_path: Path, detector: Model) -> None:
    path = write(tmp_path / "short.wav", AUDIO[30000 : 30000 + samples])
    found = transcribe_file(path, detector)
    assert (found["onset"] < found["offset"]).all()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such audio file"),
        ("empty", "no bytes"),
        ("text", "not audio that can be read"),
        ("truncated", "truncated"),
        ("not a number", "not a finite number"),
        ("integers as floats", "full scale"),
        ("opposed channels", "cancel each other"),
    ],
)
def test_bad_recordings_are_refused(kind: str, words: str, tmp_path: Path, detector: Model) -> None:
    path = tmp_path / "bad.wav"
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("not a recording at all, but long enough for a header")
        case "truncated":
            write(path, AUDIO)
            path.write_bytes(path.read_bytes()[:200_000])
        case "not a number":
            broken = AUDIO.copy()
            broken[777, 1] = np.nan
            write(path, broken, RATE, "FLOAT")
        case "integers as floats":
            write(path, 32768 * AUDIO, RATE, "FLOAT")
        case "opposed channels":
            write(path, np.stack([AUDIO[:, 0], -AUDIO[:, 0]], axis=1), RATE, "FLOAT")
    with pytest.raises(InputError, match=words):
        transcribe_file(path, detector)


def test_settings_of_the_config(detector: Model) -> None:
    section = {
        "input": "input",
        "model": None,
        "threshold": "fitted",
        "minimum_note_seconds": 0.1,
        "bridge_gap_seconds": 0.0,
        "refine_onsets": False,
        "roll": True,
    }
    settings = TranscriptionSettings.from_config(section)
    assert settings == TranscriptionSettings(None, 0.1, 0.0, False)
    assert settings.rule(detector).threshold == 0.5
    fixed = TranscriptionSettings.from_config(section | {"threshold": 0.8})
    assert fixed.rule(detector).threshold == 0.8
    assert TranscriptionSettings.from_config({}) == TranscriptionSettings()
