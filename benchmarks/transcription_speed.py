"""`at4ramt transcribe` beside basic-pitch: start to end of a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import data
from benchmarks.growth import train_a_base
from benchmarks.measure import (
    ONE_THREAD,
    ROOT,
    Options,
    Section,
    Table,
    command,
    environment,
    in_process,
    interleaved,
    main_of_section,
    missing,
    ratios,
    row,
)

from at4ramt.cli import SHIPPED_MODEL

TEXT = """\
All are whole commands, from their start to the MIDI file: `at4ramt transcribe song.wav -o \
song.mid`, with the robust transcriber that comes with the clone and with the demo's network, \
both run by ONNX Runtime, and `basic-pitch FOLDER song.wav` with its own network, also run by \
ONNX Runtime, from its own environment. They hear the same file of four minutes (44.1 kHz stereo) \
and may use the same cores: all, and one. The notes that our command finds by ONNX Runtime and by \
Keras are compared in the run, for both networks."""

TARGET = (">=", 4.0)


def main(options: Options) -> Section:
    """Compare what the runtimes find, then run both commands."""
    section = Section("Transcription", TEXT)
    folder = Path(options.folder)
    seconds = options.size(240, 30)
    song = data.recording(folder, "song", seconds)
    # A copy: the runtimes are compared by a model that has no export beside it.
    shipped = ROOT / SHIPPED_MODEL
    shutil.copytree(shipped.parent, folder / "robust")
    models = {"robust": str(folder / "robust" / shipped.name)}
    models["demo's network"], _ = in_process(
        a_model, folder=str(folder / "model"), demo=options.demo, epochs=options.size(4, 1)
    )
    notes = {
        name: in_process(compare_runtimes, song=str(song), model=model)[0]
        for name, model in models.items()
    }
    ours: dict[str, list[str | Path]] = {
        name: [sys.executable, "-P", "-m", "at4ramt.cli", "transcribe", song,
               "-o", folder / "song.mid", "--model", model, "--quiet"]
        for name, model in models.items()
    }  # fmt: skip
    peer = Path(options.peer).parent / "basic-pitch"
    peer_missing = "" if peer.exists() else f"{peer} is missing: make setup-peer"
    out = folder / "peer"
    for cores in sorted({options.cores, 1}, reverse=True):
        bound = ["taskset", "--cpu-list", _some_cores(cores)]
        threads = ONE_THREAD if cores == 1 else {}

        def run_peer(bound: Any = bound, threads: Any = threads) -> Any:
            shutil.rmtree(out, ignore_errors=True)  # it writes over nothing
            out.mkdir()
            return command([*bound, peer, out, song], threads | {"PYTHONPATH": ""})

        ways: dict[str, Any] = {
            f"at4ramt, {name}": lambda bound=bound, threads=threads, line=line: command(
                [*bound, *line], threads
            )
            for name, line in ours.items()
        }
        if not peer_missing:
            ways["basic-pitch"] = run_peer
        for way in ways.values():
            way()  # byte code and files in the cache
        taken = interleaved(ways, options.size(3, 1))
        of_cores = f"{cores} core{'s' if cores > 1 else ''}"
        wall = {way: [took.wall for took in each] for way, each in taken.items()}
        for model in models:
            name, own = f"transcription, {model}, {of_cores}", f"at4ramt, {model}"
            if peer_missing:
                section.rows.append(
                    missing(f"{name}: basic-pitch / ours, time", ">= 4", peer_missing)
                )
                continue
            section.rows.append(
                row(f"{name}: basic-pitch / ours, time",
                    ratios(wall["basic-pitch"], wall[own]), TARGET)
            )  # fmt: skip
            section.rows.append(
                row(f"{name}: basic-pitch / ours, CPU",
                    [b.cpu / a.cpu for a, b in zip(taken[own], taken["basic-pitch"], strict=True)])
            )  # fmt: skip
        section.tables.append(
            Table(
                f"{seconds} s of audio, {of_cores}"
                + (f" ({peer_missing})" if peer_missing else f" (basic-pitch {_version(options)})")
                + "; " + ", ".join(f"{count} notes by {name}" for name, count in notes.items()),
                ["", "seconds of audio a second", "wall [s]", "from, to", "CPU [s]", "peak [MB]"],
                [
                    [way, f"{seconds / np.median(wall[way]):.0f}", f"{np.median(wall[way]):.2f}",
                     f"{min(wall[way]):.2f} to {max(wall[way]):.2f}",
                     f"{np.median([t.cpu for t in each]):.2f}",
                     f"{max(t.peak_mb for t in each):.0f}"]
                    for way, each in taken.items()
                ],
            )
        )  # fmt: skip
    return section


def _some_cores(count: int) -> str:
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:count]))


def _version(options: Options) -> str:
    code = "import importlib.metadata as m; print(m.version('basic-pitch'))"
    asked = subprocess.run(
        [options.peer, "-c", code], capture_output=True, text=True, check=False,
        env=environment({"PYTHONPATH": ""}),
    )  # fmt: skip
    return asked.stdout.strip() or "unknown"


def a_model(folder: str, demo: str, epochs: int) -> str:
    """Return an exported model: the demo's last round, or one that is trained here for a moment."""
    from at4ramt.training.backend import start_backend
    from at4ramt.transcription.models import find_model

    start_backend(1, 0)
    from at4ramt.training.onnx_file import export_onnx

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    model = place / "model.keras"
    found = find_model(Path(demo) / "results") if demo else None
    if found is not None:
        shutil.copy(found, model)
    else:
        train_a_base(place, model, epochs, pieces=12)
    export_onnx(model, model.with_suffix(".onnx"))
    return str(model)


def compare_runtimes(song: str, model: str) -> int:
    """Return the number of notes, which both runtimes find alike.

    Raises:
        AssertionError: if a note is another.
    """
    from at4ramt.transcription.models import open_model
    from at4ramt.transcription.transcribe import transcribe_file

    alone = Path(model).with_name("without_export.keras")
    shutil.copy(model, alone)  # beside it there is no export
    by_onnx, by_keras = open_model(model), open_model(alone)
    if (by_onnx.runtime, by_keras.runtime) != ("ONNX Runtime", "Keras"):
        raise AssertionError(f"run by {by_onnx.runtime} and {by_keras.runtime}")
    one, other = transcribe_file(song, by_onnx), transcribe_file(song, by_keras)
    if not np.array_equal(one, other):
        raise AssertionError(f"{len(one)} notes by ONNX Runtime, {len(other)} others by Keras")
    return len(one)


if __name__ == "__main__":
    main_of_section(main)
