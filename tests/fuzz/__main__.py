"""Search for cases of one reader, led by the coverage of its code (atheris), for any time.

    PYTHONPATH=workflow:tests .venv/bin/python -m fuzz READER --seconds 600

What leads to new code is kept in a folder outside the repository and is where the next search
begins. A case that is a finding is written beside it, and its path is the last line: mend the
reader, and put the file into tests/fuzz/regressions/READER.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from fuzz import READERS

FOUND, NOT_FOUND = 1, 0
LONGEST_CASE_SECONDS = 120
PATIENCE_SECONDS = 60
"""So much longer a search goes on that has not led to new code once: the machine is busy."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument(
        "--drawn",
        action="store_true",
        help="let bytes choose what is drawn, instead of being the file",
    )
    parser.add_argument("--corpus", type=Path, help="folder of what was found to lead further")
    options = parser.parse_args()

    import atheris

    # atheris sees only what is imported after it.
    for name in [name for name in sys.modules if name.split(".")[0] == "at4ramt"]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["at4ramt"]):
        reader = importlib.import_module(f"fuzz.readers.{options.reader}").READER
    from hypothesis import HealthCheck, given, settings

    from fuzz import harness
    from fuzz.harness import Finding, run_case

    corpus = options.corpus or Path(tempfile.gettempdir()) / "at4ramt-fuzz" / reader.name
    found = corpus.with_name(f"{corpus.name}-found")
    kept, begin = corpus / ("drawn" if options.drawn else "files"), corpus / "seeds"
    for folder in (kept, begin):
        folder.mkdir(parents=True, exist_ok=True)
    files = list(reader.seeds().values())
    files += [path.read_bytes() for path in reader.regressions().values()]
    if options.drawn:
        # Choices to begin with: of a few bytes nothing can be drawn.
        files = [random.Random(number).randbytes(1024) for number in range(32)]
        begin = corpus / "choices"
        begin.mkdir(exist_ok=True)
    for data in files:
        (begin / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    harness.libfuzzer_watches = True
    counts = {True: 0, False: 0}
    started = time.monotonic()

    def led() -> int:
        # What the search keeps of its own: without coverage it keeps nothing.
        return sum(1 for _ in kept.iterdir())

    def end(status: int) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{reader.name}{' (drawn)' if options.drawn else ''}: {sum(counts.values())} cases in "
            f"{time.monotonic() - started:.0f} s, {counts[True]} taken, {counts[False]} refused, "
            f"{status} findings, {led()} led to new code, {peak} MB",
            flush=True,
        )
        # Not sys.exit: libFuzzer would take it for a case that ends the process.
        os._exit(status)

    def one(data: bytes) -> None:
        try:
            counts[run_case(reader, data)] += 1
        except Finding:
            found.mkdir(parents=True, exist_ok=True)
            path = found / hashlib.sha256(data).hexdigest()[:16]
            path.write_bytes(data)
            traceback.print_exc()
            print(path, flush=True)
            end(FOUND)

    if options.drawn:
        every = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
        draw = every(given(reader.drawn())(one)).hypothesis.fuzz_one_input
    else:
        draw = one

    def target(data: bytes) -> None:
        draw(data)
        over = time.monotonic() - started - options.seconds
        if over > PATIENCE_SECONDS or (over > 0 and led()):
            end(NOT_FOUND)

    arguments = [
        sys.argv[0],
        f"-max_len={4096 if options.drawn else reader.largest}",
        f"-timeout={LONGEST_CASE_SECONDS}",
        "-rss_limit_mb=3072",
        "-verbosity=0",
        f"-artifact_prefix={found}.",
        *([f"-seed={options.seed}"] if options.seed else []),
        str(kept),
        str(begin),
    ]
    atheris.Setup(arguments, target)
    atheris.Fuzz()
    return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main())
