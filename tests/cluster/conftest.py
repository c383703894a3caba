"""One undisturbed local run that the cluster tests share, and an LSF to submit to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.checkout import QUEUED, ROOT, Checkout, copy_repository
from support.killing import LONGER, linked, model, remove
from support.lsf import Lsf

# A copy of the repository, given further options and the environment to run snakemake in.
Copies = Callable[..., Checkout]


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[Lsf]:
    """An LSF of one host with one GPU; it stops its jobs sooner than LSF's ten seconds."""
    with Lsf(tmp_path / "lsf", slots=4, gpus=1, terminate_seconds=2, orphans="kill") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the small experiment has run to its report on this machine: read only."""
    folder = tmp_path_factory.mktemp("finished")
    made = copy_repository(folder / "at4ramt")
    # Whoever checks the archives of the clone touches them, which would make all of this stale.
    shutil.copytree(ROOT / "resources", folder / "resources")
    (made.path / "resources").unlink()
    (made.path / "resources").symlink_to(folder / "resources")
    local = Checkout(made.path, (*QUEUED, "--cores", "2", "--resources", "gpu=2"))
    local.snakemake()
    return local


@pytest.fixture
def fresh_copy(tmp_path: Path) -> Copies:
    """Copy the repository: nothing has run in it."""

    def copy(
        *options: str, environment: Mapping[str, str] = os.environ, name: str = "fresh"
    ) -> Checkout:
        made = copy_repository(tmp_path / name)
        return Checkout(made.path, (*QUEUED, *options), environment)

    return copy


@pytest.fixture
def linked_copy(finished: Checkout, tmp_path: Path) -> Copies:
    """Copy the finished run; a test deletes what is to be made again, and writes into no result."""

    def copy(
        *options: str, environment: Mapping[str, str] = os.environ, name: str = "copy"
    ) -> Checkout:
        path = tmp_path / name
        shutil.copytree(
            finished.path, path, symlinks=True, ignore=shutil.ignore_patterns("results")
        )
        # Rendered audio and pianos are large, and nothing writes into a finished output.
        shutil.copytree(finished.path / "results", path / "results", copy_function=os.link)
        return Checkout(path, (*QUEUED, *options), environment)

    return copy


@pytest.fixture(scope="session")
def undisturbed(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy whose first rounds are long enough to be killed in; nobody does: read only."""
    checkout = linked(finished, tmp_path_factory.mktemp("undisturbed") / "at4ramt")
    (checkout.path / "longer.yaml").write_text(LONGER, encoding="utf-8")
    longer = (*QUEUED, "longer.yaml", *finished.options[len(QUEUED) :])
    remove(checkout, "results/models/*/seed_0/round_*")
    made = replace(checkout, options=longer)
    made.snakemake("--", model("adversarial"), model("clean"))
    return made
