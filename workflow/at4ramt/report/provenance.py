"""Where the numbers come from: configuration, code, machine, digests, time, rule graph."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import yaml

from at4ramt import __version__
from at4ramt.files import read_json, value_digest
from at4ramt.report import style

PACKAGES = (
    "snakemake",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "soxr",
    "soundfile",
    "mido",
    "mir_eval",
    "matplotlib",
    "seaborn",
)


def describe_commit(folder: str | Path) -> str:
    """Return the commit that ``folder`` is at, with a word if files differ from it.

    A folder outside version control (an archive, a copy) is said to be none.
    """

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    inside = ask("rev-parse", "--show-toplevel")
    if inside is None or Path(inside).resolve() != Path(folder).resolve():
        return "not a git checkout"
    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return "a git checkout without a commit"
    changed = ask("status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with uncommitted changes" if changed else commit


def list_versions() -> pd.DataFrame:
    """Return name and version of Python, of this workflow and of the packages that matter."""
    rows = [("AT4rAMT", __version__), ("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            rows.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return pd.DataFrame(rows, columns=["package", "version"])


# By /proc/cpuinfo's names; TensorFlow, OpenBLAS and NumPy choose their kernels by them, and with
# the kernels the last digits of a training (docs/reliability.md).
INSTRUCTIONS = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX",
    "asimd": "NEON",
    "sve": "SVE",
}


def describe_machine(cpuinfo: str | Path = "/proc/cpuinfo") -> pd.DataFrame:
    """Return what the report was made on: system, processor, instructions, cores, memory."""
    try:
        told = Path(cpuinfo).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    processor = model.group(1) if model else platform.processor() or platform.machine()
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", told, re.MULTILINE)
    there = set(flags.group(1).split()) if flags else set()
    instructions = ", ".join(name for flag, name in INSTRUCTIONS.items() if flag in there)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return pd.DataFrame(
        [
            ("system", f"{platform.system()} {platform.release()} ({platform.machine()})"),
            ("processor", processor),
            ("vector instructions", instructions or "not known"),
            ("cores", f"{psutil.cpu_count(logical=True)} logical, {usable} usable by this job"),
            ("memory", f"{psutil.virtual_memory().total / 2**30:.1f} GiB"),
        ],
        columns=["what", "value"],
    )


# What it took is known when it has ended: there can only be an earlier run's file.
OF_ITSELF = "write_provenance"


def read_benchmarks(folder: str | Path) -> pd.DataFrame:
    """Return one row a job: rule, job, seconds, megabytes (largest resident set), cpu_seconds.

    ``folder`` is benchmarks/; a job's file lies below its rule's folder, at any
    depth. A file that is not a benchmark of Snakemake's is left out, and so is that of
    :data:`OF_ITSELF`.
    """
    rows = []
    for path in sorted(Path(folder).glob("*/**/*.tsv")):
        parts = path.relative_to(folder).parts
        if parts[0] == OF_ITSELF:
            continue
        try:
            one = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
            rows.append(
                {
                    "rule": parts[0],
                    "job": "/".join(parts[1:]).removesuffix(".tsv"),
                    "seconds": float(one["s"].sum()),
                    "megabytes": float(one["max_rss"].max()),
                    "cpu_seconds": float(one["cpu_time"].sum()),
                }
            )
        except (KeyError, ValueError, pd.errors.ParserError):
            continue
    return pd.DataFrame(rows, columns=["rule", "job", "seconds", "megabytes", "cpu_seconds"])


def rule_times(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return by rule, slowest in total first: jobs, seconds (sum, mean, longest), memory, cpu."""
    table = jobs.groupby("rule").agg(
        jobs=("seconds", "size"),
        seconds_total=("seconds", "sum"),
        seconds_mean=("seconds", "mean"),
        seconds_longest=("seconds", "max"),
        megabytes_highest=("megabytes", "max"),
        cpu_seconds_total=("cpu_seconds", "sum"),
    )
    return table.sort_values("seconds_total", ascending=False).reset_index()


def plot_times(times: pd.DataFrame, path: str | Path) -> None:
    """Draw total time and highest memory of each rule; ``times`` is that of :func:`rule_times`."""
    shown = times.iloc[::-1]
    figure, grid = plt.subplots(1, 2, sharey=True, figsize=(10, 0.38 * len(shown) + 1.6))
    if shown.empty:
        for axes in grid:
            style.say_empty(axes, "no benchmarks were found")
    else:
        for axes, column, colour, label in (
            (grid[0], "seconds_total", "#0072B2", "time of all jobs together [s]"),
            (grid[1], "megabytes_highest", "#E69F00", "highest memory of a job [MB]"),
        ):
            bars = axes.barh(
                shown["rule"],
                shown[column].fillna(0),
                color=colour,
                edgecolor="black",
                linewidth=0.5,
            )
            axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize="small")
            axes.margins(x=0.14)
            axes.set_xlabel(label)
            axes.grid(False, axis="y")
    style.save_figure(figure, path)


