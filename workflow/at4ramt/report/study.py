"""Figures of the study: every arm in every noise, one thing changed, octaves, levels.

All are derived from the tables of ``at4ramt.evaluation.study_tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from at4ramt.evaluation.study_tables import PITCHES_OF_OCTAVE
from at4ramt.report import noisy, style
from at4ramt.report.summary import few_pieces, signed
from at4ramt.report.systems import ratio_label

Arms = Mapping[str, Mapping[str, Any]]
Condition = tuple[str, str, float]
"""Where the noise was added (``magnitudes`` or ``audio``), its kind, and its level or ratio."""

CLEAN: Condition = ("magnitudes", "none", 0.0)
AUDIO_RATIOS_DB = (0.0, -8.0)
QUESTIONS = {
    "schedule": "the schedule",
    "noise": "the kind of noise",
    "adversary": "the adversary",
    "regularisation": "noise or regularisation",
    "offset": "the offset",
    "reference": "the search's reference",
    "redraw": "noise drawn anew",
    "search": "range and size of the search",
    "chance": "random draws alone",
    "other": "not asked by the paper",
}
"""What the groups of arms are called, by the question that the config's table gives them."""

FREE_CONTROLS: Arms = {
    arm: {"against": "base", "question": "offset"} for arm in ("offset_removed", "mean_removed")
}
"""What the base is compared with as if it were a row of the table of arms: no training at all."""

NOISES = {
    "none": "clean",
    "uniform": "uniform",
    "uniform_centred": "uniform, centred",
    "gaussian": "Gaussian",
    "gaussian_rectified": "Gaussian, rectified",
    "white": "white",
    "pink": "pink",
    "brown": "brown",
    "blue": "blue",
    "violet": "violet",
    "gradient": "gradient",
    "hum": "hum",
    "babble": "babble",
    "room": "room",
    "mixed": "mixed",
}
# Cells whose text is white on a dark colour, by the share of the scale.
_DARK_BELOW = 0.5
_HIGHLIGHT = "#000000"
_CHART_INCHES = 2.9


def noise_label(noise: str) -> str:
    """Return a kind of noise in words, wherever it is added."""
    name = noise.removeprefix("audio_")
    words = NOISES.get(name, name.replace("_", " "))
    return f"audio: {words}" if noise.startswith("audio_") else words


def condition_label(condition: Condition) -> str:
    """Return what a heading calls a condition."""
    domain, noise, amount = condition
    if domain == "magnitudes":
        return "clean" if noise == "none" else f"{noise_label(noise)} noise, level {amount:g}"
    if noise == "none":
        return "clean audio"
    what = "audio in a room" if noise == "room" else f"{noise_label(noise)} noise in the audio"
    return f"{what}, {ratio_label(amount)} dB" if np.isfinite(amount) else what


def nearest_amount(rows: pd.DataFrame, wanted: float) -> float:
    """Return the amount of these rows of one noise that is nearest to the one wanted."""
    amounts = rows["amount"].unique().tolist()
    finite = [float(amount) for amount in amounts if np.isfinite(amount)]
    return min(finite, key=lambda amount: abs(amount - wanted)) if finite else float(amounts[0])


def matrix_conditions(counts: pd.DataFrame, level: float, snr_db: float) -> list[Condition]:
    """Return the columns of the transfer matrix: clean, the kinds at one level, the audio's.

    ``counts`` has the columns of a condition; of each noise the amount nearest to
    ``level`` or ``snr_db`` is taken.
    """
    known = list(NOISES)
    found: list[Condition] = []
    for domain, wanted in (("magnitudes", level), ("audio", snr_db)):
        rows = counts[counts["domain"] == domain]
        noises = sorted(
            set(rows["noise"]), key=lambda n: (known.index(n) if n in known else len(known), n)
        )
        found.extend(
            (domain, noise, nearest_amount(rows[rows["noise"] == noise], wanted))
            for noise in noises
        )
    return found


def main_conditions(counts: pd.DataFrame, level: float) -> list[Condition]:
    """Return clean, the paper's noise at the level nearest to ``level``, and white noise in audio.

    The latter at the ratios of AUDIO_RATIOS_DB, where the audio was scored at them.
    """
    uniform = counts[(counts["domain"] == "magnitudes") & (counts["noise"] == "uniform")]
    white = counts[(counts["domain"] == "audio") & (counts["noise"] == "white")]
    found = [CLEAN]
    if len(uniform):
        found.append(("magnitudes", "uniform", nearest_amount(uniform, level)))
    there = set(white["amount"])
    return found + [("audio", "white", ratio) for ratio in AUDIO_RATIOS_DB if ratio in there]


