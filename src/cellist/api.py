"""What a user asks cellist: which runs there were, why a task ran, what is in the cache."""

from contextlib import suppress
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, cast

from cellist.decorated import Decorated
from cellist.engine.execution import Execution, current
from cellist.exceptions import ObjectNotFound
from cellist.history.queries import MOST_RUNS
from cellist.model.runs import Run
from cellist.recovery import name_of_run
from cellist.session import get_session
from cellist.tasks import Task


def runs(
    *,
    name: str | None = None,
    kind: Literal["task", "flow"] | None = None,
    flow: Any = None,
    state: str | None = None,
    tag: str | None = None,
    since: datetime | None = None,
    limit: int = MOST_RUNS,
) -> Any:
    """Return past and present runs that fit as a DataFrame, newest first.

    `name` is that of a task, flow or run; `flow` is a flow run, its id or name; `state` the name
    or type of a state, such as `failed`; `since` the earliest start.
    """
    session = get_session()
    session.history.flush(_PATIENCE)
    return session.history.frame(
        kind=kind, name=name, flow=flow, state=state, tag=tag, since=since, limit=limit
    )


def run(which: Any) -> Any:
    """Return the record of a run by its id, the beginning of its id, or its name.

    Raises `ObjectNotFound` naming near matches.
    """
    session = get_session()
    session.history.flush(_PATIENCE)
    return session.history.run(_text(which))


def compare(before: Any, after: Any) -> Any:
    """Return a DataFrame of what differs between two runs."""
    session = get_session()
    session.history.flush(_PATIENCE)
    return session.history.compare(_text(before), _text(after))


