"""What Snakemake itself takes: a plan, and the share of a demo in which nothing is computed."""

from __future__ import annotations

import ast
import itertools
import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks import data
from benchmarks.features import snakemake, workflow_folder
from benchmarks.measure import (
    ONE_THREAD,
    ROOT,
    Options,
    Section,
    Table,
    Took,
    command,
    interleaved,
    main_of_section,
    missing,
    row,
)

TEXT = """\
A plan is `snakemake -n` on a folder of so many recordings with notes, from nothing: reading the \
folder, the graph of jobs and their reasons. 270 pieces are MAPS, 1,276 MAESTRO.

The demo's share is of a finished run (`--demo FOLDER`), whose jobs' begin and end Snakemake wrote
down, and how long each job's own process ran: the rest of a job is Snakemake's. A process is
*starting* for as long as what its rule's script imports takes when it is run alone, measured here,
with the interpreter and Snakemake's preamble; then it computes. Each moment of the wall time is
shared out evenly among the jobs that run in it, and is Snakemake's if none does. Not computing is
what is Snakemake's or starting. Jobs without a script call Snakemake once more, for the graph of
the rules and the HTML report, and are Snakemake's altogether. Fetching the archives is left out."""

SIZES = (50, 270, 1276, 10_000)
LARGEST = 10_000
SHARE = ("<", 0.30)

KERAS = "from at4ramt.training.backend import start_backend\nstart_backend(1, 0)\n"
LATE_IMPORTS = {
    "train_base": KERAS + "import at4ramt.training.loop\n",
    "train_round": KERAS + "import at4ramt.training.loop, at4ramt.training.model_file\n",
    "evaluate_model": KERAS + "import at4ramt.training.loop, at4ramt.training.model_file\n",
    "export_onnx": KERAS + "import onnx, onnxruntime\n",
    "evaluate_notes": KERAS + "import at4ramt.training.loop\n",
    "evaluate_in_audio": "import onnxruntime\n",
    "write_example": KERAS + "import at4ramt.training.loop\n",
    "fit_peer": "import onnxruntime, basic_pitch.inference, basic_pitch.note_creation\n",
    "answer_peer": "import onnxruntime, basic_pitch.inference, basic_pitch.note_creation\n",
    "transcribe_excerpts": "import onnxruntime\n",
    "write_listening": "import onnxruntime\n",
}
"""What scripts import after their first lines."""

SCRIPTS = {"fit_peer": "run_basic_pitch", "answer_peer": "run_basic_pitch"}
"""Scripts that are not called as their rule: these run in the peer's own environment."""

PLOTS = "import matplotlib.pyplot, seaborn\n"
PREAMBLE = "from snakemake import script\n"
"""What Snakemake puts before each script."""


def main(options: Options) -> Section:
    """Measure plans, then a demo's share."""
    section = Section("Planning, and what is not computing", TEXT)
    _measure_plans(section, options)
    if options.demo:
        _measure_demo(section, Path(options.demo), options)
    else:
        section.rows.append(
            missing("demo: share of the wall time that is not computing", "< 0.3",
                    "no finished demo was given (--demo FOLDER)")
        )  # fmt: skip
    return section


def plan(pieces: int, folder: Path, profile: str = "") -> Took:
    """Plan a corpus of so many pieces."""
    recordings = folder / f"{pieces}" / "corpus"
    if not recordings.exists():
        data.corpus(recordings, pieces, 4.0)
    work = workflow_folder(folder / f"{pieces}", recordings)
    asked: list[str | Path] = [
        "--directory",
        work,
        "--configfile",
        work / "config.yaml",
        "-n",
        "--quiet",
        "all",
    ]
    if profile:
        asked += ["--profile", ROOT / "profiles" / profile]
    return command(snakemake(*asked, "--quiet", "all"))


