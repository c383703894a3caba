"""The summary says what the numbers say, and no more."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.evaluation.tables import headline, read_scores
from at4ramt.report import summary


@pytest.fixture(scope="module")
def scores(made_up_run: Path) -> pd.DataFrame:
    return read_scores(made_up_run / "results/evaluation/scores.parquet")


@pytest.fixture(scope="module")
def comparisons(scores: pd.DataFrame) -> list[summary.Comparison]:
    return summary.compare_arms(scores, level=0.34, draws=50, base_seed=0)


def pooled_f1(scores: pd.DataFrame, **wanted: object) -> float:
    """F1 from the counts, by the definition."""
    rows = scores
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    hit, false, missed = (int(rows[name].sum()) for name in ("tp", "fp", "fn"))
    precision, recall = hit / (hit + false), hit / (hit + missed)
    return 2 * precision * recall / (precision + recall)


ONE = summary.Comparison(
    question=1,
    split="test",
    level=0.34,
    threshold_kind="half",
    arm="adversarial",
    reference="base",
    f1_arm=0.45,
    f1_reference=0.23,
    difference=0.22,
    low=0.19,
    high=0.26,
    pieces=5,
    seeds=1,
)


def test_comparisons_are_those_of_the_counts(
    scores: pd.DataFrame, comparisons: list[summary.Comparison]
) -> None:
    assert len(comparisons) == 9 * 2 * 2
    for one in comparisons:
        keys = {"split": one.split, "level": one.level, "threshold_kind": one.threshold_kind}
        last = {
            arm: scores.loc[scores["arm"] == arm, "round"].max() for arm in (one.arm, one.reference)
        }
        f1 = {arm: pooled_f1(scores, arm=arm, round=last[arm], **keys) for arm in last}
        assert one.f1_arm == pytest.approx(f1[one.arm])
        assert one.f1_reference == pytest.approx(f1[one.reference])
        assert one.difference == pytest.approx(f1[one.arm] - f1[one.reference])
        assert one.low <= one.difference + 1e-9 and one.high >= one.difference - 1e-9


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.19, 0.26, "better"),
        (-0.26, -0.01, "worse"),
        (-0.01, 0.02, "none seen"),
        (0.0, 0.02, "none seen"),
        (-0.02, 0.0, "none seen"),
        (math.nan, math.nan, "no interval"),
    ],
)
def test_verdicts(low: float, high: float, verdict: str) -> None:
    one = replace(ONE, low=low, high=high, difference=(low + high) / 2)
    assert one.verdict == verdict
    said = summary.describe(one)
    assert ("no difference seen" in said) == (verdict == "none seen")
    assert ("better by" in said) == (verdict == "better")
    assert ("worse by" in said) == (verdict == "worse")
    assert ("no interval" in said) == (verdict == "no interval")


def test_description_holds_the_numbers() -> None:
    said = summary.describe(ONE)
    assert said == (
        "better by 0.220 (F1 0.450 against 0.230; 95 % interval of the difference +0.190 to +0.260)"
    )


def test_sentences_follow_the_verdicts(comparisons: list[summary.Comparison]) -> None:
    arms = {"base", "offset_removed", "clean", "augmented", "fixed", "adversarial"}
    answers = summary.find_sentences(comparisons, arms)
    assert sorted(answers) == [1, 2, 3]
    assert not any("not part of this run" in said for all_ in answers.values() for said in all_)
    # fixed and adversarial have the same quality at 0.34 in the made-up run
    fixed = next(
        said
        for said in answers[2]
        if said.startswith("Training at a fixed level") and "0.34" in said
    )
    assert "no difference seen" in fixed
    cost = next(said for said in answers[3] if "compared with the base" in said)
    assert "worse by" in cost and "better by" not in cost


def test_share_of_the_gain_is_the_ratio_of_the_differences() -> None:
    free = replace(ONE, arm="offset_removed", difference=0.11)
    said = summary._share_sentences([ONE, free])
    assert len(said) == 1 and "gives 50 % of" in said[0]
    # where no gain was seen there is nothing to share
    assert summary._share_sentences([replace(ONE, low=-0.1), free]) == []


def test_absent_arm_is_said_to_be_absent(scores: pd.DataFrame) -> None:
    less = scores[~scores["arm"].isin(["fixed", "offset_removed"])]
    found = summary.compare_arms(less, level=0.34, draws=5, base_seed=0)
    answers = summary.find_sentences(found, set(less["arm"]))
    assert "The arm 'fixed' was not part of this run, so nothing is said about it." in answers[2]
    assert any("'offset_removed' was not" in said for said in answers[1])
    assert not any("fixed level" in said for said in answers[2])


def test_expectations(scores: pd.DataFrame, comparisons: list[summary.Comparison]) -> None:
    table = summary.check_expectations(scores, comparisons, 0.34)
    assert len(table) == 4
    clean = pooled_f1(scores, arm="base", level=0.0, threshold_kind="fitted", split="test")
    assert table["found"].iloc[0] == pytest.approx(clean)
    for row in table.to_dict("records"):
        wanted = float(re.findall(r"\d\.\d\d", row["expectation"])[-1])
        assert row["holds"] == ("yes" if row["found"] >= wanted else "no")
    weak = summary.check_expectations(scores, [replace(ONE, difference=0.1)], 0.34)
    assert weak["holds"].tolist()[-1] == "no"


def test_headline_table_is_recomputed_from_the_counts(scores: pd.DataFrame) -> None:
    table = summary.short_headline(headline(scores, draws=2))
    assert list(table.columns) == [
        "split",
        "arm",
        "round",
        "level",
        "f1_half",
        "f1_fitted",
        "loss",
        "clean_cost_half",
        "clean_cost_fitted",
    ]
    assert len(table) == 2 * 6 * 7
    for row in table.sample(12, random_state=1).to_dict("records"):
        keys = {name: row[name] for name in ("split", "arm", "round", "level")}
        for kind in ("half", "fitted"):
            assert row[f"f1_{kind}"] == pytest.approx(
                pooled_f1(scores, **keys, threshold_kind=kind)
            )
            clean = {name: row[name] for name in ("split", "arm", "round")}
            cost = pooled_f1(scores, **clean, level=0.0, threshold_kind=kind) - pooled_f1(
                scores, arm="base", split=row["split"], level=0.0, threshold_kind=kind
            )
            assert row[f"clean_cost_{kind}"] == pytest.approx(cost, abs=1e-12)
        rows = scores[
            (scores["threshold_kind"] == "half")
            & np.logical_and.reduce([scores[k] == v for k, v in keys.items()])
        ]
        assert row["loss"] == pytest.approx(rows["loss_sum"].sum() / rows["frames"].sum())


def test_signed_numbers() -> None:
    assert summary.signed(0.0123) == "+0.012"
    assert summary.signed(-0.0123) == "−0.012"
    assert summary.signed(-0.0001) == "0.000"


def test_strong_level(scores: pd.DataFrame) -> None:
    assert summary.strong_level(scores, 0.34) == 0.34
    assert summary.strong_level(scores, 0.01) == 0.02
    assert summary.strong_level(scores[scores["level"] == 0], 0.34) == 0.0
