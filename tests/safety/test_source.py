"""Nothing in our sources runs what it reads, starts a shell or asks the network but by pip and npm.

Every module, script and rule is looked through as a syntax tree: what it imports and which programs
it starts has to be on a list, and what could run data is looked for under whatever name it was
imported. Rules are first made into Python by Snakemake's own parser. Each kind is planted once, so
that the search is known to find it.
"""

from __future__ import annotations

import ast
import inspect
import io
import string
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from snakemake.parser import parse

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("workflow/at4ramt", "workflow/scripts", "envs", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]

# Whole packages; of the standard library, modules one by one. None of them unpickles (joblib,
# torch), starts programs (asyncio, pty) or asks the network (urllib.request, urllib3), but what
# DENIED takes back.
PACKAGES = {
    *("at4ramt", "basic_pitch", "benchmarks", "colorednoise", "h5py", "jax", "jsonschema", "keras"),
    *("librosa", "matplotlib", "mido", "mir_eval", "numpy", "onnx", "onnxruntime", "packaging"),
    *("pandas", "psutil", "pyarrow", "scipy", "seaborn", "soundfile", "soxr", "tensorflow", "yaml"),
}
STANDARD = {
    *("__future__", "argparse", "ast", "base64", "collections", "collections.abc", "contextlib"),
    *("csv", "dataclasses", "datetime", "difflib", "errno", "fcntl", "functools", "getpass"),
    *("gzip", "hashlib", "html", "importlib.metadata", "io", "itertools", "json", "logging"),
    *("lzma", "math", "os", "pathlib", "platform", "re", "resource", "shlex", "shutil", "signal"),
    *("socket", "stat", "statistics", "struct", "subprocess", "sys", "tarfile", "tempfile"),
    *(
        "textwrap",
        "threading",
        "time",
        "tokenize",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        "uuid",
        "warnings",
    ),
    *("zipfile", "zlib"),
}
IN_RULES = frozenset(
    {"snakemake.exceptions", "snakemake.logging", "snakemake.settings.types", "snakemake.utils"}
)
# Called or only named.
DENIED = [
    *("eval", "exec", "compile", "__import__", "importlib.[!m]*", "importlib.mac*"),
    *("os.system", "os.popen", "os.startfile", "os.exec*", "os.spawn*", "os.posix_spawn*"),
    *("os.fork*", "subprocess.call", "subprocess.check_*", "subprocess.get*"),
    *("socket.[!g]*", "socket.get[!h]*", "socket.gethostby*"),
    *("*.get_file", "onnx.hub", "onnx.hub.*", "librosa.ex", "librosa.example*"),
    *("tempfile.mktemp", "shutil.unpack_archive", "keras.config.enable_unsafe_deserialization"),
    *("yaml.unsafe_*", "yaml.full_*", "yaml.Loader", "yaml.CLoader"),
    *("yaml.Unsafe*", "yaml.CUnsafe*", "yaml.Full*", "yaml.CFull*"),
]
# Each in one place, for a reason.
EXEMPT = {
    # Functions of the benchmarks, by their names, in a process of their own.
    "benchmarks/measure.py": {"importlib", "importlib.import_module"}
}
# Whatever they are called on. Series.str.extract takes a pattern, not an archive.
UNSAFE_METHODS = {
    *("extractall", "extract", "read_pickle", "to_pickle", "read_hdf", "unpack_archive"),
    *("enable_unsafe_deserialization", "eval"),
}
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}
# A value that is no constant may be any, so only the safe constant will do.
SAFE_OPTIONS = {"shell": False, "allow_pickle": False, "safe_mode": True, "verify": True}

# What starts a program: its first argument is the command, or its first word.
STARTERS = {"subprocess.run", "subprocess.Popen"}
# Ours, which hand their first argument on to those.
HANDING_ON = {"at4ramt.cluster.site.ask", "benchmarks.measure.command"}
START_OPTIONS = {
    *("capture_output", "check", "cwd", "encoding", "env", "errors", "stderr", "stdin", "stdout"),
    *("text", "timeout"),
}
# The first word of a command: a name, or the expression that makes it.
PROGRAMS = {
    *("'git'", "'snakemake'", "'taskset'", "sys.executable", "benchmarks.features.snakemake()"),
    # Of our environments, or being put into one.
    *("str(npm)", "str(venv / 'bin' / 'python')", "str(bin_folder / 'python')"),
    *("str(bin_folder / 'uv')", "options.peer", "peer"),
    # Of LSF, Slurm and their sites.
    *("'awk'", "'badmin'", "'bhosts'", "'bjobs'", "'bqueues'", "'lquota'", "'lsclusters'"),
    *("'lsinfo'", "'sacct'", "'sacctmgr'", "'scontrol'", "'sinfo'", "'sshare'"),
}


