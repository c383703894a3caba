"""Where the robust transcriber errs: by noise, age of the note, octave, notes at once, and level.

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
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from at4ramt.audio_noise.babble import cut_excerpts, read_excerpts
from at4ramt.audio_noise.kinds import KINDS
from at4ramt.audio_noise.mixing import mixed_samples, piece_power
from at4ramt.evaluation.in_audio import Reference, SoundingPiece, count_frames, read_reference
from at4ramt.evaluation.metrics import precision_recall_f1
from at4ramt.evaluation.notes import heard_magnitudes
from at4ramt.features.audio import open_audio
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.stream import cqt_blocks
from at4ramt.files import whole_file
from at4ramt.transcription.models import Model, open_model

PIECES = Path(__file__).resolve().parents[1] / "config/corpus/robust_pieces.tsv"
MODELS = "models/robust/seed_*/round_01.onnx"
RATIOS_DB = (20.0, 10.0, 0.0, -8.0)
DETAILED = (("none", np.inf), ("white", 0.0))
"""Conditions whose frames are told apart by age, octave and number of notes."""
LEVELS_DB = (-12.0, 12.0)
"""By how much recordings in these conditions are made louder."""
AGES = {"0 to 0.25 s": 0.25, "0.25 to 1 s": 1.0, "1 to 2 s": 2.0, "2 to 4 s": 4.0, "4 s on": np.inf}
AT_ONCE = {"1": 1, "2": 2, "3": 3, "4": 4, "5 or 6": 6, "7 on": 99}
COUNTED = ("reference", "estimated", "matched")

Cells = npt.NDArray[np.bool_]


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
            ages = note_ages(reference, settings)
            for (noise, snr_db), magnitudes in _heard(piece, settings, excerpts):
                detailed = (noise, snr_db) in DETAILED
                for model in models:
                    found = _counted(model, magnitudes, reference, ages, detailed)
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
    ages: npt.NDArray[np.float64],
    detailed: bool,
) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield by what cells are told apart, the group's name, and its counts."""
    active = _active(model, magnitudes)
    for by, group, cells in groups(reference.frames, ages, model.features, detailed):
        yield by, group, _count(reference.frames & cells, active & cells)
    for gain in LEVELS_DB if detailed else ():
        active = _active(model, magnitudes * np.float32(10 ** (gain / 20)))
        yield "level", f"{gain:+g} dB", _count(reference.frames, active)


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


def note_ages(reference: Reference, settings: CqtSettings) -> npt.NDArray[np.float64]:
    """Return for each cell how long ago its pitch was struck, in s; infinite before it was."""
    frames, pitches = reference.frames.shape
    time = np.arange(frames) * settings.hop_length_samples / settings.sample_rate_hz
    ages = np.full((frames, pitches), np.inf)
    for note in np.sort(reference.notes, order="onset"):
        since = time - note["onset"]
        column = ages[:, int(note["pitch"]) - settings.lowest_pitch]
        column[since >= 0] = since[since >= 0]
    return ages


def groups(
    reference: Cells, ages: npt.NDArray[np.float64], settings: CqtSettings, detailed: bool
) -> Iterator[tuple[str, str, Cells]]:
    """Yield by what cells are told apart, the group's name, and which cells are in it."""
    yield "all", "", np.ones_like(reference)
    if not detailed:
        return
    at_least = 0.0
    for name, until in AGES.items():
        yield "age", name, reference & (ages >= at_least) & (ages < until)
        at_least = until
    pitch = settings.lowest_pitch + np.arange(settings.pitches)
    for octave in np.unique(pitch // 12):
        inside = np.broadcast_to(pitch // 12 == octave, reference.shape)
        low, high = pitch[pitch // 12 == octave][[0, -1]]
        yield "octave", f"{low} to {high}", inside
    sounding, more_than = reference.sum(axis=1)[:, None], 0
    for name, most in AT_ONCE.items():
        inside = (sounding > more_than) & (sounding <= most)
        yield "notes at once", name, np.broadcast_to(inside, reference.shape)
        more_than = most


def _count(reference: Cells, estimated: Cells) -> dict[str, int]:
    return dict(zip(COUNTED, count_frames(reference, estimated), strict=True))


def tables(counts: pd.DataFrame) -> list[str]:
    """Return the tables of docs/robust.md, both pianos together, in percent."""
    by = ["by", "group", "noise", "snr_db"]
    scores = counts.groupby(by, as_index=False, sort=False)[list(COUNTED)].sum()
    reference, estimated, matched = (scores[name] for name in COUNTED)
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
    told = {"age": ["recall"], "octave": ["precision", "recall"],
            "notes at once": ["precision", "recall"], "level": ["F1"]}  # fmt: skip
    for name, measures in told.items():
        groups_of = scores.loc[scores["by"] == name, "group"].unique()
        columns = [(measure, *each) for each in DETAILED for measure in measures]
        rows = [
            [group, *(value_of.loc[(name, group, noise, ratio), measure]
                      for measure, noise, ratio in columns)]
            for group in groups_of
        ]  # fmt: skip
        titles = [
            f"{measure}, {'clean' if noise == 'none' else f'{noise} noise, {ratio:g} dB'}"
            for measure, noise, ratio in columns
        ]
        shown.append(_markdown([name, *titles], rows))
    return shown


def _markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [[str(row[0]), *(f"{value:.1f}" for value in row[1:])] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
