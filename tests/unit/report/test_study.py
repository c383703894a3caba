"""What the study's figures group, choose and name; the figures themselves: test_jobs.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from at4ramt.evaluation import study_tables
from at4ramt.evaluation.tables import read_audio_counts
from at4ramt.report import parameters, study, style


@pytest.fixture(scope="module")
def counts(study_run: dict[str, Path]) -> pd.DataFrame:
    octaves = study_tables.read_octaves(study_run["scores"], 37)
    return study_tables.condition_counts(octaves, read_audio_counts(study_run["audio"]))


@pytest.mark.parametrize(
    ("condition", "label"),
    [
        (study.CLEAN, "clean"),
        (("magnitudes", "uniform", 0.34), "uniform noise, level 0.34"),
        (("magnitudes", "gaussian_rectified", 0.1), "Gaussian, rectified noise, level 0.1"),
        (("audio", "none", math.inf), "clean audio"),
        (("audio", "white", -8.0), "white noise in the audio, −8 dB"),
        (("audio", "room", math.inf), "audio in a room"),
    ],
)
def test_conditions_in_words(condition: study.Condition, label: str) -> None:
    assert study.condition_label(condition) == label


def test_the_matrix_has_one_column_a_noise_nearest_to_what_is_wanted(counts: pd.DataFrame) -> None:
    assert study.matrix_conditions(counts, 0.3, 1.0) == [
        ("magnitudes", "none", 0.0),
        ("magnitudes", "uniform", 0.34),
        ("magnitudes", "gaussian", 0.34),
        ("magnitudes", "pink", 0.34),
        ("audio", "none", math.inf),
        ("audio", "white", 0.0),
        ("audio", "hum", 0.0),
    ]
    assert study.matrix_conditions(counts, 0.1, -9.0)[1] == ("magnitudes", "uniform", 0.1)
    assert study.matrix_conditions(counts, 0.1, -9.0)[-2] == ("audio", "white", -8.0)


def test_the_main_conditions_are_those_that_were_scored(counts: pd.DataFrame) -> None:
    audio = [("audio", "white", 0.0), ("audio", "white", -8.0)]
    uniform = ("magnitudes", "uniform", 0.34)
    assert study.main_conditions(counts, 0.34) == [study.CLEAN, uniform, *audio]
    louder = counts[counts["amount"] != -8.0]
    assert study.main_conditions(louder, 0.34) == [study.CLEAN, uniform, audio[0]]


def test_recordings_are_compared_in_every_noise_and_ratio_that_was_scored(
    counts: pd.DataFrame,
) -> None:
    assert study.recording_conditions(counts) == [
        ("audio", "none", math.inf),
        ("audio", "white", 0.0),
        ("audio", "white", -8.0),
        ("audio", "hum", 0.0),
    ]


def test_arms_are_grouped_by_the_noise_they_were_trained_on(study_config: dict[str, Any]) -> None:
    arms = study_config["arms"]
    groups = dict(study.training_groups(["base", "offset_removed", "unheard_of", *arms], arms))
    assert groups == {
        "not trained\nfurther": ["base", "offset_removed"],
        "no noise": ["clean", "regularised"],
        "uniform": ["adversarial", "augmented", "literal", "wide", "stray"],
        "pink": ["pink_noise"],
        "audio: white": ["acoustic"],
        "other": ["unheard_of"],
    }


def test_recordings_compare_standard_and_acoustic_arms_with_the_base(
    study_config: dict[str, Any],
) -> None:
    arms = study_config["arms"]
    pairs = study.recording_pairs(["base", *arms], arms, "adversarial")
    assert pairs == [
        ("clean", "base"),
        ("augmented", "base"),
        ("adversarial", "base"),
        ("acoustic", "base"),
        ("adversarial", "clean"),
        ("acoustic", "adversarial"),
    ]


def test_what_needs_no_noise_is_compared_with_noise_too() -> None:
    arms = {
        "adversarial": {"noise": "uniform"},
        "clean": {"noise": "none"},
        "regularised": {"noise": "none", "against": "clean"},
        "median_trained": {"noise": "none", "against": "clean", "input": "median"},
    }
    present = ["base", "offset_removed", *arms]
    assert study.further_pairs(present, arms, "adversarial") == [
        ("offset_removed", "adversarial"),
        ("regularised", "adversarial"),
        ("median_trained", "adversarial"),
        ("median_trained", "offset_removed"),
    ]
    assert study.further_pairs(["base", "offset_removed"], {}, "base") == []
    assert study.further_pairs(["offset_removed", "clean"], arms, "clean") == [
        ("offset_removed", "clean")
    ]


def test_a_panel_a_noise_shows_the_differences_over_the_ratio(
    counts: pd.DataFrame,
    study_config: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    style.start_figures(study_config["arms"])
    pairs = [("adversarial", "base"), ("acoustic", "adversarial")]
    table = study_tables.change_table(
        counts, pairs, study.recording_conditions(counts), draws=50, base_seed=0
    )
    drawn = []
    monkeypatch.setattr(style, "save_figure", lambda figure, path: drawn.append(figure))
    shown = {"split": "test", "kind": "fitted", "said": ["It does."]}
    study.plot_recordings(table, tmp_path / "a.svg", **shown)
    (figure,) = drawn
    white, hum = figure.axes[:2]
    assert [axes.get_title() for axes in figure.axes] == ["white", "hum"] * 2
    # Clean, 0 and −8 dB; half of the noise's damage is left, and 40 thousandths are its cost.
    (line,) = [line for line in white.get_lines() if len(line.get_xdata()) == 3]
    assert line.get_ydata() == pytest.approx([-0.04, -0.01, 0.06])
    assert [mark.get_text() for mark in white.get_xticklabels()] == ["clean", "0", "−8"]
    (line,) = [line for line in hum.get_lines() if line.get_color() != "black"]
    assert line.get_ydata() == pytest.approx([-0.04, -0.06])
    plt.close(figure)
    assert figure.get_suptitle().startswith("It does.")
    monkeypatch.undo()
    study.plot_recordings(table[table["noise"] == "none"], tmp_path / "b.svg", **shown)
    assert (tmp_path / "b.svg").read_text().count("<path") > 10


def test_octaves_are_named_by_their_pitches() -> None:
    assert study.octave_name(1, 37, 56) == "1 (C#2–C3)"
    assert study.octave_name(5, 37, 56) == "5 (C#6–G#6)"


def test_cells_show_their_values_and_boxes_what_was_seen() -> None:
    figure, axes = plt.subplots()
    values = np.array([[0.5, np.nan], [-0.25, 0.0]])
    marked = np.array([[True, False], [True, False]])
    study.draw_matrix(axes, values, limits=(-1, 1), colours="RdBu", marked=marked)
    assert [text.get_text() for text in axes.texts] == [".50", "–", "−.25", ".00"]
    assert [patch.get_xy() for patch in axes.patches] == [(-0.46, -0.44), (-0.46, 0.56)]
    plt.close(figure)


def test_the_table_of_changes_says_what_the_intervals_say(
    counts: pd.DataFrame, study_config: dict[str, Any], tmp_path: Path
) -> None:
    style.start_figures(study_config["arms"])
    pairs = [("literal", "adversarial"), ("stray", "augmented")]
    table = study_tables.change_table(counts, pairs, [study.CLEAN], draws=200, base_seed=0)
    study.write_changes(table, tmp_path / "c.csv", tmp_path / "c.html", arms=study_config["arms"])
    page = (tmp_path / "c.html").read_text()
    # By the formula of the made-up run: 60 against 40 thousandths lost.
    assert "<td>−0.020</td><td>−0.020 to −0.020</td><td>−0.020 to −0.020</td><td>worse" in page
    # Ten thousandths lost more, 160 gained on one of four pieces.
    assert "<td>+0.030</td>" in page and "<td>no difference seen</td>" in page
    assert "<caption>The schedule</caption>" in page
    assert len(pd.read_csv(tmp_path / "c.csv")) == 2 * 3 * 2 * 4


def test_filters_that_changed_most_are_relative_to_their_norm() -> None:
    def table(arm: str, kernels: list[float]) -> pd.DataFrame:
        numbers = range(len(kernels))
        columns = {"filter": numbers, "weight": kernels, "frame": 0, "bin": 0, "seed": 0}
        return pd.DataFrame(columns).assign(arm=arm)

    filters = pd.concat([table("base", [1.0, 10.0, 2.0]), table("clean", [1.5, 12.0, 3.8])])
    # Changes of 50, 20 and 90 %.
    assert parameters.changed_most(filters, "clean", 0, 2) == [2, 0]


def test_last_distances_average_seeds_of_the_last_round() -> None:
    rows = [("a", 0, 1, 9.0), ("a", 0, 2, 1.0), ("a", 1, 2, 3.0), ("base_of_other_seed", 0, 0, 5.0)]
    table = pd.DataFrame(rows, columns=["arm", "seed", "round", "relative"]).assign(layer="x")
    found = parameters.last_distances(table).set_index("arm")
    assert found.loc["a", ["mean", "min", "max", "seeds"]].tolist() == [2.0, 1.0, 3.0, 2]
    assert found.loc["base_of_other_seed", "mean"] == 5.0
