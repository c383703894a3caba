"""Rules for every test: in continuous integration nothing may be left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the clone."""
    return ROOT


@pytest.fixture(scope="session")
def keras_started() -> None:
    """Start Keras as the workflow does: once a process, before a test uses it by itself."""
    from at4ramt.training.backend import start_backend

    start_backend(1, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skipped or expectedly failed test into a failed one where CI is set."""
    report = yield
    if _in_ci() and report.skipped:
        kind = "expected to fail" if hasattr(report, "wasxfail") else "skipped"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{kind} in CI, where every test must run: {reason}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Turn a module that skips itself while it is read into an error where CI is set."""
    report = yield
    if _in_ci() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped in CI, where every test must run"
    return report


def pytest_sessionfinish(session, exitstatus):
    """Fail a run in CI that left tests out by name, or had none."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    left_out = len(reporter.stats.get("deselected", [])) if reporter else 0
    if _in_ci() and exitstatus == 0 and (left_out or session.testscollected == 0):
        reporter.write_line("")
        reporter.write_line(f"{left_out} tests left out in CI, where every test must run")
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
