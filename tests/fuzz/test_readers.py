"""Each reader takes a file or refuses it by a message: whatever is in it, in bounded time and
memory. By hand, for any time and led by coverage: `python -m fuzz READER --seconds 600`."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from at4ramt.errors import InputError
from fuzz import READERS
from fuzz.harness import REGRESSIONS, Finding, Reader, run_case
from fuzz.mutations import damaged

pytestmark = pytest.mark.usefixtures("keras_started")

ROOT = Path(__file__).resolve().parents[2]
CASES = 100
SEARCH_SECONDS = 2
WEIGHTS_CASES = 100
# The same cases each time: what fails here fails everywhere.
FIXED = settings(
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def reader_of(name: str) -> Reader:
    return importlib.import_module(f"fuzz.readers.{name}").READER


def regressions() -> list[tuple[str, Path]]:
    return [(path.parent.name, path) for path in sorted(REGRESSIONS.glob("*/*"))]


@pytest.mark.parametrize("name", READERS)
def test_a_right_file_is_taken(name):
    """What is damaged and refused below was right before."""
    reader = reader_of(name)
    for label, data in reader.seeds().items():
        assert run_case(reader, data) or label == "link to itself", label


@pytest.mark.parametrize(("name", "path"), regressions(), ids=lambda value: Path(value).name)
def test_what_was_found_once_stays_mended(name, path):
    """Files that made a reader crash, hang, fill the memory or read what is not there."""
    assert run_case(reader_of(name), path.read_bytes()) == path.stem.endswith("_is_read")


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_taken_or_refused(name):
    reader = reader_of(name)

    @FIXED
    @given(damaged(reader.seeds()))
    def holds(data):
        run_case(reader, data)

    holds()


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_any_content_is_taken_or_refused(name):
    reader = reader_of(name)
    outcomes = set()

    @FIXED
    @given(reader.drawn())
    def holds(data):
        outcomes.add(run_case(reader, data))

    holds()
    # Else what is drawn is not near enough to what is right to say much about it.
    assert outcomes == {True, False}


@pytest.mark.parametrize("drawn", [(), ("--drawn",)], ids=["bytes", "choices"])
@pytest.mark.parametrize("name", READERS)
def test_a_search_led_by_coverage_finds_nothing(name, drawn, tmp_path):
    command = ["fuzz", name, *drawn, "--seconds", str(SEARCH_SECONDS), "--seed", "1"]
    done = in_a_process(*command, "--corpus", str(tmp_path / name))
    told = re.search(r"(\d+) cases in .* 0 findings, (\d+) led to new code", done.stdout)
    assert done.returncode == 0 and told, done.stdout[-3000:] + done.stderr[-3000:]
    # Unless the reader's code is watched, nothing leads to more of it.
    assert int(told[1]) > int(told[2]) > 0


def test_weights_that_are_damaged_are_refused_or_read_as_they_stand():
    done = in_a_process("fuzz.weights", "--cases", str(WEIGHTS_CASES))
    told = re.search(r"(\d+) cases, (\d+) taken, (\d+) refused", done.stdout)
    assert done.returncode == 0 and told, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(told[2]) > 0 and int(told[3]) > 0


def in_a_process(*module: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*(str(ROOT / each) for each in ("workflow", "tests")), *sys.path[1:]])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda data: [][0], "IndexError instead of a message"),
        (lambda data: [None for _ in iter(int, 1)], "took more than"),
        (lambda data: bytearray(1 << 30), "took more than 64 MB"),
        (lambda data: (_ for _ in ()).throw(InputError("no name")), "names no file"),
        (lambda data: (_ for _ in ()).throw(InputError("x.wav\x1b[2J")), "for the terminal"),
        (lambda data: (_ for _ in ()).throw(InputError("x.wav" * 2000)), "10000 characters"),
        (lambda data: _swallowed(), "more than 64 MB"),
    ],
    ids=["crash", "hang", "memory", "no name", "control", "long", "memory taken for damage"],
)
def test_what_a_reader_must_not_do_is_seen(does, told):
    reader = Reader("x", does, dict, None, called=["x.wav"], seconds=0.5, megabytes=64)
    with pytest.raises(Finding, match=told):
        run_case(reader, b"")


def _swallowed() -> None:
    try:
        bytearray(1 << 30)
    except MemoryError as error:
        raise InputError("x.wav: damaged") from error
