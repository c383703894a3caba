"""What a campaign strikes, what it takes for done, and what it refuses; nothing runs here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from faults import campaign
from faults.campaign import (
    FAULTS,
    MADE_OF,
    NOT_READ,
    WITHOUT_INPUT,
    Strike,
    add_strikes,
    cut_off_in,
    drawn_faults,
    known_rules,
    main,
    read_strikes,
    sources_now,
    still_due,
    table_of,
    undisturbed_in,
)
from support.checkout import ROOT

from at4ramt.errors import InputError
from at4ramt.files import write_json

RULES = known_rules()
CELLS = {
    (rule, fault)
    for rule in RULES
    for fault in FAULTS
    if (rule, fault) not in {(rule, "unreadable") for rule in WITHOUT_INPUT}
}


def struck(trial: int, *faults: str, outcome: str = "started again") -> list[Strike]:
    drawn = drawn_faults(0, trial, RULES, faults or tuple(FAULTS))
    return [Strike(0, trial, rule, fault, "", outcome, "") for rule, fault in drawn.items()]


@pytest.mark.parametrize(
    "table",
    [
        [],
        # Some rules of a trial, as they were while three of them could die before their strike.
        struck(1)[3:],
        # Trials of the same numbers, with one fault alone.
        [strike for trial in range(11) for strike in struck(trial, "KILL")],
        struck(4, outcome=NOT_READ),
        read_strikes(ROOT / "docs/results/faults.csv"),
    ],
)
def test_after_as_many_trials_as_faults_each_rule_has_met_each_fault(table: list[Strike]) -> None:
    met = {(each.rule, each.fault) for each in table if each.outcome != NOT_READ}
    for trial in range(len(FAULTS)):
        due = still_due(table, 0, trial, RULES)
        met |= {(rule, fault) for rule, (fault, _) in due.items()}
    assert met == CELLS


def test_what_the_table_has_is_not_struck_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still_due(struck(1), 0, 1, RULES) == {}
    assert still_due(struck(1), 0, 2, RULES).keys() == set(RULES)
    table = tmp_path / "faults.csv"
    add_strikes(table, struck(0))
    add_strikes(table, struck(1))
    assert read_strikes(table) == struck(0) + struck(1)
    assert main(["--trials", "2", "--out", str(table)]) == 0
    assert "2 of 2 trials" in capsys.readouterr().out


def test_a_strike_at_a_file_that_no_job_read_does_not_count() -> None:
    (vain,) = [each for each in struck(1) if each.rule == "report"]
    vain = replace(vain, outcome=NOT_READ)
    assert still_due([vain], 0, 1, ["report"]) == {"report": (vain.fault, 1)}
    assert table_of([vain]).splitlines()[2].endswith("| 0 |")


def announced(rule: str, number: int) -> str:
    return f"rule {rule}:\n    input: a\n    output: b\n    jobid: {number}\n    reason: missing\n"


def test_what_a_master_s_death_cut_off_is_neither_what_finished_nor_what_failed() -> None:
    failed = "Error in rule train_base:\n    message: None\n    jobid: 4\n    input: a\n"
    said = [
        *(announced("train_base", 4), failed, announced("plot_data", 64), announced("fit_peer", 5)),
        *("Finished jobid: 64 (Rule: plot_data)\n", f"local{announced('build_shard', 6)}"),
    ]
    assert cut_off_in("".join(said)) == {"fit_peer", "build_shard"}
    # Tried again, after its strike had come.
    assert "train_base" not in cut_off_in("".join([*said, announced("train_base", 4)]))


def test_a_kill_leaves_the_table_whole(tmp_path: Path) -> None:
    table = tmp_path / "faults.csv"
    add_strikes(table, struck(0))
    code = """
import csv, os, signal, sys
from pathlib import Path
from faults.campaign import add_strikes, read_strikes
table = Path(sys.argv[1])
rows = read_strikes(table)
def rows_and_a_kill(writer, content, write=csv.DictWriter.writerows):
    write(writer, list(content)[:60])
    os.kill(os.getpid(), signal.SIGKILL)
csv.DictWriter.writerows = rows_and_a_kill
add_strikes(table, rows)
"""
    command = [sys.executable, "-c", code, str(table)]
    killed = subprocess.run(command, cwd=ROOT, env=PATHS, check=False)
    assert killed.returncode == -9
    assert read_strikes(table) == struck(0)


PATHS = {"PYTHONPATH": "workflow:tests"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rules", "train_ronud"], ("train_ronud", "train_round")),
        (["--faults", "kill"], ("'kill'", "KILL")),
        (
            ["--rules", "write_graph", "--faults", "unreadable"],
            ("write_graph", "nothing to strike"),
        ),
        (["--trials", "0"], ("nothing to strike",)),
    ],
)
def test_a_campaign_that_would_strike_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: tuple[str, ...],
) -> None:
    monkeypatch.setattr(campaign, "undisturbed", lambda path: pytest.fail("a run was made"))
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    told = "".join(capsys.readouterr())
    assert all(word in told for word in said)


def test_a_rule_that_cannot_meet_a_fault_is_left_out() -> None:
    drawn = drawn_faults(0, 0, RULES, ["unreadable"])
    assert drawn == dict.fromkeys(set(RULES) - WITHOUT_INPUT, "unreadable")


def test_an_undisturbed_run_of_other_sources_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / MADE_OF, sources_now())
    assert undisturbed_in(tmp_path).path == tmp_path
    name = "workflow/at4ramt/training/loop.py"
    write_json(tmp_path / MADE_OF, {**sources_now(), name: "another"})
    with pytest.raises(InputError, match=name):
        undisturbed_in(tmp_path)
