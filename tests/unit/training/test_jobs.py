"""Base and round as the workflow runs them: what they write, and what they refuse."""

import copy
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.audio_noise.pool import make_pool
from at4ramt.config import round_settings, training_config
from at4ramt.errors import InputError
from at4ramt.files import file_digest, read_json
from at4ramt.training.equivariant import EquivariantSize
from at4ramt.training.jobs import train_base, train_round
from at4ramt.training.model_file import load_model, read_card
from at4ramt.training.network import NETWORKS, context_frames

COMMON = {"seed": 0, "code": "the code's digest", "threads": 1}


@pytest.fixture(scope="module")
def config(demo_config):
    small = copy.deepcopy(demo_config)
    small["base"] |= {"epochs": 2, "patience_epochs": 2}
    small["rounds"] |= {"epochs": 3, "patience_epochs": 3}
    small["rounds"]["search"] |= {"frames": 32, "evaluations": 8}
    sections = ("features", "shards", "network", "training", "base")
    small["arms"] |= {
        "gradient": {"noise": "gradient", "level": "searched"},
        "median_trained": {"noise": "none", "input": "median"},
        "regularised": {
            "noise": "none", "dropout_convolution": 0.3, "dropout_dense": 0.5, "weight_decay": 0.01
        },
        "previous": {
            "noise": "uniform", "level": "searched", "search": {"reference": "previous"}
        },
    }  # fmt: skip
    common = {name: small[name] for name in sections}
    return {arm: common | {"rounds": round_settings(small, 1, arm)} for arm in small["arms"]}


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_shard):
    folder = tmp_path_factory.mktemp("shards")
    return {
        "training": [write_shard(folder / "training" / "I.parquet", ["a", "b"])],
        "validation": [write_shard(folder / "validation" / "I.parquet", ["c"])],
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory, shards, config):
    folder = tmp_path_factory.mktemp("base")
    paths = [str(folder / f"base.{suffix}") for suffix in ("keras", "history.parquet", "json")]
    train_base(
        shards["training"], shards["validation"], *paths,
        config=config["clean"], checkpoints=str(folder / "checkpoints"), **COMMON,
    )  # fmt: skip
    assert not (folder / "checkpoints").exists()
    return paths


def run_round(folder, parent, shards, config, arm, number=1, epochs=None):
    names = ("keras", "history.parquet", "search.parquet", "json")
    paths = [str(folder / f"{arm}_{number}.{suffix}") for suffix in names]
    train_round(
        parent, shards["training"], shards["validation"], *paths,
        arm=arm, number=number, config=config[arm], of_rounds=12, epochs=epochs,
        parent_config=config["clean" if number == 1 else arm],
        checkpoints=str(folder / "checkpoints"), **COMMON,
    )  # fmt: skip
    return paths


def test_the_card_in_the_model_says_what_it_was_trained_with(base, shards, config):
    card = read_card(base[0])
    beside = read_json(base[2])
    assert {k: beside[k] for k in card} == card
    assert beside["model_sha256"] == file_digest(base[0])
    assert card["features"] == config["clean"]["features"]
    assert card["parent"] is None
    labels = pd.read_parquet(shards["training"][0])
    labels = np.stack(labels.loc[labels["centre"], "labels"])
    # Pitches 57, 58, 69 and 70 sound; each one's weight is n / 2 n1.
    active = np.asarray(card["loss_weights"]["active"])
    assert set(np.flatnonzero(active) + 37) == {57, 58, 69, 70}
    assert active[20] == pytest.approx(len(labels) / (2 * labels[:, 20].sum()))
    assert 0 < card["threshold_fitted"] < 1


