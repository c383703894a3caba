"""`make check-cluster`: is all here that a run on this cluster needs? Submits nothing.

``python -m at4ramt.cluster.check [--profile profiles/lsf]`` prints a line a check
and, below a warning or a wrong one, what to edit; it ends with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from at4ramt.cluster import check_lsf, check_slurm
from at4ramt.cluster.site import Check, Finding, Site, ask, read_site
from at4ramt.errors import InputError, suggestion

EXECUTORS = {"lsf": check_lsf.CHECKS, "slurm": check_slurm.CHECKS}
RULES = Path("workflow") / "rules"

# What no other host sees, unless it exports it.
HOST_FILE_SYSTEMS = {
    "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs",
}  # fmt: skip
HOST_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
MOUNTS = Path("/proc/self/mounts")

# Beside the environment: the demo's results and Snakemake's records. A corpus needs more.
SPACE_BYTES = 5e9
FILES = 20_000
UNITS = {"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}

# Three seconds of work, and whatever a network file system needs for a thousand modules.
DRY_RUN_SECONDS = 300


def plugin(site: Site) -> Finding:
    """The Python in use has Snakemake and the executor plugin."""
    wanted = ["snakemake", f"snakemake-executor-plugin-{site.settings['executor']}"]
    missing = [name for name in wanted if name not in _installed()]
    if missing:
        return Finding("wrong", f"{sys.prefix} has no {' and no '.join(missing)}", "run make setup")
    return Finding("ok", f"{sys.prefix} has {' and '.join(wanted)}")


def rules(site: Site) -> Finding:
    """What the profile sets for a rule is set for one that exists: Snakemake does not look."""
    for key in ("set-resources", "set-threads"):
        if strange := sorted((site.settings.get(key) or {}).keys() - site.rules.keys()):
            return Finding(
                "wrong",
                f"{key} names {strange[0]}, which is no rule.{suggestion(strange[0], site.rules)}",
                f"edit {site.at(strange[0])}",
            )
    return Finding("ok", "all rules that the profile names exist")


def tensorflow(site: Site) -> Finding:
    """The environment can use the GPU that the profile promises."""
    if not site.promises_gpu:
        return Finding("ok", "the profile promises no GPU (gpu_required): the CPU will do")
    if os.environ.get("AT4RAMT_GPU") == "optional":
        return Finding("warning", "AT4RAMT_GPU=optional: without a GPU, trainings use the CPU")
    if "conda" in str(site.settings.get("software-deployment-method", "")):
        return Finding("ok", "trainings run in the environment that conda makes for them")
    installed = _installed()
    if "tensorflow" not in installed:
        found = "TensorFlow for the CPU alone" if "tensorflow-cpu" in installed else "no TensorFlow"
        return Finding(
            "wrong",
            f"{sys.prefix} has {found}",
            "run make setup-gpu; where no node has a GPU, remove gpu_required from the profile",
        )
    if not any(name.startswith("nvidia-cudnn") for name in installed):
        return Finding(
            "warning",
            f"{sys.prefix} has TensorFlow, but not the CUDA libraries that go with it",
            "run make setup-gpu, or load a module with the CUDA and cuDNN that TensorFlow needs",
        )
    return Finding("ok", f"{sys.prefix} has TensorFlow with its CUDA libraries")


def folder(site: Site) -> Finding:
    """The working directory can be written, and its name survives the submission."""
    here = Path.cwd()
    if not re.fullmatch(r"[\w./+@=:,-]+", str(here), re.ASCII):
        # LSF's plugin passes the name to the shell without quotes.
        return Finding(
            "wrong" if site.settings["executor"] == "lsf" else "warning",
            f"{str(here)!r} has a blank or a sign in it that a shell takes as its own",
            "move the clone to a path of letters, digits and . _ -",
        )
    try:
        with tempfile.TemporaryFile(dir=here):
            return Finding("ok", f"{here} can be written")
    except OSError as error:
        return Finding("wrong", f"{here} cannot be written: {error.strerror}", "clone elsewhere")


def file_system(site: Site) -> Finding:
    """The compute nodes see the working directory and the environment."""
    host_folders = (*HOST_FOLDERS, os.environ.get("TMPDIR", "/tmp"))
    for path in (Path.cwd(), Path(sys.prefix)):
        kind, mount = _mounted(path)
        of_host = [name for name in host_folders if path.is_relative_to(name)]
        if of_host or kind in HOST_FILE_SYSTEMS:
            return Finding(
                "warning",
                f"{path} is in {of_host[0] if of_host else mount} ({kind}): nodes may not see it",
                "clone to home, scratch or work, unless this host is the whole cluster",
            )
    return Finding("ok", f"{Path.cwd()} and {sys.prefix} are on no disk of this host alone")


def space(site: Site) -> Finding:
    """There is room for the results."""
    free = _least(shutil.disk_usage(".").free, _left_of_quota("space"))
    return _room(f"{free / 1e9:.1f} GB", free < SPACE_BYTES, f"{SPACE_BYTES / 1e9:g} GB")


def files(site: Site) -> Finding:
    """There is room for so many files."""
    system = os.statvfs(".")
    # Some file systems have no fixed number of files, and say 0.
    free = _least(system.f_favail if system.f_files else math.inf, _left_of_quota("files"))
    return _room(f"{free:,.0f} files", free < FILES, f"{FILES:,}")


def modules(site: Site) -> Finding:
    """Which modules the jobs get: they inherit the environment of the submission."""
    if not {"MODULESHOME", "LMOD_CMD"} & os.environ.keys():
        return Finding("ok", "no module system here, and none is needed")
    loaded = os.environ.get("LOADEDMODULES", "").replace(":", ", ")
    return Finding("ok", f"jobs inherit the loaded modules: {loaded or 'none'}")


def session(site: Site) -> Finding:
    """Snakemake must live as long as its jobs."""
    safe = {"TMUX": "tmux", "STY": "screen", "LSB_JOBID": "a job", "SLURM_JOB_ID": "a job"}
    within = [words for name, words in safe.items() if os.environ.get(name)]
    if within:
        return Finding("ok", f"this shell is in {within[0]}, and outlives a lost connection")
    return Finding(
        "warning",
        "a lost connection ends this shell, and Snakemake with it",
        "start the run in tmux or screen, or as a job itself",
    )


def dry_run(site: Site) -> Finding:
    """Snakemake reads the profile, the configuration and the workflow."""
    profile = str(site.profile.parent)
    command = ("-m", "snakemake", "--profile", profile, "--dry-run", "--quiet", "all")
    answer = ask(sys.executable, *command, seconds=DRY_RUN_SECONDS)
    if answer.status:
        end = " ".join(line.strip() for line in answer.error.splitlines()[-3:])
        return Finding(
            "wrong",
            f"snakemake --dry-run fails: {end}",
            f"mend what it names, then try snakemake --profile {profile} --dry-run",
        )
    return Finding("ok", f"snakemake --profile {profile} --dry-run plans its jobs")


EVERYWHERE: Sequence[Check] = (
    plugin, rules, tensorflow, folder, file_system, space, files, modules, session,
)  # fmt: skip


def usual_profile() -> Path:
    """Return the repository's profile for the scheduler that is here.

    Slurm sites may offer stand-ins for LSF's commands, but LSF sites none for Slurm's.

    Raises:
        InputError: if there is no scheduler.
    """
    for command, profile in (("sbatch", "slurm"), ("bsub", "lsf")):
        if shutil.which(command):
            return Path("profiles", profile)
    raise InputError(
        "neither sbatch nor bsub is on PATH; log in to a submission host, load your site's "
        "scheduler module, or name a profile: --profile profiles/lsf"
    )


def report(site: Site, checks: Sequence[Check]) -> int:
    """Print what each check finds; return the number of wrong ones."""
    width = max(len(check.__name__) for check in checks)
    states = []
    for check in checks:
        finding = check(site)
        states.append(finding.state)
        name = check.__name__.replace("_", " ")
        print(f"{finding.state:<8} {name:<{width}}  {finding.found}", flush=True)
        if finding.mend:
            print(f"{'':<8} {'':<{width}}  -> {finding.mend}")
    print(f"{states.count('wrong')} wrong, {states.count('warning')} warnings")
    return states.count("wrong")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; return the exit status."""
    parser = argparse.ArgumentParser(prog="check-cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", type=Path, help="by default that of the scheduler found here")
    parser.add_argument("--no-dry-run", action="store_true", help="leave out snakemake --dry-run")
    chosen = parser.parse_args(arguments)
    try:
        site = read_site(chosen.profile or usual_profile(), RULES)
        executor = site.settings.get("executor")
        if executor not in EXECUTORS:
            raise InputError(
                f"{site.profile}: executor is {executor!r}; expected {' or '.join(EXECUTORS)}"
            )
        print(f"{site.profile}, executor {executor}")
        scheduler = EXECUTORS[executor]
        if scheduler[0](site).state == "wrong":
            # Without its commands the rest about the scheduler would only say so again.
            scheduler = scheduler[:1]
        checks = (*scheduler, *EVERYWHERE, *([] if chosen.no_dry_run else [dry_run]))
        return 1 if report(site, checks) else 0
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _installed() -> set[str]:
    return {re.sub(r"[-_.]+", "-", str(found.name)).lower() for found in distributions()}


