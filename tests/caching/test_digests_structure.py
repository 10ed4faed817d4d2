"""What is refused and how, what users may say of their types, and values of difficult shape."""

import copy
import functools
import os
import pathlib
import pickle
import sqlite3
import sys
import sysconfig
import threading
import time
import types
from contextlib import closing
from typing import Any

import pytest

from cellist.caching.digests import Digester, digest_value, hasher
from cellist.exceptions import ConfigurationError, HashError


class Box:
    def __init__(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)


def _cycle(value: Any) -> list[Any]:
    found: list[Any] = [value]
    found.append(found)
    return found


class Holder:
    def __init__(self, conn: Any) -> None:
        self.conn = conn

    def told(self) -> Any:
        return self.conn


def _generator() -> Any:
    yield 1


def _returning(value: Any) -> Any:
    return lambda: value


def _defaulting(value: Any) -> Any:
    def anything(x: Any = value, *, y: Any = value) -> Any:
        return x, y

    return anything


def _wrapping(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped() -> Any:
        return function()

    return wrapped


def _class_around(value: Any) -> Any:
    class Around:
        def told(self) -> Any:
            return value

    return Around


REFUSED = {
    "lock": (lambda: {"db": Holder(threading.Lock())}, "cfg['db'].conn"),
    "generator": (lambda: [1, 2, 3, _generator()], "cfg[3]"),
    "iterator": (lambda: ("a", iter([1])), "cfg[1]"),
    "map": (lambda: map(str, [1]), "cfg"),
    "bare object": (lambda: {("a", 1): object()}, "cfg[('a', 1)]"),
    "thread": (lambda: Holder(threading.current_thread()), "cfg.conn"),
    "frame": (lambda: [sys._getframe()], "cfg[0]"),
    "lock in a set": (lambda: {threading.Lock()}, "cfg{...}"),
}


@pytest.mark.parametrize(("make", "path"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_stable_digest_is_refused_with_its_path(make: Any, path: str) -> None:
    with pytest.raises(HashError) as caught:
        digest_value(make(), "cfg")
    assert caught.value.path.startswith(path)
    message = str(caught.value)
    assert message.startswith(path)
    assert 'INPUTS - "cfg"' in message
    assert "cellist.hasher(" in message
    assert "NO_CACHE" in message
    assert pickle.loads(pickle.dumps(caught.value)).path == caught.value.path


def test_open_files_and_connections_are_refused(tmp_path: pathlib.Path) -> None:
    connection = sqlite3.connect(":memory:")
    with (tmp_path / "f").open("w") as file, pytest.raises(HashError, match="open stream"):
        digest_value(file)
    with pytest.raises(HashError, match=r"sqlite3\.Connection"):
        digest_value(connection)
    connection.close()


def test_a_refusal_within_a_closure_tells_both_paths() -> None:
    lock = threading.Lock()
    with pytest.raises(HashError) as caught:
        digest_value({"f": lambda: lock}, "cfg")
    assert caught.value.path.startswith("cfg['f'] → ")
    assert 'INPUTS - "cfg"' in str(caught.value)


CARRIERS: dict[str, Any] = {
    "closure": _returning,
    "closure in a closure": lambda value: _returning(_returning(value)),
    "decorated closure": lambda value: _wrapping(_returning(value)),
    "closure in a table": lambda value: {"f": _returning([value])},
    "cached closure": lambda value: functools.lru_cache(_returning(value)),
    "defaults": _defaulting,
    "argument of a partial": lambda value: functools.partial(print, value),
    "keyword of a partial": lambda value: functools.partial(print, file=value),
    "partial of a closure": lambda value: functools.partial(_returning(value)),
    "receiver": lambda value: types.MethodType(_generator, value),
    "state of the receiver": lambda value: Holder(value).told,
    "property": lambda value: property(_returning(value)),
    "comparison": lambda value: functools.cmp_to_key(_returning(value)),
    "class in a function": _class_around,
    "instance of a class in a function": lambda value: _class_around(value)(),
}


@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
def test_data_that_code_carries_must_have_a_digest(carry: Any) -> None:
    made = {digest_value(carry([number])) for number in (1, 2)}
    assert len(made) == 2
    with pytest.raises(HashError, match="generator is used up") as caught:
        digest_value(carry(_generator()), "cfg")
    assert caught.value.path.startswith("cfg")
    with (
        pytest.raises(HashError, match=r"sqlite3\.Connection") as caught,
        closing(sqlite3.connect(":memory:")) as one,
    ):
        digest_value(carry(one), "cfg")  # it can be called, too, and is no code for that
    assert 'INPUTS - "cfg"' in str(caught.value)


METHODS: dict[str, Any] = {
    "generator": lambda: _generator().send,
    "iterator": lambda: iter([1]).__next__,
    "lock": lambda: threading.Lock().acquire,
    "event": lambda: threading.Event().wait,
    "partial": lambda: functools.partial(iter([1]).__next__),
}


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_methods_of_what_has_no_digest_have_none(make: Any) -> None:
    with pytest.raises(HashError, match="cfg → "):
        digest_value(make(), "cfg")


def test_surroundings_of_code_and_marks_as_defaults_are_no_data_that_it_carries() -> None:
    class Shared:
        lock = threading.Lock()

    assert digest_value([Shared]) == digest_value([Shared])
    assert digest_value(Shared()) == digest_value(Shared())
    assert digest_value(_defaulting(object())) == digest_value(_defaulting(object()))


def test_an_error_in_foreign_code_is_a_refusal_that_tells_it() -> None:
    class Odd:
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyError("gone")

    with pytest.raises(HashError, match=r"cfg\[0\].*Odd.*KeyError: 'gone'"):
        digest_value([Odd()], "cfg")


def test_after_a_refusal_a_digester_goes_on() -> None:
    digester = Digester()
    value = _cycle(1)
    expected = digest_value(value)
    with pytest.raises(HashError):
        digester.digest([value, [threading.Lock()]])
    assert digester.digest(value) == expected


def test_a_type_may_tell_its_key() -> None:
    class Scene:
        def __init__(self, key: Any) -> None:
            self.key, self.noise = key, object()

        def __cellist_key__(self) -> Any:
            return self.key

    assert digest_value(Scene([1])) == digest_value(Scene([1]))
    assert digest_value(Scene([1])) != digest_value(Scene([2]))
    scene = Scene(None)
    scene.key = [scene]
    with pytest.raises(HashError, match="part of its own key"):
        digest_value(scene)


def test_a_hasher_holds_for_the_type_and_its_subclasses() -> None:
    class Net:
        def __init__(self, n: int) -> None:
            self.n, self.lock = n, threading.Lock()

    class Deep(Net):
        pass

    with pytest.raises(HashError):
        digest_value(Net(1))

    @hasher(Net)
    def _(net: Net) -> int:
        return net.n

    assert digest_value(Net(1)) == digest_value(Net(1)) != digest_value(Net(2))
    assert digest_value(Deep(1)) != digest_value(Net(1))


def test_a_hasher_by_name_imports_nothing() -> None:
    @hasher("no.such.Thing")
    def _(thing: Any) -> int:
        return thing.n

    kind: Any = type("Thing", (), {"__module__": "no.such", "lock": None})
    first, second = kind(), kind()
    first.n, second.n = 1, 1
    first.lock = threading.Lock()
    assert digest_value(first) == digest_value(second)


@pytest.mark.parametrize("kind", [int, list, object, "Scene", 3])
def test_a_hasher_for_what_everything_is_made_of_is_an_error(kind: Any) -> None:
    with pytest.raises(ConfigurationError):
        hasher(kind)


def test_deeply_shared_values_take_no_time() -> None:
    value: Any = []
    for _ in range(60):
        value = [value, value]
    start = time.thread_time()
    digest_value(value)
    assert time.thread_time() - start < 0.1


def test_shared_values_that_refer_to_their_top_take_no_time() -> None:
    top: list[Any] = []
    value: Any = [top]
    for _ in range(60):
        value = [value, value]
    top.append(value)
    assert digest_value(top) == digest_value(copy.deepcopy(top))


def test_depth_is_bounded_by_memory_and_not_by_the_interpreter() -> None:
    def deep(end: int) -> Any:
        value: Any = end
        for _ in range(50_000):
            value = [value]
        return value

    assert digest_value(deep(1)) == digest_value(deep(1)) != digest_value(deep(2))


def _grid(size: int, mark: int = 0) -> list[Box]:
    cells = [Box(mark=0) for _ in range(size * size)]
    cells[-1].mark = mark
    for i, cell in enumerate(cells):
        row, column = divmod(i, size)
        near = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        cell.near = {cells[r * size + c] for r, c in near if 0 <= r < size and 0 <= c < size}
    return cells


def test_a_web_of_objects_is_digested_whatever_the_number_of_ways_through_it() -> None:
    assert digest_value(_grid(8)) == digest_value(_grid(8))
    assert digest_value(_grid(8)) != digest_value(_grid(8, mark=1))
    assert digest_value(_grid(8)) != digest_value(_grid(9))


def test_a_refusal_in_a_web_is_told() -> None:
    cells = _grid(8)
    cells[9].mark = threading.Lock()
    with pytest.raises(HashError, match="lock"):
        digest_value(cells)


def test_sets_of_objects_in_a_cycle_do_not_depend_on_where_the_walk_begins() -> None:
    def pair(first: int) -> set[Box]:
        a, b = Box(n=1), Box(n=2)
        a.other, b.other = b, a
        return {a, b} if first else {b, a}

    assert len({digest_value(pair(i % 2)) for i in range(20)}) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # 3.12 warns of threads
def test_a_forked_child_digests_large_values() -> None:
    if sysconfig.get_platform().startswith("win"):
        pytest.skip("only on systems that fork")
    data = bytes(4 << 20)
    expected = digest_value(data)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, digest_value(data).encode())
        os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == expected
