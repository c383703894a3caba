"""One case of one reader: read it within bounds, or say what went wrong.

A *reader* is what takes a file that somebody else made. A *case* is the bytes of such a file. The
reader may take it, and then what it returned is compared with an independent reading, or it may
refuse it by :class:`at4ramt.errors.InputError`, whose message names the file. Everything else is
a :class:`Finding`: another exception, more time or memory than the bound, a wrong result.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from at4ramt.errors import InputError

HERE = Path(__file__).resolve().parent
REGRESSIONS = HERE / "regressions"
LONGEST_MESSAGE = 4000
OUT_OF_MEMORY = (
    "malloc of size",
    "bad_alloc",
    "bad alloc",
    "cannot allocate",
    "unable to allocate",
)

libfuzzer_watches = False
"""Whether libFuzzer ends a process whose C code hangs; else it is ended here."""


class Finding(AssertionError):
    """A reader did with a case what it must not do."""


class _TooSlow(BaseException):
    """Not an Exception: no reader may take it for a damaged file."""


@dataclass(frozen=True)
class Reader:
    """A reader and what is asked of it.

    Attributes:
        name: of its folder of regressions, and on the command line.
        check: reads a case and compares what came with an independent reading.
        seeds: valid files of every kind, by name.
        drawn: files that are right in their outer form, their content drawn.
        called: one of these each refusal must name: the file, or the part of the configuration.
        seconds: of processor time a case may take.
        megabytes: of memory a case may take beside what the process has.
        largest: bytes of a case that the coverage-guided search may make.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], dict[str, bytes]]
    drawn: Callable[[], SearchStrategy[bytes]]
    called: Sequence[str]
    seconds: float = 5.0
    megabytes: int = 256
    largest: int = 1 << 16

    def regressions(self) -> dict[str, Path]:
        """Return the files of cases that were findings once, by their names."""
        folder = REGRESSIONS / self.name
        return {path.name: path for path in sorted(folder.glob("*")) if path.is_file()}


def run_case(reader: Reader, data: bytes) -> bool:
    """Return whether the reader takes a case; False if it refuses it as it should.

    Raises:
        Finding: it does neither.
    """
    try:
        with _deadline(reader.seconds), _memory(reader.megabytes):
            reader.check(data)
    except InputError as error:
        _check_refusal(reader, error)
        return False
    except _TooSlow:
        raise Finding(
            f"{reader.name}: {len(data)} bytes took more than {reader.seconds:g} s"
        ) from None
    except MemoryError as error:
        raise Finding(
            f"{reader.name}: {len(data)} bytes took more than {reader.megabytes} MB"
        ) from error
    except Finding:
        raise
    except Exception as error:
        raise Finding(
            f"{reader.name}: {type(error).__name__} instead of a message: {error}"
        ) from error
    return True


def expect(holds: bool, what: str) -> None:
    """Raise a finding unless something holds; unlike `assert`, also under `python -O`."""
    if not holds:
        raise Finding(what)


def taken_by_one(
    reads: Sequence[Callable[..., None]], arguments: Sequence[Any], called: Sequence[str]
) -> None:
    """Have a case read by each of several readers; a case that none takes is refused.

    Args:
        reads: the readers.
        arguments: what each is called with.
        called: of these, every refusal must have one in its message.

    Raises:
        InputError: the first reader's refusal, if none takes the case.
    """
    refusals = []
    for read in reads:
        try:
            read(*arguments)
        except InputError as error:
            message = str(error)
            expect(any(name in message for name in called), f"no file in {message}")
            expect(len(message) < LONGEST_MESSAGE, f"a message of {len(message)} characters")
            refusals.append(error)
    if len(refusals) == len(reads):
        raise refusals[0]


def _check_refusal(reader: Reader, error: InputError) -> None:
    message = str(error)
    named = any(name in message for name in reader.called)
    expect(named, f"{reader.name}: the refusal names no file: {message!r}")
    expect(
        len(message) <= LONGEST_MESSAGE,
        f"{reader.name}: a message of {len(message)} characters: {message[:200]!r}",
    )
    odd = {each for each in message if not each.isprintable()} - {"\n", "\t"}
    expect(not odd, f"{reader.name}: {sorted(odd)} in a message for the terminal: {message!r}")
    cause: BaseException | None = error
    while cause is not None:
        # Refused only because the bound of this process was met.
        short = isinstance(cause, MemoryError) or any(
            told in str(cause).lower() for told in OUT_OF_MEMORY
        )
        expect(not short, f"{reader.name}: more than {reader.megabytes} MB: {message}")
        cause = cause.__cause__


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Stop Python code after so much processor time; C code that hangs ends the process."""

    def stop(number: int, frame: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    if not libfuzzer_watches:
        # Time on the clock, of which a busy machine gives a process little.
        faulthandler.dump_traceback_later(60 * seconds, exit=True)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not libfuzzer_watches:
            faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _memory(megabytes: int) -> Iterator[None]:
    """Let the process take no more than so much memory beside what it has."""
    with open("/proc/self/statm", "rb") as opened:
        pages = int(opened.read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = pages * resource.getpagesize() + (megabytes << 20)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@cache
def scratch() -> Path:
    """Return a folder of this process for the files of cases, in memory where there is one."""
    shared = Path("/dev/shm")
    parent = shared if os.access(shared, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="at4ramt-fuzz.", dir=parent))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    import atexit

    atexit.register(remove)
    return folder


def case_file(name: str, data: bytes) -> Path:
    """Write a case to a file of a given name and return its path."""
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
