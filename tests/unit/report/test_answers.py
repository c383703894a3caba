"""The answers say what the study's tables say, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from at4ramt.report import answers, study, style


@pytest.fixture(autouse=True)
def no_labels() -> None:
    """Take off the labels that another test's configuration gave the arms."""
    style.start_figures()


ONE = answers.Change(
    question=0,
    split="test_unseen_piano",
    level=0.0,
    threshold_kind="fitted",
    arm="literal",
    reference="adversarial",
    f1_arm=0.58,
    f1_reference=0.6,
    difference=-0.02,
    low=-0.03,
    high=-0.01,
    pieces=10,
    seeds=3,
    condition=study.CLEAN,
    by_seed=(-0.02, -0.03, -0.01),
)
NOISY = replace(
    ONE, condition=("audio", "white", -8.0), difference=0.01, low=-0.01, high=0.03, f1_arm=0.41,
    f1_reference=0.4,
)  # fmt: skip
ARMS = {
    "adversarial": {"noise": "uniform", "question": "noise"},
    "literal": {"noise": "uniform", "question": "schedule"},
    "lonely": {"noise": "uniform", "question": "redraw", "against": "absent"},
}


def test_a_sentence_claims_what_the_intervals_leave_no_doubt_of() -> None:
    assert answers.change_sentence([ONE, NOISY]) == (
        "The arm 'literal', compared with the last adversarial round, at the fitted threshold. "
        "Clean input: worse by 0.020 (F1 0.580 against 0.600; 95 % interval of the difference "
        "−0.030 to −0.010); white noise in the audio, −8 dB: no difference seen (F1 0.410 against "
        "0.400; 95 % interval of the difference −0.010 to +0.030)."
    )


def test_the_other_threshold_is_told_where_it_differs() -> None:
    half = replace(ONE, threshold_kind="half")
    same = answers.change_sentence([ONE, half])
    assert same.endswith("The verdicts at threshold 0.5 are the same.")
    other = replace(half, low=-0.03, high=0.01)
    told = answers.change_sentence([ONE, other])
    assert told.endswith("At threshold 0.5, clean input: no difference seen (−0.020).")


def test_seeds_that_disagree_are_told() -> None:
    mixed = replace(ONE, by_seed=(-0.05, 0.01, -0.02))
    assert mixed.seeds_disagree and not ONE.seeds_disagree
    assert not replace(mixed, low=-0.05, high=0.01).seeds_disagree
    assert "to −0.010), though not in every seed." in answers.change_sentence([mixed])


def test_questions_without_arms_and_arms_without_partner_are_told() -> None:
    found = answers.answer_changes([ONE, NOISY], ARMS, list(ARMS))
    assert len(found["schedule"]) == 1 and found["schedule"][0].startswith("The arm 'literal'")
    assert found["redraw"] == [
        "The arm 'lonely' was trained, but not the arm that it is compared with."
    ]
    # The other of a pair was compared, too.
    assert found["noise"] == [answers.ABSENT] == found["regularisation"]
    assert "other" not in found and "chance" not in found


def test_arms_that_differ_by_chance_are_told_apart_from_the_paper_s_questions() -> None:
    arms = ARMS | {"again": {"noise": "uniform", "against": "literal", "question": "chance"}}
    again = replace(ONE, arm="again", reference="literal")
    found = answers.answer_changes([ONE, again], arms, list(arms))
    assert len(found["schedule"]) == 1
    assert found["chance"] == [answers.change_sentence([again])]


def test_changes_are_read_from_the_table() -> None:
    row = {
        "arm": "literal", "against": "adversarial", "split": "test_unseen_piano",
        "threshold_kind": "fitted", "domain": "magnitudes", "noise": "none", "amount": 0.0,
        "pieces": 10, "seed": "all", "seeds": 3, "f1_arm": 0.58, "f1_against": 0.6,
        "difference": -0.02, "low": -0.03, "high": -0.01,
    }  # fmt: skip
    seeds = [
        row | {"seed": str(seed), "seeds": 1, "difference": value, "low": None, "high": None}
        for seed, value in enumerate(ONE.by_seed)
    ]
    table = pd.DataFrame([row, *seeds])
    assert answers.find_changes(table, "test_unseen_piano") == [ONE]
    assert answers.find_changes(table, "test") == []


