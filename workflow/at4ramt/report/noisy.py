"""Figures and tables of the evaluation under noise (paper, "Results").

All are derived from scores.parquet and its companions through
``at4ramt.evaluation``; nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from at4ramt.evaluation.bootstrap import intervals
from at4ramt.evaluation.tables import aggregate, aggregate_frames, last_rounds, order_arms
from at4ramt.report import style

LEVEL_AXIS = "noise level (factor of U(0, 1) added to the magnitudes)"
PAPER_ARM = "adversarial"
UNIFORM = ("none", "uniform")
FREE_ARMS = ("base", "offset_removed", "mean_removed")
STANDARD_ARMS = ("base", "offset_removed", "clean", "augmented", "fixed", "adversarial")
# More lines than these in one panel cannot be told apart.
MOST_ARMS = 8
SNR_COLUMNS = {
    "snr_paper_db": ("paper: 10 log(mean C / mean noise)", "#D55E00", "s", "-"),
    "snr_amplitude_db": ("amplitude: 20 log of the same", "#0072B2", "o", (0, (5, 2))),
    "snr_power_db": ("power: mean C² / mean noise²", "#009E73", "D", (0, (3, 1, 1, 1))),
    "snr_power_centred_db": ("power, noise's mean removed", "#000000", "^", (0, (1, 1))),
}


def select_uniform(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without noise and with the paper's uniform noise on magnitudes."""
    return scores[scores["noise"].isin(UNIFORM)]


def test_splits(scores: pd.DataFrame) -> list[str]:
    """Return the splits to show: all but validation, unless there is nothing else."""
    splits = style.order_splits(scores["split"])
    return [split for split in splits if split != "validation"] or splits


test_splits.__test__ = False  # type: ignore[attr-defined]  # pytest must not take it for a test


def drawn_arms(arms: Iterable[str], also: Iterable[str] = ()) -> list[str]:
    """Return the arms that a figure of lines shows, in order: all, or the standard ones of many.

    Beside the standard ones stand those of ``also`` that there is room for. Those that are left
    out are in the report's category of the study, and in all tables.
    """
    present = order_arms(list(arms))
    if len(present) <= MOST_ARMS:
        return present
    chosen = {*STANDARD_ARMS, *also}
    standard = [arm for arm in present if arm in chosen]
    return (standard if set(standard) - set(FREE_ARMS) else present)[:MOST_ARMS]


def acoustic_arms(arms: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the arms of the config's table that are trained on noise in the audio."""
    return [arm for arm, row in arms.items() if str(row["noise"]).startswith("audio_")]


def lead_arm(arms: Iterable[str]) -> str:
    """Return the arm that stands beside the base: the paper's, or the first that was trained."""
    trained = [arm for arm in order_arms(list(arms)) if arm not in FREE_ARMS]
    return PAPER_ARM if PAPER_ARM in trained else next(iter(trained), "base")


def level_intervals(scores: pd.DataFrame, *, draws: int, base_seed: int) -> pd.DataFrame:
    """Return each measure with its interval, by split, arm (last round), level and threshold."""
    chosen = last_rounds(select_uniform(scores))
    return intervals(
        chosen, ["split", "arm", "level", "threshold_kind"], draws=draws, base_seed=base_seed
    )


def draw_over_level(axes: Any, rows: pd.DataFrame, measure: str) -> None:
    """Draw one measure of the arms over the noise level, with error bars side by side."""
    arms = drawn_arms(rows["arm"])
    step = 0.0018 * max(0.1, float(rows["level"].max())) / 0.5
    for place, arm in enumerate(arms):
        run = rows[rows["arm"] == arm].sort_values("level")
        style.draw_intervals(
            axes,
            arm,
            run["level"],
            run[measure],
            run[f"{measure}_low"],
            run[f"{measure}_high"],
            shift=step * (place - (len(arms) - 1) / 2),
        )
    levels = sorted(rows["level"].unique())
    if len(levels) == 1:
        # The shifts would fill the axis.
        axes.set_xticks(levels)
        axes.set_xlim(levels[0] - 6 * step * len(arms), levels[0] + 6 * step * len(arms))


def plot_f1(table: pd.DataFrame, path: str | Path) -> None:
    """Draw pooled F1 over level: a row a threshold, a column a split, all arms.

    ``table`` is that of :func:`level_intervals`.
    """
    splits = test_splits(table)
    kinds = [kind for kind in style.THRESHOLD_LABELS if kind in set(table["threshold_kind"])]
    figure, grid = plt.subplots(
        len(kinds),
        len(splits),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(5.3 * len(splits), 4.2 * len(kinds)),
    )
    for line, kind in enumerate(kinds):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            draw_over_level(
                axes, table[(table["split"] == split) & (table["threshold_kind"] == kind)], "f1"
            )
            axes.set_title(f"{style.split_label(split)}\n{style.THRESHOLD_LABELS[kind]}")
            axes.tick_params(labelbottom=True, labelleft=True)
            axes.set_xlabel(LEVEL_AXIS, fontsize="small")
        grid[line, 0].set_ylabel("F1 (pooled over pitches and frames)")
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)