def test_the_history_has_a_row_an_epoch(base):
    history = pd.read_parquet(base[1])
    assert list(history["epoch"]) == [1, 2]
    for subset in ("training", "validation"):
        p, r, f = (history[f"{subset}_{name}"] for name in ("precision", "recall", "f1"))
        expected = (2 * p * r / (p + r)).fillna(0)
        np.testing.assert_allclose(f, expected, atol=1e-9)
        assert (history[f"{subset}_loss"] > 0).all() and (history[f"{subset}_bce"] > 0).all()


@pytest.mark.parametrize(
    ("arm", "level", "status"), [("clean", 0.0, "none"), ("fixed", 0.34, "fixed"),
                                 ("augmented", 0.34, "fixed")],
)  # fmt: skip
def test_a_control_takes_its_level_from_the_config(
    tmp_path, base, shards, config, arm, level, status
):
    model, _, search, card_path = run_round(tmp_path, base[0], shards, config, arm)
    card = read_json(card_path)
    assert (card["level"], card["search_status"]) == (level, status)
    assert card["parent_digest"] == file_digest(base[0])
    assert pd.read_parquet(search).empty
    before = load_model(base[0]).network.get_weights()
    after = load_model(model).network.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_an_adversarial_round_begins_where_the_last_ended(tmp_path, base, shards, config):
    first = run_round(tmp_path, base[0], shards, config, "adversarial")
    second = run_round(tmp_path, first[0], shards, config, "adversarial", number=2)
    one, two = (read_json(paths[3]) for paths in (first, second))
    trace = pd.read_parquet(first[2])
    assert trace["level"].iloc[0] == config["adversarial"]["rounds"]["search"]["start_level"]
    assert pd.read_parquet(second[2])["level"].iloc[0] == pytest.approx(one["level"])
    increase = (trace["loss_noisy"] - trace["loss_clean"]) / trace["loss_clean"]
    np.testing.assert_allclose(trace["increase"], increase)
    assert list(pd.read_parquet(second[1])["epoch_in_chain"]) == [6, 7, 8]
    assert two["parent_digest"] == file_digest(first[0])


def test_a_control_repeats_the_number_of_epochs_it_is_given(tmp_path, base, shards, config):
    paths = run_round(tmp_path, base[0], shards, config, "clean", epochs=2)
    assert len(pd.read_parquet(paths[1])) == 2


def test_the_adversary_s_level_is_searched_as_that_of_noise_is(tmp_path, base, shards, config):
    _, history, search, _ = run_round(tmp_path, base[0], shards, config, "gradient")
    trace = pd.read_parquet(search)
    increase = (trace["loss_noisy"] - trace["loss_clean"]) / trace["loss_clean"]
    np.testing.assert_allclose(trace["increase"], increase)
    # At the level that is tried first it hurts more than random noise does.
    noise = pd.read_parquet(run_round(tmp_path, base[0], shards, config, "adversarial")[2])
    assert trace["level"].iloc[0] == noise["level"].iloc[0]
    assert trace["increase"].iloc[0] > 2 * abs(noise["increase"].iloc[0])
    assert (pd.read_parquet(history)["validation_loss"] > 0).all()


def test_a_search_relative_to_the_round_before_compares_with_its_level(
    tmp_path, base, shards, config
):
    first = run_round(tmp_path, base[0], shards, config, "previous")
    second = run_round(tmp_path, first[0], shards, config, "previous", number=2)
    trace = pd.read_parquet(second[2])
    # The level tried first is that of the round before: nothing harder than itself.
    assert trace["level"].iloc[0] == pytest.approx(read_json(first[3])["level"])
    assert trace["increase"].iloc[0] == pytest.approx(0, abs=1e-9)
    assert trace["verdict"].iloc[0] == "too_easy"


