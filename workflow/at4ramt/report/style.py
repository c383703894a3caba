"""How every figure and table of the report looks, said once.

Colours are Okabe and Ito's, which colour-blind readers tell apart; each arm
also has its own marker and line style, so that a greyscale print loses
nothing. Further arms of the configuration share seven darker colours, no two of
them colour and marker. Text in figures is drawn as outlines: the report must look the same on
a machine that has none of our fonts.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from at4ramt.files import whole_file


@dataclass(frozen=True)
class LineStyle:
    """The look of one arm in every figure."""

    label: str
    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]


ARM_STYLES = {
    "base": LineStyle("base", "#000000", "o", "-"),
    "offset_removed": LineStyle("base, offset removed", "#CC79A7", "X", (0, (5, 1, 1, 1, 1, 1))),
    "mean_removed": LineStyle("base, mean removed", "#666666", "p", (0, (1, 2))),
    "clean": LineStyle("clean, same epochs", "#0072B2", "^", (0, (5, 2))),
    "augmented": LineStyle("augmented", "#009E73", "D", (0, (3, 1, 1, 1))),
    "fixed": LineStyle("fixed level", "#E69F00", "v", (0, (1, 1))),
    "adversarial": LineStyle("adversarial (paper)", "#D55E00", "s", "-"),
    "basic_pitch": LineStyle("basic-pitch 0.4.0", "#56B4E9", "P", (0, (2, 2))),
}
# Of the arms that a configuration adds; 7 and 9 share no divisor, so 63 arms differ.
_COLOURS = ("#332288", "#AA4499", "#117733", "#882255", "#999933", "#44AA99", "#CC6677")
_MARKERS = ("P", "*", "<", ">", "h", "d", "8", "H", "X")
_DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = ((0, (6, 2)), "--", "-.", (0, (2, 2)))
# Looks and labels of the arms of this run's configuration: start_figures.
_OF_THIS_RUN: dict[str, LineStyle] = {}

SPLIT_LABELS = {
    "training": "training works",
    "validation": "validation works on training pianos",
    "test": "test works on training pianos",
    "test_unseen_piano": "test works on held-out pianos",
}
THRESHOLD_LABELS = {"half": "threshold 0.5", "fitted": "threshold fitted on validation"}
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def _further_style(place: int, label: str) -> LineStyle:
    return LineStyle(
        label,
        _COLOURS[place % len(_COLOURS)],
        _MARKERS[place % len(_MARKERS)],
        _DASHES[place % len(_DASHES)],
    )


def arm_styles(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, LineStyle]:
    """Return the style of each arm of the config's table ``arms``, with its label if it has one.

    The arms that every run has keep their looks; the others get theirs by their
    order, so that no two are alike.
    """
    further = [arm for arm in arms if arm not in ARM_STYLES]
    known = ARM_STYLES | {
        arm: _further_style(place, arm.replace("_", " ")) for place, arm in enumerate(further)
    }
    return {
        arm: replace(known[arm], label=str(row.get("label", known[arm].label)))
        for arm, row in arms.items()
    }


def arm_style(arm: str) -> LineStyle:
    """Return the style of an arm; one that the run does not know gets a look fixed by its name."""
    if arm in _OF_THIS_RUN:
        return _OF_THIS_RUN[arm]
    if arm in ARM_STYLES:
        return ARM_STYLES[arm]
    return _further_style(sum(map(ord, arm)), arm.replace("_", " "))


def order_splits(splits: Iterable[str]) -> list[str]:
    """Return the splits without repeats, in the order training, validation, test, held out."""
    known = list(SPLIT_LABELS)
    return sorted(
        set(splits), key=lambda split: (known.index(split) if split in known else len(known), split)
    )


def split_label(split: str) -> str:
    """Return a split's name for readers."""
    return SPLIT_LABELS.get(split, split.replace("_", " "))


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, with middle C (60) as C4."""
    return f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"


def label_pitch_axis(
    axes: Axes,
    lowest: int,
    count: int,
    *,
    vertical: bool = True,
    offset: float = 0.0,
    scale: float = 1.0,
) -> None:
    """Mark every C on an axis whose data coordinate is ``offset + scale * (pitch - lowest)``."""
    pitches = [pitch for pitch in range(lowest, lowest + count) if pitch % 12 == 0]
    where = [offset + scale * (pitch - lowest) for pitch in pitches]
    names = [pitch_name(pitch) for pitch in pitches]
    if vertical:
        axes.set_yticks(where, names)
    else:
        axes.set_xticks(where, names)


def start_figures(arms: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Set what all figures share. Call it before the first figure of a job.

    ``arms`` is the config's table of arms: where arms are drawn, they have its labels.
    """
    import seaborn as sns

    _OF_THIS_RUN.clear()
    _OF_THIS_RUN.update(arm_styles(arms or {}))

    # A matplotlibrc of the user's, or in the working directory, says nothing of our figures.
    matplotlib.rcdefaults()
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update(
        {
            "svg.fonttype": "path",
            # Without a fixed salt, the identifiers inside an SVG differ from run to run.
            "svg.hashsalt": "at4ramt",
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "axes.titlesize": "medium",
            "lines.markersize": 6,
            "legend.frameon": True,
            "legend.framealpha": 0.9,
        }
    )


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write ``figure`` as SVG, the same bytes each time, and close it."""
    with whole_file(path) as temporary:
        figure.savefig(
            temporary,
            format="svg",
            facecolor="white",
            metadata={"Date": None, "Creator": "AT4rAMT"},
        )
    plt.close(figure)


def draw_line(axes: Axes, arm: str, across: Any, along: Any, **extra: Any) -> None:
    """Draw one arm's line with its colour, dashes and markers."""
    style = arm_style(arm)
    look: dict[str, Any] = {
        "color": style.colour,
        "marker": style.marker,
        "linestyle": style.dash,
        "label": style.label,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }
    axes.plot(across, along, **(look | extra))


