"""Time and memory of each phase for corpora of one, two, four and eight times a size."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import data
from benchmarks.measure import (
    ONE_THREAD,
    Options,
    Section,
    Table,
    Took,
    in_process,
    interleaved,
    main_of_section,
    row,
    timed,
)
from benchmarks.planning import plan

TEXT = """\
Each phase runs in a process of its own on corpora of one to eight times as many pieces of 30 s \
(planning: of 4 s), one thread: features, shards and planning as the workflow does them; \
training is reading the shard, then one epoch and its validation; evaluation is scoring the base \
model at three levels. Times are CPU seconds, without imports but for planning, and the median \
of the repeats. A straight line is fitted by least squares; its *departure* is the largest \
distance of a measured value from it, as a share of the largest value. That it be below 10 % is \
our reading of "straight"."""

FACTORS = (1, 2, 4, 8)
SECONDS = 30.0
STRAIGHT = ("<", 0.1)
LEVELS = [0.0, 0.1, 0.34]


def main(options: Options) -> Section:
    """Measure all phases at all sizes."""
    section = Section("Growth", TEXT)
    folder = Path(options.folder)
    unit = options.size(6, 3)
    sizes = [factor * unit for factor in (FACTORS if not options.quick else FACTORS[:3])]
    in_process(prepare, folder=str(folder), pieces=max(sizes), sizes=sizes)
    planned = options.size(250, 50)
    phases: dict[str, tuple[int, Callable[[int], Took]]] = {
        "features": (unit, lambda n: _phase(features, folder, n)),
        "shards": (unit, lambda n: _phase(shards, folder, n)),
        "training": (unit, lambda n: _phase(training, folder, n)),
        "evaluation": (unit, lambda n: _phase(evaluation, folder, n)),
        "planning": (planned, lambda n: plan(n, folder / "plans")),
    }
    for name, (smallest, run) in phases.items():
        counts = [smallest * size // unit for size in sizes]
        taken = interleaved(
            {str(n): lambda n=n, run=run: run(n) for n in counts},  # type: ignore[misc]
            options.size(3, 1),
        )
        _report(section, name, counts, taken, 4.0 if name == "planning" else SECONDS)
    return section


def _report(
    section: Section, name: str, counts: list[int], taken: dict[str, list[Took]], seconds: float
) -> None:
    cpu = [float(np.median([took.cpu for took in taken[str(n)]])) for n in counts]
    peak = [float(np.median([took.peak_mb for took in taken[str(n)]])) for n in counts]
    lines = [
        [f"{count:,}", f"{used:.2f}", f"{memory:.0f}"]
        for count, used, memory in zip(counts, cpu, peak, strict=True)
    ]
    slope, off = _line(counts, cpu)
    grown, off_memory = _line(counts, peak)
    section.rows += [
        row(f"growth, {name}: time, departure from a straight line", [off], STRAIGHT, "of 1",
            f"{_told(1e3 * slope)} ms of CPU a piece"),
        row(f"growth, {name}: memory, departure from a straight line", [off_memory], STRAIGHT,
            "of 1", f"{_told(1e3 * grown)} kB a piece"),
    ]  # fmt: skip
    section.tables.append(
        Table(
            f"{name.capitalize()}: {_told(1e3 * slope)} ms of CPU and {_told(1e3 * grown)} kB for "
            f"each piece of {seconds:g} s more",
            ["pieces", "CPU [s]", "peak [MB]"],
            lines,
        )
    )


def _told(value: float) -> str:
    """Return a number with two digits, large ones without a power of ten."""
    digits = f"{value:.2g}"
    return f"{float(digits):,.0f}" if "e+" in digits else digits


def _line(counts: list[int], values: list[float]) -> tuple[float, float]:
    """Return the slope, and the largest departure by the largest value."""
    slope, start = np.polyfit(counts, values, 1)
    fitted = slope * np.asarray(counts) + start
    return float(slope), float(np.abs(fitted - values).max() / max(values))


def _phase(work: Callable[..., Any], folder: Path, pieces: int) -> Took:
    return in_process(work, ONE_THREAD, folder=str(folder), pieces=pieces)[1]


def prepare(folder: str, pieces: int, sizes: list[int]) -> None:
    """Make recordings, features, a shard for each size, and a model."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    place = Path(folder)
    train_a_base(place / "model", place / "model" / "model.keras", 1, pieces=6)
    section = data.config()["features"]
    from at4ramt.features.piece_features import extract_piece

    made: dict[int, Path] = {}
    for number, path in enumerate(data.corpus(place / "corpus", pieces, SECONDS)):
        out = place / "features" / f"{path.stem}.parquet"
        out.parent.mkdir(exist_ok=True)
        extract_piece(
            path, path.with_suffix(".txt"), out, piece=path.stem, instrument="X", features=section
        )
        made[number] = out
    for size in sizes:
        _shard(place, size, place / "shards" / f"{size}" / "X.parquet")


