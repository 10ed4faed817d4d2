"""Whether a run may take a result that is there already, and where its own result goes.

Two may have one: the attempts of the flow around the run, and the cache. The attempts come first:
a retry goes on where the flow run failed, whatever its tasks are told about caching.
"""

from typing import Any

from cellist.engine import flights
from cellist.engine.commands import Err, Invoke, Offload, Ok, Recorded, Steps, stop_in
from cellist.engine.execution import Execution
from cellist.model.reasons import Reason


def find(x: Execution) -> Steps[Ok | Err | None]:
    """Return a result to reuse, `None` if the run must compute, an error if the wait was ended."""
    recalls = x.recalls
    if recalls is not None:
        outcome = yield Offload(recalls.recall, x)
        if isinstance(outcome, Ok) and outcome.value is not None:
            return outcome.value
        stop = stop_in(outcome)
        if stop is not None:
            return Err(stop)
    if x.plan.cache.__class__ is Reason:
        x.run.why = None if x.plan.is_flow else x.plan.cache
        return None
    found = yield from flights.find(x)
    if isinstance(found, Recorded):
        shown = yield Invoke(x.services.cache.show, (x, found), {}, None, False)
        stop = stop_in(shown)
        if stop is not None:
            return Err(stop)
    if recalls is not None and isinstance(found, Ok):
        stop = stop_in((yield Offload(recalls.keep, x, found.value)))
        return found if stop is None else Err(stop)
    return found


def store(x: Execution, value: Any) -> Steps[BaseException | None]:
    """Put the result where it belongs before Completed is announced, so that who hears can fetch.

    Nothing is kept of code that was asked to stop: it may have given what it had so far. Returns
    what is to end the run, if that came meanwhile.
    """
    if is_partial(x):
        return None
    if x.plan.cache.__class__ is not Reason:
        stop = stop_in((yield Offload(x.services.cache.remember, x, value, seconds(x))))
        if stop is not None:
            return stop
    if x.recalls is not None:
        return stop_in((yield Offload(x.recalls.keep, x, value)))
    if value is None and x.flow is not None and x.flow.spares is not None:
        x.flow.spares.add(x, value)  # which the cache keeps only if told to
    return None


def is_partial(x: Execution) -> bool:
    """Whether the code was asked to stop."""
    return x.cancelling or x.services.interrupted()


def seconds(x: Execution) -> float:
    """Return how long the present attempt has taken."""
    return (x.services.now() - x.began) / 1_000_000_000
