"""Peers: basic-pitch in its own environment, and models of other runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from support.checkout import ROOT

from at4ramt.evaluation.tables import read_audio_counts

PYTHON = ROOT / ".venv-peer" / "bin" / "python"
PEER = ("--config", "evaluation={'peers': ['basic_pitch']}", "--")
COMPARED = """
import sys
import numpy as np
from basic_pitch.inference import predict
from at4ramt.audio_noise.mixing import noisy_audio
from at4ramt.evaluation.peer_basic_pitch import (
    BasicPitch, FRAME_THRESHOLD, ONSET_THRESHOLD, notes_of, runs_of,
)
from at4ramt.features.audio import open_audio

posteriors, _, events = predict(sys.argv[1])
with open_audio(sys.argv[1]) as audio:
    (part,) = parts = list(BasicPitch(1).parts(noisy_audio(audio, 0.0, None, 0)))
notes = notes_of(parts, ONSET_THRESHOLD, FRAME_THRESHOLD)
assert len(events) > 10
assert sorted((event[0], event[1], event[2]) for event in events) == sorted(notes.tolist())
assert np.array_equal(part.note, posteriors["note"])
runs = runs_of(parts, FRAME_THRESHOLD)
active = np.zeros(part.note.shape, bool)
for onset, offset, pitch in runs.tolist():
    active[(part.times >= onset) & (part.times < offset), pitch - 21] = True
assert np.array_equal(active, part.note >= FRAME_THRESHOLD)
"""


def test_without_its_environment_planning_ends_in_one_line(checkout):
    (checkout.path / ".venv-peer").unlink(missing_ok=True)
    said = checkout.snakemake("--dry-run", *PEER, "evaluation", fails=True)
    assert (
        "basic_pitch runs in an environment of its own: `make setup-peer`, or `peers: []`" in said
    )
    # Snakemake adds where, and nothing of Python.
    assert "Traceback (most recent call last)" not in said
    # What needs no peer is planned all the same.
    checkout.snakemake("--dry-run", *PEER, "base")


def test_a_peer_stands_in_the_table_beside_our_models(linked_copy):
    run = linked_copy
    table = "results/evaluation/audio.parquet"
    assert run.planned(*PEER, table) == {
        "answer_peer": 3,
        "collect_audio": 1,
        "evaluate_peer": 1,
        "fit_peer": 1,
        "list_peer_pieces": 4,
    }
    ours = read_audio_counts(run.path / table)
    run.snakemake(*PEER, table)
    counts = read_audio_counts(run.path / table)
    peer = counts[counts["system"] == "basic_pitch"]
    pd.testing.assert_frame_equal(
        counts.drop(peer.index).reset_index(drop=True), ours.reset_index(drop=True)
    )
    # It hears no babble.
    one = ours[
        (ours["system"] == "base")
        & (ours["noise"] != "babble")
        & (ours["threshold_kind"] != "fitted")
    ]
    keys = ["piece", "noise", "snr_db", "threshold_kind", "criterion"]
    both = peer.merge(one, on=keys, validate="one_to_one", suffixes=("", "_ours"))
    assert len(both) == len(one) == len(peer)
    # The same is asked of all, and the peer finds some of it.
    assert (both["reference"] == both["reference_ours"]).all()
    clean = peer[(peer["snr_db"] == np.inf) & (peer["criterion"] == "onset")]
    assert 2 * clean["matched"].sum() > 0.5 * (clean["reference"] + clean["estimated"]).sum()

    recording = min((run.path / "results/corpus").rglob("*.wav"))
    subprocess.run(
        [PYTHON, "-s", "-c", COMPARED, recording], check=True, env={"PYTHONPATH": "workflow"},
        cwd=run.path,
    )  # fmt: skip


def test_a_model_of_another_run_stands_in_the_table_too(linked_copy):
    run = linked_copy
    table = "results/evaluation/audio.parquet"
    named = "models/robust/seed_1/round_01.onnx"
    # A shell would act on this name, and a queue's shell sees the inputs of a job.
    shutil.copy(ROOT / named, run.path / "my $(model).onnx")

    def asked(model):
        peers = f"evaluation={{'peer_models': [{{'name': 'mine', 'model': '{model}'}}]}}"
        return ("--config", peers, "--", table)

    assert run.planned(*asked(named)) == {"collect_audio": 1, "evaluate_peer_model": 1}
    ours = read_audio_counts(run.path / table)
    run.snakemake(*asked("my $(model).onnx"))
    counts = read_audio_counts(run.path / table)
    mine = counts[counts["system"] == "mine"]
    pd.testing.assert_frame_equal(
        counts.drop(mine.index).reset_index(drop=True), ours.reset_index(drop=True)
    )
    frames = mine[(mine["criterion"] == "frames") & (mine["snr_db"] == np.inf)]
    assert 2 * frames["matched"].sum() > 0.8 * (frames["reference"] + frames["estimated"]).sum()

    # An archive's export, which is run in its place, is an input as well.
    for suffix in (".keras", ".onnx"):
        shutil.copy(ROOT / Path(named).with_suffix(suffix), run.path / f"their $(model){suffix}")
    said = run.snakemake("--dry-run", *asked("their $(model).keras"))
    inputs = re.search(r"rule evaluate_peer_model:\n    input: (.*)", said)[1].split(", ")
    assert [Path(os.path.realpath(run.path / each)).name for each in inputs[:2]] == [
        "their $(model).keras", "their $(model).onnx"
    ]  # fmt: skip

    said = run.snakemake("--dry-run", *asked("models/robsut.onnx"), fails=True)
    assert "evaluation.peer_models, mine: there is no " in said
    assert "models/robsut.onnx; expected a model's .keras archive or its export, .onnx" in said
