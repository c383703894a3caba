"""Every rule's function, from the made-up run to its outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure
from support.report_run import report_inputs

from at4ramt.report import jobs, style

SVG = "{http://www.w3.org/2000/svg}"


OUTPUTS = {
    "write_summary": ["page.html", "figure.svg", "table.csv", "intervals.csv", "comparisons.csv"],
    "plot_noise": ["f1.svg", "loss.svg", "measures.html", "measures_csv.csv"],
    "plot_rounds": ["rounds.svg", "levels.svg", "levels_page.html", "silent.svg"],
    "plot_training": [
        "base.svg",
        "rounds.svg",
        "chain.svg",
        "searches.svg",
        "models.html",
        "models_csv.csv",
    ],
    "plot_transcription": [
        "spectra.svg",
        "roll.svg",
        "confusion.svg",
        "pitches.svg",
        "pitches_csv.csv",
    ],
    "plot_notes": ["figure.svg", "page.html", "csv.csv"],
    "plot_systems": ["figure.svg", "page.html", "csv.csv", "differences.csv"],
    "write_listening": ["page.html"],
    "plot_data": [
        "data.html",
        "frames.svg",
        "labels.svg",
        "licences.html",
        "data_csv.csv",
        "labels_csv.csv",
        "licences_csv.csv",
    ],
    "write_provenance": ["page.html", "times.svg", "times_page.html", "graph.svg", "times_csv.csv"],
}


STUDY_OUTPUTS = {
    "plot_study": [
        "transfer_fitted.svg",
        "transfer_half.svg",
        "transfer_csv.csv",
        "changes.svg",
        "changes_page.html",
        "changes_csv.csv",
        "octaves.svg",
        "octaves_csv.csv",
        "search_levels.svg",
        "recordings.svg",
        "recordings_csv.csv",
        "relations_csv.csv",
    ],
    "plot_parameters": [
        "distances.svg",
        "filters.svg",
        "responses.svg",
        "distances_csv.csv",
        "responses_csv.csv",
        "differences_csv.csv",
    ],
    "write_answers": ["page.html"],
}


def check_svg(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert len(root.findall(f".//{SVG}path")) > 20
    assert not root.findall(f".//{SVG}text")


def check_html(path: Path) -> None:
    text = path.read_text()
    assert "<h1>" in text and "<td" in text
    assert not re.search(r"<script|<link|src=(?!\"data:)|@import|url\(", text)
    assert "nan" not in re.sub(r"<[^>]+>", " ", text).lower().split()


def is_number(text: str) -> bool:
    return re.fullmatch(r"[−-]?[\d.,]+", text) is not None


def check_axes(figure: Figure) -> None:
    """Assert that every panel has data, and that its row and column say what the axes are.

    A vertical axis whose marks are words (the bars of a chart) speaks for itself.
    """
    panels = [axes for axes in figure.axes if axes.axison and axes.get_subplotspec() is not None]
    for axes in panels:
        spec = axes.get_subplotspec()
        beside = [other for other in panels if other.get_subplotspec().rowspan == spec.rowspan]
        below = [other for other in panels if other.get_subplotspec().colspan == spec.colspan]
        marks = [mark.get_text() for other in beside for mark in other.get_yticklabels()]
        words = bool(marks) and not any(is_number(mark) for mark in marks)
        assert words or any(other.get_ylabel() for other in beside)
        assert any(other.get_xlabel() for other in below)
        assert axes.has_data()


CHECKS: dict[str, Callable[[Path], None]] = {
    ".svg": check_svg,
    ".html": check_html,
    ".csv": lambda path: None,
}


@pytest.mark.parametrize("job", OUTPUTS)
def test_outputs(
    job: str,
    made_up_run: Path,
    run_config: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    save = style.save_figure

    def checked(figure: Figure, path: Any) -> None:
        drawn.append(path)
        if Path(path).name != "graph.svg":
            check_axes(figure)
        save(figure, path)

    monkeypatch.setattr(style, "save_figure", checked)
    targets = {Path(name).stem: tmp_path / name for name in OUTPUTS[job]}
    extra: dict[str, Any] = {}
    if job == "write_provenance":
        extra = {"benchmarks": made_up_run / "benchmarks", "folder": made_up_run}
    (tmp_path / "graph.dot").write_text('\t0[label = "all", x];\n\t1[label = "plot", x];\n\t1 -> 0')
    sources = report_inputs(made_up_run) | {"graph": tmp_path / "graph.dot"}
    extra["config"] = run_config
    getattr(jobs, job)(sources, targets, **extra)
    assert len(drawn) == sum(name.endswith(".svg") for name in OUTPUTS[job])
    assert plt.get_fignums() == []
    for path in targets.values():
        if path.suffix == ".csv":
            assert len(pd.read_csv(path)) > 0
        elif path.name != "graph.svg":
            CHECKS[path.suffix](path)


def draw_study(
    study_run: dict[str, Path], config: dict[str, Any], folder: Path, left_out: tuple[str, ...] = ()
) -> dict[str, Path]:
    """Run the rules of the study after each other; return their outputs by name."""
    made: dict[str, Path] = {}
    for job, names in STUDY_OUTPUTS.items():
        targets = {Path(name).stem: folder / name for name in names}
        targets = {name: path for name, path in targets.items() if name not in left_out}
        sources = dict(study_run) if job != "write_answers" else {"levels": study_run["levels"]}
        for csv in ("changes", "recordings", "relations", "distances", "differences"):
            if job == "write_answers":
                sources[csv] = made.get(f"{csv}_csv", [])
        getattr(jobs, job)(sources, targets, config)
        made |= targets
    return made


def test_the_study_s_outputs(
    study_run: dict[str, Path],
    study_config: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    save = style.save_figure

    def checked(figure: Figure, path: Any) -> None:
        drawn.append(path)
        check_axes(figure)
        save(figure, path)

    monkeypatch.setattr(style, "save_figure", checked)
    made = draw_study(study_run, study_config, tmp_path)
    assert len(drawn) == sum(path.suffix == ".svg" for path in made.values()) == 9
    assert plt.get_fignums() == []
    for path in made.values():
        if path.suffix == ".csv":
            assert len(pd.read_csv(path)) > 0
        else:
            CHECKS[path.suffix](path)
    page = made["page"].read_text()
    # Of the base, all octaves: the one with noise, the one above (four of five have one).
    assert "pitches in the same octave lose 0.200 of F1" in page
    # The arm 'stray' is better on one piece alone.
    assert "no difference seen (F1 0.679 against 0.649" in page
    assert page.count("Not part of this run") == 3


def test_a_run_without_further_noises_has_the_rest_of_the_study(
    study_run: dict[str, Path], study_config: dict[str, Any], tmp_path: Path
) -> None:
    """As the demo: one arm that searches, nothing but the paper's noise, no audio but clean."""
    arms = ("adversarial", "clean")
    few = {"scores": "arm", "audio": "system", "distances": "arm", "filters": "arm"}
    sources = dict(study_run)
    for name, column in few.items():
        table = pd.read_parquet(study_run[name])
        table = table[table[column].isin([*arms, "base"])]
        if "noise" in table:
            table = table[table["noise"].isin(["none", "uniform"])]
        sources[name] = tmp_path / f"{name}.parquet"
        table.to_parquet(sources[name])
    study_config["rounds"]["arms"] = list(arms)
    study_config["evaluation"] |= {"noises": [], "octaves_level": None}
    left_out = ("transfer_fitted", "transfer_half", "transfer_csv", "octaves", "octaves_csv")
    left_out += ("recordings", "search_levels")
    made = draw_study(sources, study_config, tmp_path, left_out)
    page = made["page"].read_text()
    assert page.count("Not part of this run") == 8
    assert "Levels of the last round" not in page
    changes = pd.read_csv(made["changes_csv"])
    assert set(changes["domain"]) == {"magnitudes"}
    assert pd.read_csv(made["relations_csv"]).empty


