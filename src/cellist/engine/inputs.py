"""Find the promises and states in a call's arguments, and put values in their place.

Looking must be cheap: most calls hold none. Plain atoms are skipped by type, and a list of more
than 10,000 elements whose first 10,000 and last 100 are atoms is taken for data (a million
numbers then cost a fraction of a millisecond). Containers are rebuilt only if something inside
changed, otherwise the function gets the identical object.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

from cellist.engine.commands import Ok
from cellist.engine.promise import Promise
from cellist.exceptions import CellistError, UpstreamTaskError
from cellist.model.annotations import BaseAnnotation, allow_failure, opaque, quote
from cellist.model.runs import Run
from cellist.model.states import (
    CANCELLED,
    COMPLETED,
    CRASHED,
    FAILED,
    State,
    state_exception,
)

ATOMS = frozenset(
    {int, str, float, bool, bytes, complex, range, slice, bytearray}
    | {type(None), type(...), type(NotImplemented)}
)
_LARGE = 10_000
_TAIL = 100

Visit = Callable[[Any], Any]


class Upstream:
    """A promise or state found in the arguments, with the parameter it was found in."""

    __slots__ = ("forgiving", "parameter", "source")

    def __init__(self, parameter: str, source: Promise | State, forgiving: bool) -> None:
        self.parameter = parameter
        self.source = source
        self.forgiving = forgiving


def find_upstream(named: Iterable[tuple[str, Any]]) -> tuple[list[Upstream], bool]:
    """Return the promises and states inside the named arguments, in order.

    The second value says whether the arguments must be resolved before the function may have
    them: for those found, for annotations to be stripped, or for run records to be refused.
    """
    found: list[Upstream] = []
    treated = False
    for name, value in named:
        if value.__class__ not in ATOMS:
            treated |= _search(value, name, found)
    return found, treated or bool(found)


def _search(value: Any, name: str, found: list[Upstream]) -> bool:
    """Search by a stack and not by recursion, so that no depth is too great.

    Returns whether there was an annotation or a run record.
    """
    treated = False
    seen: set[int] = set()
    stack: list[tuple[Any, bool]] = [(value, False)]
    while stack:
        item, forgiving = stack.pop()
        if isinstance(item, (Promise, State)):
            found.append(Upstream(name, item, forgiving))
            continue
        if isinstance(item, (BaseAnnotation, Run)):
            treated = True
        if isinstance(item, BaseAnnotation):
            note = cast("BaseAnnotation[Any]", item)
            if not is_closed(note):
                stack.append((note.unwrap(), isinstance(note, allow_failure)))
            continue
        if id(item) not in seen:
            seen.add(id(item))
            inner = [(one, forgiving) for one in parts(item) if one.__class__ not in ATOMS]
            stack.extend(reversed(inner))
    return treated


def is_closed(note: Any) -> bool:
    """Whether an annotation asks not to look inside: `quote`, and `opaque` around other things."""
    if isinstance(note, quote):
        return True
    return isinstance(note, opaque) and not isinstance(
        cast("opaque[Any]", note).unwrap(), (Promise, State)
    )


def parts(value: Any) -> Iterator[Any]:
    """Yield what a container holds, one level down; nothing for other objects."""
    kind = value.__class__
    if kind in ATOMS:
        return
    if isinstance(value, dict):
        mapping = cast("dict[Any, Any]", value)
        for half in (mapping.values(), mapping.keys()):
            if not is_data(half):
                yield from half
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = cast("list[Any]", value)
        if not is_data(items):
            yield from items
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        yield from (getattr(value, name) for name in names if hasattr(value, name))
    elif is_pydantic(kind):
        yield from fields_of(value).values()


def is_data(items: Any) -> bool:
    """Whether a large container starts with so many atoms that it is plain data."""
    if len(items) <= _LARGE:
        return False
    first: Iterator[Any] = islice(items, _LARGE)
    kinds = set(map(type, first))
    if isinstance(items, (list, tuple)):
        kinds.update(map(type, cast("Sequence[Any]", items)[-_TAIL:]))
    return kinds <= ATOMS


def is_pydantic(kind: type) -> bool:
    """Whether instances of the type are pydantic models, told without importing pydantic."""
    return hasattr(kind, "model_construct") and hasattr(kind, "model_fields")


def fields_of(model: Any) -> dict[str, Any]:
    """Return the fields of a pydantic model by name, with those it does not declare."""
    extra: dict[str, Any] | None = getattr(model, "__pydantic_extra__", None)
    return {**model.__dict__, **extra} if extra else model.__dict__


def resolve(value: Any, visit: Visit, keep_quotes: bool = False) -> Any:
    """Return the value with every promise and state replaced by `visit(it)`.

    Containers in which nothing changed are returned as the same object. Annotations are
    stripped, `quote` without looking inside, or left alone with `keep_quotes`.
    """
    return _resolve(value, visit, False, {}, keep_quotes)


def resolve_call(
    named: list[tuple[str, Any]], count: int, visit: Visit
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Resolve the arguments of a call, of which the first `count` are positional.

    Raises `UpstreamTaskError` as `visit` does, and `CellistError` naming the parameter whose value
    cannot be put together again.
    """
    resolved: list[tuple[str, Any]] = []
    for name, value in named:
        try:
            resolved.append((name, resolve(value, visit)))
        except UpstreamTaskError:
            raise
        except Exception as error:
            message = (
                f"The futures in parameter {name!r} cannot be replaced by their results: "
                f"{type(error).__name__}: {error}. Wrap the value in quote() to pass it as it is."
            )
            raise CellistError(message) from error
    return tuple(value for _, value in resolved[:count]), dict(resolved[count:])


