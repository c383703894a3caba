"""Checks of an LSF site: what Snakemake's plugin for it needs, and what the profile names."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from at4ramt.cluster.site import Answer, Check, Finding, Site, ask, commands_present
from at4ramt.errors import suggestion

PLACEHOLDER_PROJECT = "at4ramt"


def commands(site: Site) -> Finding:
    """The commands that the plugin calls."""
    return commands_present(
        ("bsub", "bjobs", "bkill", "badmin", "lsclusters"),
        "log in to a submission host, or source LSF's profile.lsf in your shell's start-up file",
    )


def shell(site: Site) -> Finding:
    """Nothing keeps bsub from printing the job's number, which the plugin reads."""
    if "BSUB_QUIET" in os.environ:
        return Finding(
            "wrong",
            "BSUB_QUIET is set: the plugin cannot read the numbers of its jobs",
            "unset BSUB_QUIET, also in your shell's start-up file",
        )
    return Finding("ok", "BSUB_QUIET is not set")


def awk(site: Site) -> Finding:
    """The plugin reads the event log with an awk program that only GNU awk understands."""
    if "GNU Awk" in ask("awk", "--version").output:
        return Finding("ok", "awk is GNU awk")
    return Finding(
        "warning",
        "awk is not GNU awk: jobs that bjobs has forgotten are not found in the event log",
        "put a link named awk to gawk into a folder at the front of PATH",
    )


def configuration(site: Site) -> Finding:
    """The plugin reads the cluster's set-up when it starts, and ends with a traceback if not."""
    mend = "ask your site's support for this: the plugin does not start without it"
    try:
        _, parameters, events = _configuration()
        parameters.read_text(encoding="utf-8", errors="replace")
    except (LookupError, OSError) as error:
        return Finding("wrong", str(error), mend)
    if not os.access(events, os.R_OK):
        return Finding(
            "warning",
            f"{events} cannot be read: a job that bjobs forgets before it was seen is waited for",
            "lower seconds-between-status-checks if jobs are reported as missing",
        )
    return Finding("ok", f"badmin, lsclusters, {parameters} and {events.name} can be read")


def status(site: Site) -> Finding:
    """LSF's bjobs takes the options with which the plugin asks for its jobs."""
    answer = ask("bjobs", "-noheader", "-o", "jobid stat", "-aJ", "*at4ramt-check*")
    if answer.status == 0 or re.search(r"\bfound\b", answer.error):
        return Finding("ok", "bjobs takes -noheader, -o and -aJ")
    return Finding(
        "wrong",
        f"bjobs -noheader -o 'jobid stat' -aJ '*…*' fails: {answer.why}",
        "the plugin needs the bjobs of LSF 9.1.3 or newer, and a master daemon that answers",
    )


def project(site: Site) -> Finding:
    """Each rule is charged to a project, and to one of yours."""
    names = sorted(site.longest("lsf_project"))
    if "" in names:
        return Finding(
            "warning",
            "lsf_project is not set for every rule: the plugin guesses it with a slow bhist",
            f"set {site.at('lsf_project')} under default-resources",
        )
    unquoted = [name for name in names if shlex.quote(name) != name]
    if unquoted:
        return Finding(
            "wrong",
            f"lsf_project {unquoted[0]!r} reaches the shell without quotes",
            f'edit {site.at("lsf_project", unquoted[0])}: "{shlex.quote(unquoted[0])}"',
        )
    if PLACEHOLDER_PROJECT in names:
        return Finding(
            "warning",
            f"lsf_project is still {PLACEHOLDER_PROJECT}, the repository's",
            f"edit {site.at('lsf_project', PLACEHOLDER_PROJECT)}: your share, if your site has any",
        )
    return Finding("ok", f"jobs are charged to {', '.join(names)}")


def queues(site: Site) -> Finding:
    """Each queue exists, is open, and admits the run times of its rules."""
    listed = ask("bqueues", "-w")
    if listed.status:
        return Finding("warning", f"queues could not be looked up: {listed.why}")
    rows = [line.split() for line in listed.output.splitlines()[1:]]
    states = {row[0]: row[2] for row in rows if len(row) > 2}
    asked = site.longest("lsf_queue")
    if unknown := [queue for queue in asked if queue and queue not in states]:
        return Finding(
            "wrong",
            f"there is no queue {' and no '.join(unknown)}, but {', '.join(sorted(states))}",
            "edit " + " and ".join(site.at("lsf_queue", queue) for queue in unknown),
        )
    for queue, needed in asked.items():
        mend = f"edit {site.at('lsf_queue', queue)}"
        if not queue:
            return Finding(
                "warning", "lsf_queue is not set for every rule: LSF's default is taken", mend
            )
        if states[queue] != "Open:Active":
            return Finding("warning", f"queue {queue} is {states[queue]}: jobs wait or fail", mend)
        limit = _run_limit(ask("bqueues", "-l", queue))
        if limit is not None and limit < needed:
            return Finding(
                "wrong",
                f"queue {queue} ends jobs after {limit:g} minutes; the rules in it ask {needed}",
                f"{mend}, or set a shorter runtime for these rules under set-resources",
            )
    return Finding("ok", f"{', '.join(asked)}: open, and long enough")


