"""Excerpts to listen to: their sound, their noise, their notes."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile
from support.models import write_model

from at4ramt.corpus.maps import LABEL, write_notes
from at4ramt.corpus.midi import NOTE
from at4ramt.corpus.plain_piano import plain_piano
from at4ramt.corpus.sampler import synthesise
from at4ramt.evaluation.listening import (
    LISTENING_RATE,
    HeardPiece,
    cut,
    notes_within,
    played,
    with_noise,
    write_excerpts,
)
from at4ramt.training.backend import start_backend

RULE = {
    "threshold": "fitted",
    "minimum_note_seconds": 0.064,
    "bridge_gap_seconds": 0.064,
    "refine_onsets": True,
}


def loudest_hertz(audio: np.ndarray, rate: int) -> float:
    """Frequency of the largest peak of a long spectrum."""
    frames = 16 * len(audio)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), frames))
    return float(spectrum.argmax() * rate / frames)


def decoded(text: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(base64.b64decode(text)), dtype="float32")


def write_piece(folder, *, rate: int, seconds: float, start: float) -> HeardPiece:
    """A recording in stereo of one note a second, a semitone higher each; one is out of range."""
    notes = np.array([(s + 0.25, s + 0.75, 60 + s) for s in range(int(seconds) - 1)], LABEL)
    time = np.arange(round(seconds * rate)) / rate
    audio = np.zeros(len(time))
    for onset, offset, pitch in notes.tolist():
        sounding = (time >= onset) & (time < offset)
        audio += 0.3 * sounding * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
    notes = np.append(notes, np.array([(start + 1.5, start + 2.0, 20)], LABEL))
    soundfile.write(folder / "piece.wav", np.stack([audio, audio], axis=1), rate)
    write_notes(folder / "piece.txt", notes)
    return HeardPiece(
        "piece", "I", "test", start, str(folder / "piece.wav"), str(folder / "piece.txt")
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The excerpts of a piece as two untrained models hear them, written twice."""
    folder = tmp_path_factory.mktemp("listening")
    start_backend(1, 0)
    models = {
        name: str(write_model(folder / f"{name}.keras", "small", seed=seed))
        for name, seed in (("base", 1), ("adversarial", 2))
    }
    piece = write_piece(folder, rate=32_000, seconds=16, start=3.0)
    texts = []
    for name in ("one.json", "two.json"):
        write_excerpts(
            models, [piece], str(folder / name), transcription=RULE, seed=4, threads=1
        )  # fmt: skip
        texts.append((folder / name).read_bytes())
    return texts


def test_the_same_twice(written):
    assert written[0] == written[1]


def test_every_sound_plays_as_long_as_it_should(written):
    (excerpt,) = json.loads(written[0])["excerpts"]
    assert excerpt["seconds"] == 10
    said = [(sound["condition"], sound["model"]) for sound in excerpt["sounds"]]
    models = (None, "base", "adversarial")
    assert said == [(condition, model) for condition in ("clean", "noisy") for model in models]
    for sound in excerpt["sounds"]:
        audio, rate = decoded(sound["audio"])
        assert rate == LISTENING_RATE
        # MP3 has whole frames of 576 samples, and some of silence around.
        assert len(audio) / rate == pytest.approx(excerpt["seconds"], abs=0.1)
        assert np.abs(audio).max() < 1


def test_the_excerpt_begins_where_it_says_and_has_the_notes_that_begin_in_it(written):
    (excerpt,) = json.loads(written[0])["excerpts"]
    assert excerpt["start_seconds"] == 3.0
    expected = [[s + 0.25, s + 0.75, 63 + s] for s in range(10)]
    assert np.allclose(excerpt["reference"], expected)
    audio, rate = decoded(excerpt["sounds"][0]["audio"])
    for onset, offset, pitch in expected:
        # MP3 delays by a thousandth or some; the middle of a note is its own.
        heard = audio[round((onset + 0.1) * rate) : round((offset - 0.1) * rate)]
        cents = 1200 * np.log2(loudest_hertz(heard, rate) / (440 * 2 ** ((pitch - 69) / 12)))
        assert abs(cents) < 10


