"""The arms of the experiment: what each changes in its noise rounds.

All arms start from one base model and train the same number of epochs with the
same optimiser, so that an arm differs from another in what its row of the
config's table ``arms`` says and in nothing else. ``adversarial`` is the
paper's; ``clean``, ``augmented`` and ``fixed`` are the controls without which
its effect cannot be told from that of more epochs, of any noise at all or of
the last round's noise alone. The others answer what the paper asks under
further research: another noise, an adversary that knows the model
(``gradient``), regularisation instead of noise, an input without the noise's
offset, and other readings of the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

# What an arm says of itself for readers, and nothing of its training depends on.
REPORTED = ("against", "question", "label")
# What an arm may say in place of the section rounds.
OF_ROUNDS = ("redraw", "maximum_level", "epochs")
# What an arm may say in place of other sections.
OF_SECTIONS = ("network", "training")

ACOUSTIC = "audio_"
MIXED_KINDS = ("white", "pink", "brown", "hum", "babble")
"""What ``audio_mixed`` is drawn from: of each block of frames one kind."""

COLOURED_KINDS = ("white", "pink", "brown")
"""What ``audio_coloured`` is drawn from, likewise."""


def is_acoustic(noise: str) -> bool:
    """Return whether a kind of noise is noise in the audio."""
    return noise.startswith(ACOUSTIC)


def pool_kinds(noise: str) -> tuple[str, ...]:
    """Return the kinds of the pools that a kind of acoustic noise is drawn from."""
    kind = noise.removeprefix(ACOUSTIC)
    return {"mixed": MIXED_KINDS, "coloured": COLOURED_KINDS}.get(kind, (kind,))


@dataclass(frozen=True)
class Arm:
    """What an arm changes; a row of the config's table ``arms``.

    Attributes:
        noise: a kind of :mod:`at4ramt.training.noise`, ``none``, ``gradient``, or noise in the
            audio (``audio_white``), whose levels are ratios of amplitudes.
        level: where a round's level comes from: ``searched`` (the round's search),
            ``maximum`` (``rounds.maximum_level``), ``drawn`` (uniformly from 0 to
            the maximum, one for each segment) or ``decibels`` (of noise in the audio, drawn
            uniformly from ``snr_db``, one for each segment); ``none`` without noise.
        snr_db: lowest and highest signal-to-noise ratio of ``decibels``.
        clean_share: share of the segments without noise, of ``decibels``.
        start: what the first round trains on: the ``base``, or a network drawn anew
            (``scratch``).
        input: what the network sees: ``magnitude``, or ``median``, magnitudes less
            each frame's median.
        dropout_convolution: share dropped after each pooling; the network's if None.
        dropout_dense: share dropped after each hidden dense layer; likewise.
        weight_decay: share of each weight taken off at a step, times the learning
            rate (decoupled: Loshchilov and Hutter 2019).
        gradient_steps: steps of the ``gradient`` adversary.
    """

    noise: str
    level: str = "none"
    snr_db: tuple[float, float] = (0.0, 0.0)
    clean_share: float = 0.0
    start: str = "base"
    input: str = "magnitude"
    dropout_convolution: float | None = None
    dropout_dense: float | None = None
    weight_decay: float = 0.0
    gradient_steps: int = 1

    @classmethod
    def from_config(cls, row: Mapping[str, Any]) -> Arm:
        """Return the arm of a row, whose other keys are those of readers and of ``rounds``."""
        return cls(**{name.name: row[name.name] for name in fields(cls) if name.name in row})

    @property
    def rebuilds(self) -> bool:
        """Whether the network or optimiser is another than the base's."""
        return (
            self.input != "magnitude"
            or self.dropout_convolution is not None
            or self.dropout_dense is not None
            or self.weight_decay > 0
        )
