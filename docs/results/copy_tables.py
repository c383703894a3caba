r"""Copy the small tables of a finished demo, study, robust run or ablation to docs/results.

    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py demo results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py study study/results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py robust robust/results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py ablation \
        robust_ablation/results

Of a robust run the counts of audio.parquet are added up by piano. Of an ablation they are kept by
piece, beside those of other seeds that are there, and each arm is compared with `brief`. Of the
study and the demo the epochs of the base and of the paper's arm are joined to one table. Of the
study only rows are left out: those of the splits that are not `test_unseen_piano`, and of the large
tables those of rounds before the last, of conditions that docs/study.md does not show and, in noise
in the audio, of single seeds.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from at4ramt.evaluation.parameters import BASES
from at4ramt.evaluation.peers import PEER_SEED
from at4ramt.evaluation.study_tables import COUNTS, change_table
from at4ramt.evaluation.tables import read_audio_counts, with_errors
from at4ramt.parquet import read_frame

HERE = Path(__file__).resolve().parent
HELD_OUT = "test_unseen_piano"
BRIEF = "brief"
"""The arm of the ablation with every ingredient; the others' names begin so."""
ROBUST = "robust"
EPOCHS = ["arm", "seed", "round", "epoch", "level",
          "training_loss", "training_f1", "validation_loss", "validation_f1"]  # fmt: skip
Cut = Callable[[pd.DataFrame], pd.DataFrame]


def held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the held-out pianos."""
    return table[table["split"] == HELD_OUT]


def _transfer(table: pd.DataFrame) -> pd.DataFrame:
    shown = (table["noise"] == "none") | table["amount"].isin([0.34, 0.0])
    ends = [name for name in table if not name.endswith("_std")]
    return held_out(table[shown])[ends]


def _recordings(table: pd.DataFrame) -> pd.DataFrame:
    return held_out(table[table["seed"] == "all"])


def _distances(table: pd.DataFrame) -> pd.DataFrame:
    # The distances between bases have no round.
    return table[(table["round"] == table["round"].max()) | (table["arm"] == BASES)]


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    columns = ["arm", "seed", "round", "level", "search_status", "snr_audio_db"]
    return table.loc[~table["search_status"].isin(["none", "fixed"]), columns].drop_duplicates()


STUDY: dict[str, tuple[str, Cut]] = {
    "study_changes.csv": ("study_changes.csv", held_out),
    "study_recordings.csv": ("study_recordings.csv", _recordings),
    "study_transfer.csv": ("study_transfer.csv", _transfer),
    "study_octaves.csv": ("study_octaves.csv", held_out),
    "study_octave_relations.csv": ("study_octave_relations.csv", held_out),
    "study_distances.csv": ("study_distances.csv", _distances),
    "study_response_differences.csv": ("study_response_differences.csv", lambda table: table),
    "study_headline.csv": ("headline.csv", held_out),
    "study_levels.csv": ("levels.csv", _levels),
}


def _write_epochs(results: Path, path: Path) -> None:
    """Write what each epoch of the base and of the paper's arm reached."""
    histories = [
        read_frame(found)
        for pattern in ("base/seed_*", "adversarial/seed_*/round_*")
        for found in sorted(results.glob(f"models/{pattern}.history.parquet"))
    ]
    pd.concat(histories)[EPOCHS].round(4).to_csv(path, index=False)


def copy_demo(results: Path) -> None:
    """Write the demo's tables."""
    for name in ("headline", "comparisons", "systems"):
        shutil.copyfile(results / "tables" / f"{name}.csv", HERE / f"demo_{name}.csv")
    _write_epochs(results, HERE / "demo_epochs.csv")


def copy_robust(results: Path) -> None:
    """Write the F1 of each system and seed on each piano, and how `robust` differs from others."""
    audio = read_audio_counts(results / "evaluation" / "audio.parquet")
    audio = audio[audio["system"] != "offset_removed"]
    keys = ["seed", "split", "instrument", "noise", "snr_db", "system", "threshold_kind"]
    keys += ["criterion"]
    sums = audio.groupby(keys, as_index=False)[["reference", "estimated", "matched"]].sum()
    sums["f1"] = (2 * sums["matched"] / (sums["reference"] + sums["estimated"])).round(4)
    sums.to_csv(HERE / "robust_pianos.csv", index=False)
    robust_changes(audio).round(5).to_csv(HERE / "robust_changes.csv", index=False)


