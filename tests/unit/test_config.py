"""The configuration: what is refused, how it is said, and that the manual agrees with it."""

import copy

import pytest
import yaml

from at4ramt.config import ROOT, check_config, key_table, round_settings, training_config
from at4ramt.errors import InputError

DEMO = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def changed(path: str, value):
    config = copy.deepcopy(DEMO)
    *parents, last = path.split(".")
    section = config
    for name in parents:
        section = section[name]
    section[last] = value
    return config


def test_the_demo_is_accepted():
    check_config(DEMO)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("rounds.epoch", 3, r"unknown key 'rounds.epoch'.*Did you mean 'epochs'"),
        ("sedes", [0], r"unknown key 'sedes'.*Did you mean 'seeds'"),
        ("base.epochs", 0, r"'base.epochs' is 0; expected integer ≥ 1"),
        ("base.epochs", 2.5, r"'base.epochs' is 2.5; expected integer"),
        (
            "network.name",
            "papper",
            r"expected one of paper, small, equivariant.*Did you mean 'paper'",
        ),
        ("network.dropout_dense", 1.0, r"expected number ≥ 0, < 1"),
        ("rounds.arms", [], r"'rounds.arms' is \[\]; expected a list"),
        ("rounds.arms", ["clean", "clean"], r"without repetition"),
        ("rounds.overrides", {7: {"epoch": 1}}, r"'rounds.overrides.7.epoch'"),
        ("rounds.overrides", {"x": {}}, r"expected the number of a round"),
        ("rounds.overrides", {13: {"epochs": 1}}, r"names round 13; expected 1 to .* 12"),
        ("rounds.search.maximum_increase", 0.05, r"not below maximum_increase"),
        ("rounds.search.start_level", 3.0, r"floor_level < start_level < cap_level"),
        ("rounds.search.rule", "literally", r"expected one of corrected, literal"),
        ("rounds.arms", ["advresarial"], r"names advresarial, .*Did you mean 'adversarial'"),
        ("arms.base", {"noise": "none"}, r"unknown key 'arms.base'; expected a name of lower-case"),
        ("arms.Loud", {"noise": "none"}, r"unknown key 'arms.Loud'; expected a name of lower-case"),
        ("arms.loud", {"noise": "uniform"}, r"arms.loud: noise is uniform, level not given"),
        ("arms.loud", {"noise": "none", "level": "drawn"}, r"noise is none, level drawn"),
        ("arms.loud", {"noise": "pnik", "level": "drawn"}, r"'arms.loud.noise' .*mean 'pink'"),
        ("arms.clean.against", "adverse", r"arms.clean.against is adverse, which is no arm"),
        ("arms.clean.gradient_steps", 3, r"is for the noise gradient, found none"),
        ("arms.adversarial.search", {"frame": 3}, r"'arms.adversarial.search.frame'"),
        ("arms.adversarial.search", {"minimum_increase": 5}, r"arms.adversarial.search: .* range"),
        ("evaluation.noises", ["purple"], r"'evaluation.noises.0' is 'purple'; expected one of"),
        ("evaluation.levels", [0.0, 0.2, 0.1], r"ascending levels that begin with 0"),
        ("evaluation.levels", [0.1], r"ascending levels that begin with 0"),
        ("evaluation.every_round_of", ["fixed"], None),
        ("evaluation.peers", ["basicpitch"], r"expected one of basic_pitch. Did you mean"),
        ("evaluation.peer_models", [{"name": "a", "model": "b.h5"}], r"_models.0.model' is 'b.h5'"),
        (
            "evaluation.peer_models",
            [{"name": "adversarial", "model": "b.onnx"}],
            r"peer_models.0.name is adversarial, which is another system's",
        ),
        (
            "evaluation.peer_models",
            [{"name": "a", "model": "b.onnx"}, {"name": "a", "model": "c.keras"}],
            r"peer_models.1.name is a, which is another system's",
        ),
        ("evaluation.audio_snr_db", ["0"], r"'evaluation.audio_snr_db.0' is '0'; expected number"),
        ("evaluation.audio_snr_db", [0, 0], r"without repetition"),
        ("features.lowest_pitch", 60, r"above half of sample_rate_hz"),
        ("features.margin_above_pitches", 30, r"above half of sample_rate_hz"),
        ("corpus.variations.room_db", [-6, -24], r"room_db is .*; expected the lower limit first"),
        ("corpus.variations.tilt_db", [0.0], r"'corpus.variations.tilt_db' is .*at least 2"),
        ("corpus.kind", "mapps", r"expected one of .*Did you mean 'maps'"),
        ("corpus.kind", "maps", r"corpus.root is None and corpus.kind is 'maps'"),
        ("corpus.root", "/data/MAPS", r"corpus.root is '/data/MAPS' and corpus.kind is 'embedded'"),
        ("corpus.exclude", {"a": ""}, r"'corpus.exclude.a' is ''; expected string"),
        ("corpus.split", 3, r"'corpus.split' is 3; expected string or null"),
        ("transcription.threshold", "fited", r"expected `fitted`, or number > 0, < 1"),
        ("transcription.threshold", 1.5, r"expected `fitted`, or number > 0, < 1"),
        ("features.hop_length_samples", 500, r"multiple of 128"),
        ("training.transpose_pitches", 5, r"no more than features.margin_pitches \(4\)"),
        ("features.overtone_pitches", 5, r"pitches above \(4\) overtone_pitches \(5\) leaves"),
        (
            "arms.fixed",
            {"noise": "audio_white", "level": "decibels"},
            r"a range with decibels alone",
        ),
        (
            "arms.fixed",
            {"noise": "uniform", "level": "decibels", "snr_db": [0, 10]},
            r"arms.fixed.level is decibels, noise uniform; expected audio_",
        ),
        (
            "arms.fixed",
            {"noise": "none", "training": {"gain_db": 3}},
            r"arms.fixed changes section network or training .* expected start: scratch",
        ),
    ],
)
def test_each_mistake_is_named_with_what_was_expected(path, value, said):
    config = changed(path, value)
    if said is None:
        config["rounds"]["arms"] = ["adversarial"]
        said = "every_round_of names fixed, which rounds.arms does not train"
    with pytest.raises(InputError, match=said):
        check_config(config)