def _measure_plans(section: Section, options: Options) -> None:
    sizes = (50, 270) if options.quick else SIZES
    folder = Path(options.folder)
    for size in sizes:
        data.corpus(folder / f"{size}" / "corpus", size, 4.0)
    ways = [(size, "") for size in sizes] + [(sizes[-1], "lsf")]
    taken = interleaved(
        {f"{size}{profile}": partial(plan, size, folder, profile) for size, profile in ways},
        options.size(3, 1),
    )
    lines = []
    for size, profile in ways:
        each = taken[f"{size}{profile}"]
        wall = [took.wall for took in each]
        name = f"{size:,} pieces" + (", submitted through profiles/lsf" if profile else "")
        lines.append(
            [name, f"{np.median(wall):.1f}", f"{min(wall):.1f} to {max(wall):.1f}",
             f"{np.median([took.cpu for took in each]):.1f}",
             f"{max(took.peak_mb for took in each):.0f}"]
        )  # fmt: skip
        section.rows.append(
            row(f"planning: {name}, wall", wall, ("<", 60.0) if size == LARGEST else None,
                unit="s")
        )  # fmt: skip
    section.tables.append(
        Table("Plans", ["", "wall [s]", "from, to", "CPU [s]", "peak [MB]"], lines)
    )


def _measure_demo(section: Section, demo: Path, options: Options) -> None:
    jobs = jobs_of(demo)
    rules = sorted({job.rule for job in jobs if _script(job.rule).exists()})
    repeats = options.size(3, 1)
    starting = {rule: _start_seconds(rule, repeats, options.peer) for rule in rules}
    span = max(job.end for job in jobs) - min(job.begin for job in jobs)
    # What Snakemake did before its first job and after its last.
    outside = max(0.0, run_seconds(demo) - span)
    shares = []
    for pick in (np.min, np.max, np.median):
        state = shared_out(jobs, {rule: float(pick(each)) for rule, each in starting.items()})
        state["snakemake"] += outside
        total = sum(state.values()) - state.pop("fetching")
        shares.append((state["starting"] + state["snakemake"]) / total)
    section.rows.append(
        row("demo: share of the wall time that is not computing", sorted(shares), SHARE,
            unit="of 1", note="from, to: by the least and the largest start of each rule")
    )  # fmt: skip
    at_once = sum(job.end - job.begin for job in jobs) / span
    section.tables.append(
        Table(
            f"A demo of {total:.0f} s with {len(jobs)} jobs, {at_once:.1f} at once on average, "
            f"whose processes were on a processor for {_cpu_of_wall(demo):.0%} of their time (if "
            "much less than all, the machine had other work meanwhile, and the share is not to "
            "be trusted)",
            ["", "wall [s]", "share"],
            [
                [label, f"{state[key]:.0f}", f"{state[key] / total:.1%}"]
                for key, label in (("computing", "computing"), ("starting", "jobs' starts"),
                                   ("snakemake", "Snakemake"))
            ],
        )
    )  # fmt: skip
    by_rule: defaultdict[str, list[float]] = defaultdict(list)
    for job in jobs:
        by_rule[job.rule].append(job.end - job.begin)
    section.tables.append(
        Table(
            "The demo's jobs",
            ["rule", "jobs", "wall of all [s]", "median wall [s]", "start alone [s]"],
            [
                [rule, str(len(each)), f"{sum(each):.0f}", f"{np.median(each):.1f}",
                 f"{np.median(starting[rule]):.2f}" if rule in starting else "-"]
                for rule, each in sorted(by_rule.items(), key=lambda item: -sum(item[1]))
            ],
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A job of a finished run.

    Attributes:
        rule: its rule.
        begin: when Snakemake began with it, in seconds of the clock.
        end: when Snakemake had done with it.
        before: seconds of these that its own process did not run.
    """

    rule: str
    begin: float
    end: float
    before: float = 0.0


def jobs_of(folder: Path) -> list[Job]:
    """Return the jobs of a finished run.

    Raises:
        FileNotFoundError: if the folder has no record of a run.
    """
    jobs = {}
    for path in (folder / ".snakemake" / "metadata").rglob("*"):
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        begin, end, rule = (record.get(key) for key in ("starttime", "endtime", "rule"))
        if not (rule and begin and end):
            continue
        # Each output has a record; a job's are told apart from others' by its log.
        logs = record.get("log") or [str(path)]
        tsv = folder / Path("benchmarks", *Path(logs[0]).parts[1:]).with_suffix(".tsv")
        own = [seconds for seconds, _ in _benchmarked(tsv)]
        jobs[rule, logs[0]] = Job(rule, begin, end, max(0.0, end - begin - sum(own)) if own else 0)
    if not jobs:
        raise FileNotFoundError(f"{folder}: no record of a finished run in .snakemake/metadata")
    return list(jobs.values())


def run_seconds(folder: Path) -> float:
    """Return how long the longest of the folder's runs took, by Snakemake's own word; 0 if none."""
    found = [0.0]
    for path in (folder / ".snakemake" / "log").glob("*.snakemake.log"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Elapsed time: "):
                days, _, clock = line.removeprefix("Elapsed time: ").rpartition(", ")
                hours, minutes, seconds = clock.split(":")
                total = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
                found.append(total + 86_400 * int(days.split()[0] if days else 0))
    return max(found)


def shared_out(jobs: Sequence[Job], starting: Mapping[str, float]) -> dict[str, float]:
    """Return seconds of wall time that are computing, starts, Snakemake's, and fetching.

    Args:
        jobs: the jobs of a run.
        starting: seconds from the start of a rule's process to the end of its imports, of the
            rules that have a script.
    """

    def stages(job: Job) -> list[tuple[float, str]]:
        if job.rule.startswith("fetch"):
            return [(job.end, "fetching")]
        if job.rule not in starting:  # it has no script
            return [(job.end, "snakemake")]
        own = min(job.end, job.begin + job.before)
        return [
            (own, "snakemake"),
            (min(job.end, own + starting[job.rule]), "starting"),
            (job.end, "computing"),
        ]

    edges = sorted({at for job in jobs for at in (job.begin, *(end for end, _ in stages(job)))})
    state = {"computing": 0.0, "starting": 0.0, "snakemake": 0.0, "fetching": 0.0}
    for one, other in itertools.pairwise(edges):
        running = [job for job in jobs if job.begin <= one and job.end >= other]
        if not running:
            state["snakemake"] += other - one
        for job in running:
            kind = next(kind for end, kind in stages(job) if one < end)
            state[kind] += (other - one) / len(running)
    return state


def _script(rule: str) -> Path:
    return ROOT / "workflow" / "scripts" / f"{SCRIPTS.get(rule, rule)}.py"


def _start_seconds(rule: str, repeats: int, peer: str) -> list[float]:
    """Return the seconds from the start of a rule's process to the end of its imports."""
    source = _script(rule).read_text(encoding="utf-8")
    imports = [
        ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    late = PLOTS if rule.startswith("plot_") else LATE_IMPORTS.get(rule, "")
    code = "\n".join(imports) + "\n" + late
    started = (
        [peer, "-s", "-c", code] if rule in SCRIPTS else [sys.executable, "-c", PREAMBLE + code]
    )
    return [command(started, ONE_THREAD).wall for _ in range(repeats)]


def _cpu_of_wall(demo: Path) -> float:
    """Return CPU seconds of all jobs by their wall seconds, where the record has both."""
    found = [each for path in (demo / "benchmarks").rglob("*.tsv") for each in _benchmarked(path)]
    both = [(wall, cpu) for wall, cpu in found if not math.isnan(cpu)]
    wall = sum(each for each, _ in both)
    return sum(cpu for _, cpu in both) / wall if wall else float("nan")


def _benchmarked(path: Path) -> list[tuple[float, float]]:
    """Return wall and CPU seconds of a job's process, from Snakemake's record; CPU may be NaN."""
    if not path.exists():
        return []
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        values = dict(zip(header.split("\t"), line.split("\t"), strict=False))
        cpu = values.get("cpu_time", "NA")
        found.append((float(values["s"]), float("nan") if cpu == "NA" else float(cpu)))
    return found


if __name__ == "__main__":
    main_of_section(main)
