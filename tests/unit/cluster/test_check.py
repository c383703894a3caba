"""The checks of a cluster, on sites made of a few commands that say what real ones would."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from support.slurm import Slurm

from at4ramt.cluster import check, check_lsf, check_slurm
from at4ramt.cluster.site import Finding, Site, minutes, read_site, stated_resources
from at4ramt.errors import InputError

ROOT = Path(__file__).resolve().parents[3]

RULES = """
rule extract_cqt:
    output: "features"
    resources:
        mem_mb=2000,
        runtime=lambda wildcards, attempt: attempt * 20,

rule train_base:
    output: "model"
    resources:
        runtime=240,
        gpu=1,
"""
LSF = """\
executor: lsf
default-resources:
  lsf_project: robustness
  lsf_queue: normal.4h
set-resources:
  train_base:
    lsf_queue: gpu.4h
    lsf_extra: '-R "rusage[ngpus_excl_p=1]" -R "select[gpu_mtotal0>=10240]"'
    gpu_required: 1
"""
SLURM = """\
executor: slurm
slurm-status-command: squeue
set-resources:
  train_base:
    slurm_partition: gpu
    gpu_required: 1
"""

BQUEUES = """\
QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP  RSV
gpu.4h           40  Open:Active       -    -    -    -   120    20   100     0    0
normal.4h        30  Open:Active       -    -    -    -  9000  8000  1000     0    0
"""
QUEUE = """\
QUEUE: gpu.4h
  -- GPU jobs of up to 4 hours

PARAMETERS/STATISTICS
PRIO NICE STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN SSUSP USUSP  RSV
 40   20  Open:Active       -    -    -    -   120    20   100     0     0    0

DEFAULT LIMITS:
 RUNLIMIT
 60.0 min of host-1

MAXIMUM LIMITS:
 RUNLIMIT
 240.0 min of host-1

SCHEDULING PARAMETERS
           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem
