"""Run one command of the stand-in: `__main__.py bsub …`, `__main__.py bjobs …`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from support.lsf_stub.commands import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
