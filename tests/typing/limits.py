"""What the checkers cannot express: correct code they report all the same, and the way around.

A remedy stands below each. The code runs; once a checker can tell, its ignore is reported.
"""

from collections.abc import Callable
from typing import Any, assert_type, cast, overload

from cellist import flow, task
from cellist.futures import PrefectFuture
from cellist.tasks import TaskOptions


@overload
def parsed(text: str) -> int: ...
@overload
def parsed(text: bytes) -> float: ...
def parsed(text: str | bytes) -> float:
    return int(text) if isinstance(text, str) else float(text)


# Both keep but the first overload of a function when they take its parameters.
assert_type(task(parsed)("1"), int)
task(parsed)(b"1.5")  # type: ignore[call-overload]
assert_type(task(cast("Callable[..., float]", parsed))(b"1.5"), float)


# A dictionary of options could hold any of them, so its type must say what it is.
shared = {"retries": 3}
options: TaskOptions = {"retries": 3}
task(**shared)(parsed)  # type: ignore[call-overload]
assert_type(task(**options)(parsed)("1"), int)


@task
def add(a: int, b: int, c: int = 0) -> int:
    return a + b + c


# "Any arguments, if one of them is a future" can be said of the first two positions only.
future = add.submit(1, 2)
add(1, b=future)  # type: ignore[call-overload]
add(1, 2, future)  # type: ignore[call-overload]
assert_type(add(1, future, c=future), int)
assert_type(add.submit(1, b=future, c=future).result(), int)


# What a flow would turn into a number is reported where a number is asked for.
@flow
def twice(n: int) -> int:
    return 2 * n


twice("2")  # type: ignore[call-overload]
number: Any = "2"
assert_type(twice(number), int)


@flow
def both() -> tuple[PrefectFuture[int], int]:
    return add.submit(1, 2), 3


@flow
def both_as_values() -> tuple[int, int]:
    return add.submit(1, 2).result(), 3


# Futures that a flow returns become values; that is said of one and of a list, not of a tuple.
both()[0] + 1  # type: ignore[operator]
assert_type(both_as_values()[0] + 1, int)
