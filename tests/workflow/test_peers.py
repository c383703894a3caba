"""basic-pitch in its own environment: what is planned without it, and the table with it."""

import subprocess

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
