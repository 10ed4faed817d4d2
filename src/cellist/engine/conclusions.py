"""From what user code returned to the state its run ends in (SPEC §8.2).

A returned state is taken as it is. States of other runs are summed up: completed if all are,
cancelled if one is, failed if one failed or crashed. A flow may return futures, also nested in
containers or among values: they are replaced by their values, and one failed run fails the flow.
The steps have consumed a returned generator into a list before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from cellist.engine.commands import Declared, Given, Outcome
from cellist.engine.inputs import ATOMS, Upstream, first_cause, parts, resolve
from cellist.engine.promise import Promise
from cellist.engine.streams import is_generator
from cellist.exceptions import PausedRun, UnfinishedRun
from cellist.model.annotations import BaseAnnotation, quote
from cellist.model.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    State,
    StateType,
    is_state_iterable,
    state_exception,
)

_CONTAINERS = (list, tuple, set, dict)
_BAD = {CANCELLED, FAILED, CRASHED}


@dataclass(slots=True, eq=False, repr=False)
class Conclusion:
    """The state a run is to enter, what its caller gets, and what the state carries."""

    type: StateType
    name: str | None = None
    message: str | None = None
    value: Any = None
    data: Any = None
    plain: bool = True
    """Whether caller and state both get simply the value."""
    error: BaseException = field(default_factory=Exception)
    state: State | None = None

    def outcome(self, is_flow: bool) -> Outcome:
        """Return the outcome of a run whose code chose an end that gives no result."""
        return Declared(self.error, self.data) if is_flow else Given(self.value, self.data)


def is_special(value: Any) -> bool:
    """Whether a task's return value needs a closer look than `Completed`."""
    kind = value.__class__
    if kind in ATOMS or kind is dict:
        return False
    if kind in (list, tuple, set):
        return is_state_iterable(value)
    return isinstance(value, State) or is_generator(value)


def promises_in(value: Any) -> Iterator[Promise]:
    """Yield the promises inside a return value, `quote` left alone."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Promise):
            yield item
        elif isinstance(item, BaseAnnotation):
            if not isinstance(item, quote):
                stack.append(cast("BaseAnnotation[Any]", item).unwrap())
        elif isinstance(item, _CONTAINERS) and id(cast("Any", item)) not in seen:
            seen.add(id(cast("Any", item)))
            stack.extend(parts(item))


def conclude(value: Any, is_flow: bool) -> Conclusion:
    """Return the conclusion for what user code returned. All promises in it must be settled."""
    if isinstance(value, State):
        return _of_state(value, is_flow)
    if isinstance(value, quote):
        bare: Any = cast("quote[Any]", value).unwrap()
        return Conclusion(COMPLETED, value=bare, data=bare)
    if not is_flow:
        if is_state_iterable(value):
            return _sum(list(value), value, value)
        return Conclusion(COMPLETED, value=value, data=value)
    return _of_flow_value(value)


def _of_flow_value(value: Any) -> Conclusion:
    states: list[State] = []

    def as_state(upstream: Upstream) -> Any:
        source = upstream.source
        if isinstance(source, Promise):
            source.observed = True
            source = source.final_state
        states.append(source)
        return source

    if isinstance(value, (Promise, *_CONTAINERS)):
        as_states = resolve(value, as_state)
        if states:
            plain = None
            if all(state.type is COMPLETED for state in states):
                plain = resolve(value, _as_value)
            return _sum(states, plain, as_states)
    return Conclusion(COMPLETED, value=value, data=value)


def _as_value(upstream: Upstream) -> Any:
    source = upstream.source
    if isinstance(source, Promise):
        return source.final_state.result()
    details = source.state_details
    if details.task_run_id is None and details.flow_run_id is None:
        return source.data  # made by the user, who need not give a value
    return source.result()


def _of_state(state: State, is_flow: bool) -> Conclusion:
    details = state.state_details
    if details.task_run_id is not None or details.flow_run_id is not None:
        value = state.data if is_flow and state.type is COMPLETED else state
        return _sum([state], value, state)
    if state.type is COMPLETED:
        value = state.data if is_flow else state
        return Conclusion(COMPLETED, state.name, state.message, value, state.data, plain=False)
    kind, name, message = state.type, state.name, state.message
    if kind is CANCELLING:  # whoever returns has stopped
        kind, name, state = CANCELLED, None, State(CANCELLED, None, message, state.data)
    if kind in _BAD:
        error = state_exception(state)
    elif kind is PAUSED:
        error = PausedRun("Run is paused, its result is not available.", state=state)
    else:
        message = f"The run ended by returning a state that is not final: {state}."
        kind, name, error = FAILED, None, UnfinishedRun(message)
    return Conclusion(kind, name, message, state, state.data, False, error, state)


def _sum(states: list[State], value: Any, data: Any) -> Conclusion:
    """Sum up the states of other runs; `value` is for the caller, `data` for the state."""
    total = len(states)
    kinds = [state.type for state in states]
    if all(kind is COMPLETED for kind in kinds):
        return Conclusion(COMPLETED, None, "All states completed.", value, data, plain=False)
    for kinds_wanted, ending, word in (
        ({CANCELLED}, CANCELLED, "cancelled"),
        ({PAUSED}, PAUSED, "paused"),
        ({FAILED, CRASHED}, FAILED, "failed"),
    ):
        matching = sum(kind in kinds_wanted for kind in kinds)
        if matching:
            message = f"{matching}/{total} states {word}."
            return _unfinished(ending, message, states, data)
    waiting = sum(not state.is_final() for state in states)
    return _unfinished(FAILED, f"{waiting}/{total} states are not final.", states, data)


def _unfinished(kind: StateType, message: str, states: list[State], data: Any) -> Conclusion:
    bad = next((state for state in states if state.type in _BAD), None)
    if bad is not None:
        error = state_exception(bad)
    else:
        stuck = next((state for state in states if not state.is_final()), None)
        text = (stuck.message if stuck else None) or message
        if stuck is not None and stuck.why is not None:
            text = f"A task {stuck.why}. {text}"  # which names the run that the message numbers
        error = UnfinishedRun(text)
        error.__cause__ = first_cause(stuck.data) if stuck is not None else None
    if not (isinstance(data, State) or is_state_iterable(data)):
        data = error  # a state whose data is anything else could not say what is wrong
    summary = State(kind, None, message, data)
    return Conclusion(kind, None, message, summary, data, False, error, summary)
