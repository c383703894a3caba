"""Derived tables against sums made by hand, and the errors of an inconsistent table."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation import tables
from at4ramt.evaluation.bootstrap import resample

PITCHES = 4
MODELS = [("base", 0), ("offset_removed", 0), ("adversarial", 1), ("adversarial", 2)]
PIECES = {"validation": ["v0", "v1"], "test": ["a", "b", "c"], "test_unseen_piano": ["x", "y"]}


def make_scores(seeds=(0, 1), levels=(0.0, 0.1, 0.34)) -> pd.DataFrame:
    generator = np.random.default_rng(6)
    rows = []
    for (arm, turn), seed, split, level in itertools.product(MODELS, seeds, PIECES, levels):
        for piece, pitch in itertools.product(PIECES[split], range(37, 37 + PITCHES)):
            loss = generator.random(2) * 300
            for kind in ("half", "fitted"):
                tp, fp, fn = generator.integers(1, 100, 3)
                rows.append(
                    {
                        "arm": arm,
                        "seed": seed,
                        "round": turn,
                        "split": split,
                        "instrument": f"piano_{piece}",
                        "piece": piece,
                        "noise": "uniform" if level else "none",
                        "level": level,
                        "threshold_kind": kind,
                        "threshold": 0.5 if kind == "half" else 0.7,
                        "pitch": pitch,
                        "tp": tp,
                        "fp": fp,
                        "fn": fn,
                        "tn": 400 - tp - fp - fn,
                        "loss_sum": loss[0],
                        "bce_sum": loss[1],
                        "frames": 400,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return tables.check_scores(make_scores())


def f1_of(rows: pd.DataFrame) -> float:
    hit = int(rows["tp"].sum())
    return 2 * hit / (2 * hit + int(rows["fp"].sum()) + int(rows["fn"].sum()))


BY = ["arm", "seed", "round", "split", "noise", "level", "threshold_kind"]


def test_aggregate_by_hand(scores: pd.DataFrame) -> None:
    found = tables.aggregate(scores, BY)
    assert len(found) == len(MODELS) * 2 * 3 * 3 * 2
    row = found[
        (found["arm"] == "adversarial")
        & (found["round"] == 2)
        & (found["seed"] == 1)
        & (found["split"] == "test")
        & (found["level"] == 0.34)
        & (found["threshold_kind"] == "fitted")
    ].iloc[0]
    part = scores.query(
        "arm == 'adversarial' and round == 2 and seed == 1 and split == 'test' and level == 0.34"
        " and threshold_kind == 'fitted'"
    )
    hit, false, missed = (part[name].sum() for name in ("tp", "fp", "fn"))
    assert row["precision"] == pytest.approx(hit / (hit + false))
    assert row["recall"] == pytest.approx(hit / (hit + missed))
    assert row["f1"] == pytest.approx(f1_of(part))
    assert row["cells"] == part["frames"].sum()
    assert row["loss"] == pytest.approx(part["loss_sum"].sum() / part["frames"].sum())
    assert row["bce"] == pytest.approx(part["bce_sum"].sum() / part["frames"].sum())
    by_pitch = [rows for _, rows in part.groupby("pitch")]
    assert row["mean_pitch_f1"] == pytest.approx(np.mean([f1_of(rows) for rows in by_pitch]))
    p = np.mean([r["tp"].sum() / (r["tp"].sum() + r["fp"].sum()) for r in by_pitch])
    r = np.mean([r["tp"].sum() / (r["tp"].sum() + r["fn"].sum()) for r in by_pitch])
    assert row["macro_f1"] == pytest.approx(2 * p * r / (p + r))
    assert row["pieces"] == 3


def test_aggregate_by_pitch_and_without_groups(scores: pd.DataFrame) -> None:
    found = tables.aggregate(scores, [*BY, "pitch"])
    np.testing.assert_allclose(found["f1"], found["mean_pitch_f1"])
    one = scores[(scores[BY[:3]] == ["base", 0, 0]).all(axis=1)]
    one = one[(one["level"] == 0) & (one["threshold_kind"] == "half") & (one["split"] == "test")]
    whole = tables.aggregate(one, [])
    assert len(whole) == 1
    assert whole["f1"].iloc[0] == pytest.approx(f1_of(one))
    assert "_all" not in whole.columns


def test_aggregate_refuses_to_mix(scores: pd.DataFrame) -> None:
    for left_out in ("seed", "round", "level", "threshold_kind", "arm"):
        with pytest.raises(InputError, match=f"values of '{left_out}'"):
            tables.aggregate(scores, [name for name in BY if name != left_out])


def test_aggregate_frames(scores: pd.DataFrame) -> None:
    frames = pd.DataFrame(
        {
            **{c: scores[c].iloc[:1].repeat(2).to_numpy() for c in tables.frame_metrics_schema
               if c in scores.columns},
            "piece": ["a", "b"],
            "frames": [10, 30],
            "frame_f1_sum": [8.0, 12.0],
            "e_sub": [1, 2],
            "e_miss": [3, 0],
            "e_fa": [0, 4],
            "n_ref": [20, 30],
        }
    )  # fmt: skip
    found = tables.aggregate_frames(frames, ["arm", "level"]).iloc[0]
    assert found["mean_frame_f1"] == pytest.approx(20 / 40)
    assert found[["e_sub", "e_miss", "e_fa", "e_tot"]].tolist() == pytest.approx(
        [3 / 50, 3 / 50, 4 / 50, 10 / 50]
    )
    silent = tables.aggregate_frames(frames.assign(n_ref=0), ["arm"]).iloc[0]
    assert np.isnan(silent["e_sub"]) and np.isnan(silent["e_tot"])


def test_headline_is_recomputed_from_the_scores(scores: pd.DataFrame) -> None:
    found = tables.headline(scores, draws=80, base_seed=3)
    assert list(found["split"].unique()) == ["test", "test_unseen_piano"]
    assert list(found["arm"].unique()) == ["base", "offset_removed", "adversarial"]
    assert found.set_index("arm")["round"].to_dict() == {
        "base": 0,
        "offset_removed": 0,
        "adversarial": 2,
    }
    assert len(found) == 2 * 3 * 3

    def mean_f1(arm: str, split: str, level: float, kind: str, weight=None) -> float:
        turn = 2 if arm == "adversarial" else 0
        part = scores[
            (scores["arm"] == arm)
            & (scores["round"] == turn)
            & (scores["split"] == split)
            & (scores["level"] == level)
            & (scores["threshold_kind"] == kind)
        ]
        if weight is not None:
            times = part["piece"].map(weight)
            part = part.assign(**{c: part[c] * times for c in ("tp", "fp", "fn")})
        return float(np.mean([f1_of(rows) for _, rows in part.groupby("seed")]))

    for _, row in found.iterrows():
        arm, split, level = row["arm"], row["split"], row["level"]
        assert (row["seeds"], row["pieces"]) == (2, len(PIECES[split]))
        for kind in ("half", "fitted"):
            f1 = mean_f1(arm, split, level, kind)
            assert row[f"f1_{kind}"] == pytest.approx(f1)
            gain = f1 - mean_f1("base", split, level, kind)
            assert row[f"gain_{kind}"] == pytest.approx(gain, abs=1e-12)
            cost = mean_f1(arm, split, 0.0, kind) - mean_f1("base", split, 0.0, kind)
            assert row[f"clean_cost_{kind}"] == pytest.approx(cost, abs=1e-12)
    row = found.query("arm == 'adversarial' and split == 'test' and level == 0.34").iloc[0]
    part = scores.query(
        "arm == 'adversarial' and round == 2 and split == 'test' and level == 0.34"
        " and threshold_kind == 'half'"
    )
    losses = [rows["loss_sum"].sum() / rows["frames"].sum() for _, rows in part.groupby("seed")]
    assert row["loss"] == pytest.approx(np.mean(losses))
    assert row["loss_std"] == pytest.approx(np.std(losses, ddof=1))
    drawn = resample(["a", "b", "c"], 80, 3)
    weights = [dict(zip("abc", times, strict=True)) for times in drawn]
    cost = [
        mean_f1("adversarial", "test", 0.0, "half", weight)
        - mean_f1("base", "test", 0.0, "half", weight)
        for weight in weights
    ]
    assert [row["clean_cost_half_low"], row["clean_cost_half_high"]] == pytest.approx(
        np.percentile(cost, [2.5, 97.5])
    )


def test_headline_agrees_with_aggregate(scores: pd.DataFrame) -> None:
    found = tables.headline(scores, draws=5).set_index(["split", "arm", "level"])
    whole = tables.aggregate(tables.last_rounds(scores), BY)
    whole = whole[whole["threshold_kind"] == "fitted"]
    means = whole.groupby(["split", "arm", "level"])[["f1", "loss", "bce"]].mean()
    means = means.loc[found.index]
    np.testing.assert_allclose(found["f1_fitted"], means["f1"])
    np.testing.assert_allclose(found[["loss", "bce"]], means[["loss", "bce"]])


def test_headline_with_one_threshold_and_one_seed(scores: pd.DataFrame) -> None:
    some = scores[(scores["threshold_kind"] == "half") & (scores["seed"] == 0)]
    found = tables.headline(some, draws=5)
    assert not [column for column in found.columns if "fitted" in column]
    assert found["f1_half_std"].isna().all()
    assert found["f1_half_low"].notna().all()


def test_headline_leaves_out_other_noise(scores: pd.DataFrame) -> None:
    audio = scores[scores["level"] == 0.1].assign(noise="audio_white", level=0.0)
    found = tables.headline(pd.concat([scores, audio]), draws=5)
    pd.testing.assert_frame_equal(found, tables.headline(scores, draws=5))


def test_headline_needs_what_it_compares(scores: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no 'base'"):
        tables.headline(scores[scores["arm"] != "base"], draws=5)
    with pytest.raises(InputError, match="no rows for splits"):
        tables.headline(scores, splits=["tset"], draws=5)
    lacking = scores[~((scores["round"] == 2) & (scores["seed"] == 1))]
    with pytest.raises(InputError, match=r"arm 'adversarial': seeds \[1\] have no round 2"):
        tables.headline(lacking, draws=5)


def test_file_and_back(scores: pd.DataFrame, tmp_path) -> None:
    path, other = tmp_path / "scores.parquet", tmp_path / "other.parquet"
    tables.write_scores(scores, path)
    back = tables.read_scores(path)
    assert {column: str(dtype) for column, dtype in back.dtypes.items()} == tables.scores_schema
    order = [*BY[:4], "piece", *BY[4:], "pitch"]
    pd.testing.assert_frame_equal(
        back.sort_values(order, ignore_index=True), scores.sort_values(order, ignore_index=True)
    )
    # neither row order, nor categories, nor narrow integers reach the file
    shuffled = scores.sample(frac=1, random_state=0).astype(
        {"arm": "category", "pitch": "int16", "tp": "float64"}
    )
    tables.write_scores(shuffled, other)
    assert path.read_bytes() == other.read_bytes()


def change(column: str, value: object):
    def apply(scores: pd.DataFrame) -> pd.DataFrame:
        values = scores[column].astype(object).copy()
        values.iloc[3] = value
        return scores.assign(**{column: values})

    return apply


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s.drop(columns="level"), "no column 'level'"),
        (lambda s: s.rename(columns={"pitch": "pich"}), "no column 'pitch'.*Did you mean 'pich'"),
        (lambda s: s.assign(extra=1), r"unknown columns \['extra'\]"),
        (change("loss_sum", np.nan), "row 3, column 'loss_sum': no value"),
        (change("loss_sum", np.inf), "row 3.*finite losses"),
        (change("bce_sum", -1.0), "row 3.*not negative"),
        (change("tp", 1.5), "column 'tp'.*expected int64"),
        (change("tp", 5000), "row 3.*sum to frames"),
        (change("pitch", "C4"), "column 'pitch'.*expected int64"),
        (change("threshold_kind", "best"), "row 3.*threshold_kind"),
        (change("level", 0.1), "row 3.*level 0"),
        (lambda s: pd.concat([s, s.iloc[:1]], ignore_index=True), r"row \d+.*one row for each"),
    ],
)
def test_an_inconsistent_table_is_named(scores: pd.DataFrame, spoil, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tables.check_scores(spoil(scores))


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet: no such file"):
        tables.read_scores(tmp_path / "nowhere.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match=r"torn\.parquet: cannot be read"):
        tables.read_scores(tmp_path / "torn.parquet")
