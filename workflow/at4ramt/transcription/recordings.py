"""The recordings that `snakemake transcribe` is asked for, by name."""

from __future__ import annotations

from pathlib import Path

from at4ramt.corpus.layout import (
    ACTIVE_SIGNS,
    AUDIO_SUFFIXES,
    BRACES,
    is_printable,
    piece_names,
    same_name,
)
from at4ramt.errors import InputError


def find_recordings(folder: str | Path, audio: str | None = None) -> dict[str, str]:
    """Return the path of each recording to transcribe, by the name of its transcription.

    That name is the recording's own if it consists of letters, digits and ``_.-``. Any other is
    made plain and gets ten digits of its digest, as pieces of a corpus do: it becomes part of
    paths, of jobs' names and of the command lines by which they are submitted.

    Args:
        folder: folder whose recordings are meant; folders within it are not.
        audio: a single recording, which is meant instead.

    Raises:
        InputError: if there is no such folder or recording, none in the folder, two that
            differ only in their suffix, or one whose path cannot be used.
    """
    if audio is not None:
        if not Path(audio).is_file():
            raise InputError(
                f"{audio}: no such recording; expected the path of an audio file, from here "
                f"({Path.cwd()}) or absolute. Correct --config audio=…"
            )
        _check_path(audio)
        # What is said by --config stands in each job's command line: harmless_path.
        if signs := sorted(ACTIVE_SIGNS & set(audio)):
            raise InputError(
                f"{audio}: a shell would act on {' '.join(signs)} in this path, in the command "
                "line of a job; expected a path without quotes, $, ` and backslashes. Put the "
                "file into the folder transcription.input, where any name will do, or use the "
                "command `at4ramt transcribe`"
            )
        return _by_plain_name({Path(audio).stem: audio})
    found: dict[str, str] = {}
    files = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    for path in files:
        if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            continue
        _check_path(path)
        stem = same_name(path.stem)
        if stem in found:
            raise InputError(
                f"{path}: its transcription would have the name of that of {found[stem]}; "
                "expected one recording of a name. Rename one of them."
            )
        found[stem] = str(path)
    if not found:
        raise InputError(
            f"{folder}: no recording ({', '.join(sorted(AUDIO_SUFFIXES))}) is there; put some into "
            "that folder, name another in the config key transcription.input, or a single one "
            "with --config audio=song.wav"
        )
    return _by_plain_name(found)


def _by_plain_name(found: dict[str, str]) -> dict[str, str]:
    return dict(zip(piece_names(found), found.values(), strict=True))


def _check_path(path: str | Path) -> None:
    if not is_printable(str(path)):
        raise InputError(
            f"{str(path)!r}: expected a name of printable characters in UTF-8. Rename the file"
        )
    if BRACES & set(str(path)):
        raise InputError(
            f"{path}: Snakemake takes what is in braces for a wildcard; expected a path without "
            "them. Rename it, or use the command `at4ramt transcribe`, which takes any name"
        )
