"""Percentile intervals over pieces, for scores and for differences between arms.

Frames of one recording resemble each other, so the unit that is drawn with
replacement is the piece (one excerpt on one piano), with all its frames. A
draw adds up the counts of the pieces drawn and computes the measure from
the sums. Groups that hold the same pieces get the same draws: the difference
between two arms, levels or thresholds is thus a paired one, from which the
pieces' own difficulty drops out.

With several training seeds a draw's measure is computed for each seed and
averaged; the interval is then about the pieces, and the spread over seeds is
reported beside it, not mixed into it. Of a measure that some draws do not have (F1 of an
octave in which the drawn pieces have no notes) the interval is that of the draws that have
it; if they are fewer than half there is none. The intervals speak of other pieces like
these. Excerpts of one work, or one excerpt on two pianos, are not
independent; where that matters give ``unit`` a column that names the work.

Source of the method: B. Efron and R. Tibshirani, "An Introduction to the
Bootstrap" (1993), chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from at4ramt.errors import InputError
from at4ramt.evaluation.metrics import check_single_condition, precision_recall_f1
from at4ramt.seeds import purpose_seed

MEASURES = ("f1", "precision", "recall", "loss", "bce")
LEAST_DRAWS = 0.5
"""Share of the draws that must have a measure, or it has no interval."""
_SUMS = ["tp", "fp", "fn", "loss_sum", "bce_sum", "frames"]


def resample(units: Sequence[str], draws: int, base_seed: int) -> NDArray[np.int64]:
    """Return how often each unit is drawn, shape (draws, units); each row sums to len(units).

    The result depends on the names of the units, in their order, and the seed,
    and on nothing else.
    """
    generator = np.random.default_rng(purpose_seed(base_seed, "bootstrap over pieces", *units))
    count = len(units)
    return generator.multinomial(count, np.full(count, 1.0 / count), size=draws)


def measures_from_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return MEASURES along the last axis from tp, fp, fn, loss_sum, bce_sum, frames along it.

    Losses are means per frame and pitch, in nats: the column frames is counted
    once a pitch in a scores table, so its sum is the number of cells.
    """
    tp, fp, fn, loss, bce, cells = np.moveaxis(sums, -1, 0)
    precision, recall, f1 = precision_recall_f1(tp, fp, fn)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([f1, precision, recall, loss / cells, bce / cells], axis=-1)


def _draws_by_group(
    scores: pd.DataFrame, by: list[str], *, draws: int, base_seed: int, unit: str
) -> dict[tuple[object, ...], tuple[tuple[str, ...], NDArray[np.float64]]]:
    """Return, by group and seed, the names of its units and the measures.

    The measures have shape (1 + draws, measures); the first row is all units once.
    """
    keys = [*by, "seed"]
    check_single_condition(scores, keys)
    if unit not in scores.columns:
        raise InputError(
            f"scores table: no column '{unit}' to resample over; its columns are "
            f"{list(scores.columns)}. Merge it from the piece table."
        )
    sums = scores.groupby([*keys, unit], observed=True, sort=True)[_SUMS].sum()
    drawn: dict[tuple[str, ...], NDArray[np.int64]] = {}
    result = {}
    for key, group in sums.groupby(level=list(range(len(keys))), observed=True, sort=True):
        units = tuple(map(str, group.index.get_level_values(unit)))
        if units not in drawn:
            once = np.ones((1, len(units)), dtype=np.int64)
            drawn[units] = np.concatenate([once, resample(units, draws, base_seed)])
        name = key if isinstance(key, tuple) else (key,)
        result[name] = (units, measures_from_sums(drawn[units] @ group.to_numpy(dtype=np.float64)))
    return result


def _summary(samples: list[NDArray[np.float64]], units: int, confidence: float) -> dict[str, float]:
    """Return value, _low, _high and _std of each measure from one sample array per seed."""
    seeds = np.stack(samples)
    mean = seeds.mean(axis=0)
    tail = 50 * (1 - confidence)
    row: dict[str, float] = {}
    for place, measure in enumerate(MEASURES):
        # A draw of pieces in which nothing sounds and nothing is found there has no F1.
        found = mean[1:, place][~np.isnan(mean[1:, place])]
        # the spread of one piece is unknown, not zero
        known = units > 1 and len(found) >= LEAST_DRAWS * (len(mean) - 1)
        low, high = np.percentile(found, [tail, 100 - tail]) if known else (np.nan, np.nan)
        spread = seeds[:, 0, place].std(ddof=1) if len(seeds) > 1 else np.nan
        row |= {
            measure: float(mean[0, place]),
            f"{measure}_low": float(low),
            f"{measure}_high": float(high),
            f"{measure}_std": float(spread),
        }
    return row


