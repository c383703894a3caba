"""The report as a reader sees it: in a browser, without network, every result opened."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Dialog, Page, Route, sync_playwright
from support.pages import elements

CATEGORIES = [
    "1 Summary",
    "2 Noisy evaluation",
    "3 Training",
    "4 Transcription",
    "5 Study",
    "6 Data",
    "7 Provenance",
]
# Results that each category must have; a missing one is a hole in the report.
RESULTS = {
    "1 Summary": 3,
    "2 Noisy evaluation": 7,
    "3 Training": 5,
    "4 Transcription": 9,
    "5 Study": 11,
    "6 Data": 4,
    "7 Provenance": 4,
}
VIEWPORT = {"width": 1400, "height": 800}
WORDS = {
    "summary.html": ["What was run", "Does adversarial training help", "Headline table"],
    "licences.html": ["Sources", "licence"],
    "provenance.html": ["commit", "Versions", "Configuration in full", "Shards", "Models"],
    "data.html": ["Splits", "Works", "Pianos"],
    "notes.html": ["onset within 50 ms", "onset and offset", "F1, mean of pieces"],
    "systems.html": ["frames of the network", "default thresholds", "onset within 50 ms"],
    "study_changes.html": ["compared with", "95 % interval", "verdict"],
    "study_answers.html": ["under further research", "Is the effect local", "Not part of this run"],
    "listening.html": ["as recorded", "with noise, 6 dB", "Notes found"],
}
# How much of a picture is ink: its pixels' share that differs from the commonest colour.
INK = """
async image => {
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 400;
  canvas.height = Math.round(400 * image.naturalHeight / image.naturalWidth);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  const counts = new Map();
  for (let i = 0; i < data.length; i += 4) {
    const key = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
    counts.set(key, (counts.get(key) || 0) + 1);
  }
  return {width: image.clientWidth, height: image.clientHeight, colours: counts.size,
          ink: 1 - Math.max(...counts.values()) / (data.length / 4)};
}
"""
# The lengths of all sounds of a page in seconds, once the browser has decoded their heads.
LENGTHS = """
body => Promise.all([...body.querySelectorAll("audio")].map(audio =>
  new Promise((resolve, reject) => {
    if (audio.readyState > 0) resolve(audio.duration);
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = () => reject(audio.error.message);
  })))
"""


@dataclass
class Visit:
    """An open report, and everything that went wrong in it so far."""

    page: Page
    problems: list[str] = field(default_factory=list)


@contextmanager
def visiting(report: Path) -> Iterator[Visit]:
    """Open a report in a browser that can reach nothing but it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "no chromium on the PATH: install it (Debian: apt-get install chromium)"
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        context = browser.new_context(viewport=VIEWPORT, offline=True)
        page = context.new_page()
        opened = Visit(page)
        problems = opened.problems

        def guard(route: Route) -> None:
            if route.request.url.startswith(("file:", "data:", "blob:", "about:")):
                route.continue_()
            else:
                problems.append(f"asked for {route.request.url[:120]}")
                route.abort()

        def console(message: ConsoleMessage) -> None:
            if message.type == "error":
                problems.append(f"console: {message.text[:300]}")

        def dialog(shown: Dialog) -> None:
            problems.append(f"dialog: {shown.message}")
            # The page would wait for an answer, and the test for the page.
            shown.dismiss()

        page.route("**/*", guard)
        page.on("console", console)
        page.on("dialog", dialog)
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:120]}"))
        context.on("page", lambda other: problems.append(f"opened {other.url[:120]}"))
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("#app nav")
        yield opened
        context.close()
        browser.close()


@pytest.fixture(scope="module")
def visit(small_report: Path) -> Iterator[Visit]:
    """Open the report of the small run."""
    with visiting(small_report) as opened:
        yield opened


# What a report must not do, and what the guard says of it.
PLANTED = {
    '<img src="https://load.example/a.png">': "asked for https://load.example/a.png",
    "<script>fetch('https://ask.example/').catch(() => 0)</script>": "asked for https://ask.example/",
    "<script>new WebSocket('wss://socket.example')</script>": "console: WebSocket connection to",
    "<script>console.error('planted')</script>": "console: planted",
    "<script>throw Error('thrown')</script>": "script: thrown",
    "<script>alert('planted')</script>": "dialog: planted",
    "<script>open('about:blank')</script>": "opened about:blank",
    '<img src="file:///not/there.png">': "failed: file:///not/there.png",
}


def test_the_guard_sees_what_is_planted_in_a_report(small_report: Path, tmp_path: Path) -> None:
    planted = tmp_path / "report.html"
    page = small_report.read_text(encoding="utf-8")
    planted.write_text(page + "\n".join(PLANTED), encoding="utf-8")
    with visiting(planted) as opened:
        opened.page.wait_for_load_state()
        for what, said in PLANTED.items():
            assert any(told.startswith(said) for told in opened.problems), (what, opened.problems)


