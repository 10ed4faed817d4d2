"""The session: what the runs of one process share.

There is one per process, made when the first run starts. It owns the sinks that events go to, the
history, the result store, the guard of the stop button and the table of live executions through
which a run is cancelled or its retry brought forward from outside. Tasks and flows know no
session; a test can exchange it (`cellist.testing`).
"""

import atexit
import inspect
import os
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cellist import settings
from cellist.caching.limit_tables import LimitTable
from cellist.caching.store import ResultStore
from cellist.caching.stores import Stores
from cellist.engine.commands import Err, Outcome
from cellist.engine.errors import own_frame
from cellist.engine.execution import Execution, FlowExecution
from cellist.engine.interrupts import Guard
from cellist.engine.limits import Limits
from cellist.engine.pausing import Desk, cancel_pause
from cellist.engine.shared_limits import SharedLimits
from cellist.exceptions import CancelledRun, ObjectNotFound, QueueError
from cellist.history import History
from cellist.kept_calls import Keeper
from cellist.model.events import Event
from cellist.model.ids import as_hex
from cellist.model.locations import home
from cellist.model.runs import Run
from cellist.model.states import CANCELLING, RUNNING, State
from cellist.recording import unrecorded
from cellist.replaying import Front
from cellist.result_cache import Cache
from cellist.runlogs import (
    narrate_beginning,
    narrate_end,
    tell,
    tell_carried,
    tell_hook,
    tell_hook_end,
)
from cellist.terminals import show_in_terminal
from cellist.tqdm_loops import watch as watch_tqdm
from cellist.unfinished import UnfinishedRuns
from cellist.values import Values
from cellist.watchdog import Watchdog, waits_for