def _check_settings(draws: int, confidence: float) -> None:
    if draws < 1 or not 0 < confidence < 1:
        raise InputError(
            f"bootstrap with {draws} draws at confidence {confidence}: expected at least one "
            "draw and a confidence between 0 and 1. Correct evaluation.bootstrap_draws."
        )


def intervals(
    scores: pd.DataFrame,
    by: Sequence[str],
    *,
    draws: int = 1000,
    base_seed: int = 0,
    unit: str = "piece",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return one row a group with each of MEASURES and its ``_low``, ``_high`` and ``_std``.

    ``scores`` is a scores table; ``by`` names the columns of a group, among which
    arm, round, noise, level and threshold_kind must be unless they have one
    value. Seeds need not be: their measures are averaged, ``_std`` is the standard
    deviation between them (NaN for one) and the column seeds their number.
    Column pieces is the number of units; with one there is no interval (NaN).
    Raises InputError for groups that would mix conditions, and for seeds of one
    group that were scored on different pieces.
    """
    _check_settings(draws, confidence)
    groups = [column for column in by if column != "seed"]
    keep = [*by] if "seed" in by else groups
    found = _draws_by_group(scores, groups, draws=draws, base_seed=base_seed, unit=unit)
    collected: dict[tuple[object, ...], list[tuple[tuple[str, ...], NDArray[np.float64]]]] = {}
    for key, sample in found.items():
        named = dict(zip([*groups, "seed"], key, strict=True))
        collected.setdefault(tuple(named[column] for column in keep), []).append(sample)
    rows = []
    for key, samples in collected.items():
        units = samples[0][0]
        if any(other != units for other, _ in samples):
            raise InputError(
                f"scores table, {dict(zip(keep, key, strict=True))}: the seeds were scored on "
                "different pieces, expected the same. Evaluate all seeds again."
            )
        rows.append(
            dict(zip(keep, key, strict=True))
            | {"seeds": len(samples), "pieces": len(units)}
            | _summary([sample for _, sample in samples], len(units), confidence)
        )
    return pd.DataFrame(rows)


def paired_differences(
    scores: pd.DataFrame,
    by: Sequence[str],
    *,
    reference: object = "base",
    contrast: str = "arm",
    draws: int = 1000,
    base_seed: int = 0,
    unit: str = "piece",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return each arm's measures minus the reference arm's, with paired intervals.

    One row for each group of ``by`` (columns other than ``contrast``) and each
    value of ``contrast``, the reference itself included (differences of 0).
    Measures are named as in :func:`intervals`; seeds are matched, the difference is
    averaged over the seeds that both have. A positive f1 is better than the
    reference, a positive loss worse. Raises InputError when a group has no
    reference, no common seed, or was scored on other pieces than the reference.
    """
    _check_settings(draws, confidence)
    groups = [column for column in by if column not in ("seed", contrast)]
    # rounds differ between the arms by nature; each arm must have one
    check_single_condition(scores, [*groups, contrast, "seed"])
    found = _draws_by_group(
        scores, [*groups, contrast], draws=draws, base_seed=base_seed, unit=unit
    )
    collected: dict[tuple[object, ...], list[NDArray[np.float64]]] = {}
    sizes: dict[tuple[object, ...], int] = {}
    for key, (units, sample) in found.items():
        *group, arm, seed = key
        where = f"scores table, {dict(zip(groups, group, strict=True))}, {contrast} '{arm}'"
        other = found.get((*group, reference, seed))
        if other is None:
            continue
        if other[0] != units:
            raise InputError(
                f"{where}: scored on {len(units)} pieces, '{reference}' on {len(other[0])} or "
                "others; expected the same ones. Evaluate both again."
            )
        collected.setdefault((*group, arm), []).append(sample - other[1])
        sizes[(*group, arm)] = len(units)
    for *group, arm, _ in found:
        if (*group, arm) not in collected:
            raise InputError(
                f"scores table, {dict(zip(groups, group, strict=True))}, {contrast} '{arm}': no "
                f"'{reference}' with a common seed to compare with. Evaluate '{reference}' too."
            )
    return pd.DataFrame(
        [
            dict(zip([*groups, contrast], key, strict=True))
            | {"seeds": len(samples), "pieces": sizes[key]}
            | _summary(samples, sizes[key], confidence)
            for key, samples in collected.items()
        ]
    )
