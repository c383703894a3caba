"""docs/reproduction.md: verdicts of four kinds, and numbers that are those of its tables."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
VERDICTS = {
    "reproduced", "reproduced with a caveat", "not reproduced", "untestable here",
}  # fmt: skip
ARM = "adversarial"
HARDENED, OWN, BASE, CLEAN = (ARM, 0.34), (ARM, 0.0), ("base", 0.34), ("base", 0.0)
"""Arm and level of the scores: in noise and on clean input."""
LOSSES, F1 = ("training_loss", "validation_loss"), ("training_f1", "validation_f1")


def rows_of(head):
    """Return the cells of each line of the table whose first line begins so."""
    document = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
    lines = document[document.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


CLAIMS, QUESTIONS = rows_of("| the paper |"), rows_of("| question |")
TOLD = {name: text for name, _, text, _, _ in CLAIMS} | {
    name: text for name, text, _, _ in QUESTIONS
}


def read(name):
    # `none` is a noise, and nothing is no number.
    return pd.read_csv(RESULTS / name, keep_default_na=False, na_values=[""])


@pytest.mark.parametrize("row", CLAIMS + QUESTIONS, ids=lambda row: row[0][:40])
def test_each_row_names_figures_of_the_report_and_tables(row):
    *_, figures, tables = row
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    numbers = re.findall(r"\d\.\d", figures)
    assert numbers and all(f'"{number} ' in rules for number in numbers)
    links = re.findall(r"\]\(([^)#]+)", tables)
    assert links and all((ROOT / "docs" / link).is_file() for link in links)


def test_each_claim_has_one_of_four_verdicts():
    assert {verdict for _, verdict, *_ in CLAIMS} == VERDICTS


def changes():
    """Return a function that says a difference as prose does, at one threshold or at both."""
    table = read("study_changes.csv")
    table = table[table["seed"] == "all"].set_index(
        ["arm", "against", "threshold_kind", "noise", "amount"]
    )[["difference", "low", "high"]].sort_index()  # fmt: skip

    def change(arm, against=ARM, kind="fitted", noise="uniform", amount=0.34):
        # What is lost is told as a positive number.
        lost, arm = arm.startswith("-"), arm.removeprefix("-")
        amount = 0.0 if noise == "none" else amount
        if kind == "both":
            kinds = ("half", "fitted")
            return "; ".join(
                change("-" * lost + arm, against, each, noise, amount) for each in kinds
            )
        value, low, high = table.loc[(arm, against, kind, noise, amount)]
        if lost:
            value, low, high = -value, -high, -low
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"

    return change


def scores(name):
    """Return what each arm's last round scores on the held-out pianos."""
    table = read(name)
    table = table[table["split"] == "test_unseen_piano"]
    last = table["round"] == table.groupby("arm")["round"].transform("max")
    return table[last].set_index(["arm", "level"])


def epochs(name):
    """Return the base's epochs, the rounds' first ones, and what the second changes, in percent."""
    table = read(name)
    rounds = table[table["arm"] == ARM].set_index(["seed", "round", "epoch"]).drop(columns="arm")
    first, second = (rounds.xs(epoch, level="epoch") for epoch in (1, 2))
    base = table[table["arm"] == "base"].groupby("epoch").mean(numeric_only=True)
    return base, first, 100 * (second / first - 1)


def gains():
    """What the claims about noise say."""
    change, table, demo = changes(), scores("study_headline.csv"), scores("demo_headline.csv")
    half, fitted, loss = (table[name] for name in ("f1_half", "f1_fitted", "loss"))

    def shares(table, over, under):
        measures = (
            100 * table[name][over] / table[name][under] for name in ("f1_half", "f1_fitted")
        )
        return "{:.0f} %; {:.0f} %".format(*measures)

    return {
        "A model trained with noise": [
            change(ARM, "base", "both"), change("offset_removed", "base", "both"),
        ],
        "… and has a lower weighted": [f"{loss[HARDENED]:.3f} against {loss[BASE]:.3f}"],
        "Its performance is steady": [
            f"{half[OWN]:.3f} to {half[HARDENED]:.3f}", f"{half[CLEAN]:.3f} to {half[BASE]:.3f}",
        ],
        "F1 in noise remains": [
            shares(table, HARDENED, CLEAN), shares(demo, HARDENED, CLEAN),
            shares(table, HARDENED, OWN), f"{half[HARDENED]:.3f} of {half[CLEAN]:.3f}",
            f"{fitted[HARDENED]:.3f} of {fitted[CLEAN]:.3f}",
        ],
        "Adding noise gradually": [
            change("fixed", kind="both"), change("augmented", kind="half"), change("augmented"),
        ],
        "The loss suffers": [
            f"{loss[BASE] / loss[CLEAN]:.1f} times as high",
            f"({loss[HARDENED] / loss[OWN]:.1f} times; {100 * half[HARDENED] / half[OWN]:.0f} %)",
        ],
        "Noise training makes": [
            change(ARM, "base", "fitted", "white", -8.0),
            "{:.3f} to {:.3f}, all".format(*without_offset()),
        ],
    }  # fmt: skip


