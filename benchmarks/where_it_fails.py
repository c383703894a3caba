"""Where the robust transcriber errs: by noise, by the note's age, velocity and octave, by how many
notes sound, by level; and what it adds an octave from a note.

    PYTHONPATH=workflow .venv/bin/python benchmarks/where_it_fails.py robust/results COUNTS.csv

after a `make robust`. Frames of the two held-out pianos, in the recordings as they are and in six
kinds of noise, of which it was trained in three; all frames and seeds pooled, thresholds fitted.
The counts go into the file; what is printed are the tables of docs/robust.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.babble import cut_excerpts, read_excerpts
from at4ramt.audio_noise.kinds import KINDS
from at4ramt.audio_noise.mixing import mixed_samples, piece_power
from at4ramt.corpus.midi import read_midi
from at4ramt.evaluation.in_audio import Reference, SoundingPiece, count_frames, read_reference
from at4ramt.evaluation.metrics import precision_recall_f1
from at4ramt.evaluation.notes import heard_magnitudes, notes_in_range
from at4ramt.features.audio import open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.stream import cqt_blocks
from at4ramt.files import whole_file
from at4ramt.transcription.models import Model, open_model

PIECES = Path(__file__).resolve().parents[1] / "config/corpus/robust_pieces.tsv"
MODELS = "models/robust/seed_*/round_01.onnx"
RATIOS_DB = (20.0, 10.0, 0.0, -8.0)
DETAILED = (("none", np.inf), ("white", 0.0))
"""Conditions whose frames are told apart by more than the noise."""
LEVELS_DB = (-12.0, 12.0)
"""By how much recordings in these conditions are made louder."""
AGES = {"0 to 0.25 s": 0.25, "0.25 to 1 s": 1.0, "1 to 2 s": 2.0, "2 to 4 s": 4.0, "4 s on": np.inf}
AT_ONCE = {"1": 1, "2": 2, "3": 3, "4": 4, "5 or 6": 6, "7 on": 99}
VELOCITIES = {"1 to 39": 39, "40 to 59": 59, "60 to 79": 79, "80 to 127": 127}
DISTANCES = (12, 19, 24)
"""Semitones to the overtones 2, 3 and 4: where octaves are told from notes, or are not."""
BESIDE, NEAR, ELSEWHERE = "semitones from a note", "any of these", "elsewhere"
COUNTED = ("reference", "estimated", "matched", "cells")

Cells = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Strokes:
    """Of each cell the pitch's last stroke: ``ages`` in s, ``velocities`` of MIDI."""

    ages: npt.NDArray[np.float64]
    velocities: npt.NDArray[np.int64]


def main(results: Path, path: Path) -> None:
    """Write the counts and print what docs/robust.md shows of them."""
    models = [open_model(found) for found in sorted(results.glob(MODELS))]
    if not models:
        sys.exit(f"{results}: no {MODELS}; run make robust")
    settings = models[0].features
    counts: dict[tuple[object, ...], Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        excerpts = _excerpts(results, Path(folder) / "excerpts.npz")
        for piece in _pieces(results, "test_unseen_piano"):
            reference = read_reference(piece, settings)
            struck = last_strokes(_played(piece, settings), len(reference.frames), settings)
            for (noise, snr_db), magnitudes in _heard(piece, settings, excerpts):
                detailed = (noise, snr_db) in DETAILED
                for model in models:
                    found = _counted(model, magnitudes, reference, struck, detailed)
                    for by, group, count in found:
                        key = (noise, snr_db, piece.instrument, by, group)
                        counts.setdefault(key, Counter()).update(count)
            print(piece.name, file=sys.stderr, flush=True)
    table = pd.DataFrame(
        [dict(zip(("noise", "snr_db", "instrument", "by", "group"), key, strict=True)) | count
         for key, count in counts.items()]
    )  # fmt: skip
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)
    print("\n\n".join(tables(table)))


def _counted(
    model: Model,
    magnitudes: npt.NDArray[np.float32],
    reference: Reference,
    struck: Strokes,
    detailed: bool,
) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield by what cells are told apart, the group's name, and its counts."""
    active = _active(model, magnitudes)
    for by, group, cells in groups(reference.frames, struck, model.features, detailed):
        yield by, group, _count(reference.frames, active, cells)
    for gain in LEVELS_DB if detailed else ():
        active = _active(model, magnitudes * np.float32(10 ** (gain / 20)))
        yield "level", f"{gain:+g} dB", _count(reference.frames, active, np.ones_like(active))


