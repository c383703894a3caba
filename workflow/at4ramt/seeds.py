"""One named seed per purpose, so that no two draws ever share a stream."""

from __future__ import annotations

import hashlib


def purpose_seed(base: int, purpose: str, *keys: str | int) -> int:
    """Return a 63-bit seed for one purpose.

    ``base`` is the run's seed, ``purpose`` names what is drawn (for example
    ``"level search"``), ``keys`` tell apart repetitions of it, such as a round
    or a piece. Any difference in them gives an unrelated seed.
    """
    text = "\x1f".join([str(base), purpose, *(f"{type(key).__name__}:{key}" for key in keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
