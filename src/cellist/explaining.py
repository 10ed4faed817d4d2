"""Why a call would be reused or would run, found out before it does.

The key is computed as a run would compute it, by the same code and under the same options, those
that are inherited from the run around the call included. Nothing runs, nothing is stored, counted,
waited for or recorded. Functions of the user that make the key (a `cache_key_fn`, a policy of
their own, `__cellist_key__`) are called, because there is no other way to know it.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cellist import settings
from cellist.decorated import take_call_options
from cellist.engine.execution import Execution, active_tags, current, enclosing_flow
from cellist.engine.inputs import find_upstream, resolve, value_of
from cellist.engine.promise import Promise
from cellist.exceptions import UpstreamTaskError
from cellist.model.later import later
from cellist.model.reasons import Reason
from cellist.model.runs import TaskRun
from cellist.model.states import PENDING
from cellist.persistence import CachePlan, inherit
from cellist.returning import gives_result

if TYPE_CHECKING:
    from cellist import result_cache, session
else:
    result_cache = later("cellist.result_cache", globals())
    session = later("cellist.session", globals())

_FORETOLD = (
    ("ran: ", "would run: "),
    ("did not run: ", "would not run: "),
    ("reused from ", "would be reused from "),
    ("reused: ", "would be reused: "),
)
"""How sentences begin about a run that was, and about one that may come."""


def foretold(reason: Reason) -> Reason:
    """Return a reason as it is said before the run."""
    sentence = reason.sentence.replace(", saved ", ", saves ", 1)
    for was, will_be in _FORETOLD:
        if sentence.startswith(was):
            sentence = will_be + sentence.removeprefix(was)
            break
    return replace(reason, sentence=sentence)


class Explained(ABC):
    """What can say beforehand what would come of a call."""

    def why(self, *args: Any, **kwargs: Any) -> Reason:
        """Return why a call with these arguments would be reused or would run; nothing runs.

        Raises `ParameterBindError` if the arguments do not fit.
        """
        take_call_options(kwargs)
        return foresee(self, self._all(args), kwargs).reason

    explain = why

    @abstractmethod
    def _all(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the positional arguments of the function for those of a call."""


def foresee(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "result_cache.Foreseen":
    """Return what would come of a call made here; `ident` only if the like would then be reused.

    Raises `ParameterBindError` if the arguments do not fit.
    """
    x = _rehearsed(task, args, kwargs)
    if isinstance(x.plan.cache, Reason):
        return result_cache.Foreseen(foretold(x.plan.cache))
    plan: CachePlan = x.plan.cache
    obstacle = _resolve_inputs(x)
    if obstacle is not None:
        return result_cache.Foreseen(obstacle)
    before = current.get()
    current.set(x)  # as for a run: functions that make the key may ask for it
    try:
        found: result_cache.Foreseen = x.services.cache.foresee(x)
    finally:
        current.set(before)
    reason = foretold(found.reason)
    always = why_always(plan)
    if always is not None or plan.readonly:
        found = found._replace(ident=None)
    return found._replace(reason=always if always and reason.outcome == "miss" else reason)


def why_always(plan: CachePlan | Reason) -> Reason | None:
    """Return why a task runs whatever its arguments, `None` if that depends on them."""
    if isinstance(plan, Reason):
        return foretold(plan)
    if plan.refresh:
        return Reason("miss", "refreshed", "would run: a refresh was asked for")
    if not plan.explicit and not gives_result(plan.fn):  # as far as its code tells
        return Reason(
            "miss", "no_result", "would run: it returns None, which is not kept by default"
        )
    return None


def _rehearsed(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Execution:
    """Return the execution of a call that nobody is told of."""
    parent = current.get()
    if parent is None:
        settings.refresh()
    plan = task.plan()
    plan.shape.check(args, kwargs)
    keeping = parent.keeping if parent is not None else None
    if keeping is not None or plan.keeping is not None:
        plan, _ = inherit(plan, keeping)
    flow = enclosing_flow(parent)
    above = parent.run if parent is not None else None
    tags = plan.tags | active_tags.get()
    run = TaskRun(task, above, flow.flow_run if flow is not None else None, (), tags)
    run.enter(PENDING)
    return Execution(run, task, plan, args, kwargs, parent, flow, session.get_session())


def _resolve_inputs(x: Execution) -> Reason | None:
    """Put values in the place of futures and states; return what keeps that from being done."""
    found, treated = find_upstream(x.plan.shape.named(x.args, x.kwargs))
    if not treated:
        return None
    promises = [one.source for one in found if isinstance(one.source, Promise)]
    for promise in promises:
        if promise.outcome is None:
            name = promise.run.name
            sentence = f"would run: its input `{name}` is not there yet, so its key is not known"
            return Reason("miss", "waits", sentence)
    observed = [promise.observed for promise in promises]
    try:
        x.args, x.kwargs = resolve((x.args, x.kwargs), value_of)
    except UpstreamTaskError as error:
        return Reason("off", "upstream", f"would not run: {error.upstream}")
    finally:
        for promise, before in zip(promises, observed, strict=True):
            promise.observed = before  # nobody has looked at the result because of this
    return None
