"""A trained model that runs: from its ONNX export where there is one, else by Keras.

The networks take every second frame, as they were trained; here they give every
frame, by running once on the even and once on the odd ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.errors import InputError
from at4ramt.features.cqt import CqtSettings

PAPER_ARM = "adversarial"
"""Whose model is taken of a run with several."""

Logits = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Magnitudes ``(T, bins)`` to logits ``(T - c + 1, pitches)``, ``c`` the window's frames."""


@dataclass(frozen=True)
class Model:
    """A model, ready to run.

    Attributes:
        path: the file it was read from.
        card: what the file says of itself.
        runtime: ``"ONNX Runtime"`` or ``"Keras"``.
        logits: the network, on successive kept frames.
    """

    path: str
    card: dict[str, Any]
    runtime: str
    logits: Logits

    @property
    def features(self) -> CqtSettings:
        """The transform that the model was trained on."""
        return CqtSettings.from_config(self.card["features"])

    @property
    def margin_frames(self) -> int:
        """Frames at full rate that the network needs before and after each."""
        return int(self.card["context_frames"]) // 2 * int(self.card["frame_step"])

    def probabilities(self, magnitudes: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return each pitch's probability in each frame, at the full frame rate.

        Args:
            magnitudes: of a stretch of frames and :attr:`margin_frames` more on
                either side (zeros before and after a recording), ``(frames + 2 *
                margin_frames, bins)``, without the margin of pitches.

        Returns:
            ``(frames, pitches)``, float32.

        Raises:
            InputError: if the network answers with what is no number.
        """
        step = int(self.card["frame_step"])
        frames = len(magnitudes) - 2 * self.margin_frames
        result = np.empty((frames, self.features.pitches), np.float32)
        for phase in range(min(step, frames)):
            kept = np.ascontiguousarray(magnitudes[phase::step], np.float32)
            # The same as 1 / (1 + exp(-x)), and without overflow.
            result[phase::step] = 0.5 * np.tanh(0.5 * self._checked_logits(kept)) + 0.5
        return result

    def _checked_logits(self, kept: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        try:
            logits = self.logits(kept)
            # It would count as silence. Keras' way looks itself.
            if np.isnan(logits).any():
                raise FloatingPointError
        except FloatingPointError as error:
            raise InputError(
                f"{self.path}: expected probabilities from this network, found what is no number; "
                "train it again, or name another"
            ) from error
        return logits


def open_model(path: str | Path, *, threads: int = 1) -> Model:
    """Open a trained model.

    Args:
        path: a ``.keras`` archive, whose export beside it is used if it is there and
            of this very archive, or an ``.onnx`` file.
        threads: CPU threads for the network.

    Raises:
        InputError: if the file is missing or no model of this workflow.
    """
    from at4ramt.training.model_file import check_card, load_model, read_card
    from at4ramt.training.onnx_file import SUFFIX, exported, load_onnx

    if Path(path).suffix != SUFFIX:
        found = exported(path, threads=threads) if Path(path).is_file() else None
    else:
        try:
            found = load_onnx(path, threads=threads)
        except ImportError as error:
            raise InputError(
                f"{path}: the package onnxruntime, which runs this file, is not installed; "
                "run make setup, or name the .keras file beside it"
            ) from error
    if found is not None:
        check_card(path, found.card)
        return _runnable(path, found.card, "ONNX Runtime", found.logits, *found.sizes)

    card = read_card(path)  # wrong files are told from right ones before Keras is imported
    check_card(path, card)
    from at4ramt.training.backend import start_backend

    start_backend(threads, 0)
    from at4ramt.training.loop import predict_logits

    network = load_model(path).network
    return _runnable(
        path, card, "Keras", lambda frames: predict_logits(network, frames),
        network.input_shape[-1], network.output_shape[-1],
    )  # fmt: skip


def _runnable(
    path: str | Path, card: dict[str, Any], runtime: str, logits: Logits, bins: Any, pitches: Any
) -> Model:
    """Return a model whose network is of the size that its card, a checked one, says."""
    model = Model(str(path), card, runtime, logits)
    heard = model.features.heard
    if (bins, pitches) != (heard.stop - heard.start, model.features.pitches):
        raise InputError(
            f"{path}: its network takes {bins} bins and gives {pitches} pitches; expected, by its "
            f"card, {heard.stop - heard.start} and {model.features.pitches}; train it again, or "
            "name another one"
        )
    return model


def find_model(results: str | Path) -> Path | None:
    """Return the model that a run is taken to mean where none is named, or None without one.

    That is the last round of the paper's arm, or of the first other arm that
    was trained, by the first seed; without rounds, the base model.

    Args:
        results: the folder ``results`` of a workflow.
    """
    models = Path(results) / "models"
    arms = sorted(models.glob("*/seed_*/round_??.keras"))
    of_paper = [path for path in arms if path.parents[1].name == PAPER_ARM]
    others = [path for path in arms if path.parents[1].name == arms[0].parents[1].name]
    for found in (of_paper, others, list(models.glob("base/seed_*.keras"))):
        if found:
            return min(found, key=lambda path: (_seed(path), -_round(path)))
    return None


def _seed(path: Path) -> int:
    part = path.stem if path.stem.startswith("seed_") else path.parent.name
    return int(part.removeprefix("seed_"))


def _round(path: Path) -> int:
    return int(path.stem.removeprefix("round_")) if path.stem.startswith("round_") else 0
