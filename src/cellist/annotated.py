"""Parameters that are annotated as a file, a folder or a variable, and so count by what these hold.

Found when a task is first called, not when it is defined: an annotation may be a text that names
what the notebook defines later. Each is resolved by itself, so that one which cannot be does not
hide the others.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

from cellist.declarations import Env, File, Folder

Counted = Callable[[Any], Any]
"""Gives what stands for an argument in the key."""

_KINDS = (File, Folder, Env)
_MAKERS: dict[Any, Any] = {tuple: tuple, set: set, frozenset: frozenset}


def counted_parameters(fn: Any, signature: inspect.Signature) -> dict[str, Counted]:
    """Return how the arguments count whose annotations declare something, by parameter."""
    found: dict[str, Counted] = {}
    for name, parameter in signature.parameters.items():
        if parameter.annotation is parameter.empty:
            continue
        counted = _counted(_resolved(parameter.annotation, fn))
        if counted is None:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            counted = functools.partial(_each, counted)
        elif parameter.kind is parameter.VAR_KEYWORD:
            counted = functools.partial(_values, counted)
        found[name] = counted
    return found


def _resolved(annotation: Any, fn: Any) -> Any:
    """Return what an annotation means; a text that has no meaning yet means nothing."""
    if not isinstance(annotation, str):
        return annotation
    while isinstance(fn, functools.partial):
        fn = cast("Any", fn).func
    fn = inspect.unwrap(fn) if callable(fn) else fn
    namespace = getattr(fn, "__globals__", {})
    cells = zip(getattr(getattr(fn, "__code__", None), "co_freevars", ()),
                getattr(fn, "__closure__", None) or (), strict=False)  # fmt: skip
    try:
        local: dict[str, object] = {name: cell.cell_contents for name, cell in cells}
        return eval(annotation, namespace, local)  # noqa: S307 - as get_type_hints does, which gives up on all if one fails
    except Exception:
        return None


def _counted(annotation: Any) -> Counted | None:
    """Return how a value of this type counts, `None` if it counts as itself."""
    if isinstance(annotation, str):  # quoted inside of another, as in list["File"]
        annotation = {kind.__name__: kind for kind in _KINDS}.get(annotation)
    if isinstance(annotation, typing.ForwardRef):
        return _counted(annotation.__forward_arg__)
    if isinstance(annotation, type) and annotation in _KINDS:
        return _like(annotation)
    origin = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _said(inner[1:]) or _counted(inner[0])
    ways = [way for way in map(_counted, inner) if way is not None]
    if not ways:
        return None
    if origin in (typing.Union, types.UnionType):
        return ways[0]
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return functools.partial(_values if is_mapping else _each, ways[-1])


def _like(kind: Any) -> Counted:
    """Return what makes one of these of a plain text or path."""
    return kind("any").like


def _said(metadata: tuple[Any, ...]) -> Counted | None:
    for one in metadata:
        if isinstance(one, _KINDS):
            return one.like
        if isinstance(one, type) and one in _KINDS:
            return _like(one)
    return None


def _each(counted: Counted, value: Any) -> Any:
    if not isinstance(value, (list, tuple, set, frozenset)):
        return value  # an iterator is not to be used up
    items = cast("list[Any]", value)
    return _MAKERS.get(type(items), list)([counted(item) for item in items])


def _values(counted: Counted, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: counted(item) for key, item in cast("dict[Any, Any]", value).items()}
