"""The arms of the experiment: how each chooses the noise of its rounds.

All arms start from one base model and train the same number of epochs with the
same optimiser; they differ only in the noise. ``adversarial`` is the paper's.
The others are the controls without which its effect cannot be told from that of
more epochs (``clean``), of any noise at all (``augmented``) or of the last
round's noise alone (``fixed``).
"""

from __future__ import annotations

from dataclasses import dataclass

from at4ramt.errors import InputError, suggestion


@dataclass(frozen=True)
class Arm:
    """How an arm draws its noise.

    Attributes:
        noise: ``none``, ``level`` (one level a round) or ``up_to_level``
            (a level per segment, uniform from 0 to the arm's).
        searched: whether the level comes from the round's search; otherwise it
            is ``rounds.maximum_level``.
    """

    noise: str
    searched: bool


ARMS = {
    "adversarial": Arm(noise="level", searched=True),
    "clean": Arm(noise="none", searched=False),
    "augmented": Arm(noise="up_to_level", searched=False),
    "fixed": Arm(noise="level", searched=False),
}


def arm_named(name: str) -> Arm:
    """Return an arm by name.

    Raises:
        InputError: if there is none of this name.
    """
    if name not in ARMS:
        raise InputError(
            f"'{name}' is no arm; expected one of {', '.join(ARMS)}.{suggestion(name, ARMS)}"
        )
    return ARMS[name]
