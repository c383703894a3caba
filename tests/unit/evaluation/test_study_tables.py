"""The study's tables against counts that can be added up by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from at4ramt.errors import InputError
from at4ramt.evaluation import study_tables
from at4ramt.evaluation.tables import scores_schema

DRAWS = {"draws": 200, "base_seed": 0}
SEEDS, PIECES, PITCHES = (0, 1), ("a", "b", "c"), (37, 48, 49, 60, 92)
CLEAN, NOISE = ("magnitudes", "none", 0.0), ("magnitudes", "uniform", 0.34)


def hits(arm: str, seed: int, piece: int, noise: str, pitch: int) -> int:
    """How many of 1000 are found, as many being missed as made up: 1000 times F1."""
    damage = {"none": 0, "uniform": 200, "pink": 50}.get(noise, 0)
    if noise == "uniform_octave_2":
        # Octave 2 is 49 to 60; octave 1 is below it, octave 5 above.
        damage = {37: 0, 48: 0, 49: 100, 60: 140, 92: 10}[pitch]
    left = {"base": 1.0, "clean": 1.0, "adversarial": 0.5}[arm]
    # The second seed of clean is better, the first worse than the base.
    cost = {"base": 0, "clean": 30 - 40 * seed, "adversarial": 40}[arm]
    return round(600 - cost - left * damage + 10 * piece)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scores.parquet of three arms, one of which has a round before its last."""
    conditions = [("none", 0.0), ("uniform", 0.34), ("pink", 0.34), ("uniform_octave_2", 0.34)]
    models = [("base", 0), ("clean", 2), ("adversarial", 1), ("adversarial", 2)]
    rows = []
    for (arm, number), seed, (place, piece), (noise, level), pitch in itertools.product(
        models, SEEDS, enumerate(PIECES), conditions, PITCHES
    ):
        found = hits(arm, seed, place, noise, pitch) - (300 if number == 1 else 0)
        name = (arm, seed, number, "test", "A", piece, noise, level, "half", 0.5, pitch)
        counts = (found, 1000 - found, 1000 - found, 5000 + found)
        rows.append((*name, *counts, 80.0, 40.0, 7000))
    path = tmp_path_factory.mktemp("study") / "scores.parquet"
    pd.DataFrame(rows, columns=list(scores_schema)).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def audio() -> pd.DataFrame:
    """Counts of two arms and a peer in the audio; the notes must not be counted as frames."""
    rows = [
        (system, seed, "test", "A", piece, noise, ratio, kind, criterion, 1000, 1000, found)
        for system, seed, found in (("base", 0, 500), ("adversarial", 0, 530), ("peer", -1, 9))
        for piece in PIECES
        for noise, ratio in (("none", np.inf), ("white", 0.0))
        for kind in ("default", "fitted")
        for criterion in ("frames", "onset")
    ]
    columns = ["system", "seed", "split", "instrument", "piece", "noise", "snr_db"]
    columns += ["threshold_kind", "criterion", "reference", "estimated", "matched"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def octaves(scores: Path) -> pd.DataFrame:
    return study_tables.read_octaves(scores, 37)


@pytest.fixture(scope="module")
def counts(octaves: pd.DataFrame, audio: pd.DataFrame) -> pd.DataFrame:
    return study_tables.condition_counts(octaves, audio)


def test_octaves_are_twelve_pitches_from_the_lowest_of_last_rounds(octaves: pd.DataFrame) -> None:
    assert set(octaves.loc[octaves["arm"] == "adversarial", "round"]) == {2}
    one = octaves[
        (octaves["arm"] == "adversarial")
        & (octaves["seed"] == 0)
        & (octaves["piece"] == "b")
        & (octaves["noise"] == "none")
    ].set_index("octave")
    assert one["tp"].to_dict() == {1: 2 * 570, 2: 2 * 570, 5: 570}
    assert one["frames"].to_dict() == {1: 14000, 2: 14000, 5: 7000}


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"scores\.parquet: cannot be read"):
        study_tables.read_octaves(tmp_path / "scores.parquet", 37)


def test_conditions_hold_frames_of_our_models_and_no_single_octaves(counts: pd.DataFrame) -> None:
    listed = counts[["domain", "noise", "amount"]].drop_duplicates()
    assert set(listed.itertuples(index=False, name=None)) == {
        CLEAN,
        NOISE,
        ("magnitudes", "pink", 0.34),
        ("audio", "none", np.inf),
        ("audio", "white", 0.0),
    }
    heard = counts[counts["domain"] == "audio"]
    assert set(heard["arm"]) == {"base", "adversarial"}
    assert set(heard["threshold_kind"]) == {"half", "fitted"}
    # One row a piece, noise and threshold, with the frames alone.
    assert len(heard) == 2 * 3 * 2 * 2 and set(heard["tp"]) == {500, 530}


def test_transfer_is_f1_and_its_difference_from_the_reference(counts: pd.DataFrame) -> None:
    table = study_tables.transfer_table(counts, reference="base", **DRAWS)
    keys = ["domain", "noise", "amount", "threshold_kind", "arm"]
    found = table.set_index(keys).sort_index()
    pink = found.loc[("magnitudes", "pink", 0.34, "half", "adversarial")]
    # 600 - 40 - 25 + 10 on average of the pieces.
    assert pink["f1"] == pytest.approx(0.545)
    assert pink["difference"] == pytest.approx(-0.015)
    assert pink["difference_low"] == pytest.approx(-0.015)
    assert (pink["seeds"], pink["pieces"]) == (2, 3)
    assert pink["f1_low"] < 0.545 < pink["f1_high"]
    assert found.loc[("audio", "white", 0.0, "fitted", "adversarial"), "difference"] == (
        pytest.approx(0.03)
    )
    # Of clean, seeds differ by 0.04 from each other.
    clean = found.loc[(*CLEAN, "half", "clean")]
    assert clean["difference"] == pytest.approx(-0.01)
    assert clean["difference_std"] == pytest.approx(0.04 / np.sqrt(2))


