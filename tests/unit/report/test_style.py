"""How figures and tables look, and that they stay the same from run to run."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from at4ramt.report import style


@pytest.mark.parametrize(
    ("pitch", "name"),
    [(21, "A0"), (37, "C#2"), (60, "C4"), (69, "A4"), (71, "B4"), (92, "G#6"), (108, "C8")],
)
def test_pitch_names(pitch: int, name: str) -> None:
    assert style.pitch_name(pitch) == name


def test_arms_differ_in_colour_marker_and_dash() -> None:
    for one, other in combinations(style.ARM_STYLES.values(), 2):
        assert one.colour != other.colour
        assert one.marker != other.marker
        assert one.label != other.label
    # base and adversarial, the two that matter most, are both solid: their luminance differs
    assert relative_luminance("#000000") + 0.15 < relative_luminance(
        style.ARM_STYLES["adversarial"].colour
    )


def relative_luminance(colour: str) -> float:
    """The luminance of WCAG 2, from 0 for black to 1 for white."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_unknown_arm_has_the_same_style_each_time() -> None:
    assert style.arm_style("new_arm") == style.arm_style("new_arm")
    assert style.arm_style("new_arm").label == "new arm"


def test_arms_of_a_configuration_have_its_labels_and_no_two_look_alike() -> None:
    arms: dict[str, dict[str, str]] = {f"arm_{number}": {} for number in range(30)}
    arms |= {"adversarial": {"label": "the paper's"}, "clean": {}}
    style.start_figures(arms)
    looks = [style.arm_style(arm) for arm in ("base", "offset_removed", "mean_removed", *arms)]
    assert len({(look.colour, look.marker) for look in looks}) == len(looks) == 35
    assert style.arm_style("adversarial").label == "the paper's"
    assert style.arm_style("adversarial").colour == style.ARM_STYLES["adversarial"].colour
    assert style.arm_style("arm_29").label == "arm 29"
    # What one job was told, the next is not.
    style.start_figures()
    assert style.arm_style("adversarial").label == style.ARM_STYLES["adversarial"].label


def test_splits_are_put_in_the_order_of_the_experiment() -> None:
    assert style.order_splits(["test_unseen_piano", "zz", "test", "training", "test"]) == [
        "training",
        "test",
        "test_unseen_piano",
        "zz",
    ]


def draw(path: Path) -> bytes:
    style.start_figures()
    figure, axes = plt.subplots()
    style.draw_intervals(axes, "base", [0.0, 0.1], [0.5, 0.4], [0.4, np.nan], [0.6, np.nan])
    axes.set_xlabel("level")
    style.shared_legend(figure, axes)
    style.save_figure(figure, path)
    return path.read_bytes()


def test_a_figure_is_the_same_bytes_twice(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a.svg"), draw(tmp_path / "b.svg")
    assert first == second
    assert b"<dc:date>" not in first
    assert plt.get_fignums() == []


def test_a_user_s_own_settings_of_matplotlib_change_no_figure(tmp_path: Path) -> None:
    expected = draw(tmp_path / "a.svg")
    settings = {"lines.linewidth": 9, "savefig.bbox": "tight", "svg.image_inline": False}
    with matplotlib.rc_context(settings):
        assert draw(tmp_path / "b.svg") == expected


def test_text_in_figures_needs_no_font(tmp_path: Path) -> None:
    draw(tmp_path / "a.svg")
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert not root.findall(".//{http://www.w3.org/2000/svg}text")
    references = re.findall(r'href="([^"]+)"', (tmp_path / "a.svg").read_text())
    assert all(reference.startswith("#") for reference in references)


def test_axes_start_at_zero_and_keep_all_data() -> None:
    figure, grid = plt.subplots(1, 2, sharey=True)
    grid[0].plot([0, 1], [0.2, 0.3])
    grid[1].plot([0, 1], [0.2, 0.9])
    style.start_at_zero(grid)
    bottom, top = grid[0].get_ylim()
    plt.close(figure)
    assert bottom == 0 and top >= 0.9


def test_table_formats_escapes_and_marks_what_is_missing() -> None:
    table = pd.DataFrame({"name": ["<b>&", None], "value": [0.12345, np.nan], "count": [12345, 6]})
    page = style.html_table(table, "a < b", {"value": ".2f"})
    assert "<caption>a &lt; b</caption>" in page
    assert "<td>&lt;b&gt;&amp;</td>" in page
    assert '<td class="number">0.12</td>' in page
    assert '<td class="number">12,345</td>' in page
    assert page.count("–") == 2


def test_page_needs_nothing_else(tmp_path: Path) -> None:
    style.write_page(tmp_path / "p.html", "T & t", style.paragraph("x"), style.bullet_list(["y"]))
    text = (tmp_path / "p.html").read_text()
    assert "<title>T &amp; t</title>" in text and "<li>y</li>" in text
    for forbidden in ("<script", "src=", "http:", "https:", "@import", "url("):
        assert forbidden not in text


def test_sentences_stand_above_the_panels_within_the_figure() -> None:
    style.start_figures()
    figure, axes = plt.subplots(figsize=(6, 3))
    axes.plot([0, 1], [0, 1])
    sentence = "What training moves, and $how$ far: 0.344 [−0.412, −0.291], WWW 'adversarial'. " * 9
    style.say_above(figure, ["Does it help?", sentence], "test works")
    figure.draw_without_rendering()
    text = figure._suptitle.get_window_extent()
    assert text.x0 >= 0 and text.x1 <= figure.bbox.x1 and text.y1 <= figure.bbox.y1
    assert axes.get_tightbbox().y1 < text.y0
    assert figure.get_suptitle().splitlines()[-2:] == ["", "test works"]
    # The panel keeps its height.
    assert axes.get_window_extent().height > 0.75 * 3 * figure.dpi
    plt.close(figure)


def test_a_legend_of_long_labels_fits_a_narrow_figure() -> None:
    style.start_figures()
    for width in (5.3, 10.6):
        figure, axes = plt.subplots(figsize=(width, 4))
        for number in range(8):
            axes.plot([0, 1], [0, number], label=f"adversarial, white noise in the audio, {number}")
        style.shared_legend(figure, axes)
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
        plt.close(figure)
