"""What the buttons of a board do. May be called on any thread."""

from collections.abc import Callable

from cellist.drawing.markup import clipped
from cellist.engine.execution import Execution
from cellist.exceptions import ObjectNotFound
from cellist.session import get_session

_OVER = "This run is over."


def control(action: str, run: str, *, again: Callable[[str], str]) -> str:
    """Carry out a click on a run, given by its id in hex, and return what to tell the user.

    `again` runs again what failed in a run.
    """
    if action == "retry_failed":
        return again(run)
    session = get_session()
    try:
        execution = session.find(run)
    except ObjectNotFound:
        return _OVER
    name = clipped(execution.run.name, 60)
    if action == "cancel":
        session.cancel(execution)
        return _stopped(execution, name)
    waker = execution.waker
    if waker is None:
        return f"`{name}` is not waiting for a retry."
    waker.wake(action)
    return f"`{name}` tries again now." if action == "retry_now" else f"`{name}` is not retried."


def _stopped(execution: Execution, name: str) -> str:
    run = execution.run
    if run.is_final:
        return f"`{name}` is cancelled."
    return f"`{name}` is asked to stop; it ends as soon as its code lets it."