def recording_conditions(counts: pd.DataFrame) -> list[Condition]:
    """Return audio without noise, then in every kind, each from the mildest to the loudest."""
    audio = counts[counts["domain"] == "audio"]
    scored = set(zip(audio["noise"], audio["amount"].astype(float), strict=True))
    known = list(NOISES)
    order = sorted(scored, key=lambda one: (known.index(one[0]), -one[1]))
    return [("audio", noise, amount) for noise, amount in order]


def recording_pairs(present: Iterable[str], arms: Arms, lead: str) -> list[tuple[str, str]]:
    """Return the arms to compare in noise in the audio: with the base, and ``lead`` with clean.

    They are those that every figure draws and those that were trained on such noise; the latter
    are compared with their partners on magnitudes too.
    """
    there = set(present)
    trained = noisy.acoustic_arms(arms)
    names = [arm for arm in (*noisy.STANDARD_ARMS, *trained) if arm in there and arm != "base"]
    pairs = [(arm, "base") for arm in dict.fromkeys(names)] + [(lead, "clean")]
    pairs += [(arm, str(arms[arm].get("against", lead))) for arm in trained]
    return [(arm, other) for arm, other in dict.fromkeys(pairs) if {arm, other} <= there]


def further_pairs(present: Iterable[str], arms: Arms, lead: str) -> list[tuple[str, str]]:
    """Return pairs for what an arm and the one that it differs from in one thing leave open.

    Whether regularisation, or an input without its offset, does what noise does is answered by
    ``lead`` alone; whether training adds to the offset's removal by the base without it.
    """
    there = set(present)
    quiet = [arm for arm, row in arms.items() if row["noise"] == "none" and arm != "clean"]
    medians = [arm for arm in quiet if arms[arm].get("input") == "median"]
    pairs = [(arm, lead) for arm in ("offset_removed", *quiet) if lead not in (arm, "base")]
    pairs += [(arm, "offset_removed") for arm in medians]
    return [(arm, other) for arm, other in pairs if {arm, other} <= there]


