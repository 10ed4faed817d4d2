"""A rehearsal: the code of a flow runs, its tasks and subflows only note that they were called.

While a rehearsal is the current execution, `calling` hands every call over to it instead of making
a run. What it gives back are the real things with a run that nobody is told of: futures that are
settled, completed states, coroutines and generators. So waiting, awaiting, `as_completed` and
reading states work as ever, and nothing is recorded, cached or shown.
"""

import copy
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from cellist.engine.commands import Ok
from cellist.engine.execution import FlowExecution, active_tags, current
from cellist.engine.inputs import ATOMS, is_closed, parts
from cellist.engine.promise import Promise
from cellist.exceptions import MappingMissingIterable
from cellist.futures import PrefectFuture, PrefectFutureList
from cellist.mapping import spread
from cellist.model.annotations import NOT_SET, BaseAnnotation, unmapped
from cellist.model.previews import short
from cellist.model.runs import FlowRun, Run, TaskRun
from cellist.model.states import COMPLETED, RUNNING, State
from cellist.persistence import inherit
from cellist.placeholders import Origin, Placeholder, element_of, origin_of


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """One call that was noted."""

    run: Run
    is_many: bool
    """Whether it stands for the runs of a map of unknown length."""
    sources: dict[int, dict[str, None]]
    """Numbers of the runs it depends on, with the parameters that came from them."""
    value: Any = NOT_SET
    """What it gives; `NOT_SET` for a placeholder."""
    is_own: bool = False
    """Whether nobody else holds that value, so that the flow's code may have it itself."""

    @property
    def gave_placeholder(self) -> bool:
        """Whether what it gave only stands for a value."""
        return self.value is NOT_SET


