"""Checks of a Slurm site: what Snakemake's plugin for it needs, and what the profile names."""

from __future__ import annotations

import getpass
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

from at4ramt.cluster.site import Answer, Check, Finding, Site, ask, commands_present
from at4ramt.errors import suggestion

# Below it squeue may have forgotten a job before it was looked for: the plugin's own bound.
SHORTEST_JOB_AGE_SECONDS = 120


@dataclass
class _Partition:
    """One partition, as sinfo shows it."""

    state: str
    limit_minutes: float
    resources: set[str] = field(default_factory=set)


def commands(site: Site) -> Finding:
    """The commands that the plugin calls."""
    return commands_present(
        ("sbatch", "squeue", "scancel", "sinfo", "scontrol"),
        "log in to a submission host, or load your site's Slurm module",
    )


def status(site: Site) -> Finding:
    """There is a way to ask how a job ended."""
    key = "slurm-status-command"
    chosen = site.settings.get(key) or ("sacct" if shutil.which("sacct") else "squeue")
    if chosen == "sacct":
        answer = ask("sacct", "-n", "-X", "--name", "at4ramt-check")
        if answer.status:
            return Finding(
                "wrong", f"sacct fails: {answer.why}", f"set {key}: squeue in {site.profile}"
            )
        return Finding("ok", "sacct answers")
    shown = re.search(r"^MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config").output, re.M)
    seconds = int(shown[1]) if shown else 0
    if seconds < SHORTEST_JOB_AGE_SECONDS:
        return Finding(
            "warning",
            f"squeue forgets jobs after {seconds} s (MinJobAge); the plugin looks later than that",
            f"set {site.at(key)} to sacct, or slurm-init-seconds-before-status-checks: 5",
        )
    return Finding("ok", f"squeue answers, and knows ended jobs for {seconds} s")


def account(site: Site) -> Finding:
    """The account is one of yours."""
    chosen = {
        name for value in site.longest("slurm_account") for name in re.split(r"[,\s]+", value)
    }
    chosen.discard("")
    if site.settings.get("slurm-no-account") or not chosen:
        return Finding("ok", "no slurm_account is set: Slurm takes your default")
    listed = ask("sacctmgr", "-n", "-s", "list", "user", getpass.getuser(), "format=account%256")
    if listed.status or not listed.output.strip():
        listed = ask("sshare", "-U", "--noheader", "--format", "Account%256")
    if listed.status:
        return Finding(
            "wrong",
            f"slurm_account is set, and neither sacctmgr nor sshare answers: {listed.why}",
            f"remove {site.at('slurm_account')}: the plugin refuses what it cannot look up",
        )
    yours = {name.lower() for name in listed.output.split()}
    if yours and (strange := sorted(name for name in chosen if name.lower() not in yours)):
        return Finding(
            "wrong",
            f"slurm_account {strange[0]} is not yours.{suggestion(strange[0], yours)} "
            f"You have {', '.join(sorted(yours))}",
            f"edit {site.at('slurm_account', strange[0])}",
        )
    return Finding("ok", f"slurm_account is {', '.join(sorted(chosen))}")


def partitions(site: Site) -> Finding:
    """Each partition exists, is up, and admits the run times of its rules."""
    listed = _sinfo()
    if listed.status:
        return Finding("wrong", f"sinfo fails: {listed.why}", "ask your site's support")
    known, default = _partitions(listed)
    for names, needed in site.longest("slurm_partition").items():
        mend = f"edit {site.at('slurm_partition', names)}"
        if not (names or default):
            return Finding("wrong", "Slurm has no default partition, and the rules name none", mend)
        for name in (names or default).split(","):
            if name not in known:
                return Finding(
                    "wrong",
                    f"{name} is no partition here.{suggestion(name, known)} "
                    f"There are {', '.join(sorted(known))}",
                    mend,
                )
            if known[name].state != "up":
                return Finding("warning", f"partition {name} is {known[name].state}", mend)
            if known[name].limit_minutes < needed:
                return Finding(
                    "wrong",
                    f"partition {name} ends jobs after {known[name].limit_minutes:g} minutes; "
                    f"the rules in it ask {needed}",
                    f"{mend}, or set a shorter runtime for these rules under set-resources",
                )
    used = sorted({names or default for names in site.longest("slurm_partition")})
    return Finding("ok", f"{', '.join(used)}: up, and long enough")


def gpu(site: Site) -> Finding:
    """The partitions of the rules that want a GPU have one."""
    listed = _sinfo()
    if listed.status:
        return Finding("warning", f"GPUs could not be looked up: {listed.why}")
    known, default = _partitions(listed)
    for rule, resources in site.gpu_rules.items():
        names = str(resources.get("slurm_partition") or default)
        gres = {
            text for name in names.split(",") if name in known for text in known[name].resources
        }
        cards = sorted(text.split("(")[0] for text in gres if text.startswith("gpu"))
        if not cards:
            with_gpu = [
                name
                for name, partition in known.items()
                if any(text.startswith("gpu") for text in partition.resources)
            ]
            return Finding(
                "wrong",
                f"{rule} wants a GPU, and partition {names or '(none)'} has none; with GPUs: "
                f"{', '.join(with_gpu) or 'no partition'}",
                f"set {site.at('slurm_partition')} for {rule} under set-resources",
            )
        model = resources.get("gpu_model")
        models = {card.split(":")[1] for card in cards if card.count(":") > 1}
        if model and model not in models:
            return Finding(
                "wrong",
                f"no card {model} in {names}.{suggestion(model, models)} "
                f"There are {', '.join(cards)}",
                f"edit {site.at('gpu_model', model)}",
            )
    return Finding("ok", f"{', '.join(site.gpu_rules)}: their partition has GPUs")


CHECKS: Sequence[Check] = (commands, status, account, partitions, gpu)


def _sinfo() -> Answer:
    return ask("sinfo", "--noheader", "--format", "%P|%a|%l|%G")


def _partitions(listed: Answer) -> tuple[dict[str, _Partition], str]:
    """Return what sinfo lists by name, and the default's name, which it marks with a star."""
    found: dict[str, _Partition] = {}
    default = ""
    for line in listed.output.splitlines():
        name, state, limit, resources = line.split("|")
        if name.endswith("*"):
            name = default = name.removesuffix("*")
        partition = found.setdefault(name, _Partition(state, _limit_minutes(limit)))
        partition.resources.update(resources.split(","))
    return found, default


def _limit_minutes(text: str) -> float:
    """Return Slurm's [days-][hours:]minutes:seconds in minutes; what is no time is no limit."""
    if not (match := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)):
        return math.inf
    days, hours, rest, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + rest + seconds / 60
