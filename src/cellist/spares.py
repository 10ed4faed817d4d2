"""What a flow without retries remembers of its runs, so that a failed one can be retried by hand.

Results that are cached need no memory. Of the others, those that are small are noted while the
flow goes on: a result beside the call that gave it, which costs a run one call and no digest. When
the flow has failed, what tells the calls apart is made up for, by the same rules as between the
attempts of a flow with retries (`attempts`), and the notes become what a retry may reuse.

By then the code and its data may no longer be what they were at the call. So nothing is kept of a
task that reads variables from outside, but for constants of its own closure, of its module and of
those of its helpers, that did not change, and nothing at all once other cells have run meanwhile.
"""

import pickle
from collections.abc import Iterator
from threading import Lock
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

from cellist.attempts import Attempts, call_key, called, is_own
from cellist.caching.formats import atom_size
from cellist.caching.kinds import kind_of
from cellist.caching.packages import home_of_globals, home_of_module
from cellist.engine.execution import Execution
from cellist.exceptions import HashError
from cellist.model.runs import Run

_MOST = 10_000
"""Results noted for one flow run."""
_LARGEST = 10_000
"""Bytes of one result."""
_MOST_PARTS = 100
"""Elements, in all, of a container that is noted."""
_MOST_HELPERS = 200
"""Functions that are looked into for one task."""
_SMALL = frozenset({int, float, bool, type(None)})


_Spare = tuple[Any, tuple[Any, ...], dict[str, Any], Any, bool]
"""The result of one call: definition, arguments, the value, and whether that is in bytes because
something can change it."""
_FIELDS = 5
_FULL = _MOST * _FIELDS


class _Constants:
    """Plain values that a function and its helpers read by name: have they stayed what they were?

    What is called a helper is a function of the user's that goes by a name in the function's
    module or closure, or in a module of the user's, and the helpers of that.
    """

    __slots__ = ("_cells", "_globals", "_spaces", "definition", "is_same", "names", "watches")

    def __init__(self, definition: Any) -> None:
        self.definition = definition  # kept alive: it is known by its id
        self.is_same = True
        fn = definition.fn
        self._globals: list[tuple[dict[str, Any], str, Any]] = []
        self._cells: list[tuple[Any, Any]] = []
        self._spaces: dict[str, dict[str, Any]] = {}
        self.names: set[tuple[str, str]] = set()
        """Kinds and names, as components have them, of what is watched."""
        if type(fn) is FunctionType:
            for one in self._reached(fn):
                self._watch(one, "" if one.__globals__ is fn.__globals__ else _scope(one))
            self._watch_cells(fn)
        self.watches = bool(self._globals or self._cells)

    def _reached(self, fn: FunctionType) -> Iterator[FunctionType]:
        """Yield a function and its helpers, and watch that each name goes on to mean its helper."""
        found, waiting = {fn}, [fn]
        while waiting:
            one = waiting.pop()
            yield one
            for place, name, value in _named(one):
                if type(value) is FunctionType and home_of_globals(value.__globals__).tracked:
                    if isinstance(place, dict):
                        self._globals.append((cast("dict[str, Any]", place), name, value))
                    else:
                        self._cells.append((place, value))
                    if value not in found and len(found) < _MOST_HELPERS:
                        found.add(value)
                        waiting.append(value)

    def _watch(self, fn: FunctionType, scope: str) -> None:
        space = fn.__globals__
        if self._spaces.setdefault(scope, space) is not space:
            return  # two modules of one name, whose constants have the same names
        for name in _names_in(fn.__code__) | set(_annotated(fn)):
            value = space.get(name)
            if _is_constant(value):
                self._globals.append((space, name, value))
                self.names.add(("global", f"{scope}.{name}" if scope else name))

    def _watch_cells(self, fn: FunctionType) -> None:
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            value = _contents(cell)
            if _is_constant(value):
                self._cells.append((cell, value))
                self.names.add(("closure", name))
                if name not in fn.__globals__:  # a library's part is named as a global, too
                    self.names.add(("global", name))

    def look(self) -> bool:
        """Look whether all is as before; once it was not, it never is."""
        for space, name, value in self._globals:
            if space.get(name) is not value:
                self.is_same = False
        for cell, value in self._cells:
            if _contents(cell) is not value:
                self.is_same = False
        return self.is_same


def _scope(fn: FunctionType) -> str:
    return str(fn.__globals__.get("__name__", "__main__"))


def _named(fn: FunctionType) -> Iterator[tuple[Any, str, Any]]:
    """Yield what the names in a function's code may mean, with the namespace or cell it is in."""
    names, space = _names_in(fn.__code__), fn.__globals__
    cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
    places = [(space, name, space.get(name)) for name in names]
    for place, name, value in [*places, *((cell, name, _contents(cell)) for name, cell in cells)]:
        yield place, name, value
        if isinstance(value, ModuleType) and home_of_module(value.__name__).tracked:
            inner = value.__dict__
            yield from ((inner, one, inner[one]) for one in names if one in inner)


