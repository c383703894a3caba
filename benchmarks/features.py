"""Features: the workflow, beside one warm process and beside librosa as the ancestor called it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from benchmarks import data
from benchmarks.measure import (
    ONE_THREAD,
    ROOT,
    Options,
    Section,
    Table,
    Took,
    command,
    in_process,
    interleaved,
    main_of_section,
    ratios,
    row,
    timed,
)

TEXT = """\
`workflow` is a whole call of `snakemake` that makes the feature files of a corpus, its own \
start and a job a piece included. `warm process` is the limit: one process, its imports done and \
its filters made, calls the same function on the same files, one after the other, on one thread. \
`librosa` is what the ancestor of this code did, a `librosa.load` and a `librosa.cqt` for each \
file, in one warm process, without writing anything or reading notes. CPU seconds are those of \
all processes; the workflow has all cores, the other two one. Recordings are 44.1 kHz stereo."""

LARGEST_DIFFERENCE = 1e-5
"""Of the largest magnitude: what rounding makes of the same filters in another order."""


def main(options: Options) -> Section:
    """Measure pieces of four minutes, and the demo's 30 seconds."""
    section = Section("Features", TEXT)
    lengths = {240.0: (options.size(40, 4), ("<=", 2.5)), 30.0: (options.size(56, 4), None)}
    for seconds, (pieces, target) in lengths.items():
        _measure_length(section, options, seconds, pieces, target)
    return section


def _measure_length(
    section: Section,
    options: Options,
    seconds: float,
    pieces: int,
    target: tuple[str, float] | None,
) -> None:
    folder = Path(options.folder) / f"{seconds:g}"
    paths = data.corpus(folder / "corpus", pieces, seconds)
    some = paths[: options.size(8, 2)]
    differ, _ = in_process(differences, ONE_THREAD, paths=[str(path) for path in some[:2]])
    if max(differ.values()) > LARGEST_DIFFERENCE:
        raise AssertionError(f"features are not librosa's: {differ}")
    taken = interleaved(
        {
            "workflow": lambda: workflow(folder, paths, options.cores),
            "warm process": lambda: _called(warm, folder, paths),
            "librosa": lambda: _called(librosa_per_file, folder, some),
        },
        options.size(3, 1),
    )
    name = f"features, {pieces} pieces of {seconds:g} s"
    share = len(paths) / len(some)
    cpu = {way: [took.cpu for took in each] for way, each in taken.items()}
    wall = {way: [took.wall for took in each] for way, each in taken.items()}
    cpu["librosa"] = [value * share for value in cpu["librosa"]]
    wall["librosa"] = [value * share for value in wall["librosa"]]
    busy = [value * options.cores for value in wall["workflow"]]
    section.rows += [
        row(f"{name}: workflow / warm process, CPU", ratios(cpu["workflow"], cpu["warm process"]),
            target),
        row(f"{name}: workflow x cores / warm process, wall", ratios(busy, wall["warm process"]),
            note=f"{options.cores} cores"),
        row(f"{name}: librosa / warm process, CPU", ratios(cpu["librosa"], cpu["warm process"])),
        row(f"{name}: librosa / workflow, CPU", ratios(cpu["librosa"], cpu["workflow"])),
    ]  # fmt: skip
    section.tables.append(
        Table(
            f"{pieces} pieces of {seconds:g} s (median; librosa: {len(some)} of them, times "
            f"{share:g}). Largest difference to librosa, of the largest magnitude: "
            f"{differ['transform']:.1e}; as stored: {differ['stored']:.1e}",
            ["", "wall [s]", "CPU [s]", "CPU a piece [s]", "largest process [MB]"],
            [
                [way, f"{np.median(wall[way]):.1f}", f"{np.median(cpu[way]):.1f}",
                 f"{np.median(cpu[way]) / pieces:.2f}", f"{max(t.peak_mb for t in each):.0f}"]
                for way, each in taken.items()
            ],
        )
    )  # fmt: skip


def workflow_folder(folder: Path, recordings: Path) -> Path:
    """Return a working folder with a config for a folder of recordings."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    content = data.config()
    content["corpus"] |= {"kind": "folder", "root": str(recordings)}
    content["report"]["example_piece"] = None
    (work / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return work


def snakemake(*arguments: str | Path) -> list[str | Path]:
    """Return a command line that runs the clone's Snakefile."""
    return ["snakemake", "--snakefile", ROOT / "Snakefile", *arguments]