def without_offset():
    """Return by how little and how much the arm is behind in noises in which it gains nothing."""
    table = read("study_transfer.csv")
    table = table[
        (table["arm"] == ARM)
        & (table["threshold_kind"] == "fitted")
        & (table["domain"] == "magnitudes")
        & (table["amount"] == 0.34)
    ].set_index("noise")
    better = table["difference_low"] > 0
    assert set(table.index[better]) == {"uniform", "gaussian_rectified"}
    assert (table["difference_high"][~better] < 0).all()
    return -table["difference"][~better].max(), -table["difference"][~better].min()


def training():
    """What the claims about the course of the training say."""
    table = scores("study_headline.csv")
    half, loss = table["f1_half"], table["loss"]
    base, first, changed = epochs("study_epochs.csv")
    _, demo_first, demo_changed = epochs("demo_epochs.csv")
    onset = first.xs(1, level="round").mean() / base.loc[40]
    more, demo_more = (
        each["training_loss"] < -each["training_f1"] for each in (changed, demo_changed)
    )

    def falls(of):
        return f"{(of < 0).sum()} of {len(of)}"

    def means(of):
        return f"{-of['training_loss'].mean():.1f} % and {of['training_f1'].mean():.1f} %"

    def between(of, digits):
        return f"{of.min():.{digits}f} to {of.max():.{digits}f}"

    levels = read("study_levels.csv").set_index(["arm", "round", "seed"])["level"]
    assert set(levels["literal"]) == {2.0}
    (begun,) = levels[ARM][1].unique()
    return {
        "The base's training converges": [
            "{:.3f} after 20, {:.3f} after 30 and {:.3f} after 40".format(
                *base["validation_f1"][[20, 30, 40]]
            ),
            f"lowest after {base['validation_loss'].idxmin()}, with "
            f"{base['validation_loss'].min():.3f}, and then rises to "
            f"{base['validation_loss'][40]:.3f}",
        ],
        "Loss and F1 do not change": [f"the base for {base.index.max()};"],
        "With the first noise": [
            f"{loss[BASE] / loss[CLEAN]:.1f} times that on clean",
            "{:.2f} times as high in training and {:.2f} times in".format(*onset[[*LOSSES]]),
        ],
        "… and F1 falls": [
            "{:.0f} % in training and {:.0f} % in".format(*(100 * onset[[*F1]])),
            f"{100 * half['base', 0.05] / half[CLEAN]:.0f} % at level 0.05",
            f"{100 * half[BASE] / half[CLEAN]:.0f} % at 0.34",
        ],
        "As training in noise moves on": [
            f"{more.sum()} of {len(more)} rounds, on average by {means(changed)}",
            f"{demo_more.sum()} of {len(demo_more)}; {means(demo_changed)}",
            f"falls in {(changed['validation_loss'] < 0).sum()} of the {len(changed)} "
            f"and F1 rises in {(changed['validation_f1'] > 0).sum()}.",
            f"falls to {100 * loss[HARDENED] / loss[BASE]:.0f} % of the base's",
            f"rises to {half[HARDENED] / half[BASE]:.1f} times",
        ],
        "Progress within the rounds": [
            f"{falls(changed['training_loss'])} rounds, by "
            f"{between(-changed['training_loss'], 1)} %",
            f"{falls(demo_changed['training_loss'])}, by "
            f"{between(-demo_changed['training_loss'], 1)} %",
            f"from {between(first['training_loss'], 3)} (*demo*: "
            f"{between(demo_first['training_loss'], 3)})",
        ],
        "In the paper's search": [
            changes()("-literal", kind="both"),
            f"from {begun:.2f} to " + "{:.2f}, {:.2f} and {:.2f}".format(*levels[ARM][6]),
            f"to {demo_first['level'].max():.2f} in twelve",
        ],
    }


