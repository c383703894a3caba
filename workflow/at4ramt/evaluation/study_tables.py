"""The tables of the study: every arm under every noise, and one thing changed at a time.

All are derived from scores.parquet, audio.parquet and levels.csv through
``at4ramt.evaluation.bootstrap``. A *condition* is what the models heard, in three
columns: ``domain`` (``magnitudes`` or ``audio``, where the noise was added), ``noise``
(``none`` for clean) and ``amount``, a level on magnitudes (0 without noise) and a
signal-to-noise ratio in dB in the audio (infinite without).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from at4ramt.evaluation.bootstrap import intervals, paired_differences
from at4ramt.evaluation.metrics import precision_recall_f1
from at4ramt.evaluation.tables import last_rounds, scores_schema, with_errors
from at4ramt.parquet import read_table

CONDITION = ["domain", "noise", "amount"]
GROUP = ["split", "threshold_kind", *CONDITION]
COUNTS = ["tp", "fp", "fn", "loss_sum", "bce_sum", "frames"]
OCTAVE_NOISE = "uniform_octave_"
PITCHES_OF_OCTAVE = 12
# The models' threshold of 0.5 is what audio.parquet calls the default. The best in the audio's
# noise is no threshold of the magnitudes' tables.
_KINDS_OF_AUDIO = {"default": "half", "fitted": "fitted"}
_RELATIONS = {0: "same octave", 1: "octaves above", -1: "octaves below"}
RELATIONS = tuple(_RELATIONS.values())


def read_octaves(path: str | Path, lowest_pitch: int) -> pd.DataFrame:
    """Read scores.parquet with the counts of an octave's pitches added up, of the last rounds.

    Columns are those of the scores but ``pitch``; in its place is ``octave``, 1 for the
    twelve pitches from the lowest. The table is checked when it is written; here its
    millions of rows are not turned into pandas first.

    Raises:
        InputError: if the file is missing, no such table, or lacks a last round.
    """
    columns = [name for name in scores_schema if name not in ("threshold", "tn")]
    table = read_table(path, columns=columns, what=f"a table of scores with the columns {columns}")
    above = pc.subtract(table["pitch"], lowest_pitch)
    octave = pc.add(pc.divide(above, PITCHES_OF_OCTAVE), 1)
    table = table.append_column("octave", octave)
    keys = [name for name in columns if name not in (*COUNTS, "pitch")] + ["octave"]
    sums = table.group_by(keys).aggregate([(name, "sum") for name in COUNTS])
    sums = sums.rename_columns([name.removesuffix("_sum") if name.removesuffix("_sum") in COUNTS
                                else name for name in sums.column_names])  # fmt: skip
    frame = sums.to_pandas().sort_values(keys, ignore_index=True)
    return last_rounds(frame)


def condition_counts(octaves: pd.DataFrame, audio: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of every arm, seed, piece, threshold and condition, all pitches together.

    ``octaves`` is the table of :func:`read_octaves`, ``audio`` that of audio.parquet, of
    which the frames of our own models are taken. Noise in one octave is left out:
    :func:`octave_losses` has it.
    """
    names = ["arm", "seed", "split", "piece", "threshold_kind", *CONDITION]
    everywhere = octaves[~octaves["noise"].str.startswith(OCTAVE_NOISE)]
    magnitudes = everywhere.assign(domain="magnitudes", amount=everywhere["level"])
    magnitudes = magnitudes.groupby(names, as_index=False, observed=True)[COUNTS].sum()
    ours = audio[
        (audio["criterion"] == "frames")
        & audio["system"].isin(set(octaves["arm"]))
        & audio["threshold_kind"].isin(_KINDS_OF_AUDIO)
    ]
    heard = with_errors(ours).assign(
        arm=ours["system"],
        domain="audio",
        amount=ours["snr_db"],
        threshold_kind=ours["threshold_kind"].map(_KINDS_OF_AUDIO),
    )
    return pd.concat([magnitudes, heard[[*names, *COUNTS]]], ignore_index=True)


