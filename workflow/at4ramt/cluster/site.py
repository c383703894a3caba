"""What the checks look at: a profile, the rules' resources under it, and the site's commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from at4ramt.errors import InputError

# LSF's commands wait for ever for a master daemon that is away.
ANSWER_SECONDS = 30


class Finding(NamedTuple):
    """What a check found; ``mend`` is what to edit or to run, empty if nothing is to be done."""

    state: Literal["ok", "warning", "wrong"]
    found: str
    mend: str = ""


class Answer(NamedTuple):
    """What a command printed, and its exit status: 127 if it is not there."""

    status: int
    output: str
    error: str

    @property
    def why(self) -> str:
        """The first line of what it printed on failing."""
        return (self.error.strip() or self.output.strip() or "it said nothing").splitlines()[0]


@dataclass(frozen=True)
class Site:
    """A profile, and the resources that each rule has under it."""

    profile: Path
    settings: dict[str, Any]
    rules: dict[str, dict[str, Any]]

    @property
    def gpu_rules(self) -> dict[str, dict[str, Any]]:
        """The rules that ask for a GPU."""
        return {name: resources for name, resources in self.rules.items() if resources.get("gpu")}

    @property
    def promises_gpu(self) -> bool:
        """Whether a training would stop without a GPU."""
        return any(resources.get("gpu_required") for resources in self.gpu_rules.values())

    def longest(self, key: str) -> dict[str, int]:
        """Return each value of a resource, such as a queue, with the longest run time of its rules.

        Rules that do not state the resource count under an empty string.
        """
        longest: dict[str, int] = {}
        for resources in self.rules.values():
            value = str(resources.get(key, ""))
            longest[value] = max(longest.get(value, 0), resources["runtime"])
        return longest

    def at(self, key: str, value: str = "") -> str:
        """Return where the profile sets a key (to that value): file, lines, key."""
        pattern = re.compile(rf"\s*{re.escape(key)}\s*:.*{re.escape(value)}")
        lines = self.profile.read_text(encoding="utf-8").splitlines()
        numbers = [str(number) for number, line in enumerate(lines, 1) if pattern.match(line)]
        if not numbers:
            return f"{key} in {self.profile}"
        word = "line" if len(numbers) == 1 else "lines"
        return f"{key} in {self.profile}, {word} {' and '.join(numbers)}"


Check = Callable[[Site], Finding]


def read_site(folder: Path, rules: Path) -> Site:
    """Read a profile's folder, and the rules of a workflow.

    Raises:
        InputError: if the folder has no profile in it, or one that is no YAML mapping.
    """
    profile = folder / "config.yaml"
    try:
        settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{profile} does not exist; expected a profile's folder, as in --profile profiles/lsf"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{profile} is not YAML: {error}; mend that line") from None
    if not isinstance(settings, dict):
        raise InputError(f"{profile} holds no keys; compare with the file in the repository")
    for key in ("default-resources", "set-resources"):
        if not isinstance(settings.get(key) or {}, dict):
            raise InputError(f"{profile}: expected `name: value` lines under {key}, not a list")
    stated = stated_resources(rules)
    if not stated:
        raise InputError(f"no rules in {rules.absolute()}; run this in the folder of the clone")
    defaults = settings.get("default-resources") or {}
    changed = settings.get("set-resources") or {}
    # In this order Snakemake lets one win over the other.
    resources = {name: defaults | stated[name] | changed.get(name, {}) for name in stated}
    for name, of_rule in resources.items():
        try:
            of_rule["runtime"] = minutes(of_rule.get("runtime", 0))
        except ValueError as error:
            raise InputError(f"{profile}: rule {name}: {error}; mend it") from None
    return Site(profile, settings, resources)


def stated_resources(folder: Path) -> dict[str, dict[str, int]]:
    """Return ``runtime`` (minutes, of the first attempt) and ``gpu`` of each rule in a folder."""
    number = re.compile(r"^\s+(runtime|gpu)=(?:lambda.*?: attempt \* )?(\d+)", re.MULTILINE)
    return {
        name: {key: int(value) for key, value in number.findall(body)}
        for path in sorted(folder.glob("*.smk"))
        for name, body in re.findall(
            r"^rule (\w+):\n(.*?)(?=^\w|\Z)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    }


def minutes(runtime: Any) -> int:
    """Return a run time as Snakemake takes it (minutes, or text such as 1d2h30m) in minutes."""
    if match := re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m?)?", str(runtime)):
        days, hours, rest = (int(part or 0) for part in match.groups())
        return 1440 * days + 60 * hours + rest
    raise ValueError(f"runtime is {runtime!r}; expected minutes, or text such as 23h")


def ask(*command: str, seconds: float | None = None) -> Answer:
    """Run one of the site's commands; it may be missing, fail or hang."""
    seconds = seconds or ANSWER_SECONDS
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
        )
    except OSError as error:
        return Answer(127, "", f"{command[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(124, "", f"{command[0]} gave no answer in {seconds:g} s")
    return Answer(done.returncode, done.stdout, done.stderr)


def commands_present(names: Iterable[str], mend: str) -> Finding:
    """Return whether all commands are on PATH."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        return Finding("wrong", f"not on PATH: {', '.join(missing)}", mend)
    return Finding("ok", f"{', '.join(names)} are on PATH")
