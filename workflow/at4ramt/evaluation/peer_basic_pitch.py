"""basic-pitch on the recordings that our models are scored on, in its own environment.

Source: Bittner et al., "A lightweight instrument-agnostic model for polyphonic note transcription
and multipitch estimation", ICASSP 2022; https://github.com/spotify/basic-pitch. The network is
its ONNX file; windows, decoding and thresholds are its own functions and defaults
(tests/workflow/test_peers.py compares with its ``predict``).

It answers each recording without noise and with, at its own thresholds and at the best ones of a
grid. These are fitted as our models' are (:mod:`at4ramt.evaluation.in_audio`): for each of three
uses and for each condition apart, on pieces of validation. What is kept of its posteriors are the
runs of frames at two thresholds.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.kinds import MIXING_RATE_HZ
from at4ramt.audio_noise.mixing import (
    condition_name,
    conditions,
    noise_seed,
    noisy_audio,
    piece_power,
)
from at4ramt.corpus.maps import LABEL
from at4ramt.errors import InputError
from at4ramt.evaluation.in_audio import (
    Fit,
    SoundingPiece,
    count_frames,
    count_notes,
    read_reference,
    rolled,
)
from at4ramt.evaluation.notes import notes_in_range
from at4ramt.features.audio import open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.files import read_json, write_json
from at4ramt.parquet import write_frame

log = logging.getLogger("at4ramt")

ONSET_THRESHOLD = 0.5
FRAME_THRESHOLD = 0.3
MINIMUM_NOTE_MILLISECONDS = 127.7
"""The defaults of basic-pitch's ``predict``, which a test compares."""

ONSET_GRID = (0.4, 0.5, 0.6, 0.7, 0.8)
FRAME_GRID = (0.15, 0.2, 0.25, 0.3, 0.4)
"""Not below: 0.05 was the best in some noise on validation's piano, and on the test pianos ten
points worse than the defaults there."""

POSTERIOR_GRID = tuple(step / 20 for step in range(1, 20))

OVERLAP_FRAMES = 30
"""What basic-pitch's windows overlap by."""

PART_SECONDS = 180
"""Longer recordings are answered in parts: basic-pitch keeps all posteriors of a recording, and
forming notes takes time as the square of the length (30 s for ten minutes, at each threshold)."""

CONTEXT_SECONDS = 5.0
"""What a part hears before and after it, and how long a note sounds on in the next at most."""

Samples = npt.NDArray[np.float32]
Notes = npt.NDArray[np.void]


@dataclass(frozen=True)
class Part:
    """Posteriors of a stretch of a recording.

    Attributes:
        note: of each pitch from 21 on, ``(frames, 88)``.
        onset: likewise that a note begins.
        times: of the frames in seconds from the beginning of the recording, ``(frames,)``.
        start: seconds; what is before is another part's.
        end: seconds; what is from there on is another part's.
    """

    note: npt.NDArray[np.float32]
    onset: npt.NDArray[np.float32]
    times: npt.NDArray[np.float64]
    start: float
    end: float