def select(table: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """Return the rows of one condition."""
    domain, noise, amount = condition
    return table[
        (table["domain"] == domain) & (table["noise"] == noise) & (table["amount"] == amount)
    ]


def training_groups(present: Iterable[str], arms: Arms) -> list[tuple[str, list[str]]]:
    """Return the arms in groups by the noise they were trained on, each with its name.

    The untouched base and what is made of it without training come first.
    """
    there = set(present)
    groups: dict[str, list[str]] = {}
    free = [arm for arm in noisy.FREE_ARMS if arm in there]
    if free:
        groups["not trained\nfurther"] = free
    kinds = dict.fromkeys(str(row["noise"]) for arm, row in arms.items() if arm in there)
    order = ["none", *(name for name in NOISES if name != "none")]
    for kind in sorted(kinds, key=lambda k: (order.index(k) if k in order else len(order), k)):
        name = "no noise" if kind == "none" else noise_label(kind).replace(", ", ",\n")
        groups[name] = [arm for arm, row in arms.items() if arm in there and row["noise"] == kind]
    unknown = sorted(there - {arm for group in groups.values() for arm in group})
    if unknown:
        groups["other"] = unknown
    return list(groups.items())


def question_groups(
    pairs: Sequence[tuple[str, str]], arms: Arms
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the pairs of arms under the questions that they answer, each by its key."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for question in QUESTIONS:
        chosen = [pair for pair in pairs if arms[pair[0]].get("question", "other") == question]
        if chosen:
            groups[question] = chosen
    return list(groups.items())


def _grid(
    table: pd.DataFrame, arms: Sequence[str], columns: Sequence[Condition], name: str
) -> np.ndarray:
    """Return one column of the table as arm x condition, NaN where nothing was scored."""
    values = np.full((len(arms), len(columns)), np.nan)
    for place, condition in enumerate(columns):
        rows = select(table, condition).set_index("arm")[name]
        values[:, place] = rows.reindex(arms).to_numpy(float)
    return values


def draw_matrix(
    axes: Axes,
    values: np.ndarray,
    *,
    limits: tuple[float, float],
    colours: str,
    text: str = "{:.2f}",
    marked: np.ndarray | None = None,
    fontsize: float = 7.5,
) -> Any:
    """Draw a matrix with its values in the cells; a box marks those of ``marked``.

    With ``marked`` given, the values of the other cells are grey. Cells without a
    value stay empty.
    """
    low, high = limits
    image = axes.imshow(
        np.ma.masked_invalid(values), vmin=low, vmax=high, cmap=colours, aspect="auto"
    )
    axes.grid(visible=False)
    for (line, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            axes.text(column, line, "–", ha="center", va="center", fontsize=fontsize)
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < _DARK_BELOW
        sure = marked is None or bool(marked[line, column])
        shade = ("white" if dark else "black") if sure else ("#DDDDDD" if dark else "#666666")
        shown = text.format(value).replace("-", "−").replace("0.", ".", 1)
        axes.text(column, line, shown, ha="center", va="center", fontsize=fontsize, color=shade)
        if marked is not None and sure:
            axes.add_patch(
                Rectangle(
                    (column - 0.46, line - 0.44),
                    0.92,
                    0.88,
                    fill=False,
                    edgecolor=_HIGHLIGHT,
                    linewidth=0.9,
                    zorder=4,
                )
            )
    return image


def plot_transfer(
    table: pd.DataFrame,
    path: str | Path,
    *,
    arms: Arms,
    split: str,
    kind: str,
    level: float,
    snr_db: float,
    reference: str,
    said: Sequence[str],
) -> None:
    """Draw F1 of every arm in every noise, and its difference from the arm ``reference``.

    ``table`` is that of ``transfer_table``; ``kind`` is the threshold; ``said`` are the sentences
    that stand above it, as in the other figures.
    """
    rows = table[(table["split"] == split) & (table["threshold_kind"] == kind)]
    columns = matrix_conditions(rows, level, snr_db)
    groups = training_groups(rows["arm"], arms)
    order = [arm for _, group in groups for arm in group]
    values = _grid(rows, order, columns, "f1")
    gaps = _grid(rows, order, columns, "difference")
    # That an arm does not differ from itself is no result.
    gaps[[arm == reference for arm in order]] = np.nan
    low, high = (_grid(rows, order, columns, f"difference_{end}") for end in ("low", "high"))
    height = 0.29 * len(order)
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(4.6 + 0.47 * len(columns), 2 * (height + 1.9)), sharex=False
    )
    reach = float(np.nanmax(np.abs(gaps))) if np.isfinite(gaps).any() else 0.1
    panels = (
        (
            above,
            values,
            (np.floor(10 * np.nanmin(values)) / 10, float(np.nanmax(values))),
            "viridis",
            "{:.2f}",
            None,
            "F1 (pooled)",
        ),
        (
            below,
            gaps,
            (-reach, reach),
            "RdBu",
            "{:+.3f}",
            (low > 0) | (high < 0),
            f"F1 minus that of\n'{style.arm_style(reference).label}'",
        ),
    )
    ends = np.cumsum([len(group) for _, group in groups])
    first_audio = sum(domain == "magnitudes" for domain, _, _ in columns)
    for axes, shown, limits, colours, text, marked, words in panels:
        image = draw_matrix(axes, shown, limits=limits, colours=colours, text=text, marked=marked)
        axes.set_yticks(range(len(order)), [style.arm_style(arm).label for arm in order])
        axes.set_xticks(
            range(len(columns)),
            [noise_label(noise) for _, noise, _ in columns],
            rotation=45,
            ha="right",
            rotation_mode="anchor",
        )
        for end in ends[:-1]:
            axes.axhline(end - 0.5, color="white", linewidth=3)
        if 0 < first_audio < len(columns):
            axes.axvline(first_audio - 0.5, color="white", linewidth=3)
        for (name, group), end in zip(groups, ends, strict=True):
            axes.text(
                1.01,
                end - 0.5 - len(group) / 2,
                name,
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize="small",
                linespacing=0.95,
            )
        _head(axes, columns, first_audio)
        axes.set_ylabel("arm (right: the noise it was trained on)")
        axes.set_xlabel("noise it was tested in")
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.14, aspect=30)
        bar.set_label(words)
    above.set_title(
        f"{style.split_label(split)}, {style.THRESHOLD_LABELS[kind]}: F1", pad=34, loc="left"
    )
    below.set_title("difference; boxed where the 95 % interval leaves out 0", pad=34, loc="left")
    style.say_above(figure, said)
    style.save_figure(figure, path)


def _head(axes: Axes, columns: Sequence[Condition], first_audio: int) -> None:
    """Write above a matrix where its columns' noise was added, and how much."""
    for domain, start, stop in (
        ("magnitudes", 0, first_audio),
        ("audio", first_audio, len(columns)),
    ):
        amounts = [amount for where, noise, amount in columns[start:stop] if noise != "none"]
        finite = [amount for amount in amounts if np.isfinite(amount)]
        if not finite:
            continue
        told = f"level {finite[0]:g}" if domain == "magnitudes" else f"{ratio_label(finite[0])} dB"
        name = "on the magnitudes" if domain == "magnitudes" else "in the audio"
        axes.text(
            (start + stop - 1) / 2,
            1.01,
            f"{name},\n{told}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize="small",
        )


def difference_label(arm: str, against: str) -> str:
    """Return what a row of differences is called."""
    return f"{style.arm_style(arm).label}\n− {style.arm_style(against).label}"


_KINDS: dict[str, tuple[float, str, Literal["full", "none"]]] = {
    "fitted": (-0.17, "o", "full"),
    "half": (0.17, "s", "none"),
}


def plot_changes(
    table: pd.DataFrame,
    path: str | Path,
    *,
    arms: Arms,
    split: str,
    conditions: Sequence[Condition],
    said: Sequence[str],
) -> None:
    """Draw the differences of ``change_table`` with their intervals, a panel a condition.

    Rows are the pairs of arms under the questions they answer.
    """
    rows = table[table["split"] == split]
    pairs = list(dict.fromkeys(zip(rows["arm"], rows["against"], strict=True)))
    groups = question_groups(pairs, arms)
    labels: list[str] = []
    heads: list[int] = []
    places: dict[tuple[str, str], int] = {}
    for question, group in groups:
        heads.append(len(labels))
        labels.append(QUESTIONS[question].upper())
        for pair in group:
            places[pair] = len(labels)
            labels.append(difference_label(*pair))
    figure, grid = plt.subplots(
        1,
        len(conditions),
        squeeze=False,
        sharey=True,
        figsize=(3.0 + _CHART_INCHES * len(conditions), 1.9 + 0.46 * len(labels)),
    )
    for axes, condition in zip(grid[0], conditions, strict=True):
        here = select(rows, condition)
        axes.axvline(0, color="black", linewidth=1)
        for (arm, against, kind), group in here.groupby(["arm", "against", "threshold_kind"]):
            shift, marker, fill = _KINDS[str(kind)]
            line = places[str(arm), str(against)] + shift
            whole = group[group["seed"] == "all"].iloc[0]
            seeds = group[group["seed"] != "all"]
            look = style.arm_style(str(arm))
            if len(seeds) > 1:
                axes.plot(
                    seeds["difference"],
                    np.full(len(seeds), line),
                    "|",
                    color="#555555",
                    markersize=7,
                    zorder=2,
                )
            axes.hlines(line, whole["low"], whole["high"], color=look.colour, linewidth=2)
            axes.plot(
                whole["difference"],
                line,
                marker,
                color=look.colour,
                fillstyle=fill,
                markersize=6,
                zorder=3,
            )
        axes.set_title(condition_label(condition).replace(", ", "\n", 1))
        axes.set_xlabel("difference in F1")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_yticks(range(len(labels)), labels, fontsize="small", linespacing=0.95)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        for head in heads:
            axes.axhspan(head - 0.42, head + 0.42, color="#DDDDDD", linewidth=0)
    for head in heads:
        grid[0, 0].get_yticklabels()[head].set_fontweight("bold")
    figure.legend(handles=_change_handles(), loc="outside lower center", ncols=3)
    style.say_above(figure, said, style.split_label(split))
    style.save_figure(figure, path)


def _change_handles() -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color="black",
            marker=marker,
            fillstyle=fill,
            label=f"{style.THRESHOLD_LABELS[kind]}, 95 % interval over pieces",
        )
        for kind, (_, marker, fill) in _KINDS.items()
    ]
    return [
        *handles,
        Line2D([], [], color="#555555", marker="|", linestyle="", label="single seeds"),
    ]


