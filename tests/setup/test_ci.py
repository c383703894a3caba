"""In continuous integration what is missing is installed (.ci/run) and a test that does not run
is a failure (tests/conftest.py)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "tests" / "conftest.py").read_text()
RUNS = "\ndef test_that_runs():\n    pass\n"


@pytest.fixture
def folder(pytester):
    pytester.makeconftest(RULES)
    pytester.makeini("[pytest]")
    return pytester


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("def test_a():\n    pytest.skip('no browser')", []),
        ("@pytest.mark.skipif(True, reason='no browser')\ndef test_a():\n    pass", []),
        ("@pytest.mark.xfail\ndef test_a():\n    assert False", []),
        ("pytest.importorskip('a_module_that_is_not_there')", []),
        ("def test_a():\n    pass", ["-k", "runs"]),
    ],
    ids=["skip", "skipif", "xfail", "importorskip", "deselected"],
)
def test_what_does_not_run_fails_in_ci_and_nowhere_else(folder, monkeypatch, source, arguments):
    folder.makepyfile("import pytest\n" + source + RUNS)
    monkeypatch.setenv("CI", "true")
    strict = folder.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)
    assert strict.ret != pytest.ExitCode.OK
    assert "every test must run" in strict.stdout.str()
    monkeypatch.setenv("CI", "")
    lenient = folder.runpytest_inprocess("-p", "no:hypothesispytest", *arguments)
    assert lenient.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def test_what_runs_passes_in_ci(folder, monkeypatch):
    folder.makepyfile(RUNS)
    monkeypatch.setenv("CI", "true")
    done = folder.runpytest_inprocess("-p", "no:hypothesispytest")
    assert done.ret == pytest.ExitCode.OK
    done.assert_outcomes(passed=1)


NEEDED = ["chromium", "de_DE", "gawk", "git", "make", "munged", "python3", "slurmctld", "slurmd"]


@pytest.mark.parametrize(
    ("missing", "packages"),
    [
        ([], None),
        (["chromium", "gawk"], {"chromium", "gawk"}),
        (["slurmctld", "slurmd", "munged"], {"slurm-wlm", "munge"}),
        (["slurmd"], {"slurm-wlm"}),
        (["python3"], {"python3", "python3-venv"}),
        (["de_DE"], {"locales"}),
    ],
    ids=["nothing", "browser", "slurm", "half a slurm", "python", "locale"],
)
def test_what_the_tests_need_is_installed_before_they_run(tmp_path, missing, packages):
    said = ran(tmp_path, missing, {"make": "echo make $*"})
    assert said[-1] == "make test"
    announced = [line for line in said if line.startswith("ci: installing ")]
    assert [set(line.split()[2:]) for line in announced] == ([packages] if packages else [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTEST_ARGS", "-k nothing"),
        ("MAKEFLAGS", "n"),
        ("MAKEFLAGS", " -- PYTEST_ARGS=nothing"),
        ("GNUMAKEFLAGS", "-n"),
        ("MAKEFILES", "other.mk"),
    ],
)
def test_no_variable_leaves_out_a_test(tmp_path, name, value):
    """Make itself is asked, with a Makefile that says what it would hand to pytest."""
    (tmp_path / "Makefile").write_text("test:\n\t@echo tests: $(PYTEST_ARGS);\n")
    (tmp_path / "other.mk").write_text("PYTEST_ARGS = nothing\n")
    make = f'exec {shutil.which("make")} "$@"'
    assert ran(tmp_path, [], {"make": make}, **{name: value})[-1] == "tests:"


def ran(folder: Path, missing: list[str], stubs: dict[str, str], **variables: str) -> list[str]:
    """Run .ci/run in a folder where some commands are missing; return the lines it printed."""
    commands = folder / "bin"
    commands.mkdir()
    for name in ("bash", "dirname", "id", "mkdir", "mktemp", "rm", "tail"):
        (commands / name).symlink_to(shutil.which(name))
    stubs = dict.fromkeys(set(NEEDED) - set(missing), "") | stubs
    stubs |= {"apt-get": "echo apt-get $* >&2", "sudo": 'shift; "$@"'}
    for name, script in stubs.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)

    script = folder / ".ci" / "run"
    script.parent.mkdir()
    # Not this machine's daemons and locales.
    text = (ROOT / ".ci" / "run").read_text()
    for place in ("/usr/sbin", "/usr/share/i18n/locales"):
        assert place in text
        text = text.replace(place, str(commands))
    script.write_text(text)
    done = subprocess.run(
        [commands / "bash", script],
        env={"PATH": str(commands), "HOME": str(folder)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()
