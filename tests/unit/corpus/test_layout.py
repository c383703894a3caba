"""Names that may stand anywhere, and folders as they are found on real disks."""

import os
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from at4ramt.corpus.layout import ACTIVE_SIGNS, harmless_path, list_files, piece_names
from at4ramt.errors import InputError

steady = settings(deadline=None)

# A few letters, so that names that differ only in capitals or accents do come up.
NAMES = st.lists(
    st.one_of(
        st.text(st.sampled_from("aAáÁ é/.-_1本{$"), min_size=1, max_size=6),
        st.text(min_size=1, max_size=8).map(lambda text: text * 15),
    )
    .map(lambda name: unicodedata.normalize("NFC", name))
    .filter(lambda name: name.isprintable()),
    min_size=1,
    max_size=8,
    unique=True,
)


@steady
@given(NAMES)
def test_names_can_stand_in_a_path_a_shell_and_a_job(names):
    made = piece_names(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) for name in made)
    # Also where the file system does not tell capitals apart.
    assert len({name.casefold() for name in made}) == len(names)


@steady
@given(NAMES)
def test_a_name_does_not_depend_on_other_pieces(names):
    alike = [name.casefold() for name in names]
    for name, made, folded in zip(names, piece_names(names), alike, strict=True):
        if alike.count(folded) == 1:
            assert piece_names([name]) == [made]


@steady
@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", fullmatch=True))
def test_what_is_a_name_already_stays(name):
    assert piece_names([name]) == [name]


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("Für Elise (live)", "Fur_Elise_live"),
        ("Dvořák/Humoreska č. 7", "Dvorak_Humoreska_c._7"),
        ("Weiß – Straße", "Weiss_-_Strasse"),
        ("-rf", "rf"),
        ("日本の歌", "piece"),
    ],
)
def test_other_names_stay_readable(name, readable):
    (made,) = piece_names([name])
    assert re.fullmatch(re.escape(readable) + "-[0-9a-f]{10}", made)
    # macOS takes accents apart in file names; a copy from there is the same piece.
    assert piece_names([unicodedata.normalize("NFD", name)]) == [made]


def test_files_are_listed_through_links_and_without_what_is_hidden(tmp_path):
    root, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    for path in (
        root / "a/x.wav",
        root / ".hidden/x.wav",
        root / "a/._x.wav",
        root / "__MACOSX/x.wav",
        root / "b/ISOL/x.wav",
        elsewhere / "y.wav",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "linked").symlink_to(elsewhere)
    (root / "linked.wav").symlink_to(elsewhere / "y.wav")
    (root / "loop").symlink_to(root)
    (root / "dangling.wav").symlink_to(tmp_path / "nothing.wav")
    assert list_files(str(root), {"ISOL"}) == ["a/x.wav", "linked.wav", "linked/y.wav"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none: expected the folder of the corpus.*corpus\.root"):
        list_files(str(tmp_path / "none"))


def test_a_path_that_a_shell_would_act_on_gets_a_link_with_the_times_of_its_file(tmp_path):
    links = tmp_path / "links"
    plain = str(tmp_path / "Für Elise (live), 2 & 3.wav")
    assert harmless_path(plain, links) == plain and not links.exists()
    files = [tmp_path / f"a{sign}b.WAV" for sign in sorted(ACTIVE_SIGNS)]
    files.append(tmp_path / "it's" / "a$b.WAV")
    files[-1].parent.mkdir()
    old = time.time_ns() - 10**12
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]))
        os.utime(file, ns=(old, old))
    made = [harmless_path(str(file), links) for file in files]
    assert len(set(made)) == len(files)
    for number, link in enumerate(made):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.wav", os.path.basename(link))
        with open(link, "rb") as opened:
            assert opened.read() == bytes([number])
        assert os.lstat(link).st_mtime_ns == old
    assert [harmless_path(str(file), links) for file in files] == made
    assert len(list(links.iterdir())) == len(files)  # nothing unfinished is left


def test_a_link_follows_a_file_from_another_working_directory(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "it's.mid").write_text(name)
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        with open(harmless_path("it's.mid", tmp_path / "links")) as opened:
            assert opened.read() == name
    # A missing file is told by whoever reads it, under the link's name.
    assert not os.path.exists(harmless_path("they're.mid", tmp_path / "links"))