"""
LSINFO = """\
RESOURCE_NAME   TYPE   ORDER  DESCRIPTION
r15s          Numeric   Inc   15-second CPU run queue length
ngpus_excl_p  Numeric    N/A  Number of GPUs in the mode Exclusive Process
gpu_mtotal0   Numeric    Dec  Memory of the first GPU
"""
SINFO = (
    "normal*|up|1-00:00:00|(null)\ngpu|up|4:00:00|gpu:rtx_3090:8(S:0-1)\ngpu|up|4:00:00|(null)\n"
)

AddCommand = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddCommand:
    """A function that puts a command on PATH, where nothing else is.

    Its output may depend on its arguments: then it is a mapping from shell patterns.
    """
    for name in ("BSUB_QUIET", "SNAKEMAKE_LSF_MEMFMT", "AT4RAMT_GPU", "TMUX", "STY", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add_command(
        name: str, output: str | dict[str, str] = "", error: str = "", status: int = 0
    ) -> None:
        answers = output if isinstance(output, dict) else {"*": output}
        cases = "".join(f"{a}) printf %s {shlex.quote(text)};;\n" for a, text in answers.items())
        script = f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 255;; esac\n'
        (folder / name).write_text(f"{script}printf %s {shlex.quote(error)} >&2\nexit {status}\n")
        (folder / name).chmod(0o755)

    return add_command


@pytest.fixture
def lsf(tmp_path: Path, add: AddCommand) -> Path:
    """An LSF site in order, like Leonhard; returns the folder of its configuration."""
    conf = tmp_path / "lsf"
    parameters = conf / "lsbatch" / "leonhard" / "configdir" / "lsb.params"
    events = conf / "work" / "leonhard" / "logdir" / "lsb.events"
    for path in (parameters, events):
        path.parent.mkdir(parents=True)
    parameters.write_text("Begin Parameters\nRESOURCE_RESERVE_PER_TASK = Y\nEnd Parameters\n")
    events.write_text("")
    add("bsub")
    add("bkill")
    add("awk", "GNU Awk 5.1.0")
    add(
        "badmin",
        f"MBD configuration at today\n  LSB_SHAREDIR = {conf}/work\n  LSF_CONFDIR = {conf}\n",
    )
    add("lsclusters", "CLUSTER_NAME STATUS MASTER_HOST\nleonhard ok host-1\n")
    add("bjobs", error="No matching job found", status=255)
    add("bqueues", {"-w": BQUEUES, "-l*": QUEUE})
    add("lsinfo", LSINFO)
    add("bhosts", "HOST_NAME GPU_ID MODEL\nhost-1 0 GeForceGTX1080Ti\n")
    return conf


@pytest.fixture
def slurm(add: AddCommand) -> None:
    """A Slurm site in order."""
    for name in ("sbatch", "squeue", "scancel"):
        add(name)
    add("sacct", error="Slurm accounting storage is disabled", status=1)
    add("sinfo", SINFO)
    add("scontrol", "Configuration data\nMinJobAge               = 300 sec\n")
    add("sacctmgr", " robustness \n es_other \n")


def site(tmp_path: Path, profile: str, *edits: tuple[str, str]) -> Site:
    """Return a site with a profile, in which texts were replaced."""
    for old, new in edits:
        assert old in profile
        profile = profile.replace(old, new)
    for name, text in (("profile/config.yaml", profile), ("rules/all.smk", RULES)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return read_site(tmp_path / "profile", tmp_path / "rules")


def test_the_committed_lsf_profile_passes_on_a_site_like_leonhard(lsf, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("AT4RAMT_GPU", "optional")
    # Snakemake itself needs some of the system's commands.
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], os.defpath]))
    assert check.main(["--profile", "profiles/lsf"]) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert printed.startswith("profiles/lsf/config.yaml, executor lsf\n")
    for name in ("queues", "gpu", "status", "dry run"):
        assert any(line.split(None, 1)[1].startswith(name) for line in lines(printed, "ok")), name


def test_the_committed_slurm_profile_passes_on_a_site_with_accounting(
    slurm, add, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("AT4RAMT_GPU", "optional")
    add("sacct")
    add("sinfo", "gpu*|up|infinite|gpu:1\n")
    assert check.main(["--no-dry-run"]) == 0, capsys.readouterr().out
    assert "executor slurm" in capsys.readouterr().out


def lines(printed: str, state: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith(state)]


def test_what_is_wrong_is_printed_with_what_to_edit_and_ends_in_failure(
    lsf, tmp_path, monkeypatch, capsys
):
    site(tmp_path, LSF, ("gpu.4h", "gpu.24h"))
    monkeypatch.setattr(check, "RULES", tmp_path / "rules")
    monkeypatch.setenv("AT4RAMT_GPU", "optional")
    assert check.main(["--profile", str(tmp_path / "profile"), "--no-dry-run"]) == 1
    found, mend = capsys.readouterr().out.split("wrong ", 1)[1].splitlines()[:2]
    assert "queues" in found and "there is no queue gpu.24h, but gpu.4h, normal.4h" in found
    assert f"edit lsf_queue in {tmp_path}/profile/config.yaml, line 7" in mend


def test_a_host_without_the_schedulers_commands_is_told_once(add, tmp_path, monkeypatch, capsys):
    site(tmp_path, LSF)
    monkeypatch.setattr(check, "RULES", tmp_path / "rules")
    check.main(["--profile", str(tmp_path / "profile"), "--no-dry-run"])
    about_lsf = [line for line in capsys.readouterr().out.splitlines() if "bjobs" in line]
    assert len(about_lsf) == 1 and "not on PATH: bsub, bjobs" in about_lsf[0]
    monkeypatch.chdir(ROOT)
    assert check.main([]) == 2
    assert "neither sbatch nor bsub is on PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("checked", "edit", "state", "found", "mend"),
    [
        ("project", ("robustness", "at4ramt"), "warning", "still at4ramt", "line 3"),
        ("project", ("  lsf_project: robustness\n", ""), "warning", "bhist", "lsf_project in"),
        ("project", ("robustness", "my share"), "wrong", "without quotes", "\"'my share'\""),
        ("queues", ("    lsf_queue: gpu.4h\n", "    runtime: 5h\n"), "wrong", "ask 300", "line 4"),
        ("queues", ("  lsf_queue: normal.4h\n", ""), "warning", "not set", "lsf_queue in"),
        ("gpu", ("ngpus_excl_p", "ngpus_excl"), "wrong", "Did you mean 'ngpus_excl_p'?", "line 8"),
        ("gpu", ("-R \"rusage[ngpus_excl_p=1]\" -R \"select[gpu_mtotal0>=10240]\"",
                 "-gpu \"num=1:mode=exclusive_process\""), "ok", "train_base", ""),
        ("gpu", ("rusage[ngpus_excl_p=1]\"", "rusage[ngpus_excl_p=1]"), "wrong", "shell", "line 8"),
        ("gpu", ("lsf_extra", "other"), "warning", "asks LSF for none", "lsf_extra in"),
    ],
)  # fmt: skip
def test_lsf_profile(lsf, tmp_path, checked, edit, state, found, mend):
    finding: Finding = getattr(check_lsf, checked)(site(tmp_path, LSF, edit))
    assert finding.state == state
    assert found in finding.found and mend in finding.mend


def test_lsf_in_order_is_ok(lsf, tmp_path):
    here = site(tmp_path, LSF)
    assert {checked.__name__: checked(here).state for checked in check_lsf.CHECKS} == {
        checked.__name__: "ok" for checked in check_lsf.CHECKS
    }


def test_a_queue_that_ends_jobs_too_early_or_is_closed(lsf, add, tmp_path):
    here = site(tmp_path, LSF)
    add("bqueues", {"-w": BQUEUES, "-l*gpu.4h": QUEUE.replace("240.0", "120.0"), "-l*": ""})
    finding = check_lsf.queues(here)
    assert (finding.state, "ends jobs after 120 minutes" in finding.found) == ("wrong", True)
    assert "ask 240" in finding.found
    # A default is for jobs that state no run time; ours do.
    only_default = QUEUE.replace("MAXIMUM LIMITS:\n RUNLIMIT\n 240.0 min of host-1\n", "")
    add("bqueues", {"-w": BQUEUES, "-l*": only_default})
    assert check_lsf.queues(here).state == "ok"
    add("bqueues", {"-w": BQUEUES.replace("Open:Active", "Closed:Active", 1), "-l*": QUEUE})
    assert "gpu.4h is Closed:Active" in check_lsf.queues(here).found


def test_shell_variables_that_break_the_plugin(lsf, tmp_path, monkeypatch):
    here = site(tmp_path, LSF)
    monkeypatch.setenv("BSUB_QUIET", "1")
    assert check_lsf.shell(here).state == "wrong"
    monkeypatch.setenv("SNAKEMAKE_LSF_MEMFMT", "per-job")
    assert check_lsf.memory(here).state == "wrong"
    monkeypatch.setenv("SNAKEMAKE_LSF_MEMFMT", "perjob")
    assert check_lsf.memory(here).mend == "unset SNAKEMAKE_LSF_MEMFMT"


def test_memory_by_job_where_lsf_does_not_count_by_core(lsf, tmp_path, monkeypatch):
    (lsf / "lsbatch/leonhard/configdir/lsb.params").write_text("DEFAULT_QUEUE = normal\n")
    here = site(tmp_path, LSF)
    assert check_lsf.memory(here).mend == "export SNAKEMAKE_LSF_MEMFMT=perjob"
    monkeypatch.setenv("SNAKEMAKE_LSF_MEMFMT", "perjob")
    assert check_lsf.memory(here).state == "ok"


def test_other_awks_and_an_old_bjobs_are_told_apart(lsf, add, tmp_path):
    here = site(tmp_path, LSF)
    add("awk", "mawk 1.3.4")
    assert check_lsf.awk(here).state == "warning"
    add("bjobs", error="bjobs: illegal option -- noheader\nUsage: bjobs [-h]", status=255)
    assert "illegal option" in check_lsf.status(here).found
    add("bjobs", output="123 RUN\n")
    assert check_lsf.status(here).state == "ok"


@pytest.mark.parametrize("broken", ["", "badmin", "value", "share", "cluster", "parameters"])
def test_the_check_of_the_configuration_agrees_with_the_plugin(lsf, add, tmp_path, broken):
    from snakemake_executor_plugin_lsf import Executor

    conf = f"MBD\n LSB_SHAREDIR = {lsf}/work\n LSF_CONFDIR = {lsf}\n"
    match broken:
        case "badmin":
            add("badmin", error="badmin: you are no administrator", status=255)
        case "value":
            add("badmin", conf + " LSF_EMPTY =\n LSF_LAST = y\n")
        case "share":
            add("badmin", conf.replace("LSB_SHAREDIR", "LSB_SHARED"))
        case "cluster":
            add("lsclusters", "CLUSTER_NAME STATUS\n")
        case "parameters":
            (lsf / "lsbatch/leonhard/configdir/lsb.params").unlink()
    finding = check_lsf.configuration(site(tmp_path, LSF))
    if not broken:
        assert finding.state == "ok"
        assert Executor.get_lsf_config()["LSF_CLUSTER"] == "leonhard"
        return
    assert finding.state == "wrong" and "support" in finding.mend
    with pytest.raises((LookupError, OSError)):
        Executor.get_lsf_config()


@pytest.mark.parametrize(
    ("checked", "edit", "state", "found", "mend"),
    [
        ("status", ("slurm-status-command: squeue\n", ""), "wrong", "disabled", ": squeue in"),
        ("account", ("    gpu_req", "    slurm_account: robust\n    gpu_req"), "wrong",
         "Did you mean 'robustness'?", "line 6"),
        ("account", ("    gpu_req", "    slurm_account: es_other\n    gpu_req"), "ok",
         "es_other", ""),
        ("partitions", (": gpu\n", ": gpus\n"), "wrong", "Did you mean 'gpu'?", "line 5"),
        ("partitions", ("gpu_required", "runtime: 1d\n    gpu_required"), "wrong", "ask 1440",
         "line 5"),
        ("gpu", ("    slurm_partition: gpu\n", ""), "wrong", "normal has none; with GPUs: gpu",
         "for train_base"),
        ("gpu", ("gpu_required", "gpu_model: rtx_309\n    gpu_required"), "wrong",
         "Did you mean 'rtx_3090'?", "line 6"),
    ],
)  # fmt: skip
def test_slurm_profile(slurm, tmp_path, checked, edit, state, found, mend):
    finding: Finding = getattr(check_slurm, checked)(site(tmp_path, SLURM, edit))
    assert finding.state == state
    assert found in finding.found and mend in finding.mend


def test_slurm_in_order_is_ok(slurm, tmp_path):
    here = site(tmp_path, SLURM)
    assert {checked.__name__: checked(here).state for checked in check_slurm.CHECKS} == {
        checked.__name__: "ok" for checked in check_slurm.CHECKS
    }


def test_a_real_slurm_is_read(tmp_path, monkeypatch):
    with Slurm() as slurm:
        monkeypatch.setenv("SLURM_CONF", slurm.environment()["SLURM_CONF"])
        finding = check_slurm.partitions(site(tmp_path, SLURM))
        assert (finding.state, finding.found) == (
            "wrong",
            "gpu is no partition here. There are tests",
        )
        here = site(tmp_path, SLURM, (": gpu\n", ": tests\n"))
        found = {checked.__name__: checked(here) for checked in check_slurm.CHECKS}
        assert {finding.state for finding in found.values()} == {"ok"}, found
        accounting = site(tmp_path, SLURM, (": squeue", ": sacct"))
        assert "accounting storage is disabled" in check_slurm.status(accounting).found


def test_a_slurm_that_does_not_answer_or_forgets_fast(slurm, add, tmp_path):
    here = site(tmp_path, SLURM)
    add("scontrol", "MinJobAge               = 2 sec\n")
    assert (check_slurm.status(here).state, "after 2 s" in check_slurm.status(here).found) == (
        "warning",
        True,
    )
    add("sinfo", error="slurm_load_partitions: Unable to contact slurm controller", status=1)
    assert "Unable to contact" in check_slurm.partitions(here).found
    add("sinfo", SINFO.replace("gpu|up", "gpu|drain"))
    assert "gpu is drain" in check_slurm.partitions(here).found


def test_a_command_that_hangs_is_given_up(slurm, add, tmp_path, monkeypatch):
    monkeypatch.setattr("at4ramt.cluster.site.ANSWER_SECONDS", 0.2)
    (tmp_path / "bin" / "sinfo").write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    assert "no answer in 0.2 s" in check_slurm.partitions(site(tmp_path, SLURM)).found


def test_a_rule_that_does_not_exist_is_found(tmp_path):
    finding = check.rules(site(tmp_path, LSF, ("train_base", "train_bass")))
    assert finding.state == "wrong" and "Did you mean 'train_base'?" in finding.found
    assert "line 6" in finding.mend


def test_the_gpu_promise_needs_tensorflow_for_gpus(add, tmp_path, monkeypatch):
    here = site(tmp_path, LSF)
    packages = {"tensorflow-cpu"}
    monkeypatch.setattr(check, "_installed", lambda: packages)
    assert check.tensorflow(here).mend == (
        "run make setup-gpu; where no node has a GPU, remove gpu_required from the profile"
    )
    assert check.tensorflow(site(tmp_path, LSF, ("    gpu_required: 1\n", ""))).state == "ok"
    conda = site(tmp_path, LSF + "software-deployment-method: conda\n")
    assert check.tensorflow(conda).state == "ok"
    packages = {"tensorflow"}
    assert check.tensorflow(here).state == "warning"
    packages = {"tensorflow", "nvidia-cudnn-cu12"}
    assert check.tensorflow(here).state == "ok"
    packages = {"tensorflow-cpu"}
    monkeypatch.setenv("AT4RAMT_GPU", "optional")
    assert check.tensorflow(here).state == "warning"


def test_the_environment_that_lacks_the_plugin_is_named(tmp_path, monkeypatch):
    assert check.plugin(site(tmp_path, LSF)).state == "ok"
    monkeypatch.setattr(check, "_installed", lambda: {"snakemake"})
    assert "snakemake-executor-plugin-lsf" in check.plugin(site(tmp_path, LSF)).found


def test_a_folder_that_the_submission_would_split(tmp_path, monkeypatch):
    with_blank = tmp_path / "my clone"
    with_blank.mkdir()
    lsf_site, slurm_site = site(tmp_path, LSF), site(tmp_path, LSF, (": lsf", ": slurm"))
    monkeypatch.chdir(with_blank)
    assert check.folder(lsf_site).state == "wrong"
    assert check.folder(slurm_site).state == "warning"
    monkeypatch.chdir(tmp_path)
    assert check.folder(lsf_site).state == "ok"


def test_a_disk_of_this_host_is_warned_of(tmp_path, monkeypatch):
    here = site(tmp_path, LSF)
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "mounts"
    monkeypatch.setattr(check, "MOUNTS", table)
    monkeypatch.setattr(check, "HOST_FOLDERS", ())
    monkeypatch.setenv("TMPDIR", "/scratch-of-node")
    table.write_text("server:/ / nfs4 rw 0 0\n")
    assert check.file_system(here).state == "ok"
    table.write_text(f"server:/ / nfs4 rw 0 0\ntmpfs {tmp_path.parent} tmpfs rw 0 0\n")
    assert f"in {tmp_path.parent} (tmpfs)" in check.file_system(here).found
    table.write_text("server:/ / nfs4 rw 0 0\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert check.file_system(here).state == "warning"


def test_what_lquota_leaves_counts(add, tmp_path, monkeypatch):
    here = site(tmp_path, LSF)
    monkeypatch.chdir(tmp_path)
    row = "| {} | {} | {} | {} | 99 |\n"
    add(
        "lquota",
        row.format(tmp_path, "space", " 15.50 GB", "17.00 GB")
        + row.format(tmp_path, "files", "   80000", "100500")
        + row.format("/elsewhere", "files", "1", "2"),
    )
    assert check.space(here).state == "warning" and "1.5 GB are left" in check.space(here).found
    assert check.files(here).state == "ok" and "20,500 files are left" in check.files(here).found


def test_a_run_outside_tmux_is_warned_of(add, tmp_path, monkeypatch):
    for name in ("LSB_JOBID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert check.session(site(tmp_path, LSF)).state == "warning"
    monkeypatch.setenv("TMUX", "/tmp/tmux-1/default,1,0")
    assert check.session(site(tmp_path, LSF)).state == "ok"


def test_a_profile_that_snakemake_refuses(tmp_path, monkeypatch):
    here = site(tmp_path, LSF + "jobs: many\n")
    monkeypatch.chdir(ROOT)
    finding = check.dry_run(here)
    assert finding.state == "wrong" and "jobs (--jobs, -j): must be integer" in finding.found


def test_profiles_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"profiles/lsf$"):
        read_site(tmp_path, tmp_path)
    with pytest.raises(InputError, match="is not YAML"):
        site(tmp_path, "executor: [lsf\n")
    with pytest.raises(InputError, match=r"config.yaml: rule train_base: runtime is '24:00'"):
        site(tmp_path, LSF, ("gpu_required: 1", "runtime: '24:00'"))
    with pytest.raises(InputError, match="under default-resources"):
        site(tmp_path, "default-resources:\n  - lsf_queue=normal\n")
    site(tmp_path, LSF)
    (tmp_path / "rules" / "all.smk").unlink()
    with pytest.raises(InputError, match="folder of the clone"):
        read_site(tmp_path / "profile", tmp_path / "rules")


def test_run_times_are_read_as_rules_and_profiles_state_them():
    stated = stated_resources(ROOT / "workflow" / "rules")
    assert {name for name, resources in stated.items() if resources.get("gpu")} == {
        "train_base",
        "train_round",
    }
    assert all(stated[name]["runtime"] > 0 for name in ("train_base", "build_shard"))
    assert (minutes(90), minutes("90m"), minutes("23h"), minutes("1d2h5m")) == (90, 90, 1380, 1565)