def transfer_table(
    counts: pd.DataFrame, *, reference: str, draws: int, base_seed: int
) -> pd.DataFrame:
    """Return F1 of every arm in every condition, and its difference from the arm ``reference``.

    Columns: split, threshold_kind, domain, noise, amount, arm, seeds, pieces, ``f1`` with
    ``_low``, ``_high`` and ``_std``, and ``difference`` with the same three: paired by seed
    and piece, NaN where the reference was not scored.
    """
    ends = ("", "_low", "_high", "_std")
    parts = []
    # One condition at a time: the draws of all of them together would take gigabytes.
    for _, rows in counts.groupby(GROUP, observed=True, sort=True):
        keys = [*GROUP, "arm"]
        part = intervals(rows, keys, draws=draws, base_seed=base_seed)
        part = part[[*keys, "seeds", "pieces", *(f"f1{end}" for end in ends)]]
        if reference in set(rows["arm"]):
            gaps = paired_differences(
                rows, keys, reference=reference, draws=draws, base_seed=base_seed
            )
            gaps = gaps.rename(columns={f"f1{end}": f"difference{end}" for end in ends})
            part = part.merge(gaps[[*keys, *(f"difference{end}" for end in ends)]], on=keys)
        parts.append(part)
    columns = [*GROUP, "arm", "seeds", "pieces"]
    columns += [f"{name}{end}" for name in ("f1", "difference") for end in ends]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)


def arm_pairs(
    arms: Mapping[str, Mapping[str, Any]], scored: Iterable[str], lead: str
) -> list[tuple[str, str]]:
    """Return (arm, the arm it is compared with) of the config's table that both were scored.

    An arm that names none is compared with ``lead``, the paper's; that one with ``clean``.
    Of two that are compared with each other there is one pair.
    """
    there = set(scored)
    pairs = [
        (arm, str(row.get("against", "clean" if arm == lead else lead)))
        for arm, row in arms.items()
    ]
    kept: list[tuple[str, str]] = []
    for arm, other in pairs:
        if {arm, other} <= there and arm != other and (other, arm) not in kept:
            kept.append((arm, other))
    return kept


def change_table(
    counts: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    conditions: Sequence[tuple[str, str, float]],
    *,
    draws: int,
    base_seed: int,
) -> pd.DataFrame:
    """Return F1 of each arm minus that of the arm it is compared with, in some conditions.

    ``conditions`` are tuples of the three columns of a condition; where one of a pair
    was not scored in it, there is no row. Columns: arm, against, split, threshold_kind,
    domain, noise, amount, ``seed``, pieces, seeds, f1_arm, f1_against, difference, low, high.
    The seed is ``all`` for the mean over those that both have, with the 95 % interval
    over pieces; the rows of single seeds have none, and show the spread between them.
    """
    keys = [*GROUP, "arm"]
    sums = counts.groupby([*keys, "seed"], observed=True)[COUNTS].sum()
    _, _, f1 = precision_recall_f1(sums["tp"], sums["fp"], sums["fn"])
    single = pd.Series(f1, sums.index)
    references: dict[str, list[str]] = {}
    for arm, against in pairs:
        references.setdefault(against, []).append(arm)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {pair: [] for pair in pairs}
    for domain, noise, amount in conditions:
        here = counts[
            (counts["domain"] == domain) & (counts["noise"] == noise) & (counts["amount"] == amount)
        ]
        for against, arms in references.items():
            seeds = set(here.loc[here["arm"] == against, "seed"])
            chosen = here[here["arm"].isin([against, *arms]) & here["seed"].isin(seeds)]
            if chosen.empty:
                continue
            gaps = paired_differences(
                chosen, keys, reference=against, draws=draws, base_seed=base_seed
            )
            for gap in gaps[gaps["arm"] != against].to_dict("records"):
                found[gap["arm"], against].extend(_change_rows(gap, against, single))
    rows = [row for of_pair in found.values() for row in of_pair]
    columns = ["arm", "against", *GROUP, "seed", "seeds", "pieces"]
    columns += ["f1_arm", "f1_against", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _change_rows(
    gap: Mapping[str, Any], against: str, single: pd.Series
) -> Iterable[dict[str, Any]]:
    """Yield the row of one paired difference, then those of its seeds; ``single`` is their F1."""
    group = tuple(gap[key] for key in GROUP)
    both = pd.DataFrame({name: single[(*group, name)] for name in (gap["arm"], against)}).dropna()
    of_arm, of_other = both[gap["arm"]], both[against]
    name = {"arm": gap["arm"], "against": against, **dict(zip(GROUP, group, strict=True))}
    name |= {"pieces": gap["pieces"]}
    yield name | {
        "seed": "all",
        "seeds": gap["seeds"],
        "f1_arm": of_arm.mean(),
        "f1_against": of_other.mean(),
        "difference": gap["f1"],
        "low": gap["f1_low"],
        "high": gap["f1_high"],
    }
    for seed in both.index:
        yield name | {
            "seed": str(seed),
            "seeds": 1,
            "f1_arm": of_arm[seed],
            "f1_against": of_other[seed],
            "difference": of_arm[seed] - of_other[seed],
            "low": np.nan,
            "high": np.nan,
        }


def octave_losses(
    octaves: pd.DataFrame, arms: Sequence[str], *, draws: int, base_seed: int
) -> pd.DataFrame:
    """Return what noise in one octave costs the pitches of every octave.

    A row for each split, threshold_kind, arm, ``noise_octave`` and ``octave`` of the
    pitches scored: ``f1_clean``, ``f1`` in the noise, and ``lost``, their difference, with
    its paired 95 % interval ``low``, ``high``; seeds and pieces. Empty if nothing was scored
    in such noise.
    """
    tables = []
    for noise_octave, rows in _octave_noises(octaves, arms):
        table = _lost(rows, "octave", draws=draws, base_seed=base_seed)
        tables.append(table.assign(noise_octave=noise_octave))
    columns = ["split", "threshold_kind", "arm", "noise_octave", "octave", "seeds", "pieces"]
    columns += ["f1_clean", "f1", "lost", "low", "high"]
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )


