"""Notes from the frames of a model: the rule that everything which has notes goes by.

A pitch *sounds* in a frame whose probability reaches the threshold. Silences up
to ``bridge_gap_seconds`` within it are bridged; what then lasts less than
``minimum_note_seconds`` is dropped. The rest are runs of frames.

A model of sounding pitches cannot say that a key was struck again while it
sounded, or that a run is only the resonance of other strings. The transform can: an
*onset* is a local maximum of the pitch's flux (:func:`onset_flux`) that stands out
from what is usual in its surroundings: by :data:`LEAST_FLUX`, or in strong noise by
:data:`LEAST_DEVIATIONS`. With
``refine_onsets`` a run becomes a note for each onset in it, or up to
:data:`EARLY_FRAMES` before it, since models are late more often than early; each
note ends where the next begins, the last with the run; a run without an onset is
none. Without it a run is a note.

Frame ``t`` stands for the time ``t * frame_seconds``, and a label is active from
the first frame at or after its onset. So the onset that a run's first frame tells
of is half a frame earlier on average, and likewise its end. A maximum of the
flux needs no such correction.

Velocities are a guess from magnitudes: 1.5 for each decibel by which the note's
fundamental is louder than the recording's median note, which gets 64. They are
right up to the instrument's balance and the recording's dynamics, which no magnitude tells.

Source: ours; docs/transcription.md has what was measured. On the demo's test excerpts
and its last adversarial round, note F1 (onsets within 50 ms) is 0.21 by runs alone and 0.65
refined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.corpus.midi import NOTE
from at4ramt.features.cqt import PITCHES_PER_OCTAVE, CqtSettings

HARMONIC_WEIGHTS = (1.0, 0.5, 0.3, 0.2)
"""What the flux of the fundamental and of each harmonic above it counts."""

FLUX_LEVEL = 0.24
"""The root mean square that magnitudes are brought to before log(1 + x) compresses them.

It is that of all frames up to the end of the block, so that a quiet recording has
as many onsets as a loud one. The block's median, which is what noise adds to every
bin, is taken off before: it would make music's rises look small."""

FLUX_LARGEST_GAIN = 300.0
"""What is quieter than this makes up for is not music but the noise of silence."""

LEAST_FLUX = 0.36
"""An onset's flux exceeds the median of its block by this."""

LEAST_DEVIATIONS = 4.5
"""It exceeds it by so many median absolute deviations, too: three sigma, were noise normal."""

EARLY_FRAMES = 4
"""An onset may lie so many frames before the run that it belongs to."""

PEAK_FRAMES = 2
"""An onset's flux is the largest of so many frames on either side."""

LEVEL_FRAMES = 5
"""A note's level is the largest magnitude of this many frames from its onset on."""

BLOCK_FRAMES = 1024
"""Frames looked at together; the median of the flux is that of such a block (33 s)."""

CONTEXT_FRAMES = max(PEAK_FRAMES + 1, LEVEL_FRAMES - 1)
"""What is needed on either side of a block to say the same of its frames as of the whole."""

MEDIAN_VELOCITY = 64
VELOCITY_PER_DB = 1.5

RUN = np.dtype([("pitch", "i4"), ("start", "i8"), ("end", "i8"), ("level", "f4")])
ONSET = np.dtype([("pitch", "i4"), ("frame", "i8"), ("level", "f4")])


@dataclass(frozen=True)
class NoteSettings:
    """The numbers of the rule: the config's section ``transcription`` and the model's features.

    Attributes:
        threshold: probability from which on a pitch sounds.
        lowest_pitch: MIDI pitch of the first column.
        frame_seconds: time from one frame to the next.
        bins_per_pitch: bins a semitone of the magnitudes.
        minimum_note_seconds: what is shorter is dropped.
        bridge_gap_seconds: silences up to this are bridged.
        refine_onsets: whether onsets are looked for in the flux.
    """

    threshold: float
    lowest_pitch: int
    frame_seconds: float
    bins_per_pitch: int = 3
    minimum_note_seconds: float = 0.064
    bridge_gap_seconds: float = 0.064
    refine_onsets: bool = True

    @classmethod
    def for_features(cls, features: CqtSettings, threshold: float, **rule: Any) -> NoteSettings:
        """Return the settings for frames of these features, at their full rate.

        Args:
            features: what the frames were made with.
            threshold: probability from which on a pitch sounds.
            **rule: any of ``minimum_note_seconds``, ``bridge_gap_seconds``, ``refine_onsets``.
        """
        return cls(
            threshold=threshold,
            lowest_pitch=features.lowest_pitch,
            frame_seconds=features.hop_length_samples / features.sample_rate_hz,
            bins_per_pitch=features.bins_per_pitch,
            **rule,
        )


