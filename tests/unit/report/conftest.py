"""A made-up run: every file the report reads, with the columns of the real ones.

The numbers follow simple formulas, so that tests can work out by hand what a
figure or a sentence must say. Loaded by path from outside pytest, the module
also builds such a run anywhere: ``build_run(Path("somewhere"))``.
"""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

LEVELS = [0.0, 0.02, 0.05, 0.1, 0.2, 0.34, 0.5]
PITCHES = list(range(37, 93))
WORKS = {
    "test": ["arabesque", "fur_elise", "solace"],
    "validation": ["gymnopedie_1", "elite"],
    "training": ["prelude", "sonata", "waltz", "rag"],
}
PIANOS = {"training": ["FluidR3", "MuseScore", "TimGM"], "held_out": ["SalamC5", "IowaStB"]}
ROUNDS = 12
ARMS = ["adversarial", "clean", "augmented", "fixed"]

CONFIG: dict[str, Any] = {
    "corpus": {
        "kind": "embedded",
        "root": None,
        "exclude": {},
        "pieces": "config/corpus/pieces.tsv",
        "works": "config/corpus/works.tsv",
        "instruments": "config/corpus/instruments.tsv",
        "excerpt_seconds": 30.0,
    },
    "features": {
        "sample_rate_hz": 16000,
        "hop_length_samples": 512,
        "bins_per_pitch": 3,
        "lowest_pitch": 37,
        "pitches": 56,
        "margin_pitches": 4,
    },
    "shards": {"frame_step": 2, "minimum_level": 0.001},
    "network": {"name": "small"},
    "training": {"context_frames": 7, "loss": "per_pitch"},
    "base": {"epochs": 40, "patience_epochs": 8, "monitor": "clean"},
    "rounds": {
        "count": ROUNDS,
        "epochs": 4,
        "arms": ARMS,
        "maximum_level": 0.34,
        "redraw": "round",
        "search": {
            "frames": 1024,
            "minimum_increase": 0.1,
            "maximum_increase": 0.2,
            "start_level": 0.02,
            "factor": 1.4,
            "cap_level": 2.0,
            "evaluations": 40,
        },
    },
    "arms": {
        "adversarial": {"noise": "uniform", "level": "searched", "against": "base"},
        "clean": {"noise": "none"},
        "augmented": {"noise": "uniform", "level": "drawn", "question": "schedule"},
        "fixed": {"noise": "uniform", "level": "maximum", "question": "schedule"},
    },
    "evaluation": {
        "peers": ["basic_pitch"],
        "peer_models": [],
        "levels": LEVELS,
        "noises": [],
        "noise_levels": [0.1, 0.34],
        "octaves_level": None,
        "splits": ["validation", "test", "test_unseen_piano"],
        "every_round_of": ["adversarial"],
        "offset": "median",
        "bootstrap_draws": 200,
    },
    "report": {
        "example_piece": "MAPS_MUS-fur_elise-0_SalamC5",
        "example_start_seconds": 5.0,
        "example_seconds": 15.0,
    },
    "seeds": [0],
}

# Of each arm of the study: F1 lost on clean music, and the share of noise's damage that is left;
# in thousandths, so that tests can add them up.
STUDY_ARMS: dict[str, tuple[dict[str, Any], int, float]] = {
    "adversarial": ({"noise": "uniform", "level": "searched", "question": "noise"}, 40, 0.5),
    "clean": ({"noise": "none", "question": "noise"}, -10, 1.0),
    "augmented": ({"noise": "uniform", "level": "drawn", "question": "schedule"}, 10, 0.5),
    "literal": (
        {"noise": "uniform", "level": "searched", "question": "schedule"}
        | {"label": "schedule as printed", "search": {"rule": "literal"}},
        60,
        0.6,
    ),
    "wide": ({"noise": "uniform", "level": "searched", "question": "search"}, 40, 0.5),
    "pink_noise": ({"noise": "pink", "level": "searched", "question": "noise"}, 30, 0.9),
    "regularised": ({"noise": "none", "against": "clean", "question": "regularisation"}, 0, 0.9),
    "acoustic": ({"noise": "audio_white", "level": "searched", "question": "noise"}, 20, 0.5),
    "stray": ({"noise": "uniform", "level": "drawn", "against": "augmented"}, 20, 0.5),
}
STUDY_PITCHES = (37, 49, 61, 73, 85)
STUDY_SEEDS = (0, 1, 2)
STUDY_LAYERS = {"convolution_1": 625, "dense_1": 4000, "pitch_logits": 2000}


