"""Runs that did not complete, as this session remembers them: what a retry by hand needs.

A run that nothing is around is kept with its call: the last few of them, since arguments may be
large. Of a run inside another it is known which one that was, for the retry is that one's.
"""

from collections import OrderedDict
from contextvars import ContextVar
from threading import Lock
from typing import Any

from cellist.engine.execution import Execution, FlowExecution
from cellist.model.ids import as_hex
from cellist.model.runs import Run

_MOST_ROOTS = 20
_MOST_INNER = 20_000


class Unfinished:
    """A run that did not complete, with its call and what its next run may reuse."""

    __slots__ = ("args", "attempts", "kwargs", "run")

    def __init__(self, x: Execution, attempts: Any) -> None:
        self.run = x.run
        self.args = x.args
        self.kwargs = x.kwargs
        self.attempts = attempts


class Continued:
    """Which run the next run of a definition continues, and what it may reuse of it."""

    __slots__ = ("attempts", "definition", "run_id")

    def __init__(self, definition: Any, run_id: str, attempts: Any) -> None:
        self.definition = definition
        self.run_id = run_id
        self.attempts = attempts


continuing: ContextVar[Continued | None] = ContextVar("cellist_continuing", default=None)
"""Set around a call that continues another run; the first run of the definition takes it."""


def take_continued(x: Execution) -> Continued | None:
    """Return what a run continues, once, if it is the one that is meant to."""
    told = continuing.get()
    if told is None or told.definition not in (None, x.definition):
        return None
    continuing.set(None)
    return told


class UnfinishedRuns:
    """The runs of a session that did not complete."""

    def __init__(self) -> None:
        self.epoch = 0
        """How many notebook cells have begun."""
        self._roots: OrderedDict[int, Unfinished] = OrderedDict()
        self._inner: OrderedDict[int, Run] = OrderedDict()
        self._followed: dict[int, int] = {}
        """By the number of a run the number of the one that continues it."""
        self._lock = Lock()

    def add(self, x: Execution) -> None:
        """Remember a run that has ended and did not complete."""
        root = x
        while root.parent is not None:
            root = root.parent
        with self._lock:
            if root is not x:
                self._inner[x.run.number] = root.run
                if len(self._inner) > _MOST_INNER:
                    self._inner.popitem(last=False)
                return
        self._add_root(x)

    def _add_root(self, x: Execution) -> None:
        attempts = None
        if isinstance(x, FlowExecution):
            attempts = x.attempts or (x.spares.salvage(x.run, self.epoch) if x.spares else None)
        with self._lock:
            self._roots[x.run.number] = Unfinished(x, attempts)
            if len(self._roots) > _MOST_ROOTS:
                self._roots.popitem(last=False)

    def find(self, which: str) -> Unfinished | None:
        """Return the unfinished run by its id, the beginning of its id, its name or its task's.

        For a run inside another it is the outermost one, for one that was retried the last retry.
        Of several it is the latest.
        """
        found = self._find(which)
        while found is not None and found.run.number in self._followed:
            following = self._roots.get(self._followed[found.run.number])
            if following is None:
                return None  # it goes on, or has completed
            found = following
        return found

    def _find(self, which: str) -> Unfinished | None:
        text = which.replace("-", "")
        with self._lock:
            roots = list(reversed(self._roots.values()))
            inner = list(reversed(self._inner.items()))
        for one in roots:
            if which in (one.run.name, one.run.definition.name):
                return one
        by_number = {one.run.number: one for one in roots}
        for number, one in by_number.items():
            if as_hex(number).startswith(text):
                return one
        for number, root in inner:
            if as_hex(number).startswith(text) and root.number in by_number:
                return by_number[root.number]
        return None

    def latest(self) -> Unfinished | None:
        """Return what ended last without completing, and was not retried since."""
        with self._lock:
            roots = list(reversed(self._roots.values()))
        return next((one for one in roots if one.run.number not in self._followed), None)

    def follow(self, before: str, run: Run) -> None:
        """Learn which run, by its id in hex, another run continues."""
        self._followed[int(before, 16)] = run.number