def test_figures_and_tables_are_the_same_twice(
    made_up_run: Path, run_config: dict[str, Any], tmp_path: Path
) -> None:
    written = []
    for name in ("one", "two"):
        targets = {Path(file).stem: tmp_path / name / file for file in OUTPUTS["plot_data"]}
        jobs.plot_data(report_inputs(made_up_run), targets, run_config)
        written.append([path.read_bytes() for path in targets.values()])
    assert written[0] == written[1]


def test_summary_page_holds_the_headline_numbers(
    made_up_run: Path, run_config: dict[str, Any], tmp_path: Path
) -> None:
    targets = {Path(file).stem: tmp_path / file for file in OUTPUTS["write_summary"]}
    jobs.write_summary(report_inputs(made_up_run), targets, run_config)
    page = targets["page"].read_text()
    table = pd.read_csv(targets["table"])
    for row in table.to_dict("records"):
        assert f">{row['f1_half']:.3f}<" in page and f">{row['f1_fitted']:.3f}<" in page
    assert "19 excerpts of 30 s (9.5 minutes)" in page


def test_one_arm_and_one_piece_still_make_a_report(
    made_up_run: Path, run_config: dict[str, Any], tmp_path: Path
) -> None:
    """The smallest run: no control, one piece a split, so no interval."""
    sources = report_inputs(made_up_run)
    scores = pd.read_parquet(sources["scores"])
    first = scores.groupby("split")["piece"].transform("min")
    few = scores[(scores["piece"] == first) & scores["arm"].isin(["base", "adversarial"])]
    few.to_parquet(tmp_path / "scores.parquet")
    sources["scores"] = tmp_path / "scores.parquet"
    targets = {Path(file).stem: tmp_path / file for file in OUTPUTS["write_summary"]}
    jobs.write_summary(sources, targets, run_config)
    page = targets["page"].read_text()
    assert "one piece only, so no interval" in page
    assert "The arm &#x27;clean&#x27; was not part of this run" in page
    more = {Path(file).stem: tmp_path / file for file in OUTPUTS["plot_rounds"]}
    jobs.plot_rounds(sources, more, run_config)
    check_svg(more["rounds"])