class Session:
    """What the runs of one process share; see the module's text."""

    def __init__(self, directory: Path | None = None) -> None:
        self.sinks: list[Callable[[Event], object]] = []
        self.live: dict[int, Execution] = {}
        self.watchdog = Watchdog(self.live)
        self.guard = Guard()
        self.unfinished = UnfinishedRuns()
        self.calls = Keeper()
        self.now = time.time_ns
        self.warned: dict[Any, str] = {}
        """What was said once, by what tells it from the rest."""
        self.directory = directory
        self.home = os.environ.get("CELLIST_HOME")
        """What the variable said when the session was made."""
        self.tells_ends = False
        """Whether somebody reads of every task that it has completed."""
        self.pools: dict[Any, Any] = {}
        """Pools for submissions outside flows, by task runner."""
        self.on_root_run: Callable[[Any, Run], None] = partial(show_in_terminal, self)
        """Called in the calling thread with the cell, if any, and a run that no run called."""
        self.desk = Desk()
        self.front: Front | None = None
        """Where tasks show something again, once the notebook extension is loaded."""
        self.run_cell: Callable[[str], Any] | None = None
        """Runs the text of a cell, once the notebook extension is loaded."""
        self.main_loop: Any = None
        """The kernel's event loop, once the notebook extension knows it."""
        self.limits = Limits(shared=self._shared_limits())
        self.history = self._open_history()
        self._open_stores()
        self.history.count_kept = self._count_kept
        self.cache = Cache(self.stores, self)
        watch_tqdm()
        self.values = Values(self)
        self.history.values = self.values

    def _open_stores(self) -> None:
        chosen = settings.active()
        self.store = ResultStore(
            self._place("results"),
            on_warning=self.warn,
            kind=chosen.store,
            budget=chosen.results_budget,
        )
        self.stores = Stores(self.store, self.warn, chosen.store)
        self.stores.bundles.named = lambda: settings.active().bundles

    def _place(self, name: str) -> Path | None:
        try:
            base = self.directory if self.directory is not None else home()
        except OSError as error:
            self.warn(f"cellist cannot use a directory for its records: {error}.")
            return None
        return base / name

    def _shared_limits(self) -> SharedLimits | None:
        place = self._place("limits")
        kind = settings.active().store
        return SharedLimits(LimitTable(place.parent, kind), self.warn) if place else None

    def queue_place(self, name: str) -> Path:
        """Return where a queue of deferred runs lies. Raises `QueueError` if nowhere."""
        place = self._place(name)
        if place is None:
            raise QueueError("There is no directory for the queue of deferred runs.")
        return place

    def _open_history(self) -> History:
        keep = settings.refresh().history
        history = History(self._place("history.sqlite") if keep else None, on_warning=self.warn)
        self.sinks.append(history.sink)
        return history

    def warn(self, message: str, once: Any = None) -> None:
        """Warn about something that does not fail a run: once for a message, or for `once`."""
        if (once or message) in self.warned:
            return
        self.warned[once or message] = message
        level, frame = 1, inspect.currentframe()
        while frame is not None and own_frame(frame.f_code.co_filename):
            level, frame = level + 1, frame.f_back
        with unrecorded():
            if frame is None or threading.current_thread().name.startswith("cellist-"):
                warnings.warn_explicit(message, CellistWarning, "cellist", 0)
            else:
                warnings.warn(message, CellistWarning, stacklevel=level)

    def log(self, execution: Execution, level: int, message: str) -> None:
        """Log something about a run: to its record and to the `cellist` loggers."""
        tell(execution, level, message)

    def tell_carried(self, execution: Execution, level: int, message: str) -> None:
        """Log what the code of a run logged in another process."""
        tell_carried(execution, level, message)

    def tell_hook(self, execution: Execution, hook: Any, state: State) -> None:
        """Say that a hook is called."""
        tell_hook(execution, hook, state)

    def tell_hook_end(self, execution: Execution, hook: Any, which: str, outcome: Outcome) -> None:
        """Say how a hook has ended; one that failed is logged."""
        tell_hook_end(execution, hook, which, outcome)

    def narrate_beginning(self, execution: Execution) -> None:
        """Say that a flow run begins."""
        narrate_beginning(execution)

    def narrate_end(self, execution: Execution) -> None:
        """Say in which state a run has ended."""
        narrate_end(execution)

    def interrupted(self) -> bool:
        """Whether the stop button was pressed since the outermost run began."""
        return self.guard.interrupted

    def keep_call(self, execution: Execution, bound: dict[str, Any]) -> None:
        """Keep what it takes to call a flow again in another kernel, if this one goes away."""
        if self.history.path is None:
            return
        try:
            call = self.calls.seal(execution, bound)
        except Exception as error:
            self.warn(f"cellist could not keep the call of a flow: {error}.")
        else:
            self.history.keep_call(as_hex(execution.run.number), call)

    def _count_kept(self, keys: list[str]) -> int:
        """Return how many of the results under some keys are in the store."""
        if not keys:
            return 0
        now = time.time()
        kept = {
            entry["key"]
            for entry in self.store.entries()
            if entry["expires"] is None or entry["expires"] > now
        }
        return sum(key in kept for key in keys)

    def find(self, run: Any) -> Execution:
        """Return the live execution of a run, its id or the beginning of its id's hex digits.

        A name is that of a run, else of the flow or task that is run: the latest such run.
        Raises `ObjectNotFound` if no such run is live.
        """
        if isinstance(run, Run):
            run = run.number
        if isinstance(run, int) and run in self.live:
            return self.live[run]
        text = str(run).replace("-", "")
        live = list(self.live.values())
        for execution in live:
            if as_hex(execution.run.number).startswith(text) or execution.run.name == str(run):
                return execution
        for execution in reversed(live):
            if execution.run.definition.name == str(run):
                return execution
        message = f"No live run goes by {run!r}. `cellist.runs()` lists those that are over."
        raise ObjectNotFound(message)

    def waits_of(self, run: Run) -> str | None:
        """Return what a run waits for, in words; `None` if it does not wait."""
        x = self.live.get(run.number)
        return waits_for(x) if x is not None else None

    def find_all(self, name: str) -> list[Execution]:
        """Return the live runs of this name, else those of the task or flow of this name, else one.

        The one is found as `find` does. Raises `ObjectNotFound` if no such run is live.
        """
        live = list(self.live.values())
        return (
            [x for x in live if x.run.name == name and x.run.definition.name != name]
            or [x for x in live if x.run.definition.name == name]
            or [self.find(name)]
        )

    def cancel(self, execution: Execution) -> None:
        """Cancel a run, and of a flow what it submitted. May be called from any thread."""
        if execution.run.is_final or execution.run.number not in self.live:
            return
        execution.cancelling = True
        if isinstance(execution, FlowExecution):
            self.cancel_children(execution)
        if _end_wait(execution):
            return
        if isinstance(execution, FlowExecution) and cancel_pause(execution):
            return
        if execution.carrier is not None:
            execution.carrier.cancel()
        else:
            self._stop_caller_of(execution)

    def _stop_caller_of(self, execution: Execution) -> None:
        """Stop a run that was called directly: the code of whoever carries it out is stopped."""
        above = execution.parent
        while above is not None and above.carrier is None:
            above = above.parent
        if above is not None and above.carrier is not None:
            above.carrier.halt(execution.run)
        else:
            self.guard.interrupt_main(execution.run)

    def cancel_children(self, execution: Any, only_waiting: bool = False) -> None:
        """Cancel the submitted runs of a flow, or only those that have not started."""
        for promise in list(execution.children):
            work = promise.work
            state = promise.run.state_type
            if work is None or (only_waiting and state in (RUNNING, CANCELLING)):
                continue
            work.cancel()

    def close(self) -> None:
        """Write what is still to be written, within a few seconds."""
        self.stores.close()
        self.history.close()
        if self.limits.shared is not None:
            self.limits.shared.close()