def read_graph(dot: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return names by node and edges (from, to) of what ``snakemake --rulegraph dot`` prints."""
    names = dict(re.findall(r'^\s*(\d+)\s*\[label = "([^"\\]+)', dot, re.MULTILINE))
    edges = [
        (start, end)
        for start, end in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.MULTILINE)
        if start in names and end in names
    ]
    return names, edges


def layer_graph(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the nodes in layers such that each edge leads to a later layer.

    Within a layer nodes stand near those they depend on. An edge from a node to
    itself is left out; Snakemake's graphs have no other cycle.
    """
    before: dict[str, set[str]] = {node: set() for node in nodes}
    for start, end in edges:
        if start != end:
            before[end].add(start)
    depth: dict[str, int] = {}
    while len(depth) < len(nodes):
        ready = [node for node in nodes if node not in depth and before[node] <= depth.keys()]
        if not ready:
            raise ValueError(f"the rule graph has a cycle among {sorted(set(nodes) - set(depth))}")
        for node in ready:
            depth[node] = 1 + max((depth[other] for other in before[node]), default=-1)
    # a source stands just above the first that needs it, which keeps edges short
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        if start != end:
            after[start].append(end)
    for node in sorted(nodes, key=lambda node: -depth[node]):
        if after[node]:
            depth[node] = max(depth[node], min(depth[other] for other in after[node]) - 1)
    layers = [
        [node for node in nodes if depth[node] == level]
        for level in range(max(depth.values(), default=-1) + 1)
    ]
    place = {node: position for layer in layers for position, node in enumerate(layer)}
    for layer in layers:
        layer.sort(
            key=lambda node: (
                np.mean([place[other] for other in before[node]]) if before[node] else 0,
                node,
            )
        )
        place.update({node: position for position, node in enumerate(layer)})
    return layers


def plot_graph(dot: str, path: str | Path) -> None:
    """Draw the rule graph from the text that ``snakemake --rulegraph dot`` prints."""
    names, edges = read_graph(dot)
    layers = [layer for layer in layer_graph(list(names), edges) if layer]
    widest = max((len(layer) for layer in layers), default=1)
    figure, axes = plt.subplots(figsize=(max(8.0, 2.3 * widest), 0.85 * len(layers) + 0.6))
    if not names:
        style.say_empty(axes, "the rule graph could not be made")
        style.save_figure(figure, path)
        return
    where = {}
    for line, layer in enumerate(layers):
        for position, node in enumerate(layer):
            # every second layer is shifted a little, so that long edges pass beside the boxes
            across = position - (len(layer) - 1) / 2 + (0.12 if line % 2 else -0.12)
            where[node] = (across, -float(line))
    for start, end in edges:
        if start == end:
            continue
        long = where[start][1] - where[end][1] > 1.5
        leave = (where[start][0], where[start][1] - 0.16)
        arrive = (where[end][0], where[end][1] + 0.16)
        axes.annotate(
            "",
            xy=arrive,
            xytext=leave,
            zorder=1,
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#9A9A9A" if long else "#444444",
                "shrinkA": 0,
                "shrinkB": 0,
                "linewidth": 0.8 if long else 1.2,
                "connectionstyle": "arc3,rad=0.18" if long else "arc3,rad=0",
            },
        )
    for node, (across, down) in where.items():
        axes.text(
            across,
            down,
            names[node],
            ha="center",
            va="center",
            zorder=2,
            fontsize="small",
            bbox={"boxstyle": "round,pad=0.35", "facecolor": "#EAF3FA", "edgecolor": "#0072B2"},
        )
    axes.set_xlim(-widest / 2 - 0.1, widest / 2 + 0.1)
    axes.set_ylim(-len(layers) + 0.4, 0.6)
    axes.set_axis_off()
    style.save_figure(figure, path)


def list_digests(
    shards: pd.DataFrame, cards: Iterable[str | Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the digests of shards and of models (from the JSON beside each), a row each."""
    rows = []
    for path in map(Path, cards):
        card = read_json(path)
        rows.append(
            {
                "arm": card["arm"],
                "seed": card["seed"],
                "round": card["round"],
                "model sha256": card["model_sha256"],
                "parent's sha256": card["parent_digest"] or "–",
                "config digest": card["config_digest"],
                "loss weights digest": value_digest(card["loss_weights"]),
                "device": card.get("device", "–"),
            }
        )
    return (
        shards[["split", "instrument", "bytes", "sha256"]],
        pd.DataFrame(rows).sort_values(["arm", "seed", "round"], ignore_index=True),
    )


def write_provenance(
    page: str | Path,
    *,
    config: Mapping[str, Any],
    commit: str,
    shards: pd.DataFrame,
    models: pd.DataFrame,
) -> None:
    """Write the page of provenance: code, versions, machine, seeds, config in full, digests."""
    style.write_page(
        page,
        "Provenance",
        style.html_table(
            pd.DataFrame(
                [("commit", commit), ("seeds", ", ".join(map(str, config["seeds"])))],
                columns=["what", "value"],
            ),
            "Code and seeds",
        ),
        style.html_table(describe_machine(), "Machine that made the report"),
        style.html_table(list_versions(), "Versions"),
        style.heading("Configuration in full"),
        style.preformatted(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)),
        style.html_table(shards, "Shards"),
        style.html_table(models, "Models"),
    )


def write_times(times: pd.DataFrame, csv: str | Path, page: str | Path) -> None:
    """Write time and memory of each rule as CSV and page."""
    style.write_csv(csv, times)
    shown = times.rename(
        columns={
            "seconds_total": "all jobs [s]",
            "seconds_mean": "mean job [s]",
            "seconds_longest": "longest job [s]",
            "megabytes_highest": "highest memory [MB]",
            "cpu_seconds_total": "processor time [s]",
        }
    )
    total = times["seconds_total"].sum()
    style.write_page(
        page,
        "Time and memory of each rule",
        style.paragraph(
            f"All jobs together: {total:,.0f} s of wall time, that is "
            f"{total / 60:.1f} minutes one after the other; jobs that ran beside each "
            "other count in full. Memory is the largest resident set of one job."
        ),
        style.html_table(
            shown,
            formats={column: ",.1f" for column in shown.columns if column not in ("rule", "jobs")},
        ),
    )
