"""Time-sortable ids (UUID version 7, RFC 9562 §5.7) made without a system call on the hot path.

A run keeps its id as an `int`; the `uuid.UUID` is built when somebody looks at it. The first 48
bits are milliseconds since the epoch, the rest a number drawn once per process with a counter
added, so ids of one process sort in the order they were made and two processes do not collide.
"""

import itertools
import os
import secrets
import time
from uuid import UUID

_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_COUNTER_BITS = 30


def _fresh_tails() -> "itertools.count[int]":
    """Count upwards from 31 random bits, shifted above 30 that are 0: ids never run out of them."""
    return itertools.count(_VERSION_AND_VARIANT | (secrets.randbits(31) << _COUNTER_BITS))


_tails = _fresh_tails()


def _after_fork() -> None:
    """Give a forked child a tail of its own, or it would repeat its parent's ids."""
    global _tails  # noqa: PLW0603 - one process-wide random part, renewed in a forked child
    _tails = _fresh_tails()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def new_id() -> int:
    """Return a fresh 128-bit id; ids made later in this process are larger."""
    return ((time.time_ns() // 1_000_000) << 80) | next(_tails)


def as_uuid(number: int) -> UUID:
    """Return the id as `uuid.UUID`."""
    return UUID(int=number)


def as_hex(number: int) -> str:
    """Return the id as 32 hex digits, the form used in files and messages."""
    return f"{number:032x}"
