"""Locks on cache keys: who may compute what a key stands for.

A lock has a holder, a text that says who; whoever gives the same text holds it too. Those of
one process are here, those that other processes see are in `leases`.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())


@runtime_checkable
class LockManager(Protocol):
    """What a lock manager must do. Times are in seconds, `None` is without limit."""

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock, waiting at most `acquire_timeout`; say whether the holder has it.

        After `hold_timeout` the lock is free again by itself.
        """
        ...

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Do the same without blocking the event loop."""
        ...

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lock back. Raises `ValueError` unless the holder has it."""
        ...

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock."""
        ...

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this holder has the lock."""
        ...

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock, at most `timeout`; say whether it is free."""
        ...

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Do the same without blocking the event loop."""
        ...


def not_held(key: str, holder: str) -> ValueError:
    """Return the error of releasing what one does not hold."""
    return ValueError(f"No lock on {key!r} is held by {holder!r}.")


@dataclass(slots=True, eq=False, repr=False)
class _Held:
    """A lock in force: whose, until when, and whom to wake when it is free."""

    holder: str
    until: float
    wakers: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])

    def wake_all(self) -> None:
        """Wake who waits for the lock; an event loop that was closed meanwhile needs no waking."""
        for wake in self.wakers:
            with suppress(RuntimeError):
                wake()


class MemoryLockManager:
    """Locks among the threads and event loops of this process; there is one for the process."""

    _instance: ClassVar["MemoryLockManager | None"] = None
    _mutex: ClassVar[Any] = threading.Lock()
    _held: ClassVar[dict[str, _Held]] = {}

    def __new__(cls) -> Self:
        """Return the one of this process."""
        with MemoryLockManager._mutex:
            if MemoryLockManager._instance is None:
                MemoryLockManager._instance = super().__new__(cls)
        return MemoryLockManager._instance  # pyright: ignore[reportReturnType] - the one there is

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock, waiting at most `acquire_timeout` seconds; say whether it is held."""
        return _wait(lambda wake: self._try(key, holder, hold_timeout, wake), acquire_timeout)

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock without blocking the event loop."""
        return await _await(
            lambda wake: self._try(key, holder, hold_timeout, wake), acquire_timeout
        )

    def release_lock(self, key: str, holder: str) -> None:
        """Give the lock back. Raises `ValueError` unless the holder has it."""
        with self._mutex:
            held = self._current(key)
            if held is None or held.holder != holder:
                raise not_held(key, holder)
            del self._held[key]
        held.wake_all()

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock."""
        with self._mutex:
            return self._current(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether this holder has the lock."""
        with self._mutex:
            held = self._current(key)
            return held is not None and held.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock, at most `timeout` seconds; say whether it is free."""
        return _wait(lambda wake: self._free(key, wake), timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait without blocking the event loop."""
        return await _await(lambda wake: self._free(key, wake), timeout)

    def _current(self, key: str) -> _Held | None:
        """Return the lock in force; one whose time is up is gone."""
        held = self._held.get(key)
        if held is not None and held.until <= time.monotonic():
            del self._held[key]
            held.wake_all()
            return None
        return held

    def _try(
        self, key: str, holder: str, hold: float | None, wake: Callable[[], object]
    ) -> float | None:
        """Take the lock and return `None`, or have `wake` called and return when to look again."""
        with self._mutex:
            held = self._current(key)
            if held is None:
                until = time.monotonic() + hold if hold is not None else float("inf")
                self._held[key] = _Held(holder, until)
                return None
            if held.holder == holder:
                return None
            held.wakers.append(wake)
            return held.until

    def _free(self, key: str, wake: Callable[[], object]) -> float | None:
        with self._mutex:
            held = self._current(key)
            if held is None:
                return None
            held.wakers.append(wake)
            return held.until


_Attempt = Callable[[Callable[[], object]], float | None]


def _wait(attempt: _Attempt, timeout: float | None) -> bool:
    """Attempt again whenever woken or due, until it succeeds or `timeout` seconds passed."""
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    woken = threading.Event()
    while (again := attempt(woken.set)) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        woken.wait(_seconds(min(left, again - time.monotonic())))
        woken.clear()
    return True


async def _await(attempt: _Attempt, timeout: float | None) -> bool:
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    while (again := attempt(wake)) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(_seconds(min(left, again - time.monotonic()))):
                await woken.wait()
        except TimeoutError:
            pass
        woken.clear()
    return True


def _seconds(left: float) -> float | None:
    return None if left == float("inf") else max(left, 0.0)