def _pieces(results: Path, split: str) -> list[SoundingPiece]:
    table = pd.read_csv(PIECES, sep="\t", dtype=str)
    pieces = []
    for row in table[table["split"] == split].itertuples():
        recording = results / "corpus" / str(row.instrument) / "MUS" / f"{row.piece}.wav"
        pieces.append(
            SoundingPiece(
                str(row.piece), str(row.instrument), split,
                str(results / "features" / f"{row.piece}.parquet"),
                str(recording), str(recording.with_suffix(".txt")),
            )
        )  # fmt: skip
    return pieces


def _excerpts(results: Path, path: Path) -> npt.NDArray[np.float16]:
    """Return what babble is made of: the training pieces, none of which is on these pianos."""
    training = [(piece.name, piece.audio, "") for piece in _pieces(results, "training")]
    cut_excerpts(training, str(path), seed=0)
    return read_excerpts(str(path), "evaluation")


def _heard(
    piece: SoundingPiece, settings: CqtSettings, excerpts: npt.NDArray[np.float16]
) -> Iterator[tuple[tuple[str, float], npt.NDArray[np.float32]]]:
    """Yield noise and ratio with the magnitudes that networks hear."""
    yield ("none", np.inf), heard_magnitudes(piece.features, settings)[0]
    rate, power = settings.sample_rate_hz, piece_power(piece.features)
    with open_audio(piece.audio, "") as opened:
        mixed = mixed_samples(
            piece.name, opened, rate, power, KINDS, RATIOS_DB, noise_of=0, excerpts=excerpts
        )
        for kind, ratio, mixture in mixed:
            blocks = [np.abs(each[:, settings.heard]) for each in cqt_blocks([mixture], settings)]
            yield (kind, ratio), np.concatenate(blocks)


def _active(model: Model, magnitudes: npt.NDArray[np.float32]) -> Cells:
    margin = model.margin_frames
    probabilities = model.probabilities(np.pad(magnitudes, ((margin, margin), (0, 0))))
    return probabilities >= np.float32(model.card["threshold_fitted"])


def _played(piece: SoundingPiece, settings: CqtSettings) -> npt.NDArray[np.void]:
    """Return the notes with their velocities, which the list of labels has not."""
    return notes_in_range(read_midi(Path(piece.notes).with_suffix(".mid")).notes, settings)


def last_strokes(notes: npt.NDArray[np.void], frames: int, settings: CqtSettings) -> Strokes:
    """Return of each cell how long ago its pitch was struck last, in s, and how hard.

    Before it was struck the first time the age is infinite and the velocity 0.
    """
    time = np.arange(frames) * settings.hop_length_samples / settings.sample_rate_hz
    ages = np.full((frames, settings.pitches), np.inf)
    velocities = np.zeros(ages.shape, np.int64)
    for note in np.sort(notes, order="onset"):
        since, column = time - note["onset"], int(note["pitch"]) - settings.lowest_pitch
        ages[since >= 0, column] = since[since >= 0]
        velocities[since >= 0, column] = note["velocity"]
    return Strokes(ages, velocities)


def beside(reference: Cells, distance: int) -> Cells:
    """Return which silent cells lie so many semitones above a pitch that sounds; below, if < 0."""
    pitches, found = reference.shape[1], np.zeros_like(reference)
    above = reference[:, max(0, -distance) : pitches - max(0, distance)]
    found[:, max(0, distance) : pitches - max(0, -distance)] = above
    return found & ~reference