def _mounted(path: Path) -> tuple[str, str]:
    """Return the kind of file system that holds a path, and where it is mounted."""
    found = ("unknown", "/")
    try:
        table = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return found
    for line in table.splitlines():
        _, mount, kind, *_ = line.split()
        mount = mount.replace("\\040", " ")
        if path.is_relative_to(mount) and len(mount) >= len(found[1]):
            found = kind, mount
    return found


def _left_of_quota(kind: str) -> float | None:
    """Return the bytes ("space") or files that ETH's lquota leaves here; elsewhere None."""
    amount = rf"\s*([\d.]+) ?({'|'.join(UNITS)})\s*\|"
    row = re.compile(rf"\|\s*(/\S+)\s*\|\s*{kind}\s*\|{amount}{amount}")
    for place, used, unit, quota, quota_unit in row.findall(ask("lquota").output):
        if Path.cwd().is_relative_to(place):
            return float(quota) * UNITS[quota_unit] - float(used) * UNITS[unit]
    return None


def _least(free: float, quota: float | None) -> float:
    return free if quota is None else min(free, quota)


def _room(free: str, too_little: bool, wanted: str) -> Finding:
    if too_little:
        return Finding("warning", f"{free} are left; {wanted} are wished for", "make room")
    return Finding("ok", f"{free} are left here (df, lquota; your site may have other quotas)")


if __name__ == "__main__":
    sys.exit(main())
