"""Questions that a job puts to Snakemake itself: the report and the rule graph.

Snakemake offers both on its command line only. A job may ask for them while
the main process runs, provided that it takes no lock and starts nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from at4ramt.files import PACKAGE, whole_file

SNAKEFILE = PACKAGE.parents[1] / "Snakefile"


def ask_snakemake(
    arguments: Sequence[str], config: Mapping[str, Any], snakefile: str | Path = SNAKEFILE
) -> tuple[str, str]:
    """Run Snakemake on our Snakefile with exactly ``config``; return standard output and error.

    Profiles are left out: they concern how jobs run, and none runs here. Raises
    RuntimeError with what Snakemake said when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "config.json"
        values.write_text(json.dumps(dict(config)), encoding="utf-8")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "snakemake",
                *arguments,
                "--snakefile",
                str(snakefile),
                "--configfile",
                str(values),
                "--nolock",
                "--cores",
                "1",
                "--profile",
                "none",
                "--workflow-profile",
                "none",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(
            f"snakemake {' '.join(arguments)} ended with status {done.returncode}:\n"
            f"{done.stderr[-4000:]}{done.stdout[-2000:]}"
        )
    return done.stdout, done.stderr


def write_report(
    path: str | Path,
    target: str,
    config: Mapping[str, Any],
    stylesheet: str | Path,
    snakefile: str | Path = SNAKEFILE,
) -> str:
    """Write Snakemake's report about the finished ``target``; return what Snakemake said."""
    with whole_file(path) as temporary:
        said = ask_snakemake(
            [target, "--report", str(temporary.resolve()), "--report-stylesheet", str(stylesheet)],
            config,
            snakefile,
        )
    return said[1]


def rule_graph(target: str, config: Mapping[str, Any], snakefile: str | Path = SNAKEFILE) -> str:
    """Return the rule graph of ``target`` in the DOT language."""
    return ask_snakemake([target, "--rulegraph", "dot"], config, snakefile)[0]
