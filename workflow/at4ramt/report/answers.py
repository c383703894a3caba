"""The paper's open questions, answered in sentences that are made from the study's tables.

As in the summary, a sentence claims a difference only where its 95 % interval
leaves out zero, and says so where arms are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from at4ramt.evaluation.parameters import BASES
from at4ramt.evaluation.study_tables import RELATIONS
from at4ramt.report import style
from at4ramt.report.parameters import BASES_LABEL, last_distances
from at4ramt.report.study import CLEAN, Arms, Condition, condition_label, noise_label
from at4ramt.report.summary import (
    Comparison,
    arm_words,
    describe,
    describe_shortly,
    signed,
    without_interval,
)
from at4ramt.report.systems import ratio_label

ABSENT = "Not part of this run: nothing is said about it."
ASKED = {
    "schedule": "Is the adaptive level needed, and does the schedule as printed do as well?",
    "noise": "Does another kind of noise do as well?",
    "adversary": "Does an adversary that knows the model do more than noise?",
    "regularisation": "Does noise do more than regularisation and dropout?",
    "offset": "Is it the noise's offset?",
    "reference": "Does it matter what the loss increase is relative to?",
    "redraw": "Does it matter how often noise is drawn anew?",
    "search": "How much depends on the range of the search and the size of its sample?",
    "chance": (
        "How far apart do arms come that differ in random draws alone? (The intervals are over "
        "pieces, of these trainings: a difference of this size between any arms may be chance.)"
    ),
    "other": "Arms that answer no question of the paper",
}
"""The questions that are answered by one thing changed, by their key in the table of arms."""
NOT_THE_PAPER_S = ("chance", "other")

PARAMETERS = "What does training on noise do to the parameters?"
FREQUENCY = "Is the effect local in frequency?"
RECORDINGS = "Does hardening help against noise in the audio?"


VERDICTS = {
    "better": "better",
    "worse": "worse",
    "none seen": "no difference seen",
    "no interval": "no interval, as too few pieces have it:",
}


@dataclass(frozen=True)
class Change(Comparison):
    """A comparison of the study, with what the models heard and the single seeds' differences."""

    condition: Condition
    by_seed: tuple[float, ...]

    @property
    def seeds_disagree(self) -> bool:
        """Whether a difference was seen that a seed has with the other sign."""
        return self.verdict in ("better", "worse") and any(
            np.sign(one) == -np.sign(self.difference) for one in self.by_seed
        )


def find_changes(table: pd.DataFrame, split: str) -> list[Change]:
    """Return the rows of ``change_table`` of one split as comparisons, in their order."""
    rows = table[table["split"] == split]
    keys = ["arm", "against", "threshold_kind", "domain", "noise", "amount"]
    single = rows[rows["seed"] != "all"].groupby(keys)["difference"].apply(tuple).to_dict()
    return [
        Change(
            question=0,
            split=split,
            level=row["amount"] if row["domain"] == "magnitudes" else float("nan"),
            threshold_kind=row["threshold_kind"],
            arm=row["arm"],
            reference=row["against"],
            f1_arm=row["f1_arm"],
            f1_reference=row["f1_against"],
            difference=row["difference"],
            low=row["low"],
            high=row["high"],
            pieces=int(row["pieces"]),
            seeds=int(row["seeds"]),
            condition=(row["domain"], row["noise"], row["amount"]),
            by_seed=single[tuple(row[key] for key in keys)],
        )
        for row in rows[rows["seed"] == "all"].to_dict("records")
    ]


def _in_words(condition: Condition) -> str:
    return "clean input" if condition == CLEAN else condition_label(condition)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _verdict(one: Change) -> tuple[str, bool]:
    """Return what is claimed of a difference, and whether a seed speaks against it."""
    return one.verdict, one.seeds_disagree


def _hedge(one: Change) -> str:
    return ", though not in every seed" if one.seeds_disagree else ""


