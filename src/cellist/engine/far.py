"""Runs whose code is carried out on a cluster, and whose results stay there.

No thread waits for such code: the run goes on when its call is settled. A result is fetched only if
something here needs it: the cache, which stores bytes; a hook; a transaction; an earlier attempt
of the flow to fall back on; a state or generator that the code returned. Otherwise what is left
here is a reference, and tasks on the same cluster get that.
"""

from abc import ABC, abstractmethod
from typing import Any, cast

from cellist.engine.commands import Elsewhere, Err, Invoke, Offload, Ok, Outcome, Steps, stop_in
from cellist.engine.execution import Execution
from cellist.engine.inputs import Upstream, value_of
from cellist.engine.promise import Latch, Promise
from cellist.engine.timeouts import timeout_error
from cellist.engine.timers import Timer, call_later
from cellist.model.reasons import Reason
from cellist.model.references import Absent, Reference
from cellist.model.states import COMPLETED

WAITS_FOR_WORKER = "waits for a worker of the cluster"


class FarCall(Latch, ABC):
    """User code that is carried out elsewhere; settled when it has ended or its time is up."""

    __slots__ = ("_timer", "begun", "command", "handle", "is_stopped", "number", "waits", "x")

    def __init__(self, x: Execution, command: Invoke, number: str) -> None:
        super().__init__()
        self.x = x
        self.command = command
        self.number = number
        """What messages about this call are marked with."""
        self.handle: Any = None
        """The cluster's own future of it."""
        self.begun: str | None = None
        """Where the code runs, once it does; until then the call waits for a worker."""
        self.waits = WAITS_FOR_WORKER
        """What a call that has not begun waits for."""
        self.is_stopped = False
        self._timer: Timer | None = None

    def begin(self, place: str) -> None:
        """Note that a worker has begun with it: from now on its time counts."""
        self.begun = place
        if self.command.timeout is not None and self._timer is None:
            self._timer = call_later(self.command.timeout, self._expire)

    def _expire(self) -> None:
        seconds = self.command.timeout or 0.0
        if self.settle(Err(timeout_error(seconds, self.x.plan.is_flow))):
            self.stop()

    def _let_go(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def stop(self) -> None:
        """Ask the code to stop, as far as the cluster can make it."""
        if not self.is_stopped:
            self.is_stopped = True
            self.end()

    @abstractmethod
    def end(self) -> None:
        """Have the cluster stop the code. Must not block."""


def needs_values(x: Execution) -> bool:
    """Whether something here has to see the arguments and the result of a run."""
    return (
        x.plan.cache.__class__ is not Reason
        or x.recalls is not None
        or x.transaction is not None
        or x.plan.naming is not None
        or bool(x.plan.hooks)
    )


def take_inputs(x: Execution) -> Steps[Any]:
    """Fetch the inputs a run cannot take by reference, and return what puts inputs in place.

    That is a function of an upstream; or the error that ended the wait.
    """
    by_reference = x.far is not None and not needs_values(x)
    for promise in x.waits or ():
        outcome: Any = promise.outcome
        if outcome.__class__ is Elsewhere and not (by_reference and outcome.of(x.far)):
            fetched = yield Offload(_fetch, outcome.reference)
            if stop_in(fetched) is not None:  # any other error comes where the value is asked for
                return fetched
    if x.far is not None:
        x.given = (x.args, x.kwargs)
    if not by_reference:
        return value_of

    def take(upstream: Upstream) -> Any:
        reference = _reference_of(upstream, x.far)
        return value_of(upstream) if reference is None else Absent(reference.preview)

    return take


def far_value_of(home: Any) -> Any:
    """Return what puts inputs in place on a cluster: references to what is there, else values."""

    def take(upstream: Upstream) -> Any:
        reference = _reference_of(upstream, home)
        return value_of(upstream) if reference is None else reference

    return take


def _reference_of(upstream: Upstream, home: Any) -> Reference | None:
    source = upstream.source
    outcome = source.outcome if isinstance(source, Promise) else None
    if isinstance(outcome, Elsewhere) and outcome.of(home):
        source.observed = True  # pyright: ignore[reportAttributeAccessIssue] - a promise, as it has an outcome
        return outcome.reference
    return None


def _fetch(reference: Reference) -> Any:
    return reference.value


def conclude_far(x: Execution, outcome: Elsewhere, conclude: Any) -> Steps[Outcome | None]:
    """Conclude an attempt on a cluster. `None` means that another attempt is to be made."""
    if x.cancelling or outcome.is_special or needs_values(x):
        fetched = yield Offload(_fetch, outcome.reference)
        ended = cast("Outcome | None", (yield from conclude(x, fetched)))
        if isinstance(fetched, Ok) and type(ended) is Ok and ended.value is fetched.value:
            return outcome
        return ended
    x.run.preview = outcome.reference.preview
    x.run.enter(COMPLETED)
    return outcome
