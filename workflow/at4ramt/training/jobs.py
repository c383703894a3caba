"""The two training jobs of the workflow: the base model and one noise round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from at4ramt.audio_noise.pool import read_pool
from at4ramt.evaluation.metrics import fit_threshold, probabilities
from at4ramt.features.cqt import CqtSettings
from at4ramt.features.frames import FrameMatrix, load_frames
from at4ramt.features.shards import check_shards
from at4ramt.files import file_digest, value_digest, write_json
from at4ramt.parquet import write_frame
from at4ramt.seeds import purpose_seed
from at4ramt.training.acoustic import AcousticNoise
from at4ramt.training.arms import Arm
from at4ramt.training.augment import Augmentation
from at4ramt.training.backend import place, start_backend
from at4ramt.training.checkpoint import Checkpoint, TrainingState, training_key
from at4ramt.training.level_search import SearchResult, SearchSettings, SearchStep, search_level
from at4ramt.training.lineage import check_model
from at4ramt.training.losses import LossWeights, loss_weights
from at4ramt.training.network import build_network, context_frames, rebuilt_network

log = logging.getLogger("at4ramt")

SEARCH_COLUMNS = (
    "arm",
    "seed",
    "round",
    "step",
    "level",
    "loss_clean",
    "loss_noisy",
    "increase",
    "verdict",
    "phase",
)
HISTORY_ORDER = ("arm", "seed", "round", "epoch", "epoch_in_chain", "level")


def train_base(
    training_shards: Sequence[str],
    validation_shards: Sequence[str],
    model_path: str,
    history_path: str,
    card_path: str,
    *,
    seed: int,
    config: dict[str, Any],
    code: str,
    checkpoints: str,
    threads: int,
    gpus: int = 0,
    gpu_required: bool = False,
) -> None:
    """Train the base model on clean data and write model, history and card.

    With ``base.monitor: noisy`` the epoch kept is the one with the best F1 on
    validation frames at ``base.monitored_level``; training itself is clean in
    either case.

    Args:
        training_shards: Parquet shards of the training split.
        validation_shards: those of the validation split.
        model_path: ``.keras`` file to write.
        history_path: Parquet file to write, a row per epoch.
        card_path: JSON file to write: what is known of the model.
        seed: the run's seed.
        config: sections ``features``, ``network``, ``training`` and ``base``.
        code: digest of the code that trains.
        checkpoints: folder for the state of an interrupted training.
        threads: CPU threads.
        gpus: GPUs the job was given.
        gpu_required: whether to refuse to train on the CPU.

    Raises:
        InputError: if the shards hold nothing to train on or were made with another
            configuration, or a required GPU is missing.
        Interrupted: on USR2, INT and TERM, after saving the state.
    """
    device = _start(threads, purpose_seed(seed, "keras"), gpus, gpu_required)
    from at4ramt.training.loop import Plan, train

    shards = _shard_digests(training_shards, validation_shards, config)
    key = training_key([*shards.values()], seed=seed, config=config, code=code)
    checkpoint = Checkpoint(checkpoints, key)
    settings, base = config["training"], config["base"]
    network = _new_network(config, purpose_seed(seed, "initial weights"))
    context = context_frames(network)
    training, validation = load_splits(training_shards, validation_shards, config, context)
    weights = _weights(training, config)
    log.info("network %s: %s parameters", config["network"]["name"], f"{network.count_params():,}")
    optimizer = _optimizer(settings)
    plan = Plan(
        label="base",
        seed=seed,
        keys=("base",),
        noise="none",
        level=0.0,
        drawn=False,
        redraw="round",
        epochs=base["epochs"],
        patience=base["patience_epochs"],
        monitor=base["monitor"],
        keep="best",
        monitored_level=base["monitored_level"] if base["monitor"] == "noisy" else 0.0,
        **_of_training(settings),
    )
    state = train(network, optimizer, training, validation, weights, plan, checkpoint)
    card = {
        "arm": "base",
        "round": 0,
        "level": 0.0,
        "search_status": "none",
        "parent": None,
        "parent_digest": None,
        "epochs_before": 0,
        "shards": shards,
    }
    _finish(
        network,
        optimizer,
        validation,
        weights,
        state,
        card,
        model_path,
        history_path,
        card_path,
        seed=seed,
        config=config,
        device=device,
    )
    checkpoint.clear()


def train_round(
    parent_path: str | None,
    training_shards: Sequence[str],
    validation_shards: Sequence[str],
    model_path: str,
    history_path: str,
    search_path: str,
    card_path: str,
    *,
    arm: str,
    seed: int,
    number: int,
    config: dict[str, Any],
    code: str,
    checkpoints: str,
    threads: int,
    of_rounds: int,
    parent_config: dict[str, Any],
    epochs: int | None = None,
    pools: Sequence[str] = (),
    pools_made_with: dict[str, Any] | None = None,
    gpus: int = 0,
    gpu_required: bool = False,
) -> None:
    """Train one noise round on the model of the round before.

    Args:
        parent_path: model of the round before, or the base model for round 1; none for the first
            round of an arm from scratch.
        training_shards: Parquet shards of the training split.
        validation_shards: those of the validation split.
        model_path: ``.keras`` file to write.
        history_path: Parquet file to write, a row per epoch.
        search_path: Parquet file to write, a row per level tried.
        card_path: JSON file to write: what is known of the model.
        arm: name of the arm, which the config's ``rounds.arm`` describes.
        seed: the run's seed.
        number: the round, from 1.
        config: sections ``features``, ``network``, ``training`` and ``rounds``,
            the last with this round's overrides applied.
        code: digest of the code that trains.
        checkpoints: folder for the state of an interrupted training.
        threads: CPU threads.
        of_rounds: how many rounds there are, for the progress lines.
        parent_config: what the parent was to be trained with.
        epochs: train exactly so many, without early stopping: a control follows
            the arm that it is compared with.
        pools: pools of noise, if the arm's is noise in the audio.
        pools_made_with: what :func:`at4ramt.config.pool_config` gives.
        gpus: GPUs the job was given.
        gpu_required: whether to refuse to train on the CPU.

    Raises:
        InputError: if parent or shards are unusable or not those that the
            configuration asks for, or a required GPU is missing.
        Interrupted: on USR2, INT and TERM, after saving the state.
    """
    device = _start(threads, purpose_seed(seed, "keras", arm, number), gpus, gpu_required)
    from at4ramt.training.loop import Plan, disturbed_validation, sample_loss, train
    from at4ramt.training.model_file import load_model, read_card

    shards = _shard_digests(training_shards, validation_shards, config)
    parents = [] if parent_path is None else [parent_path]
    for path in parents:
        check_model(path, read_card(path), parent_config, shards)
    key = training_key(
        [*map(file_digest, parents), *shards.values(), *map(file_digest, pools)],
        seed=seed,
        arm=arm,
        round=number,
        epochs=epochs,
        config=config,
        code=code,
    )
    checkpoint = Checkpoint(checkpoints, key)
    acoustic = (
        AcousticNoise.from_pools([read_pool(path, pools_made_with or {}) for path in pools])
        if pools
        else None
    )
    settings, rounds = config["training"], config["rounds"]
    kind = Arm.from_config(rounds["arm"])
    if parent_path is None:
        network = _new_network(config, purpose_seed(seed, "initial weights"))
        optimizer = _optimizer(settings)
        before: dict[str, Any] = {"level": None, "epochs_before": 0, "epochs": 0}
    else:
        parent = load_model(parent_path, config["features"])
        network, optimizer, before = parent.network, parent.network.optimizer, parent.card
        if kind.rebuilds and before["arm"] == "base":
            network, optimizer = _rebuilt(parent, kind, config, seed)
    training, validation = load_splits(
        training_shards,
        validation_shards,
        config,
        context_frames(network),
        transform=acoustic is not None,
    )
    weights = _weights(training, config) if parent_path is None else parent.loss_weights
    level, status, search = rounds["maximum_level"], "fixed", None
    if kind.noise == "none":
        level, status = 0.0, "none"
    elif kind.level == "decibels":
        level = float(10 ** (-min(kind.snr_db) / 20))
    elif kind.level == "searched":
        search = _noted_search(checkpoint)
        if search is None:
            settings_of_search = SearchSettings(**rounds["search"])
            loss = sample_loss(
                network,
                training,
                weights,
                frames=settings_of_search.frames,
                seed=purpose_seed(seed, "level search", arm, number),
                noise=kind.noise,
                gradient_steps=kind.gradient_steps,
                acoustic=acoustic,
            )
            search = _search(loss, settings_of_search, before["level"])
            checkpoint.note(asdict(search))
        level, status = search.level, search.status
    plan = Plan(
        label=f"{arm} round {number}/{of_rounds}",
        seed=seed,
        keys=(arm, number),
        noise=kind.noise,
        level=level,
        drawn=kind.level == "drawn",
        redraw=rounds["redraw"],
        epochs=epochs or rounds["epochs"],
        patience=(epochs or rounds["patience_epochs"]) + (1 if epochs else 0),
        monitor="noisy",
        keep=rounds["keep"],
        monitored_level=level,
        gradient_steps=kind.gradient_steps,
        snr_db=kind.snr_db if kind.level == "decibels" else None,
        clean_share=kind.clean_share,
        **_of_training(settings),
    )
    state = train(network, optimizer, training, validation, weights, plan, checkpoint, acoustic)
    card = {
        "arm": arm,
        "round": number,
        "level": level,
        "search_status": status,
        "parent": parent_path,
        "parent_digest": None if parent_path is None else parent.digest,
        "epochs_before": before["epochs_before"] + before["epochs"],
        "shards": shards,
    }
    _write_search(search_path, search, arm, seed, number)
    _finish(
        network,
        optimizer,
        validation,
        weights,
        state,
        card,
        model_path,
        history_path,
        card_path,
        seed=seed,
        config=config,
        device=device,
        disturbed=(
            disturbed_validation(network, validation, weights, plan, acoustic)
            if settings["threshold"] == "noisy"
            else None
        ),
    )
    checkpoint.clear()


def load_splits(
    training_shards: Sequence[str],
    validation_shards: Sequence[str],
    config: dict[str, Any],
    context: int,
    *,
    transform: bool = False,
) -> tuple[FrameMatrix, FrameMatrix]:
    """Load the frame matrices of the training and the validation split.

    Args:
        training_shards: Parquet shards of the training split.
        validation_shards: those of the validation split.
        config: sections ``features`` and ``training``.
        context: frames of the network's window.
        transform: whether noise is to be added to their complex transform.
    """
    padding = context // 2
    features, settings = CqtSettings.from_config(config["features"]), config["training"]
    bins = features.heard
    edge = padding + settings["segment_frames"]
    training = load_frames(
        training_shards,
        padding=padding,
        bins=bins,
        edge=edge,
        transform=transform,
        transpose=settings["transpose_pitches"],
        settings=features,
    )
    validation = load_frames(validation_shards, padding=padding, bins=bins, transform=transform)
    if settings["centres"] == "all":
        training, validation = (
            replace(matrix, centre=matrix.piece >= 0) for matrix in (training, validation)
        )
    for name, matrix in (("training", training), ("validation", validation)):
        log.info(
            "%s: %d pieces, %d frames, %d centres",
            name,
            len(matrix.pieces),
            matrix.frames,
            np.count_nonzero(matrix.centre),
        )
    return training, validation


def _shard_digests(
    training: Sequence[str], validation: Sequence[str], config: dict[str, Any]
) -> dict[str, str]:
    shards = [*training, *validation]
    check_shards(shards, config)
    return {path: file_digest(path) for path in shards}


def _weights(training: FrameMatrix, config: dict[str, Any]) -> LossWeights:
    features, settings = config["features"], config["training"]
    heard = training.labels[:, training.transpose :][:, : features["pitches"]]
    active = heard[training.centre].sum(axis=0, dtype=np.int64)
    silent = np.flatnonzero(active == 0) + features["lowest_pitch"]
    if len(silent):
        log.warning(
            "MIDI pitches %s never sound in the training split: their active weight is 0, and "
            "the model will not learn them",
            ", ".join(map(str, silent)),
        )
    return loss_weights(
        settings["loss"],
        active,
        int(np.count_nonzero(training.centre)),
        cap=settings["weight_cap"],
        positive=settings["positive_weight"],
    )


def _new_network(config: dict[str, Any], seed: int) -> Any:
    features = CqtSettings.from_config(config["features"])
    return build_network(
        **config["network"],
        bins=features.heard.stop - features.heard.start,
        pitches=features.pitches,
        bins_per_pitch=features.bins_per_pitch,
        seed=seed,
    )


def _of_training(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what of a plan the section ``training`` says."""
    names = ("segment_frames", "batch_segments", "precision", "schedule", "warmup_share")
    constant = settings["schedule"] == "constant" and not settings["warmup_share"]
    return {
        **{name: settings[name] for name in (*names, "validation_epochs")},
        "augmentation": Augmentation(
            settings["transpose_pitches"], settings["gain_db"], settings["equaliser_db"]
        ),
        "learning_rate": None if constant else settings["learning_rate"],
    }