@pytest.mark.parametrize(
    ("above", "below", "verdict"),
    [
        ((0.01, 0.03), (0.01, 0.03), "The effect is not local: it reaches above and below."),
        ((0.01, 0.03), (-0.01, 0.01), "The effect is not local: it reaches the octaves above."),
        ((0.0, 0.01), (-0.01, 0.01), "The effect is local as far as was seen."),
    ],
)
def test_locality(above: tuple[float, float], below: tuple[float, float], verdict: str) -> None:
    spans = {"same octave": (0.1, 0.2), "octaves above": above, "octaves below": below}
    rows = [
        ("test", "fitted", "base", relation, 10, sum(span) / 2, *span)
        for relation, span in spans.items()
    ]
    columns = ["split", "threshold_kind", "arm", "relation", "pieces", "lost", "low", "high"]
    (said,) = answers.answer_octaves(pd.DataFrame(rows, columns=columns), "test", "fitted", 0.34)
    assert said.startswith("The base, with uniform noise of level 0.34 in one octave at a time: ")
    assert "pitches in the same octave lose 0.150 of F1 (95 % interval +0.100 to +0.200)" in said
    assert said.endswith(verdict)
    alone = pd.DataFrame(rows, columns=columns).assign(low=float("nan"), high=float("nan"))
    for pieces, why in ((1, "one piece only"), (10, "too few of 10 pieces have it")):
        (said,) = answers.answer_octaves(alone.assign(pieces=pieces), "test", "fitted", 0.34)
        assert f"same octave: a difference of −0.150 ({why}, so no interval)" in said
        assert said.endswith("That decides nothing.")
    nothing = pd.DataFrame(columns=columns)
    assert answers.answer_octaves(nothing, "test", "fitted", 0.34) == [answers.ABSENT]


def test_parameters_are_quoted_with_their_ratio() -> None:
    rows = [
        ("adversarial", 0, 2, "first", 0.1),
        ("adversarial", 0, 2, "last", 0.3),
        ("clean", 0, 2, "first", 0.05),
        ("clean", 0, 2, "last", 0.1),
    ]
    distances = pd.DataFrame(rows, columns=["arm", "seed", "round", "layer", "relative"])
    difference = {
        "arm": "adversarial", "against": "base", "response_arm": 0.06, "response_against": 0.14,
        "difference": -0.08, "low": -0.1, "high": -0.05, "filters": 24,
    }  # fmt: skip
    said = answers.answer_distances(distances, "adversarial")
    assert "first 0.10, last 0.30. last moved most." in said[0]
    assert "is 2.00 (first) to 3.00 (last) times as far" in said[2]
    assert answers.answer_responses(pd.DataFrame([difference]), "adversarial") == [
        "The last adversarial round, compared with the base: a constant offset of the input moves "
        "the first filters less (0.060 against 0.140; 95 % interval of the difference over 24 "
        "filters −0.100 to −0.050)."
    ]
    unseen = pd.DataFrame([difference | {"high": 0.01}])
    assert "no difference seen" in answers.answer_responses(unseen, "adversarial")[0]


def test_last_levels_are_geometric_means() -> None:
    levels = pd.DataFrame(
        {
            "arm": ["adversarial", "adversarial", "literal"],
            "seed": [0, 1, 0],
            "round": 12,
            "level": [0.1, 0.4, 2.0],
            "snr_audio_db": float("nan"),
        }
    )
    (said,) = answers.answer_levels(levels, ARMS, 3.0)
    assert said == "Levels of the last round: adversarial (paper): 0.2 (0.1 to 0.4); literal: 2."
    (said,) = answers.answer_levels(levels, ARMS, 2.0)
    assert said.endswith("literal: 2, at the cap in 1 of 1 seeds.")
    own = {"adversarial": {}, "literal": {"search": {"cap_level": 2.5}}}
    assert answers.answer_levels(levels, own, 0.4)[0].endswith(
        "adversarial (paper): 0.2 (0.1 to 0.4), at the cap in 1 of 2 seeds; literal: 2."
    )
    heard = levels.assign(snr_audio_db=-20 * np.log10(levels["level"]))
    assert "0.2 (0.1 to 0.4), which is 20.0 to 8.0 dB" in answers.answer_levels(heard, ARMS, 3.0)[0]
    assert answers.answer_levels(levels[levels["arm"] == "literal"], ARMS, 3.0) == []


