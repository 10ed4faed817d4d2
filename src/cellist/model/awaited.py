"""Calls that give a value, and may be awaited as well.

`state.result()` gives the value wherever it is called. In Prefect it must be awaited in a cell and
in coroutine functions, so code that comes from there says `await state.result()`. An object that
is both a value and awaitable cannot be had (what would be its type, or its truth?), and to guess
by the kind of the caller hands some callers an awaitable they did not ask for. But whether the
call is awaited stands in the caller's own code: `await f()` compiles to the call and, right behind
it, `GET_AWAITABLE`. So the caller's next instruction is looked at, only in coroutine functions,
and only the `await` itself ever gets to see an awaitable. Where the instruction cannot be
found, callers get the value.
"""

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _opcode(name: str) -> bytes | None:
    return bytes([dis.opmap[name]]) if name in dis.opmap else None


_AWAIT, _CACHE = _opcode("GET_AWAITABLE"), _opcode("CACHE")
"""`None` on a Python that has no such instruction: nothing is taken for awaited there."""


class Awaited(Generic[R]):
    """A value for the `await` that asked for it."""

    __slots__ = ("_value",)

    def __init__(self, value: R) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, Any, R]:
        return self._value
        yield  # which makes this a generator function


def is_awaited(frame: FrameType) -> bool:
    """Whether the call that a frame is making stands right behind an `await`."""
    if not frame.f_code.co_flags & _COROUTINES:
        return False
    instructions = frame.f_code.co_code
    index = frame.f_lasti + 2
    while instructions[index : index + 1] == _CACHE:  # room behind the call, for the interpreter
        index += 2
    return instructions[index : index + 1] == _AWAIT


def also_awaitable(fn: Callable[P, R]) -> Callable[P, R]:
    """Make a function whose call may stand behind `await` too; its value is the same."""

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        __tracebackhide__ = True
        value = fn(*args, **kwargs)
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - documented for this use
        return Awaited(value) if is_awaited(caller) else value

    return call