def test_what_a_model_wrote_lies_in_the_excerpt_and_pairs_are_of_one_pitch(written):
    (excerpt,) = json.loads(written[0])["excerpts"]
    for sound in excerpt["sounds"]:
        if sound["model"] is None:
            continue
        assert sound["threshold"] == 0.5
        for onset, offset, pitch, velocity in sound["notes"]:
            assert 0 <= onset < offset <= 10 and 37 <= pitch <= 92 and 1 <= velocity <= 127
        for one, other in sound["pairs"]:
            reference, estimated = excerpt["reference"][one], sound["notes"][other]
            assert reference[2] == estimated[2]
            assert abs(reference[0] - estimated[0]) <= 0.05 + 1e-9


@pytest.mark.parametrize(
    ("seconds", "start", "expected", "lead"),
    [(30, 5.0, 5.0, 2.0), (30, 1.0, 1.0, 1.0), (12, 5.0, 2.0, 2.0), (6, 5.0, 0.0, 0.0)],
)
def test_an_excerpt_lies_within_its_recording(tmp_path, seconds, start, expected, lead):
    piece = write_piece(tmp_path, rate=16_000, seconds=seconds, start=start)
    audio, begins, samples, whole = cut(piece)
    assert (begins, samples / LISTENING_RATE, whole) == pytest.approx((expected, lead, seconds))
    end = min(seconds, begins + 12)
    assert len(audio) / LISTENING_RATE == pytest.approx(end - begins + lead, abs=1e-3)


def test_noise_is_white_and_as_strong_as_it_says():
    time = np.arange(10 * LISTENING_RATE) / LISTENING_RATE
    clean = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    noise = (with_noise(clean, LISTENING_RATE, 6.0, np.random.default_rng(1)) - clean).astype(
        np.float64
    )
    ratio = 10 * np.log10(np.square(clean, dtype=np.float64).mean() / np.square(noise).mean())
    assert ratio == pytest.approx(6.0, abs=0.05)
    power = np.square(np.abs(np.fft.rfft(noise)))
    bands = [band.mean() for band in np.array_split(power, 8)]
    assert max(bands) / min(bands) < 1.1


def test_notes_within_a_stretch():
    rows = [(0.5, 9.0, 60, 64), (2.0, 2.5, 61, 64), (6.9, 9.0, 62, 64), (7.0, 8.0, 63, 64)]
    kept = notes_within(np.array(rows, NOTE), 2.0, 5.0)
    assert kept["pitch"].tolist() == [61, 62]
    assert np.allclose(kept["onset"], [0.0, 4.9]) and np.allclose(kept["offset"], [0.5, 5.0])


def test_played_notes_are_as_loud_and_as_long_as_asked():
    notes = np.array([(0.1, 0.9, 69, 80)], NOTE)
    like = np.full(LISTENING_RATE, 0.1, np.float32)
    audio = played(notes, plain_piano(), like)
    assert len(audio) == len(like)
    assert np.sqrt(np.square(audio).mean()) == pytest.approx(0.1, rel=1e-3)
    assert not played(notes[:0], plain_piano(), like).any()


@pytest.mark.parametrize("key", [21, 45, 69, 93, 108])
def test_the_plain_piano_is_in_tune(key):
    audio = synthesise(np.array([(0.0, 2.0, key, 90)], NOTE), plain_piano(), 2.0)[0]
    cents = 1200 * np.log2(loudest_hertz(audio, 44_100) / (440 * 2 ** ((key - 69) / 12)))
    assert abs(cents) < 3


def test_the_plain_piano_is_louder_when_struck_harder_and_ends():
    notes = [np.array([(0.0, 1.0, 60, velocity)], NOTE) for velocity in (20, 60, 127)]
    sounds = [synthesise(each, plain_piano(), 3.0) for each in notes]
    peaks = [float(np.abs(sound).max()) for sound in sounds]
    assert peaks == sorted(peaks) and peaks[2] > 4 * peaks[0]
    assert np.abs(sounds[2][:, 2 * 44_100 :]).max() < 1e-4
