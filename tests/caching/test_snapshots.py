"""Plain data is copied at once and stored later; nothing else is."""

import array
import enum
import math
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest

from cellist.caching.snapshots import loads, snapshot

SHARED: list[Any] = [1]
LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


class Number(int):
    pass


class Colour(enum.IntEnum):
    RED = 1


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the kind that has no types


@pytest.mark.parametrize(
    "value",
    [
        {"rows": [1, 2.5, None, True], "é\ud800": b"\x00", 3: (1, "a")},
        [],
        {1, 2},
        frozenset({"a"}),
        [1 << 500, -0.0, math.inf, bytearray(b"ab")],
    ],
)
def test_plain_data_comes_back_the_same_and_new(value: Any) -> None:
    taken = snapshot(value)
    assert taken is not None
    first, second = loads(taken), loads(taken)
    assert repr(first) == repr(value)
    assert type(first) is type(value)
    assert first is not second or isinstance(value, frozenset)


def test_what_is_shared_stays_shared() -> None:
    taken = snapshot([SHARED, SHARED, [1]])
    assert taken is not None
    one, same, other = loads(taken)
    assert one is same
    assert one is not other
    inner = snapshot(LOOP)
    assert inner is not None
    again = loads(inner)
    assert again[0] is again


@pytest.mark.parametrize(
    "value",
    [
        [Number(1)],
        [Colour.RED],
        (Pair(1, 2), []),
        [OrderedDict(a=1)],
        [np.float64(1.0)],
        [np.zeros(2)],
        [array.array("b", b"a")],
        [len],
        [int],
        [...],
        [1j],
        ["a" * 100_000],
        list(range(5000)),
        DEEP,
        1,
        "text",
        Pair([], 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_or_is_large_is_not_taken(value: Any) -> None:
    assert snapshot(value) is None