def draw_intervals(
    axes: Axes,
    arm: str,
    across: Any,
    middle: Any,
    low: Any,
    high: Any,
    shift: float = 0.0,
    **extra: Any,
) -> None:
    """Draw one arm's line with an error bar at each point.

    ``shift`` moves the arm sideways, so that the bars of several arms stay
    apart. Bars without ends (one piece has no interval) are left out.
    """
    across, middle = np.asarray(across, float) + shift, np.asarray(middle, float)
    draw_line(axes, arm, across, middle, **extra)
    low, high = np.asarray(low, float), np.asarray(high, float)
    known = np.isfinite(low) & np.isfinite(high)
    axes.vlines(
        across[known],
        low[known],
        high[known],
        color=extra.get("color", arm_style(arm).colour),
        linewidth=1.4,
        alpha=0.8,
    )


def start_at_zero(grid: np.ndarray) -> None:
    """Let the vertical axes of ``grid`` begin at 0, after everything has been drawn.

    Done earlier, it would stop panels that share an axis from growing.
    """
    for axes in grid.flat:
        axes.set_ylim(0, axes.get_ylim()[1])


_COLUMN_INCHES = 2.9


def shared_legend(figure: Figure | SubFigure, axes: Axes, *, columns: int = 3) -> None:
    """Put the legend of ``axes`` below the whole figure, where it hides no data.

    In a narrow figure it has fewer columns: labels of arms are long.
    """
    handles, labels = axes.get_legend_handles_labels()
    room = int(figure.bbox.width / figure.dpi / _COLUMN_INCHES)
    if handles:
        ncols = max(1, min(columns, room))
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols)


# Of the small text above figures; with 15 of them the study's longest lines were cut off.
_LETTERS_AN_INCH = 14.5
_LINE_INCHES = 0.155


