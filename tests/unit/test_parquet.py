"""A table's file in which a bit was turned over: told by its name, or of the same values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation.tables import read_scores, write_scores
from at4ramt.parquet import SEAL_NAME, read_frame, read_table, write_frame

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
# What writes and reads Parquet: tables, and features and shards.
OURS = {"parquet.py", "piece_features.py", "shards.py"}


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    rows = 24
    counts = np.random.default_rng(0).integers(1, 100, (3, rows))
    table = pd.DataFrame({"arm": "base", "seed": 0, "round": 0, "split": "test"}, range(rows))
    table = table.assign(instrument="A", piece="a", noise="none", level=0.0, threshold_kind="half")
    table = table.assign(threshold=0.5, pitch=range(37, 37 + rows))
    table = table.assign(**dict(zip(("tp", "fp", "fn"), counts, strict=True)))
    table = table.assign(tn=400 - counts.sum(axis=0), loss_sum=1.5, bce_sum=2.5, frames=400)
    write_scores(table, tmp_path / "scores.parquet")
    return tmp_path / "scores.parquet"


def outcome(path: Path, read: Callable[[Path], Any]) -> str:
    """What InputError says, without the path that it must name; nothing if it is read."""
    try:
        read(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
        return str(error)
    return ""


def test_a_bit_of_any_byte_of_the_scores_is_told_or_does_not_matter(scores: Path) -> None:
    content, expected = scores.read_bytes(), read_scores(scores)
    silent = []
    for number in range(len(content)):
        damaged = bytearray(content)
        damaged[number] ^= 1 << number % 8
        scores.write_bytes(damaged)
        if not outcome(scores, read_scores):
            silent.append(number)
            pd.testing.assert_frame_equal(read_scores(scores), expected)
    # Those of the seal's own name.
    at = content.index(SEAL_NAME)
    assert silent == [*range(at, at + len(SEAL_NAME))]


@pytest.mark.parametrize("read", [read_frame, read_table])
def test_pages_have_checksums_of_their_own_and_these_are_verified(
    scores: Path, read: Callable[[Path], Any]
) -> None:
    content = scores.read_bytes()
    unsealed = content.replace(SEAL_NAME, b"none")
    scores.write_bytes(unsealed)
    assert outcome(scores, read) == ""
    group = pq.read_metadata(scores).row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        first = column.dictionary_page_offset or column.data_page_offset
        damaged = bytearray(unsealed)
        damaged[first + column.total_compressed_size - 1] ^= 1  # the end of its last page
        scores.write_bytes(damaged)
        assert "CRC checksum verification failed" in outcome(scores, read)


@pytest.mark.parametrize("size", [0, 3, 8, 11, 12, 100, -1])
def test_what_is_cut_off_or_no_parquet_is_told(scores: Path, size: int) -> None:
    content = scores.read_bytes()
    for wrong in (content[:size], b"PAR1" * (len(content[:size]) // 4)):
        scores.write_bytes(wrong)
        assert "cannot be read as Parquet" in outcome(scores, read_frame)
    scores.unlink()
    assert "no such file; expected a table of scores" in outcome(scores, read_scores)


def test_others_read_what_is_sealed_and_the_unsealed_of_others_is_read(tmp_path: Path) -> None:
    path, other = tmp_path / "x=1" / "t.parquet", tmp_path / "other.parquet"
    table = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"], "c": [0.1, np.inf, -0.0]})
    table.attrs = {"made_with": {"level": 0.34}}
    write_frame(table, path)
    table.to_parquet(other)
    for found in (pd.read_parquet(path, partitioning=None), read_frame(path), read_frame(other)):
        pd.testing.assert_frame_equal(found, table)
        assert found.attrs == table.attrs
    assert read_table(path, columns=["a"]).to_pydict() == {"a": [1, 2, 3]}
    assert read_frame(path, filters=[("b", "in", ["x"])])["a"].tolist() == [1, 3]


def test_nothing_writes_or_reads_parquet_by_itself() -> None:
    calls = re.compile(r"\b(read_parquet|to_parquet|parquet as pq|pyarrow\.parquet)\b")
    found = {path.name for path in WORKFLOW.rglob("*.py") if calls.search(path.read_text())}
    assert found == OURS
