"""Histories, searches and cards are read in order, and figures bear what is missing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from at4ramt.report import style, training


@pytest.fixture(scope="module")
def models(made_up_run: Path) -> Path:
    return made_up_run / "results/models"


def test_histories_are_in_order(models: Path) -> None:
    table = training.read_histories(sorted(models.rglob("*.history.parquet"), reverse=True))
    assert len(table) == 30 + 4 * 12 * 4
    for _, run in table.groupby(["arm", "seed"]):
        assert run["epoch_in_chain"].is_monotonic_increasing


def test_arms_without_a_search_add_nothing(models: Path) -> None:
    table = training.read_searches(models.rglob("*.search.parquet"))
    assert set(table["arm"]) == {"adversarial"} and len(table) == 3 * 12
    none = training.read_searches(models.glob("clean/**/*.search.parquet"))
    assert none.empty and "verdict" in none


def test_models_are_in_the_order_of_the_text(models: Path, tmp_path: Path) -> None:
    table = training.read_rounds(models.rglob("*.json"))
    assert list(dict.fromkeys(table["arm"])) == [
        "base",
        "clean",
        "augmented",
        "fixed",
        "adversarial",
    ]
    assert table.loc[table["arm"] == "fixed", "round"].tolist() == list(range(1, 13))
    training.write_rounds_table(table, tmp_path / "m.csv", tmp_path / "m.html")
    assert len(pd.read_csv(tmp_path / "m.csv")) == 1 + 4 * 12


def test_a_run_without_noise_rounds_still_has_its_figures(models: Path, tmp_path: Path) -> None:
    style.start_figures()
    base = training.read_histories([models / "base/seed_0.history.parquet"])
    training.plot_round_curves(base, tmp_path / "a.svg")
    training.plot_chain(base, tmp_path / "b.svg")
    training.plot_searches(training.read_searches([]), 0.1, 0.2, tmp_path / "c.svg")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.svg", "b.svg", "c.svg"))