def say_above(figure: Figure, sentences: Sequence[str], title: str = "") -> None:
    """Write sentences above a figure, wrapped to its width; it grows by their height.

    ``title`` is the figure's own, below them. Call it last, before the figure is saved.
    """
    width, height = figure.get_size_inches()
    across = int(_LETTERS_AN_INCH * width)
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, across)]
    lines += ["", title] if lines and title else [title] if title else []
    figure.set_size_inches(width, height + _LINE_INCHES * (len(lines) + 1))
    figure.suptitle(
        "\n".join(lines), x=0.01, ha="left", fontsize="small", linespacing=1.2, parse_math=False
    )


def say_empty(axes: Axes, reason: str) -> None:
    """Say in the figure itself why there is nothing to draw."""
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, wrap=True)
    axes.set_axis_off()


def save_empty(path: str | Path, reason: str) -> None:
    """Save a figure that says alone why there is nothing to draw."""
    figure, axes = plt.subplots(figsize=(10, 1.2))
    say_empty(axes, reason)
    save_figure(figure, path)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; font-size: 15px; line-height: 1.45; color: #111;
       background: #fff; margin: 1.5em; max-width: 76em; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.2em; margin-top: 1.6em; }}
table {{ border-collapse: collapse; margin: 0.8em 0; }}
caption {{ text-align: left; font-weight: bold; padding: 0.3em 0; }}
th, td {{ border-bottom: 1px solid #bbb; padding: 0.25em 0.7em; text-align: left;
          vertical-align: top; }}
th {{ background: #eee; border-bottom: 2px solid #555; }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ background: #f4f4f4; padding: 0.8em; overflow: auto; }}
p.note {{ color: #333; max-width: 52em; }}
li {{ max-width: 60em; margin-bottom: 0.5em; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write_page(path: str | Path, title: str, *parts: str) -> None:
    """Write a page of HTML that needs no script, no network and no other file."""
    with whole_file(path) as temporary:
        temporary.write_text(
            _PAGE.format(title=html.escape(title), body="\n".join(parts)), encoding="utf-8"
        )


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write ``table`` as CSV with enough digits to compare, whole or not at all."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def subheading(text: str) -> str:
    """Return a heading below those of sections."""
    return f"<h3>{html.escape(text)}</h3>"


def heading(text: str) -> str:
    """Return a section heading."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f'<p class="note">{html.escape(text)}</p>'


def bullet_list(sentences: Iterable[str]) -> str:
    """Return a list, one point a sentence."""
    points = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{points}</ul>"


def preformatted(text: str) -> str:
    """Return text whose line breaks matter."""
    return f"<pre>{html.escape(text)}</pre>"


def html_table(
    table: pd.DataFrame,
    caption: str = "",
    formats: Mapping[str, str | Callable[[Any], str]] | None = None,
) -> str:
    """Return ``table`` as HTML.

    ``formats`` maps a column to a format specification such as ``".3f"`` or to
    a function. Missing values are shown as a dash, numbers are aligned right.
    """
    formats = formats or {}

    def shown(column: str, value: Any) -> str:
        if value is None or (not isinstance(value, list | dict) and pd.isna(value)):
            return "–"
        how = formats.get(column)
        if callable(how):
            return how(value)
        if how is not None:
            return format(value, how)
        whole = isinstance(value, int) and not isinstance(value, bool)
        return f"{value:,}" if whole else str(value)

    kinds = {
        column: ' class="number"' if pd.api.types.is_numeric_dtype(table[column]) else ""
        for column in table.columns
    }
    lines = ["<table>"]
    if caption:
        lines.append(f"<caption>{html.escape(caption)}</caption>")
    lines.append(
        "<thead><tr>"
        + "".join(f"<th{kinds[column]}>{html.escape(str(column))}</th>" for column in table.columns)
        + "</tr></thead><tbody>"
    )
    for row in table.to_dict("records"):
        lines.append(
            "<tr>"
            + "".join(
                f"<td{kinds[str(column)]}>{html.escape(shown(str(column), value))}</td>"
                for column, value in row.items()
            )
            + "</tr>"
        )
    lines.append("</tbody></table>")
    return "\n".join(lines)