def gpu(site: Site) -> Finding:
    """LSF is asked for a GPU by every rule that wants one, in words that it knows."""
    for rule, resources in site.gpu_rules.items():
        extra = str(resources.get("lsf_extra", ""))
        mend = f"edit {site.at('lsf_extra')} (rule {rule})"
        try:
            words = shlex.split(extra)
        except ValueError as error:
            return Finding("wrong", f"lsf_extra {extra!r} is no shell text: {error}", mend)
        if "-gpu" in words:
            hosts = ask("bhosts", "-gpu")
            if hosts.status or len(hosts.output.splitlines()) < 2:
                return Finding("warning", f"bhosts -gpu shows no GPU: {hosts.why}", mend)
            continue
        wanted = _resource_names(words)
        if not wanted:
            return Finding(
                "warning",
                f"{rule} wants a GPU and its lsf_extra asks LSF for none",
                f"{mend}: '-R \"rusage[ngpus_excl_p=1]\"' or '-gpu num=1'",
            )
        listed = ask("lsinfo", "-r")
        if listed.status:
            return Finding("warning", f"resources could not be looked up: {listed.why}")
        known = {line.split()[0] for line in listed.output.splitlines() if line.strip()}
        if unknown := [name for name in wanted if name not in known]:
            return Finding(
                "wrong",
                f"LSF knows no resource {unknown[0]}.{suggestion(unknown[0], known)}",
                f"{mend}: lsinfo -r lists what there is; LSF 10.1.0.3 and newer take -gpu num=1",
            )
    return Finding("ok", f"LSF knows what {', '.join(site.gpu_rules)} ask for a GPU with")


def memory(site: Site) -> Finding:
    """Memory is stated per core or per job, as the site takes it."""
    stated = os.environ.get("SNAKEMAKE_LSF_MEMFMT", "percpu").lower()
    if stated not in ("percpu", "perjob"):
        return Finding(
            "wrong",
            f"SNAKEMAKE_LSF_MEMFMT is {stated!r}; the plugin knows percpu and perjob",
            "export SNAKEMAKE_LSF_MEMFMT=perjob, or unset it for percpu",
        )
    try:
        settings, parameters, _ = _configuration()
        text = parameters.read_text(encoding="utf-8", errors="replace")
    except (LookupError, OSError):
        return Finding("warning", f"memory is stated {stated}; lsb.params does not say if rightly")
    # PER_SLOT is the name that it had before LSF 10.1.
    per_core = re.search(r"(?im)^\s*RESOURCE_RESERVE_PER_(TASK|SLOT)\s*=\s*Y", text)
    taken = "percpu" if per_core else "perjob"
    if taken != stated:
        return Finding(
            "warning",
            f"memory is stated {stated}, and {parameters} sounds like {taken}",
            "unset SNAKEMAKE_LSF_MEMFMT" if per_core else "export SNAKEMAKE_LSF_MEMFMT=perjob",
        )
    unit = settings.get("LSF_UNIT_FOR_LIMITS", "MB")
    return Finding("ok", f"memory is stated {stated} and in {unit}, as in {parameters}")


CHECKS: Sequence[Check] = (
    commands, shell, awk, configuration, status, project, queues, gpu, memory,
)  # fmt: skip


def _configuration() -> tuple[dict[str, str], Path, Path]:
    """Return lsf.conf's settings, lsb.params and lsb.events, found in the plugin's own way.

    Raises:
        LookupError: where the plugin would end with a traceback.
    """
    shown = ask("badmin", "showconf", "mbd")
    settings = {}
    for line in shown.output.strip().splitlines()[1:]:
        key, equals, value = line.strip().partition(" = ")
        if not equals:
            raise LookupError(f"badmin showconf mbd has the line {line!r}, which has no value")
        settings[key] = value
    for key in ("LSB_SHAREDIR", "LSF_CONFDIR"):
        if key not in settings:
            raise LookupError(f"badmin showconf mbd does not say {key}: {shown.why}")
    clusters = ask("lsclusters")
    rows = clusters.output.splitlines()
    if len(rows) < 2 or not rows[1].strip():
        raise LookupError(f"lsclusters names no cluster: {clusters.why}")
    cluster = rows[1].split()[0]
    return (
        settings,
        Path(settings["LSF_CONFDIR"], "lsbatch", cluster, "configdir", "lsb.params"),
        Path(settings["LSB_SHAREDIR"], cluster, "logdir", "lsb.events"),
    )


def _run_limit(queue: Answer) -> float | None:
    """Return the longest run time, in minutes, that ``bqueues -l`` shows; None if it shows none."""
    # A default limit, which is shown first, is only for jobs that state none.
    text = re.sub(r"DEFAULT LIMITS:.*?(?=^[A-Z /]+:|\Z)", "", queue.output, flags=re.M | re.S)
    limit = re.search(r"^\s*RUNLIMIT\s*\n\s*([\d.]+) min", text, re.MULTILINE)
    return float(limit[1]) if limit else None


def _resource_names(words: Sequence[str]) -> list[str]:
    """Return the names that stand in rusage[…] and select[…] of bsub's options."""
    sections = re.findall(r"(?:rusage|select)\[([^]]*)]", " ".join(words))
    return re.findall(r"([A-Za-z]\w*)\s*[<>=!]", " ".join(sections))
