"""Times, rule graph and commit are reported as they are."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from at4ramt.report import provenance

DOT = """digraph snakemake_dag {
    graph[bgcolor=white, margin=0];
\t0[label = "all", color = "0.1 0.6 0.85", style="rounded"];
\t1[label = "plot", color = "0.2 0.6 0.85", style="rounded"];
\t2[label = "train\\nseed: 0", color = "0.3 0.6 0.85", style="rounded"];
\t3[label = "fetch", color = "0.4 0.6 0.85", style="rounded"];
\t1 -> 0
\t2 -> 1
\t2 -> 2
\t3 -> 2
\t3 -> 1
}"""


def test_graph_is_read() -> None:
    names, edges = provenance.read_graph(DOT)
    assert names == {"0": "all", "1": "plot", "2": "train", "3": "fetch"}
    assert sorted(edges) == [("1", "0"), ("2", "1"), ("2", "2"), ("3", "1"), ("3", "2")]


def test_layers_follow_the_edges() -> None:
    names, edges = provenance.read_graph(DOT)
    layers = provenance.layer_graph(list(names), edges)
    assert layers == [["3"], ["2"], ["1"], ["0"]]
    with pytest.raises(ValueError, match="cycle"):
        provenance.layer_graph(["a", "b"], [("a", "b"), ("b", "a")])


def test_a_source_stands_just_above_its_first_user() -> None:
    layers = provenance.layer_graph(list("abcd"), [("a", "b"), ("b", "c"), ("d", "c")])
    assert layers == [["a"], ["b", "d"], ["c"]]


def test_graph_without_nodes_is_drawn_as_a_sentence(tmp_path: Path) -> None:
    provenance.plot_graph("", tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").stat().st_size > 1000


def write_benchmark(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["s\th:m:s\tmax_rss\tmax_vms\tmean_load\tcpu_time", *rows]) + "\n")


def test_times_are_added_up_by_rule(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "train/arm/seed_0/round_01.tsv", "10.5\t0:00:10\t500\t9\t90\t9.0")
    write_benchmark(tmp_path / "train/arm/seed_0/round_02.tsv", "20.5\t0:00:20\t700\t9\t90\t19.0")
    write_benchmark(tmp_path / "fetch/a.tsv", "1.0\t0:00:01\t-\t-\t0.0\t0.1")
    (tmp_path / "fetch/notes.tsv").write_text("not\ta benchmark\n1\t2\n")
    # Of an earlier run: whether it is there must not change the table.
    write_benchmark(tmp_path / "write_provenance/p.tsv", "5.0\t0:00:05\t500\t9\t90\t4.0")
    times = provenance.rule_times(provenance.read_benchmarks(tmp_path)).set_index("rule")
    assert list(times.index) == ["train", "fetch"]
    train = times.loc["train"]
    assert (train["jobs"], train["seconds_total"], train["seconds_longest"]) == (2, 31.0, 20.5)
    assert train["megabytes_highest"] == 700 and train["cpu_seconds_total"] == 28.0
    assert times["megabytes_highest"].isna()["fetch"]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_commit(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    assert provenance.describe_commit(clone) == "not a git checkout"
    git(clone, "init", "-q")
    assert provenance.describe_commit(clone) == "a git checkout without a commit"
    (clone / "a.txt").write_text("1")
    (clone / "part").mkdir()
    git(clone, "add", "a.txt")
    git(clone, "commit", "-q", "-m", "one")
    commit = git(clone, "rev-parse", "HEAD")
    assert provenance.describe_commit(clone) == commit
    # a copy that lies inside some other repository is not that repository's checkout
    assert provenance.describe_commit(clone / "part") == "not a git checkout"
    (clone / "a.txt").write_text("2")
    assert provenance.describe_commit(clone) == f"{commit}, with uncommitted changes"


def test_versions_name_what_computes() -> None:
    table = provenance.list_versions().set_index("package")["version"]
    assert {"Python", "AT4rAMT", "numpy", "soxr", "keras", "matplotlib"} <= set(table.index)


@pytest.mark.parametrize(
    ("told", "processor", "instructions"),
    [
        (
            "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx fma avx2 avx512f avx512vl\n"
            "\nprocessor\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx fma avx2 avx512f\n",
            "AMD EPYC",
            "AVX, AVX2, FMA, AVX-512",
        ),
        ("processor\t: 0\nFeatures\t: fp asimd sve\n", None, "NEON, SVE"),
        ("", None, "not known"),
        (None, None, "not known"),
    ],
)
def test_the_machine_is_told_with_what_its_last_digits_depend_on(
    told: str | None, processor: str | None, instructions: str, tmp_path: Path
) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told, encoding="utf-8")
    machine = provenance.describe_machine(tmp_path / "cpuinfo").set_index("what")["value"]
    assert machine["vector instructions"] == instructions
    assert machine["processor"] == (processor or platform.processor() or platform.machine())
