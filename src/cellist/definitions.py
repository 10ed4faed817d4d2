"""What tasks and flows have in common: checking what is decorated, hooks, names, options.

Every option is checked when the decorator runs, with an error that names the owner and the
option; what depends on settings is read when a run starts.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, cast

from cellist.engine.plan import Shape
from cellist.engine.plan import name_of as default_name
from cellist.exceptions import ReservedArgumentError
from cellist.model.annotations import NOT_SET

_RESERVED = ("return_state", "wait_for")


def bare(fn: Any) -> Any:
    """Return the function inside a `staticmethod` or `classmethod`, others as they are."""
    return fn.__func__ if isinstance(fn, (staticmethod, classmethod)) else fn  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - of whatever signature


def collecting(fn: Any) -> Any:
    """Return a generator function as one that returns the list of its values, others as they are.

    So a generator runs where its run does: within its time limit, thread and context.
    """
    if not is_generator_function(fn):
        return fn
    if is_async_function(fn):

        async def collect_async(*args: Any, **kwargs: Any) -> list[Any]:
            return [value async for value in fn(*args, **kwargs)]

        return collect_async

    def collect(*args: Any, **kwargs: Any) -> list[Any]:
        return list(fn(*args, **kwargs))

    return collect


def qualified_name(fn: Any) -> str:
    """Return the qualified name without the module, which may differ between kernels."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def _code_of(fn: Any) -> Any:
    """Return what tells the kind of a callable: the function, or the `__call__` of its class."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isfunction(fn) or inspect.ismethod(fn):
        return fn
    return getattr(cast("Any", type(fn)), "__call__", None)  # noqa: B004 - its kind is asked, not its presence


def is_async_function(fn: Any) -> bool:
    """Whether the function must be awaited or iterated with `async for`."""
    code = _code_of(fn)
    return inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code)


def is_generator_function(fn: Any) -> bool:
    """Whether calling the function gives a generator, sync or async."""
    code = _code_of(fn)
    return inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code)


def shape_of(fn: Callable[..., Any], noun: str, name: str = "") -> Shape:
    """Return the signature of the function. Raises `ReservedArgumentError` for reserved names."""
    try:
        signature = inspect.signature(fn)
    except ValueError:  # some builtins have none
        signature = inspect.signature(_anything)
    for reserved in _RESERVED:
        if reserved in signature.parameters:
            message = (
                f"{reserved!r} is a reserved argument name and cannot be used in {noun} functions. "
                f"Rename the parameter of {default_name(fn)!r}."
            )
            raise ReservedArgumentError(message)
    return Shape(signature, f"{noun} {name or default_name(fn)!r}", fn)


def _anything(*args: Any, **kwargs: Any) -> None:
    """Stands for a builtin whose signature Python does not tell."""


def check_callable(fn: Any, noun: str) -> None:
    """Raise `TypeError` unless the object can be called."""
    if not callable(fn):
        shown = type(fn).__name__
        hint = f" Write @{noun}(name={fn!r}) to give it a name." if isinstance(fn, str) else ""
        message = f"@{noun} needs a function or another callable, not {shown} {fn!r:.60}.{hint}"
        raise TypeError(message)


def check_hooks(hooks: Any, option: str, owner: str) -> list[Callable[..., Any]]:
    """Return hooks as a list. Raises `TypeError` naming the option unless all are callable."""
    if hooks is None or hooks is NOT_SET:
        return []
    if isinstance(hooks, str) or not isinstance(hooks, Iterable):
        message = (
            f"Expected iterable for {option!r}; got {type(hooks).__name__} instead. "
            f"Please provide a list of hooks to {option!r} of {owner}:\n\n"
            f"    {option}=[hook1, hook2]"
        )
        raise TypeError(message)
    listed: list[Any] = list(hooks)  # pyright: ignore[reportUnknownArgumentType] - elements are checked next
    for hook in listed:
        if not callable(hook):
            message = (
                f"Expected callables in {option!r}; got {type(hook).__name__} instead. "
                f"Please provide a list of functions to {option!r} of {owner}."
            )
            raise TypeError(message)
    return listed


def check_condition(condition: Any, owner: str) -> Callable[..., Any] | None:
    """Return a `retry_condition_fn`. Raises `TypeError` unless it can be called."""
    if condition is not None and not callable(condition):
        kind = type(condition).__name__
        message = f"Expected `retry_condition_fn` to be callable, got {kind} instead: {owner}."
        raise TypeError(message)
    return condition


def check_run_name(value: Any, option: str, owner: str) -> Any:
    """Return a run-name template or function. Raises `TypeError` for anything else."""
    if value is not None and not isinstance(value, str) and not callable(value):
        message = (
            f"Expected string or callable for {option!r}; got {type(value).__name__} instead. "
            f"Give {owner} a template or a function."
        )
        raise TypeError(message)
    return value


def naming_for(value: Any, option: str) -> Callable[[Any], str] | None:
    """Return what computes a run's name from its execution."""
    if value is None:
        return None
    if isinstance(value, str):
        return lambda x: value.format(**x.bound())
    takes_parameters = "parameters" in inspect.signature(value).parameters

    def name(x: Any) -> str:
        given = value(parameters=x.bound()) if takes_parameters else value()
        if not isinstance(given, str):
            message = (
                f"Callable {default_name(value)} for {option!r} returned type "
                f"{type(given).__name__} but a string is required."
            )
            raise TypeError(message)
        return given

    return name


def check_seconds(value: Any, option: str, owner: str) -> float | None:
    """Return a duration in seconds from a number or `timedelta`, `None` for none."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        message = (
            f"`{option}` of {owner} must be a number of seconds >= 0 or a timedelta, got {value!r}."
        )
        raise TypeError(message) if not isinstance(value, (int, float)) else ValueError(message)
    return float(value)


def task_name(given: Any, fn: Any) -> str:
    """Return the name of a task, by default its function's. Raises `TypeError` for no text."""
    return check_text(given, "name", f"task {default_name(fn)!r}") or default_name(fn)


def check_text(given: Any, option: str, owner: str) -> str | None:
    """Return an option that is text or not given. Raises `TypeError` for anything else."""
    if given is not None and not isinstance(given, str):
        message = f"`{option}` of {owner} must be text, got {given!r:.60}."
        raise TypeError(message)
    return given


def check_flag(given: Any, option: str, owner: str) -> None:
    """Raise `TypeError` unless an option is on, off or left open."""
    if given is not None and not isinstance(given, bool):
        message = f"`{option}` of {owner} must be True, False or None, got {given!r:.60}."
        raise TypeError(message)


def check_tags(tags: Any, owner: str) -> frozenset[str]:
    """Return tags as a set. Raises `TypeError` for a bare string or elements that are not text."""
    if tags is None:
        return frozenset()
    listed: list[Any] = [] if isinstance(tags, str) else list(tags)
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in listed):
        message = f"`tags` of {owner} must be a list of strings, got {tags!r}."
        raise TypeError(message)
    return frozenset(listed)


def source_text(fn: Any) -> str | None:
    """Return the function's source text if there is any."""
    try:
        return inspect.getsource(fn)
    except (OSError, TypeError):
        return None