def _adam(learning_rate: float, weight_decay: float = 0.0, clip_norm: float | None = None) -> Any:
    """Return Adam with decoupled weight decay and gradients of at most ``clip_norm``."""
    import keras

    return keras.optimizers.Adam(
        learning_rate, weight_decay=weight_decay or None, global_clipnorm=clip_norm
    )


def _optimizer(settings: dict[str, Any]) -> Any:
    return _adam(settings["learning_rate"], settings["weight_decay"], settings["clip_norm"])


def _rebuilt(parent: Any, arm: Arm, config: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """Return the base's network and optimiser as the arm has them, their state carried over."""
    dropout = {
        name: value
        for name in ("dropout_convolution", "dropout_dense")
        if (value := getattr(arm, name)) is not None
    }
    network = rebuilt_network(
        parent.network,
        **config["network"] | dropout,
        seed=purpose_seed(seed, "dropout of the arm"),
        median_input=arm.input == "median",
        bins_per_pitch=config["features"]["bins_per_pitch"],
    )
    settings = config["training"]
    decay = arm.weight_decay or settings["weight_decay"]
    optimizer = _adam(settings["learning_rate"], decay, settings["clip_norm"])
    optimizer.build(network.trainable_variables)
    before = parent.network.optimizer.variables
    for variable, old in zip(optimizer.variables, before, strict=True):
        if variable.path.split("/")[-1] != "learning_rate":
            variable.assign(old)
    return network, optimizer


def _start(threads: int, seed: int, gpus: int, gpu_required: bool) -> str:
    device = start_backend(threads, seed, gpus=gpus, gpu_required=gpu_required)
    log.info("device: %s (%s)", device, place())
    return device


def _noted_search(checkpoint: Checkpoint) -> SearchResult | None:
    # Repeated on another device, the search might end at another level.
    notes = checkpoint.noted()
    if notes is None:
        return None
    try:
        trace = tuple(SearchStep(**step) for step in notes["trace"])
        result = SearchResult(**{**notes, "trace": trace})
        level = float(result.level)
    except (KeyError, TypeError, ValueError) as error:
        log.warning(
            "%s: cannot be used (%s); the level is searched anew", checkpoint.notes_path, error
        )
        return None
    log.info("level search: level %.4f (%s), found before the interruption", level, result.status)
    return result


def _search(
    loss: Callable[[float], float], settings: SearchSettings, level_before: float
) -> SearchResult:
    """Search a round's level from that of the round before, which is 0 in the first."""
    reference = loss(level_before if settings.reference == "previous" else 0.0)
    result = search_level(loss, reference, settings, level_before or settings.start_level)
    for step in result.trace:
        log.info(
            "level search %d: level %.4f raises the loss by %.1f %%: %s",
            step.step,
            step.level,
            100 * step.increase,
            step.verdict.replace("_", " "),
        )
    log.info("level search ended: level %.4f (%s)", result.level, result.status)
    if result.status != "in_range":
        log.warning(
            "the level search found no level whose increase lies in [%g, %g]; it stopped by: %s",
            settings.minimum_increase,
            settings.maximum_increase,
            result.status,
        )
    return result


def _write_search(path: str, search: SearchResult | None, arm: str, seed: int, number: int) -> None:
    rows = [
        {"arm": arm, "seed": seed, "round": number, **vars(step)}
        for step in (search.trace if search else ())
    ]
    write_frame(pd.DataFrame(rows, columns=list(SEARCH_COLUMNS)), path)


def _finish(
    network: Any,
    optimizer: Any,
    validation: FrameMatrix,
    weights: LossWeights,
    state: TrainingState,
    card: dict[str, Any],
    model_path: str,
    history_path: str,
    card_path: str,
    *,
    seed: int,
    config: dict[str, Any],
    device: str,
    disturbed: Callable[[], NDArray[np.float32]] | None = None,
) -> None:
    from at4ramt.training.loop import kept_epoch, predict_logits
    from at4ramt.training.model_file import save_model

    inner = slice(validation.padding, len(validation.centre) - validation.padding)
    centre = validation.centre[inner]
    heard = validation.magnitudes if disturbed is None else disturbed()
    logits = predict_logits(network, heard)[centre]
    threshold, f1 = fit_threshold(
        validation.labels[inner][centre].astype(bool), probabilities(logits)
    )
    log.info("threshold fitted on validation: %.2f, F1 %.3f there", threshold, f1)
    card = {
        **card,
        "seed": seed,
        "threshold_fitted": float(threshold),
        "threshold_fitted_validation_f1": float(f1),
        "epochs": len(state.history),
        "epoch_kept": kept_epoch(state),
        "parameters": int(network.count_params()),
        "context_frames": context_frames(network),
        "network": config["network"],
        "features": config["features"],
        "frame_step": config["shards"]["frame_step"],
        "config": config,
        "config_digest": value_digest(config),
        "loss_weights": {"active": weights.active.tolist(), "inactive": weights.inactive.tolist()},
    }
    frame = pd.DataFrame(state.history)
    for name in ("arm", "seed", "round", "level"):
        frame[name] = card[name]
    frame["epoch_in_chain"] = frame["epoch"] + card["epochs_before"]
    ordered = [*HISTORY_ORDER, *(name for name in frame if name not in HISTORY_ORDER)]
    write_frame(frame[ordered], history_path)
    save_model(model_path, network, optimizer, card)
    write_json(
        card_path,
        {
            **card,
            "model": Path(model_path).name,
            "model_sha256": file_digest(model_path),
            "device": device,
            "seconds": round(state.seconds, 1),
            "resumed": state.resumed,
        },
    )
