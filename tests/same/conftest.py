"""One plain run of the smallest experiment, that the tests of sameness share."""

from __future__ import annotations

from pathlib import Path

import pytest
from same.surroundings import TARGETS, Surroundings, surroundings, without_peer


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    """A finished run as anybody would make it: read only."""
    run = without_peer(surroundings(tmp_path_factory.mktemp("same") / "plain", ()))
    run.snakemake(*TARGETS)
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that another user can reach."""
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | 0o011)
    return tmp_path
