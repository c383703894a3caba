"""Epochs: train, validate, keep the best, say how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from at4ramt.evaluation.metrics import cross_entropy_sums, pitch_counts, precision_recall_f1
from at4ramt.features.frames import FrameMatrix
from at4ramt.seeds import purpose_seed
from at4ramt.training.acoustic import AcousticNoise
from at4ramt.training.adversary import GRADIENT, perturb_rows, perturbation
from at4ramt.training.augment import UNCHANGED, Augmentation, draw_levels, learning_rate_at
from at4ramt.training.checkpoint import Checkpoint, Interrupted, Interruption, TrainingState
from at4ramt.training.losses import LossWeights
from at4ramt.training.model_file import restore, snapshot
from at4ramt.training.network import computing_in, context_frames
from at4ramt.training.noise import unit_noise
from at4ramt.training.segments import SegmentModel

log = logging.getLogger("at4ramt")

PREDICTED_ROWS = 512
ROWS_PER_LEVEL = 64
Disturbed = Callable[[], npt.NDArray[np.float32]]
"""Gives the validation frames as the model of the moment is to hear them."""

NOT_VALIDATED = dict.fromkeys(("loss", "bce", "precision", "recall", "f1"), float("nan"))
SUMMED = ("weighted", "plain", "tp", "estimated", "referenced", "cells")


@dataclass(frozen=True)
class Plan:
    """What one call of :func:`train` does.

    Attributes:
        label: what the progress lines begin with, such as ``"adversarial 07/12"``.
        seed: the run's seed.
        keys: what tells this training's draws apart, such as arm and round.
        noise: kind of :mod:`at4ramt.training.noise`, ``"gradient"`` or ``"none"``.
        level: level of the noise, in units of CQT magnitude.
        drawn: whether levels are drawn uniformly from 0 to the level, one per segment.
        redraw: whether noise is drawn once per ``"round"`` or per ``"epoch"``.
        epochs: at most so many.
        patience: stop after so many epochs without a better monitored F1.
        monitor: validation F1 watched: ``"noisy"`` or ``"clean"``.
        keep: which epoch's weights remain: the ``"best"`` monitored one or the ``"last"``.
        monitored_level: level of the noisy validation; 0 for none.
        segment_frames: outputs per segment.
        batch_segments: segments per step.
        precision: what the network computes in while it is trained.
        gradient_steps: steps of the ``gradient`` adversary.
        snr_db: range from which signal-to-noise ratios are drawn in place of levels.
        clean_share: share of the segments without noise then.
        augmentation: what segments are changed by.
        learning_rate: the highest; None leaves the optimiser's as it is.
        schedule: ``"constant"`` or ``"cosine"``, as of :func:`learning_rate_at`.
        warmup_share: likewise.
        validation_epochs: validate after every so many epochs, and after the last.
    """

    label: str
    seed: int
    keys: tuple[str | int, ...]
    noise: str
    level: float
    drawn: bool
    redraw: str
    epochs: int
    patience: int
    monitor: str
    keep: str
    monitored_level: float
    segment_frames: int
    batch_segments: int
    precision: str = "float32"
    gradient_steps: int = 1
    snr_db: tuple[float, float] | None = None
    clean_share: float = 0.0
    augmentation: Augmentation = UNCHANGED
    learning_rate: float | None = None
    schedule: str = "constant"
    warmup_share: float = 0.0
    validation_epochs: int = 1

    def levels(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
        """Return the noise levels of ``count`` segments."""
        return draw_levels(
            rng,
            count,
            self.level,
            drawn=self.drawn,
            snr_db=self.snr_db,
            clean_share=self.clean_share,
        )


def train(
    network: Any,
    optimizer: Any,
    training: FrameMatrix,
    validation: FrameMatrix,
    weights: LossWeights,
    plan: Plan,
    checkpoint: Checkpoint | None = None,
    acoustic: AcousticNoise | None = None,
) -> TrainingState:
    """Train in place; leave network and optimiser as after the epoch that is kept.

    An interrupted training that is called again with the same checkpoint ends with
    the weights and the history (but for times) of one that was not interrupted.

    Args:
        network: Keras model, magnitudes to logits.
        optimizer: its optimiser; its state goes on from where it is.
        training: frames to train on.
        validation: frames whose F1 decides which epoch is kept.
        weights: loss weights.
        plan: epochs, noise, what is monitored.
        checkpoint: where the state is saved and looked for; none saves nothing.
        acoustic: noise to draw from, if the plan's is noise in the audio; both splits then
            have their transform.

    Returns:
        The final state. Its ``history`` has one record per epoch: losses in nats per
        frame and pitch, precision, recall and F1 at threshold 0.5; ``best_epoch`` is
        the epoch with the best monitored F1.

    Raises:
        FloatingPointError: if the training loss is no longer finite.
        Interrupted: on USR2, INT and TERM, after saving, if there is a checkpoint.
    """
    with computing_in(plan.precision, network):
        return _train(network, optimizer, training, validation, weights, plan, checkpoint, acoustic)


def _train(
    network: Any,
    optimizer: Any,
    training: FrameMatrix,
    validation: FrameMatrix,
    weights: LossWeights,
    plan: Plan,
    checkpoint: Checkpoint | None,
    acoustic: AcousticNoise | None,
) -> TrainingState:
    disturbed = disturbed_validation(network, validation, weights, plan, acoustic)
    model = SegmentModel(
        network,
        training,
        weights,
        segment_frames=plan.segment_frames,
        noise=plan.noise,
        gradient_steps=plan.gradient_steps,
        acoustic=acoustic,
        augmented=plan.augmentation.changes,
    )
    model.compile(optimizer=optimizer, jit_compile=False)
    state = TrainingState()
    if checkpoint is None:
        _train_epochs(
            model, optimizer, training, validation, disturbed, weights, plan, state, None, None
        )
    else:
        # Before its first step an optimiser has no variables to restore.
        optimizer.build(network.trainable_variables)
        found = checkpoint.load(snapshot(network, optimizer))
        if found is not None:
            state, variables = found
            restore(network, optimizer, variables)
            state.resumed += 1
            log.info(
                "%s: going on from the checkpoint %s: epoch %d/%d after %d of its steps (saved %s)",
                plan.label,
                checkpoint.state_path,
                state.epoch,
                plan.epochs,
                state.step,
                state.saved,
            )
        with Interruption() as interruption:
            try:
                _train_epochs(
                    model,
                    optimizer,
                    training,
                    validation,
                    disturbed,
                    weights,
                    plan,
                    state,
                    checkpoint,
                    interruption,
                )
            except Interrupted as interrupted:
                checkpoint.save(state, snapshot(network, optimizer), f"on {interrupted.name}")
                log.warning(
                    "%s: %s in epoch %d/%d after %d of its steps; saved as %s; "
                    "the next attempt goes on from there",
                    plan.label,
                    interrupted.name,
                    state.epoch,
                    plan.epochs,
                    state.step,
                    checkpoint.state_path,
                )
                raise
    log.info("%s: best validation F1 %.3f in epoch %d", plan.label, state.best_f1, state.best_epoch)
    if state.best is not None:
        restore(network, optimizer, state.best)
    return state


def kept_epoch(state: TrainingState) -> int:
    """Return the epoch whose weights :func:`train` left."""
    return len(state.history) if state.best is None else state.best_epoch


def _train_epochs(
    model: SegmentModel,
    optimizer: Any,
    training: FrameMatrix,
    validation: FrameMatrix,
    disturbed: Disturbed | None,
    weights: LossWeights,
    plan: Plan,
    state: TrainingState,
    checkpoint: Checkpoint | None,
    interruption: Interruption | None,
) -> None:
    network = model.network
    model.draw_noise(purpose_seed(plan.seed, "training noise", *plan.keys))
    windows = float(np.count_nonzero(training.centre))
    before, began = state.seconds, time.monotonic()
    while state.epoch <= plan.epochs and not _patience_ended(state, plan):
        for _ in _epoch_steps(model, training, plan, state):
            state.seconds = before + time.monotonic() - began
            if interruption is not None:
                interruption.check()
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(state, snapshot(network, optimizer))
        clean = noisy = NOT_VALIDATED
        heard = "not validated"
        if state.epoch % plan.validation_epochs == 0 or state.epoch == plan.epochs:
            with interruption.at_once() if interruption is not None else nullcontext():
                clean = noisy = validate(network, validation, validation.magnitudes, weights)
                if disturbed is not None:
                    noisy = validate(network, validation, disturbed(), weights)
            heard = (
                f"validation loss {noisy['loss']:.4f}, F1 {noisy['f1']:.3f} "
                f"(clean {clean['f1']:.3f})"
            )
        record = _training_record(state.totals)
        record |= {f"validation_{name}": value for name, value in noisy.items()}
        record |= {
            "epoch": state.epoch,
            "validation_clean_f1": clean["f1"],
            "learning_rate": float(np.asarray(optimizer.learning_rate)),
            "seconds": state.epoch_seconds,
            "windows_per_second": windows / state.epoch_seconds,
        }
        state.history.append(record)
        watched = noisy["f1"] if plan.monitor == "noisy" else clean["f1"]
        if watched > state.best_f1:
            state.best_f1, state.best_epoch = watched, state.epoch
            if plan.keep == "best":
                state.best = snapshot(network, optimizer)
        state.seconds = before + time.monotonic() - began
        left = state.seconds / state.epoch * (plan.epochs - state.epoch)
        log.info(
            "%s epoch %d/%d: loss %.4f, F1 %.3f; %s; %.0f windows/s, %s left at most",
            plan.label,
            state.epoch,
            plan.epochs,
            record["training_loss"],
            record["training_f1"],
            heard,
            record["windows_per_second"],
            duration(left),
        )
        state.epoch, state.step, state.totals, state.epoch_seconds = state.epoch + 1, 0, {}, 0.0
        if checkpoint is not None and checkpoint.due(epoch_ended=True):
            checkpoint.save(state, snapshot(network, optimizer))
    if state.epoch <= plan.epochs:
        log.info(
            "%s: no better %s validation F1 for %d epochs: stopped",
            plan.label,
            plan.monitor,
            plan.patience,
        )


def _patience_ended(state: TrainingState, plan: Plan) -> bool:
    return len(state.history) - state.best_epoch >= plan.patience


def predict_logits(network: Any, magnitudes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the logits of all rows whose window lies within the matrix.

    Args:
        network: Keras model, ``(1, T, bins)`` to ``(1, T - c, pitches)``.
        magnitudes: float32, ``(rows, bins)``.

    Returns:
        float32, ``(rows - c, pitches)``, for the rows from ``c / 2`` on.

    Raises:
        FloatingPointError: if the network answers with what is no number.
    """
    context = context_frames(network) - 1
    rows, outputs = len(magnitudes), []
    # Chunks of one length, the last padded: every backend then compiles once.
    for first in range(0, rows - context, PREDICTED_ROWS):
        chunk = magnitudes[first : first + PREDICTED_ROWS + context]
        missing = PREDICTED_ROWS + context - len(chunk)
        if missing:
            chunk = np.pad(chunk, ((0, missing), (0, 0)))
        logits = network.predict_on_batch(chunk[None])[0]
        outputs.append(logits[: PREDICTED_ROWS - missing])
    result = np.concatenate(outputs)
    # It would count as silence.
    if not np.isfinite(result).all():
        raise FloatingPointError("the network answers with what is no number; train it again")
    return result