def change_sentence(changes: Sequence[Change]) -> str:
    """Return what one pair of arms differ by, in every condition; all changes are of the pair."""
    first = changes[0]
    kinds = {
        kind: [one for one in changes if one.threshold_kind == kind] for kind in ("fitted", "half")
    }
    words = {"fitted": "at the fitted threshold", "half": "at threshold 0.5"}
    kinds = {kind: of_kind for kind, of_kind in kinds.items() if of_kind}
    main, *others = kinds
    told = "; ".join(
        f"{_in_words(one.condition)}: {describe(one)}{_hedge(one)}" for one in kinds[main]
    )
    sentence = (
        f"{arm_words(first.arm)}, compared with {arm_words(first.reference)}, {words[main]}. "
        f"{_capital(told)}."
    )
    verdicts = [[_verdict(one) for one in of_kind] for of_kind in kinds.values()]
    if others and verdicts[0] == verdicts[1]:
        return _capital(f"{sentence} The verdicts {words[others[0]]} are the same.")
    for kind in others:
        short = "; ".join(
            f"{_in_words(one.condition)}: {describe_shortly(one)}{_hedge(one)}"
            for one in kinds[kind]
        )
        sentence += f" {_capital(words[kind])}, {short}."
    return _capital(sentence)


def answer_changes(
    changes: Sequence[Change], arms: Arms, trained: Sequence[str]
) -> dict[str, list[str]]:
    """Return the sentences of each question of ASKED; if no arm has it, of the paper's alone.

    ``trained`` are the arms of this run; an arm whose partner is none of them has no
    comparison, and that is said.
    """
    answers: dict[str, list[str]] = {question: [] for question in ASKED}
    pairs: dict[tuple[str, str], list[Change]] = {}
    for one in changes:
        pairs.setdefault((one.arm, one.reference), []).append(one)
    for (arm, _), group in pairs.items():
        answers[str(arms[arm].get("question", "other"))].append(change_sentence(group))
    compared = {arm for pair in pairs for arm in pair}
    for arm in trained:
        if arm not in compared:
            answers[str(arms[arm].get("question", "other"))].append(
                f"{_capital(arm_words(arm))} was trained, but not the arm that it is compared with."
            )
    return {
        question: said or [ABSENT]
        for question, said in answers.items()
        if said or question not in NOT_THE_PAPER_S
    }


def _with_interval(one: Change, *, ends: bool = True) -> str:
    """Return a difference with the ends of its interval, where it has one and they are wanted."""
    if not (ends and np.isfinite(one.low)):
        return signed(one.difference)
    return f"{signed(one.difference)} [{signed(one.low)}, {signed(one.high)}]"


def short_answers(
    changes: Sequence[Change], arms: Arms, questions: Sequence[str], *, kind: str, ends: bool
) -> list[str]:
    """Return each question that has arms, then its answer, to stand above a figure.

    For every arm that others are compared with, and in every condition, the arms are told by
    how they came out; with the ends of the intervals where the figure does not draw them.
    """
    answers: list[str] = []
    for question in questions:
        groups: dict[str, dict[Condition, list[Change]]] = {}
        for one in changes:
            asked = str(arms[one.arm].get("question", "other"))
            if one.threshold_kind == kind and asked == question:
                of_reference = groups.setdefault(one.reference, {})
                of_reference.setdefault(one.condition, []).append(one)
        answers += [ASKED[question]] if groups else []
        for reference, conditions in groups.items():
            told = [f"Compared with '{style.arm_style(reference).label}'."]
            told += [
                f"{_capital(_in_words(condition))}: {by_verdict(group, ends=ends)}."
                for condition, group in conditions.items()
            ]
            answers.append(" ".join(told))
    return answers


def by_verdict(group: Sequence[Change], *, ends: bool) -> str:
    """Return arms and differences in one condition, those that came out alike together."""
    found = []
    for verdict, words in VERDICTS.items():
        names = [
            f"'{style.arm_style(one.arm).label}' ({_with_interval(one, ends=ends)}{_hedge(one)})"
            for one in group
            if one.verdict == verdict
        ]
        found += [f"{words} {', '.join(names)}"] if names else []
    return "; ".join(found)


def _spread(row: Mapping[str, float]) -> str:
    if row["seeds"] == 1:
        return f"{row['mean']:.2f}"
    return f"{row['mean']:.2f} ({row['min']:.2f} to {row['max']:.2f})"