def pieces_table() -> pd.DataFrame:
    """Return the piece table of the made-up run."""
    rows = []
    for split, works in WORKS.items():
        for work in works:
            excerpts = (0, 1) if split == "training" else (0,)
            for number in excerpts:
                piano = PIANOS["training"][(len(rows)) % 3]
                rows.append((work, number, piano, split))
            if split == "test":
                rows.extend((work, 0, piano, "test_unseen_piano") for piano in PIANOS["held_out"])
    return pd.DataFrame(
        [
            {
                "piece": f"MAPS_MUS-{work}-{number}_{piano}",
                "work": work,
                "instrument": piano,
                "split": split,
                "position": 0.5 * number,
            }
            for work, number, piano, split in rows
        ]
    )


def model_f1(arm: str, round_number: int, level: float) -> float:
    """Return the recall = precision that the made-up model is given."""
    fragility = {
        "base": 1.0,
        "clean": 1.05,
        "offset_removed": 0.25,
        "augmented": 0.35,
        "fixed": 0.4,
    }.get(arm, 1.0 - 0.6 * round_number / ROUNDS)
    clean = {
        "base": 0.62,
        "clean": 0.63,
        "offset_removed": 0.62,
        "augmented": 0.60,
        "fixed": 0.56,
    }.get(arm, 0.62 - 0.06 * round_number / ROUNDS)
    return clean - 0.38 * fragility * min(1.0, level / 0.34)


def models() -> list[tuple[str, int, int]]:
    """Return (arm, seed, round) of every model scored."""
    listed: list[tuple[str, int, int]] = [("base", 0, 0), ("offset_removed", 0, 0)]
    listed += [(arm, 0, ROUNDS) for arm in ARMS if arm != "adversarial"]
    listed += [("adversarial", 0, number) for number in range(1, ROUNDS + 1)]
    return listed


def scores_table(frames: int = 400, quality: float = 1.0) -> pd.DataFrame:
    """Return scores as the pipeline writes them; ``quality`` scales every F1."""
    pieces = pieces_table()
    pieces = pieces[pieces["split"] != "training"]
    pitch = np.array(PITCHES)
    generator = np.random.default_rng(7)
    difficulty = dict(zip(pieces["piece"], generator.normal(0, 0.03, len(pieces)), strict=True))
    bell = np.exp(-(((pitch - 62) / 16.0) ** 2))
    active = np.maximum(0, np.round(frames * 0.14 * bell)).astype(np.int64)
    conditions = pd.DataFrame(
        [
            (
                arm,
                seed,
                number,
                row.split,
                row.instrument,
                row.piece,
                "none" if level == 0 else "uniform",
                level,
                kind,
                threshold,
                model_f1(arm, number, level)
                + gain
                + difficulty[row.piece]
                - (0.04 if row.split == "test_unseen_piano" else 0.0),
            )
            for arm, seed, number in models()
            for row in pieces.itertuples()
            for level in LEVELS
            for kind, threshold, gain in (("half", 0.5, 0.0), ("fitted", 0.7, 0.05))
        ],
        columns=[
            "arm",
            "seed",
            "round",
            "split",
            "instrument",
            "piece",
            "noise",
            "level",
            "threshold_kind",
            "threshold",
            "f1",
        ],
    )
    table = conditions.loc[conditions.index.repeat(len(pitch))].reset_index(drop=True)
    table["pitch"] = np.tile(pitch, len(conditions))
    positive = np.tile(active, len(conditions))
    f1 = np.clip(
        quality * table.pop("f1") - 0.15 * (1 - np.tile(bell, len(conditions))), 0.02, 0.98
    )
    table["tp"] = np.round(positive * f1).astype(np.int64)
    table["fn"] = positive - table["tp"]
    table["fp"] = np.minimum(np.round(table["fn"] * 1.3), frames - positive).astype(np.int64)
    table["tn"] = frames - positive - table["fp"]
    return table.assign(
        loss_sum=frames * (0.9 - f1), bce_sum=frames * 0.5 * (0.9 - f1), frames=frames
    )


