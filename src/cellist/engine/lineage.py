"""Which run an argument came from, so that the graph shows how data flowed.

Futures and states say it themselves. A plain result object is recognised by identity, which is
only sound while the object is alive: it is held by a weak reference where the type allows, else
by a strong one until the flow ends, and only the last thousand of those. So are the things a
result holds, one level down; they are looked at only when an argument of unknown origin turns up.
Atoms, members of enums and small tuples are never linked, because equal ones are often one and
the same object.
"""

import weakref
from collections import OrderedDict, deque
from collections.abc import Iterable
from enum import Enum
from typing import Any

from cellist.engine.execution import Execution, FlowExecution
from cellist.engine.inputs import ATOMS, Upstream, parts
from cellist.engine.promise import Promise
from cellist.model.facts import Definition
from cellist.model.runs import Run
from cellist.model.states import RUNNING

_STRONG = 1000
_SMALL_TUPLE = 8
_NAMED = 2
"""Tasks that are named as those that gave one argument."""
_UNREFERABLE = frozenset({dict, list, tuple, bytes, complex})
"""Types that take no weak reference; to try it costs three times as much."""
_CONTAINERS = frozenset({dict, list, tuple})
"""Types whose identity says where an object came from, known without a look at it."""


class Results:
    """Remembers by identity which run each result object came from."""

    __slots__ = ("_parts", "_strong", "_unopened", "_weak", "makers")

    def __init__(self) -> None:
        self._weak: dict[int, tuple[Any, int]] = {}
        self._strong: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._parts: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._unopened: deque[tuple[Any, int]] = deque(maxlen=_STRONG)
        """Results whose parts were not looked at yet: a weak reference where the type allows, else
        the result itself; and the run."""
        self.makers: dict[int, Definition] = {}
        """What the runs were runs of."""

    def add(self, value: Any, run: Run) -> None:
        """Note that a run produced the object."""
        number = run.number
        self.makers[number] = run.definition
        self._unopened.append(self._note(value, number, self._strong))

    def _open(self) -> None:
        """Note the parts of the results that were not looked at yet."""
        while self._unopened:
            held, number = self._unopened.popleft()
            if held.__class__ is weakref.ref:  # not the result itself: that cannot be called
                held = held()
            if hasattr(held, "__len__") and len(held) > _STRONG:
                continue
            for part in parts(held):
                if is_trackable(part) and self._known(part) is None:
                    self._note(part, number, self._parts)

    def _note(
        self, value: Any, number: int, strong: OrderedDict[int, tuple[Any, int]]
    ) -> tuple[Any, int]:
        """Hold the object, weakly where its type allows, and return what is held with the run."""
        key = id(value)
        if value.__class__ not in _UNREFERABLE:
            try:
                held = self._weak[key] = (
                    weakref.ref(value, lambda _, key=key: self._weak.pop(key, None) and None),
                    number,
                )
            except TypeError:
                pass
            else:
                return held
        held = value, number
        if isinstance(value, tuple) and len(value) <= _SMALL_TUPLE:  # pyright: ignore[reportUnknownArgumentType]  # elements of a user's tuple
            return held
        strong[key] = held
        if len(strong) > _STRONG:
            strong.popitem(last=False)
        return held

    def find(self, value: Any) -> int | None:
        """Return the run that produced this very object, if it is known."""
        number = self._known(value)
        if number is None and self._unopened:
            self._open()
            number = self._known(value)
        return number

    def of(self, number: int) -> list[Any]:
        """Return what is alive and known to come from a run: its result, or parts of it."""
        weak = [held() for held, by in self._weak.copy().values() if by == number]
        strong = [value for value, by in self._strong.copy().values() if by == number]
        return [value for value in weak + strong if value is not None]

    def let_go(self) -> None:
        """Keep nothing alive any longer; what lives by itself stays known."""
        self._strong.clear()
        self._parts.clear()
        self._unopened.clear()
        self.makers.clear()

    def _known(self, value: Any) -> int | None:
        key = id(value)
        held = self._weak.get(key)
        if held is not None:
            return held[1] if held[0]() is value else None
        kept = self._strong.get(key) or self._parts.get(key)
        return kept[1] if kept is not None and kept[0] is value else None


def is_trackable(value: Any) -> bool:
    """Whether the identity of an object says where it came from."""
    if value.__class__ in ATOMS or isinstance(value, (type, Enum)):
        return False
    return not callable(value)


def remember_result(flow: FlowExecution, value: Any, run: Run) -> None:
    """Note that a run of the flow produced the object."""
    if value.__class__ not in _CONTAINERS and not is_trackable(value):
        return
    if flow.results is None:
        flow.results = Results()
    flow.results.add(value, run)


def upstream_of(
    x: Execution, named: Iterable[tuple[str, Any]], found: Iterable[Upstream]
) -> dict[str, tuple[int, ...]] | None:
    """Return for each parameter the numbers of the runs its value came from.

    A run that is still going on, a generator whose consumer this is, is a parent besides.
    """
    links: dict[str, list[int]] = {}
    for one in found:
        number = _number_of(one)
        if number and number not in links.setdefault(one.parameter, []):
            links[one.parameter].append(number)
    known = x.flow.results if x.flow is not None else None
    if known is not None:
        for name, value in named:
            for number in _direct(known, value):
                if number not in links.setdefault(name, []):
                    links[name].append(number)
                producer = x.services.live.get(number)
                if producer is not None and producer.run.state_type is RUNNING:
                    links.setdefault("__parents__", []).append(number)
    return {name: tuple(numbers) for name, numbers in links.items() if numbers} or None


def givers(x: Execution) -> dict[str, str] | None:
    """Return for each parameter which tasks gave its value, as they are named in a sentence."""
    links = x.run.upstream
    if not links:
        return None
    known: Results | None = x.flow.results if x.flow is not None else None
    makers = {} if known is None else known.makers
    makers = {**makers, **{one.run.number: one.run.definition for one in x.waits or ()}}
    found: dict[str, str] = {}
    for parameter, numbers in links.items():
        names = dict.fromkeys(makers[one].name for one in numbers if one in makers)
        if 0 < len(names) <= _NAMED:
            found[parameter] = " and ".join(f"`{name}`" for name in names)
    return found


def _direct(known: Results, value: Any) -> list[int]:
    """Return the runs of an object and, for a short list or tuple, of what it holds."""
    if value.__class__ in ATOMS:
        return []
    number = known.find(value)
    if number is not None:
        return [number]
    kind = value.__class__
    if kind is dict:
        value = list(value.values())
    elif kind not in (list, tuple):
        return []
    if len(value) > _STRONG:
        return []
    inner = [known.find(item) for item in value if item.__class__ not in ATOMS]
    return [number for number in dict.fromkeys(inner) if number is not None]


def _number_of(one: Upstream) -> int | None:
    if isinstance(one.source, Promise):
        return one.source.run.number
    details = one.source.state_details
    owner = details.task_run_id or details.flow_run_id
    return owner.int if owner else None


def check_no_circle(x: Execution) -> None:
    """Raise `ValueError` if a run is given the future of a run it is part of: both would wait."""
    above = x.parent
    numbers = {promise.run.number for promise in x.waits or ()}
    while above is not None:
        if above.run.number in numbers:
            message = (
                f"{x.plan.noun} {x.definition.name!r} was given the future of run "
                f"{above.run.name!r}, which it is part of: each would wait for the other."
            )
            raise ValueError(message)
        above = above.parent
