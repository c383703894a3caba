"""A file of values makes no objects of Python and runs nothing; a configuration may compute.

Snakemake reads configuration and profiles itself. PyYAML's full loader makes no objects, and
computes nothing unless the file says `__use_yte__`: SECURITY.md counts both files as code.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.checkout import Checkout, copy_repository

from at4ramt.cluster.site import read_site
from at4ramt.config import LOADER
from at4ramt.errors import InputError

TAGS = (
    "!!python/object/apply:os.system ['touch {canary}']",
    "!!python/object/new:subprocess.Popen [['touch', '{canary}']]",
    "!!python/object/apply:subprocess.check_output [['touch', '{canary}']]",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return copy_repository(tmp_path_factory.mktemp("configured") / "at4ramt")


@pytest.mark.parametrize("tag", TAGS)
def test_our_readers_of_yaml_make_no_objects(tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"
    text = f"executor: {tag.format(canary=canary)}\n"
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.load(text, Loader=LOADER)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_site(tmp_path, Path("workflow/rules"))
    assert not canary.exists()


def test_a_configuration_makes_no_objects(copy: Checkout, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for tag in TAGS:
        with pytest.raises(yaml.constructor.ConstructorError):
            yaml.load(tag.format(canary=canary), Loader=yaml.FullLoader)  # Snakemake's
    path = tmp_path / "hostile.yaml"
    path.write_text(f"seeds: {TAGS[0].format(canary=canary)}\n", encoding="utf-8")
    run = Checkout(copy.path, ("--cores", "1", "--configfile", str(path)))
    printed = run.snakemake("--dry-run", fails=True)
    assert "not valid JSON or YAML" in printed
    assert not canary.exists()


def test_a_name_of_python_is_refused_as_a_value(copy: Checkout, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("seeds: !!python/name:os.system\n", encoding="utf-8")
    run = Checkout(copy.path, ("--cores", "1", "--configfile", str(tmp_path / "a.yaml")))
    printed = run.snakemake("--dry-run", fails=True)
    assert "the configuration is not usable" in printed and "seeds" in printed
