"""A recording's notes: read, transform, run the model and collect, block by block."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.features.audio import SILENT_PEAK, AudioFile, Downmix, audio_blocks, open_audio
from at4ramt.features.stream import cqt_blocks
from at4ramt.transcription.models import Model
from at4ramt.transcription.notes import NoteCollector, NoteSettings

log = logging.getLogger("at4ramt")

LEVEL_DBFS = -34.0
"""The root mean square, of a full scale of 1, that every recording is brought to.

The networks take magnitudes as they are, and recordings are as loud as they happen
to be. The demo's excerpts lie between -45 and -22 dB: at -36 to -28 dB F1 of frames
and notes is that of the excerpts as they are, within 0.01; made 20 dB quieter, frames
lose 0.04 to 0.18."""

LARGEST_GAIN_DB = 40.0
"""What is quieter still is raised by no more, or the noise of silence would be music."""

SILENT_SHARE = 0.01
"""Seconds with less than this share of the mean power do not count for the level."""

Progress = Callable[[float, float], None]
"""Is told how many seconds of how many are done."""


@dataclass(frozen=True)
class TranscriptionSettings:
    """The config's section ``transcription``, but for what it names.

    Attributes:
        threshold: probability from which on a pitch sounds; None for the one that
            was fitted to the model on validation.
        minimum_note_seconds: what is shorter is dropped.
        bridge_gap_seconds: silences up to this are bridged.
        refine_onsets: whether onsets are looked for in the flux.
    """

    threshold: float | None = None
    minimum_note_seconds: float = NoteSettings.minimum_note_seconds
    bridge_gap_seconds: float = NoteSettings.bridge_gap_seconds
    refine_onsets: bool = True

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> TranscriptionSettings:
        """Return the settings of the config's section, where no number is ``fitted``."""
        values = {name: section[name] for name in cls.__dataclass_fields__ if name in section}
        if values.get("threshold") == "fitted":
            values["threshold"] = None
        return cls(**values)

    def rule(self, model: Model) -> NoteSettings:
        """Return the numbers of the rule of :mod:`~at4ramt.transcription.notes` for a model."""
        threshold = self.threshold
        return NoteSettings.for_features(
            model.features,
            float(model.card["threshold_fitted"] if threshold is None else threshold),
            minimum_note_seconds=self.minimum_note_seconds,
            bridge_gap_seconds=self.bridge_gap_seconds,
            refine_onsets=self.refine_onsets,
        )


def transcribe_file(
    audio: str | Path,
    model: Model,
    settings: TranscriptionSettings | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.void]:
    """Return the notes of a recording.

    It is read twice, once for its level. Memory does not grow with its length but
    for about 100 bytes a note.

    Args:
        audio: a file that libsndfile reads, of any rate and number of channels.
        model: from :func:`~at4ramt.transcription.models.open_model`.
        settings: the rule from frames to notes; None for the defaults.
        progress: called after each block.

    Returns:
        Notes of dtype :data:`~at4ramt.corpus.midi.NOTE`, in seconds, sorted by onset
        and pitch. Those of a silent recording are none, with a warning.

    Raises:
        InputError: if the file is missing, unreadable, truncated, empty, not a
            number somewhere, or far beyond full scale.
    """
    collector = NoteCollector((settings or TranscriptionSettings()).rule(model))
    with open_audio(audio) as opened:
        means, powers = _each_second(opened)
        if len(powers) == 0:
            return collector.notes()
        gain = level_gain(powers)
        log.info("%s: level changed by %+.0f dB", audio, 20 * math.log10(gain))
        hop_seconds = model.features.hop_length_samples / model.features.sample_rate_hz
        done = 0
        for magnitudes in _magnitudes(opened, model, gain, float(means.mean())):
            frames = len(magnitudes) - 2 * model.margin_frames
            bins = model.features.pitches * model.features.bins_per_pitch
            core = magnitudes[model.margin_frames : model.margin_frames + frames, :bins]
            collector.add(model.probabilities(magnitudes), core)
            done += frames
            if progress is not None:
                progress(min(done * hop_seconds, opened.seconds), opened.seconds)
    return collector.notes()


def level_gain(powers: npt.NDArray[np.float64]) -> float:
    """Return the factor that brings a recording to :data:`LEVEL_DBFS`.

    Args:
        powers: mean square of each second's samples, of a full scale of 1, ``(seconds,)``.
    """
    loud = powers[powers >= SILENT_SHARE * powers.mean()]
    decibels = LEVEL_DBFS - 10 * math.log10(max(float(loud.mean()), 1e-30))
    return float(10 ** (min(decibels, LARGEST_GAIN_DB) / 20))


def _each_second(audio: AudioFile) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance of the averaged channels; nothing, with a warning, for silence."""
    downmix = Downmix(audio, audio.sample_rate_hz)
    means: list[npt.NDArray[np.float64]] = []
    powers: list[npt.NDArray[np.float64]] = []
    held = np.zeros(0, np.float32)

    def count(samples: npt.NDArray[np.float32], seconds: int) -> None:
        whole = samples.reshape(seconds, len(samples) // seconds)
        means.append(whole.mean(axis=1, dtype=np.float64))
        powers.append(whole.var(axis=1, dtype=np.float64))

    for block in audio.blocks():
        held = np.concatenate([held, downmix.feed(block)])
        seconds = len(held) // audio.sample_rate_hz
        if seconds:
            whole = seconds * audio.sample_rate_hz
            count(held[:whole], seconds)
            held = held[whole:]
    if not powers:
        count(held, 1)
    if downmix.peak < SILENT_PEAK:
        log.warning(
            "%s: the audio is silent (peak %g of a full scale of 1): no notes",
            audio.name,
            downmix.peak,
        )
        return np.zeros(0), np.zeros(0)
    downmix.check()
    return np.concatenate(means), np.concatenate(powers)


def _magnitudes(
    audio: AudioFile, model: Model, gain: float, offset: float
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the magnitudes that the model hears, each block with the model's margin around it.

    ``offset`` is taken off the samples, then they are multiplied by ``gain``.
    """
    features = model.features
    blocks = audio_blocks(audio, features.sample_rate_hz)
    # A recorder's offset, raised with the rest, would begin and end with a knock.
    scaled = (np.float32(gain) * (block - np.float32(offset)) for block in blocks)
    bins = features.heard.stop - features.heard.start
    silence = np.zeros((model.margin_frames, bins), np.float32)
    held = silence
    for block in cqt_blocks(scaled, features):
        held = np.concatenate([held, np.abs(block[:, features.heard])])
        if len(held) > 2 * model.margin_frames:
            yield held
            held = held[len(held) - 2 * model.margin_frames :]
    yield np.concatenate([held, silence])