def validate(
    network: Any, matrix: FrameMatrix, magnitudes: npt.NDArray[np.float32], weights: LossWeights
) -> dict[str, float]:
    """Return loss, bce, precision, recall and F1 over the centres of a matrix."""
    inner = slice(matrix.padding, len(matrix.centre) - matrix.padding)
    centre = matrix.centre[inner]
    logits = predict_logits(network, magnitudes)[centre]
    truth = matrix.labels[inner][centre].astype(bool)
    loss, bce = cross_entropy_sums(truth, logits, weights.active, weights.inactive)
    tp, fp, fn, _ = pitch_counts(truth, logits >= 0)
    precision, recall, f1 = precision_recall_f1(tp.sum(), fp.sum(), fn.sum())
    return {
        "loss": float(loss.sum() / truth.size),
        "bce": float(bce.sum() / truth.size),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def sample_loss(
    network: Any,
    matrix: FrameMatrix,
    weights: LossWeights,
    *,
    frames: int,
    seed: int,
    noise: str = "uniform",
    gradient_steps: int = 1,
    acoustic: AcousticNoise | None = None,
) -> Callable[[float], float]:
    """Return the weighted loss of a fixed sample of centres as a function of the noise level.

    Sample and noise are drawn once, so that two levels differ in nothing else.

    Args:
        network: the model whose loss it is.
        matrix: the training frames.
        weights: loss weights.
        frames: size of the sample; all centres if there are fewer.
        seed: seed of sample and noise.
        noise: kind of :mod:`at4ramt.training.noise`, or ``"gradient"``.
        gradient_steps: steps of the ``gradient`` adversary.
        acoustic: noise to draw from, if it is noise in the audio.
    """
    matrix = matrix.untransposed(network.input_shape[-1])
    centres = np.flatnonzero(matrix.centre)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(centres, size=min(frames, len(centres)), replace=False))
    rows = chosen[:, None] + np.arange(-matrix.padding, matrix.padding + 1)
    windows = matrix.magnitudes[rows]
    truth = matrix.labels[chosen].astype(bool)
    if noise == GRADIENT:
        disturbed = _perturbed_windows(network, windows, truth, weights, gradient_steps)
    elif acoustic is not None:

        def disturbed(level: float) -> Any:
            return acoustic.added(matrix, rows, seed, level)

    else:
        drawn = unit_noise(noise, seed, rows, windows.shape[-1])

        def disturbed(level: float) -> Any:
            return windows + np.float32(level) * drawn

    def loss(level: float) -> float:
        logits = network.predict_on_batch(disturbed(level))[:, 0]
        weighted, _ = cross_entropy_sums(truth, logits, weights.active, weights.inactive)
        return float(weighted.sum() / truth.size)

    return loss


