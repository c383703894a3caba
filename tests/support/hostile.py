"""Names that a shell, a queue, Snakemake or a page would take for something else."""

from __future__ import annotations

from pathlib import Path

import soundfile
from support.replicas import music, sound, write_midi, write_txt

CANARY = "canary"
"""A command hidden in a name makes a file whose name begins so."""

SHELL_NAMES = (
    "$(touch canary_1)",
    "it's $(touch canary_2)",
    'a "$(touch canary_3)", b=`touch canary_4`',
    "`touch canary_5`",
    "; touch canary_6; #",
    "' ; touch canary_7 ; '",
    '" ; touch canary_8 ; "',
    "x && touch canary_9 || touch canary_10 & touch canary_11 &",
    "a > canary_12",
    "| tee canary_13",
    "\\\\$(touch canary_14)",
    "--config -J $(touch canary_15)",
    "-rf canary",
    "étude – 日本 ! ~ * ? [a-z] %J $HOME",
)
"""Of a recording, or of a folder of recordings."""

UNUSABLE_NAMES = ("two\nlines", "take {1}", "{input}", "a bell\a", "right \u202e to left")
"""Names that nothing is made of: they are told, and their files left alone."""

PAGE_NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "</td></table><script src=//evil.example/x.js></script>",
    "]]>--><!-- &amp; &lt;script&gt;",
    "`a <javascript:alert(1)>`_ |b| **c** :raw-html:`<b>`",
)
"""What a page would run or load if it were put into it as it is."""


def hostile_folder(folder: Path, names: tuple[str, ...], seconds: float = 1.5) -> Path:
    """Write a recording with notes for each name, every third in a folder that is called so too."""
    for number, name in enumerate(names):
        home = folder / name if number % 3 == 1 else folder
        home.mkdir(parents=True, exist_ok=True)
        played = music(name, seconds)
        soundfile.write(home / f"{name}.wav", sound(played, seconds, 16_000)[:, 0], 16_000)
        if number % 2:
            write_midi(home / f"{name}.mid", played)
        else:
            write_txt(home / f"{name}.txt", played)
    return folder


def canaries(folder: Path) -> list[Path]:
    """Return what commands hidden in names have made below a folder."""
    return list(folder.rglob(f"{CANARY}*"))
