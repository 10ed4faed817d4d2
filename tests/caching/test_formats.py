"""Values come back exactly, as values of their own, or are refused with the culprit's name."""

import collections
import dataclasses
import enum
import math
import sqlite3
import sys
import threading
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching import pickles
from cellist.caching.formats import DATA_ONLY, Encoded, atom_size, decode, encode
from cellist.exceptions import SerializationError
from tests.caching.faulty import back

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())  # lone surrogates included
    | st.binary(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


def exactly(first, second):
    if type(first) is not type(second):
        return False
    if isinstance(first, float):
        return math.copysign(1, first) == math.copysign(1, second) and first == second
    if isinstance(first, dict):
        return list(first) == list(second) and all(exactly(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(exactly, first, second))
    return first == second


@given(plain)
def test_plain_values_come_back_exactly(value):
    assert exactly(value, back(value)[1])
    assert exactly(value, back(value, private=False)[1])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("text\ud800", "text"),
        (b"bytes", "bytes"),
        (1, "json"),
        ([1, {"a": [None, True, 0.5]}], "json"),
        ("\ud83d\ude00".join("ab"), "text"),
        (["\ud83d", "\ude00", "\ud83d\ude00"], "json"),
        ((1, 2), "pickle"),
        ({1: 2}, "pickle"),
        (10**400, "pickle"),
        (bytearray(b"x"), "pickle"),
        (collections.OrderedDict(a=1), "pickle"),
        ({"a": (1,)}, "pickle"),
    ],
)
def test_a_plain_format_is_used_only_where_it_is_exact(value, kind):
    found, value_back = back(value)
    assert found == kind
    assert exactly(value, value_back)


def test_sharing_and_cycles_survive():
    inner = [1]
    kind, value = back([inner, inner])
    assert kind == "pickle"
    assert value[0] is value[1]
    loop = []
    loop.append(loop)
    _, value = back(loop)
    assert value[0] is value


def test_nan_and_infinity_survive():
    _, value = back([math.inf, -math.inf, math.nan])
    assert value[:2] == [math.inf, -math.inf]
    assert math.isnan(value[2])


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6).reshape(2, 3).T,
    np.zeros((2, 3, 4)).transpose(0, 2, 1) + 1,
    np.arange(20)[::3],
    np.array(3, "i2"),
    np.zeros((0, 3)),
    np.array(["a", "bcd"]),
    np.array([b"a", b"bcd"]),
    np.array(["2020-01-01", "NaT"], "M8[D]"),
    np.array([1, 2], "m8[25s]"),
    np.array([1, 2], ">i4"),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array([np.nan, -np.nan, -0.0]),
    np.array([0.5], "f2"),
    np.array([], "U0"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
@pytest.mark.parametrize("private", [True, False])
def test_arrays_come_back_bit_by_bit_and_writable(array, private):
    kind, value = back(array, private=private)
    assert kind == "array"
    assert (value.dtype, value.shape) == (array.dtype, array.shape)
    assert value.tobytes() == array.tobytes()
    if array.flags.contiguous or array.flags.fortran:
        assert value.flags.f_contiguous == array.flags.f_contiguous
    assert value.flags.writeable


def test_a_frozen_array_stays_frozen():
    array = np.arange(3)
    array.flags.writeable = False
    assert not back(array)[1].flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], object),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.ma.array([1, 2], mask=[True, False]),
    ],
    ids=["object", "structured", "masked"],
)
def test_other_arrays_are_pickled(array):
    kind, value = back(array)
    assert kind == "pickle"
    assert type(value) is type(array)
    assert value.dtype == array.dtype
    assert value.tolist() == array.tolist()


def test_large_buffers_stay_apart_and_are_private():
    value = {"w": np.arange(100_000.0), "n": 1}
    encoded = encode(value)
    assert len(encoded.parts) == 2
    first = decode("pickle", None, encoded.owned().parts, private=False)
    second = decode("pickle", None, encoded.owned().parts, private=False)
    first["w"][0] = 99
    assert second["w"][0] == value["w"][0] == 0


def test_owned_bytes_do_not_follow_the_caller():
    array = np.zeros(1000)
    encoded = encode(array).owned()
    array[:] = 1
    assert decode(encoded.format, encoded.meta, encoded.parts, private=False).sum() == 0


