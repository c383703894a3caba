"""On a fresh checkout: plans, lists, lints; and mistakes are told before anything runs."""

import re
import subprocess
import sys

import pytest
from support.checkout import Checkout

SMALL = "tests/workflow/small.yaml"
PIECES = "tests/workflow/small_pieces.tsv"


def test_the_plan_of_the_demo_is_complete(checkout):
    printed = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"],
        cwd=checkout.path,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert "train_base" in printed and "report" in printed
    # Twelve rounds of each arm.
    line = next(line for line in printed.splitlines() if line.startswith("train_round "))
    assert int(line.split()[1]) % 12 == 0


@pytest.mark.parametrize(
    "names", [["study"], ["robust"], ["robust", "robust_ablation"]], ids="+".join
)
def test_a_configuration_of_ours_can_be_planned_in_a_folder_of_its_own(checkout, names):
    (checkout.path / "elsewhere").mkdir()
    files = [f"config/{name}.yaml" for name in ["config", *names]]
    options = ["--directory", "elsewhere", "--configfile", *files]
    printed = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *options],
        cwd=checkout.path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stdout + printed.stderr
    assert "train_round" in printed.stdout


def test_the_stages_are_listed(checkout):
    printed = checkout.snakemake("--list-rules")
    for stage in ("corpus", "features", "shards", "base", "rounds", "evaluation", "report"):
        assert stage in printed.split()


@pytest.mark.parametrize("stage", ["corpus", "features", "shards", "base", "rounds", "evaluation"])
def test_each_stage_can_be_asked_for(checkout, stage):
    planned = checkout.planned(stage)
    assert planned[stage] == 1
    assert "report" not in planned


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (SMALL, "rounds:", "rouns:", "unknown key 'rouns'; .*Did you mean 'rounds'"),
        (SMALL, "  epochs: 3", "  epochs: -3", "'base.epochs' is -3; expected integer ≥ 1"),
        (SMALL, "  example_piece: MAPS", "  example_piece: MIPS", "report.example_piece"),
        (SMALL, "[0.0, 0.1, 0.34]", "[0.1, 0.0]", "ascending levels"),
        (SMALL, "[adversarial,", "[adversarail,", "arms names adversarail.*mean 'adversarial'"),
        (PIECES, "\tTimGM6mb\t", "\tTimGM6mp\t", "row 2"),
        (PIECES, "split", "splt", "splt.*Did you mean 'split'"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(checkout, file, old, new, said):
    path = checkout.path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    printed = checkout.snakemake(fails=True)
    assert " ".join(printed.split()) and re.search(said, printed, flags=re.DOTALL)
    assert "Traceback" not in printed
    assert not (checkout.path / "results").exists()


def test_small_jobs_reach_the_queue_in_as_few_submissions_as_the_guide_says(checkout, root):
    demo = Checkout(checkout.path, options=("--profile", "profiles/lsf"))
    planned = demo.snakemake("--dry-run")
    groups = re.findall(r"^\[.*\] Group job (\w+)", planned, re.MULTILINE)
    alone = re.findall(
        r"^rule (build_shard|train_\w+|fit_peer|answer_peer):", planned, re.MULTILINE
    )
    guide = (root / "docs" / "cluster.md").read_text(encoding="utf-8")
    (row,) = (line for line in guide.splitlines() if line.startswith("| the demo |"))
    said = row.split("|")[4]
    assert int(said.split("=")[1]) == len(groups) + len(alone)
    counts = [groups.count(name) for name in ("pianos", "features")]
    counts += [alone.count(name) for name in ("build_shard", "train_base", "train_round")]
    counts += [groups.count("evaluation"), groups.count("transcription")]
    counts += [alone.count("fit_peer") + alone.count("answer_peer"), groups.count("mixing")]
    assert [int(n) for n in said.split("=")[0].split("+")] == counts
