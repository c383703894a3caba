"""The command ``at4ramt``: what is of use without a workflow.

Set-up puts it into the environment's ``bin``. Errors are one line, exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Nothing else is imported before it is needed: --help answers at once.
from at4ramt import __version__
from at4ramt.errors import InputError

CLONE = Path(__file__).resolve().parents[2]
SHIPPED_MODEL = "models/robust/seed_1/round_01.keras"
MIDI_SUFFIXES, TABLE_SUFFIXES = (".mid", ".midi"), (".csv",)
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code, 0, 2 (an error) or 130 (interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        transcribe(options)
    except InputError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(f"{error.filename or options.audio}: {error.strerror or error}")
    except KeyboardInterrupt:
        print("\nat4ramt: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="at4ramt", description="Piano recordings to notes, by a network trained in noise."
    )
    parser.add_argument("--version", action="version", version=f"at4ramt {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "transcribe",
        help="write the notes of a recording as MIDI",
        description="Write the notes of a piano recording as MIDI.",
        epilog="Frames become notes by the rule of docs/transcription.md.",
    )
    command.add_argument(
        "audio", type=Path, help="wav, flac, ogg, mp3, …: any rate, channels and length"
    )
    command.add_argument(
        "-o", dest="midi", type=Path, required=True, metavar="SONG.mid", help="MIDI file to write"
    )
    command.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="a .keras or .onnx file, or the folder results of a run, whose last round is meant "
        "(default: the robust transcriber that comes with the clone, models/robust)",
    )
    command.add_argument(
        "--notes", type=Path, metavar="SONG.csv", help="write the notes as a table as well"
    )
    command.add_argument(
        "--roll", type=Path, metavar="SONG.png", help="draw the piano roll (png, svg or pdf)"
    )
    command.add_argument(
        "--threshold",
        type=_probability,
        metavar="P",
        help="probability from which on a pitch sounds; a higher one gives fewer notes "
        "(default: the one that was fitted to the model)",
    )
    command.add_argument(
        "--no-refine",
        action="store_true",
        help="take onsets from the model's frames alone, not from the audio",
    )
    command.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return parser


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number between 0 and 1")
    return value


def transcribe(options: argparse.Namespace) -> None:
    """Transcribe one recording into the files that were asked for.

    Raises:
        InputError: if an input or an output cannot be what it is named as.
    """
    _check_outputs(options)
    model_path = _model_to_use(options.model)
    import logging

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("at4ramt").setLevel(logging.ERROR if options.quiet else logging.INFO)
    from at4ramt.features.audio import audio_seconds

    seconds = audio_seconds(options.audio)
    if not options.quiet:
        _say(f"{options.audio}: {_clock(seconds)}; model {model_path}")
    began = time.monotonic()
    threads = min(4, len(os.sched_getaffinity(0)))
    with _libraries_silenced():
        from at4ramt.transcription.models import open_model

        model = open_model(model_path, threads=threads)
    from at4ramt.transcription.output import plot_roll, write_notes_csv, write_notes_midi
    from at4ramt.transcription.transcribe import TranscriptionSettings, transcribe_file

    settings = TranscriptionSettings(
        threshold=options.threshold, refine_onsets=not options.no_refine
    )
    if not options.quiet:
        _say(f"run by {model.runtime}, threshold {settings.rule(model).threshold:g}")
    bar = _Progress(sys.stderr.isatty() and not options.quiet)
    notes = transcribe_file(options.audio, model, settings, bar.show)
    bar.clear()
    write_notes_midi(options.midi, notes, options.audio.stem)
    if options.notes:
        write_notes_csv(options.notes, notes)
    if options.roll:
        plot_roll(
            options.roll,
            notes,
            seconds=seconds,
            lowest_pitch=model.features.lowest_pitch,
            pitches=model.features.pitches,
            title=options.audio.name,
        )
    if not options.quiet:
        _say(f"{options.midi}: {len(notes)} notes, in {time.monotonic() - began:.0f} s")


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse what would fail, or overwrite something else, after minutes of work."""
    wanted = (
        ("-o", options.midi, MIDI_SUFFIXES),
        ("--notes", options.notes, TABLE_SUFFIXES),
        ("--roll", options.roll, PICTURE_SUFFIXES),
    )
    for option, path, suffixes in wanted:
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise InputError(
                f"{option} {path}: expected a name that ends in {' or '.join(suffixes)}; "
                f"name it {path.with_suffix(suffixes[0]).name}"
            )
        if path.is_dir():
            raise InputError(f"{option} {path}: this is a folder; name a file in it")
        if not path.parent.is_dir():
            raise InputError(f"{option} {path}: there is no folder {path.parent}; make it first")
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"{option} {path}: {path.parent} is read-only; name another folder")


def _model_to_use(named: Path | None) -> Path:
    if named is None:
        return CLONE / SHIPPED_MODEL
    if not named.is_dir():
        return named
    from at4ramt.transcription.models import find_model

    found = find_model(named)
    if found is None:
        raise InputError(
            f"--model {named}: no trained model in {named}/models; name the folder results of a "
            "run that has trained one, a .keras or an .onnx file"
        )
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _refused(text: str) -> int:
    # One line, whatever a library put into its message.
    _say(f"at4ramt: {' '.join(text.split())}")
    return 2


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class _Progress:
    """One line of the terminal, written over again and again."""

    def __init__(self, live: bool) -> None:
        self._live = live
        self._began = time.monotonic()

    def show(self, done: float, total: float) -> None:
        if self._live:
            left = (time.monotonic() - self._began) * (total / max(done, 1e-9) - 1)
            text = f"{done / total:4.0%}, {_clock(done)} of {_clock(total)}, {_clock(left)} left"
            print(f"\r{text} ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def _libraries_silenced() -> Iterator[None]:
    """Let TensorFlow's C++ say nothing: it greets each start with six lines of its own."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


if __name__ == "__main__":
    sys.exit(main())
