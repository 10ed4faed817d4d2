"""Go on with what did not complete: retry a run by hand, resume one of a kernel that went away.

    cellist.retry()             the latest run here that did not complete, once more
    cellist.retry("fetch-3ab")  this item of a flow and what depends on it, and no other that failed
    cellist.resume()            the latest flow run that did not complete, from what is cached

Both call the flow again with the same parameters, as another run that says in `resumed_from` which
one it continues. Nothing of the flow's own code is skipped: what its tasks gave is reused, so only
what failed, and what is made of it, runs. The flow is the one that goes by the name now, so it may
have been mended meanwhile. A `%%flow` or `%%task` cell is run again as it was.
"""

import difflib
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple, cast
from uuid import UUID

from cellist.decorated import Decorated
from cellist.exceptions import ObjectNotFound
from cellist.flows import Flow
from cellist.history.records import RunRecord
from cellist.kept_calls import KeptCall
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.narrowed import Narrowed, narrowed
from cellist.session import get_session
from cellist.unfinished import Continued, Unfinished, continuing

_PATIENCE = 20.0  # seconds until what has happened is written, on a busy machine, too
_OFFERED_SECONDS = 7 * 86_400
_MOST_INSIDE = 200_000
_COMPLETED = ("Completed", "Cached")


class Again(NamedTuple):
    """A call to be made again: of a task or flow, or the text of a cell."""

    run_id: str
    definition: Any
    cell: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    attempts: Any = None
    only: Narrowed | None = None
    """What is left as it was, if only one run inside is made again."""


class Stopped(NamedTuple):
    """A flow run that went away with its kernel."""

    id: str
    name: str
    flow: str
    sentence: str


def retry(run: Any = None, *, return_state: bool = False) -> Any:
    """Run what did not complete in a run once more, and return what that gives.

    `run` is a run, a state, a future, or the id or name of a run; by default the latest of this
    kernel that did not complete, was not retried since, and whose flow has not completed since. A
    flow is called again with the same arguments, and its tasks reuse what they gave in the run
    before: what is cached; what this session still has of a flow with retries; of other flows
    small results of tasks that are not cached, whose arguments are plain and that read no
    variables but constants. A task run of its own is run again with its inputs.

    Of a run inside a flow, such as one mapped item, the flow is called again, too: that run is
    carried out with what depends on it. What else failed in the flow is not, but ends as it did.

    An async function gives a coroutine to be awaited. With `return_state=True` it is the final
    state, but for a cell. Raises what the run raises, and `ObjectNotFound` if there is no such
    run, if it is live or has completed, or if what it takes to call it again is not to be had.
    """
    return _call(find_again(run, retry), return_state)


def resume(run: Any = None, *, return_state: bool = False) -> Any:
    """Go on with a flow run that did not complete, from the results that are cached.

    `run` is the id or name of a flow run, or of a run inside one; by default the latest, of this
    kernel or an earlier one, that failed, crashed, was cancelled or went away with its kernel, and
    was neither resumed nor has completed since. The flow is called again
    with the same parameters. It is found by its name, in its module or among what the notebook
    defines: run the cells that define it first. Parameters are those that were kept, signed, when
    the run began: what pickles to less than 1 MB.

    What is returned and raised is as for `retry`; `ObjectNotFound` says which parameters or which
    definition is missing.
    """
    return _call(find_again(run, resume), return_state)


def stopped() -> list[Stopped]:
    """Return the flow runs that can be resumed, newest first: those of kernels that went away."""
    return [_told(row) for row in _stopped()]


def _stopped(*, however: bool = False) -> list[dict[str, Any]]:
    history = get_session().history
    if history.path is None or not (however or history.path.exists()):
        return []  # there is nothing to offer, and no need to write a first file for that
    history.flush(_PATIENCE)
    since = time.time_ns() - _OFFERED_SECONDS * 1_000_000_000
    return history.stopped(since, however=however)


def _told(row: dict[str, Any]) -> Stopped:
    message = str(row["states"][-1][2] or "")
    after = message.partition(": ")[2].rstrip(".")
    what = f"Flow run {row['name']!r} ({row['definition']}) went away with its kernel"
    return Stopped(
        row["id"], row["name"], row["definition"], f"{what}: {after}." if after else f"{what}."
    )


def find_again(run: Any, how: Any = retry) -> Again:
    """Return the call that a run was, to be made again. Raises `ObjectNotFound` saying why not."""
    known = get_session().unfinished
    if run is None:
        return _latest(how)
    text = name_of_run(run)
    if known.is_root(text):
        found = known.find(text)
        return _from_memory(found) if found is not None else _from_history(text)
    history = get_session().history
    history.flush(_PATIENCE)
    try:
        record = history.run(known.whole(text))
    except ObjectNotFound:
        found = known.find(text)  # where no history can be written
        if found is None:
            raise
        return _from_memory(found)
    first, root = _outermost(record)
    found = known.find(root.id)
    call = _from_memory(found) if found is not None else _from_history(root.id)
    is_one = record.flow is not None and text != record.definition
    if how is not retry or not is_one:
        return call
    latest = root if root.id == call.run_id else history.record(call.run_id)
    before, now = (history.family(one, _MOST_INSIDE) for one in (first, latest))
    return call._replace(only=narrowed(record.id, before, now, known.error_of))


def _latest(how: Any) -> Again:
    """Return the call of the latest run that did not complete: of this kernel, if it is to retry.

    Else of all flow runs.
    """
    is_retry = how is retry
    known = get_session().unfinished
    found = known.latest() if is_retry else known.latest(["flow"])
    rows = _stopped(however=not is_retry) if found is None or not is_retry else []
    if found is not None and (not rows or as_hex(found.run.number) >= rows[0]["id"]):
        return _from_memory(found)
    if rows:
        return _from_history(rows[0]["id"])
    if is_retry:
        message = (
            "No run of this kernel has failed, crashed or been cancelled and waits for a retry."
        )
    else:
        message = "There is no flow run that did not complete and can be resumed."
    raise ObjectNotFound(message)


