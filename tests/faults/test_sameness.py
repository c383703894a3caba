"""What would be seen of damage."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from faults.sameness import differences, leftovers

CARD = "results/models/base/seed_0.json"
HISTORY = "results/models/base/seed_0.history.parquet"
FILES = {
    CARD: json.dumps({"epochs": 2, "seconds": 1.5}).encode(),
    "results/evaluation/scores.parquet": b"scores",
    "results/tables/times.html": b"<html>1 s</html>\n",
    "results/tables/times.csv": b"rule,seconds\na,2\nb,1\n",
}


def written(root: Path, changes: dict[str, bytes]) -> Path:
    for name, content in {**FILES, **changes}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results/evaluation/scores.parquet", b"scor"),
        (CARD, json.dumps({"epochs": 3, "seconds": 1.5}).encode()),
        (CARD, FILES[CARD][:9]),
        ("results/tables/times.html", b"<html>1 s"),
        ("results/tables/times.csv", b"rule,seconds\na,2\n"),
        ("results/tables/more.csv", b"more"),
    ],
)
def test_what_an_undisturbed_run_does_not_make_is_named(
    tmp_path: Path, name: str, content: bytes
) -> None:
    reference = written(tmp_path / "one", {})
    (found,) = differences(written(tmp_path / "other", {name: content}), reference)
    assert found.startswith(f"{name}: ")


def test_times_alone_may_differ(tmp_path: Path) -> None:
    reference = written(tmp_path / "one", {})
    pd.DataFrame({"f1": [0.5], "seconds": [1.0]}).to_parquet(reference / HISTORY)
    times = {
        CARD: json.dumps({"seconds": 9, "epochs": 2}).encode(),
        "results/tables/times.html": b"<html>9 s</html>",
        "results/tables/times.csv": b"rule,seconds\nb,3\na,2\n",
    }
    other = written(tmp_path / "other", times)
    pd.DataFrame({"f1": [0.5], "seconds": [2.0]}).to_parquet(other / HISTORY)
    assert differences(other, reference) == []
    pd.DataFrame({"f1": [0.6], "seconds": [1.0]}).to_parquet(other / HISTORY)
    assert len(differences(other, reference)) == 1


def test_half_written_files_and_states_of_trainings_are_left_over(tmp_path: Path) -> None:
    root = written(tmp_path, {})
    assert leftovers(root) == []
    part, state = root / "results/tables/.a.csv.x.part", root / "results/checkpoints/base"
    part.mkdir()
    (part / "a.csv").touch()
    state.mkdir(parents=True)
    assert leftovers(root) == ["results/checkpoints", "results/tables/.a.csv.x.part"]
