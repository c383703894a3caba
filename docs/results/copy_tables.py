r"""Copy the small tables of a finished demo, study, robust run or ablation to docs/results.

    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py demo results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py study study/results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py again study/results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py robust robust/results
    PYTHONPATH=workflow .venv/bin/python docs/results/copy_tables.py ablation \
        robust_ablation/results

Of a robust run the counts of audio.parquet are added up by piano. Of an ablation they are kept by
piece, beside those of other seeds that are there, and each arm is compared with `brief`. Of the
study and the demo the epochs of the base and of the paper's arm are joined to one table. Of the
study only rows are left out: those of the splits that are not `test_unseen_piano`, and of the large
tables those of rounds before the last, of conditions that docs/study.md does not show and, in noise
in the audio, of single seeds. A study that was run again stands beside the first, difference by
difference, with intervals over passages too, which two pianos play.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from at4ramt.evaluation.beside_peers import CRITERIA, as_heard, conditions_of, peer_differences
from at4ramt.evaluation.parameters import BASES
from at4ramt.evaluation.peers import PEER_SEED
from at4ramt.evaluation.study_tables import change_table, condition_counts, read_octaves
from at4ramt.evaluation.tables import read_audio_counts
from at4ramt.parquet import read_frame

HERE = Path(__file__).resolve().parent
HELD_OUT = "test_unseen_piano"
LOWEST_PITCH = 37
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
    """Return how much more `robust` finds than `base` and each peer, frames and onsets."""
    draws = {"draws": 10_000, "base_seed": 0}
    peers = sorted(set(audio.loc[audio["seed"] == PEER_SEED, "system"]))
    heard_out = held_out(audio)
    parts = []
    for criterion in CRITERIA:
        heard = as_heard(heard_out[heard_out["criterion"] == criterion])
        part = change_table(heard, [(ROBUST, "base")], conditions_of(heard), **draws)
        parts.append(part.assign(criterion=criterion))
    compared = heard_out[heard_out["system"].isin([ROBUST, *peers])]
    return pd.concat([*parts, peer_differences(compared, peers, **draws)], ignore_index=True)


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


SAME = ["arm", "against", "threshold_kind", "domain", "noise", "amount", "seed"]


def copy_again(results: Path) -> None:
    """Write each difference of the committed study beside that of a study that was run again."""
    tables = [pd.read_csv(HERE / f"study_{name}.csv") for name in ("changes", "recordings")]
    again = [
        held_out(pd.read_csv(results / "tables" / f"study_{name}.csv"))
        for name in ("changes", "recordings")
    ]
    first, second = (
        pd.concat(of_run).drop_duplicates(SAME).set_index(SAME)[["difference", "low", "high"]]
        for of_run in (tables, again)
    )
    both = first.join(second, how="inner", suffixes=("_first", ""))
    both = both.join(_over_passages(results, both.reset_index()).set_index(SAME))
    both.round(5).reset_index().to_csv(HERE / "study_again.csv", index=False)


def _over_passages(results: Path, both: pd.DataFrame) -> pd.DataFrame:
    """Return intervals that take a passage on two pianos for one, of the mean over the seeds."""
    evaluation = results / "evaluation"
    counts = held_out(
        condition_counts(
            read_octaves(evaluation / "scores.parquet", LOWEST_PITCH),
            read_audio_counts(evaluation / "audio.parquet"),
        )
    )
    pairs = list(both[["arm", "against"]].drop_duplicates().itertuples(index=False, name=None))
    conditions = both[["domain", "noise", "amount"]].drop_duplicates()
    changes = change_table(
        # The names of pieces end with the piano.
        counts.assign(piece=counts["piece"].str.rsplit("_", n=1).str[0]),
        pairs,
        list(conditions.itertuples(index=False, name=None)),
        draws=1000,
        base_seed=0,
    )
    names = {"low": "low_passages", "high": "high_passages"}
    changes = changes[changes["seed"] == "all"].rename(columns=names)
    return changes[[*SAME, *names.values()]]


if __name__ == "__main__":
    copies = {
        "demo": copy_demo,
        "study": copy_study,
        "again": copy_again,
        "robust": copy_robust,
        "ablation": copy_ablation,
    }
    copies[sys.argv[1]](Path(sys.argv[2]))
