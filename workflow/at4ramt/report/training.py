"""Figures and tables of the training: learning curves, noise rounds, level searches.

The counterparts in the paper are "Learning Curve", "Evolution within Noise
Rounds" and the pseudocode of "Noise Level Adjustments".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from at4ramt.evaluation.tables import order_arms
from at4ramt.files import read_json
from at4ramt.parquet import read_frame
from at4ramt.report import style
from at4ramt.report.noisy import PAPER_ARM, drawn_arms, lead_arm

SUBSETS = {"training": ("#0072B2", "o", "-"), "validation": ("#D55E00", "s", "--")}
VERDICTS = {
    "too_easy": ("^", "too easy: louder next", "#56B4E9"),
    "too_hard": ("v", "too hard: softer next", "#D55E00"),
    "in_range": ("o", "in range: taken", "#000000"),
}


def read_histories(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return the epochs of all the models, a row each, in the order arm, seed, round, epoch."""
    table = pd.concat([read_frame(path) for path in paths], ignore_index=True)
    return table.sort_values(["arm", "seed", "round", "epoch"], ignore_index=True)


def read_searches(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return the levels tried by all the searches, a row each; empty traces add nothing."""
    columns = [
        "arm",
        "seed",
        "round",
        "step",
        "level",
        "loss_clean",
        "loss_noisy",
        "increase",
        "verdict",
        "phase",
    ]
    tables = [read_frame(path) for path in paths]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame({column: pd.Series(dtype=object) for column in columns})
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(["arm", "seed", "round", "step"], ignore_index=True)


def read_rounds(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return what is on record about each model (the JSON beside it), a row each."""
    keys = [
        "arm",
        "seed",
        "round",
        "level",
        "search_status",
        "epochs",
        "threshold_fitted",
        "threshold_fitted_validation_f1",
        "seconds",
    ]
    records = [read_json(path) for path in paths]
    table = pd.DataFrame([{key: record.get(key) for key in keys} for record in records])
    order = {arm: place for place, arm in enumerate(order_arms(table["arm"]))}
    table = table.assign(place=table["arm"].map(order))
    return table.sort_values(["place", "seed", "round"], ignore_index=True).drop(columns="place")


def _measured(histories: pd.DataFrame, column: str, keys: str | list[str]) -> Any:
    """Return the runs by ``keys``, without the epochs that were not validated."""
    return histories.dropna(subset=[column]).groupby(keys)


def _mark_every(count: int) -> int:
    """Return how many points to go between markers so that about ten are drawn."""
    return max(1, count // 10)


def plot_base_curves(histories: pd.DataFrame, path: str | Path) -> None:
    """Draw the base's weighted and unweighted loss, F1, and precision with recall, over epochs."""
    base = histories[histories["round"] == 0]
    panels: list[tuple[str, Sequence[str]]] = [
        ("weighted loss [nats]", ("loss",)),
        ("unweighted cross-entropy [nats]", ("bce",)),
        ("F1 (pooled, threshold 0.5)", ("f1",)),
        ("precision and recall", ("precision", "recall")),
    ]
    figure, grid = plt.subplots(2, 2, figsize=(10, 7), sharex=True)
    for axes, (title, measures) in zip(grid.flat, panels, strict=True):
        for subset, (colour, marker, dash) in SUBSETS.items():
            for measure in measures:
                for place, (_, run) in enumerate(_measured(base, f"{subset}_{measure}", "seed")):
                    axes.plot(
                        run["epoch"],
                        run[f"{subset}_{measure}"],
                        color=colour,
                        linestyle=dash,
                        marker="x" if measure == "recall" else marker,
                        markevery=_mark_every(len(run)),
                        alpha=1.0 if place == 0 else 0.5,
                        label=(f"{subset} {measure}" if len(measures) > 1 else subset)
                        if place == 0
                        else None,
                    )
        if "loss" in measures:
            axes.axhline(
                np.log(2),
                color="#777777",
                linewidth=1,
                linestyle=":",
                label="chance, ln 2 (balanced weights)",
            )
        if measures[0] in ("f1", "precision"):
            axes.set_ylim(0, 1)
        axes.set_ylabel(title)
        axes.legend()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[1]:
        axes.set_xlabel("epoch of base training")
    style.save_figure(figure, path)


def _round_colours(rounds: Sequence[int]) -> tuple[dict[int, Any], ScalarMappable]:
    """Return a colour a round, dark to light, and what a colour bar needs."""
    edges = np.arange(min(rounds), max(rounds) + 2) - 0.5
    # viridis without its last tenth, a yellow that vanishes on white paper
    colours = ListedColormap(plt.get_cmap("viridis")(np.linspace(0, 0.9, len(edges) - 1)))
    mappable = ScalarMappable(norm=BoundaryNorm(edges, colours.N), cmap=colours)
    return {number: colours(number - min(rounds)) for number in rounds}, mappable


def plot_round_curves(histories: pd.DataFrame, path: str | Path) -> None:
    """Draw loss and F1 over the epochs of a round, a line a round, as the paper does."""
    arm = lead_arm(histories["arm"])
    rows = histories[(histories["arm"] == arm) & (histories["round"] > 0)]
    figure, grid = plt.subplots(2, 2, figsize=(10.5, 7), sharex=True, sharey="row")
    if rows.empty:
        for axes in grid.flat:
            style.say_empty(axes, f"no rounds of the arm '{arm}' in this run")
        style.save_figure(figure, path)
        return
    rounds = sorted(int(number) for number in rows["round"].unique())
    colours, mappable = _round_colours(rounds)
    markers = "os^Dv<>PX*hp"
    for line, (measure, label) in enumerate(
        (("loss", "weighted loss [nats]"), ("f1", "F1 (pooled, threshold 0.5)"))
    ):
        for axes, subset in zip(grid[line], SUBSETS, strict=True):
            column = f"{subset}_{measure}"
            for (_, number), run in _measured(rows, column, ["seed", "round"]):
                axes.plot(
                    run["epoch"],
                    run[column],
                    color=colours[int(number)],
                    marker=markers[(int(number) - 1) % len(markers)],
                    markevery=_mark_every(len(run)),
                    markersize=5,
                )
            axes.set_title(f"{subset} data, with the round's noise")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(labelleft=True)
            if line == 1:
                axes.set_xlabel("epoch within the round")
    if len(rounds) > 1:
        figure.colorbar(mappable, ax=grid, ticks=rounds).set_label("noise round")
    style.save_figure(figure, path)


def plot_chain(
    histories: pd.DataFrame, path: str | Path, *, in_decibels: Collection[str] = ()
) -> None:
    """Draw validation loss, validation F1 and noise level over the whole chain of epochs.

    Arms ``in_decibels`` have a ratio drawn for each segment and no level.
    """
    seed = histories["seed"].min()
    rows = histories[histories["seed"] == seed]
    base = rows[rows["round"] == 0]
    figure, grid = plt.subplots(4, 1, figsize=(10.5, 11), sharex=True, height_ratios=(3, 3, 3, 2))
    panels = [
        ("validation_loss", "weighted loss\n(noise of the round) [nats]"),
        ("validation_f1", "F1, noise of the round\n(threshold 0.5)"),
        ("validation_clean_f1", "F1, clean input\n(threshold 0.5)"),
        ("level", "noise level\n(factor of U(0, 1))"),
    ]
    for axes, (column, label) in zip(grid, panels, strict=True):
        for arm in drawn_arms(rows["arm"]):
            run = rows[rows["arm"] == arm].dropna(subset=[column])
            if column == "level":
                if arm in in_decibels:
                    continue
                axes.step(
                    run["epoch_in_chain"],
                    run[column],
                    where="mid",
                    color=style.arm_style(arm).colour,
                    linestyle=style.arm_style(arm).dash,
                )
            else:
                style.draw_line(
                    axes, arm, run["epoch_in_chain"], run[column], markevery=_mark_every(len(run))
                )
        axes.set_ylabel(label)
    end = base["epoch_in_chain"].max() + 0.5
    # Not where every arm begins anew.
    if len(base) and rows["epoch_in_chain"].max() > end:
        for axes in grid:
            axes.axvline(end, color="#555555", linewidth=1.2)
        for text, side in (("base training ", "right"), (" noise rounds", "left")):
            grid[0].text(
                end, 1.01, text, ha=side, va="bottom", transform=grid[0].get_xaxis_transform()
            )
    grid[-1].set_xlabel("epoch, counted through base training and rounds")
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    style.shared_legend(figure, grid[0])
    style.save_figure(figure, path)


def _shade_rounds(axes: Axes, run: pd.DataFrame) -> None:
    """Shade every second round and write its number above."""
    for number, steps in run.groupby("round"):
        left, right = steps["try"].min() - 0.5, steps["try"].max() + 0.5
        if int(number) % 2 == 0:
            axes.axvspan(left, right, color="#000000", alpha=0.06, linewidth=0)
        axes.text(
            (left + right) / 2,
            1.01,
            f"{int(number)}",
            ha="center",
            va="bottom",
            fontsize="small",
            transform=axes.get_xaxis_transform(),
        )


def plot_searches(
    searches: pd.DataFrame,
    minimum_increase: float,
    maximum_increase: float,
    path: str | Path,
    arm: str = PAPER_ARM,
) -> None:
    """Draw every level tried and the loss increase it caused, against the range aimed at.

    At most three seeds are drawn, a column each.
    """
    rows = searches[searches["arm"] == arm]
    seeds = sorted(rows["seed"].unique())[:3]
    if not seeds:
        style.save_empty(path, f"no level search of the arm '{arm}' in this run")
        return
    figure, grid = plt.subplots(
        2,
        len(seeds),
        figsize=(max(10.0, 5.0 * len(seeds)), 7),
        sharex="col",
        sharey="row",
        squeeze=False,
    )
    for column, seed in enumerate(seeds):
        run = rows[rows["seed"] == seed].reset_index(drop=True)
        run = run.assign(**{"try": np.arange(1, len(run) + 1)})
        above, below = grid[0, column], grid[1, column]
        for axes, what in ((above, "level"), (below, "increase")):
            values = run[what] * (100 if what == "increase" else 1)
            for _, steps in run.groupby("round"):
                axes.plot(steps["try"], values[steps.index], color="#666666", linewidth=1)
            for verdict, (marker, _, colour) in VERDICTS.items():
                chosen = run["verdict"] == verdict
                axes.plot(
                    run["try"][chosen],
                    values[chosen],
                    marker,
                    color=colour,
                    markersize=7,
                    markeredgecolor="black",
                    markeredgewidth=0.5,
                )
            _shade_rounds(axes, run)
        above.set_yscale("log")
        above.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        above.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        above.yaxis.set_minor_formatter(NullFormatter())
        below.axhspan(100 * minimum_increase, 100 * maximum_increase, color="#009E73", alpha=0.25)
        below.axhline(0, color="black", linewidth=0.8)
        below.set_xlabel("level tried, counted through the rounds (numbers above: round)")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        above.set_title(f"seed {seed}", pad=18)
    grid[0, 0].set_ylabel("noise level (factor of U(0, 1))")
    grid[1, 0].set_ylabel("relative loss increase [%]")
    handles = [
        Line2D(
            [], [], marker=marker, linestyle="", color=colour, markeredgecolor="black", label=text
        )
        for marker, text, colour in VERDICTS.values()
    ]
    handles.append(
        Line2D(
            [],
            [],
            color="#009E73",
            alpha=0.4,
            linewidth=9,
            label=f"range aimed at, {100 * minimum_increase:g} to {100 * maximum_increase:g} %",
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    style.save_figure(figure, path)


def write_rounds_table(rounds: pd.DataFrame, csv: str | Path, page: str | Path) -> None:
    """Write one row a model: level, how its search ended, epochs, fitted threshold, time."""
    style.write_csv(csv, rounds)
    shown = rounds.rename(
        columns={
            "search_status": "level search ended",
            "threshold_fitted": "fitted threshold",
            "threshold_fitted_validation_f1": "validation F1 there",
            "seconds": "training [s]",
        }
    )
    style.write_page(
        page,
        "Models trained",
        style.paragraph(
            "One row a model. The level is the factor of the uniform noise the model "
            "was trained under; the fitted threshold maximises the pooled F1 on clean "
            "validation data."
        ),
        style.html_table(
            shown,
            formats={
                "level": ".4f",
                "fitted threshold": ".2f",
                "validation F1 there": ".3f",
                "training [s]": ".1f",
            },
        ),
    )
