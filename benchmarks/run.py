"""Everything that is said of speed and memory, measured in one run.

    PYTHONPATH=workflow .venv/bin/python -m benchmarks.run [SECTION ...]

`make bench` does this. Each section runs in a process of its own and is written, whole or not
at all, to benchmarks/results/<section>.json; after each, benchmarks/results.json and
docs/performance.md are written anew from all of them. An interrupted run goes on with --resume.
Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Options, environment, whole

SECTIONS = (
    "features",
    "training",
    "evaluation",
    "search",
    "transcription_speed",
    "planning",
    "shards",
    "growth",
)
PACKAGES = (
    "numpy", "tensorflow", "keras", "pyarrow", "onnxruntime", "soxr", "soundfile", "librosa",
    "h5py", "snakemake",
)  # fmt: skip
GIVEN = ("name", "ratio", "spread", "target", "met", "unit", "note")

HEAD = """\
# Performance: near the machine's limit, and beside others

Every number here was measured by `make bench` and written by `benchmarks/run.py`; \
`benchmarks/results.json` has the ratios as a list. A ratio is the median over repeats, run by \
turns (A B B A …), of the ratios of neighbours; `from, to` are the least and the largest of \
them. Outputs that are to be equal are compared while they are measured: features with \
librosa's, whole sequences with windows, notes by Keras with those by ONNX Runtime, numbers read \
with those written.
"""
GPU = """
## On a GPU

Nothing here was measured on one. After a demo, in the environment of `make setup-gpu` or with \
`KERAS_BACKEND=jax`, `PYTHONPATH=workflow .venv/bin/python benchmarks/gpu.py --shards \
results/shards` does: windows a second in float32 and in mixed bfloat16 for batches of 32 to \
2,048 segments, their share of the device's own peak, the hours of the paper's schedule on a \
million centres, and F1 after the same training in both precisions. The frame matrix lies on the \
device, noise is drawn there, and row numbers travel (`training.precision` and \
`training.batch_segments` in the configuration).
"""
TRIAL = """
**A trial run: sizes and repeats are too small for the numbers to mean anything.** Of these
sections: {names}.
"""


def main() -> int:
    """Measure the sections that were asked for and write all results; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Measure speed and memory, and write docs/performance.md."
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="try the code, at tiny sizes")
    parser.add_argument("--resume", action="store_true",
                        help="leave out what was measured of this commit")  # fmt: skip
    parser.add_argument("--render", action="store_true", help="measure nothing, write the results")
    parser.add_argument(
        "--folder", help="where to write meanwhile; 3 GB (default: a temporary one)"
    )
    parser.add_argument("--out", type=Path, default=ROOT, help="where docs/ and benchmarks/ lie")
    parser.add_argument("--demo", help="folder of a finished demo, in which snakemake ran "
                        "(default: this clone, if one ran here)")  # fmt: skip
    parser.add_argument("--peer", default=str(ROOT / ".venv-peer" / "bin" / "python"),
                        help="Python of the environment with basic-pitch")  # fmt: skip
    options = parser.parse_args()
    if unknown := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"no section {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    failed: list[str] = []
    if not options.render:
        with tempfile.TemporaryDirectory(prefix="at4ramt_bench_") as temporary:
            folder = Path(options.folder or temporary)
            for name in options.sections or SECTIONS:
                if options.resume and _is_done(options.out, name, options.quick):
                    _say(f"{name}: measured already")
                elif not _measure(name, folder, options):
                    failed.append(name)
                write_results(options.out)
    write_results(options.out)
    return 1 if failed else 0


def _measure(name: str, folder: Path, options: argparse.Namespace) -> bool:
    """Run a section in a process of its own; return whether it ended well."""
    ran_here = (ROOT / "results" / "report.html").exists()
    given = Options(
        folder=str(folder / name),
        quick=options.quick,
        cores=len(os.sched_getaffinity(0)),
        demo=str(Path(options.demo).resolve()) if options.demo else str(ROOT) if ran_here else "",
        peer=str(Path(options.peer).absolute()),
    )
    Path(given.folder).mkdir(parents=True, exist_ok=True)
    out = Path(given.folder) / "section.json"
    loads = [os.getloadavg()[0]]
    began = time.monotonic()
    call = [sys.executable, "-m", f"benchmarks.{name}", json.dumps(asdict(given)), str(out)]
    code = subprocess.run(call, cwd=ROOT, env=environment(), check=False).returncode
    seconds = time.monotonic() - began
    _say(f"{name}: {'exit code ' + str(code) if code else 'done'}, in {seconds:.0f} s")
    if code:
        return False
    loads.append(os.getloadavg()[0])
    found = json.loads(out.read_text(encoding="utf-8"))
    found |= {
        "section": name,
        "quick": options.quick,
        "seconds": round(seconds),
        "load_before_and_after": [round(load, 1) for load in loads],
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "machine": machine(),
        "versions": versions(),
    }
    whole(
        _place(options.out, name), json.dumps(_finite(found), indent=1, ensure_ascii=False) + "\n"
    )
    return True


