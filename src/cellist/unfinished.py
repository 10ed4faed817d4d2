"""Runs that did not complete, as this session remembers them: what a retry by hand needs.

A run that nothing is around is kept with its call: the last few of them, since arguments may be
large. Of a run inside another it is known which one that was, for the retry is that one's.
"""

import pickle
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import ContextVar
from threading import Lock
from typing import Any

from cellist.engine.execution import Execution, FlowExecution
from cellist.history.rows import inputs_of, parameters_of
from cellist.kept_calls import pickled
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.narrowed import Narrowed

_MOST_ROOTS = 20
_MOST_INNER = 20_000
_LARGEST_ERROR = 10_000
"""Bytes of an exception that is kept for a retry of another run."""


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

    __slots__ = ("attempts", "definition", "only", "run_id")

    def __init__(
        self, definition: Any, run_id: str, attempts: Any, only: Narrowed | None = None
    ) -> None:
        self.definition = definition
        self.run_id = run_id
        self.attempts = attempts
        self.only = only
        """Says which runs it does not carry out again, if only one of those inside is retried."""


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
        self._errors: OrderedDict[int, bytes] = OrderedDict()
        """What runs inside others raised, pickled: an exception itself would keep its frames."""
        self._overtaken: set[int] = set()
        """Runs after which the same flow, or the same call of a task, has completed."""
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

    def completed(self, run: Run) -> None:
        """Note that a run outside others has completed: nobody will miss what failed before."""
        if not self._roots:
            return
        with self._lock:
            before = [one.run for one in self._roots.values()]
        self._overtaken.update(one.number for one in before if _is_same(one, run))

    def note(self, run: Run, error: BaseException) -> None:
        """Remember what a run inside another raised, if it can be pickled and is small."""
        try:
            kept = pickled(error, _LARGEST_ERROR)
        except Exception:  # the error's own class runs here
            return
        with self._lock:
            self._errors[run.number] = kept
            if len(self._errors) > _MOST_INNER:
                self._errors.popitem(last=False)

    def error_of(self, number: int) -> BaseException | None:
        """Return a copy of what a run inside another raised, `None` if that is not kept."""
        kept = self._errors.get(number)
        try:
            return pickle.loads(kept) if kept is not None else None  # noqa: S301 - our own bytes
        except Exception:  # such as a class whose `__init__` takes other arguments
            return None

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
        found = self._root(which, roots)
        if found is not None:
            return found
        by_number = {one.run.number: one for one in roots}
        for number, root in inner:
            if as_hex(number).startswith(text) and root.number in by_number:
                return by_number[root.number]
        return None

    def whole(self, which: str) -> str:
        """Return the id in hex of the latest run inside another that begins so, else the text."""
        text = which.replace("-", "")
        with self._lock:
            inner = list(self._inner)
        return next((one for one in map(as_hex, reversed(inner)) if one.startswith(text)), which)

    def is_root(self, which: str) -> bool:
        """Whether this is the id, the beginning of the id or the name of a run outside others."""
        with self._lock:
            roots = list(reversed(self._roots.values()))
        return self._root(which, roots) is not None

    def _root(self, which: str, roots: list[Unfinished]) -> Unfinished | None:
        for one in roots:
            if which == one.run.definition.name and one.run.number in self._overtaken:
                return None
            if which in (one.run.name, one.run.definition.name):
                return one
        text = which.replace("-", "")
        return next((one for one in roots if as_hex(one.run.number).startswith(text)), None)

    def latest(self, kinds: Sequence[str] = ("flow", "task")) -> Unfinished | None:
        """Return what ended last without completing, and was not retried since."""
        with self._lock:
            roots = list(reversed(self._roots.values()))
        done = self._overtaken.union(self._followed)
        fits = (one for one in roots if one.run.number not in done and one.run.kind in kinds)
        return next(fits, None)

    def follow(self, before: str, run: Run) -> None:
        """Learn which run, by its id in hex, another run continues."""
        self._followed[int(before, 16)] = run.number


def _is_same(one: Run, run: Run) -> bool:
    """Whether two runs are of one flow, or of one task that was given what looks the same."""
    if one.definition.name != run.definition.name or one.kind != run.kind:
        return False
    return one.kind == "flow" or _inputs(one) == _inputs(run)


def _inputs(run: Run) -> dict[str, str]:
    return inputs_of(run, parameters_of(run)) or {}
