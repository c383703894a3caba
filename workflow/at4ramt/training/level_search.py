"""The noise level of a round: hard enough to learn from, not too hard.

The paper raises or lowers the level until the loss on a sample of training
frames has grown by a share within a given range. Its pseudocode divides
``loss(clean) - loss(noisy)`` by ``loss(clean)``, which is negative for any noise
that hurts, so that taken literally the search never ends; and with two factors
that undo each other it can step over the range for ever. Here the increase is
``(loss(noisy) - loss(clean)) / loss(clean)``, and once two neighbouring levels
lie on either side of the range the search halves the interval between them, in
the logarithm of the level. The increase is not monotone in the level after the
first round (a model hardened at one level may find half of it harder), so only
an interval found by walking is ever halved. Rule ``literal`` keeps the paper's sign, to
show where it leads: all noise is too easy, and the level goes to its cap.

Source: the paper, section "Noise Level Adjustments".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["too_easy", "too_hard", "in_range"]
Status = Literal["in_range", "cap", "floor", "evaluations"]


@dataclass(frozen=True)
class SearchSettings:
    """Config keys ``rounds.search``; see config/README.md."""

    frames: int
    minimum_increase: float
    maximum_increase: float
    start_level: float
    factor: float
    floor_level: float
    cap_level: float
    evaluations: int
    rule: str = "corrected"
    reference: str = "clean"


@dataclass(frozen=True)
class SearchStep:
    """One level tried."""

    step: int
    level: float
    loss_clean: float
    loss_noisy: float
    increase: float
    verdict: Verdict
    phase: Literal["walk", "bisect"]


@dataclass(frozen=True)
class SearchResult:
    """The level chosen, why the search stopped there, and every level tried."""

    level: float
    status: Status
    trace: tuple[SearchStep, ...]


def search_level(
    noisy_loss: Callable[[float], float],
    reference_loss: float,
    settings: SearchSettings,
    start_level: float,
) -> SearchResult:
    """Find a level whose relative loss increase lies in the configured range.

    Args:
        noisy_loss: loss at a level, on one fixed sample and one fixed draw.
        reference_loss: loss of the same sample that the increase is relative to: without
            noise, or in the noise of the round before.
        settings: range, factor and bounds.
        start_level: first level tried: the previous round's.

    Returns:
        The result, with status ``in_range``, or ``cap`` or ``floor`` if walking
        reached that bound, or ``evaluations`` if the allowed number ran out; in
        the last case the level is the last one found too easy, if any.

    Raises:
        FloatingPointError: if a loss is not finite or the clean loss not positive.
    """
    if not (math.isfinite(reference_loss) and reference_loss > 0):
        raise FloatingPointError(f"level search: the loss to compare with is {reference_loss}")
    sign = -1 if settings.rule == "literal" else 1
    trace: list[SearchStep] = []
    easy: float | None = None
    hard: float | None = None
    level = min(max(start_level, settings.floor_level), settings.cap_level)
    while True:
        bisecting = easy is not None and hard is not None
        loss = noisy_loss(level)
        if not math.isfinite(loss):
            raise FloatingPointError(f"level search: the loss at level {level} is {loss}")
        increase = sign * (loss - reference_loss) / reference_loss
        verdict: Verdict = "in_range"
        if increase < settings.minimum_increase:
            verdict, easy = "too_easy", level
        elif increase > settings.maximum_increase:
            verdict, hard = "too_hard", level
        trace.append(
            SearchStep(
                len(trace) + 1,
                level,
                reference_loss,
                loss,
                increase,
                verdict,
                "bisect" if bisecting else "walk",
            )
        )
        if verdict == "in_range":
            return SearchResult(level, "in_range", tuple(trace))
        if len(trace) >= settings.evaluations:
            return SearchResult(level if easy is None else easy, "evaluations", tuple(trace))
        if easy is not None and hard is not None:
            level = math.sqrt(easy * hard)
        elif verdict == "too_easy":
            if level >= settings.cap_level:
                return SearchResult(level, "cap", tuple(trace))
            level = min(level * settings.factor, settings.cap_level)
        else:
            if level <= settings.floor_level:
                return SearchResult(level, "floor", tuple(trace))
            level = max(level / settings.factor, settings.floor_level)