def test_an_unknown_format_is_said():
    with pytest.raises(SerializationError, match="'zip'"):
        decode("zip", None, [], private=True)


@dataclasses.dataclass
class Point:
    x: int
    extra: object = None


class Colour(enum.Enum):
    RED = 1


@pytest.fixture
def main_module(monkeypatch):
    """Stand in for the notebook: a `__main__` whose names can be redefined."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)

    def run(source):
        exec(compile(source, "<cell>", "exec"), vars(module))
        return module

    return run


def test_functions_and_classes_of_main_are_meant_by_name(main_module):
    main = main_module("def helper(): return 1\ndef f(): return helper()\nclass Pt: pass\n")
    made = encode([main.f, main.Pt()]).owned()
    assert b"helper" not in made.parts[0]
    main_module("def helper(): return 2\ndef f(): return helper()\nclass Pt: pass\n")
    function, point = decode(made.format, made.meta, made.parts, private=False)
    assert function() == 2
    assert isinstance(point, main.Pt)


def test_a_name_that_main_lacks_is_an_error_when_loading(main_module):
    main = main_module("class Pt: pass\n")
    made = encode(main.Pt()).owned()
    del main.Pt
    with pytest.raises(AttributeError, match="Pt"):
        decode(made.format, made.meta, made.parts, private=False)


def test_an_instance_of_an_earlier_definition_is_refused(main_module):
    old = main_module("class Pt: pass\n").Pt()
    main_module("class Pt: pass\n")
    with pytest.raises(SerializationError, match="earlier definition"):
        encode(old)


def local_class():
    class Local:
        pass

    return Local()


def closure():
    n = 1

    def inner():
        return n

    return inner


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: lambda: 1, "lambda"),
        (closure, "`inner`, defined inside another function"),
        (local_class, "defined inside a function"),
        (lambda: [1, {"db": Point(1, lambda: 1)}], r"`result\[1\]\['db'\]\.extra` is a lambda"),
        (threading.Lock, "_thread.lock"),
        (lambda: {"c": sqlite3.connect(":memory:")}, r"`result\['c'\]`.*sqlite3.Connection"),
        (lambda: (x for x in ()), "generator"),
        (lambda: compile("1", "x", "eval"), "code"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed database")
def test_what_cannot_be_stored_is_named_with_its_path(make, sentence):
    with pytest.raises(SerializationError, match=sentence):
        encode(make())


def test_an_open_file_is_refused(tmp_path):
    with (tmp_path / "x").open("w") as file, pytest.raises(SerializationError, match="TextIO"):
        encode({"f": file})


def test_nesting_beyond_the_stack_is_refused():
    deep = []
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    with pytest.raises(SerializationError, match="nested too deeply"):
        encode(deep)


def test_objects_that_only_cloudpickle_knows_come_back():
    assert list(back({"a": 1}.keys())[1]) == ["a"]
    assert back(math)[1] is math
    row = next(iter(pd.DataFrame({"a": [1]}).itertuples()))
    assert back(row)[1] == row
    assert back(row)[1]._fields == ("Index", "a")


def test_ordinary_objects_come_back():
    assert back(Point(1, [2]))[1] == Point(1, [2])
    assert back(Colour.RED)[1] is Colour.RED
    assert back({1, 2})[1] == {1, 2}


@pytest.mark.parametrize("value", [1, 1.5, True, None, "a", b"a", 1j, (1, "a"), ()])
def test_immutable_values_may_be_kept_themselves(value):
    size = atom_size(value)
    assert size is not None
    assert size > 0


@pytest.mark.parametrize("value", [[1], {}, (1, []), ((1,),), Point(1), Colour.RED, {1}])
def test_others_may_not(value):
    assert atom_size(value) is None


def test_a_subclass_is_never_taken_for_its_base():
    class Text(str):
        __slots__ = ()

    assert atom_size(Text("a")) is None
    assert isinstance(encode("a"), Encoded)
    assert encode("a").format in DATA_ONLY


def test_functions_by_value_are_never_loaded_from_a_pickle():
    stream = pickles.dump(len)
    assert b"builtins" in bytes(stream[0])


def test_a_library_that_another_thread_is_importing_is_not_asked(monkeypatch):
    for name in ("numpy", "pandas"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert encode((1, 2)).format == "pickle"
