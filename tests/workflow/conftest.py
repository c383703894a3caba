"""One small run of the whole workflow, in a copy of the repository, that the tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")
SMALL = Path(__file__).parent / "small.yaml"


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository in which a workflow may run and files may be edited."""

    path: Path

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        """Run snakemake with the small configuration; return what it printed."""
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--configfile",
            "tests/workflow/small.yaml",
            "--cores",
            "2",
            *arguments,
        ]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1500,
            check=False,
        )
        if (done.returncode != 0) is not fails:
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return how often each rule would run, from a dry run."""
        printed = self.snakemake("--dry-run", *arguments)
        if "Nothing to be done" in printed:
            return {}
        counts: dict[str, int] = {}
        table = printed[printed.index("Job stats:") :].splitlines()[3:]
        for line in table:
            name, _, count = line.partition(" ")
            if not count.strip().isdigit() or name == "total":
                break
            counts[name] = int(count)
        return counts

    def planned_outputs(self, rule: str, *arguments: str) -> list[str]:
        """Return the first output of each job of a rule in a dry run, sorted."""
        printed = self.snakemake("--dry-run", *arguments)
        found = []
        for block in printed.split(f"rule {rule}:")[1:]:
            outputs = block[block.index("output:") :].splitlines()[0]
            found.append(outputs.removeprefix("output:").split(",")[0].strip())
        return sorted(set(found))


def _copy(path: Path) -> Checkout:
    path.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, path / part)
    shutil.copytree(Path(__file__).parent, path / "tests" / "workflow")
    # The fetched archives are not fetched again.
    (path / "resources").symlink_to(ROOT / "resources")
    return Checkout(path)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy in which nothing has run."""
    return _copy(tmp_path / "at4ramt")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the small configuration has run to its report."""
    run = _copy(tmp_path_factory.mktemp("small") / "at4ramt")
    run.snakemake()
    return run


@pytest.fixture
def linked_copy(small_run: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished run; results are replaced in it, never written to."""
    path = tmp_path / "copy"
    shutil.copytree(small_run.path, path, symlinks=True, ignore=shutil.ignore_patterns("results"))
    # Rendered audio and pianos are large, and nothing writes into a finished output.
    shutil.copytree(small_run.path / "results", path / "results", copy_function=os.link)
    return Checkout(path)


@pytest.fixture(scope="session")
def small_report(small_run: Checkout) -> Path:
    """The report of the small run."""
    return small_run.path / "results" / "report.html"


@pytest.fixture
def edited() -> Callable[[Path, str, str], None]:
    """Replace text in files for the length of a test."""
    originals: dict[Path, tuple[str, os.stat_result]] = {}

    def edit(path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        originals.setdefault(path, (text, path.stat()))
        assert old in text, f"{path} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield edit
    for path, (text, stat) in originals.items():
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
