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


# Of our own file, without our package: what the test below looks for has to be there.
UNTOLD = f"""
import onnxruntime
onnxruntime.InferenceSession({str(ROOT / "models/robust/seed_0/round_01.onnx")!r})
"""


def left_by(python: str | Path, code: str, folder: Path, **more: str) -> list[Path]:
    """Run code in an environment of its own; return the files that it left where nobody asked."""
    work, places = folder / "work", {"HOME": folder / "home", "TMPDIR": folder / "tmp"}
    for each in (work, *places.values()):
        each.mkdir()
    seconds = np.arange(22_050) / 22_050
    soundfile.write(work / "song.wav", 0.3 * np.sin(2 * np.pi * 440 * seconds), 22_050)
    environment = {"PATH": os.environ["PATH"], **{k: str(v) for k, v in places.items()}, **more}
    subprocess.run([python, "-s", "-c", code], cwd=work, env=environment, check=True)
    return [path for place in places.values() for path in place.rglob("*") if path.is_file()]


def test_without_us_something_is_left_to_be_sent(tmp_path: Path) -> None:
    # Where it would be sent, nobody listens.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    assert left_by(sys.executable, UNTOLD, tmp_path, **nowhere) != []


@pytest.mark.parametrize(
    ("python", "code"), [(sys.executable, TRANSCRIBE), (PEER_PYTHON, ASK_THE_PEER)],
    ids=["our models", "basic-pitch"],
)  # fmt: skip
def test_running_a_model_leaves_nothing_to_be_sent(
    tmp_path: Path, python: str | Path, code: str
) -> None:
    assert Path(python).exists(), f"{python} is missing: make setup-test makes it"
    assert left_by(python, code, tmp_path, PYTHONPATH=str(ROOT / "workflow")) == []