def _resolve(
    value: Any, visit: Visit, forgiving: bool, memo: dict[int, Any], keep_quotes: bool
) -> Any:
    if value.__class__ in ATOMS:
        return value
    if isinstance(value, (Promise, State)):
        return visit(Upstream("", value, forgiving))
    if isinstance(value, BaseAnnotation):
        note: BaseAnnotation[Any] = cast("BaseAnnotation[Any]", value)
        inner: Any = note.unwrap()
        if is_closed(note):
            return note if keep_quotes else inner
        return _resolve(inner, visit, isinstance(note, allow_failure), memo, keep_quotes)
    if id(value) in memo:
        return memo[id(value)]
    memo[id(value)] = value  # a cycle leads back to the original
    memo[id(value)] = changed = _rebuild(
        value, lambda item: _resolve(item, visit, forgiving, memo, keep_quotes)
    )
    return changed


def _rebuild(value: Any, replace: Visit) -> Any:
    kind = value.__class__
    if isinstance(value, dict):
        return _rebuild_dict(cast("dict[Any, Any]", value), replace)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _rebuild_items(cast("list[Any]", value), replace)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _rebuild_dataclass(value, replace)
    return _rebuild_model(value, replace) if is_pydantic(kind) else value


def _rebuild_items(old: list[Any], replace: Visit) -> Any:
    if is_data(old):
        return old
    items = [replace(item) for item in old]
    if all(new is was for new, was in zip(items, old, strict=True)):
        return old
    kind: Any = getattr(type(old), "resolves_to", type(old))
    if hasattr(kind, "_make"):  # a named tuple
        return kind._make(items)
    return _like(kind, items)


def _like(kind: Any, items: list[Any]) -> Any:
    """Return a container of the given class, or a plain list if a user's cannot be made so."""
    try:
        return kind(items)
    except TypeError:
        return list(items)


def _rebuild_dict(value: dict[Any, Any], replace: Visit) -> Any:
    if is_data(value.values()) and is_data(value.keys()):
        return value
    items = [(replace(key), replace(item)) for key, item in value.items()]
    same = all(
        new[0] is old[0] and new[1] is old[1] for new, old in zip(items, value.items(), strict=True)
    )
    if same:
        return value
    if type(value) is dict:
        return dict(items)
    copy = value.copy()
    copy.clear()
    copy.update(items)
    return copy


def _rebuild_dataclass(value: Any, replace: Visit) -> Any:
    given: dict[str, Any] = {}
    set_later: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        if not hasattr(value, field.name):
            continue
        old = getattr(value, field.name)
        new = replace(old)
        if new is not old:
            (given if field.init else set_later)[field.name] = new
    if not given and not set_later:
        return value
    copy = dataclasses.replace(value, **given)
    for name, new in set_later.items():
        object.__setattr__(copy, name, new)  # also where the class is frozen
    return copy


def _rebuild_model(value: Any, replace: Visit) -> Any:
    old = fields_of(value)
    new = {name: replace(item) for name, item in old.items()}
    changed = {name: item for name, item in new.items() if item is not old[name]}
    return value.model_copy(update=changed) if changed else value


def value_of(upstream: Upstream) -> Any:
    """Return the value an upstream run gave, its exception if failure is allowed.

    Raises `UpstreamTaskError` if it did not complete.
    """
    source = upstream.source
    if isinstance(source, Promise):
        source.observed = True
        if source.outcome.__class__ is Ok:  # the usual case needs no state made for it
            return cast("Ok", source.outcome).value
        state = source.final_state
        run: Run | None = source.run
    else:
        state, run = source, None
    if state.type is COMPLETED:
        return state.result()
    if upstream.forgiving:
        return _failure_of(upstream, state, run)
    error = _unmet(upstream, state, run)
    raise error from first_cause(state.data)


def _failure_of(upstream: Upstream, state: State, run: Run | None) -> BaseException:
    if state.is_failed() or state.is_crashed() or state.is_cancelled():
        try:
            return state_exception(state)
        except TypeError as error:
            return error
    return _unmet(upstream, state, run)


def _unmet(upstream: Upstream, state: State, run: Run | None) -> UpstreamTaskError:
    """Return the error about a run that did not complete: Prefect's words, and ours with names."""
    number = run.id if run else state.state_details.task_run_id or state.state_details.flow_run_id
    noun = "flow" if run is not None and run.kind == "flow" else "task"
    error = UpstreamTaskError(f"Upstream {noun} run '{number}' did not reach a 'COMPLETED' state.")
    ended = _ENDED.get(state.type, "did not run")
    error.root = f"`{run.name}` {ended}" if run is not None else f"that run {ended}"
    if isinstance(state.data, UpstreamTaskError):
        error.root = state.data.root
        ended = f"{ended}, since {error.root}"
    if run is None:
        error.upstream = f"one of its inputs is the state of a run that {ended}"
    elif upstream.parameter == "wait_for":
        error.upstream = f"`{run.name}`, which it waits for, {ended}"
    else:
        error.upstream = f"its input `{run.name}` {ended}"
    return error


def first_cause(failure: Any) -> BaseException | None:
    """Return the exception of the run that failed first, where others did not run because of it."""
    if isinstance(failure, UpstreamTaskError):
        return failure.__cause__
    return failure if isinstance(failure, BaseException) else None


_ENDED = {FAILED: "failed", CANCELLED: "was cancelled", CRASHED: "crashed"}


def check_arguments(named: Iterable[tuple[str, Any]]) -> None:
    """Raise `CellistError` if a run record is passed where a value is expected."""
    for name, value in named:
        if isinstance(value, Run):
            message = (
                f"Parameter {name!r} was given a {type(value).__name__}. Pass its state, its "
                f"future or its result, or wrap it in opaque() to hand over the record itself."
            )
            raise CellistError(message)