def test_an_arm_with_another_input_or_dropout_goes_on_from_the_base_s_weights(
    tmp_path, base, shards, config
):
    start = load_model(base[0]).network
    for arm, layers in (("median_trained", 1), ("regularised", 0)):
        paths = run_round(tmp_path, base[0], shards, config, arm, epochs=1)
        network = load_model(paths[0]).network
        assert len(network.layers) == len(start.layers) + layers
        for before, after in zip(start.get_weights(), network.get_weights(), strict=True):
            # One epoch from there, not from new weights.
            assert np.linalg.norm(after - before) < 0.5 * np.linalg.norm(before) + 0.5
        steps = float(start.optimizer.iterations)
        assert float(network.optimizer.iterations) > steps > 0
        second = run_round(tmp_path, paths[0], shards, config, arm, number=2, epochs=1)
        again = load_model(second[0]).network
        assert len(again.layers) == len(network.layers)
    rates = [layer.rate for layer in again.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.3, 0.3, 0.5, 0.5]
    assert again.optimizer.weight_decay == 0.01


def test_two_runs_write_the_same_bytes(tmp_path, base, shards, config):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = [
        run_round(tmp_path / name, base[0], shards, config, "augmented")[0]
        for name in ("one", "two")
    ]
    assert file_digest(made[0]) == file_digest(made[1])


def test_a_pitch_that_never_sounds_is_told(base, shards, config, tmp_path, caplog, monkeypatch):
    logger = logging.getLogger("at4ramt")
    monkeypatch.setattr(logger, "propagate", True)
    paths = [str(tmp_path / f"again.{suffix}") for suffix in ("keras", "h.parquet", "json")]
    train_base(
        shards["training"], shards["validation"], *paths,
        config=config["clean"], checkpoints=str(tmp_path / "checkpoints"), **COMMON,
    )  # fmt: skip
    assert "MIDI pitches 37, 38" in caplog.text
    assert "never sound in the training split" in caplog.text


def test_a_model_that_does_not_fit_is_refused(base, tmp_path, config):
    with pytest.raises(InputError, match=r"trained on other features: pitches 56 \(here 28\)"):
        load_model(base[0], config["clean"]["features"] | {"pitches": 28})
    with pytest.raises(InputError, match=r"no such model; run snakemake"):
        load_model(tmp_path / "missing.keras")
    half = tmp_path / "half.keras"
    half.write_bytes(Path(base[0]).read_bytes()[:5000])
    with pytest.raises(InputError, match=r"half\.keras: not a model of this workflow"):
        load_model(half)


RESUMED = """
import json, sys
from at4ramt.logs import start_log
start_log("job.log", "test")
from at4ramt.training.jobs import train_round
arguments = json.loads(sys.argv[1])
train_round(*arguments["paths"], **arguments["named"])
"""


@pytest.mark.parametrize(("number", "status"), [("USR2", 140), ("TERM", 143), ("KILL", -9)])
def test_a_killed_job_goes_on_and_writes_the_same_model(
    tmp_path, root, base, shards, config, number, status
):
    """The job is killed as a queue does it, from outside, and called again."""
    whole = run_round(tmp_path, base[0], shards, config, "adversarial")
    names = ("keras", "history.parquet", "search.parquet", "json")
    paths = [str(tmp_path / f"killed.{suffix}") for suffix in names]
    named = COMMON | {
        "arm": "adversarial", "number": 1, "config": config["adversarial"],
        "parent_config": config["clean"],
        "of_rounds": 12, "epochs": None,
        "checkpoints": str(tmp_path / "kept" / "round_01"),
    }  # fmt: skip
    arguments = {
        "paths": [base[0], shards["training"], shards["validation"], *paths],
        "named": named,
    }
    environment = os.environ | {
        "PYTHONPATH": str(root / "workflow"),
        "AT4RAMT_CHECKPOINT_SECONDS": "0",
    }
    job = [sys.executable, "-c", RESUMED, json.dumps(arguments)]
    log = tmp_path / "job.log"
    with subprocess.Popen(job, cwd=tmp_path, env=environment) as process:
        while process.poll() is None and "epoch 1/3:" not in (
            log.read_text() if log.exists() else ""
        ):
            time.sleep(0.01)
        process.send_signal(getattr(signal, f"SIG{number}"))
        assert process.wait(60) == status
    assert not any(Path(path).exists() for path in paths)
    if number != "KILL":
        assert f"SIG{number} in epoch" in log.read_text()
    subprocess.run(job, cwd=tmp_path, env=environment, check=True)
    assert "going on from the checkpoint" in log.read_text()
    assert "found before the interruption" in log.read_text()
    assert file_digest(paths[0]) == file_digest(whole[0])
    timed = ["seconds", "windows_per_second"]
    histories = [pd.read_parquet(each[1]).drop(columns=timed) for each in (paths, whole)]
    pd.testing.assert_frame_equal(*histories)
    assert read_json(paths[3])["resumed"] == 1
    assert not (tmp_path / "kept").exists()


