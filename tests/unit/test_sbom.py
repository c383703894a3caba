"""docs/licences.csv and envs/sbom.cdx.json have all that is fetched, and are current."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft7Validator, FormatChecker

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).with_name("cyclonedx") / "bom-1.6.schema.json"
LOCKS = sorted(path.name for path in (ROOT / "envs").glob("lock*.txt"))
# Files that git has and that are not all ours, told by what they are.
OTHERS = ("models/*.keras", "models/*.onnx", "models/*.parquet", "models/*.json", "*.schema.json")


@pytest.fixture(scope="module")
def make_sbom() -> ModuleType:
    """envs/make_sbom.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("make_sbom", ROOT / "envs" / "make_sbom.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sbom"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def listed() -> list[dict[str, str]]:
    with open(ROOT / "docs" / "licences.csv", newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def bill() -> dict:
    return json.loads((ROOT / "envs" / "sbom.cdx.json").read_text(encoding="utf-8"))


def requirements() -> dict[str, tuple[str, set[str]]]:
    """Version and hashes of each line of each lock file, read without the code under test."""
    found: dict[str, tuple[str, set[str]]] = {}
    for name in LOCKS:
        current = ""
        for line in (ROOT / "envs" / name).read_text().splitlines():
            if line and not line.startswith((" ", "#")):
                current, version = re.match(r"(\S+)==([^\s;]+)", line).groups()
                assert found.setdefault(current, (version, set()))[0] == version
            found[current][1].update(re.findall(r"sha256:([0-9a-f]{64})", line))
    return found


def sources() -> list[dict[str, str]]:
    with open(ROOT / "config/corpus/sources.tsv", newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened, delimiter="\t"))


def test_both_files_are_what_the_lock_files_give(make_sbom):
    rows = make_sbom.list_licences(ROOT, offline=True)
    remedy = "call make sbom, and look at what it changes"
    assert (ROOT / "docs/licences.csv").read_text() == make_sbom.as_csv(rows), remedy
    written = make_sbom.as_json(make_sbom.bill_of_materials(ROOT, rows))
    assert (ROOT / "envs/sbom.cdx.json").read_text() == written, remedy


def in_repository() -> set[str]:
    """Models and schemas of others, as git lists them; its patterns' stars go into folders."""
    listed = ["git", "-C", str(ROOT), "ls-files", "--", *OTHERS]
    return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())


def test_every_requirement_and_every_archive_has_a_licence(listed):
    packages = {row["package"]: row for row in listed if row["kind"] == "package"}
    wanted = {re.sub(r"[-_.]+", "-", name).lower(): each for name, each in requirements().items()}
    assert {name: row["version"] for name, row in packages.items()} == {
        name: version for name, (version, _) in wanted.items()
    }
    assert all(row["licence"] and row["read_from"] for row in listed)
    data = {
        (row["package"], row["version"], row["licence"]) for row in listed if row["kind"] == "data"
    }
    assert data == {
        (f"{row['registry'].split('-')[0]}:{row['package']}", row["version"], row["licence"])
        for row in sources()
    }


def test_every_file_of_others_that_is_in_the_repository_has_its_terms_and_its_hash(listed, bill):
    files = {row["package"]: row for row in listed if row["kind"] == "file"}
    assert files.keys() == in_repository() > {"tests/unit/cyclonedx/bom-1.6.schema.json"}
    for path, row in files.items():
        said = "CC BY-NC-SA 4.0" if path.startswith("models/") else "Apache-2.0"
        assert row["licence"] == said, path
        # In the document's words, which write it out.
        words = said.replace("Apache-2.0", "Apache License 2.0")
        assert words in " ".join((ROOT / row["read_from"]).read_text().split()), path
    hashes = {each["name"]: each["hashes"] for each in bill["components"] if "hashes" in each}
    for path in files:
        content = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
        assert hashes[path] == [{"alg": "SHA-256", "content": content}], "call make sbom"


def test_terms_of_data_are_those_that_were_looked_at(make_sbom):
    of_source = {row["source"]: (row["package"], row["version"]) for row in sources()}
    silent = set()
    for table in ("sources", "works", "instruments"):
        with open(ROOT / f"config/corpus/{table}.tsv", newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened, delimiter="\t"))
        for row in rows:
            if "not stated" in row["licence"]:
                silent.add(of_source[row["source"]])
                continue
            # Of an instrument, which part of its archive they are of is said as well.
            terms = re.split(r"; (?:piano samples )?", row["licence"])
            assert set(terms) <= make_sbom.KNOWN_DATA, (table, row)
    assert silent == make_sbom.NOT_STATED.keys()
    text = " ".join((ROOT / "docs" / "licences.md").read_text().split())
    for package, version in silent:
        assert f"`{package}` {version}" in text