def answer_distances(distances: pd.DataFrame, lead: str) -> list[str]:
    """Return how far training moved the layers; ``distances`` is ``measure_parameters``' table."""
    table = last_distances(distances)
    several = int(table["seeds"].max()) > 1 if len(table) else False
    sentences = []
    for arm in dict.fromkeys((lead, "clean")):
        of_arm = table[table["arm"] == arm]
        if of_arm.empty:
            sentences.append(f"The arm '{arm}' was not part of this run.")
            continue
        told = ", ".join(f"{row['layer']} {_spread(row)}" for row in of_arm.to_dict("records"))
        farthest = of_arm.loc[of_arm["mean"].idxmax(), "layer"]
        sentences.append(
            f"{_capital(arm_words(arm))} is this far from the base, in units of the base's norm"
            f"{', mean and range over seeds' if several else ''}: {told}. {farthest} moved most."
        )
    both = table[table["arm"].isin([lead, "clean"])].pivot_table(
        index="layer", columns="arm", values="mean", sort=False
    )
    if both.shape[1] == 2:
        ratio = both[lead] / both["clean"]
        sentences.append(
            f"Of {arm_words(lead)} this is {ratio.min():.2f} ({ratio.idxmin()}) to "
            f"{ratio.max():.2f} ({ratio.idxmax()}) times as far as training on clean data for as "
            "many epochs moves the same layers."
        )
    among = table[table["arm"] == BASES]
    if len(among):
        sentences.append(
            f"For scale: bases of two seeds are {among['mean'].min():.2f} to "
            f"{among['mean'].max():.2f} apart in the same units."
        )
    return sentences


def answer_responses(differences: pd.DataFrame, lead: str) -> list[str]:
    """Return how far an offset moves the first filters, from ``response_differences``' table."""
    told = ((lead, "base"), ("clean", "base"), (lead, "clean"))
    return [
        _response_sentence(row)
        for row in differences.to_dict("records")
        if (row["arm"], row["against"]) in told
    ]


def _response_sentence(row: Mapping[str, float | str]) -> str:
    low, high = float(row["low"]), float(row["high"])
    values = (
        f"{row['response_arm']:.3f} against {row['response_against']:.3f}; 95 % interval of the "
        f"difference over {row['filters']} filters {signed(low)} to {signed(high)}"
    )
    if low > 0 or high < 0:
        more = "more" if low > 0 else "less"
        verdict = f"a constant offset of the input moves the first filters {more}"
    else:
        verdict = "no difference seen in how far a constant offset of the input moves the filters"
    pair = f"{arm_words(str(row['arm']))}, compared with {arm_words(str(row['against']))}"
    return f"{_capital(pair)}: {verdict} ({values})."


def answer_octaves(relations: pd.DataFrame, split: str, kind: str, level: float) -> list[str]:
    """Return how local the damage of noise in one octave is; ``relations`` is its table."""
    rows = relations[(relations["split"] == split) & (relations["threshold_kind"] == kind)]
    sentences = []
    for arm in dict.fromkeys(rows["arm"]):
        of_arm = rows[rows["arm"] == arm].set_index("relation")
        told, seen = [], []
        for relation in RELATIONS:
            if relation not in of_arm.index:
                continue
            one = of_arm.loc[relation]
            words = f"{'pitches' if relation == RELATIONS[0] else 'those'} in the {relation}"
            interval = f"95 % interval {signed(one['low'])} to {signed(one['high'])}"
            if not np.isfinite(one["low"]):
                change = signed(-one["lost"])
                why = without_interval(int(one["pieces"]))
                told.append(f"{words}: a difference of {change} ({why})")
            elif one["low"] > 0:
                told.append(f"{words} lose {one['lost']:.3f} of F1 ({interval})")
                seen.append(relation)
            elif one["high"] < 0:
                told.append(f"{words} gain {-one['lost']:.3f} of F1 ({interval})")
                seen.append(relation)
            else:
                told.append(f"{words}: no difference seen ({interval})")
        if not told:
            continue
        known = bool(np.isfinite(of_arm["low"]).all())
        other = [relation for relation in seen if relation != RELATIONS[0]]
        if len(other) == 2:
            verdict = "The effect is not local: it reaches above and below."
        elif other:
            verdict = f"The effect is not local: it reaches the {other[0]}."
        elif seen:
            verdict = "The effect is local as far as was seen."
        else:
            verdict = "No effect was seen in any octave." if known else "That decides nothing."
        sentences.append(
            f"{_capital(arm_words(arm))}, with uniform noise of level {level:g} in one octave at a "
            f"time: {'; '.join(told)}. {verdict}"
        )
    return sentences or [ABSENT]


