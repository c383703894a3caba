"""What the models hear: spectra, piano rolls, confusions, F1 of each pitch.

The heat maps and the roll show one excerpt (paper, "Feature extraction"); the
other figures show whole splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Patch
from numpy.typing import NDArray

from at4ramt.archives import REMAKE, stored_arrays
from at4ramt.errors import InputError
from at4ramt.evaluation.metrics import precision_recall_f1
from at4ramt.evaluation.tables import last_rounds, order_arms
from at4ramt.report import noisy, style

# Drawn from dark to light, so that a greyscale print keeps the order:
# right, missed, false, nothing.
ROLL_COLOURS = {"right": "#000000", "missed": "#0072B2", "false": "#F0B35A"}


def read_example(path: str | Path) -> dict[str, NDArray]:
    """Return the arrays of example.npz by name.

    ``times`` (T,) in s, ``truth`` (T, pitches) bool, ``magnitudes`` and
    ``magnitudes_{level}`` (T, bins), ``probability_{model}_{level}`` (T, pitches)
    and ``threshold_{model}`` for the base and one other model. Raises
    InputError when the first three are not there.
    """
    with stored_arrays(path, "the example of the report", REMAKE) as stored:
        arrays = dict(stored)
    for name in ("times", "truth", "magnitudes"):
        if name not in arrays:
            raise InputError(
                f"{path}: no array '{name}', found {sorted(arrays)}. Delete the file "
                "and run snakemake again."
            )
    return arrays


def _levels(example: Mapping[str, NDArray], prefix: str) -> list[str]:
    """Return the levels for which an array ``prefix`` + level is there, as written, ascending."""
    found = [name.removeprefix(prefix) for name in example if name.startswith(prefix)]
    return sorted(found, key=float)


def _edges(times: NDArray) -> tuple[float, float]:
    """Return where the first frame begins and the last ends, in s."""
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 0.016
    return float(times[0] - half), float(times[-1] + half)


def plot_spectra(
    example: Mapping[str, NDArray],
    path: str | Path,
    *,
    lowest_pitch: int,
    bins_per_pitch: int,
    title: str,
) -> None:
    """Draw the magnitudes of the excerpt, clean and with noise, on one logarithmic scale."""
    panels = [("clean", example["magnitudes"])]
    panels += [
        (f"noise level {level}", example[f"magnitudes_{level}"])
        for level in _levels(example, "magnitudes_")
        if float(level) > 0
    ]
    start, end = _edges(example["times"])
    bins = panels[0][1].shape[1]
    top = float(max(values.max() for _, values in panels))
    figure, grid = plt.subplots(
        len(panels), 1, sharex=True, squeeze=False, figsize=(10, 2.9 * len(panels) + 0.4)
    )
    for axes, (name, values) in zip(grid[:, 0], panels, strict=True):
        image = axes.imshow(
            np.maximum(values.T, top / 1000),
            aspect="auto",
            origin="lower",
            cmap="magma",
            norm=LogNorm(top / 1000, top),
            interpolation="nearest",
            extent=(start, end, -0.5, bins - 0.5),
        )
        axes.grid(False)
        axes.set_title(name)
        axes.set_ylabel("pitch")
        style.label_pitch_axis(
            axes,
            lowest_pitch,
            bins // bins_per_pitch,
            offset=(bins_per_pitch - 1) / 2,
            scale=bins_per_pitch,
        )
    grid[-1, 0].set_xlabel("time in the excerpt [s]")
    bar = figure.colorbar(image, ax=grid)
    bar.set_label("CQT magnitude (logarithmic scale)")
    figure.suptitle(title, fontsize="medium")
    style.save_figure(figure, path)


def roll_states(truth: NDArray, predicted: NDArray) -> NDArray[np.uint8]:
    """Return 0 nothing, 1 false, 2 missed, 3 right, in the shape of the two boolean arrays."""
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    return np.select([truth & predicted, truth, predicted], [3, 2, 1], 0).astype(np.uint8)


def _draw_roll(axes: Axes, states: NDArray, span: tuple[float, float], lowest: int) -> None:
    colours = ListedColormap(
        ["#FFFFFF", ROLL_COLOURS["false"], ROLL_COLOURS["missed"], ROLL_COLOURS["right"]]
    )
    axes.imshow(
        states.T,
        aspect="auto",
        origin="lower",
        cmap=colours,
        vmin=-0.5,
        vmax=3.5,
        interpolation="nearest",
        extent=(*span, lowest - 0.5, lowest + states.shape[1] - 0.5),
    )
    axes.grid(False)
    style.label_pitch_axis(axes, lowest, states.shape[1], offset=lowest)
    axes.set_ylabel("pitch")


def plot_roll(
    example: Mapping[str, NDArray],
    path: str | Path,
    *,
    lowest_pitch: int,
    title: str,
    kind: str = "fitted",
) -> None:
    """Draw the truth, and base and last adversarial round against it, clean and noisy.

    ``kind`` says which threshold is used: 0.5 (``half``) or each model's own (``fitted``).
    """
    truth = example["truth"].astype(bool)
    models = order_arms(
        [name.removeprefix("threshold_") for name in example if name.startswith("threshold_")]
    )
    panels: list[tuple[str, NDArray]] = [("truth", np.where(truth, 3, 0).astype(np.uint8))]
    for level in sorted(
        {level for model in models for level in _levels(example, f"probability_{model}_")},
        key=float,
    ):
        for model in models:
            if f"probability_{model}_{level}" not in example:
                continue
            threshold = 0.5 if kind == "half" else float(example[f"threshold_{model}"])
            states = roll_states(truth, example[f"probability_{model}_{level}"] >= threshold)
            right, wrong = (states == 3).sum(), ((states == 1) | (states == 2)).sum()
            f1 = 2 * right / max(1, 2 * right + wrong)
            condition = "clean" if float(level) == 0 else f"noise level {level}"
            panels.append(
                (
                    f"{style.arm_style(model).label}, {condition} "
                    f"(threshold {threshold:.2f}, F1 of this excerpt {f1:.2f})",
                    states,
                )
            )
    span = _edges(example["times"])
    figure, grid = plt.subplots(
        len(panels), 1, sharex=True, squeeze=False, figsize=(10, 2.5 * len(panels) + 0.6)
    )
    for axes, (name, states) in zip(grid[:, 0], panels, strict=True):
        _draw_roll(axes, states, span, lowest_pitch)
        axes.set_title(name)
    grid[-1, 0].set_xlabel("time in the excerpt [s]")
    figure.legend(
        handles=[
            Patch(facecolor=colour, edgecolor="black", label=name)
            for name, colour in ROLL_COLOURS.items()
        ],
        loc="outside lower center",
        ncols=3,
    )
    figure.suptitle(title, fontsize="medium")
    style.save_figure(figure, path)


def confusion_matrix(confusion: pd.DataFrame, pitches: Sequence[int]) -> NDArray[np.float64]:
    """Return mass as (true, predicted), with "none" first, then ``pitches``.

    ``confusion`` holds the rows of one model, split, level and threshold; several
    seeds are added up. The corner (none, none) is 0.
    """
    places = {0: 0} | {pitch: place for place, pitch in enumerate(pitches, start=1)}
    matrix = np.zeros((len(places), len(places)))
    np.add.at(
        matrix,
        (
            confusion["true_pitch"].map(places).to_numpy(),
            confusion["predicted_pitch"].map(places).to_numpy(),
        ),
        confusion["mass"].to_numpy(float),
    )
    return matrix


def plot_confusion(
    confusion: pd.DataFrame,
    path: str | Path,
    *,
    split: str,
    kind: str,
    level: float,
    pitches: Sequence[int],
) -> None:
    """Draw base and last adversarial round, clean and at ``level``, rows normalised to the truth.

    A row is divided by the frames in which its pitch sounds. The row "none" has
    no such number: it is divided by the mass of all sounding pitches.
    """
    rows = confusion[
        (confusion["split"] == split)
        & (confusion["threshold_kind"] == kind)
        & confusion["noise"].isin(["none", "uniform"])
    ]
    lead = noisy.lead_arm(rows["arm"])
    models = [arm for arm in dict.fromkeys(("base", lead)) if arm in set(rows["arm"])]
    figure, grid = plt.subplots(
        2,
        max(1, len(models)),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(5.3 * max(1, len(models)), 10),
    )
    image = None
    for column, arm in enumerate(models):
        one = rows[rows["arm"] == arm]
        one = one[one["round"] == one["round"].max()]
        for line, at in enumerate((0.0, level)):
            axes = grid[line, column]
            matrix = confusion_matrix(one[np.isclose(one["level"], at)], pitches)
            sounding = matrix[1:].sum(axis=1)
            scale = np.concatenate([[sounding.sum()], sounding])
            share = np.divide(
                matrix, scale[:, None], out=np.zeros_like(matrix), where=scale[:, None] > 0
            )
            image = axes.imshow(
                np.maximum(share, 1e-3),
                norm=LogNorm(1e-3, 1),
                cmap="magma_r",
                origin="lower",
                interpolation="nearest",
            )
            axes.grid(False)
            axes.axhline(0.5, color="#555555", linewidth=0.8)
            axes.axvline(0.5, color="#555555", linewidth=0.8)
            condition = "clean" if at == 0 else f"noise level {level:g}"
            axes.set_title(f"{style.arm_style(arm).label}, {condition}")
            where = [0, *(place for place, pitch in enumerate(pitches, 1) if pitch % 12 == 0)]
            names = ["none", *(style.pitch_name(pitch) for pitch in pitches if pitch % 12 == 0)]
            axes.set_xticks(where, names, rotation=45)
            axes.set_yticks(where, names)
            axes.set_xlabel("pitch predicted")
            axes.set_ylabel("pitch sounding")
            axes.tick_params(labelbottom=True, labelleft=True)
    if image is None:
        for axes in grid.flat:
            style.say_empty(axes, f"no confusions for {split} in this run")
    else:
        bar = figure.colorbar(image, ax=grid, shrink=0.6)
        bar.set_label("share of the frames in which the pitch sounds (logarithmic scale)")
    figure.suptitle(
        f"{style.split_label(split)}, {style.THRESHOLD_LABELS[kind]}", fontsize="medium"
    )
    style.save_figure(figure, path)


def pitch_table(scores: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    """Return F1, precision and recall by split, arm (last round), level, threshold and pitch."""
    chosen = last_rounds(noisy.select_uniform(scores))
    chosen = chosen[chosen["level"].isin(levels)]
    keys = ["split", "arm", "level", "threshold_kind", "pitch"]
    # as tables.aggregate does, but all groups at once: there are thousands
    sums = chosen.groupby([*keys, "seed"], as_index=False)[
        ["tp", "fp", "fn", "loss_sum", "bce_sum", "frames"]
    ].sum()
    precision, recall, f1 = precision_recall_f1(sums["tp"], sums["fp"], sums["fn"])
    table = sums.assign(
        active=sums["tp"] + sums["fn"],
        f1=f1,
        precision=precision,
        recall=recall,
        loss=sums["loss_sum"] / sums["frames"],
        bce=sums["bce_sum"] / sums["frames"],
    )
    measures = ["active", "f1", "precision", "recall", "loss", "bce"]
    mean = table.groupby(keys, as_index=False)[measures].mean()
    mean.insert(len(keys), "note", [style.pitch_name(pitch) for pitch in mean["pitch"]])
    return mean


def plot_pitches(table: pd.DataFrame, path: str | Path, *, kind: str = "fitted") -> None:
    """Draw F1 of each pitch, base against last adversarial round; a row a level, a column a split.

    ``table`` is that of :func:`pitch_table`. Pitches that never sound are left out.
    """
    kinds = set(table["threshold_kind"])
    kind = kind if kind in kinds else sorted(kinds)[0]
    rows = table[(table["threshold_kind"] == kind) & (table["active"] > 0)]
    splits, levels = noisy.test_splits(rows), sorted(rows["level"].unique())
    figure, grid = plt.subplots(
        len(levels),
        len(splits),
        squeeze=False,
        sharex=True,
        sharey=True,
        figsize=(5.3 * len(splits), 3.6 * len(levels)),
    )
    for line, level in enumerate(levels):
        for column, split in enumerate(splits):
            axes = grid[line, column]
            for arm in dict.fromkeys(("base", noisy.lead_arm(rows["arm"]))):
                run = rows[
                    (rows["arm"] == arm) & (rows["split"] == split) & (rows["level"] == level)
                ].sort_values("pitch")
                style.draw_line(axes, arm, run["pitch"], run["f1"], markersize=4, linewidth=1.2)
            lowest = int(table["pitch"].min())
            style.label_pitch_axis(
                axes, lowest, int(table["pitch"].max()) - lowest + 1, vertical=False, offset=lowest
            )
            axes.set_title(
                f"{style.split_label(split)}, {'clean' if level == 0 else f'noise level {level:g}'}"
            )
            axes.set_xlabel("pitch")
            axes.tick_params(labelbottom=True, labelleft=True)
        grid[line, 0].set_ylabel(f"F1 of the pitch\n({style.THRESHOLD_LABELS[kind]})")
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)
