"""Overrule the cache: compute anew what is stored, or go on with it although the source changed.

    cellist.refresh(fetch)                                   the next run of each call computes anew
    cellist.accept(clean, because="only renamed a variable") the old results serve for the new code
    cellist.accept(clean, undo=True)                         take that back
    cellist.decisions()                                      what was decided so far, as a DataFrame

All is recorded in the history. What `accept` decides holds in later kernels too, for the source
that the task has now; a further edit is not covered.
"""

import difflib
import getpass
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from cellist import settings
from cellist.cache_policies import CompoundCachePolicy, TaskSource
from cellist.caching.acceptances import Acceptance, Sources
from cellist.caching.declared import DECLARED_KINDS
from cellist.caching.envelope import Header
from cellist.caching.reasons import compare, time_of
from cellist.dependencies import Depending
from cellist.exceptions import ObjectNotFound
from cellist.history.decisions import Decision
from cellist.history.frames import decisions_frame
from cellist.key_requests import KeyRequest
from cellist.model.reason_text import change_lines
from cellist.model.reasons import Change, Component, Reason
from cellist.persistence import CachePlan
from cellist.session import get_session
from cellist.tasks import Task

_PATIENCE = 20.0  # seconds until what has happened is written, on a busy machine, too
_NEAR = 3
_NOT_CODE = DECLARED_KINDS | {"task", "argument", "flow parameter", "policy", "version", "run"}
"""Kinds of components that are no part of a source closure."""