def name_of_run(run: Any) -> str:
    """Return the id or name that a user gave for a run, itself, in a state, future or record."""
    if isinstance(run, Run):
        return run.id.hex
    details = getattr(run, "state_details", run)
    for name in ("task_run_id", "flow_run_id", "id"):
        ident = getattr(details, name, None)
        if ident is not None:
            return str(ident)
    return str(run)


def _from_memory(found: Unfinished) -> Again:
    run = found.run
    before: Any = run.definition
    definition = before if before.cell_source is not None else present(before)
    return Again(
        as_hex(run.number),
        definition,
        before.cell_source,
        found.args,
        found.kwargs,
        found.attempts,
    )


def _from_history(text: str) -> Again:
    """Return the call of a run of another kernel, or of one that this kernel has forgotten."""
    session = get_session()
    session.history.flush(_PATIENCE)
    _, record = _outermost(session.history.run(text))  # raises if there never was one
    if UUID(record.id).int in session.live:
        message = f"Run {record.name!r} is still going on. It can be retried when it is over."
        raise ObjectNotFound(message)
    if record.state in _COMPLETED:
        message = f"Run {record.name!r} has completed, so there is nothing to run again."
        raise ObjectNotFound(message)
    if record.state != "Crashed" and not record.states[-1].type.endswith("ED"):
        message = f"Run {record.name!r} is still going on in another kernel."
        raise ObjectNotFound(message)
    kept = session.history.call_of(record.id)
    call = session.calls.open(record.id, kept) if kept is not None else None
    if call is None:
        why = "by this user" if kept is not None else "of it"
        message = (
            f"The call of run {record.name!r} cannot be made again: no parameters were kept {why}. "
            f"Call {record.definition!r} yourself: what is cached is reused."
        )
        raise ObjectNotFound(message)
    if call.cell is not None:
        return Again(record.id, None, call.cell, (), {})
    definition = _defined(call)
    if call.missing:
        told = "; ".join(f"`{name}`: {why}" for name, why in call.missing.items())
        message = (
            f"Parameters of run {record.name!r} are missing ({told}). Call {call.name!r} yourself "
            f"with them: what is cached is reused."
        )
        raise ObjectNotFound(message)
    args, kwargs = definition.shape.call_of(call.parameters)
    return Again(record.id, definition, None, args, kwargs)


def _outermost(record: RunRecord) -> tuple[RunRecord, RunRecord]:
    """Return the run that nothing is around, and the last one that continues it."""
    history = get_session().history
    while record.parent or record.flow:
        record = history.run(record.parent or record.flow or "")
    first = record
    while (following := history.continued_by(record.id)) is not None:
        record = history.run(following)
    return first, record


def _defined(call: KeptCall) -> Any:
    """Return the flow of a call as it is defined now. Raises `ObjectNotFound` if it is not."""
    if call.module not in ("", "__main__") and call.module not in sys.modules:
        try:
            import_module(call.module)
        except Exception as error:
            message = f"Module {call.module!r} of flow {call.name!r} cannot be imported: {error}."
            raise ObjectNotFound(message) from None
    kind: type = cast("Any", Flow)  # so that checkers do not ask of which signature
    found = _reached(call.module, call.identity)
    if isinstance(found, kind):
        return found
    names = vars(sys.modules["__main__"])
    flows: list[Any] = [value for value in list(names.values()) if isinstance(value, kind)]
    for one in flows:
        if one.name == call.name:
            return one
    near = difflib.get_close_matches(call.name, [one.name for one in flows], 1)
    hint = f" There is {near[0]!r}." if near else ""
    message = (
        f"Flow {call.name!r} is not defined here.{hint} Run the cells that define it and its "
        "tasks, then go on."
    )
    raise ObjectNotFound(message)


def _reached(module: str, identity: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in identity.split("."):
        found = getattr(found, part, None)
    return found


def present(definition: Any) -> Any:
    """Return the task or flow that goes by the name of a former one now, else the former one."""
    fn: Any = definition.fn
    found = _reached(getattr(fn, "__module__", ""), definition.identity)
    if not isinstance(found, Decorated) or found.noun != definition.noun:
        return definition
    mended = cast("Any", found)
    return definition if mended.fn is fn else mended


def _call(found: Again, return_state: bool) -> Any:
    """Make a call again, as a run that continues the one before."""
    told = Continued(found.definition, found.run_id, found.attempts, found.only)
    if found.cell is not None:
        return _run_cell(found.cell, told)
    definition = found.definition
    options = {"return_state": True} if return_state else {}
    if definition.isasync and not definition.isgenerator:
        return _call_async(told, found, options)
    with _continued(told):
        return definition(*found.args, **found.kwargs, **options)


async def _call_async(told: Continued, found: Again, options: dict[str, bool]) -> Any:
    with _continued(told):
        return await found.definition(*found.args, **found.kwargs, **options)


def _run_cell(source: str, told: Continued) -> Any:
    run_cell = get_session().run_cell
    if run_cell is None:
        message = "The run was a cell, which can be run again only where `%load_ext cellist` was."
        raise ObjectNotFound(message)
    told.definition = None  # the cell's own is made when it runs
    with _continued(told):
        return run_cell(source)


@contextmanager
def _continued(told: Continued) -> Generator[None]:
    before = continuing.get()
    continuing.set(told)
    try:
        yield
    finally:
        continuing.set(before)


__all__ = ["Again", "Stopped", "find_again", "name_of_run", "present", "resume", "retry", "stopped"]
