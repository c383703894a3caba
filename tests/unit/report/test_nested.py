"""Calls of Snakemake from inside a job, on a workflow of two rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils.core import publish_parts
from jinja2 import Environment
from playwright.sync_api import sync_playwright
from support.hostile import PAGE_NAMES
from support.pages import elements

from at4ramt.errors import InputError
from at4ramt.report import nested

ROOT = Path(__file__).resolve().parents[3]
SNAKEFILE = """
configfile: "config.yaml"
report: "workflow.rst"
rule all:
    input: "a.svg"
rule plot:
    output: report("a.svg", category="1 One", caption="caption.rst")
    params: depth=config["depth"]
    shell: "cp picture.svg {output}"
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "config.yaml").write_text("depth: 1\n")
    (tmp_path / "workflow.rst").write_text("Depth is {{ snakemake.config['depth'] }}.\n")
    (tmp_path / "caption.rst").write_text("Caption of depth {{ snakemake.params.depth }}.\n")
    (tmp_path / "style.css").write_text("/* mark of the style */\n")
    (tmp_path / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    monkeypatch.chdir(tmp_path)
    return tmp_path / "Snakefile"


def test_report_is_made_of_the_configuration_given(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="marked for report but does not exist"):
        nested.write_report("out/report.html", "all", {"depth": 2}, "log.txt", "style.css", tiny)
    assert not list((tmp_path / "out").iterdir())
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "depth=2"],
        check=True,
        capture_output=True,
    )
    nested.write_report("out/report.html", "all", {"depth": 2}, "log.txt", "style.css", tiny)
    text = (tmp_path / "out/report.html").read_text()
    assert "Depth is 2." in text and "Caption of depth 2." in text
    assert "mark of the style" in text
    assert "Report created" in (tmp_path / "log.txt").read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_rule_graph_is_dot(tiny: Path, tmp_path: Path) -> None:
    nested.write_rule_graph("graph.dot", "all", {"depth": 1}, "logs/graph.log", tiny)
    graph = (tmp_path / "graph.dot").read_text()
    assert "digraph" in graph and '[label = "plot"' in graph and "1 -> 0" in graph


def test_no_value_ends_the_script_that_it_stands_in(tiny: Path, tmp_path: Path) -> None:
    """A parameter is a label of the configuration, or the path of anybody's recording."""
    names = " ".join(PAGE_NAMES)
    (tmp_path / "hostile.json").write_text(json.dumps({"depth": names}))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "hostile.json"]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "workflow.rst").write_text("No value.\n")
    (tmp_path / "caption.rst").write_text("No value.\n")
    nested.write_report("report.html", "all", {"depth": names}, "log.txt", "style.css", tiny)
    page = (tmp_path / "report.html").read_text()
    (told,) = re.findall(r"(?m)^ *var results = (\{.*\});$", page)
    assert names.replace('"', r"\"") in json.loads(told)["a.svg"]["job_properties"]["params"]
    assert elements(page, "script").active == []
    problems = []
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "no chromium on the PATH: install it (Debian: apt-get install chromium)"
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_context(offline=True).new_page()
        for event in ("dialog", "pageerror", "requestfailed"):
            opened.on(event, lambda found, event=event: problems.append((event, str(found))))
        opened.goto((tmp_path / "report.html").as_uri())
        opened.get_by_text("Results", exact=True).click()
        opened.locator("tbody tr a").nth(1).click()
        opened.get_by_text("<img src=x onerror=alert(1)>").first.wait_for()
        browser.close()
    assert problems == []


def test_the_same_page_without_the_mending_runs_a_stranger_s_script() -> None:
    page = '<script>\nvar results = {"a": "</script><img src=x onerror=alert(1)>"};\n</script>'
    assert elements(page, "script").active == ["<img src=x>", "<img onerror=alert(1)>"]
    assert elements(nested.closed_scripts(page), "script").active == []


def test_the_folder_of_a_corpus_is_words_in_the_report_s_text() -> None:
    text = (ROOT / "workflow/report/workflow.rst").read_text(encoding="utf-8")
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    config["corpus"]["kind"] = "folder"
    for name in PAGE_NAMES:
        config["corpus"]["root"] = (
            f"/data/{name}\n\n.. raw:: html\n\n   <script>alert(2)</script>\n"
        )
        rendered = template.render(snakemake=SimpleNamespace(config=config))
        found = elements(publish_parts(rendered, writer_name="html")["html_body"])
        assert found.active == []
        said = " ".join(found.text.split())
        assert " ".join(f"The recordings are those of /data/{name}.. raw:: html".split()) in said
        assert "System Message" not in said


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        (
            ["adversarial", "clean", "augmented"],
            "clean music (the base) and then in 12 noise rounds on spectra",
        ),
        (
            ["adversarial", "clean", "augmented"],
            "the paper's arm, adversarial. Beside these stand clean, augmented (docs/method.md "
            "says what each is trained on). Two controls need no training",
        ),
        (
            ["robust"],
            "clean music (the base). Beside it stands robust (docs/method.md says what each is "
            "trained on). Two controls need no training",
        ),
    ],
)
def test_the_report_s_text_is_sentences(arms: list[str], expected: str) -> None:
    text = (ROOT / "workflow/report/workflow.rst").read_text(encoding="utf-8")
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    config["rounds"]["arms"] = arms
    rendered = template.render(snakemake=SimpleNamespace(config=config))
    page = elements(publish_parts(rendered, writer_name="html")["html_body"])
    assert expected in " ".join(page.text.split())


def test_a_full_disk_is_told_with_what_to_do(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filled(arguments: Sequence[str], *_: object) -> str:
        Path(arguments[-3]).symlink_to("/dev/full")
        Path(arguments[-3]).write_text("report")
        raise AssertionError("the device was not full")

    monkeypatch.setattr(nested, "ask_snakemake", filled)
    with pytest.raises(InputError, match=r"No space left on device.*free space"):
        nested.write_report("out/report.html", "all", {}, "log.txt", "style.css", tiny)
    assert not list((tmp_path / "out").iterdir())


def test_a_rule_graph_s_text_does_not_depend_on_the_order_of_what_snakemake_says() -> None:
    head = "digraph snakemake_dag {\n    graph[margin=0];\n"
    one = '\t0[label = "all"];\n\t1[label = "b"];\n\t2[label = "a"];\n\t1 -> 0\n\t2 -> 1\n}  \n'
    other = '\t0[label = "b"];\n\t1[label = "all"];\n\t2[label = "a"];\n\t2 -> 0\n\t0 -> 1\n}\n'
    graph = nested.in_order(head + one)
    assert graph == nested.in_order(head + other)
    assert graph.startswith(head) and graph.endswith("}\n")
    names = dict(re.findall(r'(\d)\[label = "(\w+)"', graph))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d) -> (\d)", graph)}
    assert edges == {("a", "b"), ("b", "all")}
