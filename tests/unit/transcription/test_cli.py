"""The command: its files, its one-line errors, and that help comes at once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.replicas import Music, sound

from at4ramt import cli
from at4ramt.audio_noise.mixing import with_noise
from at4ramt.corpus.midi import read_midi
from at4ramt.evaluation.notes import match_notes
from at4ramt.transcription import models
from at4ramt.transcription.models import Model

PLAYED = Music(((5000, 12000, 60, 80), (15000, 22000, 64, 80)), ())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: Model) -> Path:
    """A working directory with a recording, and a model that needs no training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "CLONE", tmp_path / "clone")
    monkeypatch.setattr(models, "open_model", lambda path, threads: detector)
    soundfile.write("Für Elise, 2. Satz.flac", sound(PLAYED, 3.0, 44100), 44100)
    return tmp_path


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command; assert that it ends with one line and code 2; return the line."""
    assert cli.main(arguments) == 2
    output = capfd.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("at4ramt: ")
    return line


def test_a_recording_becomes_midi_a_table_and_a_picture(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    song = "Für Elise, 2. Satz"
    code = cli.main(
        ["transcribe", f"{song}.flac", "-o", f"{song}.mid", "--model", "any.keras",
         "--notes", f"{song}.csv", "--roll", f"{song}.png"]
    )  # fmt: skip
    said = capfd.readouterr()
    assert code == 0, said.err
    assert said.out == "" and "2 notes" in said.err and "0:03" in said.err
    notes = read_midi(folder / f"{song}.mid").notes
    assert notes["pitch"].tolist() == [60, 64]
    np.testing.assert_allclose(notes["onset"], [0.5, 1.5], atol=0.05)
    np.testing.assert_allclose(notes["offset"], [1.2, 2.2], atol=0.15)
    assert len((folder / f"{song}.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert (folder / f"{song}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob(".*"))  # no unfinished file is left

    code = cli.main(
        ["transcribe", f"{song}.flac", "-o", "strict.mid", "--threshold", "0.999999", "--quiet",
         "--model", "any.keras"]
    )  # fmt: skip
    assert (code, capfd.readouterr().err) == (0, "")


def test_a_run_s_folder_stands_for_its_last_model(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("transcribe", "Für Elise, 2. Satz.flac", "-o", "a.mid", "--model", "results")
    (folder / "results").mkdir()
    assert "no trained model in results/models" in refused(capfd, *arguments)
    trained = folder / "results" / "models" / "base" / "seed_0.keras"
    trained.parent.mkdir(parents=True)
    trained.touch()
    assert cli.main(arguments) == 0
    assert " results/models/base/seed_0.keras" in capfd.readouterr().err


@pytest.mark.parametrize(("snr_db", "missed"), [(np.inf, 0), (0.0, 0), (-8.0, 1)])
def test_the_model_that_comes_with_the_clone_hears_notes_in_noise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], snr_db: float, missed: int
) -> None:
    pitches = [60, 64, 67, 72, 48, 55, 59, 62, 65, 77, 81, 40, 84, 53]
    keys = [(5000 + 4000 * n, 9000 + 4000 * n + 3000 * (n % 3)) for n in range(len(pitches))]
    played = Music(tuple((*key, pitch, 80) for key, pitch in zip(keys, pitches, strict=True)), ())
    audio = sound(played, 8.0, 44100).mean(axis=1).astype(np.float32)
    noisy = with_noise(audio, 44100, snr_db, np.random.default_rng(0))
    soundfile.write(tmp_path / "song.flac", noisy / np.abs(noisy).max(), 44100)
    song, midi = str(tmp_path / "song.flac"), tmp_path / "song.mid"
    assert cli.main(["transcribe", song, "-o", str(midi)]) == 0
    assert "run by ONNX Runtime" in capfd.readouterr().err
    notes = read_midi(midi).notes
    reference = np.zeros(len(pitches), notes.dtype)
    reference["onset"], reference["offset"] = np.array(keys).T / 10_000
    reference["pitch"] = pitches
    assert len(match_notes(reference, notes, "onset")) >= len(pitches) - missed
    # An octave too many here and there is what the model is known for.
    assert len(notes) <= len(pitches) + 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.wav", "-o", "a.mid"], "missing.wav: no such audio file"),
        ([".", "-o", "a.mid"], "no such audio file"),
        (["text.wav", "-o", "a.mid"], "text.wav: this is not audio that can be read"),
        (["Für Elise, 2. Satz.flac", "-o", "a.wav"], "-o a.wav: expected a name that ends in .mid"),
        (["Für Elise, 2. Satz.flac", "-o", "a.mid", "--notes", "a.txt"], "ends in .csv"),
        (["Für Elise, 2. Satz.flac", "-o", "a.mid", "--roll", "a.jpg"], "ends in .png"),
        (["Für Elise, 2. Satz.flac", "-o", "nowhere/a.mid"], "there is no folder nowhere"),
        (["Für Elise, 2. Satz.flac", "-o", "folder.mid"], "this is a folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], words: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("text.wav").write_text("a text that is long enough to have a header")
    Path("folder.mid").mkdir()
    before = sorted(folder.iterdir())
    assert words in refused(capfd, "transcribe", *arguments, "--model", "any.keras")
    assert sorted(folder.iterdir()) == before


def test_a_model_that_is_none_is_said_in_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    Path("any.keras").write_text("no archive")
    line = refused(
        capfd, "transcribe", "Für Elise, 2. Satz.flac", "-o", "a.mid", "--model", "any.keras",
        "--quiet",
    )  # fmt: skip
    assert "any.keras: not a model of this workflow" in line


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "nan", "half"])
def test_a_threshold_is_a_probability(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["transcribe", "a.wav", "-o", "a.mid", f"--threshold={value}"])
    assert ended.value.code == 2
    assert f"'{value}' is no number between 0 and 1" in capsys.readouterr().err


def test_an_interrupted_run_leaves_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, threads: int) -> Model:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "open_model", interrupted)
    before = sorted(folder.iterdir())
    arguments = ["transcribe", "Für Elise, 2. Satz.flac", "-o", "a.mid", "--model", "any.keras"]
    assert cli.main(arguments) == 130
    assert "interrupted" in capfd.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_help_imports_nothing_that_takes_time() -> None:
    package = Path(cli.__file__).resolve().parents[1]
    program = (
        "import sys, at4ramt.cli as cli\n"
        "try: cli.main(['transcribe', '--help'])\n"
        "except SystemExit: print([m for m in ('numpy', 'soundfile', 'keras', 'librosa', 'pandas')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=package
    )
    assert done.stdout.startswith("usage: at4ramt transcribe")
    assert done.stdout.splitlines()[-1] == "[]"
