"""In continuous integration a test that does not run is a failure (tests/conftest.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

RULES = (Path(__file__).resolve().parents[1] / "conftest.py").read_text()
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