def plot_loss(table: pd.DataFrame, path: str | Path) -> None:
    """Draw weighted and unweighted loss over level, a column a split, all arms."""
    splits = test_splits(table)
    rows = table[table["threshold_kind"] == table["threshold_kind"].iloc[0]]
    figure, grid = plt.subplots(
        2, len(splits), squeeze=False, sharex=True, sharey="row", figsize=(5.3 * len(splits), 8.4)
    )
    for line, (measure, label) in enumerate(
        (("loss", "weighted loss [nats]"), ("bce", "unweighted cross-entropy [nats]"))
    ):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            draw_over_level(axes, rows[rows["split"] == split], measure)
            if measure == "loss":
                axes.axhline(
                    np.log(2),
                    color="#777777",
                    linestyle=":",
                    linewidth=1,
                    label="chance, ln 2 (balanced weights)",
                )
            axes.set_title(style.split_label(split))
            axes.set_xlabel(LEVEL_AXIS, fontsize="small")
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel(label)
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)


def nearest_levels(levels: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Return the evaluated levels nearest to those wanted, ascending and without repeats."""
    return sorted({min(levels, key=lambda level: abs(level - target)) for target in wanted})


def plot_rounds(
    scores: pd.DataFrame, path: str | Path, *, wanted: Sequence[float], draws: int, base_seed: int
) -> None:
    """Draw F1 and loss after each round at three levels, the base as round 0.

    ``wanted`` are levels; the nearest evaluated ones are drawn.
    """
    chosen = select_uniform(scores)
    lead = lead_arm(chosen["arm"])
    chosen = chosen[chosen["arm"].isin(["base", lead]) & (chosen["threshold_kind"] == "half")]
    levels = nearest_levels(sorted(chosen["level"].unique()), wanted)
    chosen = chosen[chosen["level"].isin(levels)]
    splits = test_splits(chosen)
    table = intervals(
        chosen,
        ["split", "arm", "round", "level", "threshold_kind"],
        draws=draws,
        base_seed=base_seed,
    )
    figure, grid = plt.subplots(
        2, len(splits), squeeze=False, sharex=True, sharey="row", figsize=(5.3 * len(splits), 8)
    )
    looks = [("#000000", "o", "-"), ("#0072B2", "^", (0, (5, 2))), ("#D55E00", "s", (0, (2, 1)))]
    for line, (measure, label) in enumerate(
        (("f1", "F1 (pooled, threshold 0.5)"), ("loss", "weighted loss [nats]"))
    ):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            for place, level in enumerate(levels):
                colour, marker, dash = looks[place % len(looks)]
                run = table[(table["split"] == split) & (table["level"] == level)]
                run = run.sort_values("round")
                style.draw_intervals(
                    axes,
                    lead,
                    run["round"],
                    run[measure],
                    run[f"{measure}_low"],
                    run[f"{measure}_high"],
                    shift=0.08 * (place - 1),
                    color=colour,
                    marker=marker,
                    linestyle=dash,
                    label="clean" if level == 0 else f"noise level {level:g}",
                )
            axes.set_title(style.split_label(split))
            axes.set_xlabel("noise round finished (0: base)")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel(label)
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)


def plot_levels(levels: pd.DataFrame, path: str | Path) -> None:
    """Draw the level and four signal-to-noise ratios by round.

    ``levels`` is results/tables/levels.csv. In the panels of ratios a line is
    the mean over the split's pianos, a bar reaches from the lowest to the
    highest piano (and seed).
    """
    rows = levels[(levels["arm"] == PAPER_ARM) & (levels["level"] > 0)]
    if rows.empty:
        style.save_empty(path, f"no noisy rounds of the arm '{PAPER_ARM}' in this run")
        return
    splits = [
        split
        for split in style.order_splits(rows["split"])
        if split in ("training", "test", "test_unseen_piano")
    ]
    lines = 1 + len(splits) // 2
    figure, grid = plt.subplots(lines, 2, figsize=(10.6, 4.2 * lines), squeeze=False)
    first, *ratios = grid.flat
    for axes in ratios[len(splits) :]:
        axes.set_axis_off()
    for (seed, run), marker in zip(rows.groupby("seed"), "so^Dv<>P*X" * 10, strict=False):
        one = run.drop_duplicates("round").sort_values("round")
        first.plot(one["round"], one["level"], marker=marker, color="#D55E00", label=f"seed {seed}")
    first.set_ylabel("noise level found (factor of U(0, 1))")
    first.set_title("level of each round")
    first.legend()
    style.start_at_zero(grid[:1, :1])
    ratios = ratios[: len(splits)]
    for axes, split in zip(ratios, splits, strict=True):
        for place, (column, (label, colour, marker, dash)) in enumerate(SNR_COLUMNS.items()):
            by_round = rows[rows["split"] == split].groupby("round")[column]
            across = by_round.mean().index.to_numpy(float) + 0.1 * (place - 1.5)
            axes.plot(
                across,
                by_round.mean(),
                color=colour,
                marker=marker,
                linestyle=dash,
                label=label,
                markersize=5,
            )
            axes.vlines(across, by_round.min(), by_round.max(), color=colour, linewidth=1.2)
        axes.axhline(0, color="#777777", linewidth=1)
        axes.set_title(style.split_label(split))
        axes.set_ylabel("signal-to-noise ratio [dB]")
    for axes in (first, *ratios):
        axes.set_xlabel("noise round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if ratios:
        low = min(axes.get_ylim()[0] for axes in ratios)
        high = max(axes.get_ylim()[1] for axes in ratios)
        for axes in ratios:
            axes.set_ylim(low, high)
        style.shared_legend(figure, ratios[0], columns=2)
    style.save_figure(figure, path)


def write_levels_page(levels: pd.DataFrame, path: str | Path) -> None:
    """Write the levels and ratios as a page; the CSV beside it is the input itself."""
    names = {
        "seed": "seed",
        "round": "round",
        "level": "level",
        "search_status": "search ended",
        "split": "split",
        "instrument": "piano",
        "mean_magnitude": "mean magnitude",
        "snr_paper_db": "paper [dB]",
        "snr_amplitude_db": "amplitude [dB]",
        "snr_power_db": "power [dB]",
        "snr_power_centred_db": "power, centred [dB]",
    }
    rows = levels[levels["arm"] == PAPER_ARM]
    order = {split: place for place, split in enumerate(style.order_splits(rows["split"]))}
    rows = rows.assign(_split=rows["split"].map(order))
    rows = rows.sort_values(["seed", "round", "_split", "instrument"])
    shown = rows[list(names)].rename(columns=names)
    formats = {name: ".1f" for name in names.values() if "[dB]" in name}
    # Noise in the audio has one ratio, whatever the piano.
    names = {"arm": "arm", **dict(list(names.items())[:4]), "snr_audio_db": "ratio [dB]"}
    heard = levels[levels["snr_audio_db"].notna()][list(names)].drop_duplicates()
    heard = heard.sort_values(["arm", "seed", "round"]).rename(columns=names)
    heard["arm"] = [style.arm_style(arm).label for arm in heard["arm"]]
    in_audio = [
        style.html_table(
            heard,
            "Levels of noise in the audio: the ratio of the amplitudes of noise and music, "
            "−20 log10 of it in dB; of an arm whose levels are drawn, the highest",
            {"level": ".4f", "ratio [dB]": ".1f"},
        )
    ]
    style.write_page(
        path,
        "Noise levels and signal-to-noise ratios",
        style.paragraph(
            "For the uniform noise of level l on clean magnitudes C. Paper: "
            "10 log10(mean C / (l/2)). Amplitude: 20 log10 of the same ratio. Power: "
            "10 log10(mean C² / (l²/3)). Power, centred: the noise's mean taken off, "
            "10 log10(mean C² / (l²/12))."
        ),
        style.html_table(shown, formats=formats | {"level": ".4f", "mean magnitude": ".4f"}),
        *(in_audio if len(heard) else []),
    )


def plot_silent(centres: pd.DataFrame, every: pd.DataFrame, path: str | Path) -> None:
    """Draw F1 on labelled, audible frames against F1 with silent frames included.

    ``centres`` is scores.parquet, ``every`` scores_all_frames.parquet.
    """
    tables: dict[str, tuple[Any, Any, pd.DataFrame]] = {
        "paper's frames": ("-", "full", centres),
        "all frames": (":", "none", every),
    }
    arms = ["base", lead_arm(centres["arm"])]
    splits = test_splits(centres)
    kinds = [kind for kind in style.THRESHOLD_LABELS if kind in set(centres["threshold_kind"])]
    figure, grid = plt.subplots(
        len(kinds),
        len(splits),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(5.3 * len(splits), 3.9 * len(kinds)),
    )
    for dash, fill, scores in tables.values():
        table = _mean_over_seeds(last_rounds(select_uniform(scores)))
        for line, kind in enumerate(kinds):
            for column, split in enumerate(splits):
                for arm in arms:
                    run = table[
                        (table["arm"] == arm)
                        & (table["split"] == split)
                        & (table["threshold_kind"] == kind)
                    ].sort_values("level")
                    look = style.arm_style(arm)
                    grid[line, column].plot(
                        run["level"],
                        run["f1"],
                        color=look.colour,
                        marker=look.marker,
                        linestyle=dash,
                        fillstyle=fill,
                    )
    for line, kind in enumerate(kinds):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            axes.set_title(f"{style.split_label(split)}\n{style.THRESHOLD_LABELS[kind]}")
            axes.set_xlabel(LEVEL_AXIS, fontsize="small")
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel("F1 (pooled)")
    style.start_at_zero(grid)
    handles = [
        Line2D(
            [],
            [],
            color=style.arm_style(arm).colour,
            linestyle=dash,
            fillstyle=fill,
            marker=style.arm_style(arm).marker,
            label=f"{style.arm_style(arm).label}, {name}",
        )
        for arm in arms
        for name, (dash, fill, _) in tables.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    style.save_figure(figure, path)


_KEYS = ["split", "arm", "round", "level", "threshold_kind"]


def _mean_over_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the pooled measures by split, arm, round, level and threshold, seeds averaged."""
    table = aggregate(scores, [*_KEYS, "seed"])
    return table.groupby(_KEYS, as_index=False).mean(numeric_only=True).drop(columns="seed")


def metrics_table(
    scores: pd.DataFrame, every: pd.DataFrame, frame_metrics: pd.DataFrame
) -> pd.DataFrame:
    """Return every measure by split, arm (last round), level and threshold, seeds averaged.

    Columns: the pooled precision, recall and F1; F1 averaged in the three other
    ways; both losses; the error rates of Poliner and Ellis; and pooled F1 with
    the silent frames included.
    """
    table = _mean_over_seeds(last_rounds(select_uniform(scores)))
    frames = aggregate_frames(last_rounds(select_uniform(frame_metrics)), [*_KEYS, "seed"])
    frames = frames.groupby(_KEYS, as_index=False).mean(numeric_only=True)
    silent = _mean_over_seeds(last_rounds(select_uniform(every)))
    table = table.merge(
        frames.drop(columns=["seed", "frames"]), on=_KEYS, how="left", validate="one_to_one"
    )
    table = table.merge(
        silent[[*_KEYS, "f1"]].rename(columns={"f1": "f1_all_frames"}),
        on=_KEYS,
        how="left",
        validate="one_to_one",
    )
    arms = order_arms(list(table["arm"]))
    splits = style.order_splits(table["split"])
    table = table.assign(_arm=table["arm"].map(arms.index), _split=table["split"].map(splits.index))
    table = table.sort_values(["_split", "threshold_kind", "level", "_arm"], ignore_index=True)
    return table[
        [
            *_KEYS,
            "f1",
            "precision",
            "recall",
            "mean_pitch_f1",
            "macro_f1",
            "mean_frame_f1",
            "f1_all_frames",
            "loss",
            "bce",
            "e_sub",
            "e_miss",
            "e_fa",
            "e_tot",
        ]
    ]


def write_metrics(table: pd.DataFrame, csv: str | Path, page: str | Path) -> None:
    """Write the table of :func:`metrics_table` as CSV, and as a page by split and threshold."""
    style.write_csv(csv, table)
    names = {
        "f1": "F1 pooled",
        "mean_pitch_f1": "F1 mean of pitches",
        "macro_f1": "F1 of means",
        "mean_frame_f1": "F1 mean of frames",
        "f1_all_frames": "F1 pooled, all frames",
        "bce": "cross-entropy",
        "e_sub": "E_sub",
        "e_miss": "E_miss",
        "e_fa": "E_fa",
        "e_tot": "E_tot",
    }
    parts = [
        style.paragraph(
            "F1 pooled is the paper's single number: precision and recall over all pitches and "
            "frames. Mean of pitches: each pitch's own F1, averaged over pitches that sound. F1 of "
            "means: F1 of precision and recall averaged over pitches. Mean of frames: each frame's "
            "F1, averaged. All frames: silent and unlabelled frames counted too. Losses in nats a "
            "pitch and frame; E: error rates of Poliner and Ellis, per sounding note and frame."
        )
    ]
    for (split, kind), rows in table.groupby(["split", "threshold_kind"], sort=False):
        shown = rows.drop(columns=["split", "threshold_kind"]).rename(columns=names)
        shown["arm"] = [style.arm_style(arm).label for arm in shown["arm"]]
        parts.append(
            style.heading(f"{style.split_label(str(split))}, {style.THRESHOLD_LABELS[str(kind)]}")
        )
        parts.append(
            style.html_table(
                shown,
                formats={
                    column: ".3f"
                    for column in shown.columns
                    if column not in ("arm", "round", "level")
                }
                | {"level": "g"},
            )
        )
    style.write_page(page, "All measures, by arm and noise level", *parts)