def workflow(folder: Path, paths: list[Path], cores: int) -> Took:
    """Make all features by the workflow, from nothing."""
    work = workflow_folder(folder, paths[0].parent)
    for made in ("results", ".snakemake", "logs", "benchmarks"):
        shutil.rmtree(work / made, ignore_errors=True)
    targets = [f"results/features/{path.stem}.parquet" for path in paths]
    # The same threads a job as `threads: 1` gives those of the other two.
    return command(
        snakemake(
            "--directory", work, "--configfile", work / "config.yaml",
            "--cores", str(cores), "--quiet", "all", "--", *targets,
        ),
        ONE_THREAD,
    )  # fmt: skip


def _called(work: Any, folder: Path, paths: list[Path]) -> Took:
    _, took = in_process(work, ONE_THREAD, folder=str(folder), paths=[str(path) for path in paths])
    return took


def warm(folder: str, paths: list[str]) -> dict[str, float]:
    """Make all features in this process; return seconds, without those of the first piece twice."""
    from at4ramt.features.piece_features import extract_piece

    features = data.config()["features"]
    out = Path(folder) / "warm" / "piece.parquet"
    out.parent.mkdir(exist_ok=True)

    def extract(path: str) -> None:
        extract_piece(
            path, Path(path).with_suffix(".txt"), out,
            piece=Path(path).stem, instrument="X", features=features,
        )  # fmt: skip

    extract(paths[0])  # imports, filters

    def work() -> None:
        for path in paths:
            extract(path)

    took = timed(work)
    return {"wall": took.wall, "cpu": took.cpu}


def librosa_per_file(folder: str, paths: list[str]) -> dict[str, float]:
    """Load and transform each file by librosa; return seconds."""
    del folder
    _by_librosa(paths[0])  # imports, compiled functions
    took = timed(lambda: [_by_librosa(path) for path in paths])
    return {"wall": took.wall, "cpu": took.cpu}


def _by_librosa(path: str) -> Any:
    """Return librosa's transform ``(frames, bins)`` with the defaults of the package's."""
    import librosa

    from at4ramt.features.cqt import CqtSettings, pitch_hz

    settings = CqtSettings.from_config(data.config()["features"])
    audio, _ = librosa.load(path, sr=settings.sample_rate_hz)
    return librosa.cqt(
        audio,
        sr=settings.sample_rate_hz,
        hop_length=settings.hop_length_samples,
        fmin=pitch_hz(settings.first_pitch),
        n_bins=settings.bins,
        bins_per_octave=12 * settings.bins_per_pitch,
        tuning=0.0,
    ).T


def differences(paths: list[str]) -> dict[str, float]:
    """Return the largest differences to librosa: of the transform, and of what a file stores.

    The latter is less what half precision cannot hold, a relative 2**-11 of each number.
    """
    from at4ramt.features.audio import read_audio
    from at4ramt.features.cqt import CqtSettings, complex_cqt
    from at4ramt.features.piece_features import extract_piece
    from at4ramt.features.shards import fixed_list_values, read_features

    section = data.config()["features"]
    settings = CqtSettings.from_config(section)
    worst = {"transform": 0.0, "stored": 0.0}
    for path in paths:
        theirs = _by_librosa(path)
        scale = float(np.abs(theirs).max())
        ours = complex_cqt(read_audio(path, settings.sample_rate_hz), settings)
        if ours.shape != theirs.shape:
            raise AssertionError(f"{path}: {ours.shape} is not librosa's {theirs.shape}")
        worst["transform"] = max(worst["transform"], float(np.abs(ours - theirs).max()) / scale)
        out = Path(path).with_suffix(f".{os.getpid()}.parquet")
        extract_piece(
            path, Path(path).with_suffix(".txt"), out, piece="x", instrument="X", features=section
        )
        table = read_features(out, ["real", "imag"])
        out.unlink()
        for name, part in (("real", theirs.real), ("imag", theirs.imag)):
            stored = fixed_list_values(table, name).astype(np.float64)
            # Below 2**-14 a half has fewer digits than eleven.
            held = np.maximum(np.abs(part) * 2.0**-11, 2.0**-25)
            off = float((np.abs(stored - part) - held).max()) / scale
            worst["stored"] = max(worst["stored"], off)
    return worst


if __name__ == "__main__":
    main_of_section(main)