def test_a_reference_that_was_not_scored_leaves_no_difference(counts: pd.DataFrame) -> None:
    table = study_tables.transfer_table(counts, reference="clean", **DRAWS)
    assert table.loc[table["domain"] == "audio", "difference"].isna().all()
    assert table.loc[table["domain"] == "magnitudes", "difference"].notna().all()


def test_pairs_are_those_of_the_table_of_arms() -> None:
    arms = {
        "adversarial": {},
        "clean": {},
        "fixed": {"against": "augmented"},
        "literal": {},
        "known": {"against": "base"},
        "absent": {},
    }
    there = ["base", "adversarial", "clean", "fixed", "literal", "known"]
    assert study_tables.arm_pairs(arms, there, "adversarial") == [
        ("adversarial", "clean"),
        ("literal", "adversarial"),
        ("known", "base"),
    ]


def test_changes_have_the_mean_with_an_interval_and_every_seed(counts: pd.DataFrame) -> None:
    pairs = [("clean", "base"), ("adversarial", "clean")]
    conditions = [CLEAN, NOISE, ("audio", "white", 0.0)]
    table = study_tables.change_table(counts, pairs, conditions, **DRAWS)
    # Clean was not scored in the audio.
    assert set(table["domain"]) == {"magnitudes"}
    assert len(table) == 2 * 2 * 3
    found = table.set_index(["arm", "against", "noise", "seed"])
    assert found.loc[("clean", "base", "none", "0"), "difference"] == pytest.approx(-0.03)
    assert found.loc[("clean", "base", "none", "1"), "difference"] == pytest.approx(0.01)
    whole = found.loc[("clean", "base", "none", "all")]
    assert whole["difference"] == pytest.approx(-0.01)
    assert (whole["f1_arm"], whole["f1_against"]) == (pytest.approx(0.6), pytest.approx(0.61))
    # All pieces of a seed differ by the same: over pieces there is no spread.
    assert (whole["low"], whole["high"]) == (pytest.approx(-0.01), pytest.approx(-0.01))
    assert whole["seeds"] == 2
    # -40 + 100 against -(30 - 40 seed).
    assert found.loc[("adversarial", "clean", "uniform", "all"), "difference"] == (
        pytest.approx(0.07)
    )
    assert np.isnan(found.loc[("adversarial", "clean", "uniform", "1"), "low"])


def test_a_seed_that_the_partner_lacks_is_not_compared(counts: pd.DataFrame) -> None:
    fewer = counts[(counts["arm"] != "base") | (counts["seed"] == 0)]
    table = study_tables.change_table(fewer, [("clean", "base")], [CLEAN], **DRAWS)
    assert table["seed"].tolist() == ["all", "0"]
    assert table["difference"].tolist() == pytest.approx([-0.03, -0.03])
    assert table["f1_arm"].tolist() == pytest.approx([0.58, 0.58])


def test_octave_losses_are_clean_minus_noise_by_octave_of_the_pitches(
    octaves: pd.DataFrame,
) -> None:
    table = study_tables.octave_losses(octaves, ["base", "adversarial"], **DRAWS)
    assert set(table["noise_octave"]) == {2} and set(table["arm"]) == {"base", "adversarial"}
    lost = table.set_index(["arm", "octave"])["lost"]
    assert lost["base"].to_dict() == pytest.approx({1: 0.0, 2: 0.12, 5: 0.01})
    assert lost["adversarial"].to_dict() == pytest.approx({1: 0.0, 2: 0.06, 5: 0.005})
    row = table.set_index(["arm", "octave"]).loc[("base", 2)]
    assert (row["f1_clean"], row["f1"]) == (pytest.approx(0.61), pytest.approx(0.49))
    assert row["low"] == pytest.approx(0.12) and row["high"] == pytest.approx(0.12)


def test_octave_relations_pool_what_is_above_and_below(octaves: pd.DataFrame) -> None:
    table = study_tables.octave_relations(octaves, ["base"], **DRAWS).set_index("relation")
    assert table["lost"].to_dict() == pytest.approx(
        {"same octave": 0.12, "octaves above": 0.01, "octaves below": 0.0}
    )


def test_without_noise_in_octaves_the_tables_are_empty(octaves: pd.DataFrame) -> None:
    less = octaves[~octaves["noise"].str.startswith("uniform_octave")]
    for make in (study_tables.octave_losses, study_tables.octave_relations):
        table = make(less, ["base"], **DRAWS)
        assert table.empty and {"lost", "low", "high"} <= set(table.columns)


def test_levels_are_those_of_arms_that_search_once_a_round() -> None:
    levels = pd.DataFrame(
        {
            "arm": ["a", "a", "a", "fixed"],
            "seed": 0,
            "round": [2, 1, 1, 1],
            "level": [0.2, 0.1, 0.1, 0.34],
            "search_status": "in_range",
            "snr_audio_db": -20.0,
            "instrument": ["A", "A", "B", "A"],
        }
    )
    arms = {"a": {"level": "searched"}, "fixed": {"level": "maximum"}}
    table = study_tables.searched_levels(levels, arms)
    assert table[["arm", "round", "level"]].to_numpy().tolist() == [["a", 1, 0.1], ["a", 2, 0.2]]
