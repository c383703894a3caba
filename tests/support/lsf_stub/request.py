"""What `bsub` was asked for: its options, read and refused as LSF does."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

# Resources that a job may reserve (`rusage`), and those that it may only ask for (`select`).
CONSUMABLE = {"mem", "swp", "tmp", "scratch", "ngpus_excl_p", "ngpus_shared"}
CONDITIONS = CONSUMABLE | {
    *("gpu_mtotal0", "gpu_model0", "ncpus", "maxmem", "maxswp", "maxtmp"),
    *("type", "model", "hname", "status", "ut", "r15s", "r1m", "r15m", "it", "pg", "ls"),
}
SECTIONS = {"select", "rusage", "span", "order", "same", "cu", "affinity"}
GPU_KEYS = {"num", "mode", "mps", "j_exclusive", "gmodel", "gmem", "gtile", "glink", "aff", "block"}
OPTIONS = {"J", "o", "e", "env", "P", "q", "W", "n", "R", "cwd", "M", "gpu"}
NUMBER = r"\d+(\.\d+)?"
SIZE = re.compile(rf"{NUMBER}([KMGT]B?)?")


class Refused(Exception):
    """A submission that LSF does not take, in its words."""


@dataclass(frozen=True)
class Submission:
    """A job as it was asked for."""

    job_id: int
    argv: list[str]
    project: str
    queue: str
    minutes: int
    slots: int
    resources: list[str]
    gpu: str | None
    gpus: int
    job_name: str
    command: str
    directory: str
    output: str | None
    error: str | None


def read_submission(
    job_id: int, argv: list[str], queues: Mapping[str, int], slots: int
) -> Submission:
    """Read a command line of `bsub`; queues are given with their run limits in minutes."""
    options, command = _split(argv)
    if not command:
        raise Refused("Empty job")
    queue = options.get("q", next(iter(queues)))
    if queue not in queues:
        raise Refused(f"{queue}: No such queue")
    if options.get("env", "all") != "all":
        raise Refused("-env: the stand-in knows `all` only")
    if "[" in options.get("J", ""):
        raise Refused("Bad job name")  # brackets make a job array
    if "M" in options and not SIZE.fullmatch(options["M"]):
        raise Refused(f"{options['M']}: Bad MEMLIMIT specification")
    resources = options.get("R", [])
    reserved: dict[str, float] = {}
    for text in resources:
        _read_resources(text, reserved)
    gpus = int(reserved.get("ngpus_excl_p", 0) + reserved.get("ngpus_shared", 0))
    if "gpu" in options:
        if gpus:
            raise Refused("-gpu and a GPU resource in rusage cannot be used together")
        gpus = _read_gpu(options["gpu"])

    def path(option: str) -> str | None:
        value = options.get(option)
        return value and os.path.join(os.getcwd(), value.replace("%J", str(job_id)))

    return Submission(
        job_id=job_id,
        argv=argv,
        project=options.get("P", "default"),
        queue=queue,
        minutes=_read_minutes(options.get("W"), queues[queue]),
        slots=_read_slots(options.get("n", "1"), slots),
        resources=resources,
        gpu=options.get("gpu"),
        gpus=gpus,
        job_name=options.get("J", command),
        command=command,
        directory=path("cwd") or os.getcwd(),
        output=path("o"),
        error=path("e"),
    )


def _split(argv: list[str]) -> tuple[dict, str]:
    """Split a command line into its options (`R` a list) and the job's command."""
    options: dict = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)[1:]
        if option not in OPTIONS:
            raise Refused(f"bsub: illegal option -- {option}")
        if not rest:
            raise Refused(f"bsub: option requires an argument -- {option}")
        value = rest.pop(0)
        if option == "R":
            options.setdefault("R", []).append(value)
        else:
            options[option] = value
    return options, " ".join(rest)


def _read_minutes(text: str | None, limit: int) -> int:
    if text is None:
        return limit
    if not re.fullmatch(r"(\d+:)?\d+", text):
        raise Refused(f"{text}: Bad RUNLIMIT specification")
    hours, _, minutes = text.rpartition(":")
    total = int(hours or 0) * 60 + int(minutes)
    if total > limit:
        raise Refused("RUNLIMIT: Cannot exceed queue's hard limit(s)")
    return total


def _read_slots(text: str, available: int) -> int:
    if not text.isdigit() or int(text) < 1:
        raise Refused("Bad argument for option -n")
    if int(text) > available:
        raise Refused("Too many processors requested")
    return int(text)


def _read_gpu(text: str) -> int:
    if text == "-":
        return 1
    values = dict(part.partition("=")[::2] for part in text.split(":"))
    number = values.get("num", "1").split("/")[0]
    if not all(values.values()) or set(values) - GPU_KEYS or not number.isdigit():
        raise Refused(f"Error in GPU requirement <{text}>")
    return int(number)


def _read_resources(text: str, reserved: dict[str, float]) -> None:
    """Check one resource requirement, and add what it reserves to `reserved`."""
    if "[" not in text:
        text = f"select[{text}]"
    rest = text.strip()
    seen = set()
    while rest:
        found = re.match(r"(\w+)\[([^][]*)\]\s*", rest)
        if not found:
            raise Refused("Bad resource requirement syntax")
        section, content = found.groups()
        if section not in SECTIONS:
            raise Refused(f'Error near "{section}" : {_NO_SUCH_NAME}')
        if section in seen:
            raise Refused(f'Error near "{section}" : duplicate section')
        seen.add(section)
        if section == "rusage":
            _read_rusage(content, reserved)
        elif section == "select":
            _check_select(content)
        elif section == "span" and not re.fullmatch(r"hosts=(1|-1)|ptile=\d+|stripe", content):
            raise Refused("Error in span section")
        rest = rest[found.end() :]


def _read_rusage(content: str, reserved: dict[str, float]) -> None:
    for term in re.split(r"[,:]", content):
        name, _, value = (part.strip() for part in term.partition("="))
        if name in {"duration", "decay"} and value:
            continue
        # LSF merges the strings, and takes no resource twice.
        if name not in CONSUMABLE or name in reserved or not SIZE.fullmatch(value):
            raise Refused("Error in rusage section")
        reserved[name] = float(re.match(NUMBER, value)[0])


def _check_select(content: str) -> None:
    """Check the names and the form of a condition; whether a host fulfils it is not looked at."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "0", content)
    for name in re.findall(r"[A-Za-z_]\w*", bare):
        if name not in CONDITIONS:
            raise Refused(f'Error in select section: Error near "{name}" : {_NO_SUCH_NAME}')
    term = rf"\(*\s*(\w+|{NUMBER})\s*\)*"
    form = rf"\s*{term}(\s*(==|!=|>=|<=|>|<|&&|\|\|)\s*{term})*\s*"
    if bare.count("(") != bare.count(")") or not re.fullmatch(form, bare):
        raise Refused("Error in select section")


_NO_SUCH_NAME = "incorrect section name, resource name, or resource function name"
