"""Nothing in our sources runs what it reads: no pickle, no eval, no shell, no unpacking to disk.

Each kind of call that could is looked for in the syntax tree of every module, script and rule, and
each is planted once, so that the search is known to find it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("workflow/at4ramt", "workflow/scripts", "envs", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]

# Reading with these runs what the file says, or they ask the network past pip and npm.
UNSAFE_MODULES = {
    *(
        "pickle",
        "cPickle",
        "_pickle",
        "dill",
        "cloudpickle",
        "joblib",
        "shelve",
        "marshal",
        "torch",
    ),
    *("requests", "httpx", "aiohttp", "ftplib", "telnetlib", "smtplib", "xmlrpc"),
    *("urllib.request", "http.client", "http.server"),
}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp"),
    *("shutil.unpack_archive", "keras.config.enable_unsafe_deserialization"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"),
    *("ssl._create_unverified_context", "logging.config.listen"),
}
# Whatever they are called on. Series.str.extract takes a pattern, not an archive.
UNSAFE_METHODS = {
    *("extractall", "extract", "read_pickle", "to_pickle", "read_hdf", "unpack_archive"),
    *("enable_unsafe_deserialization", "eval"),
}
SAFE_LOADERS = {
    *("yaml.SafeLoader", "yaml.CSafeLoader"),
    "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)",
}
# A value that is no constant may be any, so only the safe constant will do.
SAFE_OPTIONS = {"shell": False, "allow_pickle": False, "safe_mode": True, "verify": True}


def findings(source: str) -> list[str]:
    """Return the unsafe calls and imports of a module, with their lines."""
    tree = ast.parse(source)
    names = {
        target.id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            reasons = [alias.name for alias in node.names if is_unsafe_module(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            of = node.module or ""
            members = [f"{of}.{alias.name}" for alias in node.names]
            reasons = [of] if is_unsafe_module(of) else []
            reasons += [name for name in members if is_unsafe_module(name) or name in UNSAFE_CALLS]
        elif isinstance(node, ast.Call):
            reasons = list(of_call(node, names))
        else:
            continue
        found += [f"line {node.lineno}: {reason}" for reason in reasons]
    return found


def is_unsafe_module(name: str) -> bool:
    """Return whether a module, or the package it is in, is one of UNSAFE_MODULES."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in UNSAFE_MODULES for end in range(1, len(parts) + 1))


def of_call(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    """Yield what is unsafe about a call; ``names`` are the module's constants, as source."""
    called = ast.unparse(node.func)
    options = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    if called in UNSAFE_CALLS:
        yield called
    if isinstance(node.func, ast.Attribute):
        holder = ast.unparse(node.func.value)
        if node.func.attr in UNSAFE_METHODS and not holder.endswith(".str"):
            yield called
    if called in ("yaml.load", "yaml.load_all"):
        loader = ast.unparse(options["Loader"]) if "Loader" in options else "none"
        if names.get(loader, loader) not in SAFE_LOADERS:
            yield f"{called} with the loader {loader}"
    if called in ("keras.models.load_model", "keras.saving.load_model") and (
        "safe_mode" not in options
    ):
        yield f"{called} without safe_mode=True"
    for option, safe in SAFE_OPTIONS.items():
        if option in options and ast.unparse(options[option]) != str(safe):
            yield f"{called} with {option}={ast.unparse(options[option])}"


def rule_findings(source: str) -> list[str]:
    """Return what is unsafe in a file of rules, which is no Python that ast would read."""
    code = re.sub(r"#.*", "", source)
    unsafe = (
        r"\b(?:eval|exec|pickle|extractall|unsafe_load)\b|\bos\.(?:system|popen)\b|shell\s*=\s*True"
    )
    found = re.findall(unsafe, code)
    found += re.findall(r"\bshell\(", code)
    # A value that a shell is to read as it is must be a number of Snakemake's own.
    for command in re.findall(r"(?m)^ +shell:\n((?: {8,}.*\n|\n)+)", code):
        placed = re.findall(r"\{([^{}]*)\}", command)
        found += [
            f"{{{each}}} unquoted"
            for each in placed
            if not each.endswith(":q") and each != "threads"
        ]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_what_it_reads(path):
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_no_rule_hands_a_name_to_a_shell(path):
    assert rule_findings(path.read_text(encoding="utf-8")) == []


def test_numpy_refuses_pickle_where_nothing_is_said():
    assert inspect.signature(np.load).parameters["allow_pickle"].default is False


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch.serialization",
        "from urllib import request",
        "import urllib.request as web",
        "from os import system",
        "eval(text)",
        "def f():\n    exec(text)",
        "os.system('ls')",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=chosen)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=not strict)",
        "pd.read_pickle(path)",
        "table.eval(text)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.FullLoader)",
        "LOADER = yaml.Loader\nyaml.load(text, Loader=LOADER)",
        "yaml.unsafe_load(text)",
        "with tarfile.open(path) as opened:\n    opened.extractall(folder)",
        "zipfile.ZipFile(path).extract(name)",
        "shutil.unpack_archive(path)",
        "keras.models.load_model(path)",
        "keras.models.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
        "tempfile.mktemp()",
        "fetch(url, verify=False)",
    ],
)
def test_what_is_planted_is_found(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)\nyaml.load(text, Loader=LOADER)",
        "yaml.safe_load(text)",
        "works.str.extract('(a)')",
        "np.load(path, allow_pickle=False)",
        "keras.models.load_model(path, safe_mode=True)",
        "subprocess.run([program, name])",
        "opened.extractfile(name)",
    ],
)
def test_what_is_safe_is_let_be(source):
    assert findings(source) == []


@pytest.mark.parametrize(
    "source",
    [
        'rule a:\n    shell:\n        "cat {input} > {output:q}"\n',
        'rule a:\n    shell:\n        "ls {wildcards.piece}"\n',
        "rule a:\n    run:\n        shell('ls {input}')\n",
        "x = eval(config['a'])",
        "import pickle",
    ],
)
def test_what_is_planted_in_a_rule_is_found(source):
    assert rule_findings(source)


def test_a_quoted_command_is_let_be():
    assert (
        rule_findings('rule a:\n    shell:\n        "cat {input:q} > {output.x:q} {threads}"\n')
        == []
    )