def test_an_arm_from_scratch_is_trained_as_its_row_says(tmp_path, shards, demo_config, monkeypatch):
    tiny = EquivariantSize(
        step=2, front=4, front_kernel=(3, 7), channels=6, summary=4, dilations=(1, 2),
        summarised=(0,), related=2,
    )  # fmt: skip
    monkeypatch.setitem(NETWORKS, "equivariant", tiny)
    settings = copy.deepcopy(demo_config)
    settings["rounds"] |= {"epochs": 3, "patience_epochs": 3, "keep": "last"}
    settings["training"] |= {
        "segment_frames": 16, "batch_segments": 2, "schedule": "cosine", "warmup_share": 0.2,
        "weight_decay": 0.001, "clip_norm": 1.0, "loss": "plain", "positive_weight": 2.0,
        "centres": "all", "validation_epochs": 2, "threshold": "noisy",
    }  # fmt: skip
    settings["arms"]["robust"] = {
        "noise": "audio_white", "level": "decibels", "snr_db": [-10, 30], "clean_share": 0.2,
        "start": "scratch", "network": {"name": "equivariant"},
        "training": {"transpose_pitches": 2, "gain_db": 6.0, "equaliser_db": 3.0},
    }  # fmt: skip
    pool = str(tmp_path / "white.npz")
    made_with = {"features": settings["features"], "frame_step": 2, "noise_seed": 0}
    make_pool("white", pool, config=made_with, seconds=12.0)
    names = ("keras", "history.parquet", "search.parquet", "json")
    paths = [str(tmp_path / f"robust.{suffix}") for suffix in names]
    train_round(
        None, shards["training"], shards["validation"], *paths,
        arm="robust", number=1, config=training_config(settings, 1, "robust"), of_rounds=1,
        parent_config={}, pools=[pool], pools_made_with=made_with,
        checkpoints=str(tmp_path / "checkpoints"), **COMMON,
    )  # fmt: skip
    card, stored = read_json(paths[3]), load_model(paths[0])
    assert card["level"] == pytest.approx(10**0.5) and card["search_status"] == "fixed"
    assert card["parent"] is None and card["epochs_before"] == 0
    assert card["network"]["name"] == "equivariant" and card["config"]["training"]["gain_db"] == 6.0
    window = 3 + 2 * 2 * (1 + 1 + 2)
    assert card["context_frames"] == window == context_frames(stored.network)
    assert set(card["loss_weights"]["active"]) == {2.0}
    assert set(card["loss_weights"]["inactive"]) == {1.0}
    history = pd.read_parquet(paths[1])
    # A validation after every second epoch and after the last.
    assert history["validation_f1"].isna().tolist() == [True, False, False]
    assert history["learning_rate"].is_monotonic_decreasing
    assert history["learning_rate"].iloc[-1] < 0.2 * settings["training"]["learning_rate"]
    # Of the frames that are all centres, every second is trained on.
    table = pd.read_parquet(shards["training"][0])
    frames = len(table)
    assert history["windows_per_second"].iloc[0] * history["seconds"].iloc[0] == pytest.approx(
        frames
    )
