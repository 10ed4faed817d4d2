"""A value that is watched is taken for unchanged only if its digest is the same."""

import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.caching import watch
from cellist.caching.digests import digest_value
from cellist.caching.source import closure_of
from cellist.caching.watch import hold

ATOMS = st.one_of(
    st.sampled_from([0, 1, 1.0, True, False, 0.0, -0.0, "1", "", None, b"1", 1 + 0j, 2**80]),
    st.floats(),
    st.text(max_size=3),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from([1, 1.0, True, "a", "b"]), inner, max_size=2),
        st.sets(ATOMS, max_size=3),
    ),
    max_leaves=5,
)


@given(VALUES, VALUES)
def test_held_values_agree_exactly_when_their_digests_do(before, after) -> None:
    assert hold(before)(after) == (digest_value(before) == digest_value(after))
    assert hold(before)(before)


class Text(str):
    """Equal to the text it is made of, and yet something else."""

    __slots__ = ()


LIKE: list[Any] = [
    *([1], [True], [1.0], [1 + 0j], ["1"], [b"1"], [bytearray(b"1")], [array("b", b"1")]),
    *([Text("1")], (1,), {1}, {1: None}, {True: None}, [None], [...], [[1]], [[]], []),
    *([0.0], [-0.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}, ["ü"], ["u"], [1, 1], [1] * 100),
]


@pytest.mark.parametrize("place", range(len(LIKE)))
def test_values_that_look_alike_are_told_apart(place) -> None:
    held = hold(LIKE[place])
    assert [held(other) for other in LIKE] == [index == place for index in range(len(LIKE))]


def test_a_change_in_place_is_seen_and_so_is_its_undoing() -> None:
    table: dict[str, Any] = {"rows": [1, 2], "name": "ewr"}
    held = hold(table)
    table["rows"][0] = True
    assert not held(table)
    table["rows"][0] = 1
    assert held(table)
    table["rows"].append(table)
    assert not held(table)


def test_sharing_within_a_value_does_not_count() -> None:
    part = ["abc", "abc"]
    assert hold([part, part])([["abc", "abc"], list(part)])


class Helper:
    """Code that a closure reaches."""

    def double(self, n: int) -> int:
        return 2 * n


def test_threads_that_look_at_the_same_moment_do_not_disturb_each_other(monkeypatch) -> None:
    def fn(n: int) -> int:
        return Helper().double(n)

    first = closure_of(fn)
    inside, go = threading.Event(), threading.Event()
    list_parts = watch.parts_of

    def slowly(*given: Any) -> Any:
        if not inside.is_set():
            inside.set()
            assert go.wait(60)
        return list_parts(*given)

    monkeypatch.setattr(watch, "parts_of", slowly)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(closure_of, fn)
        assert inside.wait(60)
        assert closure_of(fn) is first
        go.set()
        assert other.result() is first