def groups(
    reference: Cells, struck: Strokes, settings: CqtSettings, detailed: bool
) -> Iterator[tuple[str, str, Cells]]:
    """Yield by what cells are told apart, the group's name, and which cells are in it."""
    yield "all", "", np.ones_like(reference)
    if not detailed:
        return
    at_least = 0.0
    for name, until in AGES.items():
        yield "age", name, reference & (struck.ages >= at_least) & (struck.ages < until)
        at_least = until
    pitch = settings.lowest_pitch + np.arange(settings.pitches)
    softer = 0
    for name, most in VELOCITIES.items():
        hit = (struck.velocities > softer) & (struck.velocities <= most)
        yield "velocity", name, reference & hit
        softer = most
    for octave in np.unique(pitch // 12):
        inside = np.broadcast_to(pitch // 12 == octave, reference.shape)
        low, high = pitch[pitch // 12 == octave][[0, -1]]
        yield "octave", f"{low} to {high}", inside
    sounding, more_than = reference.sum(axis=1)[:, None], 0
    for name, most in AT_ONCE.items():
        inside = (sounding > more_than) & (sounding <= most)
        yield "notes at once", name, np.broadcast_to(inside, reference.shape)
        more_than = most
    near = np.zeros_like(reference)
    for distance in (*DISTANCES, *(-each for each in DISTANCES)):
        found = beside(reference, distance)
        near |= found
        yield BESIDE, f"{abs(distance)} {'above' if distance > 0 else 'below'}", found
    yield BESIDE, NEAR, near
    yield BESIDE, ELSEWHERE, ~reference & ~near


def _count(reference: Cells, estimated: Cells, cells: Cells) -> dict[str, int]:
    """Return what sounds in some cells, is said to, and both; and how many they are."""
    counts = count_frames(reference & cells, estimated & cells)
    return dict(zip(COUNTED, (*counts, int(cells.sum())), strict=True))


def tables(counts: pd.DataFrame) -> list[str]:
    """Return the tables of docs/robust.md, both pianos together, in percent."""
    by = ["by", "group", "noise", "snr_db"]
    scores = counts.groupby(by, as_index=False, sort=False).sum(numeric_only=True)
    reference, estimated, matched = (scores[name] for name in COUNTED[:3])
    found = precision_recall_f1(matched, estimated - matched, reference - matched)
    for name, value in zip(("precision", "recall", "F1"), found, strict=True):
        scores[name] = 100 * value
    value_of = scores.set_index(by).sort_index()
    noises = [
        [kind, *(value_of.loc[("all", "", kind, ratio), "F1"] for ratio in RATIOS_DB)]
        for kind in KINDS
    ]
    shown = [_markdown(["noise", *(f"{ratio:g} dB" for ratio in RATIOS_DB)], noises)]
    # What is estimated where nothing sounds has no age.
    told = {"age": ["recall"], "velocity": ["recall"],
            "octave": ["precision", "recall"], "notes at once": ["precision", "recall"],
            "level": ["F1"]}  # fmt: skip
    for name in scores["by"].unique():
        if name == BESIDE:
            shown.append(_beside_table(value_of))
        if name not in told:
            continue
        measures = told[name]
        groups_of = scores.loc[scores["by"] == name, "group"].unique()
        columns = [(measure, *each) for each in DETAILED for measure in measures]
        rows = [
            [group, *(value_of.loc[(name, group, noise, ratio), measure]
                      for measure, noise, ratio in columns)]
            for group in groups_of
        ]  # fmt: skip
        titles = [f"{measure}, {_condition(noise, ratio)}" for measure, noise, ratio in columns]
        shown.append(_markdown([name, *titles], rows))
    return shown


def _beside_table(value_of: pd.DataFrame) -> str:
    """Return where what it adds lies, and how many of the silent cells lie there anyway."""
    of_silent = value_of.loc[BESIDE]
    measures = [("estimated", *each) for each in DETAILED] + [("cells", *DETAILED[0])]

    def share(group: str, measure: str, noise: str, ratio: float) -> float:
        counts = of_silent[measure]
        # Of distances that meet in a cell each has it: only the last two groups add up.
        total = counts[NEAR, noise, ratio] + counts[ELSEWHERE, noise, ratio]
        return float(100 * counts[group, noise, ratio] / total)

    distances = [f"{each} {side}" for side in ("above", "below") for each in DISTANCES]
    rows = [[group, *(share(group, *each) for each in measures)] for group in (*distances, NEAR)]
    titles = [f"false frames, {_condition(*each)}" for each in DETAILED] + ["all silent cells"]
    return _markdown([BESIDE, *titles], rows)


def _condition(noise: str, ratio: float) -> str:
    return "clean" if noise == "none" else f"{noise} noise, {ratio:g} dB"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [[str(row[0]), *(f"{value:.1f}" for value in row[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
