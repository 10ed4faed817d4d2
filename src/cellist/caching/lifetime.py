"""What happens to stores when the process ends or forks.

At the end every store gets a bounded time to write what waits. A fork while another thread is
inside a transaction would leave a child that can never write, so a fork waits for the locks; the
child starts over with connections of its own.
"""

import atexit
import os
from typing import Any, Protocol
from weakref import WeakSet

_EXIT_SECONDS = 5.0


class Store(Protocol):
    """What this module needs of a store."""

    def flush(self, timeout: float | None = None) -> None:
        """Write what waits to be written."""

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks, in the order to take them."""
        ...

    def after_fork(self) -> None:
        """Start over in a forked child."""


_stores: WeakSet[Store] = WeakSet()
_held: list[Any] = []


def watch(store: Store) -> None:
    """Look after a store for as long as somebody uses it."""
    _stores.add(store)


def _flush_all() -> None:
    for store in list(_stores):
        store.flush(_EXIT_SECONDS)


def _before_fork() -> None:
    for store in list(_stores):
        for lock in store.locks():
            lock.acquire()
            _held.append(lock)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for store in list(_stores):
        store.after_fork()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
