"""The summary: what was run, the headline table and figure, and what follows from them.

The sentences are made from the numbers. They claim a difference only where its
95 % interval (paired bootstrap over pieces) leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from at4ramt.evaluation.bootstrap import intervals, paired_differences
from at4ramt.evaluation.tables import last_rounds
from at4ramt.report import noisy, style

# Expected of the demo before it was first run; a report says whether they hold.
EXPECTED_CLEAN_F1 = {"test": 0.55, "test_unseen_piano": 0.50}
EXPECTED_GAIN = 0.15

KIND_WORDS = {"half": "at threshold 0.5", "fitted": "at the fitted threshold"}
ARM_WORDS = {
    "base": "the base",
    "offset_removed": "the untouched base with the offset removed",
    "mean_removed": "the untouched base with the noise's mean removed",
    "clean": "training on clean data for as many epochs",
    "augmented": "plain augmentation",
    "fixed": "training at a fixed level",
    "adversarial": "the last adversarial round",
}


def arm_words(arm: str) -> str:
    """Return what a sentence calls an arm."""
    return ARM_WORDS.get(arm, f"the arm '{style.arm_style(arm).label}'")


@dataclass(frozen=True)
class Comparison:
    """F1 of one arm minus F1 of another, on one split, at one level and threshold.

    ``low`` and ``high`` are the ends of the paired 95 % interval, NaN if there is
    only one piece.
    """

    question: int
    split: str
    level: float
    threshold_kind: str
    arm: str
    reference: str
    f1_arm: float
    f1_reference: float
    difference: float
    low: float
    high: float
    pieces: int
    seeds: int

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, ``"none seen"`` or ``"no interval"``."""
        if math.isnan(self.low) or math.isnan(self.high):
            return "no interval"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "none seen"


QUESTIONS = {
    1: "Does adversarial training help in noise, and how much of it is the noise's offset?",
    2: "Is the adaptive level needed?",
    3: "What does hardening cost on clean music?",
}


def question_pairs(level: float) -> list[tuple[int, str, str, float]]:
    """Return (question, arm, reference, level) of every comparison that the summary makes."""
    return [
        (1, "adversarial", "base", level),
        (1, "offset_removed", "base", level),
        (1, "adversarial", "offset_removed", level),
        (2, "augmented", "adversarial", level),
        (2, "augmented", "adversarial", 0.0),
        (2, "fixed", "adversarial", level),
        (2, "fixed", "adversarial", 0.0),
        (3, "adversarial", "clean", 0.0),
        (3, "adversarial", "base", 0.0),
    ]


def compare_arms(
    scores: pd.DataFrame, *, level: float, draws: int, base_seed: int
) -> list[Comparison]:
    """Return the comparisons of :func:`question_pairs` that the scores allow.

    ``level`` is the evaluated level that stands for strong noise. Arms are taken
    at their last round; an arm that was not run has no comparison.
    """
    pairs = question_pairs(level)
    chosen = noisy.select_uniform(scores)
    chosen = last_rounds(
        chosen[chosen["level"].isin([0.0, level]) & chosen["split"].isin(noisy.test_splits(chosen))]
    )
    keys = ["split", "arm", "level", "threshold_kind"]
    values = intervals(chosen, keys, draws=1, base_seed=base_seed).set_index(keys)["f1"]
    found: list[Comparison] = []
    for reference in dict.fromkeys(pair[2] for pair in pairs):
        if reference not in set(chosen["arm"]):
            continue
        table = paired_differences(
            chosen, keys, reference=reference, draws=draws, base_seed=base_seed
        )
        for question, arm, other, at in pairs:
            if other != reference:
                continue
            rows = table[(table["arm"] == arm) & (table["level"] == at)]
            found.extend(
                Comparison(
                    question,
                    row["split"],
                    at,
                    row["threshold_kind"],
                    arm,
                    reference,
                    float(values[row["split"], arm, at, row["threshold_kind"]]),
                    float(values[row["split"], reference, at, row["threshold_kind"]]),
                    float(row["f1"]),
                    float(row["f1_low"]),
                    float(row["f1_high"]),
                    int(row["pieces"]),
                    int(row["seeds"]),
                )
                for row in rows.to_dict("records")
            )
    order = {pair: place for place, pair in enumerate(pairs)}
    splits = style.order_splits(chosen["split"])
    kinds = list(style.THRESHOLD_LABELS)
    return sorted(
        found,
        key=lambda one: (
            order[(one.question, one.arm, one.reference, one.level)],
            splits.index(one.split),
            kinds.index(one.threshold_kind),
        ),
    )


