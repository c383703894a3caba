"""What tests need that kill trainings and masters, through whatever queue."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import pandas as pd
import pytest
from support.checkout import Checkout

# Of one epoch a kill leaves nothing to go on with, and long before the end it must come.
EPOCHS = 25
LONGER = f"rounds: {{overrides: {{1: {{epochs: {EPOCHS}, patience_epochs: {EPOCHS}}}}}}}\n"


class Master:
    """A running snakemake whose words are collected; it does not outlive the `with` block."""

    def __init__(self, checkout: Checkout, *arguments: str) -> None:
        self._process = checkout.start(*arguments)
        self._words: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        self._words.extend(self._process.stdout)

    @property
    def said(self) -> str:
        return "".join(self._words)

    def processes(self) -> dict[int, str]:
        """Return the command lines of the master and of all that runs in its session."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if session == self._process.pid and command:
                found[int(entry.name)] = command
        return found

    def jobs(self) -> set[str]:
        """Return the rules whose scripts run on this machine."""
        script = re.compile(r"\.snakemake/scripts/\w+\.(\w+)\.py")
        return {name for text in self.processes().values() for name in script.findall(text)}

    def await_(self, what: str, reached: Callable[[], object]) -> None:
        """Wait until something is so while the master lives."""
        until = time.monotonic() + 300
        while not reached():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > until:
                self.kill()
                pytest.fail(f"{what}: {'the master ended' if ended else 'never'}:\n{self.said}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the master and its jobs on this machine as a reboot does: none hears of it."""
        while processes := self.processes():
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.poll()
        self._process.wait()
        self._reader.join()

    def end(self) -> str:
        """Wait for success; return what the master said."""
        self._process.wait(900)
        self._reader.join()
        assert self._process.returncode == 0, self.said[-6000:]
        return self.said


def linked(source: Checkout, path: Path, *options: str, **environment: str) -> Checkout:
    """Copy a run that is through; what a test removes there is made again, nothing written into."""
    shutil.copytree(source.path, path, symlinks=True, ignore=shutil.ignore_patterns("results"))
    shutil.copytree(source.path / "results", path / "results", copy_function=os.link)
    options = options or source.options
    return Checkout(path, options, {**source.environment, **environment})


def remove(checkout: Checkout, *patterns: str) -> None:
    for pattern in patterns:
        for path in list(checkout.path.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def states(checkout: Checkout, training: str = "**") -> list[Path]:
    """Return the saved states of interrupted trainings."""
    found = checkout.path.glob(f"results/checkpoints/{training}/state_*.npz")
    # One that was not finished when its job died lies in a folder of its own.
    return [state for state in found if state.parent.suffix != ".part"]


def saved_states(path: Path) -> set[Path]:
    """Return the saved states of trainings in a checkout, relative to it."""
    return {state.relative_to(path) for state in states(Checkout(path))}


def went_on(path: Path, state: Path) -> bool:
    """Return whether the training that such a state is of, ended since, went on from one."""
    training = state.parent.relative_to("results/checkpoints")
    card = (path / "results/models" / training).with_suffix(".json")
    return card.exists() and json.loads(card.read_text(encoding="utf-8"))["resumed"] > 0


def nothing_is_left_over(checkout: Checkout) -> bool:
    """Whether no state and no half-written file is left."""
    results = checkout.path / "results"
    return not (results / "checkpoints").exists() and not list(results.rglob(".*.part"))


def model(arm: str) -> str:
    """Return the path of an arm's first model, which is LONGER in training."""
    return f"results/models/{arm}/seed_0/round_01.keras"


def log(checkout: Checkout, arm: str) -> str:
    path = checkout.path / f"logs/train_round/{arm}/seed_0/round_01.log"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:  # not yet there, or just renamed by the next attempt
        return ""


def history(checkout: Checkout, arm: str) -> pd.DataFrame:
    path = checkout.path / model(arm).replace(".keras", ".history.parquet")
    return pd.read_parquet(path).drop(columns=["seconds", "windows_per_second"])


def same_training(one: Checkout, other: Checkout, arm: str) -> None:
    """Fail if an arm's first model or its history (but for times) differ between two runs."""
    assert (one.path / model(arm)).read_bytes() == (other.path / model(arm)).read_bytes()
    pd.testing.assert_frame_equal(history(one, arm), history(other, arm))
