"""What a flow does about the runs it started: a part of its life, when its body is over."""

from cellist.engine.commands import Err, Ok, Outcome, Steps, Wait
from cellist.engine.conclusions import promises_in
from cellist.engine.execution import Execution, FlowExecution
from cellist.exceptions import FlowRunTimeoutError


def wait_for_children(x: FlowExecution, outcome: Ok) -> Steps[Outcome]:
    """Wait for what a flow returned and for what it started."""
    while True:  # a child may have started others meanwhile
        waiting = [promise for promise in promises_in(outcome.value) if promise.outcome is None]
        waiting += [child for child in list(x.children) if child.outcome is None]
        if not waiting:
            return outcome
        waited = yield Wait(waiting)
        if isinstance(waited, Err):
            return waited


def drop_children(x: Execution, error: Exception) -> Steps[Err | None]:
    """After a failed body: cancel what has not started, wait for what has unless time is up.

    Returns the interrupt that ended the waiting, if one did.
    """
    if not isinstance(x, FlowExecution):
        return None
    is_late = isinstance(error, FlowRunTimeoutError)
    if is_late or x.attempts is None or not x.attempts.is_narrowed:
        x.services.cancel_children(x, only_waiting=not is_late)
    while waiting := [child for child in list(x.children) if child.outcome is None and not is_late]:
        outcome = yield Wait(waiting)
        if isinstance(outcome, Err):
            return outcome
    return None