class Script(Protocol):
    """What decides what calls give; without one it is the `viz_return_value` of the task."""

    def answer(
        self, rehearsal: "Rehearsal", call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Set the value of a call that was just noted."""
        ...

    def play(
        self,
        rehearsal: "Rehearsal",
        flow: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        return_state: bool,
    ) -> Any:
        """Return what the call of a subflow gives; of an async one an awaitable."""
        ...


class Rehearsal(FlowExecution):
    """A flow whose code runs without its tasks."""

    __slots__ = ("_known", "_lock", "_names", "calls", "script")

    def __init__(
        self,
        flow: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        script: Script | None = None,
        outer: "Rehearsal | None" = None,
    ) -> None:
        plan = flow.plan()
        plan.shape.check(args, kwargs)
        above = outer.flow_run if outer is not None else None
        run = FlowRun(flow, above, above, (), plan.tags | active_tags.get())
        super().__init__(run, flow, plan, args, kwargs, outer, outer, None)
        around = current.get()
        _, self.keeping = inherit(plan, around.keeping if around is not None else None)
        self.log_prints = False
        self.script = script
        if outer is not None:
            self.calls, self._names = outer.calls, outer._names
            self._known, self._lock = outer._known, outer._lock
            run.enter(RUNNING)
            return
        self.calls: dict[int, Call] = {}
        self._names: Counter[str] = Counter()
        self._known: dict[int, tuple[Any, int]] = {}
        """By identity the objects that tasks gave, kept alive, and the run that gave each."""
        self._lock = threading.Lock()
        run.enter(RUNNING)

    def call(
        self,
        definition: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        return_state: bool,
    ) -> Any:
        """Note a direct call and return what stands for its value."""
        if self.script is not None and definition.noun == "flow" and not definition.isgenerator:
            return self.script.play(self, definition, args, kwargs, wait_for, return_state)
        definition.shape.check(args, kwargs)
        if definition.isasync and not definition.isgenerator:
            return self._awaited(definition, args, kwargs, wait_for, return_state)
        run = self.noted(definition, args, kwargs, wait_for)
        if definition.isgenerator:
            stream = self._stream_async(run) if definition.isasync else self._stream(run)
            self._known[id(stream)] = stream, run.number
            return stream
        return self.given(run, return_state)

    async def _awaited(
        self,
        definition: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        return_state: bool,
    ) -> Any:
        return self.given(self.noted(definition, args, kwargs, wait_for), return_state)

    def given(self, run: Run, return_state: bool) -> Any:
        """Return what a direct call that was noted gives."""
        value = self._value(run)
        return run.public_state(value) if return_state else value

    def _stream(self, run: Run) -> Generator[Any]:
        yield from self._values(run)

    async def _stream_async(self, run: Run) -> AsyncGenerator[Any]:
        for value in self._values(run):
            yield value

    def submit(
        self, definition: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
    ) -> PrefectFuture[Any]:
        """Note a submission and return its future, settled."""
        definition.shape.check(args, kwargs)
        return self._future(self.noted(definition, args, kwargs, wait_for))

    def map(
        self, definition: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
    ) -> PrefectFutureList[Any]:
        """Note a run for each element, or one for all where their number is not known."""
        named = definition.shape.named(args, kwargs)
        whole: dict[int, dict[str, None]] = {}
        for name, value in named:
            for number in self._numbers_of(value):  # of the thing mapped over, not its elements
                whole.setdefault(number, {})[name] = None
        runs, is_many = self._spread(definition, args, kwargs)
        futures: PrefectFutureList[Any] = PrefectFutureList()
        for parameters in runs:
            one, names = definition.shape.call_of(parameters)
            run = self._note(definition, one, names, wait_for, is_many, whole)
            futures.append(self._future(run))
        return futures

    def _spread(
        self, definition: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the parameters of each run of a map, and whether one stands for all.

        What has no known length takes that of the other arguments, if one of them has any.
        """
        shape, name = definition.shape, definition.name
        args = tuple(map(_listed, args))
        kwargs = {key: _listed(value) for key, value in kwargs.items()}
        elements = [self._element(value) for value in (*args, *kwargs.values())]
        if all(one is NOT_SET for one in elements):
            return spread(shape, args, kwargs, name)[0], False
        try:
            return spread(shape, *_replaced(args, kwargs, elements, unmapped), name)[0], False
        except MappingMissingIterable:
            return spread(shape, *_replaced(args, kwargs, elements, _alone), name)[0], True

    def _element(self, value: Any) -> Any:
        """Return what stands for each element of a value of unknown length, else `NOT_SET`."""
        if isinstance(value, list) and len(cast("list[Any]", value)) == 1:
            (only,) = cast("list[Any]", value)
            return only if self._is_many(only) else NOT_SET
        if isinstance(value, Promise) and isinstance(value.outcome, Ok):
            value = value.outcome.value
        elif isinstance(value, State):
            value = value.data
        return element_of(value) if isinstance(value, Placeholder) else NOT_SET

    def _is_many(self, value: Any) -> bool:
        if isinstance(value, Promise):
            call = self.calls.get(value.run.number)
            return call is not None and call.is_many
        return isinstance(value, Placeholder) and origin_of(value).is_many

    def noted(
        self, definition: Any, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any
    ) -> Run:
        """Note one call, and return the run that stands for it."""
        return self._note(definition, args, kwargs, wait_for, False, {})

    def _note(
        self,
        definition: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        is_many: bool,
        whole: dict[int, dict[str, None]],
    ) -> Run:
        """Note one call, with what it depends on."""
        sources = {number: dict(names) for number, names in whole.items()}
        named = [*definition.shape.named(args, kwargs)]
        for name, value in (*named, ("wait_for", wait_for)):
            for number in self._sources_in(value):
                sources.setdefault(number, {})[name] = None
        make = FlowRun if definition.noun == "flow" else TaskRun
        run = make(definition, self.run, self.flow_run, (), frozenset())
        with self._lock:
            run.name = f"{definition.name}-{self._names[definition.name]}"
            self._names[definition.name] += 1
            known = {number: names for number, names in sources.items() if number in self.calls}
            call = self.calls[run.number] = Call(run, is_many, known)
        derived = {name for names in sources.values() for name in names}
        run.inputs = {name: short(value) for name, value in named if name not in derived}
        if self.script is None:
            call.value = value_to_draw_with(definition)
        else:
            self.script.answer(self, call, args, kwargs)
        run.enter(COMPLETED)
        return run

    def holds_placeholder(self, value: Any) -> bool:
        """Whether the value, or anything inside it, only stands for one."""
        found = [self.calls.get(number) for number in self._sources_in(value)]
        return any(call.gave_placeholder for call in found if call is not None)

    def _sources_in(self, value: Any) -> Iterable[int]:
        """Yield the numbers of the runs that gave the value or anything inside it."""
        seen: set[int] = set()
        stack: list[Any] = [value]
        while stack:
            item = stack.pop()
            if item.__class__ in ATOMS or id(item) in seen:
                continue
            seen.add(id(item))
            numbers = self._numbers_of(item)
            yield from numbers
            if isinstance(item, State) and not self.calls.keys() & set(numbers):
                stack.append(item.data)  # that of a flow whose calls were noted one by one
            elif isinstance(item, BaseAnnotation):
                note = cast("BaseAnnotation[Any]", item)
                stack += () if is_closed(note) else (note.unwrap(),)
            elif not isinstance(item, (Promise, State, Placeholder)):
                stack += reversed(list(parts(item)))

    def _numbers_of(self, item: Any) -> tuple[int, ...]:
        """Return the numbers of the runs that gave this very object."""
        if isinstance(item, Placeholder):
            return origin_of(item).numbers
        if isinstance(item, Promise):
            return (item.run.number,)
        if isinstance(item, State):
            details = item.state_details
            owner = details.task_run_id or details.flow_run_id
            return (owner.int,) if owner else ()
        known = self._known.get(id(item))
        return (known[1],) if known is not None else ()

    def _future(self, run: Run) -> PrefectFuture[Any]:
        future = PrefectFuture[Any](run)
        is_stream = cast("Any", run.definition).isgenerator
        future.settle(Ok(list(self._values(run)) if is_stream else self._value(run)))
        return future

    def _value(self, run: Run) -> Any:
        """Return what stands for the value of a run."""
        call = self.calls[run.number]
        if call.gave_placeholder:
            return self._placeholder(run, run.name, call.is_many)
        value = call.value if call.is_own else _fresh(call.value)
        self._keep(value, run, set() if call.is_own else {id(part) for part in parts(call.value)})
        return value

    def _values(self, run: Run) -> Iterable[Any]:
        """Return what stands for the values of a generator."""
        if self.calls[run.number].gave_placeholder:
            return [self._placeholder(run, f"a value of {run.name}", True)]
        value = self._value(run)
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            return [value]
        return list(cast("Iterable[Any]", value))

    @staticmethod
    def _placeholder(run: Run, expression: str, is_many: bool) -> Placeholder:
        return Placeholder(Origin((run.number,), expression, is_many))

    def _keep(self, value: Any, run: Run, shared: set[int]) -> None:
        """Remember which run gave an object and what it holds, unless others hold that as well."""
        if value.__class__ not in ATOMS:
            self._known[id(value)] = value, run.number
        for part in parts(value):
            if part.__class__ not in ATOMS and id(part) not in shared:
                self._known[id(part)] = part, run.number


def value_to_draw_with(definition: Any) -> Any:
    """Return the `viz_return_value` of a task, `NOT_SET` if it has none."""
    return definition.options.get("viz_return_value", NOT_SET)


def _fresh(value: Any) -> Any:
    """Return a copy, so that the calls of a task can be told apart by what they gave.

    It also keeps the flow's code from changing the original. What cannot be copied is shared.
    """
    if value.__class__ is tuple:
        return tuple([_fresh(item) for item in value])  # copy would give the same one back
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def _listed(value: Any) -> Any:
    """Return the values of a generator as a list, others as they are."""
    return list(cast("Iterable[Any]", value)) if isinstance(value, Generator) else value


def _alone(value: Any) -> list[Any]:
    return [value]


def _replaced(
    args: tuple[Any, ...], kwargs: dict[str, Any], elements: list[Any], how: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with those of unknown length replaced by what stands for an element."""
    values = [
        value if element is NOT_SET else how(element)
        for value, element in zip((*args, *kwargs.values()), elements, strict=True)
    ]
    return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :], strict=True))
