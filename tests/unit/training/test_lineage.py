"""Models and scores that are not what the configuration asks for are refused."""

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from at4ramt.config import training_config
from at4ramt.errors import InputError
from at4ramt.files import read_json, write_json
from at4ramt.training.lineage import check_model, check_models

SHARDS = {"results/shards/training/I.parquet": "a1", "results/shards/validation/I.parquet": "b2"}


@pytest.fixture
def chain(tmp_path: Path, demo_config: dict) -> tuple[list[str], dict, list[str]]:
    """Cards of a base and two rounds, the configuration, and the shards."""
    cards, parent = [], None
    for number, name in enumerate(("base", "round_01", "round_02")):
        path = str(tmp_path / f"{name}.json")
        card = {
            "arm": "adversarial" if number else "base",
            "round": number,
            "config": training_config(demo_config, number, "adversarial"),
            "shards": {str(tmp_path / name): digest for name, digest in SHARDS.items()},
            "parent": parent and str(Path(parent).with_suffix(".keras")),
            "parent_digest": parent and f"digest of {Path(parent).stem}",
            "model_sha256": f"digest of {name}",
        }
        write_json(path, card)
        cards.append(path)
        parent = path
    for name, digest in SHARDS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_json((tmp_path / name).with_suffix(".json"), {"sha256": digest})
    return cards, demo_config, [str(tmp_path / name) for name in SHARDS]


def test_models_of_this_configuration_pass(chain) -> None:
    check_models(*chain)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_model_of_an_older_configuration_is_named_with_the_key(chain, number: int) -> None:
    cards, config, shards = chain
    now = copy.deepcopy(config)
    section = "base" if number == 0 else "rounds"
    if number == 0:
        now["base"]["patience_epochs"] = 99
    else:
        now["rounds"]["overrides"] = {number: {"patience_epochs": 99}}
    was = config[section]["patience_epochs"]
    model = Path(cards[number]).with_suffix(".keras").name
    expected = (
        rf"{model}: was trained with {section}\.patience_epochs {was} \(now 99\).*delete this"
    )
    with pytest.raises(InputError, match=expected):
        check_models(cards, now, shards)


def test_a_model_of_other_shards_is_refused(chain) -> None:
    write_json(Path(chain[2][1]).with_suffix(".json"), {"sha256": "built anew"})
    with pytest.raises(
        InputError, match=r"base\.keras: was not trained on \S+validation/I\.parquet"
    ):
        check_models(*chain)


def test_a_round_on_another_parent_is_refused(chain) -> None:
    first = chain[0][1]
    write_json(first, read_json(first) | {"model_sha256": "trained anew"})
    with pytest.raises(InputError, match=r"round_02\.keras: was trained from another \S+round_01"):
        check_models(*chain)


leaves = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1)
trees = st.dictionaries(st.sampled_from("xyz"), leaves | st.integers(0, 2), min_size=1)


@given(was=trees, now=trees)
def test_only_an_equal_configuration_passes(was: dict, now: dict) -> None:
    card = {"config": was, "shards": SHARDS}
    if was == now:
        check_model("m.keras", card, now, SHARDS)
    else:
        with pytest.raises(InputError, match=r"m\.keras: was trained with "):
            check_model("m.keras", card, now, SHARDS)