def signed(value: float) -> str:
    """Return a difference with its sign, three digits."""
    text = f"{value:+.3f}"
    # a difference that rounds to nothing has no sign
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", "−")


def few_pieces(pieces: int) -> str:
    """Return what a difference lacks that has no interval."""
    return "one piece only" if pieces == 1 else f"too few of {pieces} pieces have it"


def without_interval(pieces: int) -> str:
    """Return why a difference has no interval."""
    return f"{few_pieces(pieces)}, so no interval"


def describe(one: Comparison) -> str:
    """Return the half sentence that says how one comparison came out."""
    values = f"F1 {one.f1_arm:.3f} against {one.f1_reference:.3f}"
    if one.verdict == "no interval":
        return (
            f"a difference of {signed(one.difference)} ({values}; {without_interval(one.pieces)})"
        )
    spread = f"{values}; 95 % interval of the difference {signed(one.low)} to {signed(one.high)}"
    if one.verdict == "none seen":
        return f"no difference seen ({spread})"
    return f"{one.verdict} by {abs(one.difference):.3f} ({spread})"


def describe_shortly(one: Comparison) -> str:
    """Return how one comparison came out, without its interval."""
    if one.verdict in ("none seen", "no interval"):
        return f"{one.verdict.replace('none', 'no difference')} ({signed(one.difference)})"
    return f"{one.verdict} by {abs(one.difference):.3f}"


def where(level: float) -> str:
    """Return what a sentence says of a noise level."""
    return "on clean input" if level == 0 else f"at noise level {level:g}"


def find_sentences(comparisons: Sequence[Comparison], arms: set[str]) -> dict[int, list[str]]:
    """Return the sentences that answer each question, in the order of the comparisons.

    ``arms`` are those that were scored; a sentence says so of one that was not.
    """
    answers: dict[int, list[str]] = {number: [] for number in QUESTIONS}
    grouped: dict[tuple[int, str, str, float], list[Comparison]] = {}
    for one in comparisons:
        grouped.setdefault((one.question, one.arm, one.reference, one.level), []).append(one)
    for (question, arm, reference, level), group in grouped.items():
        kinds = [
            kind
            for kind in style.THRESHOLD_LABELS
            if any(one.threshold_kind == kind for one in group)
        ]
        results = ". ".join(
            f"{style.split_label(one.split).capitalize()}: {describe(one)}"
            for one in group
            if one.threshold_kind == kinds[0]
        )
        sentence = (
            f"{arm_words(arm)}, compared with {arm_words(reference)}, {where(level)} and "
            f"{KIND_WORDS[kinds[0]]}. {results}."
        )
        if len(kinds) > 1:
            others = "; ".join(
                f"{style.split_label(one.split)}: {describe_shortly(one)}"
                for one in group
                if one.threshold_kind == kinds[1]
            )
            sentence += f" {KIND_WORDS[kinds[1]].capitalize()}, {others}."
        answers[question].append(sentence[0].upper() + sentence[1:])
    answers[1] += _share_sentences(comparisons)
    for question, sentences in answers.items():
        needed = {
            arm for number, *pair, _ in question_pairs(0.0) if number == question for arm in pair
        }
        sentences += [
            f"The arm '{arm}' was not part of this run, so nothing is said about it."
            for arm in sorted(needed - arms)
        ]
    return answers


def _share_sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """Return how much of the adversarial gain removing the offset gives, where there is a gain."""
    known = {
        (one.split, one.threshold_kind, one.arm): one
        for one in comparisons
        if one.question == 1 and one.reference == "base"
    }
    sentences = []
    for (split, kind, arm), gain in known.items():
        free = known.get((split, kind, "offset_removed"))
        # A share of the gain is told where both gain.
        if arm != "adversarial" or kind != "half" or free is None:
            continue
        if not gain.verdict == free.verdict == "better":
            continue
        sentences.append(
            f"{style.split_label(split).capitalize()}, {where(gain.level)}: removing the offset, "
            f"which needs no training, gives {100 * free.difference / gain.difference:.0f} % of "
            "the gain of adversarial training (threshold 0.5)."
        )
    return sentences