def octave_relations(
    octaves: pd.DataFrame, arms: Sequence[str], *, draws: int, base_seed: int
) -> pd.DataFrame:
    """Return what noise in one octave costs pitches in it, above it and below it.

    As :func:`octave_losses`, with the column ``relation`` (one of RELATIONS) in place of
    the two octaves: the counts of all pairs of octaves in this relation are pooled.
    """
    parts = [
        rows.assign(relation=np.sign(rows["octave"] - noise_octave).map(_RELATIONS))
        for noise_octave, rows in _octave_noises(octaves, arms)
    ]
    columns = ["split", "threshold_kind", "arm", "relation", "seeds", "pieces"]
    columns += ["f1_clean", "f1", "lost", "low", "high"]
    if not parts:
        return pd.DataFrame(columns=columns)
    pooled = pd.concat(parts, ignore_index=True)
    return _lost(pooled, "relation", draws=draws, base_seed=base_seed)[columns]


def _octave_noises(
    octaves: pd.DataFrame, arms: Sequence[str]
) -> Iterable[tuple[int, pd.DataFrame]]:
    """Yield each octave of noise with its rows and the clean ones, told apart by ``heard``."""
    chosen = octaves[octaves["arm"].isin(list(arms))]
    clean = chosen[chosen["noise"] == "none"].assign(heard="clean")
    noised = chosen[chosen["noise"].str.startswith(OCTAVE_NOISE)].assign(heard="noise")
    for name, rows in noised.groupby("noise", observed=True, sort=True):
        # Pitches of octaves of which a split has none are no rows of either.
        both = pd.concat([clean[clean["arm"].isin(set(rows["arm"]))], rows], ignore_index=True)
        yield int(str(name).removeprefix(OCTAVE_NOISE)), both.drop(columns=["noise", "level"])


def _lost(rows: pd.DataFrame, column: str, *, draws: int, base_seed: int) -> pd.DataFrame:
    """Return F1 clean, in noise and lost between them, by split, threshold, arm and ``column``."""
    keys = ["split", "threshold_kind", "arm", column]
    values = intervals(rows, [*keys, "heard"], draws=1, base_seed=base_seed)
    values = values.pivot_table(index=keys, columns="heard", values="f1").rename(
        columns={"clean": "f1_clean", "noise": "f1"}
    )
    gaps = paired_differences(
        rows,
        [*keys, "heard"],
        contrast="heard",
        reference="noise",
        draws=draws,
        base_seed=base_seed,
    )
    gaps = gaps[gaps["heard"] == "clean"].rename(
        columns={"f1": "lost", "f1_low": "low", "f1_high": "high"}
    )
    gaps = gaps[[*keys, "seeds", "pieces", "lost", "low", "high"]]
    return gaps.merge(values.reset_index(), on=keys, validate="one_to_one")


def searched_levels(levels: pd.DataFrame, arms: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the level found in each round.

    Columns: arm, seed, round, level, search_status, and ``snr_audio_db``, what the level is as a
    ratio in the audio, NaN for noise on magnitudes. ``levels`` is levels.csv, which repeats them
    for every piano; of ``arms``, the config's table, those whose level is searched are kept.
    """
    searched = [arm for arm, row in arms.items() if row.get("level") == "searched"]
    columns = ["arm", "seed", "round", "level", "search_status", "snr_audio_db"]
    chosen = levels.loc[levels["arm"].isin(searched), columns].drop_duplicates()
    return chosen.sort_values(["arm", "seed", "round"], ignore_index=True)