class BasicPitch:
    """The network, ready to run."""

    def __init__(self, threads: int) -> None:
        import onnxruntime

        # Its import warns of every runtime but the one that is used.
        logging.disable(logging.WARNING)
        try:
            from basic_pitch import ICASSP_2022_MODEL_PATH
            from basic_pitch.inference import Model
        finally:
            logging.disable(logging.NOTSET)

        self._model = Model(ICASSP_2022_MODEL_PATH)
        # Its own session would take all cores of the machine.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._model.model = onnxruntime.InferenceSession(
            str(ICASSP_2022_MODEL_PATH), options, providers=["CPUExecutionProvider"]
        )

    def parts(self, blocks: Iterable[Samples]) -> Iterator[Part]:
        """Yield the posteriors of a recording, given in blocks at basic-pitch's rate."""
        for samples, first, last, origin in stretches(blocks):
            yield self._part(samples, first, last, origin)

    def _part(self, samples: Samples, first: float, last: float, origin: float) -> Part:
        from basic_pitch.constants import AUDIO_N_SAMPLES, FFT_HOP
        from basic_pitch.inference import unwrap_output, window_audio_file
        from basic_pitch.note_creation import model_frames_to_time

        overlap = OVERLAP_FRAMES * FFT_HOP
        padded = np.concatenate([np.zeros(overlap // 2, np.float32), samples])
        found: dict[str, list[Any]] = {"note": [], "onset": []}
        for window, _ in window_audio_file(padded, AUDIO_N_SAMPLES - overlap):
            answer = self._model.predict(window[np.newaxis])
            for name, posteriors in found.items():
                posteriors.append(answer[name])
        note, onset = (
            unwrap_output(np.concatenate(posteriors), len(samples), OVERLAP_FRAMES)
            for posteriors in found.values()
        )
        times = origin + model_frames_to_time(len(note))
        return Part(note, onset, times, first, last)


def stretches(blocks: Iterable[Samples]) -> Iterator[tuple[Samples, float, float, float]]:
    """Yield the samples of each part with context, its start and end, and the samples' start (s).

    The last part has no end but infinity.
    """
    length = PART_SECONDS * MIXING_RATE_HZ
    context = round(CONTEXT_SECONDS * MIXING_RATE_HZ)
    held = np.zeros(0, np.float32)
    origin = start = 0  # samples
    for block in blocks:
        held = np.concatenate([held, block])
        while origin + len(held) > start + length + context:
            end = start + length
            yield (
                held[: end + context - origin],
                start / MIXING_RATE_HZ,
                end / MIXING_RATE_HZ,
                origin / MIXING_RATE_HZ,
            )
            held, origin, start = held[end - context - origin :], end - context, end
    yield held, start / MIXING_RATE_HZ, np.inf, origin / MIXING_RATE_HZ


def notes_of(parts: Sequence[Part], onset_threshold: float, frame_threshold: float) -> Notes:
    """Return the notes that basic-pitch forms of its posteriors, :data:`LABEL`, by onset."""
    from basic_pitch.constants import AUDIO_SAMPLE_RATE, FFT_HOP
    from basic_pitch.note_creation import output_to_notes_polyphonic

    frames_a_second = AUDIO_SAMPLE_RATE / FFT_HOP
    minimum = round(MINIMUM_NOTE_MILLISECONDS / 1000 * frames_a_second)
    rows = []
    for part in parts:
        # Inferring onsets, it divides by the largest rise: in silence there is none.
        if part.note.size == 0 or not part.note.any():
            continue
        found = output_to_notes_polyphonic(
            part.note,
            part.onset,
            onset_thresh=onset_threshold,
            frame_thresh=frame_threshold,
            min_note_len=minimum,
            infer_onsets=True,
            max_freq=None,
            min_freq=None,
        )
        for first, last, pitch, _ in found:
            if part.start <= part.times[first] < part.end:
                rows.append((part.times[first], part.times[last], int(pitch)))
    return np.sort(np.array(rows, LABEL), order=["onset", "pitch"])


def runs_of(parts: Sequence[Part], threshold: float) -> Notes:
    """Return the runs of frames whose posterior reaches a threshold, as notes.

    A run begins half a frame before its first frame and ends half a frame after its last: a
    time within it is one whose nearest frame is active.
    """
    from basic_pitch.note_creation import MIDI_OFFSET

    rows = []
    for part in parts:
        if not len(part.times):
            continue
        middles = (part.times[1:] + part.times[:-1]) / 2
        edges = np.concatenate([[part.start], middles, [part.times[-1] + 0.005]])
        edges = np.clip(edges, part.start, part.end)
        active = np.pad(part.note >= threshold, ((1, 1), (0, 0))).astype(np.int8)
        change = np.diff(active, axis=0).T
        pitch, first = np.nonzero(change == 1)
        _, last = np.nonzero(change == -1)
        runs = np.zeros(len(pitch), LABEL)
        runs["onset"], runs["offset"] = edges[first], edges[last]
        runs["pitch"] = pitch + MIDI_OFFSET
        rows.append(runs[runs["offset"] > runs["onset"]])
    return np.sort(np.concatenate([np.zeros(0, LABEL), *rows]), order=["onset", "pitch"])


def fit(
    pieces: Sequence[SoundingPiece], path: str, *, config: Mapping[str, Any], threads: int
) -> None:
    """Write the thresholds that suit basic-pitch best, as JSON.

    For ``notes`` and ``note_frames`` they are a pair, of onsets and frames; for ``frames`` (of the
    posteriors) one. Each condition has its own; counts are pooled over pieces.

    Args:
        pieces: those of validation.
        path: the file to write.
        config: what :func:`at4ramt.config.peer_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if there is no piece, or a file of one is unusable.
    """
    if not pieces:
        raise InputError(
            "evaluation.peers: the corpus has no piece of the split validation, on which "
            "thresholds are fitted; expected one or more, or `peers: []`"
        )
    settings = CqtSettings.from_config(config["features"])
    model = BasicPitch(threads)
    pairs = list(itertools.product(ONSET_GRID, FRAME_GRID))
    fits: dict[str, Fit] = {}
    for piece in pieces:
        reference = read_reference(piece, settings)
        frames = len(reference.frames)
        for condition, parts in heard_parts(model, piece, config):
            fitted = fits.setdefault(
                condition_name(condition["noise"], condition["snr_db"]),
                Fit({"notes": pairs, "note_frames": pairs, "frames": POSTERIOR_GRID}),
            )
            for place, (onset, frame) in enumerate(pairs):
                notes = notes_in_range(notes_of(parts, onset, frame), settings)
                fitted.add("notes", place, count_notes(reference.notes, notes, "onset"))
                roll = rolled(notes, frames, settings)
                fitted.add("note_frames", place, count_frames(reference.frames, roll))
            for place, threshold in enumerate(POSTERIOR_GRID):
                roll = rolled(runs_of(parts, threshold), frames, settings)
                fitted.add("frames", place, count_frames(reference.frames, roll))
        log.info("%s: %d pairs of thresholds tried", piece.name, len(pairs))
    write_json(
        path,
        {
            "conditions": {
                condition: {
                    use: {"threshold": threshold, "f1": f1}
                    for use, (threshold, f1) in fitted.best().items()
                }
                for condition, fitted in fits.items()
            },
            "pieces": [piece.name for piece in pieces],
            "version": version(),
        },
    )


def heard_parts(
    model: BasicPitch, piece: SoundingPiece, config: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], list[Part]]]:
    """Yield each condition and the posteriors of the piece in it.

    Raises:
        InputError: if the recording or its feature file is unusable.
    """
    evaluation = config["evaluation"]
    seed = noise_seed(config["noise_seed"], "white", piece.name)
    power = piece_power(piece.features)
    for condition in conditions(evaluation["audio_noises"], evaluation["audio_snr_db"]):
        snr_db = None if condition["noise"] == "none" else condition["snr_db"]
        with open_audio(piece.audio, piece.audio_member) as audio:
            yield condition, list(model.parts(noisy_audio(audio, power, snr_db, seed)))


def version() -> str:
    """Return the version of basic-pitch that is installed."""
    return importlib.metadata.version("basic-pitch")


def answer(
    pieces: Sequence[SoundingPiece],
    thresholds_path: str,
    path: str,
    *,
    config: Mapping[str, Any],
    threads: int,
) -> None:
    """Write what basic-pitch answers to each piece in each condition, as Parquet.

    A row a note or run of frames: ``piece``, ``noise``, ``snr_db``, ``answer`` (those of
    :data:`~at4ramt.evaluation.peers.ANSWERS`), ``onset`` and ``offset`` in seconds, MIDI ``pitch``.
    The file says which pieces it is of, and what it was made with.

    Args:
        pieces: the pieces.
        thresholds_path: what :func:`fit` wrote.
        path: the file to write.
        config: what :func:`at4ramt.config.peer_config` gives.
        threads: CPU threads.

    Raises:
        InputError: if a recording or a feature file is unusable.
    """
    thresholds = read_json(thresholds_path)
    of_condition = thresholds["conditions"]
    model = BasicPitch(threads)
    tables = []
    for piece in pieces:
        for condition, parts in heard_parts(model, piece, config):
            best = of_condition[condition_name(condition["noise"], condition["snr_db"])]
            pairs = {
                "notes_default": (ONSET_THRESHOLD, FRAME_THRESHOLD),
                "notes_best": tuple(best["notes"]["threshold"]),
                "note_frames_best": tuple(best["note_frames"]["threshold"]),
            }
            # Two uses may have the same thresholds.
            formed = {pair: notes_of(parts, *pair) for pair in set(pairs.values())}
            answers = {name: formed[pair] for name, pair in pairs.items()} | {
                "frames_default": runs_of(parts, FRAME_THRESHOLD),
                "frames_best": runs_of(parts, best["frames"]["threshold"]),
            }
            tables += [
                pd.DataFrame(found).assign(piece=piece.name, answer=name, **condition)
                for name, found in answers.items()
            ]
        log.info("%s: answered", piece.name)
    columns = ["piece", "noise", "snr_db", "answer", "onset", "offset", "pitch"]
    table = pd.concat(tables, ignore_index=True)[columns]
    table.attrs = {
        "pieces": [piece.name for piece in pieces],
        "made_with": dict(config),
        "thresholds": thresholds,
        "version": version(),
    }
    write_frame(table, path)
