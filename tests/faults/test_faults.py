"""Jobs and masters struck at drawn moments: the run ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from faults.campaign import (
    FAULTS,
    TARGETS,
    WITHOUT_INPUT,
    WITHOUT_JOB,
    Reference,
    disturbed,
    environment,
    known_rules,
    leftovers,
    linked,
    prepare,
    read_strikes,
    undisturbed,
)
from faults.sameness import differences, made
from support.checkout import ROOT

SEED = 0
LATE = ("write_summary", "plot_noise", "plot_notes")
NOTES = "results/tables/notes.csv"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A run that nobody disturbs: no test may change it."""
    run = undisturbed(tmp_path_factory.mktemp("faults") / "undisturbed")
    before = run.state()
    yield run
    assert run.state() == before


def test_every_rule_is_struck_or_has_no_process(reference: Reference) -> None:
    said = reference.checkout.snakemake("--list-rules")
    listed = {line for line in said.splitlines() if line.isidentifier()}
    struck, gathering = set(reference.rules()), set(WITHOUT_JOB)
    assert struck | gathering == listed
    assert not struck & gathering
    assert struck == set(known_rules())
    inputs = reference.inputs()
    assert {rule for rule in struck if not inputs.get(rule)} == WITHOUT_INPUT
    tried = {strike.rule for strike in read_strikes(ROOT / "docs/results/faults.csv")}
    assert tried | gathering == listed


# One goes on by `--retries`, the other by the same command: then each failure ends the master, and
# what is there is compared while nothing runs.
@pytest.mark.parametrize(("number", "again"), [(1, "retry"), (2, "same command")])
def test_a_run_whose_every_rule_is_struck_ends_like_one_left_alone(
    reference: Reference, tmp_path: Path, number: int, again: str
) -> None:
    rules = reference.rules()
    trial = disturbed(reference, tmp_path / "run", seed=SEED, trial=number, rules=rules)
    assert trial.wrong == []
    assert {strike.rule for strike in trial.strikes} == set(rules)
    assert {strike.fault for strike in trial.strikes} == set(FAULTS)
    assert {strike.again for strike in trial.strikes} == {again}


def test_the_same_command_goes_on_and_makes_nothing_again_that_is_finished(
    reference: Reference, tmp_path: Path
) -> None:
    trial = disturbed(reference, tmp_path / "run", seed=SEED, trial=0, rules=LATE)
    assert trial.wrong == []
    assert {strike.rule for strike in trial.strikes} == set(LATE)


def test_a_disk_that_gets_full_stops_the_run_and_with_more_room_it_goes_on(
    reference: Reference, tmp_path: Path
) -> None:
    # A disk that nobody else sees: root may mount one, and so may others where the system lets
    # them be root among their own processes.
    ways = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    may = [
        way for way in ways if not subprocess.run([*way, *mount], capture_output=True).returncode
    ]
    if not may:
        pytest.skip("no disk can be mounted: neither as root nor in a namespace of the user's own")
    small_disk = [sys.executable, "-m", "faults.small_disk"]
    command = [*may[0], *small_disk, str(reference.path), str(tmp_path / "disk")]
    paths = os.pathsep.join(str(ROOT / name) for name in ("workflow", "tests"))
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_masters_at_once_may_fail_and_do_no_harm(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "run"
    linked(reference, path, ["evaluate_model"])
    prepare(path, {})
    with environment(path) as variables:
        run = replace(reference.checkout, path=path, environment=variables)
        # As if both had looked for a lock before either had written one.
        masters = [run.start("--nolock", *TARGETS) for _ in range(2)]
        with ThreadPoolExecutor() as readers:
            said = list(readers.map(lambda master: master.communicate()[0], masters))
        assert all("rule evaluate_model:" in each for each in said)
        assert differences(path, reference.path) == []
        run.snakemake(*TARGETS)
        assert run.planned(*TARGETS) == {}
    assert differences(path, reference.path) == []
    assert leftovers(path) == []


def test_a_clock_that_is_set_back_stops_the_run_and_what_the_docs_say_mends_it(
    reference: Reference, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    linked(reference, path, ["plot_notes"])
    prepare(path, {})
    with environment(path) as variables:
        run = replace(reference.checkout, path=path, environment=variables)
        times = (str(file.relative_to(path)) for file in path.glob("benchmarks/**/*.tsv"))
        for file in (*made(path), *times):
            # A copy: the other link is the undisturbed run's.
            copy = shutil.copy2(path / file, tmp_path / "copy")
            moment = os.stat(copy).st_mtime + 86_400
            os.utime(copy, (moment, moment))
            os.replace(copy, path / file)
        said = run.snakemake(NOTES, fails=True)
        assert "older modification time" in said
        guide = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
        (line,) = [line for line in guide.splitlines() if "older modification time" in line]
        command = line.split("`")[-2]
        kept = {file: (path / file).stat().st_ino for file in made(path)}
        subprocess.run(["bash", "-c", command], cwd=path, check=True)
        run.snakemake(NOTES)
        assert run.planned(NOTES) == {}
    assert {file: (path / file).stat().st_ino for file in kept} == kept
    assert differences(path, reference.path) == []