def glance(changes: Sequence[Change], kind: str = "fitted") -> pd.DataFrame:
    """Return how every pair of arms came out in every condition, a row a pair, a few words each."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in changes:
        if one.threshold_kind == kind:
            row = rows.setdefault((one.arm, one.reference), {})
            row[_in_words(one.condition)] = f"{describe_shortly(one)}{_hedge(one)}"
    names = [
        {"arm": style.arm_style(arm).label, "compared with": style.arm_style(reference).label}
        for arm, reference in rows
    ]
    return pd.DataFrame([name | row for name, row in zip(names, rows.values(), strict=True)])


def distance_table(distances: pd.DataFrame, lead: str) -> pd.DataFrame:
    """Return the distances that the sentences quote: an arm a row, a layer a column."""
    table = last_distances(distances)
    wide = table.pivot_table(index="arm", columns="layer", values="mean", sort=False)
    order = [arm for arm in dict.fromkeys((lead, "clean", BASES)) if arm in wide.index]
    wide = wide.loc[order]
    names = [BASES_LABEL if arm == BASES else style.arm_style(arm).label for arm in order]
    return wide.reset_index(drop=True).assign(arm=names)[["arm", *wide.columns]]


def _in_noise(changes: Sequence[Change]) -> str:
    """Return at which ratios of one noise in the audio a pair of arms differ, and by how much."""
    noise = changes[0].condition[1]
    told = []
    for verdict, words in VERDICTS.items():
        chosen = [one for one in changes if one.verdict == verdict]
        if not chosen:
            continue
        ratios = f"at {', '.join(ratio_label(one.condition[2]) for one in chosen)} dB"
        if len(chosen) == len(changes) > 1:
            ratios = "at every ratio"
        by = ""
        if verdict in ("better", "worse"):
            sizes = [abs(one.difference) for one in chosen]
            by = " by " + " to ".join(dict.fromkeys(f"{f(sizes):.3f}" for f in (min, max)))
        if any(one.seeds_disagree for one in chosen):
            by += ", though not always in every seed"
        told.append(words + ("" if noise == "none" else f" {ratios}") + by)
    where = {"none": "without noise", "room": "in a room", "hum": "in hum", "babble": "in babble"}
    return f"{where.get(noise, f'in {noise_label(noise)} noise')} {', '.join(told)}"


def answer_recordings(
    changes: Sequence[Change], *, kind: str = "fitted", other: str | None = "half"
) -> list[str]:
    """Return what training gains in noise in the audio, at which ratios of which noise.

    ``changes`` are those of audio alone. Where the threshold ``other`` has another verdict, what
    it gives is told too.
    """
    words = {"fitted": "at the fitted threshold", "half": "at threshold 0.5"}
    pairs: dict[tuple[str, str], dict[str, dict[str, list[Change]]]] = {}
    for one in changes:
        of_pair = pairs.setdefault((one.arm, one.reference), {"fitted": {}, "half": {}})
        of_pair[one.threshold_kind].setdefault(one.condition[1], []).append(one)
    sentences = []
    for (arm, reference), of_kind in pairs.items():
        told = "; ".join(_in_noise(group) for group in of_kind[kind].values())
        sentence = f"{arm_words(arm)}, compared with {arm_words(reference)}, {words[kind]}: {told}."
        if other is not None:
            differing = [
                _in_noise(group)
                for noise, group in of_kind[other].items()
                if [_verdict(one) for one in group]
                != [_verdict(one) for one in of_kind[kind].get(noise, [])]
            ]
            if differing:
                sentence += f" Otherwise {words[other]}: {'; '.join(differing)}."
            else:
                sentence += f" The verdicts {words[other]} are the same."
        sentences.append(_capital(sentence))
    return sentences or [ABSENT]


def ratio_table(changes: Sequence[Change], kind: str = "fitted") -> pd.DataFrame:
    """Return the differences in noise in the audio: a row a pair and noise, a column a ratio."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in changes:
        _, noise, ratio = one.condition
        if one.threshold_kind == kind:
            row = rows.setdefault((one.arm, one.reference, noise), {})
            row[ratio_label(ratio) + (" dB" if np.isfinite(ratio) else "")] = _with_interval(one)
    names = [
        {
            "arm": style.arm_style(arm).label,
            "compared with": style.arm_style(reference).label,
            "noise": noise_label(noise),
        }
        for arm, reference, noise in rows
    ]
    return pd.DataFrame([name | row for name, row in zip(names, rows.values(), strict=True)])