def write_changes(table: pd.DataFrame, csv: str | Path, page: str | Path, *, arms: Arms) -> None:
    """Write the differences as CSV, and as a page by split and question."""
    style.write_csv(csv, table)
    parts = [
        style.paragraph(
            "F1 of an arm minus F1 of the arm it differs from in one thing, paired by seed and "
            "piece, mean over the seeds; in brackets the 95 % interval over pieces and, where "
            "there are several seeds, the lowest and highest of them. The marks say whether the "
            "interval leaves out zero."
        )
    ]
    ranges = (
        table[table["seed"] != "all"]
        .groupby(["split", "arm", "against", "threshold_kind", "domain", "noise", "amount"])[
            "difference"
        ]
        .agg(["min", "max", "size"])
    )
    whole = table[table["seed"] == "all"]
    for split in style.order_splits(whole["split"]):
        rows = whole[whole["split"] == split]
        pairs = list(dict.fromkeys(zip(rows["arm"], rows["against"], strict=True)))
        parts.append(style.heading(style.split_label(split).capitalize()))
        for question, group in question_groups(pairs, arms):
            shown = [
                _change_row(row, ranges)
                for pair in group
                for row in rows[(rows["arm"] == pair[0]) & (rows["against"] == pair[1])].to_dict(
                    "records"
                )
            ]
            parts.append(
                style.html_table(
                    pd.DataFrame(shown),
                    QUESTIONS[question].capitalize(),
                    {"F1": ".3f", "F1 of the other": ".3f"},
                )
            )
    style.write_page(page, "One thing changed: differences in F1", *parts)


