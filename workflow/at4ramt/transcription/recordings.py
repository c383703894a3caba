"""The recordings that `snakemake transcribe` is asked for, by name."""

from __future__ import annotations

from pathlib import Path

from at4ramt.corpus.layout import AUDIO_SUFFIXES
from at4ramt.errors import InputError


def find_recordings(folder: str | Path, audio: str | None = None) -> dict[str, str]:
    """Return the path of each recording to transcribe, by the name of its transcription.

    Args:
        folder: folder whose recordings are meant; folders within it are not.
        audio: a single recording, which is meant instead.

    Raises:
        InputError: if there is no such folder or recording, none in the folder, two that
            differ only in their suffix, or one with a brace in its path.
    """
    if audio is not None:
        if not Path(audio).is_file():
            raise InputError(
                f"{audio}: no such recording; expected the path of an audio file, from here "
                f"({Path.cwd()}) or absolute. Correct --config audio=…"
            )
        _check_braces(audio)
        return {Path(audio).stem: audio}
    found: dict[str, str] = {}
    files = sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []
    for path in files:
        if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            continue
        _check_braces(path)
        if path.stem in found:
            raise InputError(
                f"{path}: its transcription would have the name of that of {found[path.stem]}; "
                "expected one recording of a name. Rename one of them."
            )
        found[path.stem] = str(path)
    if not found:
        raise InputError(
            f"{folder}: no recording ({', '.join(sorted(AUDIO_SUFFIXES))}) is there; put some into "
            "that folder, name another in the config key transcription.input, or a single one "
            "with --config audio=song.wav"
        )
    return found


def _check_braces(path: str | Path) -> None:
    # Snakemake has no way to tell such a name from a wildcard.
    if {"{", "}"} & set(str(path)):
        raise InputError(
            f"{path}: Snakemake takes what is in braces for a wildcard; expected a path without "
            "them. Rename it, or use the command `at4ramt transcribe`, which takes any name"
        )
