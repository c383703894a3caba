"""The scores table: its columns, how it is read, and the tables derived from it.

One row holds the counts and losses of one model on one piece under one
condition, at one threshold, for one pitch. Every published number is a
function of this table (or of the frame sums beside it), so that no two can
disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from at4ramt.errors import InputError, suggestion
from at4ramt.evaluation.bootstrap import intervals, paired_differences
from at4ramt.evaluation.metrics import (
    check_single_condition,
    macro_f1,
    mean_pitch_f1,
    precision_recall_f1,
)
from at4ramt.parquet import Filters, read_frame, write_frame

_CONDITION: dict[str, str] = {
    "arm": "str",
    "seed": "int64",
    "round": "int64",
    "split": "str",
    "instrument": "str",
    "piece": "str",
    "noise": "str",
    "level": "float64",
    "threshold_kind": "str",
}

scores_schema: dict[str, str] = _CONDITION | {
    "threshold": "float64",
    "pitch": "int64",
    "tp": "int64",
    "fp": "int64",
    "fn": "int64",
    "tn": "int64",
    "loss_sum": "float64",
    "bce_sum": "float64",
    "frames": "int64",
}
"""Columns of scores.parquet, in order, and their pandas types."""

frame_metrics_schema: dict[str, str] = _CONDITION | {
    "frames": "int64",
    "frame_f1_sum": "float64",
    "e_sub": "int64",
    "e_miss": "int64",
    "e_fa": "int64",
    "n_ref": "int64",
}
"""Columns of frame_metrics.parquet: sums over the frames of a piece (Poliner and Ellis 2007)."""

notes_schema: dict[str, str] = _CONDITION | {
    "criterion": "str",
    "reference": "int64",
    "estimated": "int64",
    "matched": "int64",
}
"""Columns of notes.parquet: notes of a piece, of its estimate, and pairs of the two."""

audio_schema: dict[str, str] = {
    "system": "str",
    "seed": "int64",
    "split": "str",
    "instrument": "str",
    "piece": "str",
    "noise": "str",
    "snr_db": "float64",
    "threshold_kind": "str",
    "criterion": "str",
    "reference": "int64",
    "estimated": "int64",
    "matched": "int64",
}
"""Columns of audio.parquet: a system (an arm's last round, or a peer, whose seed is -1), a piece
and the noise in its audio (infinite dB without), and what of it was found: notes for
the criteria ``onset`` and ``onset_offset``, else cells of frame and pitch. Only ``frames`` is there
in every noise."""

AUDIO_CRITERIA = ("frames", "note_frames", "onset", "onset_offset")
AUDIO_NOISES = ("none", "white", "pink", "brown", "hum", "babble", "room")
AUDIO_THRESHOLD_KINDS = ("default", "fitted", "best")
"""A model's own of its card is ``fitted``; :mod:`at4ramt.evaluation.in_audio` says what is best."""

ARM_ORDER = ("base", "offset_removed", "mean_removed", "clean", "augmented", "fixed", "adversarial")
"""Order of the arms in tables and figures: what is free first, the paper's last."""

THRESHOLD_KINDS = ("half", "fitted")
_AGAIN = "Run the evaluation again."


def conform(frame: pd.DataFrame, schema: Mapping[str, str], name: str) -> pd.DataFrame:
    """Return ``frame`` with exactly the columns and types of ``schema``, in its order.

    ``name`` is what an error calls the table (its file). Raises InputError for a
    missing or unknown column, a missing value, and a value that its type cannot hold.
    """
    for column in schema:
        if column not in frame.columns:
            raise InputError(
                f"{name}: no column '{column}'.{suggestion(column, frame.columns)} "
                f"Expected {list(schema)}. {_AGAIN}"
            )
    unknown = [column for column in frame.columns if column not in schema]
    if unknown:
        raise InputError(f"{name}: unknown columns {unknown}. Expected {list(schema)}. {_AGAIN}")
    typed = {}
    for column, dtype in schema.items():
        values = frame[column]
        if values.isna().any():
            row = int(np.flatnonzero(values.isna())[0])
            raise InputError(
                f"{name}, row {row}, column '{column}': no value, expected {dtype}. "
                f"A loss without value means that the model diverged. {_AGAIN}"
            )
        try:
            typed[column] = values.astype(cast(Any, dtype))
            exact = dtype != "int64" or bool((typed[column] == values).all())
        except (ValueError, TypeError):
            exact = False
        if not exact:
            raise InputError(
                f"{name}, column '{column}': holds {values.dtype} such as {values.iloc[0]!r}, "
                f"expected {dtype}. {_AGAIN}"
            )
    return pd.DataFrame(typed, columns=list(schema))


def _check_rows(scores: pd.DataFrame, wrong: pd.Series, name: str, expected: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{name}, row {row}: {scores.iloc[row].to_dict()}; expected {expected}. {_AGAIN}"
        )


def _check_condition(table: pd.DataFrame, name: str) -> None:
    _check_rows(
        table,
        ~table["threshold_kind"].isin(THRESHOLD_KINDS),
        name,
        f"a threshold_kind of {list(THRESHOLD_KINDS)}",
    )
    _check_rows(table, (table["noise"] == "none") & (table["level"] != 0), name, "level 0")


def check_scores(scores: pd.DataFrame, name: str = "scores table") -> pd.DataFrame:
    """Return the table with its proper columns and types, or raise InputError.

    Beyond :func:`conform`: a threshold kind is known, a row's four counts sum to
    its frames, losses are finite and not negative, rows without noise are at
    level 0, and no model, piece, condition, threshold and pitch occurs twice.
    """
    scores = conform(scores, scores_schema, name)
    counts = scores[["tp", "fp", "fn", "tn"]]
    losses = scores[["loss_sum", "bce_sum"]]
    _check_condition(scores, name)
    _check_rows(
        scores,
        (counts < 0).any(axis=1) | (counts.sum(axis=1) != scores["frames"]),
        name,
        "counts tp, fp, fn, tn that are not negative and sum to frames",
    )
    _check_rows(
        scores,
        ~losses.apply(np.isfinite).all(axis=1) | (losses < 0).any(axis=1),
        name,
        "finite losses that are not negative",
    )
    keys = [*_CONDITION, "pitch"]
    _check_rows(scores, scores.duplicated(keys), name, f"one row for each {keys}")
    return scores


def _read(path: str | Path, filters: Filters | None = None) -> pd.DataFrame:
    return read_frame(path, filters=filters, what="a table of scores")


def read_scores(path: str | Path, noises: Sequence[str] | None = None) -> pd.DataFrame:
    """Read scores.parquet, or of it the rows in some kinds of noise (``none`` is one, too).

    Raises InputError when it is missing, corrupt or inconsistent.
    """
    filters: Filters | None = None if noises is None else [("noise", "in", list(noises))]
    return check_scores(_read(path, filters), str(path))


def read_frame_metrics(path: str | Path) -> pd.DataFrame:
    """Read frame_metrics.parquet; raise InputError when it is missing, corrupt or incomplete."""
    return conform(_read(path), frame_metrics_schema, str(path))


def read_note_counts(path: str | Path) -> pd.DataFrame:
    """Read notes.parquet; raise InputError when it is missing, corrupt or inconsistent."""
    return check_note_counts(_read(path), str(path))


def check_note_counts(notes: pd.DataFrame, name: str = "table of notes") -> pd.DataFrame:
    """Return the table with its proper columns and types, or raise InputError.

    Beyond :func:`conform`: a threshold kind is known, rows without noise are at
    level 0, there are no more pairs than notes on either side, and no model, piece,
    condition and criterion occurs twice.
    """
    notes = conform(notes, notes_schema, name)
    _check_condition(notes, name)
    matched = notes["matched"]
    _check_rows(
        notes,
        (matched < 0) | (matched > notes["reference"]) | (matched > notes["estimated"]),
        name,
        "matched between 0 and the number of notes on either side",
    )
    keys = [*_CONDITION, "criterion"]
    _check_rows(notes, notes.duplicated(keys), name, f"one row for each {keys}")
    return notes


def read_audio_counts(path: str | Path) -> pd.DataFrame:
    """Read audio.parquet; raise InputError when it is missing, corrupt or inconsistent."""
    return check_audio_counts(_read(path), str(path))


def check_audio_counts(counts: pd.DataFrame, name: str = "table of audio") -> pd.DataFrame:
    """Return the table with its proper columns and types, or raise InputError.

    Beyond :func:`conform`: noise, criterion and threshold kind are known, rows without noise are
    at infinite dB and no others, no more is matched than there is on either side, and no
    system, piece, noise, threshold and criterion occurs twice.
    """
    counts = conform(counts, audio_schema, name)
    for column, known in (
        ("noise", AUDIO_NOISES),
        ("threshold_kind", AUDIO_THRESHOLD_KINDS),
        ("criterion", AUDIO_CRITERIA),
    ):
        _check_rows(counts, ~counts[column].isin(known), name, f"a {column} of {list(known)}")
    _check_rows(
        counts,
        (counts["noise"] == "none") != (counts["snr_db"] == np.inf),
        name,
        "a finite snr_db with noise, and an infinite one without",
    )
    matched = counts["matched"]
    _check_rows(
        counts,
        (matched < 0) | (matched > counts["reference"]) | (matched > counts["estimated"]),
        name,
        "matched between 0 and the number on either side",
    )
    keys = _audio_keys()
    _check_rows(counts, counts.duplicated(keys), name, f"one row for each {keys}")
    return counts


def _audio_keys() -> list[str]:
    return [name for name in audio_schema if name not in ("reference", "estimated", "matched")]


def write_audio_counts(counts: pd.DataFrame, path: str | Path) -> None:
    """Check the table and write it as Parquet, sorted, whole or not at all."""
    _write(check_audio_counts(counts, str(path)), _audio_keys(), path)


def audio_scores(counts: pd.DataFrame, *, draws: int, base_seed: int) -> pd.DataFrame:
    """Return precision, recall and F1 with intervals, of each system in the audio's noise.

    One row for each split, system, noise, ``snr_db``, threshold and criterion; columns as
    :func:`~at4ramt.evaluation.bootstrap.intervals` has them. Counts are pooled over the pieces.
    """
    keys = ["split", "system", "noise", "snr_db", "threshold_kind", "criterion"]
    return _pooled(counts, keys, draws=draws, base_seed=base_seed)


def _pooled(
    counts: pd.DataFrame, keys: Sequence[str], *, draws: int, base_seed: int
) -> pd.DataFrame:
    table = intervals(with_errors(counts), keys, draws=draws, base_seed=base_seed)
    return table.drop(columns=[name for name in table if name.startswith(("loss", "bce"))])


def with_errors(counts: pd.DataFrame) -> pd.DataFrame:
    """Return counts of what was matched with the columns that measures are made from."""
    # No loss is known of notes; the bootstrap wants one all the same.
    return counts.assign(
        tp=counts["matched"],
        fp=counts["estimated"] - counts["matched"],
        fn=counts["reference"] - counts["matched"],
        loss_sum=0.0,
        bce_sum=0.0,
        frames=1,
    )


def _write(frame: pd.DataFrame, keys: Sequence[str], path: str | Path) -> None:
    # sorted, so that the order in which jobs finish does not reach the file
    write_frame(frame.sort_values(list(keys)), path)


def write_scores(scores: pd.DataFrame, path: str | Path) -> None:
    """Check the table and write it as Parquet, sorted, whole or not at all."""
    _write(check_scores(scores, str(path)), [*_CONDITION, "pitch"], path)


def write_frame_metrics(frame_metrics: pd.DataFrame, path: str | Path) -> None:
    """Check the table and write it as Parquet, sorted, whole or not at all."""
    _write(conform(frame_metrics, frame_metrics_schema, str(path)), list(_CONDITION), path)


def write_note_counts(notes: pd.DataFrame, path: str | Path) -> None:
    """Check the table and write it as Parquet, sorted, whole or not at all."""
    _write(check_note_counts(notes, str(path)), [*_CONDITION, "criterion"], path)


def write_part(
    frame: pd.DataFrame, path: str | Path, model_sha256: str | None, made_with: Mapping[str, Any]
) -> None:
    """Write one model's part of a table, which says what it was made from; None for a peer's.

    :func:`at4ramt.training.lineage.check_parts` reads that before the parts are put together.
    """
    # pandas keeps the attributes in the file.
    frame.attrs = {"model_sha256": model_sha256, "made_with": dict(made_with)}
    write_frame(frame, path)


def order_arms(arms: Sequence[str]) -> list[str]:
    """Return the different arms in ARM_ORDER, then the others by name."""
    return sorted(
        set(arms), key=lambda arm: (ARM_ORDER.index(arm) if arm in ARM_ORDER else 99, arm)
    )


def aggregate(scores: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return one row a group of ``by``, with every measure that the counts allow.

    Columns after ``by``: f1, precision, recall (pooled over pitches, frames and
    pieces), loss (weighted) and bce (unweighted), means per frame and pitch in
    nats, mean_pitch_f1 and macro_f1 (over the pitches that sound in the group),
    cells (frames times pitches) and pieces. Seeds are models: to average them, group by
    seed and take the mean of the rows. Raises InputError when a group would mix
    models, levels or thresholds.
    """
    by = list(by)
    check_single_condition(scores, by)
    # a constant column stands in for no groups, so that one code path serves both
    groups = by or ["_all"]
    table = scores if by else scores.assign(_all=0)
    pitch_keys = [*groups, "pitch"] if "pitch" not in by else groups
    sums = table.groupby(pitch_keys, observed=True, sort=True)[
        ["tp", "fp", "fn", "loss_sum", "bce_sum", "frames"]
    ].sum()
    rows = []
    pieces = table.groupby(groups, observed=True, sort=True)["piece"].nunique()
    for key, group in sums.reset_index().groupby(groups, observed=True, sort=True):
        tp, fp, fn = (group[name].to_numpy() for name in ("tp", "fp", "fn"))
        precision, recall, f1 = precision_recall_f1(tp.sum(), fp.sum(), fn.sum())
        cells = int(group["frames"].sum())
        rows.append(
            dict(zip(groups, key, strict=True))
            | {
                "f1": float(f1),
                "precision": float(precision),
                "recall": float(recall),
                "loss": group["loss_sum"].sum() / cells if cells else float("nan"),
                "bce": group["bce_sum"].sum() / cells if cells else float("nan"),
                "mean_pitch_f1": float(mean_pitch_f1(tp, fp, fn)),
                "macro_f1": float(macro_f1(tp, fp, fn)),
                "cells": cells,
            }
        )
    result = pd.DataFrame(rows).assign(pieces=pieces.to_numpy())
    return result[[*by, *[c for c in result.columns if c not in groups]]]


def aggregate_frames(frame_metrics: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return one row a group of ``by``: mean_frame_f1, e_sub, e_miss, e_fa, e_tot and frames.

    The errors are rates per sounding note and frame (Poliner and Ellis 2007);
    NaN where nothing sounds. Raises InputError when a group would mix models,
    levels or thresholds.
    """
    check_single_condition(frame_metrics, by)
    sums = frame_metrics.groupby(list(by), observed=True, sort=True)[
        ["frames", "frame_f1_sum", "e_sub", "e_miss", "e_fa", "n_ref"]
    ].sum()
    result = pd.DataFrame({"mean_frame_f1": sums["frame_f1_sum"] / sums["frames"]})
    for error in ("e_sub", "e_miss", "e_fa"):
        result[error] = sums[error] / sums["n_ref"].where(sums["n_ref"] > 0)
    result["e_tot"] = result[["e_sub", "e_miss", "e_fa"]].sum(axis=1, skipna=False)
    return result.assign(frames=sums["frames"]).reset_index()


def note_scores(notes: pd.DataFrame, *, draws: int, base_seed: int) -> pd.DataFrame:
    """Return note precision, recall and F1 with intervals, of each arm's last round.

    One row for each split, arm, level, threshold and criterion. Beside the
    columns of :func:`~at4ramt.evaluation.bootstrap.intervals` (counts pooled over
    the pieces) there are ``round`` and ``piece_f1``, the mean of the pieces' own F1,
    as MIREX has it: a piece with neither notes nor an estimate is left out.
    """
    keys = ["split", "arm", "level", "threshold_kind", "criterion"]
    counts = with_errors(last_rounds(notes))
    table = _pooled(counts, keys, draws=draws, base_seed=base_seed)
    counts["f1"] = precision_recall_f1(counts["tp"], counts["fp"], counts["fn"])[2]
    of_arm = counts.groupby(keys, as_index=False, observed=True)
    pieces = of_arm.agg(round=("round", "max"), piece_f1=("f1", "mean"))
    return table.merge(pieces, on=keys, validate="one_to_one")


def last_rounds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each arm's last round; base and free controls have one.

    Raises InputError when a seed of the arm lacks that round.
    """
    last = scores.groupby("arm", observed=True)["round"].transform("max")
    kept = scores[scores["round"] == last]
    for arm, seeds in scores.groupby("arm", observed=True)["seed"]:
        lacking = set(seeds) - set(kept.loc[kept["arm"] == arm, "seed"])
        if lacking:
            raise InputError(
                f"scores table, arm '{arm}': seeds {sorted(lacking)} have no round "
                f"{int(last[scores['arm'] == arm].iloc[0])}, which other seeds have. {_AGAIN}"
            )
    return kept


def headline(
    scores: pd.DataFrame,
    *,
    splits: Sequence[str] = ("test", "test_unseen_piano"),
    noise: str = "uniform",
    draws: int = 1000,
    base_seed: int = 0,
    unit: str = "piece",
) -> pd.DataFrame:
    """Return the headline table: a row for each split, arm (its last round) and level.

    ``scores`` is a scores table; levels are those of ``noise`` and the clean one.
    Beside split, arm, round, level, seeds and pieces there are

    * ``f1_half``, ``f1_fitted``: pooled F1 at threshold 0.5 and at the fitted one;
    * ``loss``, ``bce``: weighted and unweighted, mean per frame and pitch, in nats;
    * ``gain_half``, ``gain_fitted``: F1 minus the base's at the same level;
    * ``clean_cost_half``, ``clean_cost_fitted``: the gain at level 0, repeated in
      every row of the arm. Negative: the arm is worse than the base on clean music.

    Each is a mean over seeds with ``_low`` and ``_high`` (95 % over pieces,
    paired for differences) and ``_std`` over seeds (NaN for one). A
    threshold kind that was not evaluated has no columns. Raises InputError
    when there is no base, or an arm lacks a piece, level or round of it.
    """
    clean = (scores["noise"] == "none") & (scores["level"] == 0)
    chosen = scores[scores["split"].isin(list(splits)) & (clean | (scores["noise"] == noise))]
    if chosen.empty:
        raise InputError(
            f"scores table: no rows for splits {list(splits)} with noise '{noise}' or none; it "
            f"has splits {sorted(set(scores['split']))}. {_AGAIN}"
        )
    chosen = last_rounds(chosen)
    rounds = chosen.groupby("arm", observed=True)["round"].max()
    by, keys = ["split", "arm", "level", "threshold_kind"], ["split", "arm", "level"]
    levels = intervals(chosen, by, draws=draws, base_seed=base_seed, unit=unit)
    gains = paired_differences(chosen, by, draws=draws, base_seed=base_seed, unit=unit)

    def columns(table: pd.DataFrame, measure: str, name: str) -> pd.DataFrame:
        ends = ("", "_low", "_high", "_std")
        return table.set_index(keys)[[measure + end for end in ends]].set_axis(
            [name + end for end in ends], axis=1
        )

    kinds = [kind for kind in THRESHOLD_KINDS if kind in set(levels["threshold_kind"])]
    level_of = {kind: levels[levels["threshold_kind"] == kind] for kind in kinds}
    gain_of = {kind: gains[gains["threshold_kind"] == kind] for kind in kinds}
    # losses do not depend on the threshold: either kind has them
    any_kind = level_of[kinds[0]]
    table = pd.concat(
        [any_kind.set_index(keys)[["seeds", "pieces"]]]
        + [columns(level_of[kind], "f1", f"f1_{kind}") for kind in kinds]
        + [columns(any_kind, measure, measure) for measure in ("loss", "bce")]
        + [columns(gain_of[kind], "f1", f"gain_{kind}") for kind in kinds],
        axis=1,
    ).reset_index()
    for kind in kinds:
        cost = columns(gain_of[kind], "f1", f"clean_cost_{kind}").reset_index()
        at_zero = cost[cost["level"] == 0].drop(columns="level")
        table = table.merge(at_zero, on=["split", "arm"], how="left", validate="many_to_one")
    table.insert(2, "round", table["arm"].map(rounds))
    place = {arm: index for index, arm in enumerate(order_arms(list(table["arm"])))}
    split_place = {split: index for index, split in enumerate(splits)}
    return (
        table.assign(_split=table["split"].map(split_place), _arm=table["arm"].map(place))
        .sort_values(["_split", "_arm", "level"], ignore_index=True)
        .drop(columns=["_split", "_arm"])
    )