def train_a_base(folder: Path, model: Path, epochs: int, pieces: int) -> None:
    """Train a base model on synthetic recordings of 30 s; Keras is started."""
    from at4ramt.config import training_config
    from at4ramt.training.jobs import train_base

    content = data.config()
    content["base"] |= {"epochs": epochs}
    shards = data.shards_of(folder, pieces, 30.0)
    train_base(
        [str(shards["training"])], [str(shards["validation"])], str(model),
        str(model.with_suffix(".history.parquet")), str(model.with_suffix(".json")),
        seed=0, config=training_config(content, 0), code="", threads=1,
        checkpoints=str(folder / "checkpoints"),
    )  # fmt: skip


def _shard(folder: Path, pieces: int, out: Path) -> None:
    from at4ramt.features.shards import build_shard

    out.parent.mkdir(parents=True, exist_ok=True)
    content = data.config()
    paths = sorted((folder / "features").glob("*.parquet"))[:pieces]
    build_shard(
        paths, out, split="test", instrument="X", features=content["features"], **content["shards"]
    )


def features(folder: str, pieces: int) -> dict[str, float]:
    """Make features of so many pieces."""
    from at4ramt.features.piece_features import extract_piece

    section, place = data.config()["features"], Path(folder)
    paths = sorted((place / "corpus").glob("*.wav"))[:pieces]

    def work() -> None:
        for path in paths:
            extract_piece(
                path, path.with_suffix(".txt"), place / "again.parquet",
                piece=path.stem, instrument="X", features=section,
            )  # fmt: skip

    return _seconds(timed(work))


def shards(folder: str, pieces: int) -> dict[str, float]:
    """Make a shard of so many pieces."""
    place = Path(folder)
    _shard(place, 1, place / "one.parquet")  # imports
    return _seconds(timed(lambda: _shard(place, pieces, place / "again_shard.parquet")))


def training(folder: str, pieces: int) -> dict[str, float]:
    """Read a shard, train an epoch on it and validate."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    import keras

    from at4ramt.training.jobs import load_splits
    from at4ramt.training.loop import train
    from at4ramt.training.network import context_frames

    place, content = Path(folder), data.config()
    shard = str(place / "shards" / f"{pieces}" / "X.parquet")
    held = str(place / "model" / "shards" / "validation" / "X.parquet")
    network, optimizer = data.network(), keras.optimizers.Adam(1e-3)

    def work() -> None:
        matrix, validation = load_splits([shard], [held], content, context_frames(network))
        weights = data.weights(matrix)
        train(network, optimizer, matrix, validation, weights, data.plan())

    return _seconds(timed(work))


def evaluation(folder: str, pieces: int) -> dict[str, float]:
    """Score the model on a shard."""
    from at4ramt.config import evaluation_config
    from at4ramt.evaluation.score_model import score_model

    place, content = Path(folder), data.config()
    content["evaluation"]["levels"] = LEVELS
    out = place / "scores"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    names = ("scores", "scores_all_frames", "frame_metrics", "confusion")
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    import at4ramt.training.loop
    import at4ramt.training.model_file  # noqa: F401

    return _seconds(
        timed(
            lambda: score_model(
                str(place / "model" / "model.keras"),
                {"test": [str(place / "shards" / f"{pieces}" / "X.parquet")]},
                {name: str(out / f"{name}.parquet") for name in names},
                config=evaluation_config(content),
                shard_settings=content["shards"],
                further=False,
                threads=1,
            )
        )
    )


def _seconds(took: Took) -> dict[str, float]:
    return {"wall": took.wall, "cpu": took.cpu}


if __name__ == "__main__":
    main_of_section(main)
