"""An interrupted training goes on where it stopped.

A queue ends jobs: at the run limit (LSF sends USR2, Slurm TERM), by ``bkill`` or
``scancel`` (INT, TERM), or with the node (KILL). The state of a training is kept
beside the results, in a folder that no rule declares (Snakemake deletes the
outputs of a failed job), and named by a digest of all that the result depends
on, so that another configuration never goes on from it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.archives import stored_arrays
from at4ramt.errors import InputError
from at4ramt.files import parse_json, remove_leftovers, stop_if_refused, value_digest, whole_file
from at4ramt.training.backend import place

log = logging.getLogger("at4ramt")

INTERVAL_VARIABLE = "AT4RAMT_CHECKPOINT_SECONDS"
INTERVAL_SECONDS = 300.0
# An epoch's end is the better moment: nothing of an epoch is repeated from there.
EPOCH_SHARE = 0.1
SIGNALS = (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM)


@dataclass
class TrainingState:
    """Where a training stands, beside the variables of network and optimiser.

    Attributes:
        epoch: epoch in progress, from 1.
        step: steps done in it.
        totals: sums over those steps, by name.
        history: one record per finished epoch.
        best_f1: best monitored F1 so far; -1 for none.
        best_epoch: its epoch.
        epoch_seconds: time spent in the epoch in progress.
        seconds: time spent in all, over all attempts.
        resumed: how often it was gone on from a checkpoint.
        saved: why, when and where it was last saved.
        best: the variables after the best epoch, if they are to be kept.
    """

    epoch: int = 1
    step: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_f1: float = -1.0
    best_epoch: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    resumed: int = 0
    saved: str = ""
    best: list[npt.NDArray] | None = None


class Checkpoint:
    """The saved state of one training.

    Args:
        folder: where it is kept; made when needed, removed by :meth:`clear`.
        key: digest of all that the result depends on.
    """

    def __init__(self, folder: str | Path, key: str) -> None:
        self.folder = Path(folder)
        self.state_path = self.folder / f"state_{key}.npz"
        self.notes_path = self.folder / f"notes_{key}.json"
        self.interval = _interval()
        self._saved = time.monotonic()

    def due(self, *, epoch_ended: bool = False) -> bool:
        """Whether it is time to save again."""
        share = EPOCH_SHARE if epoch_ended else 1.0
        return time.monotonic() - self._saved >= share * self.interval

    def save(
        self, state: TrainingState, variables: Sequence[npt.NDArray], reason: str = "in passing"
    ) -> None:
        """Write the state, whole or not at all."""
        state.saved = f"{reason}, {time.strftime('%Y-%m-%d %H:%M:%S')}, {place()}"
        record = {k: v for k, v in vars(state).items() if k != "best"}
        arrays: dict[str, Any] = {f"variable_{i:04d}": value for i, value in enumerate(variables)}
        arrays |= {f"best_{i:04d}": value for i, value in enumerate(state.best or [])}
        with whole_file(self.state_path) as temporary:
            np.savez(temporary, allow_pickle=False, record=np.array(json.dumps(record)), **arrays)
        self._saved = time.monotonic()

    def load(
        self, like: Sequence[npt.NDArray] | None = None
    ) -> tuple[TrainingState, list[npt.NDArray]] | None:
        """Return the saved state and variables; nothing if there is none, or it cannot be used.

        Args:
            like: variables whose shapes and types the saved ones must have.

        Raises:
            InputError: the system refuses to read the state. To begin anew would overwrite it.
        """
        if not self.state_path.exists():
            return None
        try:
            with stored_arrays(self.state_path, "the state of a training", "It is left.") as stored:
                record = parse_json(str(stored["record"]))
                names = sorted(stored)
                variables = [stored[name] for name in names if name.startswith("variable_")]
                best = [stored[name] for name in names if name.startswith("best_")]
            _check_record(record)
            for found in (variables, best):
                _check_alike(found, like if found is variables or found else None)
            return TrainingState(**record, best=best or None), variables
        except (InputError, OSError, ValueError, TypeError) as error:
            stop_if_refused(error, self.state_path)
            log.warning(
                "%s: the saved state cannot be read (%s); training begins anew",
                self.state_path,
                error,
            )
            return None

    def note(self, notes: dict[str, Any]) -> None:
        """Keep what was decided before the first step, such as the noise level."""
        with whole_file(self.notes_path) as temporary:
            temporary.write_text(json.dumps(notes), encoding="utf-8")

    def noted(self) -> dict[str, Any] | None:
        """Return what :meth:`note` kept, if anything; an InputError if the system refuses it."""
        try:
            notes = parse_json(self.notes_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            stop_if_refused(error, self.notes_path)
            return None
        return notes if isinstance(notes, dict) else None

    def clear(self) -> None:
        """Remove all states of this training, older ones too, and the folder."""
        kept = [*self.folder.glob("state_*"), *self.folder.glob("notes_*")]
        for path in {self.state_path, self.notes_path, *kept}:
            if self.folder.is_dir():
                remove_leftovers(path)
            path.unlink(missing_ok=True)
        with suppress(OSError):  # a folder with something else in it stays
            os.removedirs(self.folder)


def _check_record(record: Any) -> None:
    """Raise ValueError for a record that is none of :class:`TrainingState`."""
    if not isinstance(record, dict):
        raise ValueError("its record is no table")
    fresh = vars(TrainingState())
    for name, value in record.items():
        if name not in fresh or name == "best":
            raise ValueError(f"its record has a key {str(name)[:40]!r}")
        kind = float if isinstance(fresh[name], float) else type(fresh[name])
        right = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not right or isinstance(value, bool):
            raise ValueError(f"{name} is {str(value)[:40]}")
    least = {"epoch": 1, "step": 0, "best_epoch": 0, "resumed": 0}
    for name, bound in least.items():
        if record.get(name, bound) < bound:
            raise ValueError(f"{name} is {record[name]}")
    for numbers in (record.get("totals", {}), *record.get("history", [])):
        if not isinstance(numbers, dict) or not all(
            isinstance(value, int | float) for value in numbers.values()
        ):
            raise ValueError("totals or history are no tables of numbers")


def _check_alike(found: Sequence[npt.NDArray], like: Sequence[npt.NDArray] | None) -> None:
    if like is None:
        return
    shapes, wanted = ([(each.shape, each.dtype) for each in some] for some in (found, like))
    if shapes != wanted:
        raise ValueError("its variables are not those of this network and optimiser")


def training_key(inputs: Sequence[str], **settings: Any) -> str:
    """Return the digest that tells one training from another.

    Args:
        inputs: sha256 of the files that it reads; their names do not count.
        settings: JSON-like values that its result depends on.
    """
    import keras

    versions = {"keras": keras.__version__, "backend": keras.backend.backend()}
    return value_digest([list(inputs), settings, versions])


class Interrupted(SystemExit):
    """A signal asked the training to stop; the exit status is 128 and its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


class Interruption:
    """Turns the signals of a queue into :class:`Interrupted`, at moments of our choice.

    As a context manager it takes over USR2, INT and TERM. A signal is noted, and
    raised by the next :meth:`check`; inside ``with interruption.at_once()`` it is
    raised immediately: there nothing is under way that must not be cut in two.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Queues send several, one after the other: the first decides, the rest must not cut
        # the saving short.
        if self._number is None:
            self._number = number
            if self._at_once:
                self.check()

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal came."""
        if self._number is not None:
            raise Interrupted(self._number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise at the moment the signal comes."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


def _interval() -> float:
    text = os.environ.get(INTERVAL_VARIABLE, "")
    try:
        seconds = float(text) if text else INTERVAL_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InputError(
            f"environment variable {INTERVAL_VARIABLE} is '{text}'; expected seconds between two "
            f"checkpoints, 0 or more; unset it for {INTERVAL_SECONDS:g}"
        )
    return seconds
