"""Numbers in the README are those of the committed results; links lead somewhere."""

import csv
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from benchmarks.where_it_fails import tables
from faults.campaign import FAULTS, WITHOUT_JOB, read_strikes, table_of

from at4ramt.evaluation.beside_peers import as_heard, conditions_of
from at4ramt.evaluation.study_tables import change_table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))
ARMS = ["base", "offset_removed", "clean", "augmented", "adversarial"]
RATIOS = [math.inf, 20.0, 10.0, 0.0, -8.0]
SYSTEMS_OF_ROBUST = {
    "`robust`": ("robust", "best"),
    "`robust`, its own threshold": ("robust", "fitted"),
    "`base`, the same without noise": ("base", "best"),
    "`base`": ("base", "best"),
    "basic-pitch": ("basic_pitch", "best"),
    "basic-pitch, its notes": ("basic_pitch", "best"),
    "basic-pitch, its defaults": ("basic_pitch", "default"),
    "basic-pitch, its notes, its defaults": ("basic_pitch", "default"),
}
"""How documents call a system and a kind of threshold."""
SHOWN_OF_CHANGES = ("f1_against", "difference", "low", "high")


def table_lines(text, head):
    """Return the cells of each line of the table whose first line begins so, that line left out."""
    lines = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_readme_s_tables_are_those_of_the_results(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    with open(root / "docs" / "results" / "demo_headline.csv", newline="") as opened:
        rows = list(csv.DictReader(opened))
    for split in ("test", "test_unseen_piano"):
        section = readme[readme.index(f"(`{split}`)") :]
        header = section.split("\n\n")[1].splitlines()[0]
        levels = [0.0, *(float(x) for x in re.findall(r"level ([\d.]+) \|", header)[:4])]
        for arm, cells in zip(ARMS, table_lines(section, header), strict=True):
            assert cells[0].startswith(f"`{arm}`")
            found = {
                float(row["level"]): row
                for row in rows
                if row["arm"] == arm and row["split"] == split
            }
            expected = [found[level]["f1_half"] for level in levels]
            expected += [found[0.0]["f1_fitted"], found[0.34]["f1_fitted"]]
            assert cells[1:] == [f"{float(value):.3f}" for value in expected]


def test_the_table_of_transcriptions_is_that_of_the_results(root):
    document = (root / "docs" / "transcription.md").read_text(encoding="utf-8")
    with open(root / "docs" / "results" / "demo_transcription.csv", newline="") as opened:
        scores = {
            (row["noise"], row["model"], row["notes"]): {
                name: f"{float(row[name]):.2f}"
                for name in ("onset", "onset_offset", "frames", "frames of notes")
            }
            for row in csv.DictReader(opened)
        }
    rows = table_lines(document, "| noise | model | notes, runs alone")
    assert len(rows) == len(
        {(noise, model) for noise, model, _ in scores} - {("none", "true roll")}
    )
    for shown, model, *values in rows:
        noise = f"audio, {shown}" if "dB" in shown else shown.replace("0.34", "magnitudes, 0.34")
        kinds = ("runs alone", "refined")
        alone, refined = (scores[noise, model.split(",")[0], kind] for kind in kinds)
        assert values == [
            *(f"{kind['onset']} ({kind['onset_offset']})" for kind in (alone, refined)),
            alone["frames"], refined["frames of notes"],
        ]  # fmt: skip


def test_the_table_beside_basic_pitch_is_that_of_the_results(root):
    document = (root / "docs" / "transcription.md").read_text(encoding="utf-8")
    with open(root / "docs" / "results" / "demo_systems.csv", newline="") as opened:
        scores = {
            (row["system"], row["criterion"], float(row["snr_db"])): 100 * float(row["f1"])
            for row in csv.DictReader(opened)
            if row["split"] == "test_unseen_piano" and row["threshold_kind"] == "best"
        }
    section = document[document.index("## Beside basic-pitch") :]
    frames, notes = (table_lines(section, head) for head in ("| frames | clean", "| notes, onset"))
    assert len(frames) == 7 and len(notes) == 6
    for name, *values in frames:
        system = name.split(",")[0].replace("-", "_")
        criterion = "note_frames" if name.endswith("its notes") else "frames"
        assert values == [f"{scores[system, criterion, ratio]:.1f}" for ratio in RATIOS], name
    for name, *values in notes:
        system = name.split(",")[0].replace("-", "_")
        assert values == [
            f"{scores[system, 'onset', ratio]:.1f} ({scores[system, 'onset_offset', ratio]:.1f})"
            for ratio in RATIOS
        ], name


def changes_of_study(root, name, kind="fitted"):
    """The rows of one of the study's tables of differences, by pair, noise and amount."""
    with open(root / "docs" / "results" / f"{name}.csv", newline="") as opened:
        return {
            ((row["arm"], row["against"]), row["noise"], float(row["amount"])): [
                float(row[value]) for value in ("difference", "low", "high")
            ]
            for row in csv.DictReader(opened)
            if row["threshold_kind"] == kind and row["seed"] == "all"
        }


def signed(difference):
    """A difference and its interval as the study's tables show them."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*difference).replace("-", "−")


def unsigned(values):
    """A difference between the ends of its interval, turned so that the difference is positive."""
    turn = -1 if values[0] < 0 else 1
    return tuple(f"{value + 0.0:.3f}" for value in sorted(round(turn * v, 3) for v in values))


def sizes(difference):
    """A difference and its interval as prose tells them, where words say which way it goes."""
    low, value, high = unsigned(difference)
    return f"{value} [{low}, {high}]"


def test_the_study_s_table_is_that_of_the_results(root):
    document = (root / "docs" / "study.md").read_text(encoding="utf-8")
    found = {}
    for (pair, *condition), difference in changes_of_study(root, "study_changes").items():
        found.setdefault(pair, {})[tuple(condition)] = signed(difference)
    conditions = [("none", 0.0), ("uniform", 0.34), ("white", 0.0), ("white", -8.0)]
    shown = {}
    for pair, *cells in table_lines(document, "| arm − "):
        shown[tuple(re.findall(r"`(\w+)`", pair))] = cells
    assert shown == {
        pair: [values.get(condition, "–") for condition in conditions]
        for pair, values in found.items()
    }


def test_the_study_s_tables_of_noise_in_the_audio_are_those_of_the_results(root):
    document = (root / "docs" / "study.md").read_text(encoding="utf-8")
    found = changes_of_study(root, "study_recordings")
    noises = {noise for _, noise, _ in found} - {"none"}
    ratios = sorted({ratio for *_, ratio in found} - {math.inf}, reverse=True)
    assert len(noises) == 6 and len(ratios) == 7
    lines = table_lines(document, "| `adversarial` − `base` in | 24 dB |")
    assert {noise for noise, *_ in lines} == noises
    for noise, *cells in lines:
        pair = ("adversarial", "base")
        assert cells == [signed(found[pair, noise, ratio]) for ratio in ratios], noise
    pairs = [
        ("adversarial", "clean"),
        ("adversarial_acoustic", "adversarial"),
        ("augmented_acoustic", "augmented"),
    ]
    head = "| at 0 dB, then −8 dB, in | `adversarial` − `clean` |"
    lines = table_lines(document, head)
    assert {noise for noise, *_ in lines} == noises
    for noise, *cells in lines:
        expected = [signed(found[pair, noise, ratio]) for pair in pairs for ratio in (0.0, -8.0)]
        assert cells == expected, noise


TRIPLE = re.compile(r"([−+-]?\d\.\d{3})\s\[([−+-]?\d\.\d{3}), ([−+-]?\d\.\d{3})\]")


def test_differences_quoted_of_the_study_are_in_its_tables(root):
    known = set()
    for name in ("study_changes", "study_recordings", "study_again"):
        for kind in ("fitted", "half"):
            known |= {unsigned(one) for one in changes_of_study(root, name, kind).values()}
    transfer = pd.read_csv(root / "docs" / "results" / "study_transfer.csv")
    ends = ["difference", "difference_low", "difference_high"]
    known |= {unsigned(one) for one in transfer[ends].dropna().to_numpy()}
    texts = {
        name: (root / name).read_text(encoding="utf-8")
        for name in ("README.md", "docs/study.md", "docs/reproduction.md")
    }
    readme = texts["README.md"]
    readme = readme[readme.index("**With three seeds and") : readme.index("**Models on the same")]
    texts["README.md"] = readme
    for name, text in texts.items():
        quoted = [
            [float(number.replace("−", "-")) for number in found] for found in TRIPLE.findall(text)
        ]
        assert len(quoted) >= 4, name
        strange = [one for one in quoted if unsigned(one) not in known]
        assert not strange, name


def test_what_came_out_the_same_again_is_counted(root):
    text = (root / "docs" / "study.md").read_text(encoding="utf-8")
    text = text[text.index("**The same again.**") :].split("\n\n")[0]
    listed = re.search(r"thirteen arms \((.*?)\)", text).group(1)
    arms = set(re.findall(r"`(\w+)`", listed)) | {"base", "mean_removed", "offset_removed"}
    assert len(arms) == 13 + 3
    with open(root / "docs" / "results" / "study_changes.csv", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if {row["arm"], row["against"]} <= arms]
    assert f"the {len(rows)} rows of [the differences]" in text
    config = yaml.safe_load((root / "config" / "study.yaml").read_text(encoding="utf-8"))
    others = len(set(config["rounds"]["arms"]) - arms)
    assert others == 11 and "The eleven other arms were not run." in text


def test_how_far_the_study_moves_when_it_is_trained_again_is_told(root):
    results = root / "docs" / "results"
    again = pd.read_csv(results / "study_again.csv", keep_default_na=False, na_values=[""])
    changes = pd.read_csv(results / "study_changes.csv", keep_default_na=False, na_values=[""])
    shown = ["arm", "against", "domain", "noise", "amount"]
    whole, again = again, again.merge(changes[shown].drop_duplicates(), on=shown)
    again["moved"] = again["difference"] - again["difference_first"]
    first, now, by_passage = (
        (again[f"low{end}"] > 0) | (again[f"high{end}"] < 0) for end in ("_first", "", "_passages")
    )
    same = again["difference"] * again["difference_first"] > 0
    means = (again["seed"] == "all") & (again["threshold_kind"] == "fitted")
    half = (again["seed"] == "all") & (again["threshold_kind"] == "half")
    assert again["arm"].isin(["mean_removed", "offset_removed"]).any()
    assert again.loc[~again["arm"].str.endswith("_removed"), "arm"].nunique() == 13
    counted = [
        means.sum(),
        (means & first).sum(),
        (means & first & now & same).sum(),
        (means & first & ~now).sum(),
        (means & first & now & ~same).sum(),
        (half & first & now & same).sum(),
        (half & first).sum(),
        (means & ~first & now).sum(),
        (means & now).sum(),
        (means & now & ~by_passage).sum(),
    ]
    assert counted == [74, 44, 39, 5, 0, 63, 63, 7, 46, 4]
    lost = again[means & first & ~now]
    assert set(lost["arm"]) == {"fixed", "gaussian_rectified"}
    assert lost["difference_first"].abs().max() < 0.015
    paper_s = again["noise"] == "uniform"
    pink = again["arm"] == "pink"
    moves = again[means].groupby(["noise", "amount"])["moved"]
    spread = (moves.agg(lambda column: (column**2).mean() ** 0.5)).round(3).to_dict()
    assert spread == {
        ("none", 0.0): 0.005,
        ("uniform", 0.34): 0.015,
        ("white", 0.0): 0.007,
        ("white", -8.0): 0.007,
    }
    assert round(again.loc[means & ~(pink & paper_s), "moved"].abs().max(), 3) == 0.016
    row = again[means & pink & paper_s].iloc[0]
    assert (round(row["difference_first"], 3), round(row["difference"], 3)) == (-0.13, -0.067)
    seeds = again[(again["seed"] != "all") & (again["threshold_kind"] == "fitted")]
    single = seeds.groupby(["noise", "amount"])["moved"]
    single = single.agg(lambda column: (column**2).mean() ** 0.5).round(3)
    assert (single.min(), single.max()) == (0.010, 0.018)
    assert round(seeds["moved"].abs().max(), 3) == 0.117
    redrawn = again.loc[means & (again["arm"] == "redrawn"), "difference"].round(3)
    assert (redrawn.min(), redrawn.max()) == (-0.016, -0.009)
    recordings = pd.read_csv(results / "study_recordings.csv")
    pairs = set(zip(recordings["arm"], recordings["against"], strict=True))
    audio = whole[whole["domain"].eq("audio") & whole["threshold_kind"].eq("fitted")]
    audio = audio[[pair in pairs for pair in zip(audio["arm"], audio["against"], strict=True)]]
    audio = audio[audio["seed"] == "all"]
    first, now = ((audio[f"low{end}"] > 0) | (audio[f"high{end}"] < 0) for end in ("_first", ""))
    same = audio["difference"] * audio["difference_first"] > 0
    assert [len(audio), first.sum(), (first & now & same).sum(), (first & now & ~same).sum()] == [
        344, 271, 251, 0,
    ]  # fmt: skip
    lost = audio[first & ~now & audio["arm"].eq("adversarial") & audio["against"].eq("base")]
    assert set(lost["noise"]) == {"room"} and set(lost["amount"]) == {0.0, -6.0, -8.0}
    assert (lost["difference"].min().round(3), lost["difference"].max().round(3)) == (
        -0.032,
        -0.031,
    )
    width = (again["high_passages"] - again["low_passages"]) / (again["high"] - again["low"])
    assert width[means].median() == pytest.approx(1 + 1 / 8, abs=0.02)


def test_what_the_readme_says_of_the_study_is_in_its_tables(root):
    readme = (root / "README.md").read_text(encoding="utf-8").replace("−", "-")
    changes = changes_of_study(root, "study_changes")
    noisy, clean = ("uniform", 0.34), ("none", 0.0)
    for told, pair, condition in (
        ("at all ({} behind)", ("uniform_centred", "adversarial"), noisy),
        ("no difference seen: {})", ("offset_removed", "adversarial"), noisy),
        ("by {} in noise", ("fixed", "adversarial"), noisy),
        ("and {} on clean input.", ("fixed", "adversarial"), clean),
    ):
        assert told.format(sizes(changes[pair, *condition])) in readme
    better = changes[("offset_removed", "adversarial"), *clean][0]
    assert f"and {better:.3f} better on clean input" in readme


def test_what_the_study_says_of_levels_and_bases_is_in_its_tables(root):
    study = (root / "docs" / "study.md").read_text(encoding="utf-8")
    results = root / "docs" / "results"
    levels = pd.read_csv(results / "study_levels.csv")
    last = levels[(levels["arm"] == "adversarial_acoustic") & (levels["round"] == 6)]
    low, high = last["level"].min(), last["level"].max()
    assert (last["level"] == low).sum() == 2
    told = (
        f"{low:.1f} in two seeds and {high:.1f} in one, are {last['snr_audio_db'].max():.1f} and "
    )
    assert f"{told}{last['snr_audio_db'].min():.1f} dB".replace("-", "−") in study
    violet = levels[(levels["arm"] == "violet") & (levels["round"] == 6)]
    assert sorted(violet["level"] == 2.0) == [False, True, True]
    assert "its level ended at the cap of 2.0 in two of three seeds" in study
    distances = pd.read_csv(results / "study_distances.csv")
    among = distances[distances["arm"] == "base_of_other_seed"]
    among = among.groupby("layer")["relative"].mean()
    assert f"two bases of different seeds are {among['dense_1']:.1f} apart" in study


def scores_of_robust(root):
    """F1 of each system, kind of threshold, criterion, ratio and piano, and of both pianos."""
    counts = pd.read_csv(root / "docs" / "results" / "robust_pianos.csv", keep_default_na=False)
    counts = counts[counts["split"] == "test_unseen_piano"]
    counts = pd.concat([counts, counts.assign(instrument="both")])
    keys = ["system", "threshold_kind", "criterion", "snr_db", "instrument", "seed"]
    sums = counts.groupby(keys)[["reference", "estimated", "matched"]].sum()
    f1 = 200 * sums["matched"] / (sums["reference"] + sums["estimated"])
    return f1.groupby(level=keys[:5]).mean()


def test_the_robust_model_s_tables_are_those_of_the_results(root):
    scores = scores_of_robust(root)
    document = (root / "docs" / "robust.md").read_text(encoding="utf-8")
    for head, criterion in (("| piano | frames of |", "frames"), ("| piano | notes of |", "onset")):
        lines = table_lines(document, head)
        assert len(lines) == 10
        for piano, name, *cells in lines:
            counted = "note_frames" if "its notes" in name else criterion
            values = [scores[*SYSTEMS_OF_ROBUST[name], counted, ratio, piano] for ratio in RATIOS]
            assert cells == [f"{value:.1f}" for value in values], (piano, name)


def test_the_readme_s_tables_of_models_are_those_of_the_results(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    robust = scores_of_robust(root)
    demo = pd.read_csv(root / "docs" / "results" / "demo_systems.csv", keep_default_na=False)
    demo = demo[(demo["split"] == "test_unseen_piano") & (demo["threshold_kind"] == "best")]
    demo = demo.set_index(["system", "criterion", "snr_db"])["f1"]
    for head, criterion in (("| model | clean |", "frames"), ("| model, notes |", "onset")):
        lines = table_lines(readme, head)
        assert len(lines) == 5
        for name, *cells in lines:
            if name in SYSTEMS_OF_ROBUST:
                counted = "note_frames" if "its notes" in name else criterion
                scored = SYSTEMS_OF_ROBUST[name]
                values = [robust[*scored, counted, ratio, "both"] for ratio in RATIOS]
            else:
                system = re.search(r"demo's `(\w+)`", name)[1]
                values = [100 * float(demo[system, criterion, ratio]) for ratio in RATIOS]
            assert cells == [f"{value:.1f}" for value in values], (criterion, name)


def robust_changes(root, against, criterion, kind="best"):
    """Return the differences of `robust` from another, by ratio, as documents tell them."""
    changes = pd.read_csv(root / "docs" / "results" / "robust_changes.csv", keep_default_na=False)
    chosen = changes[
        (changes["seed"] == "all")
        & (changes["threshold_kind"] == kind)
        & (changes["against"] == against)
        & (changes["criterion"] == criterion)
    ].set_index("amount")
    assert list(chosen.index) == RATIOS
    return {
        ratio: "{:.1f} [{:.1f}, {:.1f}]".format(
            *(100 * float(chosen.loc[ratio, name]) for name in ("difference", "low", "high"))
        ).replace("-", "−")
        for ratio in RATIOS
    }


def test_differences_from_the_robust_model_are_those_of_the_results(root):
    document = (root / "docs" / "robust.md").read_text(encoding="utf-8")
    lines = table_lines(document, "| `robust` − | of |")
    assert len(lines) == 4
    for name, counted, *cells in lines:
        criterion = {"frames": "frames", "notes": "onset"}[counted]
        told = robust_changes(root, SYSTEMS_OF_ROBUST[name][0], criterion)
        assert cells == [told[ratio] for ratio in RATIOS], (name, counted)
    own = robust_changes(root, "base", "frames", "fitted")
    assert (
        f"by {own[math.inf]} points without noise, {own[20.0]} at 20 dB, {own[10.0]} at 10 dB, "
        f"{own[0.0]} at 0 dB and {own[-8.0]} at −8 dB" in document
    )
    readme = (root / "README.md").read_text(encoding="utf-8")
    cost = robust_changes(root, "base", "frames")[math.inf]
    assert f"changes the frames of `robust` by {cost} points without noise" in readme
    notes = robust_changes(root, "basic_pitch", "onset")
    assert f"by {notes[math.inf]} points without noise, {notes[10.0]} at 10 dB" in readme


@pytest.mark.parametrize("split", ["test_unseen_piano", "validation"])
def test_what_each_ingredient_brings_is_that_of_the_results(root, split):
    document = (root / "docs" / "robust.md").read_text(encoding="utf-8")
    section = document[document.index("## What each ingredient brings") :]
    if split == "validation":
        section = section[section.index("On validation, where the choices") :]
    changes = pd.read_csv(root / "docs" / "results" / "ablation.csv", keep_default_na=False)
    changes = changes[changes["split"] == split]
    single = changes[changes["seed"] != "all"].groupby(["arm", "amount"])["difference"]
    if split == "validation":
        spread = 100 * (single.max() - single.min()).max()
        assert f"seeds of one difference lie up to {spread:.1f} points apart on" in document
    changes = changes[changes["seed"] == "all"]
    assert len(changes) == 8 * len(RATIOS) and set(changes["against"]) == {"brief"}
    found = {
        (row["arm"], float(row["amount"])): [100 * float(row[name]) for name in SHOWN_OF_CHANGES]
        for row in changes.to_dict("records")
    }
    (_, *whole), *lines = table_lines(section, "| left out | clean")
    arms = [re.findall(r"`(\w+)`", name)[0] for name, *_ in lines]
    assert sorted(arms) == sorted(set(changes["arm"]))
    for arm, (_, *cells) in zip(arms, lines, strict=True):
        assert cells == [
            "{:.1f} [{:.1f}, {:.1f}]".format(
                *(value + 0.0 for value in found[arm, ratio][1:])
            ).replace("-", "−")
            for ratio in RATIOS
        ], arm
        assert whole == [f"{found[arm, ratio][0]:.1f}" for ratio in RATIOS]
    seeds = {1: "one seed", 2: "two seeds", 3: "three seeds"}[changes["seeds"].astype(int).max()]
    assert f"in the audio, {seeds}, with 95 % intervals" in document


def test_what_passages_instead_of_pieces_change_of_the_ablation_is_told(root):
    results = root / "docs" / "results"
    counts = pd.read_csv(results / "ablation_frames.csv", keep_default_na=False)
    counts = counts[counts["split"] == "test_unseen_piano"].assign(threshold_kind="fitted")
    # A piece's name ends with its piano.
    counts["piece"] = counts["piece"].str.rsplit("_", n=1).str[0]
    heard = as_heard(counts.astype({"snr_db": float}))
    pairs = [(arm, "brief") for arm in sorted(set(counts["system"]) - {"brief"})]
    drawn = change_table(heard, pairs, conditions_of(heard), draws=10_000, base_seed=0)
    told = pd.read_csv(results / "ablation.csv", keep_default_na=False, na_values=[""])
    told = told[told["split"] == "test_unseen_piano"]
    passages, pieces = (
        table[table["seed"] == "all"].set_index(["arm", "amount"])[["low", "high"]]
        for table in (drawn, told)
    )
    width = ((passages["high"] - passages["low"]) / (pieces["high"] - pieces["low"])).median()
    assert len(passages) == 40 and width == pytest.approx(1 + 1 / 6, abs=0.02)
    clear = [(table["low"] > 0) | (table["high"] < 0) for table in (passages, pieces)]
    changed = clear[0][clear[0] != clear[1]]
    assert changed.to_dict() == {
        ("brief_apart", math.inf): False,
        ("brief_apart", 20.0): False,
        ("brief_white", 20.0): False,
        ("brief_white", 0.0): False,
        ("brief_untoned", 0.0): True,
    }
    assert "and five verdicts change" in (root / "docs" / "robust.md").read_text(encoding="utf-8")


def test_where_the_robust_model_fails_is_that_of_the_results(root):
    path = root / "docs" / "results" / "robust_errors.csv"
    document = (root / "docs" / "robust.md").read_text(encoding="utf-8")
    for table in tables(pd.read_csv(path, keep_default_na=False)):
        assert table in document


def test_the_table_of_faults_is_that_of_the_results(root):
    document = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    document = document[: document.index("\n## Hostile input")]
    strikes = read_strikes(root / "docs" / "results" / "faults.csv")
    assert table_of(strikes) in document
    described = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", document, re.MULTILINE))
    )
    assert set(described) == {*FAULTS, *(strike.rule for strike in strikes)}
    for rule in WITHOUT_JOB:
        assert f"`{rule}`" in document


@pytest.mark.parametrize(
    "document", ["README.md", "SECURITY.md", "config/README.md", *(str(path) for path in DOCUMENTS)]
)
def test_links_within_the_repository_lead_somewhere(root, document):
    text = (root / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((root / document).parent / target).exists(), target


def test_commands_say_how_many_cores(root):
    # Without it Snakemake starts nothing but a dry run.
    enough = r"--cores|--profile|--resources|--lint|--list|--unlock|--cleanup| -n\b"
    found = []
    manuals = ("corpora", "report", "reruns", "transcription", "robust", "study")
    for name in ("README.md", "config/README.md", *(f"docs/{manual}.md" for manual in manuals)):
        text = (root / name).read_text(encoding="utf-8").replace("\\\n", " ")
        commands = re.findall(r"`(snakemake [^`]*)`", text)
        commands += re.findall(r"^ *(snakemake .*)$", text, re.MULTILINE)
        found += commands
        assert [one for one in commands if not re.search(enough, one)] == [], name
    assert len(found) > 20


def test_the_readme_s_speeds_are_those_of_the_benchmarks(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## How fast") :].split("\n## ")[0]
    measured = {
        row["name"]: row["ratio"]
        for row in json.loads((root / "benchmarks/results.json").read_text())
    }
    for start, told in (
        ("training, the demo's network: ours / plain fit", "training {:.2f} times as fast"),
        ("training, the demo's network: ours / bare", "{:.2f} of the bare step"),
        ("training, memory: ours, peak with", "(full MAPS) in {:.1f} GB"),
        ("transcription, robust, 2 cores: basic-pitch / ours, time", "{:.1f} times as fast"),
        ("transcription, robust, 1 core: basic-pitch / ours, time", "and {:.2f} on one"),
        ("transcription, demo's network, 2 cores: basic-pitch / ours, time", "network {:.1f})"),
        ("planning: 10,000 pieces, wall", "10,000 pieces planned in {:.0f} s"),
        ("demo: share of the wall time that is not computing", "a quarter of the demo's time"),
    ):
        (value,) = [ratio for name, ratio in measured.items() if name.startswith(start)]
        assert told.format(value).removeprefix("0") in section
    assert round(value, 2) == 0.25