def test_the_report_holds_all_that_it_shows(small_report: Path) -> None:
    """Read as text: nothing in it, or in a page or picture in it, is loaded, run or left for."""
    text = small_report.read_text(encoding="utf-8")
    assert elements(text, "script").active == []
    (results,) = re.findall(r"(?m)^ *var results = (\{.*\});$", text)
    said = ""
    kinds = Counter()
    for path, result in json.loads(results).items():
        head, _, content = result["data_uri"].partition(",")
        kind = re.match(r"data:([^;]+);.*base64$", head)[1]
        kinds[kind] += 1
        shown = base64.b64decode(content).decode("utf-8")
        if kind != "text/csv":
            found = elements(shown, *(["svg"] if kind == "image/svg+xml" else []))
            assert found.active == [], path
            said += found.text
        assert elements(result["caption"]).active == [], path
    assert set(kinds) == {"text/csv", "text/html", "image/svg+xml"}
    assert sum(kinds.values()) >= sum(RESULTS.values())
    # An arm of this run is called so, and a page that took it for HTML would have failed above.
    assert "</script><img src=x onerror=alert(1)>" in said


def home(page: Page) -> None:
    """Go to the menu, as a reader does, by the first crumb."""
    page.locator("nav nav ol li a").first.click()


def open_category(page: Page, category: str) -> None:
    """Go to a category from anywhere, as a reader does: home, then its name."""
    home(page)
    page.get_by_text(category, exact=True).click()
    page.wait_for_selector("tbody tr")


def test_front_page_says_what_the_run_is(visit: Visit) -> None:
    text = visit.page.locator("#app").inner_text()
    assert "Adversarial training for robust piano transcription" in text
    assert "How to read it" in text and "Caveats" in text
    assert "{{" not in text and "{%" not in text
    # the graph of the rules is drawn beside the text
    box = visit.page.locator("#app canvas, #app svg.marks").first.bounding_box()
    assert box and box["width"] > 50 and box["height"] > 50
    # Vega's menu beside it would send the graph to its editor on the web.
    assert visit.page.locator("#app summary").count() == 1
    assert not visit.page.locator("#app summary").is_visible()
    assert visit.problems == []


def test_the_categories_are_there_in_order(visit: Visit) -> None:
    home(visit.page)
    listed = [text.strip() for text in visit.page.locator("#app nav li").all_inner_texts()]
    assert [text for text in listed if text[:1].isdigit()] == CATEGORIES
    assert visit.problems == []


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_result_opens_and_shows_something(visit: Visit, category: str) -> None:
    page = visit.page
    open_category(page, category)
    count = page.locator("tbody tr").count()
    assert count == RESULTS[category]
    labels = [text.strip() for text in page.locator("tbody tr td:first-child").all_inner_texts()]
    assert labels == sorted(labels) and all(label[:2] == category[:1] + "." for label in labels)
    for place in range(count):
        row = page.locator("tbody tr").nth(place)
        eye, info = row.locator("a").nth(0), row.locator("a").nth(1)
        if eye.get_attribute("download") is not None:
            with page.expect_download() as waiting:
                eye.click()
            lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
            assert lines[0].startswith("split,arm,round,level,") and len(lines) > 1
        else:
            eye.click()
            page.wait_for_timeout(100)
            shown = page.evaluate("app.state.content")
            if shown == "img":
                check_picture(page, labels[place])
            else:
                assert shown == "html", f"{labels[place]} is shown as {shown}"
                check_page(page, labels[place])
        info.click()
        caption = page.locator("li.prose").inner_text()
        assert len(caption) > 120 and ("How to read it" in caption or "as CSV" in caption)
        assert "{{" not in caption and "{%" not in caption and "system-message" not in caption
        open_category(page, category)
    assert visit.problems == []


def check_picture(page: Page, label: str) -> None:
    """Assert that the picture on show has a size and is not blank."""
    image = page.locator("#app img[src^='data:image/svg']").last
    image.wait_for(state="visible")
    seen = image.evaluate(INK)
    assert seen["width"] > 300 and seen["height"] > 100, f"{label} is shown at {seen}"
    box = image.bounding_box()
    assert box and box["y"] >= 0, f"the head of {label} is out of reach: {box}"
    assert box["x"] + box["width"] <= VIEWPORT["width"], f"{label} is cut off at the right: {box}"
    assert seen["colours"] > 20 and seen["ink"] > 0.01, f"{label} is blank: {seen}"


def check_page(page: Page, label: str) -> None:
    """Assert that the page on show has a heading, a table with rows, and its words."""
    page.wait_for_selector("iframe")
    frame = page.frame_locator("iframe")
    heading = frame.locator("h1")
    heading.wait_for(state="visible")
    name = Path(page.evaluate("app.state.resultPath")).name
    text = frame.locator("body").inner_text()
    for word in WORDS.get(name, []):
        assert word in text, f"{label} does not say '{word}'"
    assert frame.locator("tbody tr").count() > 0, f"{label} has no table with rows"
    assert "nan" not in text.lower().split(), f"{label} shows a value that is not a number"


def test_every_excerpt_can_be_played_and_every_roll_seen(visit: Visit) -> None:
    page = visit.page
    open_category(page, "4 Transcription")
    page.locator("tbody tr").filter(has_text="Listen and look").locator("a").first.click()
    frame = page.frame_locator("iframe")
    frame.locator("audio").first.wait_for()
    seconds = frame.locator("body").evaluate(LENGTHS)
    # Two excerpts, clean and noisy, each as recorded and by two models.
    assert len(seconds) == 12 and all(5 < length < 11 for length in seconds)
    inks = [image.evaluate(INK)["ink"] for image in frame.locator("img").all()]
    assert len(inks) == 12 and min(inks) > 0.005
    assert visit.problems == []