def frame_metrics_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return per-piece frame metrics in keeping with ``scores``."""
    keys = [
        "arm",
        "seed",
        "round",
        "split",
        "instrument",
        "piece",
        "noise",
        "level",
        "threshold_kind",
    ]
    sums = scores.groupby(keys, as_index=False).agg(
        tp=("tp", "sum"), fp=("fp", "sum"), fn=("fn", "sum"), frames=("frames", "max")
    )
    f1 = 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    substituted = np.minimum(sums["fp"], sums["fn"])
    return sums[[*keys, "frames"]].assign(
        frame_f1_sum=f1 * sums["frames"] * 0.97,
        e_sub=substituted,
        e_miss=sums["fn"] - substituted,
        e_fa=sums["fp"] - substituted,
        n_ref=sums["tp"] + sums["fn"],
    )


def confusion_table() -> pd.DataFrame:
    """Return confusion masses with octave errors for the models a reader looks at."""
    pitch = np.array(PITCHES)
    blocks = []
    for arm, number in (("base", 0), ("adversarial", ROUNDS)):
        for split in ("test", "test_unseen_piano"):
            for level in (0.0, 0.34):
                quality = model_f1(arm, number, level)
                frames = 200 * np.exp(-(((pitch - 62) / 14.0) ** 2))
                rows = [(p, p, quality * n) for p, n in zip(pitch, frames, strict=True)]
                rows += [
                    (p, p + 12, 0.1 * n) for p, n in zip(pitch, frames, strict=True) if p + 12 <= 92
                ]
                rows += [(p, 0, (0.9 - quality) * n) for p, n in zip(pitch, frames, strict=True)]
                rows += [(0, p, 0.3 * n) for p, n in zip(pitch, frames, strict=True)]
                block = pd.DataFrame(rows, columns=["true_pitch", "predicted_pitch", "mass"])
                for kind in ("half", "fitted"):
                    blocks.append(
                        block.assign(
                            arm=arm,
                            seed=0,
                            round=number,
                            split=split,
                            noise="none" if level == 0 else "uniform",
                            level=level,
                            threshold_kind=kind,
                        )
                    )
    return pd.concat(blocks, ignore_index=True)


def notes_table() -> pd.DataFrame:
    """Return note counts of the models whose notes are scored, clean and noisy."""
    pieces = pieces_table()
    pieces = pieces[pieces["split"] != "training"]
    rows = []
    for (arm, seed, number), row in itertools.product(models(), pieces.itertuples()):
        if number not in (0, ROUNDS):
            continue
        for level, kind, (criterion, share) in itertools.product(
            (0.0, 0.34), ("half", "fitted"), (("onset", 1.0), ("onset_offset", 0.4))
        ):
            reference = 60 + len(row.piece)
            matched = int(share * reference * model_f1(arm, number, level))
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "round": number,
                    "split": row.split,
                    "instrument": row.instrument,
                    "piece": row.piece,
                    "noise": "none" if level == 0 else "uniform",
                    "level": level,
                    "threshold_kind": kind,
                    "criterion": criterion,
                    "reference": reference,
                    "estimated": reference + (20 if kind == "half" else 5),
                    "matched": matched,
                }
            )
    return pd.DataFrame(rows)


def audio_table() -> pd.DataFrame:
    """Return counts in the audio's noise of the noted models and of a peer, which has no seed."""
    pieces = pieces_table()
    pieces = pieces[pieces["split"] != "training"]
    systems = [(arm, seed, number) for arm, seed, number in models() if number in (0, ROUNDS)]
    systems = [system for system in systems if system[0] != "offset_removed"]
    rows = []
    for (system, seed, number), row in itertools.product(
        [*systems, ("basic_pitch", -1, 0)], pieces.itertuples()
    ):
        for snr_db, kind, (criterion, share) in itertools.product(
            (np.inf, 20.0, -8.0),
            # A peer has no card.
            ("default", "best") if system == "basic_pitch" else ("default", "fitted", "best"),
            (("frames", 0.9), ("note_frames", 0.8), ("onset", 1.0), ("onset_offset", 0.4)),
        ):
            quality = 0.6 if system == "basic_pitch" else model_f1(system, number, 0.0)
            reference = 60 + len(row.piece)
            matched = int(share * reference * quality * (0.5 if snr_db < 0 else 1))
            rows.append(
                {
                    "system": system,
                    "seed": seed,
                    "split": row.split,
                    "instrument": row.instrument,
                    "piece": row.piece,
                    "noise": "none" if np.isinf(snr_db) else "white",
                    "snr_db": snr_db,
                    "threshold_kind": kind,
                    "criterion": criterion,
                    "reference": reference,
                    "estimated": reference + {"default": 20, "fitted": 5, "best": 2}[kind],
                    "matched": matched,
                }
            )
    return pd.DataFrame(rows)