class Outcome(NamedTuple):
    """What came of a decision; its text says so, with the changes that were accepted.

    `results` is how many stored results it is about, 0 if there was nothing to decide.
    """

    kind: str
    task: str
    message: str
    results: int = 0
    changes: tuple[Change, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([self.message, *change_lines(self.changes)])

    __str__ = __repr__


def refresh(task: Any) -> Outcome:
    """Let the next run of each call of a task in this session compute anew, once.

    `task` is a task, or the name of a task or `%%task` cell. What runs stored that began after
    this serves again. The new result is compared with the stored one, and the reason of the run
    says whether they are the same.
    """
    found = _in_notebook(task) if isinstance(task, str) else None
    name, key = _named(found or task)
    overruled = get_session().cache.overruled
    for one in {task, key} if isinstance(task, str) else {key}:
        if one is not None:
            overruled.refresh(one)
    results = len(_recorded(key or name, found or task))
    if results:
        message = (
            f"`{name}`: {_counted(results)} will be computed anew"
            f"{'' if results == 1 else ', each'} at its next call in this session."
        )
    else:
        message = f"Nothing of `{name}` is stored here, so its next calls compute anyway."
        message += "" if key else _near(name)
    if not results and key is None:
        return Outcome("refresh", name, message)  # perhaps a slip: nobody decided anything
    return _decided(Outcome("refresh", name, message, results))


def accept(task: Any, because: str | None = None, *, undo: bool = False) -> Outcome:
    """Let results that a task's former source gave serve for the source that it has now.

    `task` is a task, or the name of a task or of a `%%task` cell that has run with its present
    code. `because` says why the results still hold; every later reuse names it. The former source
    is that of the results stored last. Results that have expired stay so. With `undo`, everything
    accepted for the task is taken back.

    Raises `ValueError` without a reason, `TypeError` for what is no task, and `ObjectNotFound` for
    a name that no task has.
    """
    if undo:
        return _undo(task)
    if not isinstance(because, str) or not because.strip():
        message = "accept() needs a reason: because='only renamed a variable'."
        raise ValueError(message)
    name, key, closures = _source_of(task)
    if not closures:
        message = (
            f"`{name}` has no results to accept: its source is not in its cache key"
            if closures is not None
            else f"`{name}` has no results to accept: it is not cached"
        )
        return Outcome("accept", name, f"{message}.")
    now = tuple(closures)
    headers = [one for one in _recorded(key, task) if not _is_expired(one)]
    latest = next((one for one in headers if _sources(one) not in ((), now)), None)
    if latest is None:
        told = "all its stored results are of its present source" if headers else "none is stored"
        return Outcome("accept", name, f"There is nothing to accept for `{name}`: {told}.")
    parts = [part for closure in closures.values() for part in closure]
    return _accept(name, key, now, because.strip(), headers, latest, parts)


def _accept(
    name: str,
    key: str,
    now: Sources,
    because: str,
    headers: list[Header],
    latest: Header,
    parts: Sequence[Component],
) -> Outcome:
    """Record that the results of the latest entry's source hold for the one of now."""
    acceptances = get_session().cache.overruled.acceptances
    others = acceptances.of_task(key)
    if any(one.because == because and one.now != now for one in others):
        # Most likely a cell that was left in the notebook and runs again after a further edit.
        message = (
            f"Nothing was accepted for `{name}`: its source has changed since the same reason was "
            "given before. If its results still hold, say so in other words."
        )
        return Outcome("accept", name, message)
    former = _former(_sources(latest), now, others)
    results = sum(_sources(one) in former for one in headers)
    serve = "serves" if results == 1 else "serve"
    message = (
        f"`{name}`: {_counted(results)} of its former source, the last one of "
        f"{time_of(latest.get('created', 0.0))}, {serve} for its present one."
    )
    outcome = Outcome("accept", name, message, results, _changes(latest, parts))
    acceptance = Acceptance(key, now, former, because, time.time(), _user())
    if any(one._replace(at=acceptance.at) == acceptance for one in others):
        return outcome  # a cell that runs again: it is recorded already
    try:
        acceptances.add(acceptance)
    except OSError as error:
        message = f"Nothing was accepted for `{name}`: it cannot be recorded ({error})."
        return Outcome("accept", name, message)
    return _decided(outcome, because)


def decisions() -> Any:
    """Return what was decided over the cache of this project as a DataFrame, newest first.

    Columns: time, kind (`refresh`, `accept`, `undo`), task, because, results, who.
    """
    history = get_session().history
    history.flush(_PATIENCE)
    return decisions_frame(history.decisions())


def _undo(task: Any) -> Outcome:
    found = _in_notebook(task) if isinstance(task, str) else None
    name, key = _named(found or task)
    acceptances = get_session().cache.overruled.acceptances
    headers = _recorded(key or name, found or task)
    keys = {key} if key is not None else {name, f"%%task {name}"}
    keys |= {one.get("task_key", "") for one in headers}
    former = {former for one in keys for was in acceptances.of_task(one) for former in was.former}
    results = sum(_sources(one) in former for one in headers)
    try:
        gone = sum(map(acceptances.withdraw, sorted(keys)))
    except OSError as error:
        return Outcome("undo", name, f"What was accepted for `{name}` stays: {error}.")
    if not gone:
        return Outcome("undo", name, f"Nothing is accepted for `{name}`.")
    message = f"`{name}`: what was accepted is taken back; its results serve for their own source."
    return _decided(Outcome("undo", name, message, results))


# -- which task is meant --


def _named(task: Any) -> tuple[str, str | None]:
    """Return the name of a task and, if it is not given by name, its key."""
    if isinstance(task, str):
        if not task.strip():
            message = "The name of a task must not be empty."
            raise ValueError(message)
        return task, None
    if not isinstance(task, Task):
        message = f"Only what a task or `%%task` cell gave can be overruled, not {task!r:.60}."
        raise TypeError(message)
    known = cast("Task[..., Any]", task)
    return known.name, known.identity


def _source_of(task: Any) -> tuple[str, str, dict[str, Sequence[Component]] | None]:
    """Return name, key and source closures of now of a task; none of one that is not cached."""
    settings.refresh()
    found = _in_notebook(task) if isinstance(task, str) else task
    name, key = _named(found or task)
    if key is None:
        for identity, (called, closures) in get_session().cache.overruled.missed.items():
            if name in (called, identity):
                return called, identity, closures
        hint = _near(name)
        message = (
            f"No task `{name}` is known here, so its present source is not known either. Give the "
            f"task itself; a `%%task` cell is known once it has begun to run as it is now.{hint}"
        )
        raise ObjectNotFound(message)
    plan = cast("Task[..., Any]", found).plan().cache
    return name, key, None if isinstance(plan, Reason) else _closures(plan)


def _in_notebook(name: str) -> Task[..., Any] | None:
    """Return the task that goes by a name in the notebook or script, or `module.name` outside."""
    main = vars(sys.modules["__main__"])
    named = main.get(name)
    if isinstance(named, Task):
        return cast("Task[..., Any]", named)
    module, _, last = name.rpartition(".")
    named = getattr(sys.modules.get(module), last, None) if module else None
    if isinstance(named, Task):
        return cast("Task[..., Any]", named)
    tasks = [cast("Task[..., Any]", one) for one in list(main.values()) if isinstance(one, Task)]
    return next((one for one in tasks if name in (one.name, one.identity)), None)


def _closures(plan: CachePlan) -> dict[str, Sequence[Component]]:
    """Return the source closures in the key of a task, as its code is now, by their digests."""
    request = KeyRequest(plan.fn, plan.identity, {}, None, None, "", lambda: None, terms=plan.terms)
    policy = plan.policy.policy if isinstance(plan.policy, Depending) else plan.policy
    members = policy.policies if isinstance(policy, CompoundCachePolicy) else [policy]
    if plan.storage_key is None:
        for one in members:
            if isinstance(one, TaskSource):
                one.components(request)
    return request.closures


def _near(name: str) -> str:
    """Return names of stored results that are like one, as the end of a message."""
    known = {str(one["task"]) for store in get_session().stores.all() for one in store.entries()}
    near = difflib.get_close_matches(name, sorted(known - {name}), _NEAR, 0.5)
    return f" Near to it: {', '.join(near)}." if near else ""


# -- what is stored --


def _recorded(name: str, task: Any) -> list[Header]:
    """Return the headers of a task's results in all places in use, newest first."""
    session = get_session()
    plan = cast("Task[..., Any]", task).plan().cache if isinstance(task, Task) else None
    storage = plan.storage if isinstance(plan, CachePlan) else None
    if storage is not None:
        session.stores.at(storage.place)
    found = {  # once, if a record in one place leads to it in another
        header.get("key"): header
        for store in session.stores.all()
        for header in store.recorded(name)
    }
    return sorted(found.values(), key=lambda one: one.get("created", 0.0), reverse=True)


def _sources(header: Header) -> Sources:
    return tuple(map(str, header.get("sources") or ()))


def _is_expired(header: Header) -> bool:
    expires = header.get("expires")
    return expires is not None and expires <= time.time()


def _former(latest: Sources, now: Sources, others: list[Acceptance]) -> tuple[Sources, ...]:
    """Return the sources that hold: what held for the latest one, or holds already, holds on."""
    found = [latest]
    for one in others:
        if one.now in (latest, now):
            found += one.former
    return tuple(dict.fromkeys(one for one in found if one != now))


def _changes(latest: Header, parts: Sequence[Component]) -> tuple[Change, ...]:
    """Return what differs between the recorded source and the one of now."""
    before = [Component(*one) for one in latest.get("components") or ()]
    return tuple(compare([one for one in before if one.kind not in _NOT_CODE], parts))


def _counted(results: int) -> str:
    return "1 stored result" if results == 1 else f"{results} stored results"


def _user() -> str:
    try:
        return getpass.getuser()
    except Exception:  # what it raises where nobody is known differs by system and version
        return ""


def _decided(outcome: Outcome, because: str = "") -> Outcome:
    """Record a decision in the history."""
    kind, task, _, results, _ = outcome
    decision = Decision(time.time_ns(), kind, task, because, results, _user())
    get_session().history.decide(decision)
    return outcome


__all__ = ["Outcome", "accept", "decisions", "refresh"]