def _perturbed_windows(
    network: Any,
    windows: npt.NDArray[np.float32],
    truth: npt.NDArray[np.bool_],
    weights: LossWeights,
    steps: int,
) -> Callable[[float], Any]:
    """Return the windows as the adversary leaves them, as a function of the level."""
    from keras import ops

    labels = ops.convert_to_tensor(truth[:, None].astype(np.float32))
    pair = ops.convert_to_tensor(np.stack([weights.inactive, weights.active]))
    heard, mask = ops.convert_to_tensor(windows), ops.ones((len(windows), 1, 1))

    def disturbed(level: float) -> Any:
        amount = np.full((1, 1, 1), level / 2, np.float32)
        return heard + perturbation(network, heard, labels, mask, pair, amount, steps)

    return disturbed


def duration(seconds: float) -> str:
    """Return a duration as people write it: ``"1:02:03"`` or ``"2:03"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _epoch_steps(
    model: SegmentModel, matrix: FrameMatrix, plan: Plan, state: TrainingState
) -> Iterator[None]:
    """Train an epoch from the state's step on, yielding after each with the state up to date.

    All draws are functions of the epoch, so that the steps left are those that
    an epoch without interruption would have made.
    """
    epoch = state.epoch
    rng = np.random.default_rng(purpose_seed(plan.seed, "order of segments", *plan.keys, epoch))
    # Another cut each epoch, so that batches do not keep meeting the same neighbours.
    starts = matrix.segment_starts(plan.segment_frames, int(rng.integers(plan.segment_frames)))
    starts = rng.permutation(starts).astype(np.int32)
    levels = plan.levels(rng, len(starts))
    inputs = [starts, levels]
    if plan.augmentation.changes:
        semitones, factors, gains = plan.augmentation.draw(rng, len(starts), model.bins)
        if model.acoustic_rows:
            # Louder music, louder noise: the ratio stays what was drawn.
            levels *= gains
        inputs += [semitones, factors]
    if plan.redraw == "epoch" or plan.drawn or plan.snr_db is not None:
        model.draw_noise(purpose_seed(plan.seed, "training noise", *plan.keys, epoch))
    if not state.totals:
        state.totals = dict.fromkeys(SUMMED, 0.0)
    began = time.monotonic() - state.epoch_seconds
    for first in range(state.step * plan.batch_segments, len(starts), plan.batch_segments):
        part = slice(first, first + plan.batch_segments)
        if plan.learning_rate is not None:
            progress = (epoch - 1 + first / len(starts)) / plan.epochs
            model.optimizer.learning_rate.assign(
                learning_rate_at(
                    progress,
                    plan.learning_rate,
                    schedule=plan.schedule,
                    warmup_share=plan.warmup_share,
                )
            )
        step = model.train_on_batch([each[part] for each in inputs], return_dict=True)
        for name in SUMMED:
            state.totals[name] += float(step[name])
        state.step += 1
        state.epoch_seconds = time.monotonic() - began
        if not np.isfinite(state.totals["weighted"]):
            raise FloatingPointError(
                f"{plan.label} epoch {epoch}: the training loss is not finite; "
                "lower training.learning_rate"
            )
        yield


def _training_record(totals: dict[str, float]) -> dict[str, float]:
    precision, recall, f1 = precision_recall_f1(
        totals["tp"], totals["estimated"] - totals["tp"], totals["referenced"] - totals["tp"]
    )
    return {
        "training_loss": totals["weighted"] / totals["cells"],
        "training_bce": totals["plain"] / totals["cells"],
        "training_precision": float(precision),
        "training_recall": float(recall),
        "training_f1": float(f1),
    }


def disturbed_validation(
    network: Any,
    matrix: FrameMatrix,
    weights: LossWeights,
    plan: Plan,
    acoustic: AcousticNoise | None,
) -> Disturbed | None:
    """Return what gives the validation frames as the plan disturbs them, or None."""
    if plan.monitored_level == 0:
        return None
    if plan.noise == GRADIENT:
        return lambda: perturb_rows(
            network,
            matrix.magnitudes,
            matrix.labels,
            matrix.centre,
            weights,
            plan.monitored_level,
            plan.gradient_steps,
        )
    rows = np.arange(len(matrix.centre))
    # One draw for the whole run, scaled: rounds then differ by their level alone.
    seed = purpose_seed(plan.seed, "validation noise")
    levels = np.full(len(rows), plan.monitored_level, np.float32)
    if plan.drawn or plan.snr_db is not None:
        rng = np.random.default_rng(purpose_seed(plan.seed, "validation levels"))
        drawn = replace(plan, level=plan.monitored_level).levels(
            rng, len(rows) // ROWS_PER_LEVEL + 1
        )
        levels = drawn[rows // ROWS_PER_LEVEL]
    if acoustic is not None:
        mixed = acoustic.added(matrix, rows, seed, levels)
        return lambda: mixed
    kind = "uniform" if plan.noise == "none" else plan.noise
    noisy = unit_noise(kind, seed, rows, matrix.magnitudes.shape[1])
    noisy *= levels[:, None]
    noisy += matrix.magnitudes
    return lambda: noisy