def listening() -> dict[str, Any]:
    """Return excerpts of two pieces: of three notes two are found, and one is made up."""
    silence = base64.b64encode(b"no music").decode()
    reference = [[0.5, 1.0, 60], [1.5, 4.0, 64], [2.0, 3.0, 67]]
    notes = [[0.52, 1.1, 60, 70], [2.01, 3.2, 67, 60], [5.0, 5.5, 72, 40]]
    excerpts = []
    for piece, split in (("a", "test"), ("b<c", "test_unseen_piano")):
        sounds: list[dict[str, Any]] = []
        for condition in ("clean", "noisy"):
            sounds.append({"condition": condition, "model": None, "audio": silence})
            for model, found in (("base", []), ("adversarial", [[0, 0], [2, 1]])):
                sounds.append(
                    {"condition": condition, "model": model, "audio": silence, "threshold": 0.7}
                    | {"notes": notes, "pairs": found}
                )
        excerpts.append(
            {
                "piece": piece,
                "instrument": "SalamC5",
                "split": split,
                "start_seconds": 5.0,
                "seconds": 10.0,
                "reference": reference,
                "sounds": sounds,
            }
        )
    return {"snr_db": 6.0, "excerpts": excerpts}


def history_table(arm: str, number: int, level: float, epochs: int, start: int) -> pd.DataFrame:
    """Return one row per epoch with falling loss and rising F1."""
    epoch = np.arange(1, epochs + 1)
    f1 = 0.55 - 0.4 * level + 0.1 * (1 - np.exp(-epoch / 8)) + 0.004 * number
    columns: dict[str, Any] = {
        "arm": arm,
        "seed": 0,
        "round": number,
        "epoch": epoch,
        "epoch_in_chain": start + epoch,
        "level": level,
    }
    for subset, loss in (("training", 1.0), ("validation", 1.12)):
        columns[f"{subset}_loss"] = loss * (0.35 + 0.3 * np.exp(-epoch / 6) + 0.5 * level)
        columns[f"{subset}_bce"] = columns[f"{subset}_loss"] * 0.6
        columns[f"{subset}_f1"] = f1 / loss
        columns[f"{subset}_precision"] = f1 / loss - 0.1
        columns[f"{subset}_recall"] = f1 / loss + 0.15
    columns |= {
        "validation_clean_f1": f1 / 1.1,
        "learning_rate": 1e-3,
        "seconds": 2.0,
        "windows_per_second": 5000.0,
    }
    return pd.DataFrame(columns)


def search_table(number: int, level: float) -> pd.DataFrame:
    """Return a search that walks up to ``level`` in three steps."""
    tried = [level / 1.96, level / 1.4, level]
    increase = [0.03, 0.08, 0.15]
    return pd.DataFrame(
        {
            "arm": "adversarial",
            "seed": 0,
            "round": number,
            "step": [1, 2, 3],
            "level": tried,
            "loss_clean": 0.4,
            "loss_noisy": [0.4 * (1 + value) for value in increase],
            "increase": increase,
            "verdict": ["too_easy", "too_easy", "in_range"],
            "phase": "walk",
        }
    )


