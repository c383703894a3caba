"""The tables and the figure that show a corpus before anything is computed from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from at4ramt.corpus.pieces import SCHEMAS, SPLITS, TRAINING, VALIDATION, read_table
from at4ramt.corpus.table import check_table, survey_corpus
from at4ramt.errors import InputError, Refused
from at4ramt.files import read_twice, whole_file

log = logging.getLogger(__name__)

# What is known of corpora that others made; of a folder, its owner knows.
LICENCES = {
    "maps": ("MAPS", "as its licence file says", "Emiya, Bertin, David and Badeau, 2010"),
    "maestro": ("MAESTRO", "CC BY-NC-SA 4.0", "Hawthorne et al., 2019"),
    "folder": ("your folder", "not known here", "the terms of whoever made the recordings"),
}


def write_listing(
    corpus: Mapping[str, Any],
    *,
    pieces: str | Path,
    works: str | Path,
    instruments: str | Path,
    sources: str | Path,
    figure: str | Path,
) -> str:
    """Write what a corpus has, and return it in a few lines.

    ``pieces`` is described by workflow/schemas/corpus.schema.yaml; ``works``, ``instruments`` and
    ``sources`` have the columns of the embedded corpus's tables, as far as they are known.

    Args:
        corpus: the config's section of that name.
        pieces: table to write, tab-separated, as the others.
        works: likewise.
        instruments: likewise.
        sources: likewise.
        figure: how long the pieces of each split are.

    Raises:
        InputError: a table is wrong, or the system refuses to read a recording. One that is no
            audio has no length, and is named in the log.
    """
    survey = survey_corpus(corpus)
    table = survey.table.reset_index(drop=True)
    table["seconds"] = [
        _seconds(row.audio, row.audio_member) for row in table.itertuples(index=False)
    ]
    known = table[table["seconds"].notna()]
    check_table(known)
    if corpus["kind"] == "embedded":
        described = {
            name: read_table(corpus[name], name) for name in ("works", "instruments", "sources")
        }
    else:
        described = _describe(table, corpus)
    for path, content in (
        (pieces, table.round({"seconds": 3})),
        (works, described["works"]),
        (instruments, described["instruments"]),
        (sources, described["sources"]),
    ):
        with whole_file(path) as temporary:
            content.to_csv(temporary, sep="\t", index=False)
    plot_lengths(known, figure)
    return summarise(table, len(survey.problems), survey.excluded)


def _seconds(path: str, member: str) -> float:
    from at4ramt.features.audio import audio_seconds

    try:
        return read_twice(lambda: audio_seconds(path, member), path)
    except Refused:
        raise
    except InputError as error:
        log.warning("%s (`snakemake --cores all check_corpus` lists all problems)", error)
        return float("nan")


def _describe(table: pd.DataFrame, corpus: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return works, instruments and sources as the tables of config/corpus have them."""
    source, licence, note = LICENCES[corpus["kind"]]
    work = pd.Series(sorted(table["work"].unique()))
    composed = work.str.extract(r"^(?:([^:]+): )?(.+)$")
    trained = set(table.loc[table["split"].isin([TRAINING, VALIDATION]), "instrument"])
    instrument = pd.Series(sorted(table["instrument"].unique()))
    common = {"licence": licence, "source": source}
    described = {
        "works": {"work": work, "title": composed[1], "composer": composed[0].fillna(""), **common},
        "instruments": {
            "instrument": instrument,
            "title": instrument,
            "held_out": [str(name not in trained).lower() for name in instrument],
            **common,
        },
        "sources": {
            "source": [source],
            "licence": [licence],
            "note": [f"{note}; {corpus['root']}"],
        },
    }
    return {
        name: pd.DataFrame(columns).reindex(columns=_columns(name), fill_value="")
        for name, columns in described.items()
    }


def _columns(table: str) -> list[str]:
    import yaml

    return list(yaml.safe_load((SCHEMAS / f"{table}.schema.yaml").read_text("utf-8"))["properties"])


def plot_lengths(table: pd.DataFrame, path: str | Path) -> None:
    """Draw how many pieces of each split have which length, and how many hours they are."""
    import matplotlib.pyplot as plt

    from at4ramt.report import style

    style.start_figures()
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    figure, rows = plt.subplots(
        len(splits), sharex=True, squeeze=False, figsize=(10, 1 + 1.5 * len(splits))
    )
    minutes = table["seconds"] / 60
    edges = np.histogram_bin_edges(minutes, bins=40, range=(0, max(float(minutes.max()), 0.1)))
    for axes, split in zip(rows[:, 0], splits, strict=True):
        chosen = table["split"] == split
        axes.hist(minutes[chosen], bins=edges, color="#0072B2")
        axes.set_title(
            f"{style.split_label(split)}: {chosen.sum()} pieces, "
            f"{table.loc[chosen, 'work'].nunique()} works, {minutes[chosen].sum() / 60:.2f} h",
            loc="left",
        )
        axes.set_ylabel("pieces")
    rows[-1, 0].set_xlabel("length of the piece [min]")
    style.save_figure(figure, path)


def summarise(table: pd.DataFrame, problems: int, excluded: Mapping[str, str]) -> str:
    """Return a corpus in a few lines for the terminal."""
    lines = [f"{'split':<18} {'pieces':>6} {'works':>6} {'pianos':>6} {'hours':>8}"]
    for split in SPLITS:
        of_split = table[table["split"] == split]
        if len(of_split):
            works, pianos = of_split["work"].nunique(), of_split["instrument"].nunique()
            hours = of_split["seconds"].sum() / 3600
            lines.append(f"{split:<18} {len(of_split):>6} {works:>6} {pianos:>6} {hours:>8.2f}")
    hints = [f"{len(excluded)} pieces excluded"] if excluded else []
    if problems:
        hints.append(f"{problems} remarks on its files")
    lines.append(
        (", ".join(hints) + "; " if hints else "")
        + "`snakemake --cores all check_corpus` listens to all and lists what is wrong"
    )
    return "\n".join(lines)