class Module:
    """A module as a tree, with what its names stand for."""

    def __init__(self, source: str, name: str) -> None:
        self.tree = ast.parse(source)
        self.meant: dict[str, set[str]] = {}
        self.assigned: dict[str, list[ast.expr]] = {}
        self.returned: dict[str, list[ast.expr]] = {}
        self.within: dict[ast.AST, str] = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                self.meant[node.name] = {f"{name}.{node.name}"}
                self.within |= dict.fromkeys(ast.walk(node), f"{name}.{node.name}")
        for node in ast.walk(self.tree):
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                self.meant.setdefault(name, set()).add(alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                of = f"{node.module}.{alias.name}"
                self.meant.setdefault(alias.asname or alias.name, set()).add(of)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                # Of several, the first: a command, and what goes with it.
                first = target.elts[0] if isinstance(target, ast.Tuple) else target
                if isinstance(first, ast.Name):
                    self.assigned.setdefault(first.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            self.assigned.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.FunctionDef):
            returns = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
            self.returned.setdefault(node.name, []).extend(each for each in returns if each)

    def meanings(self, node: ast.AST) -> set[str]:
        """Return the full names that a name, an attribute or a getattr may stand for."""
        if isinstance(node, ast.Name):
            return self.meant.get(node.id, {node.id})
        if isinstance(node, ast.Attribute):
            return {f"{of}.{node.attr}" for of in self.meanings(node.value)}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            of, name, *other = node.args
            found = {each for default in other for each in self.meanings(default)}
            if isinstance(name, ast.Constant):
                found |= {f"{each}.{name.value}" for each in self.meanings(of)}
            return found
        return set()

    def first_words(self, node: ast.expr, known: frozenset[str] = frozenset()) -> Iterator[str]:
        """Yield what a command may begin with, by all that is assigned to its name anywhere."""
        if isinstance(node, ast.Starred):
            yield from self.first_words(node.value, known)
        elif isinstance(node, (ast.List, ast.Tuple)) and node.elts:
            yield from self.first_words(node.elts[0], known)
        elif isinstance(node, ast.IfExp):
            yield from self.first_words(node.body, known)
            yield from self.first_words(node.orelse, known)
        elif isinstance(node, ast.ListComp):
            yield from self.first_words(node.generators[0].iter, known)
        elif isinstance(node, ast.Name) and (node.id in self.assigned or node.id in known):
            for value in self.assigned[node.id] if node.id not in known else ():
                yield from self.first_words(value, known | {node.id})
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            made = self.returned.get(node.func.id, [])
            for value in made:
                yield from self.first_words(value, known)
            if not made:
                called = self.meanings(node.func)
                builtin = called == {node.func.id}
                yield ast.unparse(node) if builtin else f"{', '.join(called)}()"
        else:
            yield ast.unparse(node)


def findings(source: str, name: str = "planted", also: frozenset[str] = frozenset()) -> list[str]:
    """Return what is unsafe in a module; ``also`` are modules it may import beside the listed."""
    module = Module(source, name)
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            reasons = list(of_import(node, also))
        elif isinstance(node, (ast.Name, ast.Attribute)):
            reasons = [each for each in module.meanings(node) if is_denied(each)]
        elif isinstance(node, ast.Call):
            reasons = list(of_call(node, module))
        else:
            continue
        found += [f"line {node.lineno}: {reason}" for reason in reasons]
    return found


def is_denied(name: str) -> bool:
    """Return whether a full name is one of DENIED."""
    return any(fnmatchcase(name, pattern) for pattern in DENIED)


def of_import(node: ast.Import | ast.ImportFrom, also: frozenset[str]) -> Iterator[str]:
    """Yield what is imported and is on no list."""

    def listed(name: str) -> bool:
        return name in STANDARD | also or name.split(".")[0] in PACKAGES

    for alias in node.names:
        if isinstance(node, ast.Import):
            if not listed(alias.name):
                yield alias.name
            continue
        name = f"{node.module}.{alias.name}"
        known = not node.level and (listed(node.module or "") or listed(name))
        if not known or alias.name == "*" or is_denied(name):
            yield name


def of_call(node: ast.Call, module: Module) -> Iterator[str]:
    """Yield what is unsafe about a call."""
    text = ast.unparse(node.func)
    options = {keyword.arg: keyword.value for keyword in node.keywords}
    called = module.meanings(node.func)
    if text == "getattr":
        yield from (each for each in module.meanings(node) if is_denied(each))
    if isinstance(node.func, ast.Attribute):
        holder = ast.unparse(node.func.value)
        if node.func.attr in UNSAFE_METHODS and not holder.endswith(".str"):
            yield text
    for option, safe in SAFE_OPTIONS.items():
        if option in options and ast.unparse(options[option]) != str(safe):
            yield f"{text} with {option}={ast.unparse(options[option])}"
    if called & {"yaml.load", "yaml.load_all"}:
        yield from of_yaml(node, options, module)
    if any(each.startswith("keras.") and each.endswith(".load_model") for each in called) and (
        "safe_mode" not in options
    ):
        yield f"{text} without safe_mode=True"
    if "numpy.load" in called and (len(node.args) > 1 or None in options):
        yield f"{text} with options by their places, or unnamed"
    if called & (STARTERS | HANDING_ON):
        yield from of_start(node, module)
    if called & STARTERS and (unknown := {str(each) for each in options} - START_OPTIONS):
        yield f"{text} with {', '.join(sorted(unknown))}"


def of_yaml(node: ast.Call, options: dict[str | None, ast.expr], module: Module) -> Iterator[str]:
    """Yield the loader of a call of yaml.load if it is not safe."""
    loader = options.get("Loader", node.args[1] if len(node.args) == 2 else None)
    if isinstance(loader, ast.Name) and loader.id in module.assigned:
        (loader, *more) = module.assigned[loader.id]
        loader = None if more else loader
    meant = module.meanings(loader) if loader else set()
    if not meant or meant - SAFE_LOADERS:
        yield f"yaml.load with the loader {', '.join(meant) or 'none'}"


def of_start(node: ast.Call, module: Module) -> Iterator[str]:
    """Yield the programs a call starts that are on no list."""
    if not node.args:
        yield f"{ast.unparse(node.func)} without a command"
        return
    # What these are given is looked at where they are called.
    handed_on = {"command", "arguments"} if module.within.get(node) in HANDING_ON else set()
    for word in module.first_words(node.args[0]):
        if word not in PROGRAMS | handed_on:
            yield f"starts {word}"


@cache
def compiled(source: str) -> str:
    """Return a file of rules as the Python that Snakemake makes of it."""
    opened = SimpleNamespace(open=lambda path: io.StringIO(source))
    path = SimpleNamespace(get_path_or_uri=lambda **_: "rules.smk")
    return parse(path, SimpleNamespace(sourcecache=opened), {})[0]


def rule_findings(source: str) -> list[str]:
    """Return what is unsafe in a file of rules, and what a shell would read as it is."""
    python = compiled(source)
    found = findings(python, also=IN_RULES)
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "shell":
            found += of_command(node.args[0])
    return found


def of_command(command: ast.expr) -> Iterator[str]:
    """Yield what a shell would not see quoted."""
    if not isinstance(command, ast.Constant):
        yield f"a command made of {ast.unparse(command)}"
        return
    for _, name, form, _ in string.Formatter().parse(str(command.value)):
        # A number of Snakemake's own.
        if name is not None and form != "q" and name != "threads":
            yield f"{{{name}}} unquoted"


def name_of(path: Path) -> str:
    """Return what a module is imported as."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "workflow" else parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_what_it_reads(path):
    found = findings(path.read_text(encoding="utf-8"), name_of(path))
    exempt = EXEMPT.get(str(path.relative_to(ROOT)), set())
    assert [each for each in found if each.partition(": ")[2] not in exempt] == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_no_rule_hands_a_name_to_a_shell(path):
    assert rule_findings(path.read_text(encoding="utf-8")) == []


def test_every_program_that_is_listed_is_started():
    """What nobody starts any more is taken off the list."""
    started = set()
    for path in MODULES:
        module = Module(path.read_text(encoding="utf-8"), name_of(path))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and module.meanings(node.func) & (STARTERS | HANDING_ON):
                started |= set(module.first_words(node.args[0]))
    assert set(PROGRAMS) <= started


def test_numpy_refuses_pickle_where_nothing_is_said():
    assert inspect.signature(np.load).parameters["allow_pickle"].default is False


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import marshal",
        "import runpy",
        "import asyncio",
        "import urllib3",
        "import torch.serialization",
        "import urllib.request as web",
        "import snakemake.shell",
        "from joblib import load",
        "from urllib import request",
        "from os import system",
        "from os import *",
        "from socket import create_connection",
        "from importlib import import_module",
        "from . import something",
        "eval(text)",
        "list(map(eval, lines))",
        "def f():\n    exec(text)",
        "import os\nos.system('ls')",
        "import os\nos.execvp(program, words)",
        "import os\nrun = os.posix_spawn",
        "import os\ngetattr(os, 'popen')(line)",
        "import importlib.metadata\nimportlib.import_module(name)",
        "import socket\nsocket.create_connection(place)",
        "import socket as net\nnet.socket()",
        "import socket\nsocket.gethostbyname(host)",
        "import keras\nkeras.utils.get_file(name, url)",
        "import subprocess\nsubprocess.run([sys.executable], shell=True)",
        "import subprocess\nsubprocess.run([sys.executable], shell=1)",
        "import subprocess\nsubprocess.run([sys.executable], shell=chosen)",
        "import subprocess\nsubprocess.run([sys.executable], **options)",
        "import subprocess\nsubprocess.run([sys.executable], executable=shell)",
        "import subprocess\nsubprocess.run(['sh', '-c', line])",
        "import subprocess\nsubprocess.run(['curl', url])",
        "import subprocess\nsubprocess.run('sh')",
        "import subprocess\nsubprocess.run(command)",
        "import subprocess\nsubprocess.run(args=command)",
        "import subprocess as sp\nwords = ['-c', line]\nsp.Popen(['bash', *words])",
        "from subprocess import run\ndef f():\n    x = ['sh']\n    x += line\n    run(x)",
        "import subprocess\ndef f():\n    return ['wget'], {}\nx, y = f()\nsubprocess.run(x)",
        "import subprocess\nsubprocess.check_output(['git'])",
        "from at4ramt.cluster.site import ask\nask('ssh', host)",
        "from benchmarks.measure import command\ncommand(['git'] if known else ['sh', line])",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, allow_pickle=not strict)",
        "import numpy as np\nnp.load(path, None, True)",
        "from numpy import load\nload(path, **options)",
        "import pandas as pd\npd.read_pickle(path)",
        "table.eval(text)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, yaml.FullLoader)",
        "import yaml\nLOADER = yaml.Loader\nyaml.load(text, Loader=LOADER)",
        "import yaml\nLOADER = getattr(yaml, 'CLoader', yaml.SafeLoader)\nyaml.load(text, LOADER)",
        "from yaml import load, Loader\nload(text, Loader=Loader)",
        "from yaml import load, Loader\nload(text, Loader)",
        "from yaml import unsafe_load as safe_load\nsafe_load(text)",
        "import tarfile\nwith tarfile.open(path) as opened:\n    opened.extractall(folder)",
        "import zipfile\nzipfile.ZipFile(path).extract(name)",
        "import shutil\nshutil.unpack_archive(path)",
        "import keras\nkeras.models.load_model(path)",
        "import keras\nkeras.models.load_model(path, safe_mode=False)",
        "from keras.models import load_model\nload_model(path)",
        "from keras.saving import load_model as load\nload(path, **options)",
        "import keras\nkeras.config.enable_unsafe_deserialization()",
        "import tempfile\ntempfile.mktemp()",
        "fetch(url, verify=False)",
    ],
)
def test_what_is_planted_is_found(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "import yaml\nLOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)\n"
        "yaml.load(text, Loader=LOADER)",
        "import yaml\nyaml.safe_load(text)",
        "import re\nre.compile(pattern)",
        "import socket\nsocket.gethostname()",
        "works.str.extract('(a)')",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "import keras\nkeras.models.load_model(path, safe_mode=True)",
        "from at4ramt.training.model_file import load_model\nload_model(path)",
        "import subprocess\nimport sys\nsubprocess.run([sys.executable, name], check=True)",
        "import subprocess\ndef f():\n    command = ['git', *words]\n"
        "    command += ['--', name]\n    subprocess.run(command)",
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
        'rule a:\n    shell: "cat {input}"\n',
        'rule a:\n    shell:\n        "cat # {input}"\n',
        "rule a:\n    shell:\n        \"echo '#'; cat {input}\"\n",
        'rule a:\n    shell:\n        "cat " + NAME\n',
        'rule a:\n    shell:\n        f"cat {NAME}"\n',
        "rule a:\n    run:\n        shell('ls {input}')\n",
        "rule a:\n    run:\n        subprocess.run(input[0], shell=1)\n",
        "import subprocess\nsubprocess.run(['sh', '-c', config['a']])\n",
        "x = eval(config['a'])\n",
        "import pickle\n",
    ],
)
def test_what_is_planted_in_a_rule_is_found(source):
    assert rule_findings(source)


def test_a_quoted_command_is_let_be():
    assert (
        rule_findings('rule a:\n    shell:\n        "cat {input:q} > {output.x:q} {threads}"\n')
        == []
    )