def _change_row(row: Mapping[str, Any], ranges: pd.DataFrame) -> dict[str, Any]:
    keys = ("split", "arm", "against", "threshold_kind", "domain", "noise", "amount")
    seeds = ranges.loc[tuple(row[key] for key in keys)]
    if not np.isfinite(row["low"]):
        sign = few_pieces(int(row["pieces"]))
    elif row["low"] > 0:
        sign = "better"
    else:
        sign = "worse" if row["high"] < 0 else "no difference seen"
    interval = f"{signed(row['low'])} to {signed(row['high'])}" if np.isfinite(row["low"]) else "–"
    return {
        "arm": style.arm_style(row["arm"]).label,
        "compared with": style.arm_style(row["against"]).label,
        "condition": condition_label((row["domain"], row["noise"], row["amount"])),
        "threshold": "0.5" if row["threshold_kind"] == "half" else "fitted",
        "F1": row["f1_arm"],
        "F1 of the other": row["f1_against"],
        "difference": signed(row["difference"]),
        "95 % interval": interval,
        "seeds": f"{signed(seeds['min'])} to {signed(seeds['max'])}"
        if seeds["size"] > 1
        else "one",
        "verdict": sign,
    }


_PANELS_ACROSS = 3


def plot_recordings(
    table: pd.DataFrame, path: str | Path, *, split: str, kind: str, said: Sequence[str]
) -> None:
    """Draw differences between arms over the ratio of noise in the audio, a panel a noise.

    ``table`` is the ``change_table`` of :func:`recording_pairs`. Above is what every arm gains
    over the base, below the other pairs.
    """
    rows = table[
        (table["split"] == split) & (table["threshold_kind"] == kind) & (table["seed"] == "all")
    ]
    noises = [noise for noise in NOISES if noise != "none" and noise in set(rows["noise"])]
    if not noises:
        style.save_empty(path, f"no noise in the audio was scored on {style.split_label(split)}")
        return
    others = rows["against"] != "base"
    blocks = [
        (rows[~others], "F1 minus that of the base", lambda arm, _: style.arm_style(arm).label),
        (rows[others], "F1 minus that of another arm", difference_label),
    ]
    blocks = [block for block in blocks if len(block[0])]
    # Of all panels, which share their axis: one noise may have other ratios than another.
    ratios = sorted(rows["amount"].unique(), reverse=True)
    lines = -(-len(noises) // _PANELS_ACROSS)
    across = min(len(noises), _PANELS_ACROSS)
    figure = plt.figure(figsize=(max(8.0, 4.4 * across), (3.3 * lines + 0.9) * len(blocks)))
    parts = figure.subfigures(len(blocks), 1, squeeze=False).flat
    for part, (shown, words, label) in zip(parts, blocks, strict=True):
        grid = part.subplots(lines, across, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(noises) :]:
            axes.set_axis_off()
        for axes, noise in zip(grid.flat, noises, strict=False):
            _draw_ratios(axes, shown[shown["noise"].isin(["none", noise])], ratios, label)
            axes.set_title(noise_label(noise))
            axes.set_xlabel("signal-to-noise ratio [dB]")
            axes.tick_params(labelbottom=True, labelleft=True)
        for line in grid:
            line[0].set_ylabel(words)
        style.shared_legend(part, grid[0, 0])
    style.say_above(figure, said, f"{style.split_label(split)}, {style.THRESHOLD_LABELS[kind]}")
    style.save_figure(figure, path)


def _draw_ratios(
    axes: Axes, rows: pd.DataFrame, ratios: Sequence[float], label: Callable[[str, str], str]
) -> None:
    """Draw the differences of each pair of arms over the ratio, side by side with intervals."""
    pairs = list(dict.fromkeys(zip(rows["arm"], rows["against"], strict=True)))
    axes.axhline(0, color="black", linewidth=1)
    for place, (arm, against) in enumerate(pairs):
        run = rows[(rows["arm"] == arm) & (rows["against"] == against)]
        run = run.sort_values("amount", ascending=False)
        style.draw_intervals(
            axes,
            arm,
            run["amount"].map(list(ratios).index),
            run["difference"],
            run["low"],
            run["high"],
            shift=0.08 * (place - (len(pairs) - 1) / 2),
            label=label(arm, against),
            markersize=5,
        )
    axes.set_xticks(range(len(ratios)), [ratio_label(ratio) for ratio in ratios])


def octave_name(octave: int, lowest_pitch: int, pitches: int) -> str:
    """Return an octave's number with its lowest and highest pitch."""
    first = lowest_pitch + PITCHES_OF_OCTAVE * (octave - 1)
    last = min(first + PITCHES_OF_OCTAVE, lowest_pitch + pitches) - 1
    return f"{octave} ({style.pitch_name(first)}–{style.pitch_name(last)})"


def plot_octaves(
    table: pd.DataFrame,
    path: str | Path,
    *,
    split: str,
    kind: str,
    level: float,
    lowest_pitch: int,
    pitches: int,
    said: Sequence[str],
) -> None:
    """Draw the F1 that noise in one octave costs each octave of pitches, a panel an arm.

    ``table`` is that of ``octave_losses``; boxes mark what has an interval without 0.
    """
    rows = table[(table["split"] == split) & (table["threshold_kind"] == kind)]
    arms = noisy.drawn_arms(rows["arm"])
    noises, scored = sorted(rows["noise_octave"].unique()), sorted(rows["octave"].unique())
    reach = max(float(rows["lost"].abs().max()), 0.01)
    figure, grid = plt.subplots(
        1,
        len(arms),
        squeeze=False,
        sharey=True,
        figsize=(2.2 + 3.6 * len(arms), 2.2 + 0.55 * len(noises)),
    )
    image: Any = None
    for axes, arm in zip(grid[0], arms, strict=True):
        of_arm = rows[rows["arm"] == arm].set_index(["noise_octave", "octave"])
        index = pd.MultiIndex.from_product([noises, scored])
        shape = (len(noises), len(scored))
        lost, low, high = (
            of_arm[name].reindex(index).to_numpy(float).reshape(shape)
            for name in ("lost", "low", "high")
        )
        image = draw_matrix(
            axes,
            lost,
            limits=(-reach, reach),
            colours="PuOr",
            text="{:.3f}",
            marked=(low > 0) | (high < 0),
            fontsize=8.5,
        )
        axes.set_xticks(
            range(len(scored)),
            [octave_name(int(o), lowest_pitch, pitches) for o in scored],
            rotation=30,
            ha="right",
            rotation_mode="anchor",
            fontsize="small",
        )
        axes.set_yticks(
            range(len(noises)), [octave_name(int(o), lowest_pitch, pitches) for o in noises]
        )
        axes.set_title(style.arm_style(arm).label)
        axes.set_xlabel("octave of the pitches scored")
    grid[0, 0].set_ylabel("octave that the noise is in")
    figure.colorbar(image, ax=grid, fraction=0.03, pad=0.01).set_label(
        f"F1 lost to noise of level {level:g}"
    )
    style.say_above(figure, said, f"{style.split_label(split)}, {style.THRESHOLD_LABELS[kind]}")
    style.save_figure(figure, path)


def _level_groups(searched: Sequence[str], arms: Arms, lead: str) -> list[tuple[str, list[str]]]:
    """Return the arms whose level is searched by question, those they are compared with first."""
    groups = []
    for question, words in QUESTIONS.items():
        chosen = [
            arm
            for arm in searched
            if arm != lead and arms[arm].get("question", "other") == question
        ]
        against = {arms[arm].get("against", lead) for arm in chosen}
        partners = [arm for arm in searched if arm in against and arm not in chosen]
        if chosen:
            groups.append((words, partners + chosen))
    return groups


def plot_search_levels(
    levels: pd.DataFrame,
    scores: pd.DataFrame,
    path: str | Path,
    *,
    arms: Arms,
    lead: str,
    split: str,
    kind: str,
    conditions: Sequence[Condition],
    said: Sequence[str],
) -> None:
    """Draw the level of each round of the searched arms, and the F1 that they end at.

    ``levels`` is the table of ``searched_levels``, ``scores`` that of ``transfer_table``;
    ``conditions`` are those whose F1 is drawn, two of them. The last level of noise in the audio
    has its ratio beside it.
    """
    searched = [arm for arm in arms if arm in set(levels["arm"])]
    groups = _level_groups(searched, arms, lead)
    across = 2
    lines = -(-len(groups) // across)
    chart = 1.5 + 0.33 * len(searched)
    figure = plt.figure(figsize=(13, 3.6 * lines + chart))
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.6 * lines, chart))
    top, bottom = parts
    grid = top.subplots(lines, across, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(groups) :]:
        axes.set_axis_off()
    for axes, (words, group) in zip(grid.flat, groups, strict=False):
        for arm in group:
            _draw_levels(axes, levels[levels["arm"] == arm], arm)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelleft=True, labelbottom=True)
        axes.set_title(words)
        axes.set_xlabel("noise round")
        axes.set_ylabel("level found")
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    charts = bottom.subplots(1, 1 + len(conditions), squeeze=False, sharey=True)[0]
    last = levels[levels["round"] == levels.groupby("arm")["round"].transform("max")]
    names = [style.arm_style(arm).label for arm in searched]
    for place, arm in enumerate(searched):
        look = style.arm_style(arm)
        found = last.loc[last["arm"] == arm, "level"]
        charts[0].plot(found, np.full(len(found), place), "|", color="#555555", markersize=8)
        charts[0].plot(_middle(found), place, look.marker, color=look.colour)
        ratio = last.loc[last["arm"] == arm, "snr_audio_db"].mean()
        if np.isfinite(ratio):
            charts[0].text(
                found.min() / 1.2,
                place,
                f"{ratio:.1f} dB".replace("-", "−"),
                ha="right",
                va="center",
                fontsize="small",
            )
        for axes, condition in zip(charts[1:], conditions, strict=True):
            rows = select(scores, condition)
            rows = rows[
                (rows["arm"] == arm) & (rows["split"] == split) & (rows["threshold_kind"] == kind)
            ]
            for row in rows.to_dict("records"):
                axes.hlines(place, row["f1_low"], row["f1_high"], color=look.colour, linewidth=2)
                axes.plot(row["f1"], place, look.marker, color=look.colour)
    charts[0].set_xscale("log")
    charts[0].xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    charts[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    charts[0].xaxis.set_minor_formatter(NullFormatter())
    charts[0].set_xlim(last["level"].min() / 2, last["level"].max() * 2)
    charts[0].set_xlabel("level of the last round (marks: seeds)")
    charts[0].set_yticks(range(len(names)), names)
    charts[0].set_ylim(len(names) - 0.5, -0.5)
    for axes, condition in zip(charts[1:], conditions, strict=True):
        axes.set_xlabel(f"F1, {condition_label(condition)}")
        axes.tick_params(labelleft=False)
    bottom.suptitle(
        f"where they end: {style.split_label(split)}, {style.THRESHOLD_LABELS[kind]}",
        fontsize="medium",
    )
    style.say_above(figure, said)
    style.save_figure(figure, path)


def _middle(levels: pd.Series) -> float:
    """Return the geometric mean, as levels are multiplied and divided."""
    return float(np.exp(np.log(levels).mean()))


def _draw_levels(axes: Axes, rows: pd.DataFrame, arm: str) -> None:
    by_round = rows.groupby("round")["level"]
    middle = by_round.apply(_middle)
    style.draw_line(axes, arm, middle.index, middle, markersize=5)
    look = style.arm_style(arm)
    axes.fill_between(
        middle.index, by_round.min(), by_round.max(), color=look.colour, alpha=0.15, linewidth=0
    )
