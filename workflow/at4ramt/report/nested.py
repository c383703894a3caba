"""Questions that a job puts to Snakemake itself: the report and the rule graph.

Snakemake offers both on its command line only. A job may ask for them while
the main process runs, provided that it takes no lock and starts nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from at4ramt.errors import InputError, remedy
from at4ramt.files import PACKAGE, whole_file

SNAKEFILE = PACKAGE.parents[1] / "Snakefile"

# Values as Snakemake's template writes them: JSON on one line, inside an element `script`.
_VALUE = re.compile(
    r"(?m)^([ \t]*var (?:workflow_desc|results|categories|rulegraph_spec|runtimes_spec"
    r"|timeline_spec|rules|packages|metadata) = )([\[{\"].*)$"
)


def ask_snakemake(
    arguments: Sequence[str],
    config: Mapping[str, Any],
    log: str | Path,
    snakefile: str | Path = SNAKEFILE,
) -> str:
    """Run Snakemake on our Snakefile with exactly ``config``; return its standard output.

    Its standard error goes to ``log``. Profiles are left out: they concern how
    jobs run, and none runs here. Raises RuntimeError with the end of what
    Snakemake said when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "config.json"
        values.write_text(json.dumps(dict(config)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", *arguments]
        command += ["--snakefile", str(snakefile), "--configfile", str(values), "--nolock"]
        command += ["--cores", "1", "--profile", "none", "--workflow-profile", "none"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    Path(log).write_text(done.stderr, encoding="utf-8")
    if done.returncode != 0:
        raise RuntimeError(
            f"snakemake {' '.join(arguments)} ended with status {done.returncode}:\n"
            f"{done.stderr[-4000:]}{done.stdout[-2000:]}"
        )
    return done.stdout


def write_report(
    path: str | Path,
    target: str,
    config: Mapping[str, Any],
    log: str | Path,
    stylesheet: str | Path,
    snakefile: str | Path = SNAKEFILE,
) -> None:
    """Write Snakemake's report about the finished ``target``, and to ``log`` what it said."""
    with _explained(), whole_file(path) as temporary:
        arguments = [target, "--report", str(temporary.absolute())]
        # Snakemake 9.27 has --report-html-stylesheet-path too, and overwrites it.
        arguments += ["--report-stylesheet", str(stylesheet)]
        ask_snakemake(arguments, config, log, snakefile)
        page = temporary.read_text(encoding="utf-8")
        temporary.write_text(closed_scripts(page), encoding="utf-8")


def closed_scripts(page: str) -> str:
    r"""Return Snakemake's report with values that cannot end the script they stand in.

    Snakemake writes paths, parameters and captions into scripts as JSON, in which ``</script>`` is
    a string like any other. A browser looks for the end of a script before it reads strings, and
    would take the rest of a label, or of a recording's path, for HTML. In JSON ``<\/`` is ``</``
    and ``\u003c`` is ``<``.
    """

    def close(value: re.Match[str]) -> str:
        return value[1] + value[2].replace("</", "<\\/").replace("<!", "\\u003c!")

    return _VALUE.sub(close, page)


def write_rule_graph(
    path: str | Path,
    target: str,
    config: Mapping[str, Any],
    log: str | Path,
    snakefile: str | Path = SNAKEFILE,
) -> None:
    """Write the rule graph of ``target`` in the DOT language, and to ``log`` what was said."""
    with _explained():
        graph = ask_snakemake([target, "--rulegraph", "dot"], config, log, snakefile)
        with whole_file(path) as temporary:
            temporary.write_text(in_order(graph), encoding="utf-8")


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where the system refused to read or write: these jobs have no log of ours."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if message := remedy(error):
            raise InputError(message) from error
        raise


def in_order(graph: str) -> str:
    """Return a rule graph with its nodes and edges in the order of the rules' names.

    Snakemake's own order differs from one run to the next.
    """
    node, edge = re.compile(r"\s*(\d+)(\[.*)"), re.compile(r"\s*(\d+) -> (\d+)\s*")
    head, nodes, edges = [], [], []
    for line in graph.strip().splitlines()[:-1]:
        if found := node.fullmatch(line):
            nodes.append((found[2], found[1]))
        elif found := edge.fullmatch(line):
            edges.append(found.groups())
        else:
            head.append(line)
    nodes.sort()
    number = {old: new for new, (_, old) in enumerate(nodes)}
    body = [f"\t{new}{label}" for new, (label, _) in enumerate(nodes)]
    body += [f"\t{a} -> {b}" for a, b in sorted((number[a], number[b]) for a, b in edges)]
    return "\n".join([*head, *body, "}"]) + "\n"