def _names_in(code: CodeType) -> set[str]:
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*map(_names_in, inner))


def _annotated(fn: FunctionType) -> Iterator[str]:
    """Yield the names under which the types in annotations go in their module."""
    for kind in fn.__annotations__.values():
        yield getattr(kind, "__name__", None) or str(kind)


def _is_constant(value: Any) -> bool:
    """Whether a value is what it is, so that a look at whether it is the same one is enough."""
    if _is_atom(value) or isinstance(value, type) or type(value).__module__ == "typing":
        return True
    return kind_of(value).what == "library"


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty one
        return _contents


class Spares:
    """Small results of the uncached runs inside one flow run, and what failed in it."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        """How many cells had begun when the flow did."""
        self._kept: list[Any] = []
        """The fields of each spare, one after the other: an object for each would be one more for
        the garbage collector to look at."""
        self._constants: dict[int, _Constants] = {}
        """By the id of a definition."""
        self._failed: list[tuple[BaseException, set[int]]] = []
        self._judged = False
        self._lock = Lock()

    def add(self, x: Execution, value: Any) -> None:  # noqa: C901 - flat for speed
        """Note what a run gave, if it and the arguments are small."""
        kept = self._kept
        if x.asked or len(kept) >= _FULL:
            return
        definition, args = x.definition, x.args
        for given in args:
            if given.__class__ not in _SMALL and not _is_atom(given):
                return
        if x.kwargs and not all(map(_is_atom, x.kwargs.values())):
            return
        constants = self._constants.get(id(definition))
        if constants is None:
            constants = self._constants[id(definition)] = _Constants(definition)
        if constants.watches and not constants.look():
            return
        if value.__class__ in _SMALL or _is_atom(value):
            kept += (definition, args, x.kwargs, value, False)
        elif _is_plain(value, [_MOST_PARTS]):
            data = pickle.dumps(value, 5)
            if len(data) <= _LARGEST:
                kept += (definition, args, x.kwargs, data, True)

    def failed(self, x: Execution, error: BaseException) -> None:
        """Note that a run inside the flow failed, and what it was given."""
        given = {id(value) for value in (*x.args, *x.kwargs.values())}
        with self._lock:
            self._failed.append((error, given))

    def ended(self, x: Execution, error: BaseException) -> None:
        """Note what the code of the flow raised in the end."""
        del x
        self._judged = is_own(error, (one for one, _ in self._failed))

    def salvage(self, run: Run, epoch: int) -> Attempts | None:
        """Return what a retry of the flow run may reuse, `None` if there is nothing."""
        kept, self._kept = self._kept, []
        if not kept or epoch != self._epoch or self._judged:
            return None
        attempts = Attempts(run)
        code: dict[int, tuple[Any, ...] | None] = {}
        for start in range(0, len(kept), _FIELDS):
            spare = cast("_Spare", tuple(kept[start : start + _FIELDS]))
            definition = spare[0]
            if id(definition) not in code:
                code[id(definition)] = _code_of(self._constants[id(definition)])
            what = code[id(definition)]
            if what is not None:
                _hand_over(spare, what, attempts)
        return attempts


def _hand_over(spare: _Spare, what: tuple[Any, ...], attempts: Attempts) -> None:
    definition, args, kwargs, value, is_pickled = spare
    try:
        key = call_key(what, definition.shape.bind(args, kwargs))
    except HashError:
        return
    if is_pickled:
        value = pickle.loads(value)  # noqa: S301 - our own bytes, of this process
    attempts.put(key, value, is_cached=False)


def _is_atom(value: Any) -> bool:
    size = atom_size(value)
    return size is not None and size <= _LARGEST


def _is_plain(value: Any, left: list[int]) -> bool:
    """Whether a container holds plain data, at most as many parts as are left in all."""
    kind = cast("Any", type(value))
    left[0] -= 1
    if left[0] < 0:
        return False
    if kind is dict:
        return all(_is_plain(one, left) for pair in value.items() for one in pair)
    if kind in (list, tuple, set, frozenset):
        return all(_is_plain(one, left) for one in value)
    return _is_atom(value)


def _code_of(constants: _Constants) -> tuple[Any, ...] | None:
    """Return what a task is, `None` if it may read what has changed or that cannot be seen."""
    try:
        what = called(constants.definition)
    except Exception:
        return None
    read = {(kind, name) for kind, name, *_ in what[2] if kind != "default"}
    return what if constants.look() and read <= constants.names else None


__all__ = ["Spares"]
