"""What a digest promises of plain Python values: same value, same digest, and nothing else."""

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import io
import json
import logging
import os
import pathlib
import pickle
import re
import subprocess
import sys
import types
import uuid
import zoneinfo
from array import array
from typing import Any

import pytest

from cellist.caching.digests import digest_value

NAN, OTHER_NAN = float("nan"), -float("nan")
Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is under test
Place = collections.namedtuple("Place", "x y")  # noqa: PYI024 - as above


class Box:
    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)


class OtherBox(Box):
    pass


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Rows(list):
    pass


class Words(dict):
    pass


class Tags(set):
    pass


class Colour(enum.Enum):
    RED = 1


class Paint(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Order:
    item: str
    count: int = 1


@dataclasses.dataclass
class Bill:
    item: str
    count: int = 1


class Chosen:
    """Keeps in its state what it wants to, and restores the rest."""

    def __init__(self, a: int) -> None:
        self.a, self.cache = a, object()

    def __getstate__(self) -> dict[str, int]:
        return {"a": self.a}


class Derived:
    def __init__(self, a: int) -> None:
        self.a = a

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.a


class Ordered:
    """A state that is a dict whose order means something."""

    def __init__(self, **items: int) -> None:
        self.items = items

    def __getstate__(self) -> dict[str, int]:
        return self.items


def _cycle(value: Any) -> list[Any]:
    found: list[Any] = [value]
    found.append(found)
    return found


def _words(**attributes: Any) -> Words:
    found = Words(a=1)
    found.__dict__.update(attributes)
    return found


def _adder(n: int) -> Any:
    return lambda x: x + n


def _family(names: str) -> Box:
    parent = Box(name="parent", children=[])
    parent.children = [Box(name=name, parent=parent) for name in names]
    return parent


def _family_set(names: str) -> Box:
    parent = _family(names)
    parent.children = set(parent.children)
    return parent


shared = [1, "x", [2]]
AGREE = {
    "nan": (NAN, OTHER_NAN),
    "nan in a long list": ([1.0] * 20 + [NAN], [1.0] * 20 + [OTHER_NAN]),
    "complex nan": (complex(NAN, 1), complex(OTHER_NAN, 1)),
    "set of str": ({"a", "b", "c"}, {"c", "b", "a"}),
    "set of frozensets": ({frozenset("ab"), frozenset("cd")}, {frozenset("dc"), frozenset("ba")}),
    "long set": (set(map(str, range(99))), set(map(str, reversed(range(99))))),
    "set subclass": (Tags("abc"), Tags("cba")),
    "interning": ("ab" * 3, str(b"ababab", "ascii")),
    "interned members": (["abc", "abc"], ["abc", str(b"abc", "ascii")]),
    "sharing": ([shared, shared], [shared, copy.deepcopy(shared)]),
    "cyclic list": (_cycle(1), _cycle(1)),
    "cyclic objects": (_family("ab"), copy.deepcopy(_family("ab"))),
    "cycle through a set": (_family_set("abcdef"), _family_set("fedcba")),
    "objects": (Box(a=1, b=[2]), Box(b=[2], a=1)),
    "slots": (Slotted(1), Slotted(1)),
    "getstate": (Chosen(1), Chosen(1)),
    "namespace": (types.SimpleNamespace(a=1, b=2), types.SimpleNamespace(b=2, a=1)),
    "dataclass": (Order("x", 2), pickle.loads(pickle.dumps(Order("x", 2)))),
    "closures": (_adder(1), _adder(1)),
    "utc": (dt.UTC, dt.timezone(dt.timedelta(0))),
    "array of longs": (array("l", [1, 2]), array("l", [1, 2])),
}
zone = zoneinfo.ZoneInfo("Europe/Berlin")
DIFFER = {
    "1 and True": (1, True),
    "1 and 1.0": (1, 1.0),
    "1 and '1'": (1, "1"),
    "0.0 and -0.0": (0.0, -0.0),
    "None and False": (None, False),
    "None and 'None'": (None, "None"),
    "str and bytes": ("a", b"a"),
    "bytes and bytearray": (b"a", bytearray(b"a")),
    "bytes and memoryview": (b"a", memoryview(b"a")),
    "big ints": (2**70, 2**70 + 1),
    "signs": (-1, 255),
    "float and complex": (1.0, 1 + 0j),
    "list and tuple": ([1, 2], (1, 2)),
    "long list and tuple": (list(range(50)), tuple(range(50))),
    "long int and bool lists": ([1] * 20, [True] * 20),
    "long int and float lists": ([1] * 20, [1.0] * 20),
    "long str and bytes lists": (["a"] * 20, [b"a"] * 20),
    "splits": (["a", "b"], ["ab"]),
    "splits with tags": (["a", "b"], ["as\x01b"]),
    "long splits": (["ab", "c"] * 10, ["a", "bc"] * 10),
    "zeros in long lists": ([0.0] * 20, [0.0] * 19 + [-0.0]),
    "one in a million": ([*range(10**6)], [*range(10**6 - 1), -1]),
    "nesting": ([[1], 2], [[1, 2]]),
    "empty containers": ({}, []),
    "empty set and frozenset": (set(), frozenset()),
    "set and list": ({1}, [1]),
    "set members": ({1}, {True}),
    "dict order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dict split": ({"a": "b"}, {"ab": ""}),
    "ordered dict order": (
        collections.OrderedDict(a=1, b=2),
        collections.OrderedDict(b=2, a=1),
    ),
    "ordered dict and dict": (collections.OrderedDict(a=1), {"a": 1}),
    "default factory": (collections.defaultdict(list), collections.defaultdict(int)),
    "deque bound": (collections.deque([1], 2), collections.deque([1], 3)),
    "namedtuple and tuple": (Point(1, 2), (1, 2)),
    "two namedtuples": (Point(1, 2), Place(1, 2)),
    "list subclass": (Rows([1]), [1]),
    "dict subclass": (Words(a=1), {"a": 1}),
    "dict subclass attribute": (_words(unit="m"), _words(unit="km")),
    "set subclass": (Tags("a"), {"a"}),
    "objects": (Box(a=1), Box(a=2)),
    "attribute names": (Box(a=1), Box(b=1)),
    "two classes": (Box(a=1), OtherBox(a=1)),
    "two empty classes": (Box(), OtherBox()),
    "slots": (Slotted(1), Slotted(2)),
    "getstate": (Chosen(1), Chosen(2)),
    "state with an order": (Ordered(a=1, b=2), Ordered(b=2, a=1)),
    "two dataclasses": (Order("x"), Bill("x")),
    "two enums": (Colour.RED, Paint.RED),
    "enum and value": (Colour.RED, 1),
    "decimals": (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "cycles": (_cycle(1), _cycle(2)),
    "cycle and its unrolling": (_cycle(1), [1, _cycle(1), 2]),
    "cyclic objects": (_family("ab"), _family("ac")),
    "naive and aware": (dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),  # noqa: DTZ001 - the naive one is the point
    "zones of one offset": (
        dt.datetime(2020, 1, 1, tzinfo=zone),
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    ),
    "fold": (
        dt.datetime(2020, 10, 25, 2, 30, tzinfo=zone),
        dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zone),
    ),
    "date and datetime": (dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)),  # noqa: DTZ001 - as above
    "timedelta": (dt.timedelta(1), dt.timedelta(0, 86_400, 1)),
    "path and text": (pathlib.Path("a"), "a"),
    "paths": (pathlib.Path("a"), pathlib.Path("./b/../a")),
    "pure path": (pathlib.Path("a"), pathlib.PurePosixPath("a")),
    "regex flags": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "loggers": (logging.getLogger("a"), logging.getLogger("b")),
    "uuid and text": (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    "range and list": (range(3), [0, 1, 2]),
    "slices": (slice(1), slice(None, None, 1)),
    "dict views": ({"a": 1}.keys(), {"a": 1}.items()),
    "arrays of one content": (array("i", [1]), array("f", [1.0])),
    "text buffers": (io.StringIO("a"), io.StringIO("b")),
    "exceptions": (ValueError("a"), ValueError("b")),
    "partials": (functools.partial(int, base=2), functools.partial(int, base=8)),
    "lambdas": (lambda x: x + 1, lambda x: x + 2),
    "closures": (_adder(1), _adder(2)),
    "bound methods": ([1].count, [2].count),
    "methods of two objects": (Box(a=1).__init__, Box(a=2).__init__),
    "modules": (json, re),
    "classes": (Box, OtherBox),
    "builtins": (len, sum),
    "generic aliases": (list[int], list[str]),
    "unions": (int | str, int | None),
}


@pytest.mark.parametrize("pair", AGREE.values(), ids=AGREE)
def test_equal_values_agree(pair: tuple[Any, Any]) -> None:
    assert digest_value(pair[0]) == digest_value(pair[1])


@pytest.mark.parametrize("pair", DIFFER.values(), ids=DIFFER)
def test_different_values_differ(pair: tuple[Any, Any]) -> None:
    assert digest_value(pair[0]) != digest_value(pair[1])


@pytest.mark.parametrize("pair", DIFFER.values(), ids=DIFFER)
def test_different_values_differ_within_others(pair: tuple[Any, Any]) -> None:
    a, b = pair
    assert digest_value([a, 1]) != digest_value([b, 1])
    assert digest_value({"k": (a,)}) != digest_value({"k": (b,)})


@pytest.mark.parametrize("pair", AGREE.values(), ids=AGREE)
def test_equal_values_agree_within_others(pair: tuple[Any, Any]) -> None:
    a, b = pair
    assert digest_value({"k": (a, [a])}) == digest_value({"k": (b, [b])})


@pytest.mark.parametrize("value", [v for p in AGREE.values() for v in p if not callable(v)])
def test_a_restored_value_has_the_digest_of_the_fresh_one(value: Any) -> None:
    assert digest_value(pickle.loads(pickle.dumps(value))) == digest_value(value)


def test_reading_a_cached_property_is_no_change() -> None:
    value = Derived(1)
    before = digest_value(value)
    assert value.double == 2
    assert digest_value(value) == before != digest_value(Derived(2))


def test_the_class_counts_by_what_it_does() -> None:
    def make(body: str) -> Any:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"class Scene:\n    def area(self): return {body}", space)
        return space["Scene"]()

    assert digest_value(make("1")) == digest_value(make("1"))
    assert digest_value(make("1")) != digest_value(make("2"))


_SCRIPT = """
import decimal, enum, pathlib
from cellist.caching.digests import digest_value
class Colour(enum.Enum):
    RED = 1
class Box:
    def __init__(self, **kw): self.__dict__.update(kw)
    def area(self): return {1, "a", None, 2.5}
values = [{1, "a", None}, {"x": {"p", "q", "r"}}, frozenset("abcdef"), {Colour.RED, "RED"},
    Box(a={"u", "v"}, b=Colour.RED), {(1, "a"), ("b",)}, lambda x: x in {"a", "b", "c"}]
print([digest_value(v) for v in values])
"""


def test_two_processes_with_other_hash_seeds_agree() -> None:
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert run("1") == run("2")
