"""Slots for tags: a part of the life of a run, before each attempt that follows a wait.

A task run takes a slot of the limit `tag:<t>` for each of its tags that has one, all or none, and
waits for them in AwaitingConcurrencySlot. It gives them back when it ends, however it ends, and
while it waits for a retry.
"""

from cellist.engine.commands import Err, Steps, Wait
from cellist.engine.execution import Execution
from cellist.exceptions import CancelledRun, ConcurrencySlotAcquisitionError
from cellist.model.states import SCHEDULED


def take_slots(x: Execution, quietly: bool = False) -> Steps[BaseException | None]:
    """Take the slots a run needs, and wait if there are none. Returns what ended it instead.

    `quietly` leaves the state of the run as it is.
    """
    if not x.run.tags or x.permit is not None:
        return None
    limits = x.services.limits
    permit = x.permit = limits.permit_for(x)
    if permit is None:
        return None
    try:
        limits.ask(permit)
    except ConcurrencySlotAcquisitionError as error:
        return error
    if permit.outcome is None:
        if not quietly:
            x.run.enter(SCHEDULED, "AwaitingConcurrencySlot", permit.note)
        outcome = yield Wait([permit])
        if isinstance(outcome, Err):
            return outcome.error
        if x.cancelling:
            return CancelledRun("Cancelled while it waited for a slot.")
    return permit.outcome.error if isinstance(permit.outcome, Err) else None


def give_slots_back(x: Execution) -> None:
    """Give back what the run holds, or stop waiting for it."""
    permit = x.permit
    if permit is not None:
        x.services.limits.release(permit)
        x.permit = None