def example_arrays() -> dict[str, np.ndarray]:
    """Return 15 s of made-up spectra, truth and probabilities."""
    generator = np.random.default_rng(3)
    times = 5.0 + 0.032 * np.arange(468)
    truth = np.zeros((468, 56), dtype=bool)
    for start in range(0, 450, 30):
        for pitch in generator.integers(5, 50, 3):
            truth[start : start + 40, pitch] = True
    magnitudes = np.repeat(truth, 3, axis=1) * 0.25 + generator.uniform(0, 0.01, (468, 168))
    arrays: dict[str, np.ndarray] = {"times": times, "truth": truth, "magnitudes": magnitudes}
    for level in (0.02, 0.34):
        arrays[f"magnitudes_{level}"] = magnitudes + level * generator.uniform(size=(468, 168))
    for model, noise in (("base", 0.45), ("adversarial", 0.25)):
        arrays[f"threshold_{model}"] = np.float64(0.7)
        for level in (0.0, 0.34):
            spread = 0.2 + noise * (level > 0)
            arrays[f"probability_{model}_{level}"] = np.clip(
                0.8 * truth + generator.normal(0.1, spread, truth.shape), 0, 1
            )
    return arrays


def _write_tables(root: Path) -> None:
    folder = root / "config" / "corpus"
    folder.mkdir(parents=True)
    pieces_table().to_csv(folder / "pieces.tsv", sep="\t", index=False)
    works = [work for listed in WORKS.values() for work in listed]
    pd.DataFrame(
        {
            "work": works,
            "title": [work.replace("_", " ").title() for work in works],
            "composer": "A. Composer",
            "performer": "B. Player",
            "source": "scores",
            "member": "x.mid",
            "licence": "CC BY-SA 3.0 DE",
            "dynamics": "performed",
        }
    ).to_csv(folder / "works.tsv", sep="\t", index=False)
    pianos = PIANOS["training"] + PIANOS["held_out"]
    pd.DataFrame(
        {
            "instrument": pianos,
            "title": [f"{piano} grand" for piano in pianos],
            "kind": ["sampled"] * 3 + ["real"] * 2,
            "held_out": ["false"] * 3 + ["true"] * 2,
            "source": "fonts",
            "licence": "MIT",
        }
    ).to_csv(folder / "instruments.tsv", sep="\t", index=False)
    pd.DataFrame(
        {
            "source": ["scores", "fonts"],
            "registry": ["npm", "pypi-sdist"],
            "package": ["a-library", "b_fonts"],
            "version": ["2.6.1", "0.8.0"],
            "archive": ["a.tgz", "b.tar.gz"],
            "sha256": ["0" * 64, "1" * 64],
            "bytes": [1_000_000, 30_000_000],
            "licence": ["CC BY-SA 3.0 DE", "MIT"],
            "licence_url_or_text": ["https://example.org/a", "see package"],
            "note": ["", "three fonts"],
        }
    ).to_csv(folder / "sources.tsv", sep="\t", index=False)


def _write_shards(root: Path) -> None:
    for (split, piano), group in pieces_table().groupby(["split", "instrument"]):
        path = root / "results" / "shards" / str(split) / f"{piano}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = 468 * len(group)
        path.write_text(
            json.dumps(
                {
                    "rows": rows,
                    "centres": rows - 30 * len(group),
                    "dropped": {"silent_level": 10 * len(group), "no_label": 20 * len(group)},
                    "pieces": [
                        {"piece": piece, "rows": 468, "centres": 438, "seconds": 30.0}
                        for piece in group["piece"]
                    ],
                    "sha256": "ab" * 32,
                    "bytes": 1_000_000,
                    "active": [
                        int(60 * np.exp(-(((p - 62) / 14) ** 2))) * len(group) for p in PITCHES
                    ],
                }
            )
        )


