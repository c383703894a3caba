"""A confusion matrix of pitches whose masses are numbers of frames.

The paper evaluates confusions per frame and weights frames "by the ratio
between the true number of pitches played at that time, and the estimated
number" (Models and Methods, "Metric"). Taken literally every sounding pitch is
confused with every estimated one, so that a perfect transcription of a chord
lands mostly off the diagonal. Here only what was missed can be confused, and
only with what was estimated without sounding; nothing is counted twice.

In one frame let M be what sounds without being estimated, E what is estimated
without sounding, and s = min(|M|, |E|). Then

* each pitch that sounds and is estimated adds 1 on the diagonal;
* each pair (i in M, j in E) adds s / (|M| |E|), the substitutions spread evenly;
* each i in M adds (|M| - s) / |M| in the column "none", a miss;
* each j in E adds (|E| - s) / |E| in the row "none", a false alarm.

Row i therefore sums to the frames in which i sounds, column j to those in
which j is estimated, and the three kinds of error sum to the substitutions,
misses and false alarms of Poliner and Ellis (2007). The cell (none, none) is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from at4ramt.evaluation.metrics import validate

NONE = 0
"""What stands for "no pitch" in the columns of a table (a MIDI pitch outside the range)."""

_CHUNK_ROWS = 16384


class Masses(NamedTuple):
    """Frames of each kind in a confusion matrix."""

    hit: float
    substituted: float
    missed: float
    false_alarm: float


def confusion_matrix(truth: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the matrix of shape (pitches + 1, pitches + 1), in frames.

    Rows are what sounds, columns what is estimated; the last of each is
    "none". ``truth`` and ``estimate`` are boolean, (frames, pitches). Raises
    InputError as :func:`at4ramt.evaluation.metrics.validate` does.
    """
    validate(truth, estimate)
    pitches = truth.shape[1]
    matrix = np.zeros((pitches + 1, pitches + 1))
    for start in range(0, len(truth), _CHUNK_ROWS):
        sounds, found = truth[start : start + _CHUNK_ROWS], estimate[start : start + _CHUNK_ROWS]
        missed = (sounds & ~found).astype(np.float64)
        extra = (found & ~sounds).astype(np.float64)
        n_missed, n_extra = missed.sum(axis=1), extra.sum(axis=1)
        swapped = np.minimum(n_missed, n_extra)
        # frames without errors divide by 1 instead of 0; their rows are empty anyhow
        per_missed, per_extra = np.maximum(n_missed, 1), np.maximum(n_extra, 1)
        weight = swapped / (per_missed * per_extra)
        matrix[:pitches, :pitches] += missed.T @ (weight[:, None] * extra)
        matrix[:pitches, pitches] += missed.T @ ((n_missed - swapped) / per_missed)
        matrix[pitches, :pitches] += ((n_extra - swapped) / per_extra) @ extra
        diagonal = np.arange(pitches)
        matrix[diagonal, diagonal] += np.count_nonzero(sounds & found, axis=0)
    return matrix


def masses(matrix: NDArray[np.float64]) -> Masses:
    """Return the frames hit, substituted, missed and falsely found in a confusion matrix."""
    inner = matrix[:-1, :-1]
    hit = float(np.trace(inner))
    return Masses(
        hit=hit,
        substituted=float(inner.sum() - hit),
        missed=float(matrix[:-1, -1].sum()),
        false_alarm=float(matrix[-1, :-1].sum()),
    )


def matrix_to_table(matrix: NDArray[np.float64], lowest_pitch: int) -> pd.DataFrame:
    """Return the cells that are not 0 as rows true_pitch, predicted_pitch (MIDI, 0 = none), mass.

    ``lowest_pitch`` is the MIDI pitch of the first row.
    """
    names = np.append(np.arange(lowest_pitch, lowest_pitch + len(matrix) - 1), NONE)
    row, column = np.nonzero(matrix)
    return pd.DataFrame(
        {
            "true_pitch": names[row].astype(np.int64),
            "predicted_pitch": names[column].astype(np.int64),
            "mass": matrix[row, column],
        }
    )