def why(which: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the `Reason` why a run was a hit or a miss, or why a call would be one.

    - Of what has run: `which` is a run, a state, a future, or the id or name of a run or task; a
      name means its latest run. `None` where nothing was looked up.
    - Of a call that has not: `which` is a task, followed by the arguments of the call. Nothing
      runs, is stored or counted; only a `cache_key_fn` or policy of your own is called.

    A task that can be called without arguments is taken for such a call; of another, given alone,
    the latest run is told. Its name always means the latest run.

    Raises `ObjectNotFound` naming near matches, `ParameterBindError` if the arguments do not fit
    the task, and `TypeError` for arguments after something that is not a task.
    """
    kind: type = cast("Any", Task)  # so that checkers do not ask of which signature
    is_task = isinstance(which, kind)
    if is_task and (args or kwargs or which.shape.may_be_called_bare):
        return which.why(*args, **kwargs)
    if args or kwargs:
        message = (
            f"why() takes the arguments of a call only after a task, and {which!r:.80} is none. "
            f"For a flow there is cellist.plan(flow, ...)."
        )
        raise TypeError(message)
    if not is_task and hasattr(which, "why"):
        return which.why
    return run(getattr(which, "name", which)).why


def cancel(which: Any = None) -> None:
    """Cancel live runs; without an argument the one of the caller.

    - A run, its record, state or future, or the id or name of a run: that run. Of a flow, what it
      has submitted is cancelled, too.
    - The future of a deferred run, which may be in the queue or with a worker.
    - A task or flow, or its name: all its live runs, such as those that `.map` made.
    - A list of any of these, such as what `.map` returned. Those in it that are over are left out.

    Where a run only waits it is Cancelled at once. Code that runs is stopped as far as the place it
    runs in allows, and the run is Cancelling until it ends. Raises `ObjectNotFound` if nothing that
    is named is live.
    """
    session = get_session()
    if which is None:
        execution = current.get()
        if execution is None:
            message = "There is no run here to cancel. Give its name or id."
            raise ObjectNotFound(message)
        session.cancel(execution)
        return
    if getattr(which, "is_portable", False):  # of a deferred run, which is where it says
        which.cancel()
        return
    found = _live(which)
    for execution in found:  # first all are told, so that none that ends lets another begin
        execution.cancelling = True
    for execution in found:
        session.cancel(execution)


def _live(which: Any) -> list[Execution]:
    """Return the live runs that a user means. Raises `ObjectNotFound` if there are none."""
    session = get_session()
    if isinstance(which, list | tuple | set):
        found: list[Execution] = []
        several = cast("list[Any]", list(which))  # pyright: ignore[reportUnknownArgumentType] - of whatever they are
        for one in several:
            with suppress(ObjectNotFound):
                found += _live(one)
        if several and not found:
            message = f"None of these {len(several)} runs is live."
            raise ObjectNotFound(message)
        return found
    kind: type = cast("Any", Decorated)
    if isinstance(which, kind):
        found = [x for x in list(session.live.values()) if _is_of(x.definition, which)]
        if not found:
            message = f"No run of {which.noun} {which.name!r} is live."
            raise ObjectNotFound(message)
        return found
    return session.find_all(name_of_run(which))


def _is_of(definition: Any, which: Any) -> bool:
    """Whether a definition is the one given, or a version of it with other options."""
    return definition is which or definition.fn is which.fn


_PATIENCE = 20.0
"""Seconds to wait until what happened so far has been written, on a busy machine, too."""


def _text(which: Any) -> str:
    if isinstance(which, Run):
        return which.id.hex
    return str(getattr(which, "task_run_id", which))


class CacheBrowser:
    """What is in the result store of this project."""

    def entries(self) -> Any:
        """Return the entries as a DataFrame: task, created, size, seconds, expires, last used."""
        pd: Any = import_module("pandas")  # heavy, and untyped
        store = get_session().store
        store.flush(_PATIENCE)
        columns = [
            "task",
            "created",
            "size",
            "seconds",
            "expires",
            "last_used",
            "format",
            "hits",
            "key",
        ]
        frame = pd.DataFrame(store.entries(), columns=pd.Index(columns))
        for name in ("created", "expires", "last_used"):
            frame[name] = pd.to_datetime(frame[name], unit="s", utc=True)
        return frame

    def invalidate(self, task: Any = None, *, key: str | None = None) -> int:
        """Delete the results of a task, given itself or by its name, or the result under a key.

        A text may be either. What bundles have of them is left alone for the rest of this session.
        Returns how many there were in the store.
        """
        name = getattr(task, "name", task)
        store = get_session().store
        store.flush(_PATIENCE)
        bundles = get_session().stores.bundles
        if key is not None or task is not None:  # what a bundle has would come back at once
            bundles.forget(key=key, task=name)
        if key is None and isinstance(task, str):
            bundles.forget(key=task)
        gone = store.invalidate(key=key, task=name)
        return gone + (store.invalidate(key=name) if key is None and isinstance(task, str) else 0)

    def clear(self, task: Any = None) -> int:
        """Delete all results, or those of one task, and return how many there were.

        What bundles have of them is left alone for the rest of this session.
        """
        if task is not None:
            return self.invalidate(task)
        store = get_session().store
        store.flush(_PATIENCE)
        get_session().stores.bundles.forget()
        return store.clear()

    def stats(self) -> dict[str, Any]:
        """Return counts of hits, misses and entries, bytes, and seconds saved in this session."""
        return dict(get_session().store.stats())

    def verify(self) -> list[dict[str, Any]]:
        """Read every entry and return the problems found, an empty list if there are none."""
        store = get_session().store
        store.flush(_PATIENCE)
        return list(store.verify())

    def __repr__(self) -> str:
        stats = self.stats()
        rounded = {key: round(v, 3) if isinstance(v, float) else v for key, v in stats.items()}
        shown = ", ".join(f"{key}={value}" for key, value in rounded.items() if key != "warnings")
        return f"cellist.cache({shown})"


cache = CacheBrowser()
"""The result store of this project."""

__all__ = ["CacheBrowser", "cache", "cancel", "compare", "run", "runs", "why"]
