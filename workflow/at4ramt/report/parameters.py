"""Figures of what training does to the parameters: distances, first filters, offsets.

All are derived from the tables of ``at4ramt.evaluation.parameters``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from at4ramt.evaluation.parameters import BASES
from at4ramt.evaluation.tables import order_arms
from at4ramt.report import noisy, style
from at4ramt.report.study import Arms, draw_matrix

BASES_LABEL = "between bases of two seeds"
_SHOWN_FILTERS = 8
_LAYERS_SIDE_BY_SIDE = 8
"""Of more layers the names stand aslant."""


def last_distances(distances: pd.DataFrame) -> pd.DataFrame:
    """Return mean, minimum and maximum over seeds of each arm's distance after its last round.

    Columns arm, layer, mean, min, max, seeds; the bases' distances among themselves are
    an arm of their own.
    """
    last = distances.groupby("arm", sort=False)["round"].transform("max")
    kept = distances[distances["round"] == last]
    table = kept.groupby(["arm", "layer"], sort=False)["relative"].agg(["mean", "min", "max"])
    return table.assign(
        seeds=kept.groupby(["arm", "layer"], sort=False)["seed"].nunique()
    ).reset_index()


def plot_distances(
    distances: pd.DataFrame, path: str | Path, *, arms: Arms, said: Sequence[str]
) -> None:
    """Draw each layer's distance from the base over the rounds, and at the end, of all arms.

    ``said`` are the sentences that stand above it, as in the other figures.
    """
    layers = list(dict.fromkeys(distances["layer"]))
    trained = distances[distances["arm"] != BASES]
    order = [arm for arm in arms if arm in set(trained["arm"])]
    order += sorted(set(trained["arm"]) - set(order))
    lines = -(-len(layers) // 3) * (trained["round"].max() > 1)
    many = len(layers) > _LAYERS_SIDE_BY_SIDE
    heights = [3.2 * lines + 0.8] if lines else []
    heights += [1.9 + 0.27 * len(order) + many]
    figure = plt.figure(figsize=(11, sum(heights)))
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).flat
    if lines:
        _draw_rounds(next(parts), trained, layers, lines)
    _draw_last_round(next(parts), last_distances(distances), layers, order, many)
    style.say_above(figure, said)
    style.save_figure(figure, path)


def _draw_rounds(figure: Any, trained: pd.DataFrame, layers: Sequence[str], lines: int) -> None:
    """Draw each layer's distance after each round, mean and range of the seeds."""
    grid = figure.subplots(lines, min(3, len(layers)), squeeze=False, sharex=True)
    for axes in grid.flat[len(layers) :]:
        axes.set_axis_off()
    for axes, layer in zip(grid.flat, layers, strict=False):
        for arm in noisy.drawn_arms(trained["arm"]):
            of_arm = trained[(trained["arm"] == arm) & (trained["layer"] == layer)]
            by_round = of_arm.groupby("round")["relative"]
            middle = by_round.mean()
            style.draw_line(axes, arm, middle.index, middle, markersize=5)
            axes.vlines(
                middle.index, by_round.min(), by_round.max(), color=style.arm_style(arm).colour
            )
        axes.set_title(layer)
        axes.set_xlabel("noise round")
        axes.set_ylabel("distance / norm of base")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelbottom=True)
        axes.set_ylim(0, axes.get_ylim()[1])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _draw_last_round(
    figure: Any, table: pd.DataFrame, layers: Sequence[str], order: Sequence[str], many: bool
) -> None:
    """Draw the matrix of arms and layers; ``table`` is that of :func:`last_distances`."""
    among = BASES in set(table["arm"])
    rows = [*order, BASES] if among else list(order)
    names = [style.arm_style(arm).label for arm in order] + [BASES_LABEL] * among
    axes = figure.subplots()
    values = table.pivot_table(index="arm", columns="layer", values="mean")
    shown = values.reindex(index=rows, columns=layers).to_numpy(float)
    ours = shown[: len(order)]
    image = draw_matrix(
        axes,
        shown,
        limits=(0.0, float(np.nanmax(ours)) if np.isfinite(ours).any() else 1.0),
        colours="viridis",
        fontsize=6.5 if many else 8.5,
    )
    if among:
        axes.axhline(len(order) - 0.5, color="white", linewidth=3)
    axes.set_yticks(range(len(rows)), names)
    axes.set_xticks(range(len(layers)), layers)
    if many:
        aslant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor", "fontsize": 8}
        plt.setp(axes.get_xticklabels(), **aslant)
    axes.set_xlabel("layer")
    axes.set_title("after the last round, mean over seeds")
    figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02).set_label("distance / norm of base")


