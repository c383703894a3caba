"""How models differ from their peers: sentences above a figure, and a table.

Made from ``at4ramt.evaluation.beside_peers``; as in the study's answers, a difference is claimed
where its interval leaves out zero.
"""

from __future__ import annotations

import pandas as pd

from at4ramt.report import style
from at4ramt.report.answers import by_verdict, find_changes
from at4ramt.report.study import condition_label
from at4ramt.report.summary import signed
from at4ramt.report.systems import CRITERIA, THRESHOLDS

WORDS = {"frames": "Frames", "onset": "Notes"}


def peer_sentences(differences: pd.DataFrame, split: str, kind: str) -> list[str]:
    """Return how each model's F1 differs from the peers', without noise and in the loudest noise.

    Args:
        differences: table of ``peer_differences``, of the models to speak of.
        split: the split of which it is told.
        kind: the kind of threshold.
    """
    if differences.empty:
        return []
    sentences = []
    for (peer, criterion), rows in differences.groupby(["against", "criterion"], sort=False):
        changes = [one for one in find_changes(rows, split) if one.threshold_kind == kind]
        if not changes:
            continue
        amounts = [one.condition[2] for one in changes]
        ends = dict.fromkeys((max(amounts), min(amounts)))
        told = [
            f"{condition_label(group[0].condition)}: {by_verdict(group, ends=True)}"
            for group in ([one for one in changes if one.condition[2] == end] for end in ends)
        ]
        sentences.append(
            f"{WORDS[criterion]}, {style.split_label(split)}, compared with "
            f"{style.arm_style(peer).label}, {THRESHOLDS[kind]}. "
            + ". ".join(text[0].upper() + text[1:] for text in told)
            + "."
        )
    return sentences


def peer_tables(differences: pd.DataFrame) -> list[str]:
    """Return the differences as tables of HTML, by split, criterion and threshold."""
    if differences.empty:
        return []
    parts = [
        style.heading("Differences from peers"),
        style.paragraph(
            "F1 of a model minus that of a peer on the same recordings, paired by piece, with 95 % "
            "intervals over pieces. A peer's frames are those of its notes. It has one answer, "
            "which is compared with that of each seed."
        ),
    ]
    keys = ["split", "criterion", "threshold_kind", "against"]
    for split, criterion, kind, peer in differences[keys].drop_duplicates().itertuples(index=False):
        shown = pd.DataFrame(
            [
                {
                    "system": style.arm_style(one.arm).label,
                    "heard": condition_label(one.condition),
                    "F1": one.f1_arm,
                    "F1 of the peer": one.f1_reference,
                    "difference": signed(one.difference),
                    "95 % from": signed(one.low),
                    "to": signed(one.high),
                    "verdict": one.verdict.replace("none", "no difference"),
                }
                for one in find_changes(
                    differences[
                        (differences["criterion"] == criterion)
                        & (differences["threshold_kind"] == kind)
                        & (differences["against"] == peer)
                    ],
                    split,
                )
            ]
        )
        parts.append(
            style.html_table(
                shown,
                f"{style.split_label(split).capitalize()}: {CRITERIA[criterion]}, beside "
                f"{style.arm_style(peer).label}, {THRESHOLDS[kind]}",
                {"F1": ".3f", "F1 of the peer": ".3f"},
            )
        )
    return parts
