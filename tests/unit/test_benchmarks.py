"""docs/performance.md says what benchmarks/results.json has; a tiny section runs to its end."""

import json
import math
import os
import subprocess
import sys

import pytest
from benchmarks.planning import Job, shared_out

PUBLISHED = {"name", "ratio", "spread", "target", "met", "unit", "note"}
SIGNS = {"<=": float.__le__, "<": float.__lt__, ">=": float.__ge__}


def _run(root, *arguments):
    env = os.environ | {"PYTHONPATH": str(root / "workflow")}
    call = [sys.executable, "-m", "benchmarks.run", *map(str, arguments)]
    return subprocess.run(call, cwd=root, env=env, capture_output=True, text=True, check=False)


def _cells(document):
    lines = [line for line in document.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _check(rows):
    for row in rows:
        assert set(row) == PUBLISHED
        low, high = row["spread"]
        if row["ratio"] is None:  # what could not be measured says why
            assert row["met"] is None and row["note"]
            continue
        assert low <= row["ratio"] <= high
        if row["target"] is None:
            assert row["met"] is None
        else:
            sign, bound = row["target"].split()
            assert row["met"] is SIGNS[sign](row["ratio"], float(bound)), row["name"]


def test_the_document_has_the_results(root):
    rows = json.loads((root / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    assert rows
    _check(rows)
    cells = _cells((root / "docs" / "performance.md").read_text(encoding="utf-8"))
    for row in rows:
        found = [line for line in cells if line[0] == row["name"]]
        assert len(found) == (2 if row["target"] else 1), row["name"]
        for line in found:
            if row["ratio"] is None:
                assert line[1] == "–"
            else:
                shown = float(line[1].split()[0])
                assert math.isclose(shown, row["ratio"], rel_tol=0.006, abs_tol=6e-5), row["name"]
            assert line[3] == (row["target"] or "")
            assert line[4] == {True: "yes", False: "**no**"}.get(
                row["met"], "not measured" if row["target"] else ""
            )


def test_the_document_is_what_the_sections_make_of_it(root, tmp_path):
    results = root / "benchmarks" / "results"
    copy = tmp_path / "benchmarks" / "results"
    copy.mkdir(parents=True)
    for path in results.glob("*.json"):
        (copy / path.name).write_bytes(path.read_bytes())
    ended = _run(root, "--render", "--out", tmp_path)
    assert ended.returncode == 0, ended.stderr
    for name in ("benchmarks/results.json", "docs/performance.md"):
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes(), name


def test_a_tiny_section_runs(root, tmp_path):
    ended = _run(root, "shards", "--quick", "--out", tmp_path, "--folder", tmp_path / "work")
    assert ended.returncode == 0, ended.stderr
    rows = json.loads((tmp_path / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    _check(rows)
    assert any(row["name"].startswith("shards: bytes a frame") for row in rows)
    document = (tmp_path / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "trial run" in document


def test_an_unknown_section_is_refused(root, tmp_path):
    ended = _run(root, "nothing", "--out", tmp_path)
    assert ended.returncode == 2
    assert "no section nothing" in ended.stderr


@pytest.mark.parametrize(
    ("jobs", "computing", "starting", "snakemake"),
    [
        ([("a", 0.0, 10.0)], 8.0, 2.0, 0.0),
        # One after the other, with a pause of 5.
        ([("a", 0.0, 10.0), ("a", 15.0, 25.0)], 16.0, 4.0, 5.0),
        # Two at once count half each; a start longer than its job is cut.
        ([("a", 0.0, 10.0), ("a", 0.0, 1.0)], 8.0, 2.0, 0.0),
        # For a second, the job had no process yet.
        ([("a", 0.0, 10.0, 1.0)], 7.0, 2.0, 1.0),
        # No script: Snakemake, called once more.
        ([("report", 0.0, 10.0)], 0.0, 0.0, 10.0),
        # The archives are fetched while the job starts: a half of the first second.
        ([("a", 0.0, 10.0), ("fetch_x", 0.0, 1.0)], 8.0, 1.5, 0.0),
    ],
)
def test_wall_time_is_shared_out_among_jobs(jobs, computing, starting, snakemake):
    found = shared_out([Job(*job) for job in jobs], {"a": 2.0})
    assert sum(found.values()) == pytest.approx(max(job[2] for job in jobs))
    found.pop("fetching")
    assert found == pytest.approx(
        {"computing": computing, "starting": starting, "snakemake": snakemake}
    )