def changed_most(filters: pd.DataFrame, arm: str, seed: int, count: int) -> list[int]:
    """Return the filters that training changed most, relative to their norm in the base."""
    rows = filters[filters["seed"] == seed]
    weights = {
        name: rows[rows["arm"] == name]
        .sort_values(["filter", "frame", "bin"])
        .groupby("filter")["weight"]
        .apply(np.asarray)
        for name in ("base", arm)
    }
    change = pd.Series(
        {
            number: np.linalg.norm(weights[arm][number] - start) / np.linalg.norm(start)
            for number, start in weights["base"].items()
        }
    )
    return [int(number) for number in change.nlargest(count).index]


def plot_filters(
    filters: pd.DataFrame, path: str | Path, *, lead: str, said: Sequence[str]
) -> None:
    """Draw first filters before and after training, those that the arm ``lead`` changed most.

    A column a filter, a row a model: the base, the arm ``clean`` if it was trained, and
    ``lead``, all of the first seed.
    """
    figure_of = [arm for arm in ("base", "clean", lead) if arm in set(filters["arm"])]
    arms = list(dict.fromkeys(figure_of))
    seed = int(filters["seed"].min())
    numbers = changed_most(filters, lead, seed, _SHOWN_FILTERS)
    figure, grid = plt.subplots(
        len(arms),
        len(numbers),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(1.6 + 1.15 * len(numbers), 1.2 + 2.3 * len(arms)),
    )
    chosen = filters[filters["seed"] == seed]
    reach = float(chosen[chosen["filter"].isin(numbers)]["weight"].abs().max())
    image: Any = None
    for line, arm in enumerate(arms):
        for column, number in enumerate(numbers):
            axes = grid[line, column]
            rows = chosen[(chosen["arm"] == arm) & (chosen["filter"] == number)]
            kernel = rows.pivot_table(index="bin", columns="frame", values="weight").to_numpy()
            image = axes.imshow(
                kernel,
                cmap="RdBu_r",
                vmin=-reach,
                vmax=reach,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
            )
            axes.grid(visible=False)
            share = kernel.sum() / np.abs(kernel).sum()
            head = f"filter {number}\n" if line == 0 else ""
            axes.set_title(f"{head}{share:+.2f}".replace("-", "−"), fontsize="small")
            axes.set_xticks(range(0, kernel.shape[1], 2))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
            if line == len(arms) - 1:
                axes.set_xlabel("frame", fontsize="small")
        grid[line, 0].set_ylabel(f"{style.arm_style(arm).label}\nbin")
    figure.colorbar(image, ax=grid, fraction=0.03, pad=0.01).set_label("weight")
    style.say_above(figure, said)
    style.save_figure(figure, path)


def plot_responses(
    responses: pd.DataFrame, path: str | Path, *, arms: Arms, said: Sequence[str]
) -> None:
    """Draw what an offset adds to the first filters, a row an arm, a point a filter.

    ``responses`` is the table of ``offset_responses``.
    """
    present = set(responses["arm"])
    order = [arm for arm in ("base", *arms) if arm in present]
    order += order_arms([arm for arm in present if arm not in order])
    figure, axes = plt.subplots(figsize=(9, 1.9 + 0.36 * len(order)))
    for place, arm in enumerate(order):
        of_arm = responses[responses["arm"] == arm]
        size = of_arm["response"].abs()
        look = style.arm_style(arm)
        # Points are spread over the row's height in the order of the filters, not by chance.
        spread = (of_arm["filter"] % 7 - 3) * 0.08
        axes.plot(size, place + spread, "o", color=look.colour, markersize=3, alpha=0.45, zorder=2)
        axes.plot(
            [size.mean()] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2, zorder=3
        )
        axes.text(
            1.01,
            place,
            f"{size.mean():.3f}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
        )
    axes.text(1.01, 1.01, "mean", transform=axes.transAxes, va="bottom", fontsize="small")
    axes.set_yticks(range(len(order)), [style.arm_style(arm).label for arm in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(0, None)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("size of a filter's response to an offset: |sum of weights| / sum of |weights|")
    handles = [
        Line2D([], [], marker="o", linestyle="", color="#555555", markersize=4, label="a filter"),
        Line2D([], [], color="black", linewidth=2, label="mean of the arm's filters"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    style.say_above(figure, said)
    style.save_figure(figure, path)


def trained_pairs(responses: pd.DataFrame, lead: str) -> Sequence[tuple[str, str]]:
    """Return the arms whose responses are compared: the base's with each, and clean's with lead."""
    others = [arm for arm in order_arms(list(responses["arm"])) if arm != "base"]
    return [*((arm, "base") for arm in others), (lead, "clean")]
