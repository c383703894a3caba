"""Fetching: what is there is checked and kept; what goes wrong is one line that says what to do."""

import io
import os
import stat
import subprocess
import sys
import tarfile

import pytest

from at4ramt.corpus import sources
from at4ramt.errors import InputError
from at4ramt.files import PACKAGE, file_digest

PYTHON = sys.executable


def row(archive, **changes):
    return {
        "source": "s",
        "registry": "npm",
        "package": "@scope/thing",
        "version": "1.0.0",
        "archive": archive.name,
        "sha256": file_digest(archive),
        "bytes": "10",
        **changes,
    }


@pytest.fixture
def published(tmp_path):
    """An archive as a registry has it."""
    path = tmp_path / "registry" / "thing-1.0.0.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as packed:
        info = tarfile.TarInfo("package/a.txt")
        info.size = 5
        packed.addfile(info, io.BytesIO(b"hello"))
    return path


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Put a script in place of npm, and a Python beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))

    def install(script):
        npm = folder / "npm"
        npm.write_text("#!/bin/sh\n" + script)
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)

    return install


def copying(published):
    return f'while [ "$1" != --pack-destination ]; do shift; done; cp "{published}" "$2"\n'


def test_an_archive_is_fetched_checked_and_left_alone_afterwards(published, client, tmp_path):
    target = tmp_path / "resources" / published.name
    client(copying(published))
    sources.fetch(row(published), target)
    assert target.read_bytes() == published.read_bytes()
    assert list(target.parent.iterdir()) == [target]
    client("exit 1\n")
    sources.fetch(row(published), target)  # no client is called


def test_what_a_killed_client_left_is_removed_by_the_next(published, client, tmp_path):
    target = tmp_path / "resources" / published.name
    killed = "import os\nfrom at4ramt.corpus import sources\n"
    killed += "sources._fetch_into = lambda *_: os._exit(9)\n"
    killed += f"sources.fetch({row(published)!r}, {str(target)!r})"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    subprocess.run([PYTHON, "-c", killed], env=environment, check=False)
    assert len(list(target.parent.iterdir())) == 1
    client(copying(published))
    sources.fetch(row(published), target)
    assert list(target.parent.iterdir()) == [target]


def test_a_file_of_another_checksum_is_not_used(published, client, tmp_path):
    target = tmp_path / published.name
    target.write_bytes(b"something else")
    with pytest.raises(InputError) as raised:
        sources.fetch(row(published), target)
    assert file_digest(published) in str(raised.value)
    assert file_digest(target) in str(raised.value)
    assert "Delete the file" in str(raised.value)


def test_another_file_from_the_registry_is_not_kept(published, client, tmp_path):
    target = tmp_path / "resources" / published.name
    client(copying(published))
    with pytest.raises(InputError, match=r"expected sha256 0{64}, found [0-9a-f]{64}.*registry"):
        sources.fetch(row(published, sha256="0" * 64), target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "npm error code ENOTFOUND",
            r"could not reach the npm registry.*Check the network.*by hand",
        ),
        ("npm error code ECONNREFUSED", r"could not reach the npm registry"),
        ("npm error code ENOSPC", r"no space left on the disk.*Free"),
        ("npm error code EFBIG", r"file too large for the limit.*ulimit -f.*same command again"),
        ("npm error code EINTEGRITY", r"registry sent another file"),
        ("npm error code E404", r"failed .*E404.*has this version"),
    ],
)
def test_what_the_client_says_becomes_one_line(published, client, tmp_path, said, expected):
    target = tmp_path / "resources" / published.name
    client(f'echo "{said}" >&2; exit 1\n')
    with pytest.raises(InputError, match=expected) as raised:
        sources.fetch(row(published), target)
    assert "\n" not in str(raised.value)
    assert "@scope/thing 1.0.0" in str(raised.value)


def test_a_missing_npm_is_named(published, client, tmp_path):
    with pytest.raises(InputError, match=r"npm: expected npm .*make setup"):
        sources.fetch(row(published), tmp_path / "resources" / published.name)


def test_a_full_disk_is_said_before_anything_is_fetched(published, client, tmp_path):
    client(copying(published))
    with pytest.raises(InputError, match=r"no space left on the disk"):
        sources.fetch(row(published, bytes=str(10**18)), tmp_path / "resources" / published.name)


def test_unknown_registry_is_named(published, tmp_path):
    with pytest.raises(InputError, match=r"column registry.*found 'npn'.*Did you mean 'npm'"):
        sources.fetch(row(published, registry="npn"), tmp_path / "resources" / published.name)


@pytest.mark.parametrize("registry", ["pypi-sdist", "pypi-wheel"])
def test_pip_is_asked_for_the_pinned_hash(published, tmp_path, registry):
    command, _ = sources._command(row(published, registry=registry), tmp_path)
    assert "--require-hashes" in command and "--no-deps" in command
    form = {"pypi-sdist": "--no-binary", "pypi-wheel": "--only-binary"}[registry]
    assert command[command.index(form) + 1] == ":all:"
    pinned = (tmp_path / "requirements.txt").read_text()
    assert pinned == f"@scope/thing==1.0.0 --hash=sha256:{file_digest(published)}\n"


def test_members_are_read_from_either_kind_of_archive(published, tmp_path):
    import zipfile

    zipped = tmp_path / "x.whl"
    with zipfile.ZipFile(zipped, "w") as packed:
        packed.writestr("package/a.txt", "hello")
    for archive in (published, zipped):
        assert sources.read_member(archive, "package/a.txt") == b"hello"
        with pytest.raises(InputError, match=r"expected the file 'b' inside"):
            sources.read_member(archive, "b")
    broken = tmp_path / "y.tgz"
    broken.write_bytes(published.read_bytes()[:40])
    with pytest.raises(InputError, match=r"y\.tgz: expected an archive"):
        sources.read_member(broken, "package/a.txt")


def test_the_committed_archives_have_their_digests(tables, archive):
    for name, source in tables["sources"].iterrows():
        path = archive(name)
        sources.check_archive(path, source["sha256"])
        assert path.stat().st_size == source["bytes"]