def _write_models(root: Path) -> None:
    folder = root / "results" / "models"
    chains = [("base", 0, 0)] + [(arm, 0, n) for arm in ARMS for n in range(1, ROUNDS + 1)]
    for arm, seed, number in chains:
        stem = (
            folder / "base" / f"seed_{seed}"
            if arm == "base"
            else folder / arm / f"seed_{seed}" / f"round_{number:02d}"
        )
        stem.parent.mkdir(parents=True, exist_ok=True)
        level = {"base": 0.0, "clean": 0.0, "augmented": 0.34, "fixed": 0.34}.get(
            arm, 0.02 * 17.0 ** ((number - 1) / 11)
        )
        history_table(
            arm,
            number,
            level,
            30 if number == 0 else 4,
            0 if number == 0 else 30 + 4 * (number - 1),
        ).to_parquet(stem.parent / f"{stem.name}.history.parquet")
        if number:
            trace = search_table(number, level)
            (trace if arm == "adversarial" else trace.iloc[:0]).to_parquet(
                stem.parent / f"{stem.name}.search.parquet"
            )
        (stem.parent / f"{stem.name}.json").write_text(
            json.dumps(
                {
                    "arm": arm,
                    "seed": seed,
                    "round": number,
                    "level": level,
                    "search_status": "in_range" if arm == "adversarial" else "none",
                    "threshold_fitted": 0.7,
                    "threshold_fitted_validation_f1": 0.62,
                    "epochs": 4,
                    "parent": None if number == 0 else "results/models/base/seed_0.keras",
                    "parent_digest": None if number == 0 else "cd" * 32,
                    "config_digest": "0123456789abcdef",
                    "parameters": 237944,
                    "network": "small",
                    "loss_weights": {"active": [1.5, 2.0], "inactive": [0.5, 0.6]},
                    "model_sha256": "12" * 32,
                    "seconds": 40.0,
                    "device": "cpu",
                }
            )
        )


def _write_benchmarks(root: Path) -> None:
    for rule, seconds, count in (
        ("render_piece", 1.5, 9),
        ("extract_features", 3.0, 9),
        ("train_base", 90.0, 1),
        ("train_round", 12.0, 48),
        ("score_model", 15.0, 17),
    ):
        folder = root / "benchmarks" / rule
        folder.mkdir(parents=True)
        for job in range(count):
            (folder / f"{job}.tsv").write_text(
                "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
                f"{seconds + job * 0.1}\t0:00:01\t{500 + job}\t900\t450\t460\t0\t0\t95.0\t"
                f"{seconds * 0.9}\n"
            )


def levels_table() -> pd.DataFrame:
    """Return the level and the signal-to-noise columns, by round, split and piano.

    The arm ``acoustic`` has noise in the audio.
    """
    rows = []
    pairs = pieces_table()[["split", "instrument"]].drop_duplicates()
    for number in range(1, ROUNDS + 1):
        level = 0.02 * 17.0 ** ((number - 1) / 11)
        for split, piano in pairs.itertuples(index=False):
            mean = 0.03 if piano in PIANOS["training"] else 0.024
            rows.append(
                {
                    "arm": "adversarial",
                    "seed": 0,
                    "round": number,
                    "level": level,
                    "search_status": "in_range",
                    "split": split,
                    "instrument": piano,
                    "mean_magnitude": mean,
                    "snr_paper_db": 10 * np.log10(mean / (level / 2)),
                    "snr_amplitude_db": 20 * np.log10(mean / (level / 2)),
                    "snr_power_db": 10 * np.log10(4 * mean**2 / (level**2 / 3)),
                    "snr_power_centred_db": 10 * np.log10(4 * mean**2 / (level**2 / 12)),
                }
            )
    table = pd.DataFrame(rows).assign(snr_audio_db=np.nan)
    heard = table.assign(arm="acoustic", level=8.0, snr_audio_db=-18.0618)
    heard[[name for name in table if name.startswith("snr_") and name != "snr_audio_db"]] = np.nan
    return pd.concat([table, heard], ignore_index=True)


def study_config() -> dict[str, Any]:
    """Return the configuration of a run with the arms of the study, three seeds and all noises."""
    config = json.loads(json.dumps(CONFIG))
    config["arms"] = {arm: row for arm, (row, _, _) in STUDY_ARMS.items()}
    config["rounds"]["arms"] = list(STUDY_ARMS)
    config["evaluation"] |= {"noises": ["gaussian", "pink"], "octaves_level": 0.34}
    config["evaluation"]["bootstrap_draws"] = 50
    config["seeds"] = list(STUDY_SEEDS)
    return config


