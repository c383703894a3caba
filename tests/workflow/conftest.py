"""One small run of the whole workflow, in a copy of the repository, that the tests share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.checkout import Checkout, copy_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy in which nothing has run."""
    return copy_repository(tmp_path / "at4ramt")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the small configuration has run to its report."""
    run = copy_repository(tmp_path_factory.mktemp("small") / "at4ramt")
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