def test_all_mistakes_are_told_at_once():
    config = changed("base.epochs", 0)
    del config["seeds"]
    config["network"]["nam"] = "x"
    with pytest.raises(InputError) as caught:
        check_config(config)
    for part in ("base.epochs", "'seeds' is missing", "network.nam"):
        assert part in str(caught.value)


def test_every_key_is_needed():
    for section, content in DEMO.items():
        # A table has the rows that somebody wants.
        for key in content if isinstance(content, dict) and section != "arms" else ():
            config = copy.deepcopy(DEMO)
            del config[section][key]
            with pytest.raises(InputError, match=f"key '{section}.{key}' is missing"):
                check_config(config)


def test_a_round_sees_its_override_and_no_key_that_only_counts_rounds():
    config = changed("rounds.overrides", {7: {"epochs": 9}})
    assert round_settings(config, 7, "clean")["epochs"] == 9
    assert round_settings(config, 6, "clean") == round_settings(DEMO, 6, "clean")
    longer = changed("rounds.count", 14)
    assert round_settings(longer, 3, "clean") == round_settings(DEMO, 3, "clean")


def test_an_arm_takes_the_place_of_what_it_names_in_its_own_rounds_alone():
    own = {"noise": "pink", "level": "searched", "epochs": 5, "search": {"frames": 7}}
    config = changed("arms.coloured", own | {"label": "words", "question": "noise"})
    settings = round_settings(config, 1, "coloured")
    assert settings["arm"] == {"noise": "pink", "level": "searched"}
    assert settings["epochs"] == 5 and settings["search"]["frames"] == 7
    assert settings["search"] | {"frames": 1024} == DEMO["rounds"]["search"]
    assert round_settings(config, 1, "clean") == round_settings(DEMO, 1, "clean")
    # Words for readers train nothing again.
    assert round_settings(changed("arms.coloured", own), 1, "coloured") == settings


def test_the_manual_has_the_table_of_the_schema():
    manual = (ROOT / "config" / "README.md").read_text()
    assert key_table() in manual, "run: PYTHONPATH=workflow python -m at4ramt.config"


def laid(under, over):
    """Return a configuration with another laid over it, as Snakemake does."""
    return under | {
        key: laid(under[key], value)
        if isinstance(value, dict) and isinstance(under.get(key), dict)
        else value
        for key, value in over.items()
    }


def laid_over_the_demo_s(*names):
    config = DEMO
    for name in names:
        config = laid(config, yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    return config


@pytest.mark.parametrize(
    "names",
    [
        ["paper"],
        ["study"],
        ["paper", "study", "paper_study"],
        ["robust"],
        ["robust", "robust_ablation"],
    ],
    ids="+".join,
)
def test_the_configurations_that_are_laid_over_the_demo_s_are_usable(names):
    config = laid_over_the_demo_s(*names)
    check_config(config)
    for arm in config["rounds"]["arms"]:
        assert training_config(config, 1, arm)["rounds"]["arm"]["noise"]


def test_the_study_at_the_paper_s_size_has_the_study_s_arms_and_all_else_of_the_paper_s():
    paper, study = laid_over_the_demo_s("paper"), laid_over_the_demo_s("study")
    both = laid_over_the_demo_s("paper", "study", "paper_study")
    of_arms = ("arms", "evaluation")
    assert {key: value for key, value in both.items() if key not in of_arms} == {
        key: value | {"arms": study["rounds"]["arms"]} if key == "rounds" else value
        for key, value in paper.items()
        if key not in of_arms
    }
    assert both["evaluation"] | {"every_round_of": ["adversarial"]} == study["evaluation"]
    for name, arm in study["arms"].items():
        if name not in ("range_low", "range_high"):
            assert both["arms"][name] == arm
            continue
        for limit in ("minimum_increase", "maximum_increase"):
            share = arm["search"][limit] / study["rounds"]["search"][limit]
            expected = share * paper["rounds"]["search"][limit]
            assert both["arms"][name]["search"][limit] == pytest.approx(expected, rel=0.02)


def test_the_manual_names_every_configuration():
    manual = (ROOT / "config" / "README.md").read_text()
    for path in (ROOT / "config").glob("*.yaml"):
        assert f"`{path.name}`" in manual, path.name
