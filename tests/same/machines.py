"""The smallest run on this processor, and as older ones would make it: how far apart they are.

``python -m same.machines --folder /tmp/machines`` prints a table. Each run is made from nothing,
with the libraries held to fewer instructions: oneDNN's (TensorFlow's kernels), OpenBLAS's and
NumPy's. What cannot be held to fewer is the same in all: Eigen's own kernels, FFTs, libsoxr.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import soundfile
from same.surroundings import HERE, ROOT, Surroundings, surroundings

SCORES = "results/evaluation/scores.parquet"
MODELS = {"base": "base/seed_0", "round": "adversarial/seed_0/round_01"}
CONFIGURATION = ("--configfile", "tests/faults/smallest.yaml", "machines.yaml")


def without(*signs: str) -> str:
    """Return those of NumPy's instructions, as it can be told to leave them, that begin so."""
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    except ImportError:
        from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    there = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
    return " ".join(name for name in there if name.startswith(signs))


def held_to(onednn: str, openblas: str, *left: str) -> dict[str, str]:
    """Return the environment of a processor that has no more than this."""
    return {
        "ONEDNN_MAX_CPU_ISA": onednn,
        "OPENBLAS_CORETYPE": openblas,
        "NPY_DISABLE_CPU_FEATURES": without(*left),
    }


# NumPy calls them by levels of x86-64 since 2.4, and by their own names before.
ABOVE_AVX = ("X86_V4", "AVX512", "X86_V3", "AVX2", "FMA3", "F16C")
PLAIN = "as it is"
MACHINES = {
    PLAIN: {},
    "AVX2 (Haswell)": held_to("AVX2", "HASWELL", "X86_V4", "AVX512"),
    "AVX (Sandy Bridge)": held_to("AVX", "SANDYBRIDGE", *ABOVE_AVX),
    "SSE4.1 (Nehalem)": held_to("SSE41", "NEHALEM", *ABOVE_AVX, "AVX"),
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def made(folder: Path, machine: str) -> Surroundings:
    """Make the run of a machine in a new folder."""
    run = surroundings(folder, ())
    for name in ("machines.yaml", "machines_pieces.tsv"):
        shutil.copy(HERE / name, run.checkout)
    # Of several --configfile the last counts, and names both.
    options = (*run.options, *CONFIGURATION)
    run = replace(run, options=options, environment={**run.environment, **MACHINES[machine]})
    run.snakemake("--", SCORES)
    return run


def probe(model: str, shard: str, out: str) -> None:
    """Write the probabilities that a model gives a shard's frames."""
    from at4ramt.features.cqt import CqtSettings
    from at4ramt.features.frames import load_frames
    from at4ramt.training.backend import start_backend
    from at4ramt.training.model_file import load_model, read_card

    card = read_card(model)
    start_backend(1, 0)
    from at4ramt.training.loop import predict_logits

    settings = CqtSettings.from_config(card["features"])
    matrix = load_frames([shard], padding=card["context_frames"] // 2, bins=settings.core)
    logits = np.asarray(predict_logits(load_model(model).network, matrix.magnitudes))
    np.save(out, 1 / (1 + np.exp(-logits.astype(np.float64))))


def probabilities(run: Surroundings, of: Surroundings, name: str) -> np.ndarray:
    """Return what a model of one run gives frames of the first, computed as ``run`` computes."""
    out = run.folder / "tmp" / "probabilities.npy"
    model = of.checkout / "results/models" / f"{MODELS[name]}.keras"
    shard = run.folder.parent / "0/at4ramt/results/shards/test/TimGM6mb.parquet"
    command = [sys.executable, "-m", "same.machines", "--probe", model, shard, out]
    environment = {**run.environment, "PYTHONPATH": f"{ROOT}/workflow:{ROOT}/tests"}
    subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True)
    return np.load(out)


def f1_of(run: Surroundings) -> pd.Series:
    """Return the F1 of each model, noise, level and kind of threshold on the test split."""
    scores = pd.read_parquet(run.checkout / SCORES).query("split == 'test'")
    by = scores.groupby(["arm", "noise", "level", "threshold_kind"])[["tp", "fp", "fn"]].sum()
    return 2 * by["tp"] / (2 * by["tp"] + by["fp"] + by["fn"]).clip(lower=1)


def level_of(run: Surroundings) -> float:
    """Return the level that the search found."""
    card = run.checkout / "results/models" / f"{MODELS['round']}.json"
    return float(json.loads(card.read_text(encoding="utf-8"))["level"])


def magnitudes(path: Path) -> np.ndarray:
    """Return the magnitudes of a piece's features."""
    table = pq.read_table(path)
    real, imag = (
        np.concatenate([chunk.values.to_numpy(zero_copy_only=False) for chunk in column.chunks])
        for column in (table.column("real"), table.column("imag"))
    )
    return np.hypot(real.astype(np.float64), imag.astype(np.float64))


def largest(one: Surroundings, other: Surroundings) -> dict[str, float]:
    """Return the largest differences of audio (steps of 16 bit) and features (of the maximum)."""
    audio = features = 0.0
    for path in sorted((other.checkout / "results").rglob("MAPS_MUS-*")):
        same = one.checkout / path.relative_to(other.checkout)
        if path.suffix == ".wav":
            here, there = (soundfile.read(each, dtype="int16")[0].astype(int)
                           for each in (same, path))  # fmt: skip
            audio = max(audio, float(np.abs(here - there).max()))
        elif path.parent.name == "features":
            a, b = magnitudes(same), magnitudes(path)
            features = max(features, float(np.abs(a - b).max() / b.max()))
    return {"audio": audio, "features": features}


def compared(run: Surroundings, plain: Surroundings) -> dict[str, float]:
    """Return how far a run is from the plain one."""
    f1, of_plain = f1_of(run), f1_of(plain)
    found = largest(run, plain)
    found["level"] = level_of(run) - level_of(plain)
    for name in MODELS:
        expected = probabilities(plain, plain, name)
        found[f"p, same {name}"] = np.abs(probabilities(run, plain, name) - expected).max()
        found[f"p, own {name}"] = np.abs(probabilities(run, run, name) - expected).max()
    found["F1, half"] = (f1 - of_plain).abs().xs("half", level="threshold_kind").max()
    found["F1, fitted"] = (f1 - of_plain).abs().xs("fitted", level="threshold_kind").max()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a new one, for some 200 MB a machine")
    parser.add_argument("--probe", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.probe:
        probe(*options.probe)
        return 0
    if options.folder is None:
        parser.error("--folder: expected the name of a new folder to make the runs in")
    folder = options.folder.resolve()
    plain = made(folder / "0", PLAIN)
    print(f"{os.cpu_count()} cores; level {level_of(plain):.4g}; F1 of the plain run:")
    print(f1_of(plain).round(4).to_string(), flush=True)
    header = ""
    for number, machine in enumerate(MACHINES):
        # The first is made a second time: what differs then is no other processor's doing.
        found = compared(made(folder / str(number or "again"), machine), plain)
        if not header:
            header = " | ".join(["machine", *found])
            print(f"| {header} |\n|{'---|' * (len(found) + 1)}")
        numbers = (f"{value:.2g}" for value in found.values())
        print(f"| {' | '.join([machine, *numbers])} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