def certainty():
    """What the claims about entropy and about silent pitches say."""
    table = read("study_certainty.csv")
    by_seed = table.pivot_table(index=["arm", "seed"], columns="level", values="entropy_bits")
    assert (by_seed[0.34] > by_seed[0.0]).all()
    means = table.groupby(["arm", "level"]).mean(numeric_only=True)
    bits, silent, sounding = (means[f"entropy_bits{name}"] for name in ("", "_silent", "_sounding"))
    return {
        "In noise the probabilities": [
            f"{bits[CLEAN]:.2f} on clean input to {bits[BASE]:.2f} at",
            f"{bits[OWN]:.2f} to {bits[HARDENED]:.2f}, in",
            f"{silent[CLEAN]:.2f} to {silent[BASE]:.2f})",
            f"({sounding[CLEAN]:.2f} to {sounding[BASE]:.2f})",
            f"clean epochs leave {bits['clean', 0.0]:.2f}",
        ],
        "Most notes are not": [f"{100 * table['sounding'][0] / table['cells'][0]:.1f} %"],
    }


def answers():
    """What the answers to the open questions say."""
    change = changes()
    octaves = read("study_octave_relations.csv")
    octaves = octaves[(octaves["threshold_kind"] == "fitted") & (octaves["arm"] == "base")]
    lost = octaves.set_index("relation")["lost"]
    moved = read("study_distances.csv")
    moved = moved[moved["layer"].isin(["convolution_1", "convolution_2"])]
    moved = moved.pivot_table(index="layer", columns="arm", values="relative")
    (further,) = (moved[ARM] / moved["clean"]).round(1).unique()
    table = read("study_response_differences.csv").set_index(["arm", "against"])
    response = table.loc[(ARM, "base")]
    assert response["response_arm"] < 0.5 * response["response_against"] and response["high"] < 0
    levels = read("study_levels.csv").set_index(["arm", "round", "seed"])["level"]
    assert set(levels["previous"][5]) == {2.0}
    return {
        "What does noise training do": [f"{further} times as far"],
        "Would regularisation": [
            change("regularised", "clean"), change("-regularised", "clean", noise="none"),
        ],
        "Is the effect of noise local": [
            "{:.3f} of the base's F1 there, {:.3f} above and {:.3f} below".format(
                *lost[["same octave", "octaves above", "octaves below"]]
            )
        ],
        "An adversary that": [change("gradient")],
        "The sign of the search": [change("-literal"), change("-literal", noise="none")],
        "Loss relative to": [change("-previous"), change("-previous", noise="none")],
        "Noise drawn once": [change("redrawn"), change("redrawn", noise="none")],
        "Which range": [
            change("range_low", noise="none"), change("-range_low"),
            change("-range_high"), change("-range_high", noise="none"),
        ],
        "How many frames N": [
            change("-sample_small"), change("sample_large", noise="none"), change("sample_large"),
        ],
        "Noise added to the audio": [
            change("-adversarial_acoustic", noise="white", amount=0.0),
            change("adversarial_acoustic", noise="white", amount=-8.0),
            change("-adversarial_acoustic"),
        ],
        "What does hardening cost": [
            change("clean", noise="none"), change("clean", kind="half", noise="none"),
        ],
    }  # fmt: skip


@pytest.mark.parametrize("section", [gains, training, certainty, answers])
def test_the_numbers_are_those_of_the_tables(section):
    for begins, phrases in section().items():
        (text,) = [text for name, text in TOLD.items() if name.startswith(begins)]
        for phrase in phrases:
            assert phrase in text, begins


def test_each_row_with_an_interval_or_a_share_is_held_to_a_table():
    held = {begins for section in (gains, training, certainty, answers) for begins in section()}
    for name, text in TOLD.items():
        if re.search(r"\d\.\d\d|\d %", text) and not name.startswith("Level 0.34"):
            assert any(name.startswith(begins) for begins in held), name
