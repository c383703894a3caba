"""What all benchmarks share: how a time is taken, and what a section of results is.

Times of a shared machine differ by more than the ways that are compared. So all ways are run by
turns, A B B A ..., a ratio is made of neighbours, and what is reported is the median of these
with the least and the largest. Memory is the peak of resident memory of a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")
}


@dataclass(frozen=True)
class Options:
    """What every section is told.

    Attributes:
        folder: where to write; emptied by who made it.
        quick: whether to take sizes at which nothing but the code is tried.
        cores: cores that may be used.
        demo: folder of a finished demo, or empty.
        peer: Python of the environment that has basic-pitch; it need not exist.
    """

    folder: str
    quick: bool
    cores: int
    demo: str
    peer: str

    def size(self, full: int, quick: int) -> int:
        """Return a number of things or of repeats."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Took:
    """Wall seconds, CPU seconds of all processes, peak of the largest one's memory in MB."""

    wall: float
    cpu: float
    peak_mb: float = 0.0


@dataclass(frozen=True)
class Row:
    """One ratio (or number with a unit): its median, its extremes, and what it is to be."""

    name: str
    ratio: float
    spread: tuple[float, float]
    target: str | None = None
    met: bool | None = None
    unit: str = "x"
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Absolute numbers, as they are to be read."""

    title: str
    header: list[str]
    lines: list[list[str]]


@dataclass
class Section:
    """What one benchmark found."""

    title: str
    text: str
    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def row(
    name: str,
    values: Sequence[float],
    target: tuple[str, float] | None = None,
    unit: str = "x",
    note: str = "",
) -> Row:
    """Return the row of repeated values; a target is ``"<="``, ``"<"`` or ``">="`` and a number."""
    middle = statistics.median(values)
    met, text = None, None
    if target is not None:
        sign, bound = target
        met = {"<=": middle <= bound, "<": middle < bound, ">=": middle >= bound}[sign]
        text = f"{sign} {bound:g}"
    return Row(name, middle, (min(values), max(values)), text, met, unit, note)


def missing(name: str, target: str, note: str) -> Row:
    """Return the row of what could not be measured."""
    return Row(name, float("nan"), (float("nan"), float("nan")), target, None, "x", note)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratios of neighbours in time."""
    return [one / other for one, other in zip(above, below, strict=True)]


def interleaved(ways: Mapping[str, Callable[[], Took]], repeats: int) -> dict[str, list[Took]]:
    """Run each way in turn, so often, in an order that is turned round each time."""
    taken: dict[str, list[Took]] = {name: [] for name in ways}
    for number in range(repeats):
        # What heats or fills a cache for its successor does so for either.
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            taken[name].append(ways[name]())
    return taken


def timed(work: Callable[[], Any]) -> Took:
    """Return what a function takes in this process, with its children's CPU."""
    began, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return Took(time.perf_counter() - began, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, kinds))


def command(
    arguments: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Took:
    """Run a command, start to end; its CPU and memory include its children's.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            end = said.read()[-3000:].decode(errors="replace")
            raise RuntimeError(f"{arguments}: exit code {process.returncode}\n{end}")
    return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment, with the package and the tools on the paths."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    ours = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return {**kept, **ours, **(more or {})}


def in_process(
    work: Callable[..., Any], threads: Mapping[str, str] | None = None, /, **arguments: Any
) -> tuple[Any, Took]:
    """Call a function of a benchmark in a process of its own.

    Args:
        work: a function at the top of a module of this folder.
        threads: environment variables on top of :func:`environment`, such as ONE_THREAD.
        arguments: its arguments, such as JSON has.

    Returns:
        What it returned, through JSON; and what it took: its own time if it returns a
        dictionary with ``wall`` and ``cpu``, else that of the call, without start and imports.
    """
    # A module that is run by `python -m` is called __main__, but for its specification.
    found_as = getattr(sys.modules[work.__module__], "__spec__", None)
    place = found_as.name if found_as is not None else work.__module__
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        call = [sys.executable, "-m", "benchmarks.measure", place, work.__name__]
        command([*call, json.dumps(arguments), answer.name], threads)
        found = json.load(answer)
    return found["result"], Took(found["wall"], found["cpu"], found["peak_mb"])


def resident_mb() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """Return the peak of this process's resident memory in MB (not that of who started it)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main_of_section(measure: Callable[[Options], Section]) -> None:
    """Be a section's process: options come as JSON, the section goes to a file."""
    options, out = Options(**json.loads(sys.argv[1])), Path(sys.argv[2])
    section = measure(options)
    whole(out, json.dumps(asdict(section), indent=1) + "\n")


def whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _main() -> None:
    module, name, arguments, answer = sys.argv[1:]
    work = getattr(importlib.import_module(module), name)
    result: Any = None

    def call() -> None:
        nonlocal result
        result = work(**json.loads(arguments))

    took = timed(call)
    if isinstance(result, dict) and {"wall", "cpu"} <= result.keys():
        took = Took(result["wall"], result["cpu"])
    found = {"result": result, "wall": took.wall, "cpu": took.cpu, "peak_mb": peak_mb()}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    _main()
