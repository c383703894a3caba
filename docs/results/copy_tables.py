"""Copy the small tables of a finished study, robust run or ablation to docs/results.

    PYTHONPATH=workflow python docs/results/copy_tables.py study study/results
    PYTHONPATH=workflow python docs/results/copy_tables.py robust robust/results
    PYTHONPATH=workflow python docs/results/copy_tables.py ablation robust/results

Of a robust run the counts of audio.parquet are added up by piano. Of an ablation they are kept by
piece, beside those of other seeds that are there, and each arm is compared with `brief`. Of the
study only rows are left out: those of the splits that are not `test_unseen_piano`, and of the large
tables those of rounds before the last and of conditions that docs/study.md does not show.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from at4ramt.evaluation.study_tables import COUNTS, change_table
from at4ramt.evaluation.tables import with_errors

HERE = Path(__file__).resolve().parent
HELD_OUT = "test_unseen_piano"
BRIEF = "brief"
"""The arm of the ablation with every ingredient; the others' names begin so."""
Cut = Callable[[pd.DataFrame], pd.DataFrame]


def held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the held-out pianos."""
    return table[table["split"] == HELD_OUT]


def _transfer(table: pd.DataFrame) -> pd.DataFrame:
    shown = (table["noise"] == "none") | table["amount"].isin([0.34, 0.0])
    ends = [name for name in table if not name.endswith("_std")]
    return held_out(table[shown])[ends]


def _distances(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["round"] == table["round"].max()]


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    columns = ["arm", "seed", "round", "level", "search_status"]
    return table.loc[~table["search_status"].isin(["none", "fixed"]), columns].drop_duplicates()


STUDY: dict[str, tuple[str, Cut]] = {
    "study_changes.csv": ("study_changes.csv", held_out),
    "study_recordings.csv": ("study_recordings.csv", held_out),
    "study_transfer.csv": ("study_transfer.csv", _transfer),
    "study_octaves.csv": ("study_octaves.csv", held_out),
    "study_octave_relations.csv": ("study_octave_relations.csv", held_out),
    "study_distances.csv": ("study_distances.csv", _distances),
    "study_response_differences.csv": ("study_response_differences.csv", lambda table: table),
    "study_headline.csv": ("headline.csv", held_out),
    "study_levels.csv": ("levels.csv", _levels),
}


def copy_robust(results: Path) -> None:
    """Write the F1 of each system and seed on each piano, in each noise."""
    counts = pd.read_parquet(results / "evaluation" / "audio.parquet")
    keys = ["seed", "split", "instrument", "noise", "snr_db", "system", "criterion"]
    kept = counts[(counts["threshold_kind"] == "fitted") & (counts["system"] != "offset_removed")]
    sums = kept.groupby(keys, as_index=False)[["reference", "estimated", "matched"]].sum()
    sums["f1"] = (2 * sums["matched"] / (sums["reference"] + sums["estimated"])).round(4)
    sums.to_csv(HERE / "robust_pianos.csv", index=False)
    # Differences with intervals, of `robust` from `base` alone.
    changes = pd.read_csv(results / "tables" / "study_recordings.csv", keep_default_na=False)
    shown = (changes["arm"] == "robust") & (changes["threshold_kind"] == "fitted")
    held_out(changes[shown]).to_csv(HERE / "robust_changes.csv", index=False)


def copy_ablation(results: Path) -> None:
    """Write the frames found by each arm of the ablation, and what each ingredient brings."""
    path = HERE / "ablation_frames.csv"
    audio = pd.read_parquet(results / "evaluation" / "audio.parquet")
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
    heard = with_errors(counts).rename(columns={"system": "arm", "snr_db": "amount"})
    heard = heard.assign(threshold_kind="fitted", domain="audio")
    names = ["arm", "seed", "split", "piece", "threshold_kind", "domain", "noise", "amount"]
    conditions = [("audio", noise, ratio) for noise, ratio in
                  heard[["noise", "amount"]].drop_duplicates().itertuples(index=False)]  # fmt: skip
    changes = change_table(
        heard[[*names, *COUNTS]], [(arm, BRIEF) for arm in arms], conditions,
        draws=10_000, base_seed=0,
    )  # fmt: skip
    changes.round(4).to_csv(HERE / "ablation.csv", index=False)


def copy_study(results: Path) -> None:
    """Write the tables of the study."""
    for name, (source, cut) in STUDY.items():
        # As text, so that every number stays as it was written.
        texts = pd.read_csv(results / "tables" / source, dtype=str, keep_default_na=False)
        kept = cut(pd.read_csv(results / "tables" / source, keep_default_na=False))
        texts.loc[kept.index, list(kept.columns)].to_csv(HERE / name, index=False)


if __name__ == "__main__":
    copies = {"study": copy_study, "robust": copy_robust, "ablation": copy_ablation}
    copies[sys.argv[1]](Path(sys.argv[2]))
