"""What a run was given and what it gave, as far as it can still be had.

A run keeps no values: that would hold the memory of a whole session. But most can be had again,
and this is where they are looked for, in this order:

- what the record says in full, such as `42` or a short text
- the arguments of a run that goes on, or that failed a while ago
- the result store, under the key of the run
- the object itself, where something in this session still holds it
- for an argument: the result of the run it came from

What is found must look like what the record says, or it is something else. Nothing is kept alive
for this but the arguments of the latest failures, and of those only what takes no weak reference.
"""

import ast
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from cellist.caching.found import Found, Missing
from cellist.caching.stores import target_of
from cellist.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    ObjectNotFound,
    UnfinishedRun,
)
from cellist.history.records import RunRecord
from cellist.history.rows import parameters_of
from cellist.model.facts import Arguments
from cellist.model.previews import short
from cellist.model.runs import Run

FAILURES_KEPT = 32
"""Failed runs whose arguments can be loaded though no store has them."""
_FLOWS_KEPT = 16
_MOST_SOURCES = 10_000


class TooLarge(MissingResult):
    """The value is there, but takes more memory than the caller wanted to spend on it."""


class Loaded(NamedTuple):
    """A value, and where it comes from in a few words."""

    value: Any
    origin: str


class SessionParts(Protocol):
    """What is needed of the session."""

    live: dict[int, Any]
    stores: Any
    history: Any


class Values:
    """Finds the values of runs. May be asked from any thread."""

    def __init__(self, session: SessionParts) -> None:
        self._session = session
        self._failed: OrderedDict[int, dict[str, Callable[[], tuple[Any, ...]]]] = OrderedDict()
        self._flows: deque[Any] = deque(maxlen=_FLOWS_KEPT)

    def keep_call(self, run: Run) -> None:
        """Remember the arguments of a run that failed, without keeping alive what need not be."""
        held = {name: _hold(value) for name, value in arguments_of(run).items()}
        self._failed[run.number] = held
        while len(self._failed) > FAILURES_KEPT:
            self._failed.popitem(last=False)

    def adopt(self, results: Any) -> None:
        """Take what a flow that is over knows of its results, weakly."""
        results.let_go()
        self._flows.append(results)

    def stored(self, record: RunRecord, most: int | None = None) -> Found | Missing:
        """Return what the result store has of a run. Raises `TooLarge` above `most` bytes."""
        key = record.cache_key
        missing = Missing("absent", "the run has no cache key")
        for store in self._session.stores.all() if key else ():
            size = store.size_of(key)
            if most is not None and size is not None and size > most:
                message = f"The result of `{record.name}` takes {size / 2**20:,.0f} MB."
                raise TooLarge(message)
            found = store.peek(key)
            if isinstance(found, Missing):
                missing = found if missing.code == "absent" else missing
            elif (target := target_of(found)) is None:
                return found
            else:  # a record of a result that lies elsewhere
                key = target
        return missing

    def result(self, record: RunRecord, most: int | None = None) -> Loaded:
        """Return the result of a run.

        Raises `UnfinishedRun`, `FailedRun`, `CrashedRun` or `CancelledRun` if it did not complete,
        `MissingResult` saying why if its value cannot be had, and `TooLarge` if it is stored and
        larger than `most` bytes.
        """
        _check_completed(record)
        known = written(record.result)
        if known is not None:
            return Loaded(known[0], "as recorded")
        stored = self.stored(record, most)
        if isinstance(stored, Found):
            return Loaded(stored.value, _origin(record, stored))
        for value in self._alive(record):
            if short(value) == record.result:
                return Loaded(value, "the object itself, as it is now")
        raise MissingResult(_gone(record, stored))

    def argument(self, record: RunRecord, name: str, most: int | None = None) -> Loaded:
        """Return an argument of a run by the name the record has for it.

        Raises `ObjectNotFound` if the run has no such argument, `MissingResult` if its value
        cannot be had, and `TooLarge` if it is stored and larger than `most` bytes.
        """
        if name not in record.inputs:
            known = ", ".join(f"`{one}`" for one in record.inputs) or "none"
            message = f"Run `{record.name}` has no argument `{name}`. Its arguments: {known}."
            raise ObjectNotFound(message)
        look = record.inputs[name]
        plain = written(look)
        if plain is not None:
            return Loaded(plain[0], "as recorded")
        held = self._given(record, name)
        if held:
            return Loaded(held[0], "the object itself, as it is now")
        sources = record.upstream.get(name) or []
        found = self._from_upstream(sources, look, most) if sources else None
        if found is not None:
            return found
        message = (
            f"The argument `{name}` of `{record.name}` ({look}) is not kept. One can be loaded "
            "where it is short, where the run has just failed, or where a run had it for a result."
        )
        raise MissingResult(message)

    def _given(self, record: RunRecord, name: str) -> tuple[Any, ...]:
        """Return in a tuple an argument that is still in memory."""
        number = int(record.id, 16)
        x = self._session.live.get(number)
        if x is not None and x.run.first_running:
            now = arguments_of(x.run)
            return (now[name],) if name in now else ()
        held = self._failed.get(number)
        return held[name]() if held is not None and name in held else ()

    def _from_upstream(self, sources: Sequence[str], look: str, most: int | None) -> Loaded | None:
        """Return the value made of the results of other runs, if it looks as it should."""
        if len(sources) > _MOST_SOURCES:
            return None
        try:
            records = [self._session.history.record(one) for one in sources]
            values = [self.result(one, most).value for one in records]
        except TooLarge:
            raise
        except Exception:
            return None
        shapes = [values, tuple(values)] if len(values) > 1 else [values[0], values, tuple(values)]
        names = ", ".join(f"`{one.name}`" for one in records[:3])
        more = f" and {len(records) - 3} others" if len(records) > 3 else ""
        for value in shapes:
            if short(value) == look:
                return Loaded(value, f"from the result of {names}{more}")
        return None

    def _alive(self, record: RunRecord) -> Iterable[Any]:
        """Yield objects that flows of this session know to come from the run."""
        number = int(record.id, 16)
        flow = self._session.live.get(int(record.flow, 16)) if record.flow else None
        known = [flow.results] if flow is not None and flow.results is not None else []
        for results in [*known, *self._flows]:
            yield from results.of(number)


