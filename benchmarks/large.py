"""What is long or many: a recording of hours, thousands of pieces of a second, a long work.

    .venv/bin/python benchmarks/large.py --minutes 12 180 --pieces 300 10000 --work 12 60

Each step runs in a process of its own. A row has its seconds, its peak of resident memory, and the
bound on that: what a step may take before it is given anything, and what more for each minute or
piece (BOUNDS says what it is that grows). Where there are two sizes of a kind, the growth from the
smallest to the largest is held to its bound as well, which a bound on the whole would hide; a peak
differs by up to 15 MB from run to run, so sizes that lie near each other say little of growth. Exit
code 1 if a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT)]

VALIDATION_PIECES = 12
VALIDATION_MINUTES = 1


@dataclass(frozen=True)
class Bound:
    """Of a step's peak of resident memory.

    Attributes:
        fixed_mb: whatever it is given.
        each_mb: for each minute, or each piece of a second.
        grows: what it is that grows.
    """

    fixed_mb: float
    each_mb: float
    grows: str


MATRIX = "the frame matrix that it trains on"
BOUNDS = {
    ("recording", "check"): Bound(150, 2, "onsets and levels, some numbers a frame"),
    ("recording", "features"): Bound(250, 2, "a level and a power a frame; the rest is of a block"),
    ("recording", "transcribe"): Bound(300, 2, "the network's answers, and notes"),
    ("pieces", "plan"): Bound(250, 0.1, "the graph of jobs"),
    ("pieces", "features"): Bound(150, 0.02, "nothing: a piece is in memory at a time"),
    ("pieces", "shard"): Bound(200, 0.05, "the pieces' names"),
    ("pieces", "epoch"): Bound(900, 0.05, MATRIX),
    ("work", "features"): Bound(250, 2, "as of a recording"),
    ("work", "shard"): Bound(250, 9, "the longest piece, which is in memory as a whole"),
    ("work", "epoch"): Bound(900, 5, MATRIX),
}
UNITS = {"recording": "minute", "pieces": "piece", "work": "minute"}


def write(folder: Path, minutes: float) -> dict[str, Any]:
    """Write a recording and its notes."""
    from benchmarks.memory import write_recording

    folder.mkdir(parents=True)
    write_recording(folder, 60 * minutes)
    return {"megabytes": (folder / "x.wav").stat().st_size / 1e6}


def check(folder: Path) -> dict[str, Any]:
    """Listen to the recording."""
    from benchmarks.memory import check

    check(folder)
    return {}


def features(folder: Path) -> dict[str, Any]:
    """Make features of all recordings of a folder that have none."""
    from benchmarks import data

    from at4ramt.features.piece_features import extract_piece

    section = data.config()["features"]
    made = 0
    for path in sorted(folder.rglob("*.wav")):
        out = folder / "features" / f"{path.parent.name}_{path.stem}.parquet"
        out.parent.mkdir(exist_ok=True)
        if not out.exists():
            extract_piece(
                path, path.with_suffix(".txt"), out,
                piece=out.stem, instrument="X", features=section,
            )  # fmt: skip
            made += 1
    return {"made": made}


def transcribe(folder: Path) -> dict[str, Any]:
    """Transcribe the recording by the command, with an untrained network: notes by the thousand."""
    import mido

    from at4ramt.cli import main

    model, midi = folder / "model.onnx", folder / "x.mid"
    if status := main(
        ["transcribe", str(folder / "x.wav"), "-o", str(midi), "--model", str(model), "--quiet"]
    ):
        raise RuntimeError(f"at4ramt transcribe ended with {status}")
    played = mido.MidiFile(midi)
    return {
        "notes": sum(message.type == "note_on" for message in played),
        "minutes": played.length / 60,
    }


def model(folder: Path) -> dict[str, Any]:
    """Write an untrained network, ready to transcribe."""
    from benchmarks import data

    from at4ramt.training.backend import start_backend

    start_backend(1, 0)
    import keras

    from at4ramt.training.model_file import save_model
    from at4ramt.training.onnx_file import export_onnx

    network = data.network()
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    card = {"frame_step": 2, "context_frames": 7, "threshold_fitted": 0.5}
    card["features"] = data.config()["features"]
    save_model(folder / "model.keras", network, optimizer, card)
    export_onnx(folder / "model.keras", folder / "model.onnx")
    return {}


def pieces(folder: Path, count: int) -> dict[str, Any]:
    """Write so many pieces of a second."""
    from benchmarks import data

    data.corpus(folder / "corpus", count, 1.0)
    return {}


def shard(folder: Path, held_out: int) -> dict[str, Any]:
    """Put all features but a few into a shard, these into another; return the frames kept."""
    from benchmarks import data

    from at4ramt.features.shards import build_shard

    content = data.config()
    found = sorted((folder / "features").iterdir())
    summary: dict[str, Any] = {}
    for split, chosen in (("validation", found[:held_out]), ("training", found[held_out:])):
        summary = build_shard(
            chosen, folder / f"{split}.parquet", split=split, instrument="X",
            features=content["features"], **content["shards"],
        )  # fmt: skip
    return {"frames": summary["rows"]}


def epoch(folder: Path) -> dict[str, Any]:
    """Train the base model for an epoch."""
    from benchmarks import data

    from at4ramt.config import training_config
    from at4ramt.training.jobs import train_base

    content = data.config()
    content["base"] |= {"epochs": 1, "patience_epochs": 1}
    made = [str(folder / f"base.{suffix}") for suffix in ("keras", "history.parquet", "json")]
    train_base(
        [str(folder / "training.parquet")], [str(folder / "validation.parquet")], *made,
        seed=0, config=training_config(content, 0), code="", checkpoints=str(folder / "states"),
        threads=1,
    )  # fmt: skip
    return {"epochs": json.loads(Path(made[2]).read_text(encoding="utf-8"))["epochs"]}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    each.__name__: each
    for each in (write, check, features, transcribe, model, pieces, shard, epoch)
}  # fmt: skip


def run(step: str, folder: Path, *arguments: float) -> dict[str, Any]:
    """Run a step in a process of its own; return what it says, its seconds and its peak in MB."""
    command = [sys.executable, __file__, "--step", step, str(folder), *map(str, arguments)]
    printed = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def run_here(step: str, folder: str, *arguments: str) -> None:
    """Run a step in this process, and print what it took."""
    begin = time.monotonic()
    numbers = (float(value) if "." in value else int(value) for value in arguments)
    said = STEPS[step](Path(folder), *numbers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({**said, "seconds": time.monotonic() - begin, "peak_mb": peak}))


def plan(folder: Path) -> dict[str, Any]:
    """Plan the experiment on all pieces of a folder; its memory is of the largest process."""
    from benchmarks.features import snakemake, workflow_folder
    from benchmarks.measure import command

    work = workflow_folder(folder, folder / "corpus")
    took = command(
        snakemake("--directory", work, "--configfile", work / "config.yaml", "-n", "--quiet", "all")
    )
    return {"seconds": took.wall, "peak_mb": took.peak_mb}


def steps(folder: Path, kind: str, size: float) -> Iterator[dict[str, Any]]:
    """Run all steps on what is of a kind and size; yield step, seconds, peak_mb and what it says.

    The folder is emptied afterwards.
    """
    here = folder / f"{kind}_{size:g}"
    if kind == "recording":
        run("write", here, float(size))
        run("model", here)
        for step in ("check", "features", "transcribe"):
            yield {"step": step, **run(step, here)}
    else:
        if kind == "pieces":
            run("pieces", here, int(size))
            yield {"step": "plan", **plan(here)}
        else:
            for name, length in (("a", VALIDATION_MINUTES), ("b", size)):
                run("write", here / name, float(length))
        yield {"step": "features", **run("features", here)}
        yield {"step": "shard", **run("shard", here, VALIDATION_PIECES if kind == "pieces" else 1)}
        yield {"step": "epoch", **run("epoch", here)}
    shutil.rmtree(here)


def rows(folder: Path, sizes: Mapping[str, Sequence[float]]) -> Iterator[dict[str, Any]]:
    """Run all steps on each size of each kind; yield a row each, and then a row a step that grew.

    A row has ``kind``, ``size``, ``step``, ``seconds``, ``peak_mb``, ``bound_mb`` and what the step
    says; one of growth ``kind``, ``step``, ``sizes``, ``each_mb``, ``bound_mb`` and ``grows``.
    """
    peaks: dict[tuple[str, str], dict[float, float]] = {}
    for kind, several in sizes.items():
        for size in sorted(several):
            for row in steps(folder, kind, size):
                bound = BOUNDS[kind, row["step"]]
                peaks.setdefault((kind, row["step"]), {})[size] = row["peak_mb"]
                limit = bound.fixed_mb + bound.each_mb * size
                yield {"kind": kind, "size": size, **row, "bound_mb": limit}
    for (kind, step), of in peaks.items():
        if len(of) > 1:
            least, most = min(of), max(of)
            bound = BOUNDS[kind, step]
            yield {
                "kind": kind,
                "step": step,
                "sizes": [least, most],
                "each_mb": (of[most] - of[least]) / (most - least),
                "bound_mb": bound.each_mb,
                "grows": bound.grows,
            }


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table."""
    kind = row["kind"]
    unit = f"{UNITS[kind]}s" + (" of a second" if kind == "pieces" else "")
    what = "" if kind == "pieces" else f"a {kind} of "
    if "sizes" in row:
        least, most = row["sizes"]
        cells = [
            f"{what}{least:g} to {most:g} {unit}",
            f"{row['step']}, growth: {row['grows']}",
            "",
        ]
        ends = [f"{row[name]:.3f} a {UNITS[kind]}" for name in ("each_mb", "bound_mb")]
    else:
        cells = [f"{what}{row['size']:g} {unit}", row["step"], f"{row['seconds']:.0f}"]
        ends = [f"{row['peak_mb']:.0f}", f"{row['bound_mb']:.0f}"]
    return f"| {' | '.join(cells + ends)} |"


def main() -> int:
    """Measure, and print a table, or a JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, told in (
        ("minutes", "of a recording; two sizes show the growth"),
        ("pieces", "of a second each"),
        ("work", "minutes of a work in a shard"),
    ):
        parser.add_argument(f"--{name}", type=float, nargs="+", default=[], help=told)
    parser.add_argument("--folder", help="where to write, for some 12 MB a minute")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_here(*options.step)
        return 0
    if not options.json:
        print("| what | step | seconds | peak [MB] | bound [MB] |\n|---|---|---|---|---|")
    broken = False
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        sizes = {"recording": options.minutes, "pieces": options.pieces, "work": options.work}
        for row in rows(Path(name), sizes):
            broken = broken or row["each_mb" if "sizes" in row else "peak_mb"] > row["bound_mb"]
            print(json.dumps(row) if options.json else line(row), flush=True)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
