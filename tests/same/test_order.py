"""A corpus is the same in whatever order the disk tells its files, and they were written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from same.injected.sitecustomize import Sorted
from support.checkout import ROOT
from support.replicas import (
    MAESTRO_PIECES,
    MAPS_TEST,
    MAPS_TRAINING,
    WILD_PIECES,
    maestro_replica,
    maps_replica,
    wild_folder,
)

from at4ramt.corpus.layout import list_files
from at4ramt.corpus.table import survey_corpus


def linked_folder(folder: Path) -> Path:
    """A folder with three ways to the same recordings: their own, and two links."""
    apart = [piece for piece in WILD_PIECES if piece[0] != "linked"][:4]
    wild_folder(folder / "m", seconds=1.5, pieces=apart)
    for name in ("b", "x"):
        (folder / name).symlink_to("m")
    return folder


CORPORA: dict[str, Callable[[Path], Path]] = {
    "folder": lambda folder: wild_folder(folder, seconds=1.5),
    "links": linked_folder,
    "maestro": lambda folder: maestro_replica(folder, seconds=1.5, pieces=MAESTRO_PIECES),
    "maps": lambda folder: maps_replica(
        folder, zipped=True, seconds=1.5, instruments=(MAPS_TRAINING[0], *MAPS_TEST)
    ),
}


def written_backwards(source: Path, target: Path) -> Path:
    """Copy a folder, its last file first."""
    target.mkdir()
    for path in sorted(source.rglob("*"), reverse=True):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            copy.symlink_to(os.readlink(path))
        elif path.is_file():
            shutil.copy2(path, copy)
    return target


def surveyed(kind: str, root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table of a corpus and its problems, with the folder's name taken out."""
    kind = "folder" if kind == "links" else kind
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    corpus = survey_corpus(config["corpus"] | {"kind": kind, "root": str(root)}, str)
    table = corpus.table.astype(str).replace(str(root), "", regex=False)
    for column in ("audio", "notes"):
        table[column] = [os.path.relpath(path, root) for path in table[column]]
    return table, [problem.message.replace(str(root), "") for problem in corpus.problems]


@pytest.mark.parametrize("kind", CORPORA)
def test_a_corpus_is_the_same_in_whatever_order_its_files_come(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = CORPORA[kind](tmp_path / "corpus")
    second = written_backwards(first, tmp_path / "backwards")
    expected, problems = surveyed(kind, first)
    scandir, listdir = os.scandir, os.listdir
    asked = []

    def backwards(*path: object) -> Sorted:
        asked.append(path)
        return Sorted(scandir(*path), backwards=True)

    monkeypatch.setattr(os, "scandir", backwards)
    monkeypatch.setattr(os, "listdir", lambda *path: sorted(listdir(*path), reverse=True))
    table, others = surveyed(kind, second)
    assert asked, "nobody asked the disk"
    pd.testing.assert_frame_equal(table, expected)
    assert others == problems


def test_a_folder_counts_once_whichever_way_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked_folder(tmp_path / "corpus")
    (tmp_path / "link").symlink_to("corpus")
    monkeypatch.chdir(tmp_path)
    expected = list_files(tmp_path / "corpus")
    assert expected and all(path.startswith("m/") for path in expected)
    for root in ("corpus", "link", tmp_path / "link"):
        assert list_files(root) == expected