def arguments_of(run: Run) -> dict[str, Any]:
    """Return the arguments of a run by the names its record has for them."""
    args, kwargs = Arguments.of(run.call)
    names = parameters_of(run)
    found = {
        names[index] if index < len(names) else f"args[{index}]": value
        for index, value in enumerate(args)
    }
    return {**found, **kwargs}


def written(preview: str | None) -> tuple[Any] | None:
    """Return in a tuple the value that a preview shows in full, `None` if it does not.

    A preview that had to leave something out is no Python, and one of another type is a call.
    """
    if preview is None:
        return None
    try:
        return (ast.literal_eval(preview),)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _hold(value: Any) -> Callable[[], tuple[Any, ...]]:
    """Return what gives the value in a tuple, empty if it is gone: held weakly where possible."""
    try:
        reference = weakref.ref(value)
    except TypeError:
        return lambda: (value,)
    return lambda: (alive,) if (alive := reference()) is not None else ()


_ENDS = {
    "FAILED": (FailedRun, "failed"),
    "CRASHED": (CrashedRun, "crashed"),
    "CANCELLED": (CancelledRun, "was cancelled"),
}


def _check_completed(record: RunRecord) -> None:
    kind = record.states[-1].type if record.states else "PENDING"
    if kind == "COMPLETED":
        return
    error, said = _ENDS.get(kind, (UnfinishedRun, "is not over"))
    told = f": {': '.join(record.error[:2])}" if record.error and error is FailedRun else ""
    message = f"Run `{record.name}` {said}, so it has no result{told}."
    raise error(message)


def _origin(record: RunRecord, stored: Found) -> str:
    by = stored.header.get("run_id")
    is_own = by in (None, record.id) or (record.why is not None and record.why.outcome == "hit")
    return "from the cache" if is_own else "from the cache, stored by another run of the same call"


def _gone(record: RunRecord, missing: Missing) -> str:
    why = record.why
    if record.cache_key is None or (why is not None and why.outcome == "off"):
        told = str(why).removeprefix("ran: ") if why is not None else ""
        reason = f"it was not stored ({told})" if told else "it was not stored"
    else:
        reason = missing.message
    remedy = "" if record.kind == "flow" else " `persist_result=True` on the task keeps it."
    return (
        f"The result of `{record.name}` is not kept: {reason}, and nothing in this session "
        f"holds it.{remedy}"
    )
