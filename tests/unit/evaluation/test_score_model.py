"""Scores of a model, against windows gathered and counted one by one."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation.collect import collect_table
from at4ramt.evaluation.score_model import (
    OFFSETS,
    Condition,
    Piece,
    conditions,
    remove_offset,
    score_model,
    uniform,
)
from at4ramt.evaluation.tables import read_scores
from at4ramt.files import file_digest, write_json
from at4ramt.seeds import purpose_seed
from at4ramt.training.adversary import perturb_rows
from at4ramt.training.backend import start_backend
from at4ramt.training.losses import loss_weights
from at4ramt.training.noise import EVALUATION_POOL, unit_noise

EVALUATION = {
    "levels": [0.0, 0.1, 0.34],
    "noises": ["gaussian", "gradient"],
    "noise_levels": [0.2],
    "octaves_level": 0.34,
    "splits": ["test"],
}
TABLES = ("scores", "scores_all_frames", "frame_metrics", "confusion")
THRESHOLD = 0.52


@pytest.fixture(scope="module")
def scored(tmp_path_factory, write_shard, demo_config):
    """A base model with random weights, the shard it was scored on, and the tables."""
    folder = tmp_path_factory.mktemp("scored")
    shard = write_shard(folder / "test" / "I.parquet", ["first", "second"])

    start_backend(1, 0)
    from at4ramt.training.jobs import _adam
    from at4ramt.training.model_file import save_model
    from at4ramt.training.network import build_network

    network = build_network(
        "small", bins=168, pitches=56, input_scale=10.0,
        dropout_convolution=0.0, dropout_dense=0.0, seed=4,
    )  # fmt: skip
    optimizer = _adam(0.001)
    optimizer.build(network.trainable_variables)
    weights = loss_weights("per_pitch", np.arange(56), 100, cap=50)
    card = {
        "arm": "base", "seed": 3, "round": 0, "threshold_fitted": THRESHOLD, "context_frames": 7,
        "features": demo_config["features"],
        "loss_weights": {"active": weights.active.tolist(), "inactive": weights.inactive.tolist()},
        "config": {},
    }  # fmt: skip
    save_model(folder / "model.keras", network, optimizer, card)
    outputs = {name: str(folder / f"{name}.parquet") for name in TABLES}
    score_model(
        str(folder / "model.keras"), {"test": [shard]}, outputs,
        config=made_with(demo_config), shard_settings=demo_config["shards"], further=True,
        threads=1,
    )  # fmt: skip
    return network, weights, pd.read_parquet(shard), outputs


def made_with(config):
    return {"features": config["features"], "evaluation": EVALUATION, "maximum_level": 0.34}


def by_hand(network, table, piece, level, offset, noise="uniform", bins=slice(None)):
    """Probability and logit of each kept frame, from its own window of 7 rows."""
    rows = table[table["piece"] == piece]
    complex_cqt = np.stack(rows["real"]).astype(np.float64) + 1j * np.stack(rows["imag"])
    magnitudes = np.abs(complex_cqt)[:, 12:180].astype(np.float32)
    silence = np.zeros((3, 168), np.float32)
    padded = np.concatenate([silence, magnitudes, silence])
    seed = purpose_seed(3, "evaluation noise", piece)
    drawn = unit_noise(noise, seed, np.arange(len(padded)), 168, pool=EVALUATION_POOL)
    heard = padded.copy()
    heard[:, bins] += np.float32(level) * drawn[:, bins]
    if offset:
        heard = heard - np.median(heard, axis=1, keepdims=True)
    windows = np.stack([heard[i : i + 7] for i in range(len(rows))])
    logits = network.predict_on_batch(windows)[:, 0].astype(np.float64)
    return rows, 1 / (1 + np.exp(-logits)), logits


@pytest.mark.parametrize("piece", ["first", "second"])
@pytest.mark.parametrize("level", [0.0, 0.34])
@pytest.mark.parametrize("arm", ["base", "offset_removed"])
def test_counts_and_losses_are_those_of_the_windows(scored, piece, level, arm):
    network, weights, table, outputs = scored
    rows, probability, logits = by_hand(network, table, piece, level, arm == "offset_removed")
    truth = np.stack(rows["labels"]).astype(bool)
    for name, chosen in (
        ("scores", rows["centre"].to_numpy()),
        ("scores_all_frames", np.ones(len(rows), bool)),
    ):
        found = pd.read_parquet(outputs[name])
        found = found[(found["piece"] == piece) & (found["arm"] == arm) & (found["level"] == level)]
        found = found[found["noise"].isin(["none", "uniform"])]
        for kind, threshold in (("half", 0.5), ("fitted", THRESHOLD)):
            part = found[found["threshold_kind"] == kind].set_index("pitch")
            assert len(part) == 56 and (part["threshold"] == threshold).all()
            for pitch in (37, 60, 69, 92):
                is_active = truth[chosen, pitch - 37]
                said = probability[chosen, pitch - 37] >= threshold
                expected = [
                    (is_active & said).sum(), (~is_active & said).sum(),
                    (is_active & ~said).sum(), (~is_active & ~said).sum(),
                ]  # fmt: skip
                # A probability on the edge may fall to either side in single precision.
                edge = (abs(probability[chosen, pitch - 37] - threshold) < 1e-6).sum()
                counts = part.loc[pitch, ["tp", "fp", "fn", "tn"]].to_numpy(int)
                assert abs(counts - expected).sum() <= 2 * edge
                z = logits[chosen, pitch - 37]
                bce = np.logaddexp(0, np.where(is_active, -z, z))
                pair = weights.active[pitch - 37], weights.inactive[pitch - 37]
                assert part.loc[pitch, "bce_sum"] == pytest.approx(bce.sum(), rel=1e-4)
                weighted = (bce * np.where(is_active, *pair)).sum()
                assert part.loc[pitch, "loss_sum"] == pytest.approx(weighted, rel=1e-4)


@pytest.mark.parametrize("arm", ["base", "mean_removed", "offset_removed"])
def test_each_is_attacked_as_it_hears(scored, arm):
    network, weights, table, outputs = scored
    rows = table[table["piece"] == "first"]
    magnitudes = np.abs(np.stack(rows["real"]) + 1j * np.stack(rows["imag"]))[:, 12:180]
    truth = np.stack(rows["labels"]).astype(np.uint8)
    centre = rows["centre"].to_numpy()
    around = ((3, 3), (0, 0))
    attacked = perturb_rows(
        network, np.pad(magnitudes.astype(np.float32), around), np.pad(truth, around),
        np.pad(centre, 3), weights, 0.2, median_removed=arm == "offset_removed",
    )  # fmt: skip
    if arm == "offset_removed":
        attacked = attacked - np.median(attacked, axis=1, keepdims=True)
    windows = np.stack([attacked[i : i + 7] for i in range(len(rows))])[centre]
    logits = network.predict_on_batch(windows)[:, 0]
    expected = np.logaddexp(0, np.where(truth[centre] > 0, -logits, logits)).sum(axis=0)
    found = pd.read_parquet(outputs["scores"])
    found = found[(found["piece"] == "first") & (found["noise"] == "gradient")]
    found = found[(found["arm"] == arm) & (found["threshold_kind"] == "half")]
    np.testing.assert_allclose(found["bce_sum"], expected, rtol=1e-4)


def test_coloured_noise_that_is_scored_in_is_none_that_can_be_trained_in():
    rows = np.arange(20)
    nothing = np.zeros((20, 1), bool)
    piece = Piece("piece", "piano", "test", np.zeros((20, 168), np.float32), 7, nothing,
                  nothing[:, 0], rows.astype(np.int32))  # fmt: skip
    drawn = piece.noise("pink")
    np.testing.assert_array_equal(drawn, unit_noise("pink", 7, rows, 168, pool=EVALUATION_POOL))
    assert not np.array_equal(drawn, unit_noise("pink", 7, rows, 168))


def test_every_condition_is_there_once(scored):
    _, _, table, outputs = scored
    scores = pd.read_parquet(outputs["scores"])
    key = ["arm", "piece", "noise", "level", "threshold_kind", "pitch"]
    assert not scores.duplicated(key).any()
    octaves = {f"uniform_octave_{octave}" for octave in range(1, 6)}
    found = set(zip(scores["noise"], scores["level"], strict=True))
    assert found == {
        ("none", 0.0), ("uniform", 0.1), ("uniform", 0.34), ("gaussian", 0.2), ("gradient", 0.2),
        *((octave, 0.34) for octave in octaves),
    }  # fmt: skip
    assert set(scores["arm"]) == {"base", *OFFSETS}
    assert len(scores) == 3 * 2 * len(found) * 2 * 56
    whole = pd.read_parquet(outputs["scores_all_frames"])
    assert set(whole["noise"]) == {"none", "uniform"}
    centres = table.groupby("piece", observed=True)["centre"].sum()
    assert (scores["frames"] == scores["piece"].map(centres)).all()


def test_confusion_and_frame_sums_agree_with_the_scores(scored):
    scores, frames, confusion = (
        pd.read_parquet(scored[3][name]) for name in ("scores", "frame_metrics", "confusion")
    )
    key = ["arm", "level", "threshold_kind"]
    scores = scores[scores["noise"].isin(["none", "uniform"])]
    sums = scores.groupby(key)[["tp", "fp", "fn"]].sum()
    errors = frames.groupby(key)[["e_sub", "e_miss", "e_fa", "n_ref"]].sum()
    assert (sums["tp"] + sums["fn"] == errors["n_ref"]).all()
    assert (sums["fn"] == errors["e_sub"] + errors["e_miss"]).all()
    assert (sums["fp"] == errors["e_sub"] + errors["e_fa"]).all()
    confusion = confusion[confusion["true_pitch"] > 0]
    hits = confusion[confusion["true_pitch"] == confusion["predicted_pitch"]]
    for condition, mass in hits.groupby(key)["mass"].sum().items():
        assert mass == sums.loc[condition, "tp"]
    for condition, mass in confusion.groupby(key)["mass"].sum().items():
        assert mass == pytest.approx(errors.loc[condition, "n_ref"])


def test_collected_parts_are_a_scores_table(scored, demo_config, tmp_path):
    card, collected = tmp_path / "model.json", str(tmp_path / "scores.parquet")
    part = scored[3]["scores"]
    model = Path(part).with_name("model.keras")
    write_json(card, {"model_sha256": file_digest(model)})
    collect_table([part], [str(card)], collected, made_with=made_with(demo_config))
    assert len(read_scores(collected)) == len(pd.read_parquet(part))

    other = copy.deepcopy(made_with(demo_config))
    other["evaluation"]["octaves_level"] = 0.2
    told = r"was made with evaluation\.octaves_level 0\.34 \(now 0\.2\)"
    with pytest.raises(InputError, match=told):
        collect_table([part], [str(card)], collected, made_with=other)
    write_json(card, {"model_sha256": "another model's"})
    with pytest.raises(InputError, match=r"not made from the \S+model\.keras that is there"):
        collect_table([part], [str(card)], collected, made_with=made_with(demo_config))


def test_an_offset_is_taken_off_each_frame():
    frames = np.array([[0.1, 0.2, 0.6], [1.0, 1.0, 4.0]], np.float32)
    np.testing.assert_allclose(
        remove_offset(frames, "median", uniform(0.34)), [[-0.1, 0, 0.4], [0, 0, 3]], atol=1e-7
    )
    np.testing.assert_allclose(remove_offset(frames, "mean", uniform(0.4)), frames - 0.2, atol=1e-7)
    in_part = Condition("part", 0.4, "uniform", (1, 2))
    np.testing.assert_allclose(
        remove_offset(frames, "mean", in_part), frames - [0, 0.2, 0], atol=1e-7
    )
    without_offset = Condition("gaussian", 0.4, "gaussian")
    np.testing.assert_array_equal(remove_offset(frames, "mean", without_offset), frames)
    assert remove_offset(frames, "none", uniform(0.4)) is frames


@pytest.mark.parametrize(
    ("name", "level", "kind", "bins"),
    [
        ("gaussian", 0.2, "gaussian", slice(None)),
        ("uniform_octave_2", 0.34, "uniform", slice(36, 72)),
        ("uniform_octave_5", 0.34, "uniform", slice(144, 168)),
    ],
)
def test_further_noise_is_counted_as_the_windows_say(scored, name, level, kind, bins):
    network, _, table, outputs = scored
    rows, probability, _ = by_hand(network, table, "first", level, False, kind, bins)
    truth = np.stack(rows["labels"]).astype(bool)[rows["centre"].to_numpy()]
    said = probability[rows["centre"].to_numpy()] >= 0.5
    found = pd.read_parquet(outputs["scores"])
    found = found[(found["piece"] == "first") & (found["arm"] == "base") & (found["noise"] == name)]
    found = found[found["threshold_kind"] == "half"].sort_values("pitch")
    assert set(found["level"]) == {level}
    edge = (abs(probability - 0.5) < 1e-6).sum()
    assert abs(found["tp"].to_numpy() - (truth & said).sum(axis=0)).sum() <= edge
    assert abs(found["fp"].to_numpy() - (~truth & said).sum(axis=0)).sum() <= edge


def test_the_adversary_hurts_more_than_noise_of_the_same_mean_magnitude(scored):
    scores = pd.read_parquet(scored[3]["scores"])
    base = scores[(scores["arm"] == "base") & (scores["threshold_kind"] == "half")]
    loss = base.groupby(["noise", "level"])["loss_sum"].sum()
    assert loss["gradient", 0.2] > loss["uniform", 0.34] > loss["none", 0.0]


def test_a_model_within_its_rounds_hears_the_paper_s_noise_alone(demo_config):
    features = demo_config["features"]
    heard = conditions(EVALUATION, features, further=False)
    assert [(each.noise, each.level) for each in heard] == [
        ("none", 0.0), ("uniform", 0.1), ("uniform", 0.34)
    ]  # fmt: skip
    octaves = conditions(EVALUATION, features, further=True)[-5:]
    covered = [bin_ for each in octaves for bin_ in range(168)[each.where]]
    assert covered == list(range(168))