def robust_changes(audio: pd.DataFrame) -> pd.DataFrame:
    """Return how much more `robust` finds than `base` and each peer, frames and onsets.

    A peer's frames are those of its notes, of which it finds more than by its posteriors. It has
    one answer, which is compared with that of each seed.
    """
    peers = audio[audio["seed"] == PEER_SEED]
    frames = peers[peers["criterion"] == "note_frames"].assign(criterion="frames")
    peers = pd.concat([frames, peers[peers["criterion"] == "onset"]])
    ours = audio[audio["seed"] != PEER_SEED]
    seeds = sorted(ours["seed"].unique())
    counts = held_out(pd.concat([ours, *(peers.assign(seed=seed) for seed in seeds)]))
    parts = []
    for other, criterion in itertools.product(
        sorted(set(counts["system"]) - {ROBUST}), ("frames", "onset")
    ):
        # A peer has no threshold of its own card.
        kinds = counts.loc[counts["system"] == other, "threshold_kind"].unique()
        heard = as_heard(
            counts[
                counts["system"].isin([ROBUST, other])
                & (counts["criterion"] == criterion)
                & counts["threshold_kind"].isin(kinds)
            ]
        )
        part = change_table(
            heard, [(ROBUST, other)], conditions_of(heard), draws=10_000, base_seed=0
        )
        parts.append(part.assign(criterion=criterion))
    return pd.concat(parts, ignore_index=True)


def as_heard(counts: pd.DataFrame) -> pd.DataFrame:
    """Return rows of audio.parquet as the study's tables have them."""
    heard = with_errors(counts).rename(columns={"system": "arm", "snr_db": "amount"})
    names = ["arm", "seed", "split", "piece", "threshold_kind", "domain", "noise", "amount"]
    return heard.assign(domain="audio")[[*names, *COUNTS]]


def conditions_of(heard: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return the conditions, without noise first."""
    pairs = heard[["noise", "amount"]].drop_duplicates().sort_values("amount", ascending=False)
    return [("audio", noise, amount) for noise, amount in pairs.itertuples(index=False)]


def copy_ablation(results: Path) -> None:
    """Write the frames found by each arm of the ablation, and what each ingredient brings."""
    path = HERE / "ablation_frames.csv"
    audio = read_audio_counts(results / "evaluation" / "audio.parquet")
    keys = ["system", "seed", "split", "piece", "noise", "snr_db"]
    kept = audio[
        (audio["threshold_kind"] == "fitted")
        & (audio["criterion"] == "frames")
        & audio["system"].str.startswith(BRIEF)
    ]
    counts = kept[[*keys, "reference", "estimated", "matched"]]
    if path.exists():
        # Of an arm and seed that both have, what was made now.
        before = pd.read_csv(path, keep_default_na=False)
        counts = pd.concat([before, counts]).drop_duplicates(keys, keep="last")
    counts = counts.sort_values(keys, ignore_index=True)
    counts.to_csv(path, index=False)
    arms = sorted(set(counts["system"]) - {BRIEF})
    heard = as_heard(counts.assign(threshold_kind="fitted"))
    changes = change_table(
        heard, [(arm, BRIEF) for arm in arms], conditions_of(heard), draws=10_000, base_seed=0
    )
    changes.round(4).to_csv(HERE / "ablation.csv", index=False)


def copy_study(results: Path) -> None:
    """Write the tables of the study."""
    for name, (source, cut) in STUDY.items():
        # As text, so that every number stays as it was written.
        texts = pd.read_csv(results / "tables" / source, dtype=str, keep_default_na=False)
        kept = cut(pd.read_csv(results / "tables" / source, keep_default_na=False))
        texts.loc[kept.index, list(kept.columns)].to_csv(HERE / name, index=False)
    _write_epochs(results, HERE / "study_epochs.csv")


if __name__ == "__main__":
    copies = {
        "demo": copy_demo,
        "study": copy_study,
        "robust": copy_robust,
        "ablation": copy_ablation,
    }
    copies[sys.argv[1]](Path(sys.argv[2]))
