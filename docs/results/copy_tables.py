"""Copy the small tables of a finished study or robust run to docs/results.

    python docs/results/copy_tables.py study study/results

Only rows are left out, never changed: of the study those of the splits that are not
`test_unseen_piano`, and of the large tables those of rounds before the last and of conditions
that docs/study.md does not show.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
HELD_OUT = "test_unseen_piano"
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
TABLES = {"study": STUDY}


def main(run: str, results: str) -> None:
    """Write the tables of one run beside this file."""
    for name, (source, cut) in TABLES[run].items():
        # As text, so that every number stays as it was written.
        texts = pd.read_csv(Path(results) / "tables" / source, dtype=str, keep_default_na=False)
        kept = cut(pd.read_csv(Path(results) / "tables" / source, keep_default_na=False))
        texts.loc[kept.index, list(kept.columns)].to_csv(HERE / name, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
