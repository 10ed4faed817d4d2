"""Whether the code of a function can return a value."""

import functools
from typing import Any

import pytest

from cellist.returning import gives_result


def nothing() -> None:
    print()


def bare_return(n: int) -> None:
    if n:
        return
    print(n)


def returns_none_by_name(n: int) -> None:
    return None


def something(n: int) -> int | None:
    if n:
        return n
    return None


def either(n: int) -> int:
    return n or 5


async def later(n: int) -> int:
    return n


async def later_nothing(n: int) -> None:
    print(n)


def constant_value() -> int:
    return 5


def only_raises() -> int:
    raise ValueError


class Callable:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("fn", "want"),
    [
        (nothing, False),
        (bare_return, False),
        (returns_none_by_name, False),
        (later_nothing, False),
        (something, True),
        (either, True),
        (later, True),
        (constant_value, True),
        (only_raises, True),  # nothing was returned that is not kept
        (lambda: 1, True),
        (lambda: print("x"), True),  # what a call gives is not known
        (len, True),
        (Callable(), True),
    ],
)
def test_what_a_function_may_return(fn: Any, want: bool) -> None:
    assert gives_result(fn) is want


def test_partials_return_what_their_function_does() -> None:

    assert gives_result(functools.partial(either, 1))
    assert not gives_result(functools.partial(functools.partial(bare_return), 1))
