"""Threads that are kept and used again, and code in them that can be asked to stop.

Starting a thread costs some 50 µs, so idle ones wait for the next piece of work for a while. All
are daemons: code that cannot be stopped must not keep the interpreter from ending.

Pure Python code in a thread is stopped by an exception that the interpreter raises in it
(`PyThreadState_SetAsyncExc`). A blocking call in C does not notice; such code is left to run on
and the board says so.
"""

import itertools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cellist.model.later import later

if TYPE_CHECKING:
    from cellist.engine import stopping
else:
    stopping = later("cellist.engine.stopping", globals())

_IDLE_SECONDS = 10.0
_numbers = itertools.count(1)
_idle: list["Worker"] = []
_idle_lock = threading.Lock()
_here = threading.local()
_blocked: dict[int, threading.Event] = {}
"""What threads block on, in `block`."""


class Worker:
    """One thread. `run` hands it a function; `stop` stops the code it is running for somebody."""

    __slots__ = ("_lock", "_ready", "_work", "ident", "is_away", "owner", "pool")

    def __init__(self) -> None:
        self._work: Callable[[], object] | None = None
        self._ready = threading.Lock()
        self._ready.acquire()  # held while there is no work for it; a semaphore is much slower
        self._lock = threading.Lock()
        self.owner: Any = None
        """Whom the user code running now belongs to; `None` between pieces of user code."""
        self.pool: Any = None
        """The pool in which the worker has a place."""
        self.is_away = False
        """Whether the worker waits and its place is given to other work meanwhile."""
        self.ident = 0
        thread = threading.Thread(
            target=self._loop, name=f"cellist-worker-{next(_numbers)}", daemon=True
        )
        thread.start()

    def run(self, work: Callable[[], object]) -> None:
        """Have the thread call a function that does not raise."""
        self._work = work
        self._ready.release()

    def _loop(self) -> None:
        self.ident = threading.get_ident()
        _here.worker = self
        while True:
            if not self._ready.acquire(timeout=_IDLE_SECONDS):
                with _idle_lock:
                    if self in _idle:
                        _idle.remove(self)
                        return
                continue
            work, self._work = self._work, None
            try:
                if work is not None:
                    work()
            except stopping.CodeStopped:
                pass  # a stop that came a moment too late
            work = None
            with _idle_lock:
                _idle.append(self)

    def call(self, owner: Any, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call user code in this thread on behalf of `owner`, so that `stop(owner)` finds it."""
        before = self.owner
        self.owner = owner
        try:
            return fn(*args, **kwargs)
        finally:
            with self._lock:
                self.owner = before
            _checkpoint()

    def stop(self, owner: Any) -> bool:
        """Raise `CodeStopped` in the owner's code if it is what runs now; say whether it is."""
        with self._lock:
            if self.owner is not owner:
                return False
            stop_code_in(self.ident)
            return True


def stop_code_in(ident: int) -> None:
    """Have the interpreter raise `CodeStopped` in a thread when it next runs Python code."""
    import ctypes  # not with the module: most sessions stop nothing

    kind = ctypes.py_object(stopping.CodeStopped)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), kind)
    event = _blocked.get(ident)
    if event is not None:
        event.set()  # a blocking call does not notice by itself


def _checkpoint() -> None:
    """Give a pending stop the chance to be raised: the interpreter looks when it enters this."""


def this_worker() -> Worker | None:
    """Return the worker whose thread this is."""
    return getattr(_here, "worker", None)


def block(event: threading.Event, timeout: float | None = None) -> None:
    """Wait for an event, at most `timeout` seconds, such that a stop of the code ends the wait."""
    ident = threading.get_ident()
    _blocked[ident] = event
    try:
        event.wait(timeout)
    finally:
        _blocked.pop(ident, None)


@contextmanager
def place_released() -> Generator[None]:
    """Give the place of the worker whose thread this is, if any, to other work."""
    worker = this_worker()
    pool = worker.pool if worker is not None else None
    if pool is None:
        yield
        return
    with pool.released(worker):
        yield


def borrow() -> Worker:
    """Return an idle worker, or a new one."""
    with _idle_lock:
        if _idle:
            return _idle.pop()
    return Worker()


def run_in_thread(work: Callable[[], object]) -> Worker:
    """Call a function that does not raise in some thread, and return whose."""
    worker = borrow()
    worker.run(work)
    return worker