def answer_levels(levels: pd.DataFrame, arms: Arms, cap: float) -> list[str]:
    """Return the level that each arm ends at; ``levels`` is that of ``searched_levels``.

    ``cap`` is the level that no search goes beyond, where an arm has none of its own.
    """
    last = levels[levels["round"] == levels.groupby("arm")["round"].transform("max")]
    told = []
    for arm in (arm for arm in arms if arm in set(last["arm"])):
        of_arm = last[last["arm"] == arm]
        found, ratios = of_arm["level"], of_arm["snr_audio_db"]
        middle = float(np.exp(np.log(found).mean()))
        spread = f" ({found.min():.3g} to {found.max():.3g})" if found.min() < found.max() else ""
        if ratios.notna().all():
            ends = " to ".join(dict.fromkeys(f"{f(ratios):.1f}" for f in (max, min)))
            spread += f", which is {ends} dB".replace("-", "−")
        capped = int((found >= float(arms[arm].get("search", {}).get("cap_level", cap))).sum())
        if capped:
            spread += f", at the cap in {capped} of {len(found)} seeds"
        told.append(f"{style.arm_style(arm).label}: {middle:.3g}{spread}")
    return [f"Levels of the last round: {'; '.join(told)}."] if len(told) > 1 else []


def write_answers(
    path: str | Path,
    *,
    split: str,
    seeds: int,
    differences: pd.DataFrame,
    distances: pd.DataFrame,
    parameters: Sequence[str],
    octaves: Sequence[str],
    changes: Mapping[str, Sequence[str]],
    recordings: Sequence[str],
    ratios: pd.DataFrame,
    level_sentences: Sequence[str],
) -> None:
    """Write the page of answers.

    ``differences`` is the table of :func:`glance`, ``distances`` that of
    :func:`distance_table`, ``ratios`` that of :func:`ratio_table`; the others hold the sentences
    of the functions above.
    """
    chance = (
        "One seed was trained: what another would give is not known."
        if seeds == 1
        else f"Values are means over {seeds} seeds, paired by seed; of a difference that is "
        "claimed it is said where a seed has the other sign."
    )
    parts = [
        style.paragraph(
            f"All of {style.split_label(split)}. Intervals are 95 % intervals over pieces "
            "(bootstrap, paired). A difference is claimed where its interval leaves out zero; else "
            f"no difference was seen, which does not say that there is none. {chance}"
        )
    ]
    sections = {
        PARAMETERS: parameters,
        ASKED["regularisation"]: changes["regularisation"],
        FREQUENCY: octaves,
        ASKED["adversary"]: changes["adversary"],
        RECORDINGS: recordings,
    }
    rest = {ASKED[name]: said for name, said in changes.items() if ASKED[name] not in sections}
    rest[ASKED["search"]] = [*rest[ASKED["search"]], *level_sentences]
    if len(differences):
        parts += [
            style.heading("At a glance"),
            style.html_table(differences, "F1 of an arm against another, fitted threshold"),
        ]
    parts.append(style.heading("What the paper asks under further research"))
    for question, sentences in sections.items():
        if question == RECORDINGS:
            parts.append(style.heading("What the study asks beside"))
        parts += [style.subheading(question), style.bullet_list(sentences)]
        if question == PARAMETERS and len(distances):
            layers = [name for name in distances.columns if name != "arm"]
            parts.append(
                style.html_table(
                    distances,
                    "Distance from the base after the last round, in units of the base's norm",
                    dict.fromkeys(layers, ".3f"),
                )
            )
        if question == RECORDINGS and len(ratios):
            parts.append(
                style.html_table(
                    ratios,
                    "F1 of an arm minus that of another, with 95 % intervals, by noise and "
                    "signal-to-noise ratio; fitted threshold",
                )
            )
    for question, sentences in rest.items():
        parts += [style.subheading(question), style.bullet_list(sentences)]
    style.write_page(path, "The paper's open questions, answered by this run", *parts)
