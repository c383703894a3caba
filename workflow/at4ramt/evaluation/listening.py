"""Short excerpts to listen to: recorded, in noise, and as two models write them down.

An excerpt is heard as it is and with white noise in the *audio*, not on the
magnitudes as in training. Both are transcribed as `snakemake transcribe` would,
and the notes are played by the sampler. Everything that is compared is at one rate.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from at4ramt import sounds
from at4ramt.audio_noise.mixing import with_noise
from at4ramt.corpus.pianos import RATE, load_piano
from at4ramt.corpus.plain_piano import plain_piano
from at4ramt.corpus.sampler import Piano, synthesise
from at4ramt.evaluation.notes import match_notes, notes_in_range
from at4ramt.features.audio import open_audio
from at4ramt.features.labels import read_labels
from at4ramt.files import write_json
from at4ramt.seeds import purpose_seed
from at4ramt.transcription.models import Model, open_model
from at4ramt.transcription.transcribe import TranscriptionSettings, transcribe_file

log = logging.getLogger("at4ramt")

SNR_DB = 6.0
LISTENING_RATE = 22_050
LISTENING_SECONDS = 10.0
CONTEXT_SECONDS = 2.0
"""What a model hears before and after the excerpt: notes do not begin with a cut."""

MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
MP3_COMPRESSION = 0.75
"""libsndfile's scale from 160 to 8 kbit/s at this rate: 48 kbit/s, 60 kB an excerpt."""

HIGHEST_PEAK = 0.9

Samples = npt.NDArray[np.float32]
Notes = npt.NDArray[np.void]


@dataclass(frozen=True)
class HeardPiece:
    """A piece to cut an excerpt from.

    Attributes:
        name: the piece.
        instrument: its piano.
        split: its split.
        start_seconds: where the excerpt begins, if the recording is long enough.
        audio: the recording, or the zip that has it.
        notes: its notes, likewise.
        audio_member: the recording's path inside the zip.
        notes_member: likewise of the notes.
        piano: the prepared piano to play notes on; none takes a plain one.
    """

    name: str
    instrument: str
    split: str
    start_seconds: float
    audio: str
    notes: str
    audio_member: str = ""
    notes_member: str = ""
    piano: str | None = None


def write_excerpts(
    models: Mapping[str, str],
    pieces: Sequence[HeardPiece],
    path: str,
    *,
    transcription: Mapping[str, Any],
    seed: int,
    threads: int,
) -> None:
    """Write the sounds and notes of the excerpts that the report plays, as JSON.

    It holds ``snr_db``, and for each of ``excerpts`` the piece, where it begins and how
    long it is, its ``reference`` notes and its ``sounds``: a ``condition`` (clean, noisy) and a
    ``model`` (null for what was recorded) each, with ``audio`` (MP3 in base64) and for
    a model its ``threshold``, ``notes`` and ``pairs`` (indices of reference and
    estimated notes that match by their onsets). Notes are those that begin in the
    excerpt: onset and offset in seconds from its beginning, MIDI pitch, and velocity of
    those of a model.

    Args:
        models: path of the model of each name.
        pieces: where the excerpts are from.
        path: the file to write.
        transcription: the config's section, without ``input``, ``model`` and ``roll``.
        seed: the noise's.
        threads: CPU threads.

    Raises:
        InputError: if a model, a recording or a note list is unusable.
    """
    rule = dict(transcription)
    threshold = rule.pop("threshold")
    settings = TranscriptionSettings(None if threshold == "fitted" else threshold, **rule)
    opened = {name: open_model(model, threads=threads) for name, model in models.items()}
    excerpts = [_excerpt(piece, opened, settings, seed) for piece in pieces]
    write_json(path, {"snr_db": SNR_DB, "excerpts": excerpts})


