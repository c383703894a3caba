"""A copy of the repository in which a workflow may run and files may be edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")
SMALL = ("--configfile", "tests/workflow/small.yaml")
QUEUED = ("--configfile", "tests/cluster/cluster.yaml")
LOCAL = ("--resources", "gpu=2", *SMALL, "--cores", "2")


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository in which a workflow may run and files may be edited."""

    path: Path
    options: tuple[str, ...] = LOCAL
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        """Run snakemake with the options of this copy; return what it printed."""
        with self.start(*arguments) as process:
            try:
                printed, _ = process.communicate(timeout=1500)
            except subprocess.TimeoutExpired:
                process.kill()
                printed, _ = process.communicate()
                pytest.fail(f"{process.args} did not end:\n{printed[-6000:]}")
        if (process.returncode != 0) is not fails:
            pytest.fail(f"{process.args} ended with {process.returncode}:\n{printed[-6000:]}")
        return printed

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start snakemake in a session of its own; what it prints is in the pipe."""
        # A test run that was itself started in the background hands down an ignored INT.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "snakemake"]
        return subprocess.Popen(
            [*command, *self.options, *arguments],
            cwd=self.path,
            env={k: v for k, v in self.environment.items() if k != "PYTHONPATH"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

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


def copy_repository(path: Path) -> Checkout:
    """Copy what a workflow needs; fetched archives are linked, not fetched again."""
    path.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, path / part)
    for tests in ("workflow", "cluster"):
        shutil.copytree(ROOT / "tests" / tests, path / "tests" / tests)
    for part in ("resources", "models"):
        (path / part).symlink_to(ROOT / part)
    if (ROOT / ".venv-peer").is_dir():
        (path / ".venv-peer").symlink_to(ROOT / ".venv-peer")
    return Checkout(path)
