"""Frame-wise measures of a transcription.

Conventions
-----------
*Arrays.* ``truth`` and ``estimate`` are boolean piano rolls of shape (frames,
pitches). Probabilities become an estimate by ``probability >= threshold``
(:func:`binarise`), compared in the probabilities' own floating-point type.

*Pooled* precision, recall and F1 come from counts summed over every pitch and
frame. This is the paper's single number (Models and Methods, "Metric"); it says
"macro-averaging" for it, but what it describes is pooling (micro-averaging).

*0/0.* Precision without any prediction and recall without any sounding note are
0 as long as there is something to judge (``tp + fp + fn > 0``), as in
``mir_eval``. Where there is nothing at all to judge, all three are NaN:
unlike a zero, that cannot be taken for a failure of the model.

*Averages over pitches* run over the pitches that sound in the truth. The set
then depends on the data alone, so two models are always averaged over the same
pitches. False alarms at pitches that never sound count in the pooled numbers.

*Per-frame F1* of a frame that is silent in both rolls is 1. This matters
only where unlabelled frames are scored: the paper's frames all have a label.

*Frame errors* are the substitutions, misses and false alarms of G. Poliner and
D. Ellis, "A discriminative model for polyphonic piano transcription", EURASIP
Journal on Advances in Signal Processing (2007), as in ``mir_eval.multipitch``.
Sums are kept rather than rates, so that pieces can be added together.

*Cross-entropy* is in nats. "Weighted" multiplies each cell by the weight of its
pitch and class (the paper's loss); its chance level with balanced weights is ln 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from at4ramt.errors import InputError

THRESHOLD_GRID: NDArray[np.float64] = np.arange(1, 100) / 100.0
"""Thresholds tried when none are given: 0.01, 0.02, .. 0.99."""

SINGLE_CONDITION = ("arm", "seed", "round", "noise", "level", "threshold_kind")
"""Columns of a scores table that must not be pooled by accident."""

# Rows handled at once: 16384 x 56 doubles are 7 MB, small beside any model.
_CHUNK_ROWS = 16384


class FrameErrors(NamedTuple):
    """Sums over frames; add those of two pieces field by field to get both."""

    frames: int
    frame_f1_sum: float
    e_sub: int
    e_miss: int
    e_fa: int
    n_ref: int


def _check_pair(truth: NDArray[Any], other: NDArray[Any], name: str) -> None:
    if truth.ndim != 2 or truth.shape != other.shape:
        raise InputError(
            f"truth has shape {truth.shape} and {name} has shape {other.shape}: expected "
            "two arrays of one shape (frames, pitches). Score a model on the frames and "
            "pitches that its labels describe."
        )
    if truth.dtype != np.bool_:
        raise InputError(
            f"truth has type {truth.dtype}, expected bool. Convert labels with `labels > 0`."
        )


def validate(truth: NDArray[Any], estimate: NDArray[Any]) -> None:
    """Raise InputError unless both are boolean arrays of one shape (frames, pitches)."""
    _check_pair(truth, estimate, "estimate")
    if estimate.dtype != np.bool_:
        raise InputError(
            f"estimate has type {estimate.dtype}, expected bool. "
            "Turn probabilities into an estimate with `binarise`."
        )


def binarise(probability: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.bool_]:
    """Return the boolean estimate ``probability >= threshold``, of the same shape.

    The threshold is first rounded to the probabilities' type. A float32
    probability of 0.7 is thereby active at threshold 0.7, and
    :func:`fit_threshold` sees exactly what is scored later.
    """
    return np.asarray(probability >= probability.dtype.type(threshold))


def pitch_counts(
    truth: NDArray[np.bool_], estimate: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return tp, fp, fn, tn, each of shape (pitches,): frames counted per pitch.

    Raises InputError for arrays of the wrong type or of different shapes.
    """
    validate(truth, estimate)
    hits = np.count_nonzero(truth & estimate, axis=0).astype(np.int64)
    active = np.count_nonzero(truth, axis=0).astype(np.int64)
    predicted = np.count_nonzero(estimate, axis=0).astype(np.int64)
    return hits, predicted - hits, active - hits, len(truth) - active - predicted + hits


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Divide, with 0 where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    result = np.zeros(top.shape)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def precision_recall_f1(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> tuple[Any, Any, Any]:
    """Return precision, recall and F1 for counts of any one shape, element by element.

    Numbers give numbers; arrays give arrays. See the module for 0/0.
    :func:`pooled` adds up pitches first.
    """
    tp, fp, fn = (np.asarray(count, dtype=np.float64) for count in (tp, fp, fn))
    judged = tp + fp + fn > 0
    return tuple(  # type: ignore[return-value]
        np.where(judged, value, np.nan)[()]
        for value in (
            _ratio(tp, tp + fp),
            _ratio(tp, tp + fn),
            # 2PR/(P+R) without its own 0/0, and one rounding instead of four
            _ratio(2 * tp, 2 * tp + fp + fn),
        )
    )


def pooled(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the counts summed over all their axes."""
    precision, recall, f1 = precision_recall_f1(np.sum(tp), np.sum(fp), np.sum(fn))
    return float(precision), float(recall), float(f1)


def accuracy(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> float:
    """Return Dixon's accuracy TP/(TP+FP+FN), pooled; NaN where nothing is to be judged."""
    hits, judged = float(np.sum(tp)), float(np.sum(tp) + np.sum(fp) + np.sum(fn))
    return hits / judged if judged else float("nan")


def _mean_over_sounding(values: NDArray[np.float64], sounds: NDArray[np.bool_]) -> Any:
    count = sounds.sum(axis=-1)
    total = np.where(sounds, values, 0.0).sum(axis=-1)
    return np.where(count > 0, _ratio(total, count), np.nan)[()]


def mean_pitch_f1(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Any:
    """Return the mean of the pitches' own F1, over pitches that sound.

    Counts have shape (..., pitches), the result (...); NaN where no pitch sounds.
    """
    sounds = np.asarray(tp) + np.asarray(fn) > 0
    return _mean_over_sounding(precision_recall_f1(tp, fp, fn)[2], sounds)


def macro_f1(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> Any:
    """Return F1 of the macro-averages: mean precision and mean recall over pitches that sound.

    Counts have shape (..., pitches), the result (...); NaN where no pitch
    sounds. This is the other reading of the paper's "macro-averaging". It is
    never below :func:`mean_pitch_f1`, because F1 is concave.
    """
    sounds = np.asarray(tp) + np.asarray(fn) > 0
    precision, recall, _ = precision_recall_f1(tp, fp, fn)
    p = np.asarray(_mean_over_sounding(precision, sounds))
    r = np.asarray(_mean_over_sounding(recall, sounds))
    return np.where(np.isnan(p), np.nan, _ratio(2 * p * r, p + r))[()]


def _bin_counts(
    truth: NDArray[np.bool_], probability: NDArray[np.floating[Any]], edges: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (inactive, active) cells by the number of edges at or below their probability."""
    bins = len(edges) + 1
    counts = np.zeros(2 * bins, dtype=np.int64)
    for start in range(0, len(truth), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        values = probability[rows].ravel()
        if not np.isfinite(values).all():
            raise InputError(
                f"probability is not finite between rows {start} and {start + _CHUNK_ROWS}: "
                "expected numbers in 0..1. The model has diverged; train it with a lower "
                "learning_rate."
            )
        cells = np.searchsorted(edges, values, side="right")
        cells += bins * truth[rows].ravel()
        counts += np.bincount(cells, minlength=2 * bins)
    return counts[:bins], counts[bins:]


def fit_threshold(
    truth: NDArray[np.bool_],
    probability: NDArray[np.floating[Any]],
    grid: Sequence[float] | NDArray[np.floating[Any]] = THRESHOLD_GRID,
) -> tuple[float, float]:
    """Return the threshold of ``grid`` with the highest pooled F1, and that F1.

    ``truth`` and ``probability`` have shape (frames, pitches). All thresholds
    are judged from one histogram of the probabilities. Among thresholds of
    equal F1 the one nearest 0.5 is taken, then the lower. Raises InputError
    for an empty grid, shapes that differ, probabilities that are not finite,
    and a truth in which nothing sounds (every threshold would be as good).
    """
    _check_pair(truth, probability, "probability")
    thresholds = np.unique(np.asarray(grid, dtype=np.float64))
    if not thresholds.size:
        raise InputError("grid is empty: expected thresholds to choose from, such as 0.5.")
    if not truth.any():
        raise InputError(
            "truth has no active label, so no threshold can be fitted. "
            "Give the validation split at least one piece with notes."
        )
    inactive, active = _bin_counts(truth, probability, thresholds.astype(probability.dtype))
    # cell k passed k thresholds: those active at threshold t are in the cells after t
    tp = active[::-1].cumsum()[::-1][1:]
    fp = inactive[::-1].cumsum()[::-1][1:]
    f1 = np.asarray(precision_recall_f1(tp, fp, active.sum() - tp)[2])
    best = np.flatnonzero(f1 == f1.max())
    # rounded, or 0.3 and 0.7 would not be at the same distance
    distance = np.abs(thresholds[best] - 0.5).round(9)
    chosen = best[np.argmin(distance)]
    return float(thresholds[chosen]), float(f1[chosen])


def frame_f1(truth: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the F1 of each frame, shape (frames,); 1 where both rolls are silent."""
    validate(truth, estimate)
    hits = np.count_nonzero(truth & estimate, axis=1)
    both = np.count_nonzero(truth, axis=1) + np.count_nonzero(estimate, axis=1)
    return np.where(both == 0, 1.0, _ratio(2 * hits, both))


def frame_errors(truth: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> FrameErrors:
    """Return the sums over frames that the frame-wise measures are made of.

    Per frame, with R sounding, E estimated and H hit pitches: substitutions
    min(R, E) - H, misses max(0, R - E), false alarms max(0, E - R), reference
    R (Poliner and Ellis 2007). Raises InputError as :func:`validate` does.
    """
    f1 = frame_f1(truth, estimate)
    hits = np.count_nonzero(truth & estimate, axis=1)
    reference = np.count_nonzero(truth, axis=1)
    estimated = np.count_nonzero(estimate, axis=1)
    return FrameErrors(
        frames=len(truth),
        frame_f1_sum=float(f1.sum()),
        e_sub=int((np.minimum(reference, estimated) - hits).sum()),
        e_miss=int(np.maximum(reference - estimated, 0).sum()),
        e_fa=int(np.maximum(estimated - reference, 0).sum()),
        n_ref=int(reference.sum()),
    )


def probabilities(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the sigmoid of logits, of any shape, in double precision."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))


def cross_entropy_sums(
    truth: NDArray[np.bool_],
    logits: NDArray[np.floating[Any]],
    weight_active: ArrayLike,
    weight_inactive: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted and the unweighted cross-entropy of each pitch, summed over frames.

    ``truth`` and ``logits`` have shape (frames, pitches), the weights (pitches,)
    or are one number; both results have shape (pitches,), in nats. A cell costs
    log(1 + exp(-z)) when active and log(1 + exp(z)) when not, computed so that
    no logit overflows, in double precision. Raises InputError for shapes that
    do not fit and for logits that are not finite.
    """
    _check_pair(truth, logits, "logits")
    pitches = truth.shape[1]
    weights = []
    for name, given in (("weight_active", weight_active), ("weight_inactive", weight_inactive)):
        weight = np.asarray(given, dtype=np.float64)
        if weight.shape not in ((), (pitches,)):
            raise InputError(
                f"{name} has shape {weight.shape}, expected ({pitches},), one weight a pitch. "
                "Use the loss weights stored beside the model that is scored."
            )
        weights.append(weight)
    active_sum, inactive_sum = np.zeros(pitches), np.zeros(pitches)
    for start in range(0, len(truth), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        active = truth[rows]
        values = logits[rows].astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(
                f"logits are not finite between rows {start} and {start + _CHUNK_ROWS}. "
                "The model has diverged; train it with a lower learning_rate."
            )
        cost = np.logaddexp(0.0, np.where(active, -values, values))
        active_sum += np.where(active, cost, 0.0).sum(axis=0)
        inactive_sum += np.where(active, 0.0, cost).sum(axis=0)
    return weights[0] * active_sum + weights[1] * inactive_sum, active_sum + inactive_sum


def check_single_condition(scores: pd.DataFrame, by: Sequence[str]) -> None:
    """Raise InputError if grouping ``scores`` by ``by`` would pool models or conditions.

    Adding the counts of two thresholds, levels, rounds or seeds gives a number
    that describes no model; each must be in ``by`` or have one value a group.
    """
    missing = [column for column in by if column not in scores.columns]
    if missing:
        raise InputError(
            f"scores table: cannot group by {missing}; its columns are {list(scores.columns)}."
        )
    loose = [c for c in SINGLE_CONDITION if c in scores.columns and c not in by]
    if scores.empty or not loose:
        return
    # the different combinations are few: a large table is scanned once, by hashing
    seen = scores[[*by, *loose]].drop_duplicates()
    distinct = (
        seen.groupby(list(by), observed=True, sort=False)[loose].nunique(dropna=False).max()
        if by
        else seen.nunique(dropna=False)
    )
    for column in loose:
        if distinct[column] > 1:
            raise InputError(
                f"scores table: a group by {list(by)} holds {distinct[column]} values of "
                f"'{column}', expected one. Add '{column}' to the grouping or select one value."
            )
