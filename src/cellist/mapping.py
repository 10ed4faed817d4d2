"""Spread the arguments of a `map` over its runs (SPEC §4.3)."""

import io
from collections.abc import Iterable
from typing import Any, cast

from cellist.engine.inputs import Upstream, value_of
from cellist.engine.plan import Shape
from cellist.engine.promise import Promise
from cellist.engine.threads import place_released
from cellist.engine.waiting import wait_all
from cellist.exceptions import MappingLengthMismatch, MappingMissingIterable
from cellist.model.annotations import BaseAnnotation, allow_failure, opaque, quote, unmapped
from cellist.model.states import State

_REWRAPPED = (allow_failure, quote, opaque)


def spread(
    shape: Shape, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
) -> tuple[list[dict[str, Any]], list[Upstream]]:
    """Return the parameters of each run by name, and what was resolved on the way, by parameter.

    Raises `MappingMissingIterable` if nothing can be mapped over and `MappingLengthMismatch` if
    the iterables differ in length. Defaults are left to each run.
    """
    shape.check(args, kwargs)
    given: dict[str, Any] = dict(shape.signature.bind(*args, **kwargs).arguments)
    star = next(
        (p.name for p in shape.signature.parameters.values() if p.kind is p.VAR_KEYWORD), None
    )
    exploded: dict[str, Any] = given.pop(star, {}) if star else {}
    resolved: list[Upstream] = []
    mapped: dict[str, list[Any]] = {}
    static: dict[str, Any] = {}
    for key, value in [*given.items(), *exploded.items()]:
        items = _items(key, value, resolved)
        if items is None:
            static[key] = value.unwrap() if isinstance(value, unmapped) else value
        else:
            mapped[key] = items
    count = _common_length(mapped, name)
    runs: list[dict[str, Any]] = []
    for index in range(count):
        one = {key: values[index] for key, values in mapped.items()}
        one.update(static)
        if star:
            extra = {key: one.pop(key) for key in exploded}
            one = {**one, star: extra} if extra else one
        runs.append(one)
    return runs, resolved


def _items(key: str, value: Any, resolved: list[Upstream]) -> list[Any] | None:
    """Return the elements to map over, `None` if the value is the same for every run."""
    if isinstance(value, unmapped):
        return None
    note: BaseAnnotation[Any] | None = None
    if isinstance(value, _REWRAPPED):
        note = cast("BaseAnnotation[Any]", value)
        value = note.unwrap()
    if isinstance(value, (Promise, State)):
        source = Upstream(key, value, isinstance(note, allow_failure))
        resolved.append(source)
        value = _value(source)
    if not _is_iterable(value):
        return None
    items = list(value)
    return [note.rewrap(item) for item in items] if note is not None else items


def _value(upstream: Upstream) -> Any:
    if isinstance(upstream.source, Promise):
        with place_released():
            wait_all([upstream.source])
    return value_of(upstream)


def _is_iterable(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray, io.IOBase)):
        return False
    if not isinstance(value, Iterable):
        return False
    try:
        iter(cast("Any", value))
    except TypeError:  # such as an array without dimensions
        return False
    return True


def _common_length(mapped: dict[str, list[Any]], name: str) -> int:
    if not mapped:
        message = (
            f"No iterable parameters were received by the map of task {name!r}. "
            f"Pass at least one list or other iterable, or call the task itself."
        )
        raise MappingMissingIterable(message)
    lengths = {key: len(items) for key, items in mapped.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key}: {length}" for key, length in lengths.items())
        message = (
            f"Expected iterable parameters of the map of task {name!r} to have the same length; "
            f"got {shown}. Wrap one that is the same for every run in unmapped()."
        )
        raise MappingLengthMismatch(message)
    return next(iter(lengths.values()))
