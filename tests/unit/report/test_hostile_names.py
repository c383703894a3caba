"""Whatever a work, an arm, a piece or a file is called, on our pages it is words."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.hostile import PAGE_NAMES
from support.pages import elements
from support.report_run import report_inputs

from at4ramt.corpus.problems import write_problems
from at4ramt.report import jobs, style

PAGES = {
    "write_summary": ("page.html", "figure.svg", "table.csv", "intervals.csv", "comparisons.csv"),
    "plot_noise": ("f1.svg", "loss.svg", "measures.html", "measures_csv.csv"),
    "plot_rounds": ("rounds.svg", "levels.svg", "levels_page.html", "silent.svg"),
    "plot_notes": ("figure.svg", "page.html", "csv.csv"),
    "plot_systems": ("figure.svg", "page.html", "csv.csv", "differences.csv"),
    "write_listening": ("page.html",),
    "plot_data": ("data.html", "frames.svg", "labels.svg", "licences.html", "data_csv.csv",
                  "labels_csv.csv", "licences_csv.csv"),
    "write_provenance": ("page.html", "times.svg", "times_page.html", "graph.svg", "times_csv.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def hostile_run(made_up_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up run with tables of works, pianos and sources that strangers wrote."""
    run = tmp_path_factory.mktemp("hostile") / "at4ramt"
    shutil.copytree(made_up_run, run)
    names = itertools.cycle(PAGE_NAMES)
    for table, columns in (
        ("works", ("title", "composer", "licence")),
        ("instruments", ("title", "licence")),
        ("sources", ("licence", "note")),
    ):
        path = run / f"config/corpus/{table}.tsv"
        content = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        for column in columns:
            content[column] = [next(names) for _ in range(len(content))]
        content.to_csv(path, sep="\t", index=False)
    listening = run / "results/evaluation/listening.json"
    content = json.loads(listening.read_text())
    for excerpt in content["excerpts"]:
        excerpt["piece"] = excerpt["instrument"] = next(names)
    listening.write_text(json.dumps(content))
    return run


@pytest.mark.parametrize("job", PAGES)
def test_names_are_words(
    job: str, hostile_run: Path, run_config: dict[str, Any], tmp_path: Path
) -> None:
    for arm, name in zip(run_config["arms"].values(), PAGE_NAMES, strict=False):
        arm["label"] = name
    (tmp_path / "graph.dot").write_text('\t0[label = "all", x];\n\t1[label = "<b>", x];\n\t1 -> 0')
    sources = report_inputs(hostile_run) | {"graph": tmp_path / "graph.dot"}
    extra: dict[str, Any] = {}
    if job == "write_provenance":
        extra = {"benchmarks": hostile_run / "benchmarks", "folder": hostile_run}
    targets = {Path(name).stem: tmp_path / name for name in PAGES[job]}
    getattr(jobs, job)(sources, targets, config=run_config, **extra)
    said = ""
    for path in targets.values():
        if path.suffix == ".html":
            found = elements(path.read_text(encoding="utf-8"))
            assert found.active == [], path.name
            said += found.text
        elif path.suffix == ".svg":
            assert elements(path.read_text(encoding="utf-8"), "svg").active == [], path.name
    if job not in ("write_provenance", "plot_rounds"):
        assert any(name in said for name in PAGE_NAMES)


def test_paths_and_reasons_are_words(tmp_path: Path) -> None:
    layout = [
        {"piece": name, "path": name, "problem": name, "message": name, "stops": True}
        for name in PAGE_NAMES
    ]
    excluded = dict(zip(PAGE_NAMES, reversed(PAGE_NAMES), strict=True))
    page = tmp_path / "page.html"
    write_problems([], layout, excluded, table=tmp_path / "table.csv", page=page)
    found = elements(page.read_text(encoding="utf-8"))
    assert found.active == []
    assert all(found.text.count(name) >= 4 for name in PAGE_NAMES)


@pytest.mark.parametrize("name", PAGE_NAMES)
def test_every_part_of_a_page_escapes_what_it_is_given(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({name: [name, 1.5], "formatted": [name, name]})
    parts = [
        *(make(name) for make in (style.heading, style.subheading, style.paragraph)),
        *(style.preformatted(name), style.bullet_list([name, name])),
        style.html_table(table, name, {"formatted": lambda value: f"{value}!"}),
    ]
    style.write_page(tmp_path / "page.html", name, *parts)
    found = elements((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert found.active == []
    # Title and heading; five parts, one of them twice; caption, head and three cells of the table.
    assert found.text.count(name) == 2 + 6 + 5


@pytest.mark.parametrize(
    "page",
    [
        "<script>1</script>",
        "<p><img src=x>",
        "<b onclick=f()>",
        "<a href=' javascript:f()'>",
        "<link rel=stylesheet href=a.css>",
        "<svg/onload=f()>",
        "<style>@import 'a.css'</style>",
        "<style>p { background: url(//evil.example/a.png) }</style>",
        "<p style='background:url(a.png)'>",
        "<iframe src=data:text/html,a>",
        "<meta http-equiv=refresh content=0>",
        "<base href=//a>",
        "<audio src=//evil.example/a.mp3>",
        "<form action=//evil.example>",
        "<use href=//a#b>",
        "<use xlink:href=//a.example/b.svg#c>",
        "<image xlink:href=https://a.example/b.png>",
        "<image href=data:image/svg+xml,a>",
        "<a href=https://a.example>",
        "<a href=other.html>",
        "<a href='data:text/html,<script>f()</script>'>",
        "<a href=# ping=//a.example>",
        "<rect fill='url(https://a.example/b.svg#c)'>",
        "<p style='background:image-set(\"//a.example/b.png\" 1x)'>",
        "<p style='background:u\\72l(//a.example/b.png)'>",
        "<img srcset='data:image/png;base64,eA==, //a.example/b.png 2x'>",
        "<link rel=stylesheet href='data:text/css,@import \"//a.example\"'>",
        "<style>@im/**/port '//a.example'</style>",
        "<style>&#64;import '//a.example'</style>",
        "<style>@import '//a.example'",
        "<set attributeName=href to=//a.example>",
        "<?xml-stylesheet href='//a.example/b.css'?>",
    ],
)
def test_what_runs_loads_or_leads_away_is_found(page: str) -> None:
    assert elements(page).active


@pytest.mark.parametrize(
    "page",
    [
        "<a href=#part>",
        "<a href='data:text/csv;base64,eA==' download=a.csv>",
        "<img src='data:image/png;base64,eA==' alt='url of https://a.example'>",
        "<audio src='data:audio/wav;base64,eA=='>",
        "<use xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href=#a>",
        "<path clip-path='url(#a)'>",
        "<style>p { background: url('data:image/png;base64,eA==') }</style>",
        "<p>https://a.example, url(//a.example), javascript:</p>",
    ],
)
def test_what_is_in_the_page_itself_is_let_be(page: str) -> None:
    assert elements(page).active == []
