"""What can be wrong with a corpus: the list of everything found, and whether it stops the run.

Problems are found in two places: the adapters see files without partners, and
:mod:`at4ramt.corpus.check` listens to each recording. Here they are put together
with what only the whole corpus shows, and written as one list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from at4ramt.corpus.layout import LayoutProblem
from at4ramt.errors import InputError
from at4ramt.files import read_json, whole_file

BATCH_PIECES = 32
"""Pieces that one job listens to, about: a job takes two seconds to start, a piece one to ten."""

USUAL_SHARE = 0.8
"""A rate that so many of the pieces have is the corpus's own; another one is unusual."""

STOPS, WARNING = "stops", "warning"
COLUMNS = ("severity", "problem", "piece", "split", "file", "message")


def check_batches(pieces: pd.DataFrame) -> dict[str, list[dict[Hashable, Any]]]:
    """Return which pieces one job listens to: rows of the table of pieces, by batch.

    A batch holds pieces of one split and instrument, as a shard does. A piece is put
    into one of these batches by a digest of its name, so that another piece leaves
    the batches of the others as they are.
    """
    batches: dict[str, list[dict[Hashable, Any]]] = {}
    for (split, instrument), rows in pieces.groupby(["split", "instrument"], sort=True):
        count = -(-len(rows) // BATCH_PIECES)
        for row in rows.to_dict("records"):
            number = int(hashlib.sha256(row["piece"].encode()).hexdigest(), 16) % count
            batches.setdefault(f"{split}_{instrument}_{number:03d}", []).append(row)
    return batches


def collect_problems(
    checks: Iterable[Mapping[str, Any]], layout: Sequence[LayoutProblem] = ()
) -> pd.DataFrame:
    """Return all problems of a corpus, those that stop first.

    Args:
        checks: what :func:`at4ramt.corpus.check.check_piece` returns, a piece each.
        layout: what the adapters found.

    Returns:
        The columns :data:`COLUMNS`, all of them text.
    """
    # Not the order of the batches: of two that are the same, the later name is the copy.
    checks = sorted(checks, key=lambda check: check["piece"])
    split_of = {check["piece"]: check["split"] for check in checks}
    found = [*layout, *_duplicates(checks), *_unusual_rates(checks)]
    found += [LayoutProblem(**problem) for check in checks for problem in check["problems"]]
    rows = [
        (
            STOPS if problem.stops else WARNING,
            problem.problem,
            problem.piece,
            split_of.get(problem.piece, ""),
            problem.path,
            problem.message,
        )
        for problem in found
    ]
    table = pd.DataFrame(sorted(set(rows)), columns=list(COLUMNS))
    return table.astype(str)


def _duplicates(checks: Sequence[Mapping[str, Any]]) -> list[LayoutProblem]:
    """Return a warning for each piece with the very samples of another."""
    same: dict[str, list[Mapping[str, Any]]] = {}
    for check in checks:
        if check["digest"]:
            same.setdefault(check["digest"], []).append(check)
    found = []
    for group in same.values():
        for check in group[1:]:
            first = group[0]
            leaks = len({each["split"] for each in group}) > 1
            found.append(
                LayoutProblem(
                    check["piece"],
                    check["audio"],
                    "duplicate audio",
                    f"{check['audio']}: expected a recording of its own, found the samples of "
                    f"{first['piece']} ({first['split']}); this one is in {check['split']}. "
                    + (
                        "A model would be scored on what it has heard"
                        if leaks
                        else "It counts twice"
                    )
                    + ": exclude all but one (corpus.exclude).",
                    stops=False,
                )
            )
    return found


def _unusual_rates(checks: Sequence[Mapping[str, Any]]) -> list[LayoutProblem]:
    rates = pd.Series([check["sample_rate_hz"] for check in checks if check["sample_rate_hz"]])
    if rates.empty or (rates == rates.mode()[0]).mean() < USUAL_SHARE:
        return []
    usual = int(rates.mode()[0])
    return [
        LayoutProblem(
            check["piece"],
            check["audio"],
            "unusual rate",
            f"{check['audio']}: expected {usual} Hz, as nearly all recordings of this corpus have, "
            f"found {check['sample_rate_hz']} Hz. It is resampled; check that the header is right.",
            stops=False,
        )
        for check in checks
        if check["sample_rate_hz"] and check["sample_rate_hz"] != usual
    ]


def write_problems(
    checks: Iterable[str | Path],
    layout: Sequence[Mapping[str, Any]],
    excluded: Mapping[str, str],
    *,
    table: str | Path,
    page: str | Path,
) -> None:
    """Write the list of problems as CSV, and as a page that names the excluded pieces too.

    Args:
        checks: files of a batch each: lists of what ``check_piece`` returns.
        layout: the adapters' problems, as dictionaries.
        excluded: reasons of excluded pieces, by piece.
        table: the CSV.
        page: the page.
    """
    from at4ramt.report import style

    heard = [check for path in checks for check in read_json(path)]
    found = collect_problems(heard, [LayoutProblem(**problem) for problem in layout])
    with whole_file(table) as temporary:
        found.to_csv(temporary, index=False)
    counted = found["severity"].value_counts()
    parts = [
        style.paragraph(
            f"{len(heard)} pieces were listened to. Problems that stop the run: "
            f"{counted.get(STOPS, 0)}; warnings: {counted.get(WARNING, 0)}. What is meant by each "
            "stands in docs/corpora.md."
        )
    ]
    if len(found):
        kinds = found.groupby(["severity", "problem"]).size().rename("pieces").reset_index()
        parts += [style.html_table(kinds, "Kinds"), style.html_table(found, "Problems")]
    if excluded:
        reasons = pd.DataFrame(sorted(excluded.items()), columns=["piece", "reason"])
        parts.append(style.html_table(reasons, "Excluded pieces (corpus.exclude)"))
    style.write_page(page, "Problems of the corpus", *parts)


def refuse_pieces(checks: Iterable[str | Path]) -> None:
    """Refuse pieces that have a problem which stops the run.

    Args:
        checks: files of a batch each: lists of what ``check_piece`` returns.

    Raises:
        InputError: with the problems.
    """
    heard = [check for path in checks for check in read_json(path)]
    hard = [found for check in heard for found in check["problems"] if found["stops"]]
    if hard:
        listed = "\n".join(f"  - {found['problem']}: {found['message']}" for found in hard)
        raise InputError(
            f"{len(hard)} problems stop the run:\n{listed}\nMend the files, or name the pieces "
            "under corpus.exclude, each with a reason. `snakemake --cores all check_corpus` lists "
            "all problems of the corpus."
        )


def stop_if_needed(table: str | Path) -> str:
    """Return a sentence about the list of problems.

    Raises:
        InputError: if some of them stop the run, with all of these.
    """
    found = pd.read_csv(table, dtype=str, keep_default_na=False)
    hard = found[found["severity"] == STOPS]
    if len(hard):
        listed = "\n".join(
            f"  - {row.problem}: {row.message}" for row in hard.itertuples(index=False)
        )
        raise InputError(
            f"{len(hard)} problems of the corpus stop the run:\n{listed}\n"
            "Mend the files, or name the pieces under corpus.exclude, each with a reason. The "
            f"whole list, with warnings, is in {table}."
        )
    return f"no problem of the corpus stops the run; {len(found)} warnings are in {table}"
