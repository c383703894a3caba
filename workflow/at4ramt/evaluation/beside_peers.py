"""How models differ from their peers on the same recordings, paired by piece.

Derived from audio.parquet, as :func:`at4ramt.evaluation.tables.audio_scores`, by the
bootstrap of the study's differences.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from at4ramt.evaluation.study_tables import COUNTS, change_table
from at4ramt.evaluation.tables import with_errors

CRITERIA = ("frames", "onset")
"""What is compared: frames that sound, and notes whose onset is within 50 ms."""


def peer_differences(
    counts: pd.DataFrame, peers: Iterable[str], *, draws: int, base_seed: int
) -> pd.DataFrame:
    """Return F1 of each system minus that of each peer, by criterion.

    A peer's frames are those of its notes, of which it finds more than by its posteriors. It has
    one answer, which is compared with that of each seed; a model of another run has one as well.

    Args:
        counts: rows of audio.parquet.
        peers: systems that the others are compared with; those that were not scored are left out.
        draws: draws of the bootstrap.
        base_seed: its seed.

    Returns:
        The columns of :func:`at4ramt.evaluation.study_tables.change_table` and ``criterion``, at
        the kinds of threshold that both have; empty without a peer.
    """
    differences = []
    for peer in peers:
        answers, others = counts[counts["system"] == peer], counts[counts["system"] != peer]
        if answers.empty or others.empty:
            continue
        notes = answers[answers["criterion"] == "note_frames"].assign(criterion="frames")
        answers = pd.concat([notes, answers[answers["criterion"] == "onset"]])
        repeated = (answers.assign(seed=seed) for seed in others["seed"].unique())
        both = pd.concat([others, *repeated])
        both = both[both["threshold_kind"].isin(set(answers["threshold_kind"]))]
        pairs = [(system, peer) for system in dict.fromkeys(others["system"])]
        for criterion in CRITERIA:
            heard = as_heard(both[both["criterion"] == criterion])
            part = change_table(
                heard, pairs, conditions_of(heard), draws=draws, base_seed=base_seed
            )
            differences.append(part.assign(criterion=criterion))
    if not differences:
        nothing = change_table(as_heard(counts[:0]), [], [], draws=draws, base_seed=base_seed)
        return nothing.assign(criterion="")
    return pd.concat(differences, ignore_index=True)


def as_heard(counts: pd.DataFrame) -> pd.DataFrame:
    """Return rows of audio.parquet as the study's tables have them."""
    heard = with_errors(counts).rename(columns={"system": "arm", "snr_db": "amount"})
    names = ["arm", "seed", "split", "piece", "threshold_kind", "domain", "noise", "amount"]
    return heard.assign(domain="audio")[[*names, *COUNTS]]


def conditions_of(heard: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return the conditions of :func:`as_heard`'s rows, without noise first."""
    pairs = heard[["noise", "amount"]].drop_duplicates().sort_values("amount", ascending=False)
    return [("audio", noise, amount) for noise, amount in pairs.itertuples(index=False)]
