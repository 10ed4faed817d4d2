"""Go on with what did not complete: retry a run by hand, resume one of a kernel that went away.

    cellist.retry()             the latest run here that did not complete, once more
    cellist.retry("fetch-3ab")  the flow that this item is part of; what completed is reused
    cellist.resume()            the latest flow run whose kernel died, from its reusable results

Both call the flow again with the same parameters, as another run that says in `resumed_from` which
one it continues. Nothing of the flow's own code is skipped: what its tasks gave is reused, so only
what failed, and what is made of it, runs. The flow is the one that goes by the name now, so it may
have been mended meanwhile.
"""

import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from cellist.decorated import Decorated
from cellist.exceptions import ObjectNotFound
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.session import get_session
from cellist.unfinished import Continued, Unfinished, continuing


def retry(run: Any = None, *, return_state: bool = False) -> Any:
    """Run what did not complete in a run once more, and return what that gives.

    `run` is a run, a state, a future, or the id or name of a run; by default the latest of this
    kernel that did not complete. A task run inside a flow stands for its flow. A flow is called
    again with the same arguments, and its tasks reuse what they gave in the run before: what is
    cached; what this session still has of a flow with retries; of other flows small results of
    tasks that are not cached, whose arguments are plain and that read no variables from outside.
    A task run of its own is run again with its inputs.

    An async function gives a coroutine to be awaited. With `return_state=True` it is the final
    state. Raises what the run raises, and `ObjectNotFound` if there is no such run or it is live.
    """
    return call_again(_unfinished(run), return_state)


def _unfinished(run: Any) -> Unfinished:
    """Return what is known of a run. Raises `ObjectNotFound` saying why nothing is."""
    known = get_session().unfinished
    if run is None:
        found = known.latest()
        if found is None:
            message = "No run of this kernel has failed, crashed or been cancelled."
            raise ObjectNotFound(message)
        return found
    text = name_of_run(run)
    found = known.find(text)
    if found is None:
        raise ObjectNotFound(_why_not(text))
    return found


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


def _why_not(text: str) -> str:
    """Say why a run cannot be retried."""
    session = get_session()
    session.history.flush(_PATIENCE)
    record = session.history.run(text)  # raises if there never was one
    if UUID(record.id).int in session.live:
        return f"Run {record.name!r} is still going on. It can be retried when it is over."
    if record.state in ("Completed", "Cached"):
        return f"Run {record.name!r} has completed, so there is nothing to retry."
    return (
        f"Run {record.name!r} is not remembered by this kernel, which it takes to retry it. "
        f"Call {record.definition!r} again: what is cached is reused."
    )


_PATIENCE = 5.0


def call_again(found: Unfinished, return_state: bool = False) -> Any:
    """Call what an unfinished run ran, with the same arguments, and link the runs."""
    run = found.run
    definition = present(run.definition)
    told = Continued(definition, as_hex(run.number), found.attempts)
    options = {"return_state": True} if return_state else {}
    if definition.isasync and not definition.isgenerator:
        return _call_async(told, found, options)
    with _continued(told):
        return definition(*found.args, **found.kwargs, **options)


async def _call_async(told: Continued, found: Unfinished, options: dict[str, bool]) -> Any:
    with _continued(told):
        return await _awaitable(told.definition(*found.args, **found.kwargs, **options))


def _awaitable(call: Any) -> Coroutine[Any, Any, Any]:
    return call


@contextmanager
def _continued(told: Continued) -> Generator[None]:
    before = continuing.get()
    continuing.set(told)
    try:
        yield
    finally:
        continuing.set(before)


def present(definition: Any) -> Any:
    """Return the task or flow that goes by the name of a former one now, else the former one."""
    fn: Any = definition.fn
    found: Any = sys.modules.get(getattr(fn, "__module__", ""))
    for part in definition.identity.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Decorated) or found.noun != definition.noun:
        return definition
    mended = cast("Any", found)
    return definition if mended.fn is fn else mended


__all__ = ["call_again", "name_of_run", "present", "retry"]
