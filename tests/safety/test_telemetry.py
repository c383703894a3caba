"""What we run tells nobody: ONNX Runtime notes what it runs and sends it, unless told not to.

Events lie in a data base under the home folder, with a number for the machine; a session's name in
the temporary folder. Where it takes its surroundings for a CI it leaves it, and these are none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peer" / "bin" / "python"
SIGNS_OF_A_CI = ("CI", "BUILD", "GITHUB_", "JENKINS", "RUNNER_", "TF_BUILD", "PYTEST")
TRANSCRIBE = """
import sys
from at4ramt.cli import main
sys.exit(main(["transcribe", "song.wav", "-o", "song.mid", "--quiet"]))
"""
ASK_THE_PEER = """
import numpy as np
from at4ramt.evaluation.peer_basic_pitch import BasicPitch
(*parts,) = BasicPitch(1).parts([np.zeros(22_050, np.float32)])
assert parts
"""


@pytest.mark.parametrize(
    ("python", "code"), [(sys.executable, TRANSCRIBE), (PEER_PYTHON, ASK_THE_PEER)],
    ids=["our models", "basic-pitch"],
)  # fmt: skip
def test_running_a_model_leaves_nothing_to_be_sent(
    tmp_path: Path, python: str | Path, code: str
) -> None:
    assert Path(python).exists(), f"{python} is missing: make setup-test makes it"
    work, places = tmp_path / "work", {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp"}
    for folder in (work, *places.values()):
        folder.mkdir()
    seconds = np.arange(22_050) / 22_050
    soundfile.write(work / "song.wav", 0.3 * np.sin(2 * np.pi * 440 * seconds), 22_050)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*SIGNS_OF_A_CI, "XDG_", "ORT_"))
    }
    environment = {**kept, **places, "PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([python, "-s", "-c", code], cwd=work, env=environment, check=True)
    left = [path for place in places.values() for path in place.rglob("*") if path.is_file()]
    assert left == []