@pytest.mark.parametrize(
    "licence", ["", "not stated", "CC BY-NC-ND 4.0", "CC BY 3.0; ask the author", "MIT or so"]
)
def test_unknown_terms_of_data_stop(make_sbom, tmp_path, licence):
    with pytest.raises(make_sbom.UnknownLicence, match=r"^newcomer 1\.0: nobody has looked at"):
        make_sbom.data_licence("newcomer", "1.0", licence)
    # Of the version that was looked at, and no other.
    package, version = next(iter(make_sbom.NOT_STATED))
    assert "looked at: " in make_sbom.data_licence(package, version, licence)
    with pytest.raises(make_sbom.UnknownLicence):
        make_sbom.data_licence(package, f"{version}.1", licence)


def test_the_licences_of_direct_dependencies_are_those_of_the_document(listed):
    """docs/dependencies.md says it in words."""
    words = {"LicenseRef-Matplotlib": "PSF-based", "LicenseRef-NVIDIA-Proprietary": "NVIDIA's own"}
    rows = re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "docs/dependencies.md").read_text(), re.M
    )
    licences = {row["package"]: row["licence"] for row in listed if row["kind"] == "package"}
    assert len(rows) > 30
    for name, said in rows:
        # Of NumPy its own licence, without those of what its wheels bring along.
        licence = licences[re.sub(r"[-_.]+", "-", name).lower()].split(" AND ")[0]
        assert said.startswith(words.get(licence, licence)), name


def test_the_bill_has_every_file_s_hash(bill):
    found = {}
    for component in bill["components"]:
        if component["type"] == "library":
            (files,) = component["externalReferences"]
            hashes = {each["content"] for each in files["hashes"] if each["alg"] == "SHA-256"}
            found[component["name"]] = (component["version"], hashes)
    wanted = {re.sub(r"[-_.]+", "-", name).lower(): each for name, each in requirements().items()}
    assert all(hashes for _, hashes in wanted.values())
    assert found == wanted
    archives = {
        component["properties"][0]["value"]: [each["content"] for each in component["hashes"]]
        for component in bill["components"]
        if component["type"] == "data"
    }
    assert archives == {f"resources/{row['archive']}": [row["sha256"]] for row in sources()}


def test_the_bill_is_of_cyclonedx_s_form(bill):
    validator = Draft7Validator(json.loads(SCHEMA.read_text()), format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(bill)] == []
    refs = [component["bom-ref"] for component in bill["components"]]
    assert len(set(refs)) == len(refs)
    (known,) = bill["dependencies"]
    assert known["ref"] == bill["metadata"]["component"]["bom-ref"]
    assert set(known["dependsOn"]) < set(refs)
    # What the schema is there to find.
    del bill["components"][0]["name"]
    bill["components"][1]["licenses"] = ["MIT"]
    assert len([*validator.iter_errors(bill)]) >= 2


@pytest.mark.parametrize(
    ("stated", "read_from", "message"),
    [
        ("", "License", r"its metadata say '' .*add a line to STATED or BY_HAND"),
        ("Ask me", "License", r"its metadata say 'Ask me'"),
        ("BSD License", "Classifier", r"its metadata say 'BSD License'"),
        ("BUSL-1.1", "License-Expression", r"nobody has looked at the licence BUSL-1\.1"),
        ("MIT AND SSPL-1.0", "License-Expression", r"nobody has looked at the licence SSPL-1\.0"),
        ("MIT AND AND", "License-Expression", r".* is no expression of SPDX"),
        ("Freeware", "License-Expression", r".* is no expression of SPDX"),
    ],
)
def test_an_unknown_licence_stops(make_sbom, stated, read_from, message):
    with pytest.raises(make_sbom.UnknownLicence, match=f"^newcomer: {message}"):
        make_sbom.licence_of("newcomer", stated, read_from)


def test_a_new_package_is_asked_for_and_not_made_up(make_sbom, tmp_path):
    for part in ("envs", "docs", "config/corpus"):
        shutil.copytree(ROOT / part, tmp_path / part)
    with open(tmp_path / "envs" / "lock.txt", "a", encoding="utf-8") as lock:
        lock.write(f"newcomer==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(make_sbom.UnknownLicence, match=r"newcomer 1\.0: is not installed.*sbom"):
        make_sbom.list_licences(tmp_path, offline=True)
    with open(tmp_path / "envs" / "lock.txt", "a", encoding="utf-8") as lock:
        lock.write("bare==1.0\n")
    with pytest.raises(SystemExit, match=r"lock\.txt: expected name==.*bare==1\.0"):
        make_sbom.read_locks(tmp_path / "envs")


def test_an_installed_package_of_another_version_tells_nothing(make_sbom, tmp_path):
    """A pin that was raised has its licence read anew."""
    for part in ("envs", "docs", "config/corpus"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for lock in LOCKS:
        path = tmp_path / "envs" / lock
        path.write_text(re.sub(r"(?m)^numpy==\S+", "numpy==99.0", path.read_text()))
    with pytest.raises(make_sbom.UnknownLicence, match=r"numpy 99\.0: is not installed"):
        make_sbom.list_licences(tmp_path, offline=True)
