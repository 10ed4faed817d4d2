"""What `%cellist cancel` does: cancel runs here and deferred ones, and say what became of each."""

import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any
from uuid import UUID

from cellist.engine.execution import Execution
from cellist.exceptions import ObjectNotFound
from cellist.notebook.background import running
from cellist.session import get_session

_PATIENCE = 0.5
"""Seconds that code which can be stopped is given to do so."""
_PAUSE = 0.01
_NAMED = 5
_FLUSH = 5.0


def cancel(name: str | None) -> str:
    """Cancel the runs of this name or id, by default all that are live; say in a line what was.

    A name is that of a run, or of a task or flow: then it means all its runs. Raises
    `ObjectNotFound` if there is no such run.
    """
    session = get_session()
    deferred: Any = None
    if name is not None:
        deferred = import_module("cellist.worker.cancelling").cancel_named(name)
    known = {int(job.id, 16) for jobs in deferred or () for job in jobs}
    found = [x for x in _live(name) if x.run.number not in known]
    for x in found:  # first all are told, so that none that ends lets another begin
        x.cancelling = True
    for x in found:
        session.cancel(x)
    _wait(found)
    parts = list(_parts(found, deferred))
    if parts:
        return " ".join(parts)
    return _over(name) if name is not None else "Nothing is running."


def _live(name: str | None) -> list[Execution]:
    session = get_session()
    if name is None:
        return [x for x in list(session.live.values()) if x.parent is None]
    try:
        return session.find_all(name)
    except ObjectNotFound:
        return []


def _wait(found: list[Execution]) -> None:
    """Give code in threads a moment to stop; code on the loop cannot while this runs there."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and any(_is_blocked(x) for x in found):
        time.sleep(_PAUSE)


def _is_blocked(x: Execution) -> bool:
    """Whether it has not stopped and is not on the loop, which goes on when this cell is over."""
    return not (x.run.is_final or x.plan.is_async or x.run.number in running)


def _parts(found: list[Execution], deferred: Any) -> Iterator[str]:
    cancelled = [x.run.name for x in found if x.run.is_final]
    asked = [x.run.name for x in found if not x.run.is_final and not _is_blocked(x)]
    over: list[str] = []
    if deferred is not None:
        cancelled += map(_name, deferred.cancelled)
        asked += [f"{_name(job)} (with a worker)" for job in deferred.asked]
        over += map(_name, deferred.over) if not (cancelled or asked) else ()
    if cancelled:
        yield f"Cancelled {_listed(cancelled)}."
    if asked:
        yield f"Asked to stop: {_listed(asked)}."
    if blocked := [x.run.name for x in found if _is_blocked(x)]:
        yield (
            f"Cannot be interrupted where the code is, such as in a blocking call, and stops when "
            f"it is back: {_listed(blocked)}."
        )
    if over:
        yield f"Had ended already: {_listed(over)}."


def _name(job: Any) -> str:
    return f"{job.about.get('run') or job.task} ({UUID(job.id)})"


def _listed(names: Iterable[str]) -> str:
    given = list(names)
    shown = ", ".join(f"`{one}`" for one in given[:_NAMED])
    more = f" and {len(given) - _NAMED:,} more" if len(given) > _NAMED else ""
    return f"{len(given):,} runs, {shown}{more}" if len(given) > 1 else f"{shown}"


def _over(name: str) -> str:
    """Return that a run has ended already. Raises `ObjectNotFound` if there never was one."""
    session = get_session()
    session.history.flush(_FLUSH)
    record = session.history.run(name)
    return f"Had ended already: `{record.name}` ({record.state})."


__all__ = ["cancel"]