def test_answers_above_a_figure_tell_arms_by_how_they_came_out() -> None:
    other = replace(ONE, arm="lonely", difference=0.004, low=-0.01, high=0.02)
    half = replace(ONE, threshold_kind="half")
    arms = ARMS | {"lonely": {"question": "schedule"}}
    asked = ["schedule", "noise"]
    assert answers.short_answers(
        [ONE, other, NOISY, half], arms, asked, kind="fitted", ends=True
    ) == [
        answers.ASKED["schedule"],
        "Compared with 'adversarial (paper)'. Clean input: worse 'literal' (−0.020 [−0.030, "
        "−0.010]); no difference seen 'lonely' (+0.004 [−0.010, +0.020]). White noise in the "
        "audio, −8 dB: no difference seen 'literal' (+0.010 [−0.010, +0.030]).",
    ]
    (_, said) = answers.short_answers([half], arms, asked, kind="half", ends=False)
    assert said == "Compared with 'adversarial (paper)'. Clean input: worse 'literal' (−0.020)."
    assert answers.short_answers([half], arms, asked, kind="fitted", ends=True) == []


def heard(
    noise: str, ratio: float, low: float, high: float, kind: str = "fitted"
) -> answers.Change:
    """A difference in noise in the audio, in the middle of its interval."""
    middle = (low + high) / 2
    condition = ("audio", noise, ratio)
    return replace(
        ONE, condition=condition, low=low, high=high, difference=middle, by_seed=(middle,),
        threshold_kind=kind,
    )  # fmt: skip


def test_noise_in_the_audio_is_told_by_kind_and_ratio() -> None:
    fitted = [
        heard("none", float("inf"), -0.04, -0.02),
        heard("white", 24, -0.05, -0.03),
        heard("white", 0, -0.01, 0.03),
        heard("white", -6, 0.1, 0.2),
        heard("white", -8, 0.2, 0.3),
        heard("room", 24, -0.05, -0.03),
        heard("room", 0, -0.06, -0.04),
    ]
    (said,) = answers.answer_recordings(fitted, other=None)
    assert said == (
        "The arm 'literal', compared with the last adversarial round, at the fitted threshold: "
        "without noise worse by 0.030; in white noise better at −6, −8 dB by 0.150 to 0.250, worse "
        "at 24 dB by 0.040, no difference seen at 0 dB; in a room worse at every ratio by 0.040 to "
        "0.050."
    )
    half = [replace(one, threshold_kind="half") for one in fitted]
    (said,) = answers.answer_recordings([*fitted, *half])
    assert said.endswith("The verdicts at threshold 0.5 are the same.")
    half[-1] = heard("room", 0, -0.01, 0.01, "half")
    (said,) = answers.answer_recordings([*fitted, *half])
    assert said.endswith(
        "Otherwise at threshold 0.5: in a room worse at 24 dB by 0.040, no difference seen at 0 dB."
    )
    torn = replace(fitted[3], by_seed=(0.3, -0.1))
    (said,) = answers.answer_recordings([torn], other=None)
    assert said.endswith("better at −6 dB by 0.150, though not always in every seed.")
    assert answers.answer_recordings([]) == [answers.ABSENT]
    table = answers.ratio_table([*fitted, *half])
    assert table["noise"].tolist() == ["clean", "white", "room"]
    assert table["−8 dB"].tolist()[1] == "+0.250 [+0.200, +0.300]"
    assert table["clean"].tolist()[0] == "−0.030 [−0.040, −0.020]"
