"""Which recordings `snakemake transcribe` is asked for."""

import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from at4ramt.errors import InputError
from at4ramt.transcription.recordings import find_recordings
from at4ramt.transcription.transcribe import TranscriptionSettings

ROOT = Path(__file__).resolve().parents[3]


def test_recordings_of_a_folder_by_name(tmp_path):
    names = ["Für Elise.WAV", "étude, op. 10.flac", "a.b.mp3", "x.ogg"]
    for name in [*names, "notes.txt", "x.mid", "cover.jpg"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    found = find_recordings(tmp_path)
    plain = {"a.b", "x"}
    assert plain < set(found)
    made_plain = sorted(set(found) - plain)
    assert [re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in made_plain].count(None) == 0
    assert made_plain[0].startswith("Fur_Elise-") and made_plain[1].startswith("etude_op._10-")
    assert sorted(found.values()) == sorted(str(tmp_path / name) for name in names)


def test_a_single_recording_is_meant_instead(tmp_path):
    (tmp_path / "song.take2.wav").touch()
    audio = str(tmp_path / "song.take2.wav")
    assert find_recordings(tmp_path / "nowhere", audio) == {"song.take2": audio}


@pytest.mark.parametrize("files", [None, [], ["song.mid"]])
def test_a_folder_without_recordings_is_told(tmp_path, files):
    folder = tmp_path / "input"
    if files is not None:
        folder.mkdir()
        for name in files:
            (folder / name).touch()
    with pytest.raises(InputError, match=r"input: no recording .*\.wav.* audio=song\.wav"):
        find_recordings(folder)


def test_two_recordings_of_one_name_are_told(tmp_path):
    for name in ("song.wav", "song.FLAC"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"song\.wav.*song\.FLAC.*Rename"):
        find_recordings(tmp_path)


def test_a_missing_recording_is_told(tmp_path):
    with pytest.raises(InputError, match=r"song\.wav: no such recording"):
        find_recordings(tmp_path, str(tmp_path / "song.wav"))


def test_braces_are_told(tmp_path):
    (tmp_path / "live {2}.wav").touch()
    for audio in (None, str(tmp_path / "live {2}.wav")):
        with pytest.raises(InputError, match=r"live \{2\}\.wav: .* wildcard.* Rename it"):
            find_recordings(tmp_path, audio)


@pytest.mark.parametrize("sign", [*"\"'$`", "\\"])
def test_a_single_path_that_a_shell_would_act_on_is_refused_and_in_the_folder_it_is_taken(
    tmp_path, sign
):
    path = tmp_path / f"a{sign}(touch x).wav"
    path.touch()
    with pytest.raises(InputError, match=r"a shell would act on .* transcription\.input"):
        find_recordings(tmp_path, str(path))
    ((name, found),) = find_recordings(tmp_path).items()
    assert found == str(path) and re.fullmatch(r"[A-Za-z0-9_.-]+", name)


@pytest.mark.parametrize("name", [b"two\nlines.wav", b"\xff\xfe.wav", b"bell\a.wav"])
def test_a_name_that_cannot_be_printed_is_told(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    open(path, "wb").close()
    for audio in (None, os.fsdecode(path)):
        with pytest.raises(InputError, match=r"printable characters in UTF-8. Rename"):
            find_recordings(tmp_path, audio)


def test_one_name_in_two_unicode_forms_is_told(tmp_path):
    for name in ("\u00e9tude.wav", "e\u0301tude.flac"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"tude\.wav: .*would have the name.*tude\.flac"):
        find_recordings(tmp_path)


def test_the_workflow_and_the_command_take_the_same_rule():
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    section = config["transcription"] | {"threshold": None}
    assert config["transcription"]["threshold"] == "fitted"
    assert asdict(TranscriptionSettings()) == {
        key: section[key] for key in section if key not in ("input", "model", "roll")
    }