def study_hits(arm: str, seed: int, piece: int, damage: int) -> int:
    """Return how many of 1000 notes are found, as many being missed as made up: 1000 F1.

    ``damage`` is what the noise does to the base. The last piece is an outlier for the
    arm ``stray`` alone, whose difference from others is thus not seen.
    """
    _, cost, left = STUDY_ARMS.get(arm, ({}, 0, 0.3 if arm == "offset_removed" else 1.0))
    outlier = 160 if arm == "stray" and piece == 0 else 0
    return round(620 - cost - left * damage + 4 * seed + 10 * piece + outlier)


def study_scores() -> pd.DataFrame:
    """Return scores of the study, a pitch an octave; noise in an octave hurts it and the next."""
    conditions: list[tuple[str, float, tuple[int, ...]]] = [("none", 0.0, (0,) * 5)]
    conditions += [("uniform", level, (damage,) * 5) for level, damage in ((0.1, 80), (0.34, 300))]
    conditions += [("gaussian", 0.34, (100,) * 5), ("pink", 0.34, (60,) * 5)]
    for octave in range(5):
        damages = tuple(200 if k == octave else 40 if k == octave + 1 else 0 for k in range(5))
        conditions.append((f"uniform_octave_{octave + 1}", 0.34, damages))
    rows = []
    arms = ["base", "offset_removed", *STUDY_ARMS]
    for arm, seed, (noise, level, damages) in itertools.product(arms, STUDY_SEEDS, conditions):
        number = 0 if arm in ("base", "offset_removed") else ROUNDS
        for split, piano, (place, work) in itertools.product(
            ("validation", "test", "test_unseen_piano"), ("A",), enumerate("uvwx")
        ):
            for kind, (pitch, damage) in itertools.product(
                ("half", "fitted"), zip(STUDY_PITCHES, damages, strict=True)
            ):
                hits = study_hits(arm, seed, place, damage) + (20 if kind == "fitted" else 0)
                model = (arm, seed, number, split, piano, f"{work}_{split}", noise, level, kind)
                counts = (hits, 1000 - hits, 1000 - hits, 7000 + hits)
                rows.append((*model, 0.5, pitch, *counts, 90.0, 50.0, 9000))
    columns = ["arm", "seed", "round", "split", "instrument", "piece", "noise", "level"]
    columns += ["threshold_kind", "threshold", "pitch", "tp", "fp", "fn", "tn", "loss_sum"]
    return pd.DataFrame(rows, columns=[*columns, "bce_sum", "frames"])


