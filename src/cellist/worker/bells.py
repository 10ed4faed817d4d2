"""Wake who waits for a queue in this process at once; other processes look every few milliseconds.

These bells are objects in memory. Those by which kernels wake each other are pipes, `engine.bells`.
"""

import os
import threading
from pathlib import Path
from weakref import WeakSet

_bells: dict[Path, "WeakSet[Bell]"] = {}
_lock = threading.Lock()


class Bell:
    """Wakes one thread."""

    def __init__(self, path: Path) -> None:
        self._event = threading.Event()
        with _lock:
            _bells.setdefault(path, WeakSet()).add(self)

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the bell is rung, at most so long; whether it was."""
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung


def ring(path: Path) -> None:
    """Wake all in this process who wait for a queue to change."""
    with _lock:
        found = list(_bells.get(path, ()))
    for bell in found:
        bell.ring()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - it may have been held by a thread that is not in the child
    _lock = threading.Lock()
    _bells.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
