"""What a job says: the same lines in the terminal and in the rule's log."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType

from at4ramt.errors import InputError, remedy


def start_log(path: str | Path, job: str) -> logging.Logger:
    """Return the logger of one job, writing to ``path`` and to standard error.

    ``job`` names the job in the terminal, where several jobs share the screen.
    An uncaught exception ends the log with its traceback; for an
    :class:`InputError`, and where the system refused to read or write, the
    terminal gets the message alone.
    """
    logger = logging.getLogger("at4ramt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(path, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setFormatter(logging.Formatter(f"[{job}] %(message)s"))
    logger.addHandler(to_file)
    logger.addHandler(to_terminal)

    def report_crash(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if message := str(error) if issubclass(kind, InputError) else remedy(error):
            to_terminal.handle(
                logger.makeRecord(logger.name, logging.ERROR, "", 0, f"ERROR: {message}", (), None)
            )
            to_file.handle(
                logger.makeRecord(
                    logger.name, logging.ERROR, "", 0, message, (), (kind, error, trace)
                )
            )
        else:
            logger.error("the job failed", exc_info=(kind, error, trace))

    sys.excepthook = report_crash
    logging.captureWarnings(True)
    warnings = logging.getLogger("py.warnings")
    warnings.handlers = [to_file]
    return logger