def notes_from_probabilities(
    probabilities: npt.NDArray[np.floating],
    settings: NoteSettings,
    magnitudes: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.void]:
    """Return the notes of a piece.

    Args:
        probabilities: of each pitch in each frame, ``(frames, pitches)``, at the full frame rate.
        settings: the rule.
        magnitudes: of the same frames, ``(frames, pitches * bins_per_pitch)``, without
            margin. Without them no onset is refined and every velocity is 64.

    Returns:
        Notes of dtype :data:`~at4ramt.corpus.midi.NOTE`, in seconds, sorted by onset and
        pitch; those of one pitch do not overlap.
    """
    collector = NoteCollector(settings)
    collector.add(probabilities, magnitudes)
    return collector.notes()


def onset_flux(
    magnitudes: npt.NDArray[np.floating], bins_per_pitch: int
) -> npt.NDArray[np.float32]:
    """Return how much each pitch gets louder from the frame before to the frame after.

    That is the rise of log(1 + x) of the magnitude ``x`` at the fundamental, or a
    bin beside it, and with less weight at the second to fourth harmonic, as far
    as there are bins for them. Falls count as nothing.

    Args:
        magnitudes: ``(frames, pitches * bins_per_pitch)``, their root mean square
            near :data:`FLUX_LEVEL`.
        bins_per_pitch: bins a semitone.

    Returns:
        Flux, ``(frames, pitches)``, 0 in the first and last frame.
    """
    loudness = np.log1p(magnitudes.astype(np.float32))
    rise = np.zeros_like(loudness)
    rise[1:-1] = np.maximum(loudness[2:] - loudness[:-2], 0)
    flux = np.zeros((len(rise), rise.shape[1] // bins_per_pitch), np.float32)
    for harmonic, weight in enumerate(HARMONIC_WEIGHTS, start=1):
        shift = round(PITCHES_PER_OCTAVE * bins_per_pitch * np.log2(harmonic))
        of_harmonic = _at_fundamentals(rise[:, shift:], bins_per_pitch)
        flux[:, : of_harmonic.shape[1]] += np.float32(weight) * of_harmonic
    return flux


def _at_fundamentals(
    values: npt.NDArray[np.float32], bins_per_pitch: int
) -> npt.NDArray[np.float32]:
    """Return the largest value at each pitch's own bin and the two beside it."""
    padded = np.pad(values, ((0, 0), (1, 1)))
    bins = np.arange(0, values.shape[1], bins_per_pitch)
    return np.maximum(np.maximum(padded[:, bins], padded[:, bins + 1]), padded[:, bins + 2])


class NoteCollector:
    """The rule, block by block: what it keeps grows with the notes, not with the frames."""

    def __init__(self, settings: NoteSettings) -> None:
        self._settings = settings
        self._probabilities: list[npt.NDArray[Any]] = []
        self._magnitudes: list[npt.NDArray[Any]] = []
        self._waiting = 0  # frames in the two lists
        self._first = 0  # index of the first of these
        self._done = 0  # frames whose runs and onsets are known
        self._runs: list[npt.NDArray[np.void]] = [np.zeros(0, RUN)]
        self._onsets: list[npt.NDArray[np.void]] = [np.zeros(0, ONSET)]
        self._refined = settings.refine_onsets
        self._power, self._cells = 0.0, 0  # sum of squared magnitudes, and their number

    def add(
        self,
        probabilities: npt.NDArray[np.floating],
        magnitudes: npt.NDArray[np.floating] | None = None,
    ) -> None:
        """Take the next frames, any number of them.

        Args:
            probabilities: ``(frames, pitches)``.
            magnitudes: ``(frames, pitches * bins_per_pitch)``; always or never.
        """
        if magnitudes is None:
            self._refined = False
            magnitudes = np.zeros((len(probabilities), 0), np.float32)
        self._probabilities.append(probabilities)
        self._magnitudes.append(magnitudes)
        self._waiting += len(probabilities)
        while self._first + self._waiting >= self._done + BLOCK_FRAMES + CONTEXT_FRAMES:
            self._look(self._done + BLOCK_FRAMES)

    def notes(self) -> npt.NDArray[np.void]:
        """Return the notes of all frames, as :func:`notes_from_probabilities` does."""
        while self._done < self._first + self._waiting:
            self._look(min(self._done + BLOCK_FRAMES, self._first + self._waiting))
        runs = _joined(np.concatenate(self._runs), self._settings)
        if self._refined:
            found = _refined_notes(runs, np.concatenate(self._onsets), self._settings)
        else:
            found = _plain_notes(runs, self._settings)
        return np.sort(found, order=["onset", "pitch"])

    def _look(self, end: int) -> None:
        """Find the runs and onsets of the frames up to ``end``; forget what is needed no more."""
        probabilities, magnitudes = _one(self._probabilities), _one(self._magnitudes)
        first, last = self._done - self._first, end - self._first
        context = slice(max(0, first - CONTEXT_FRAMES), last + CONTEXT_FRAMES)
        within = slice(first - context.start, last - context.start)
        heard = magnitudes[context].astype(np.float32)
        level = None
        if heard.shape[1]:
            level = _at_fundamentals(heard, self._settings.bins_per_pitch)
        threshold = probabilities.dtype.type(self._settings.threshold)
        runs = _runs(probabilities[first:last] >= threshold)
        runs["level"] = _levels(level, runs["start"] + within.start, runs["pitch"])
        runs["start"] += self._done
        runs["end"] += self._done
        self._runs.append(runs)
        if self._refined:
            above = np.maximum(heard - np.median(heard[within]), 0)
            self._power += float(np.square(above[within], dtype=np.float64).sum())
            self._cells += above[within].size
            level_here = (self._power / self._cells) ** 0.5
            gain = FLUX_LEVEL / max(level_here, FLUX_LEVEL / FLUX_LARGEST_GAIN)
            flux = onset_flux(np.float32(gain) * above, self._settings.bins_per_pitch)
            peaks = _peaks(flux, _least_flux(flux[within]))
            frame, pitch = np.nonzero(peaks[within])
            onsets = np.zeros(len(frame), ONSET)
            onsets["frame"], onsets["pitch"] = frame + self._done, pitch
            onsets["level"] = _levels(level, frame + within.start, pitch)
            self._onsets.append(onsets)
        kept = max(0, last - CONTEXT_FRAMES)
        self._probabilities, self._magnitudes = [probabilities[kept:]], [magnitudes[kept:]]
        self._waiting -= kept
        self._first += kept
        self._done = end


def _one(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    # Without a copy if it is one already: a whole piece may have been given at once.
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _runs(active: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """Return the runs of frames in which each pitch is active, without level."""
    change = np.diff(np.pad(active.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    pitch, start = np.nonzero(change == 1)
    runs = np.zeros(len(pitch), RUN)
    runs["pitch"], runs["start"], runs["end"] = pitch, start, np.nonzero(change == -1)[1]
    return runs


def _least_flux(flux: npt.NDArray[np.float32]) -> float:
    """Return the flux that an onset has at least in a block of this flux."""
    usual = np.median(flux)
    deviation = np.median(np.abs(flux - usual))
    return float(usual + max(LEAST_FLUX, LEAST_DEVIATIONS * deviation))


def _peaks(flux: npt.NDArray[np.float32], least: float) -> npt.NDArray[np.bool_]:
    # Imported here: the settings above are read at parse time, by every job.
    from scipy.ndimage import maximum_filter1d

    return (flux >= least) & (flux == maximum_filter1d(flux, 2 * PEAK_FRAMES + 1, axis=0))


def _levels(
    level: npt.NDArray[np.float32] | None,
    frame: npt.NDArray[np.integer],
    pitch: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Return the largest level of the frames from each onset on; NaN without magnitudes."""
    if level is None:
        return np.full(len(frame), np.nan, np.float32)
    later = np.minimum(frame[:, None] + np.arange(LEVEL_FRAMES), len(level) - 1)
    return level[later, pitch[:, None]].max(axis=1, initial=0.0)


def _joined(runs: npt.NDArray[np.void], settings: NoteSettings) -> npt.NDArray[np.void]:
    """Return the runs with gaps bridged and short ones dropped, sorted by pitch and start."""
    gap = round(settings.bridge_gap_seconds / settings.frame_seconds)
    shortest = round(settings.minimum_note_seconds / settings.frame_seconds)
    runs = np.sort(runs, order=["pitch", "start"])
    new = np.ones(len(runs), bool)
    new[1:] = (runs["pitch"][1:] != runs["pitch"][:-1]) | (
        runs["start"][1:] - runs["end"][:-1] > gap
    )
    first = np.flatnonzero(new)
    joined = runs[first]
    joined["end"] = runs["end"][np.append(first[1:], len(runs))[: len(first)] - 1]
    return joined[joined["end"] - joined["start"] >= shortest]


def _plain_notes(runs: npt.NDArray[np.void], settings: NoteSettings) -> npt.NDArray[np.void]:
    return _timed(runs["pitch"], runs["start"] - 0.5, runs["end"] - 0.5, runs["level"], settings)


def _refined_notes(
    runs: npt.NDArray[np.void], onsets: npt.NDArray[np.void], settings: NoteSettings
) -> npt.NDArray[np.void]:
    """Return a note for each onset that belongs to a run."""
    onsets = np.sort(onsets, order=["pitch", "frame"])
    # Pitch and frame as one number, so that one search finds the onsets of every run.
    width = 1 + EARLY_FRAMES + int(max(runs["end"].max(initial=0), onsets["frame"].max(initial=0)))
    place = onsets["pitch"].astype(np.int64) * width + onsets["frame"]
    base = runs["pitch"].astype(np.int64) * width
    before = np.zeros(len(runs), np.int64)
    same = runs["pitch"][1:] == runs["pitch"][:-1]
    before[1:] = np.where(same, runs["end"][:-1], 0)
    earliest = np.maximum(runs["start"] - EARLY_FRAMES, before)
    first = np.searchsorted(place, base + earliest)
    # A note of a single frame at the end of a run is the next one's attack.
    last = np.maximum(first, np.searchsorted(place, base + runs["end"] - 1))
    chosen = np.concatenate(
        [np.arange(a, b) for a, b in zip(first, last, strict=True)] or [np.zeros(0, np.int64)]
    ).astype(np.int64)
    of_run = np.repeat(np.arange(len(runs)), last - first)
    start = onsets["frame"][chosen].astype(np.float64)
    end = runs["end"][of_run] - 0.5
    again = of_run[1:] == of_run[:-1]
    end[:-1][again] = start[1:][again]
    return _timed(onsets["pitch"][chosen], start, end, onsets["level"][chosen], settings)


def _timed(
    pitch: npt.NDArray[np.integer],
    start: npt.NDArray[np.floating],
    end: npt.NDArray[np.floating],
    level: npt.NDArray[np.float32],
    settings: NoteSettings,
) -> npt.NDArray[np.void]:
    notes = np.zeros(len(pitch), NOTE)
    notes["onset"] = np.maximum(start, 0) * settings.frame_seconds
    notes["offset"] = end * settings.frame_seconds
    notes["pitch"] = pitch + settings.lowest_pitch
    notes["velocity"] = velocities(level)
    return notes


def velocities(level: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Return MIDI velocities for the levels of a recording's notes.

    Args:
        level: magnitude of each note's fundamental at its onset, ``(notes,)``; NaN where unknown.

    Returns:
        Whole numbers of 1 to 127, never lower for a louder note; 64 where unknown.
    """
    if len(level) == 0 or np.isnan(level).any():
        return np.full(len(level), MEDIAN_VELOCITY, np.int32)
    decibels = 20 * np.log10(np.maximum(level, 1e-6, dtype=np.float64))
    velocity = MEDIAN_VELOCITY + VELOCITY_PER_DB * (decibels - np.median(decibels))
    return np.clip(np.round(velocity), 1, 127).astype(np.int32)