def check_expectations(
    scores: pd.DataFrame, comparisons: Sequence[Comparison], level: float
) -> pd.DataFrame:
    """Return a row for each expectation of the demo: wanted, found, and whether it holds."""
    rows: list[dict[str, Any]] = []
    base = scores[
        (scores["arm"] == "base") & (scores["level"] == 0) & (scores["threshold_kind"] == "fitted")
    ]
    splits = noisy.test_splits(scores)
    for split, wanted in EXPECTED_CLEAN_F1.items():
        chosen = base[base["split"] == split]
        if split not in splits or chosen.empty:
            continue
        found = float(intervals(chosen, ["split"], draws=1)["f1"].iloc[0])
        rows.append(
            {
                "expectation": f"base, clean, fitted threshold, {style.split_label(split)}: "
                f"F1 above {wanted:.2f}",
                "found": found,
                "holds": "yes" if found > wanted else "no",
            }
        )
    for one in comparisons:
        if (one.question, one.arm, one.reference, one.threshold_kind) == (
            1,
            "adversarial",
            "base",
            "half",
        ):
            rows.append(
                {
                    "expectation": "last adversarial round minus base at level "
                    f"{level:g}, threshold 0.5, {style.split_label(one.split)}: "
                    f"at least {EXPECTED_GAIN:.2f}",
                    "found": one.difference,
                    "holds": "yes" if one.difference >= EXPECTED_GAIN else "no",
                }
            )
    return pd.DataFrame(rows, columns=["expectation", "found", "holds"])


def strong_level(scores: pd.DataFrame, wanted: float) -> float:
    """Return the evaluated noise level nearest to ``wanted``, leaving out clean."""
    levels = noisy.select_uniform(scores)["level"].unique()
    noised = sorted(float(level) for level in levels if level > 0)
    return min(noised, key=lambda level: abs(level - wanted)) if noised else 0.0


def plot_headline(table: pd.DataFrame, path: str | Path) -> None:
    """Draw F1 at threshold 0.5 over noise level, a panel a split; ``table`` is the headline's."""
    kind = "half" if "f1_half" in table else "fitted"
    splits = style.order_splits(table["split"])
    figure, grid = plt.subplots(
        1, len(splits), squeeze=False, sharey=True, figsize=(5.3 * len(splits), 5.2)
    )
    rows = table.rename(columns={f"f1_{kind}{end}": f"f1{end}" for end in ("", "_low", "_high")})
    for axes, split in zip(grid[0], splits, strict=True):
        noisy.draw_over_level(axes, rows[rows["split"] == split], "f1")
        axes.set_title(style.split_label(split))
        axes.set_xlabel(noisy.LEVEL_AXIS, fontsize="small")
        axes.tick_params(labelleft=True)
    grid[0, 0].set_ylabel(f"F1 (pooled, {style.THRESHOLD_LABELS[kind]})")
    style.start_at_zero(grid)
    style.shared_legend(figure, grid[0, 0])
    style.save_figure(figure, path)


def short_headline(table: pd.DataFrame) -> pd.DataFrame:
    """Return the headline table without intervals: what a reader copies first."""
    wanted = (
        "split",
        "arm",
        "round",
        "level",
        "f1_half",
        "f1_fitted",
        "loss",
        "clean_cost_half",
        "clean_cost_fitted",
    )
    return table[[column for column in wanted if column in table]]


def _grid_of(table: pd.DataFrame, split: str, column: str) -> pd.DataFrame:
    """Return one measure of one split as arm x level, for readers."""
    rows = table[table["split"] == split]
    wide = rows.pivot_table(index="arm", columns="level", values=column, dropna=False)
    wide = wide.loc[list(dict.fromkeys(rows["arm"]))]
    wide.columns = pd.Index(["clean" if level == 0 else f"{level:g}" for level in wide.columns])
    names = [style.arm_style(arm).label for arm in wide.index]
    return wide.reset_index(drop=True).assign(arm=names)[["arm", *wide.columns]]


