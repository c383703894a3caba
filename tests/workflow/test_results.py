"""What a run leaves behind: tables that agree with each other, logs, and the same again."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from at4ramt.files import file_digest

PROMISED = [
    "arm", "seed", "round", "split", "instrument", "piece", "noise", "level", "threshold_kind",
    "threshold", "pitch", "tp", "fp", "fn", "tn", "loss_sum", "bce_sum", "frames",
]  # fmt: skip
ARMS = ["adversarial", "augmented", "clean", "fixed", "gradient"]
FREE = ["offset_removed", "mean_removed"]
OCTAVES = [f"uniform_octave_{octave}" for octave in range(1, 6)]


@pytest.fixture(scope="module")
def results(small_run):
    return small_run.path / "results"


@pytest.fixture(scope="module")
def scores(results):
    return pd.read_parquet(results / "evaluation" / "scores.parquet")


def replace(path, content: bytes):
    path.unlink()
    path.write_bytes(content)


def test_the_scores_have_the_promised_columns_and_models(scores):
    assert list(scores.columns) == PROMISED
    assert set(scores["arm"]) == {*ARMS, *FREE, "base"}
    assert set(scores["split"]) == {"validation", "test", "test_unseen_piano"}
    rounds = scores.groupby("arm")["round"].unique().map(sorted).to_dict()
    assert rounds["base"] == rounds["offset_removed"] == rounds["mean_removed"] == [0]
    assert rounds["adversarial"] == [1, 2, 3]
    assert all(rounds[arm] == [3] for arm in ARMS if arm != "adversarial")
    # Further noise for what an arm ends with, and for the base.
    further = scores[scores["noise"].isin(["gaussian", *OCTAVES])]
    assert set(further["noise"]) == {"gaussian", *OCTAVES}
    assert set(further["level"]) == {0.34}
    assert set(further.loc[further["arm"] == "adversarial", "round"]) == {3}
    assert (scores[["tp", "fp", "fn", "tn"]].sum(axis=1) == scores["frames"]).all()


def test_the_headline_table_is_that_of_the_scores(results, scores):
    headline = pd.read_csv(results / "tables" / "headline.csv")
    assert len(headline) == 2 * 3 * (1 + len(FREE) + len(ARMS))
    for row in headline.itertuples():
        for kind, found in (("half", row.f1_half), ("fitted", row.f1_fitted)):
            part = scores[
                (scores["arm"] == row.arm) & (scores["round"] == row.round)
                & (scores["split"] == row.split) & (scores["threshold_kind"] == kind)
                & scores["noise"].isin(["none", "uniform"])
                & np.isclose(scores["level"], row.level)
            ]  # fmt: skip
            tp, fp, fn = (part[name].sum() for name in ("tp", "fp", "fn"))
            assert found == pytest.approx(2 * tp / max(2 * tp + fp + fn, 1), abs=1e-4)
        assert row.loss == pytest.approx(part["loss_sum"].sum() / part["frames"].sum(), rel=1e-4)


def test_the_summary_shows_the_headline_s_numbers(results):
    page = (results / "tables" / "summary.html").read_text(encoding="utf-8")
    headline = pd.read_csv(results / "tables" / "headline.csv")
    row = headline[(headline["arm"] == "base") & (headline["level"] == 0)].iloc[0]
    assert f"{row.f1_half:.3f}" in page


def test_each_model_has_its_history_level_and_trace(results):
    for arm in ARMS:
        parent = results / "models" / "base" / "seed_0.keras"
        for number in (1, 2, 3):
            stem = results / "models" / arm / "seed_0" / f"round_{number:02d}"
            card = json.loads(stem.with_suffix(".json").read_text())
            assert card["parent_digest"] == file_digest(parent)
            history = pd.read_parquet(stem.with_suffix(".history.parquet"))
            assert len(history) == card["epochs"] == 1
            trace = pd.read_parquet(stem.with_suffix(".search.parquet"))
            assert trace.empty == (arm not in ("adversarial", "gradient"))
            parent = stem.with_suffix(".keras")


def test_no_half_file_is_left(results):
    assert not [path for path in results.rglob(".*") if path.name != ".gitkeep"]


def test_every_training_log_tells_epochs_and_ends_well(small_run):
    logs = sorted((small_run.path / "logs" / "train_round").rglob("*.log"))
    assert len(logs) == 3 * len(ARMS)
    for log in logs:
        text = log.read_text()
        assert "epoch 1/1: loss" in text and "left at most" in text
        assert "Traceback" not in text


def test_the_same_seed_gives_the_same_scores(small_run, scores, linked_copy):
    # Everything from the features on is made again, in another folder.
    for made in ("features", "shards", "models", "evaluation"):
        shutil.rmtree(linked_copy.path / "results" / made)
    linked_copy.snakemake("evaluation")
    again = linked_copy.path / "results"
    first = small_run.path / "results"
    for name in ("evaluation/scores.parquet", "models/augmented/seed_0/round_03.keras"):
        assert file_digest(again / name) == file_digest(first / name)


def test_a_corrupt_shard_is_named_and_the_log_ends_with_the_traceback(linked_copy):
    shard = linked_copy.path / "results" / "shards" / "test" / "TimGM6mb.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    replace(shard, bytes(content))
    target = "results/evaluation/models/base/seed_0.scores.parquet"
    printed = linked_copy.snakemake("--force", target, fails=True)
    assert "ERROR: results/shards/test/TimGM6mb.parquet" in printed
    log = (linked_copy.path / "logs" / "evaluate_model" / "base" / "seed_0.log").read_text()
    assert "Traceback" in log
    assert log.rstrip().splitlines()[-1].startswith("at4ramt.errors.InputError: results/shards")


def test_a_truncated_recording_stops_before_any_training(linked_copy):
    name = "MAPS_MUS-entertainer-0_TimGM6mb"
    wav = linked_copy.path / "results" / "corpus" / "TimGM6mb" / "MUS" / f"{name}.wav"
    replace(wav, wav.read_bytes()[:200_000])
    printed = linked_copy.snakemake("base", fails=True)
    assert f"ERROR: results/corpus/TimGM6mb/MUS/{name}.wav" in printed
    assert "[train_base" not in printed
    assert not (linked_copy.path / "results" / "features" / f"{name}.parquet").exists()


def test_a_model_of_another_shape_is_refused_by_the_round_that_would_train_on_it(linked_copy):
    models = linked_copy.path / "results" / "models"
    replace(models / "base" / "seed_0.keras", b"PK no model")
    target = "results/models/clean/seed_0/round_01.keras"
    printed = linked_copy.snakemake("--force", target, fails=True)
    assert "ERROR: results/models/base/seed_0.keras: not a model of this workflow" in printed