def _excerpt(
    piece: HeardPiece, models: Mapping[str, Model], settings: TranscriptionSettings, seed: int
) -> dict[str, Any]:
    """Return one excerpt as :func:`write_excerpts` describes it."""
    clean, start, lead, whole = cut(piece)
    random = np.random.default_rng(purpose_seed(seed, "listening noise", piece.name))
    noisy = with_noise(clean, LISTENING_RATE, SNR_DB, random)
    features = next(iter(models.values())).features
    reference = notes_in_range(read_labels(piece.notes, whole, piece.notes_member), features)
    reference = notes_within(reference, start, LISTENING_SECONDS)
    piano = load_piano(piece.piano) if piece.piano else plain_piano()
    shown = slice(lead, lead + round(LISTENING_SECONDS * LISTENING_RATE))
    # One factor for both, so that the noise is heard as what was added.
    gain = HIGHEST_PEAK / max(1.0, float(np.abs(noisy).max()), float(np.abs(clean).max()))
    sounds: list[dict[str, Any]] = []
    for condition, audio in (("clean", clean), ("noisy", noisy)):
        sounds.append({"condition": condition, "model": None, "audio": mp3(gain * audio[shown])})
        for name, model in models.items():
            notes = _transcribed(audio, model, settings)
            notes = notes_within(notes, lead / LISTENING_RATE, LISTENING_SECONDS)
            pairs = match_notes(reference, notes, "onset")
            log.info(
                "%s, %s, %s: %d of %d notes found, %d written",
                piece.name,
                condition,
                name,
                len(pairs),
                len(reference),
                len(notes),
            )
            sounds.append(
                {
                    "condition": condition,
                    "model": name,
                    "threshold": settings.rule(model).threshold,
                    "audio": mp3(played(notes, piano, like=gain * clean[shown])),
                    "notes": notes.tolist(),
                    "pairs": pairs.tolist(),
                }
            )
    return {
        "piece": piece.name,
        "instrument": piece.instrument,
        "split": piece.split,
        "start_seconds": start,
        "seconds": min(LISTENING_SECONDS, whole - start),
        "reference": reference.tolist(),
        "sounds": sounds,
    }


def cut(piece: HeardPiece) -> tuple[Samples, float, int, float]:
    """Return an excerpt with its context, one channel at :data:`LISTENING_RATE`.

    Also returned: where the excerpt begins in the recording (s), how many samples of
    context come before it, and the length of the recording (s). Raises InputError
    if the recording cannot be read.
    """
    with open_audio(piece.audio, piece.audio_member) as audio:
        rate, whole = audio.sample_rate_hz, audio.seconds
        start = max(0.0, min(piece.start_seconds, whole - LISTENING_SECONDS))
        first = max(0.0, start - CONTEXT_SECONDS)
        last = start + LISTENING_SECONDS + CONTEXT_SECONDS
        samples, _ = soundfile.read(
            audio.path, start=round(first * rate), stop=round(min(last, whole) * rate),
            dtype="float32", always_2d=True,
        )  # fmt: skip
    mono = soxr.resample(samples.mean(axis=1, dtype=np.float32), rate, LISTENING_RATE, "HQ")
    return mono, start, round((start - first) * LISTENING_RATE), whole


def notes_within(notes: Notes, start: float, seconds: float) -> Notes:
    """Return the notes that begin within a stretch, in seconds from its beginning."""
    chosen = notes[(notes["onset"] >= start) & (notes["onset"] < start + seconds)].copy()
    chosen["onset"] -= start
    chosen["offset"] = np.minimum(chosen["offset"] - start, seconds)
    return chosen


def _transcribed(audio: Samples, model: Model, settings: TranscriptionSettings) -> Notes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "excerpt.wav"
        sounds.write(path, audio, LISTENING_RATE, format="WAV", subtype="FLOAT")
        return transcribe_file(path, model, settings)


def played(notes: Notes, piano: Piano, like: Samples) -> Samples:
    """Return notes as the piano plays them, as long and on average as loud as ``like``."""
    stereo = synthesise(notes, piano, len(like) / LISTENING_RATE, RATE)
    mono = soxr.resample(stereo.mean(axis=0), RATE, LISTENING_RATE, "HQ")[: len(like)]
    power = float(np.square(mono, dtype=np.float64).mean())
    if power == 0:
        return np.zeros_like(like)
    gain = np.sqrt(float(np.square(like, dtype=np.float64).mean()) / power)
    return mono * np.float32(min(gain, HIGHEST_PEAK / float(np.abs(mono).max())))


def mp3(audio: Samples) -> str:
    """Return mono audio at :data:`LISTENING_RATE` as MP3, in base64."""
    content = sounds.encode(audio, LISTENING_RATE, compression_level=MP3_COMPRESSION, **MP3)
    return base64.b64encode(content).decode()