def describe_run(
    config: Mapping[str, Any], pieces: pd.DataFrame, scores: pd.DataFrame, epochs: Mapping[str, int]
) -> list[str]:
    """Return sentences that say what was run.

    ``epochs`` maps an arm to the epochs it was trained, over all rounds, in the first seed.
    """
    pieces = pieces[~pieces["piece"].isin(config["corpus"]["exclude"])]
    if "seconds" in pieces:
        minutes = pieces["seconds"].astype(float).sum() / 60
        amount = f"{len(pieces)} recordings ({minutes:.1f} minutes) from {config['corpus']['root']}"
    else:
        usual = config["corpus"]["excerpt_seconds"]
        own = pieces.get("excerpt_seconds", pd.Series(0.0, pieces.index)).astype(float)
        seconds = own.where(own > 0, usual)
        shortest, longest = seconds.min(), seconds.max()
        each = f"{longest:g} s" if shortest == longest else f"{shortest:g} to {longest:g} s"
        amount = f"{len(pieces)} excerpts of {each} ({seconds.sum() / 60:.1f} minutes)"
    counts = pieces.groupby("split", observed=True).size()
    told = ", ".join(
        f"{counts[split]} of {style.split_label(split)}"
        for split in style.order_splits(counts.index)
    )
    rounds, seeds = config["rounds"], config["seeds"]
    trained = ", ".join(f"{style.arm_style(arm).label}: {count}" for arm, count in epochs.items())
    excluded = config["corpus"]["exclude"]
    left_out = (
        [
            "Excluded from the corpus: "
            + "; ".join(f"{piece} ({reason})" for piece, reason in sorted(excluded.items()))
            + "."
        ]
        if excluded
        else []
    )
    return [
        f"Data: {amount}: {told}.",
        *left_out,
        f"Network: the variant '{config['network']['name']}'; loss '{config['training']['loss']}'; "
        f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''} ({', '.join(map(str, seeds))}).",
        f"Noise rounds: {rounds['count']}; all arms start from the same base. Epochs trained: "
        f"{trained}.",
        f"Evaluation: uniform noise on the CQT magnitudes at levels "
        f"{', '.join(f'{level:g}' for level in sorted(scores['level'].unique()))}; frames that "
        "have a label and are above the volume threshold, as in the paper.",
    ]


def write_summary(
    path: str | Path,
    *,
    run: Sequence[str],
    table: pd.DataFrame,
    comparisons: Sequence[Comparison],
    expectations: pd.DataFrame,
    arms: set[str],
) -> None:
    """Write the summary page.

    ``run`` are the sentences of :func:`describe_run`, ``table`` is the headline
    table, ``arms`` are the arms scored.
    """
    answers = find_sentences(comparisons, arms)
    seeds = max((one.seeds for one in comparisons), default=1)
    caveat = (
        "Intervals are over pieces (95 %, bootstrap, paired): they say how far the result holds "
        "for other music, not for other random numbers in training. "
        + (
            "This run has one seed; how far another one would move these numbers, it cannot say."
            if seeds == 1
            else f"Values are means over {seeds} seeds."
        )
    )
    parts = [
        style.heading("What was run"),
        style.bullet_list(run),
        style.heading("What came out"),
        style.paragraph(caveat),
    ]
    for number, question in QUESTIONS.items():
        parts += [style.subheading(f"{number}. {question}"), style.bullet_list(answers[number])]
    parts += [
        style.heading("Expectations stated for the demo"),
        style.html_table(expectations, formats={"found": ".3f"}),
    ]
    measures = [
        ("f1_half", "F1, threshold 0.5"),
        ("f1_fitted", "F1, fitted threshold"),
        ("loss", "weighted loss [nats]"),
    ]
    for split in dict.fromkeys(table["split"]):
        parts.append(style.heading(f"Headline table: {style.split_label(split)}"))
        for column, caption in measures:
            if column not in table:
                continue
            wide = _grid_of(table, split, column)
            parts.append(
                style.html_table(
                    wide,
                    f"{caption}, by noise level",
                    {name: ".3f" for name in wide.columns if name != "arm"},
                )
            )
        parts.append(_cost_table(table[table["split"] == split]))
    style.write_page(path, "AT4rAMT: summary of this run", *parts)


def _cost_table(rows: pd.DataFrame) -> str:
    """Return the clean cost of each arm as HTML."""
    once = rows[rows["level"] == 0].drop_duplicates("arm")
    shown = pd.DataFrame({"arm": [style.arm_style(arm).label for arm in once["arm"]]})
    for kind, words in style.THRESHOLD_LABELS.items():
        name = f"clean_cost_{kind}"
        if name in once:
            # the base differs from itself by nothing, which needs no interval
            shown[f"{words}"] = [
                "reference"
                if row["arm"] == "base"
                else f"{signed(row[name])} ({signed(row[name + '_low'])} to "
                f"{signed(row[name + '_high'])})"
                if np.isfinite(row[name + "_low"])
                else signed(row[name])
                for row in once.to_dict("records")
            ]
    return style.html_table(shown, "F1 on clean input, minus the base's (95 % interval)")


def comparisons_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return the comparisons as a table, a row each, with the verdict."""
    columns = [*Comparison.__dataclass_fields__, "verdict"]
    return pd.DataFrame(
        [asdict(one) | {"verdict": one.verdict} for one in comparisons], columns=columns
    )
