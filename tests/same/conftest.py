"""Two runs of the smallest experiment: a plain one, and one that differs in all around it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from same.surroundings import SHORT, VARIED, Surroundings, surroundings, telling


def reachable(folder: Path) -> Path:
    """Let another user reach a folder of the tests."""
    for path in (folder, *folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o011)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Surroundings, Surroundings]:
    """A plain run and a varied one, finished: read only."""
    folder = reachable(tmp_path_factory.mktemp("same"))
    pair = (surroundings(folder / "plain", ()), surroundings(folder / "varied", VARIED))
    # At once, because the second leaves a core to the first.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run: telling(run).snakemake(*SHORT), pair))
    return pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that another user can reach."""
    return reachable(tmp_path)
