"""What the buttons of a board do. May be called on any thread."""

from cellist.exceptions import ObjectNotFound
from cellist.session import get_session


def control(action: str, run: str) -> str | None:
    """Carry out a click on a run, given by its id in hex, and return what to tell the user."""
    session = get_session()
    try:
        execution = session.find(run)
    except ObjectNotFound:
        return "This run is over."
    if action == "cancel":
        session.cancel(execution)
        return None
    waker = execution.waker
    if waker is None:
        return "This run is not waiting for a retry."
    waker.wake(action)
    return None