def _end_wait(execution: Execution) -> bool:
    """End the wait of a cancelled run for a retry or for slots; whether it is in one."""
    if execution.waker is not None:
        execution.waker.wake("cancel")
        return True
    permit = execution.permit
    return permit is not None and permit.settle(Err(CancelledRun("Cancelled.")))


class CellistWarning(UserWarning):
    """Something of cellist's own does not work; runs go on without it."""


_lock = threading.RLock()
_session: Session | None = None


def get_session() -> Session:
    """Return the session of this process, made at the first call.

    It moves when `CELLIST_HOME` has changed and no run is live.
    """
    global _session  # noqa: PLW0603 - one session for the process
    session = _session
    if session is None:
        with _lock:
            if _session is None:
                _session = Session()
                atexit.register(_close)
            return _session
    if os.environ.get("CELLIST_HOME") != session.home:
        with _lock:
            if _session is session and session.directory is None and not session.live:
                session = _session = _moved(session)
    return session


_PLACED = {
    "home",
    "sinks",
    "live",
    "watchdog",
    "warned",
    "history",
    "store",
    "stores",
    "cache",
    "values",
}
"""What of a session belongs to the directory it was opened in."""


def _moved(before: Session) -> Session:
    """Return a session in the directory of now that knows all else that the one before knew."""
    after = Session()
    after.sinks += [sink for sink in before.sinks if sink is not before.history.sink]
    shared = after.limits.shared
    vars(after).update({name: it for name, it in vars(before).items() if name not in _PLACED})
    if shared is not None:
        after.limits.share_through(shared)
    before.close()
    return after


def _close() -> None:
    if _session is not None:
        _session.close()


@contextmanager
def use_session(session: Session) -> Generator[Session]:
    """Make a session the one of this process within a `with` block, then close it."""
    global _session  # noqa: PLW0603 - one session for the process
    with _lock:
        before, _session = _session, session
        if before is not None and session.main_loop is None:
            session.main_loop = before.main_loop  # the kernel has one, whatever the session
    try:
        yield session
    finally:
        with _lock:
            _session = before
        session.close()


def _heed(changed: settings.Settings) -> None:
    """Have a budget that was changed in a later cell count from then on."""
    if _session is not None:
        _session.stores.set_budget(changed.results_budget)


settings.on_change(_heed)


def _after_fork() -> None:
    """Give a forked child a session of its own: threads and connections do not survive a fork."""
    global _session, _lock  # noqa: PLW0603 - one session for the process
    _session = None
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