def study_audio() -> pd.DataFrame:
    """Return counts in the audio's noise of the study's arms and of a peer."""
    conditions = [("none", np.inf, 0), ("white", 0.0, 60), ("white", -8.0, 200), ("hum", 0.0, -40)]
    rows = []
    for arm, seed, (noise, ratio, damage), split, (place, work), kind in itertools.product(
        ["base", *STUDY_ARMS, "basic_pitch"],
        STUDY_SEEDS,
        conditions,
        ("validation", "test", "test_unseen_piano"),
        enumerate("uvwx"),
        ("default", "fitted"),
    ):
        hits = study_hits(arm, seed, place, damage) + (20 if kind == "fitted" else 0)
        name = (arm, seed, split, "A", f"{work}_{split}", noise, ratio, kind, "frames")
        if arm != "basic_pitch" or seed == 0:
            rows.append((*name, 1000, 1000, hits))
    columns = ["system", "seed", "split", "instrument", "piece", "noise", "snr_db"]
    columns += ["threshold_kind", "criterion", "reference", "estimated", "matched"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(seed=table["seed"].where(table["system"] != "basic_pitch", -1))


def study_levels() -> pd.DataFrame:
    """Return levels that double each round until 0.32; ``wide`` finds twice those of the others."""
    rows = [
        (arm, seed, number, (2 if arm == "wide" else 1) * 0.01 * 2 ** min(number, 5), piano)
        for arm, (row, _, _) in STUDY_ARMS.items()
        if row["noise"] != "none"
        for seed, number, piano in itertools.product(STUDY_SEEDS, range(1, ROUNDS + 1), "AB")
    ]
    table = pd.DataFrame(rows, columns=["arm", "seed", "round", "level", "instrument"])
    ratio = -20 * np.log10(table["level"])
    table["snr_audio_db"] = ratio.where(table["arm"] == "acoustic")
    return table.assign(search_status="in_range", split="test")


def study_distances() -> pd.DataFrame:
    """Return distances that grow by the round, more in later layers; clean moves half as far."""
    rows = [
        (arm, seed, number, layer, size, 10.0, share * 10, share)
        for arm in STUDY_ARMS
        for seed, number in itertools.product(STUDY_SEEDS, range(1, ROUNDS + 1))
        for place, (layer, size) in enumerate(STUDY_LAYERS.items(), start=1)
        for share in [0.01 * number * place * (0.5 if arm == "clean" else 1.0) + 0.001 * seed]
    ]
    rows += [
        ("base_of_other_seed", 0, 0, layer, size, 10.0, 14.0, 1.4)
        for layer, size in STUDY_LAYERS.items()
    ]
    columns = ["arm", "seed", "round", "layer", "parameters", "norm_base", "distance", "relative"]
    return pd.DataFrame(rows, columns=columns)


def study_filters() -> pd.DataFrame:
    """Return first filters, of which training takes the mean off, most of it by ``adversarial``."""
    generator = np.random.default_rng(5)
    base = {seed: generator.normal(0.02, 0.1, (5, 25, 12)) for seed in STUDY_SEEDS}
    tables = []
    for arm, seed in itertools.product(["base", *STUDY_ARMS], STUDY_SEEDS):
        share = {"base": 0.0, "clean": 0.1, "adversarial": 0.8}.get(arm, 0.4)
        kernel = base[seed] - share * base[seed].mean(axis=(0, 1))
        frame, place, number = np.indices(kernel.shape)
        columns = {"filter": number, "frame": frame, "bin": place, "weight": kernel}
        table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
        tables.append(table.assign(arm=arm, seed=seed, round=0 if arm == "base" else ROUNDS))
    return pd.concat(tables, ignore_index=True)


def build_study(root: Path) -> dict[str, Path]:
    """Write the inputs of the study's figures under ``root``; return them by name."""
    root.mkdir(parents=True, exist_ok=True)
    tables = {
        "scores": study_scores(),
        "audio": study_audio(),
        "distances": study_distances(),
        "filters": study_filters(),
    }
    for name, table in tables.items():
        table.to_parquet(root / f"{name}.parquet")
    study_levels().to_csv(root / "levels.csv", index=False)
    return {name: root / f"{name}.parquet" for name in tables} | {"levels": root / "levels.csv"}


def build_run(root: Path) -> Path:
    """Write a whole made-up run under ``root`` and return ``root``."""
    root.mkdir(parents=True, exist_ok=True)
    _write_tables(root)
    _write_shards(root)
    _write_models(root)
    _write_benchmarks(root)
    evaluation = root / "results" / "evaluation"
    evaluation.mkdir(parents=True)
    scores = scores_table()
    scores.to_parquet(evaluation / "scores.parquet")
    scores_table(frames=520, quality=0.95).to_parquet(evaluation / "scores_all_frames.parquet")
    frame_metrics_table(scores).to_parquet(evaluation / "frame_metrics.parquet")
    confusion_table().to_parquet(evaluation / "confusion.parquet")
    np.savez(evaluation / "example.npz", **example_arrays())
    notes_table().to_parquet(evaluation / "notes.parquet")
    audio_table().to_parquet(evaluation / "audio.parquet")
    (evaluation / "listening.json").write_text(json.dumps(listening()))
    (root / "results" / "tables").mkdir()
    levels_table().to_csv(root / "results" / "tables" / "levels.csv", index=False)
    return root


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole made-up run, built once."""
    return build_run(tmp_path_factory.mktemp("run") / "at4ramt")


@pytest.fixture(scope="session")
def study_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The inputs of the study's figures by name, built once."""
    return build_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(name="study_config")
def study_config_fixture() -> dict[str, Any]:
    """The configuration of the study's made-up run."""
    return study_config()


@pytest.fixture
def run_config() -> dict[str, Any]:
    """The configuration of the made-up run, a fresh copy."""
    return json.loads(json.dumps(CONFIG))
