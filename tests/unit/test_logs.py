"""What a job says at its end: one line where somebody can mend it, a traceback where not."""

import os
import subprocess
import sys

import pytest

from at4ramt.files import PACKAGE


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "open('/dev/full', 'w', buffering=1).write('line' * 9999)",
            ["[Errno 28] No space left on device", "free space, then run the same command again"],
        ),
        ("open('/proc/self/mem', 'rb').read(1)", ["Input/output error", "check the disk"]),
        ("raise RuntimeError('h5: Disk quota exceeded')", ["Disk quota exceeded", "larger quota"]),
        ("raise InputError('a.csv, row 2: mend it')", ["a.csv, row 2: mend it"]),
    ],
    ids=["full", "unreadable", "library", "input"],
)
def test_what_can_be_mended_is_one_line_in_the_terminal(tmp_path, statement, said):
    terminal, log = ended(tmp_path, statement)
    assert terminal.startswith("[plot] ERROR: ") and terminal.count("\n") == 1
    assert "Traceback" in log
    for words in said:
        assert words in terminal and words in log


def test_a_mistake_of_ours_has_its_traceback_in_the_terminal(tmp_path):
    terminal, log = ended(tmp_path, "{}['key']")
    assert "Traceback" in terminal and "Traceback" in log


def ended(folder, statement):
    """Return what a job that ends in a statement says in the terminal and in its log."""
    job = "from at4ramt.errors import InputError\nfrom at4ramt.logs import start_log\n"
    job += f"start_log('job.log', 'plot')\n{statement}\n"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", job], cwd=folder, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 1
    return done.stderr, (folder / "job.log").read_text(encoding="utf-8")