def _place(out: Path, name: str) -> Path:
    return out / "benchmarks" / "results" / f"{name}.json"


def _is_done(out: Path, name: str, quick: bool) -> bool:
    path = _place(out, name)
    if not path.exists():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    return bool(found["commit"] == _commit() and found["quick"] == quick)


def _commit() -> str:
    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    code = git("status", "--porcelain", "--", "workflow", "benchmarks/*.py", "Snakefile", "config")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if code else "")


def machine() -> str:
    """Return processor, cores, memory and system in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        model = names[0] if names else model
    memory = ""
    if meminfo.exists():
        memory = f", {int(meminfo.read_text().split()[1]) / 2**20:.0f} GB of memory"
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores{memory}, {platform.system()} {platform.release()}"


def versions() -> str:
    """Return the versions of Python and of the packages that matter, in a line."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value


def write_results(out: Path) -> None:
    """Write benchmarks/results.json and docs/performance.md from the sections that there are."""
    sections = [
        json.loads(path.read_text(encoding="utf-8"))
        for name in SECTIONS
        if (path := _place(out, name)).exists()
    ]
    if not sections:
        return
    rows = [{key: each[key] for key in GIVEN} for section in sections for each in section["rows"]]
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    whole(out / "benchmarks" / "results.json", text)
    whole(out / "docs" / "performance.md", performance(sections))


def performance(sections: list[dict[str, Any]]) -> str:
    """Return docs/performance.md."""
    parts = [HEAD]
    if trial := [section["title"] for section in sections if section["quick"]]:
        parts.append(TRIAL.format(names=", ".join(trial)))
    targets = [each for section in sections for each in section["rows"] if each["target"]]
    met = sum(1 for each in targets if each["met"])
    parts.append(f"\n## Targets\n\n{met} of {len(targets)} are met.\n\n" + _rows(targets))
    for section in sections:
        parts.append(f"\n## {section['title']}\n\n{section['text']}\n\n" + _rows(section["rows"]))
        for table in section["tables"]:
            parts.append(f"\n{table['title']}:\n\n" + _markdown(table["header"], table["lines"]))
        load = " and ".join(map(str, section["load_before_and_after"]))
        parts.append(
            f"\n<small>`make bench SECTIONS={section['section']}`: {section['seconds']} s "
            f"on {section['date']}, commit {section['commit']}; load before and after: {load}"
            "</small>\n"
        )
    parts.append(GPU)
    for title, key in (("Machine", "machine"), ("Versions", "versions")):
        values = list(dict.fromkeys(section[key] for section in sections))
        parts.append(f"\n## {title}\n\n" + "\n".join(f"* {value}" for value in values) + "\n")
    return "".join(parts)


def _rows(rows: list[dict[str, Any]]) -> str:
    header = ["", "ratio or value", "from, to", "target", "met", ""]
    return _markdown(header, [line(each) for each in rows])


def line(each: dict[str, Any]) -> list[str]:
    """Return the cells of a row of results."""
    low, high = each["spread"]
    spread = "" if low is None or low == high else f"{number(low)} to {number(high)}"
    met = {True: "yes", False: "**no**", None: "" if each["target"] is None else "not measured"}
    unit = "" if each["unit"] in ("x", "of 1") else f" {each['unit']}"
    value = number(each["ratio"]) + (unit if each["ratio"] is not None else "")
    return [each["name"], value, spread, each["target"] or "", met[each["met"]], each["note"]]


def number(value: float | None) -> str:
    """Return a number with three digits that matter; a dash for none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


def _markdown(header: list[str], lines: list[list[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "".join("| " + " | ".join(each) + " |\n" for each in cells)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
