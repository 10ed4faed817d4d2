"""SPEC 11 beyond policies: which inputs are the same, expiry, refresh, results, single flight."""

import dataclasses
import datetime as dt
import enum
import linecache
import math
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import INPUTS
from tests.spec.observe import Calls, trail


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: Any


class Model(pydantic.BaseModel):
    x: int


class Plain:
    def __init__(self, x: Any) -> None:
        self.x = x


def helper(x: int) -> int:
    return x


Make = Callable[[], Any]
SAME: list[tuple[str, Make, Make]] = [
    ("ints", lambda: 1, lambda: 1),
    ("nan", lambda: math.nan, lambda: float("nan")),
    ("sets in another order", lambda: {"a", "b", "c"}, lambda: {"c", "b", "a"}),
    ("frozensets", lambda: frozenset("abc"), lambda: frozenset("cba")),
    ("equal lists, one shared inside", lambda: [[1], [1]], lambda: [[1]] * 1 + [[1]]),
    ("shared and not shared", lambda: [[0]] * 2, lambda: [[0], [0]]),
    ("dataclasses", lambda: Point([1]), lambda: Point([1])),
    ("models", lambda: Model(x=1), lambda: Model(x=1)),
    ("objects", lambda: Plain(1), lambda: Plain(1)),
    ("enums", lambda: Colour.RED, lambda: Colour(1)),
    ("arrays", lambda: np.arange(5), lambda: np.array([0, 1, 2, 3, 4])),
    (
        "arrays laid out otherwise",
        lambda: np.arange(6).reshape(2, 3),
        lambda: np.asfortranarray(np.arange(6).reshape(2, 3)),
    ),
    ("frames", lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"a": [1]})),
    ("paths", lambda: Path("a/b"), lambda: Path("a") / "b"),
    ("dates", lambda: dt.date(2026, 1, 1), lambda: dt.date(2026, 1, 1)),
    ("functions", lambda: helper, lambda: helper),
    ("lambdas", lambda: lambda x: x + 1, lambda: lambda x: x + 1),
    ("long text", lambda: "a" * 10_000, lambda: "a" * 10_000),
    ("bytes", lambda: b"abc", lambda: bytes([97, 98, 99])),
    ("strings of one text", lambda: "ab", lambda: "".join(list("ab"))),
]
DIFFERENT: list[tuple[str, Make, Make]] = [
    ("int and bool", lambda: 1, lambda: True),
    ("int and float", lambda: 1, lambda: 1.0),
    ("int and text", lambda: 1, lambda: "1"),
    ("text and bytes", lambda: "a", lambda: b"a"),
    ("none and text", lambda: None, lambda: "None"),
    ("tuple and list", lambda: (1, 2), lambda: [1, 2]),
    ("set and frozenset", lambda: {1}, lambda: frozenset({1})),
    ("keys", lambda: {1: "a"}, lambda: {"1": "a"}),
    ("dict order", lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    ("nested", lambda: [[1], 2], lambda: [1, [2]]),
    ("nested otherwise", lambda: ["ab", "c"], lambda: ["a", "bc"]),
    ("zeros", lambda: 0.0, lambda: -0.0),
    ("dtype", lambda: np.zeros(2, "i4"), lambda: np.zeros(2, "i8")),
    ("shape", lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    ("content of arrays", lambda: np.arange(10**5), lambda: np.r_[np.arange(10**5 - 1), 0]),
    ("columns", lambda: pd.DataFrame({"a": [1]}), lambda: pd.DataFrame({"b": [1]})),
    (
        "order of columns",
        lambda: pd.DataFrame({"a": [1], "b": [2]}),
        lambda: pd.DataFrame({"b": [2], "a": [1]}),
    ),
    (
        "index",
        lambda: pd.DataFrame({"a": [1]}, index=[0]),
        lambda: pd.DataFrame({"a": [1]}, index=[1]),
    ),
    ("dataclasses", lambda: Point(1), lambda: Point(2)),
    ("models", lambda: Model(x=1), lambda: Model(x=2)),
    ("objects", lambda: Plain(1), lambda: Plain(2)),
    ("enums", lambda: Colour.RED, lambda: Colour.BLUE),
    ("lambdas", lambda: lambda x: x + 1, lambda: lambda x: x + 2),
    ("dataclass and dict", lambda: Point(1), lambda: {"x": 1}),
    (
        "time zones",
        lambda: dt.datetime(2026, 1, 1),  # noqa: DTZ001 - without one is what is compared
        lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    ),
]


class TestInputs:
    def hit(self, one: Any, two: Any) -> bool:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: Any) -> int:
            return calls()

        return t(one) == t(two)

    @pytest.mark.parametrize(("name", "one", "two"), SAME, ids=[row[0] for row in SAME])
    def test_hits(self, name: str, one: Make, two: Make) -> None:
        assert self.hit(one(), two())

    @pytest.mark.parametrize(("name", "one", "two"), DIFFERENT, ids=[row[0] for row in DIFFERENT])
    def test_misses(self, name: str, one: Make, two: Make) -> None:
        assert not self.hit(one(), two())

    def test_a_mutated_argument_is_not_stored(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: list[int]) -> int:
            calls()
            x.append(1)
            return len(x)

        assert t([]) == 1
        assert t([]) == 1
        assert len(calls) == 2

    def test_without_a_digest_it_runs_uncached_and_says_so_once(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(connection: Any) -> int:
            return calls()

        with pytest.warns(UserWarning, match="connection") as caught:
            assert [t(threading.Lock()) for _ in range(2)] == [1, 2]
        assert len(caught) == 1

    def test_nothing_is_hashed_when_caching_is_off(self) -> None:
        """Q8: a lock has no digest, and nobody needs one."""
        t = task(lambda x: 1, cache_policy=cellist.cache_policies.NO_CACHE)
        assert t(threading.Lock()) == 1

    def test_the_same_in_every_process(self, tmp_path: Path) -> None:
        program = textwrap.dedent("""
            from cellist import task
            from cellist.cache_policies import INPUTS
            class Own:
                def __init__(self): self.x = {"b", "a", "c"}
            @task(cache_policy=INPUTS)
            def t(x, y, z): return 1
            print(t({"a", "b", "c"}, Own(), lambda q: q + 1, return_state=True).name)
        """)
        script = tmp_path / "script.py"
        script.write_text(program)
        seen: list[str] = []
        for seed in ("1", "2"):
            done = subprocess.run(
                [sys.executable, str(script)],
                env={**__import__("os").environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
                cwd=tmp_path,
            )
            seen.append(done.stdout.split()[-1])
        assert seen == ["Completed", "Cached"]


def cell(source: str, filename: str = "<cell>", **names: Any) -> Any:
    """Define a task as a cell of a notebook does and return it."""
    namespace: dict[str, Any] = {"task": task, "__name__": "__main__", **names}
    text = textwrap.dedent(source)
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


BEFORE = """
LIMIT = 10
def helper(x):
    return x + 1
def unused(x):
    return x
@task
def t(x, y=2):
    '''Doc.'''
    return helper(x) + y + LIMIT
"""
EDITS = [
    ("nothing", lambda s: s, True),
    ("position", lambda s: "\n\n\n" + s, True),
    ("comments", lambda s: s.replace("return helper", "# why\n    return helper"), True),
    ("layout", lambda s: s.replace("helper(x) + y", "helper( x )  +  y"), True),
    ("docstring", lambda s: s.replace("'''Doc.'''", "'''Other.'''"), True),
    ("decorator", lambda s: s.replace("@task", "@task(retries=3, name='t')"), True),
    ("a helper it does not use", lambda s: s.replace("return x\n", "return x * 5\n"), True),
    ("its body", lambda s: s.replace("+ y", "- y"), False),
    ("its helper", lambda s: s.replace("x + 1", "x + 2"), False),
    ("a global", lambda s: s.replace("LIMIT = 10", "LIMIT = 11"), False),
    ("a default", lambda s: s.replace("y=2", "y=3"), False),
]


@pytest.mark.parametrize(("name", "edit", "hit"), EDITS, ids=[row[0] for row in EDITS])
def test_edits_of_a_cell(name: str, edit: Callable[[str], str], hit: bool) -> None:
    """25.10: moved and defined again it hits; edited in what it reaches, it runs."""
    cell(BEFORE, "<cell 1>")["t"](1)
    state = cell(edit(BEFORE), "<cell 2>")["t"](1, return_state=True)
    assert (state.name == "Cached") is hit


class TestExpiry:
    def test_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls()
        t = task(lambda x: calls(), cache_policy=INPUTS, cache_expiration=timedelta(minutes=8))
        assert (t(1), t(1)) == (1, 1)
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + 481)
        assert (t(1), t(1)) == (2, 2)

    def test_is_stamped_when_the_result_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls()

        def t(x: int) -> int:
            return calls()

        short = task(t, cache_policy=INPUTS, cache_expiration=timedelta(minutes=8))
        long = task(t, cache_policy=INPUTS)
        assert (short(1), long(1)) == (1, 1)
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + 481)
        assert long(1) == 2

    def test_refresh(self) -> None:
        calls = Calls()

        def t(x: int) -> int:
            return calls()

        plain = task(t, cache_policy=INPUTS)
        fresh = task(t, cache_policy=INPUTS, refresh_cache=True)
        assert (plain(1), fresh(1), plain(1), fresh(1)) == (1, 2, 2, 3)

    def test_refresh_by_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls()
        t = task(lambda x: calls(), cache_policy=INPUTS)
        never = task(lambda x: calls() * 1, cache_policy=INPUTS, refresh_cache=False)
        t(1)
        never(1)
        monkeypatch.setenv("CELLIST_TASKS_REFRESH_CACHE", "1")
        assert t(1) == 3
        assert never(1) == 2

    def test_refresh_once_per_run(self) -> None:
        """#11007."""
        calls = Calls()

        @task(cache_policy=INPUTS, refresh_cache=True, retries=2)
        def t(x: int) -> int:
            if calls() < 2:
                raise ValueError
            return len(calls)

        assert t(1) == 2


class TestResults:
    def test_hits_are_fresh_objects(self) -> None:
        """Q10."""

        @task(cache_policy=INPUTS)
        def t(x: int) -> list[int]:
            return [x]

        t(1).append(9)
        t(1).append(9)
        assert t(1) == [1]

        @flow
        def f() -> Any:
            one, two = t(5), t(5)
            assert one is not two
            one.append(0)
            return t(5)

        assert f() == [5]

    @pytest.mark.parametrize(
        "make",
        [
            lambda: {"a": [1, (2, 3)], "b": {4}},
            lambda: Point([1]),
            lambda: Model(x=1),
            lambda: Colour.RED,
            lambda: (x for x in ()) and [1],
            lambda: b"\x00\xff",
            lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            lambda: 2**100,
            lambda: ValueError("a value"),
        ],
    )
    def test_round_trip(self, make: Any) -> None:
        t = task(lambda x: make(), cache_policy=INPUTS)
        first, second = t(1), t(1)
        assert type(first) is type(second)
        assert first == second or repr(first) == repr(second)
        assert t(1, return_state=True).name == "Cached"

    def test_arrays_and_frames(self) -> None:
        arrays = task(lambda x: np.arange(int(x)), cache_policy=INPUTS)
        frames = task(lambda x: pd.DataFrame({"a": range(x)}), cache_policy=INPUTS)
        arrays(5)[0] = 99
        np.testing.assert_array_equal(arrays(5), np.arange(5))
        frames(3)
        pd.testing.assert_frame_equal(frames(3), pd.DataFrame({"a": range(3)}))

    def test_what_cannot_be_stored_is_still_the_result(self) -> None:
        t = task(lambda x: threading.Lock(), cache_policy=INPUTS)
        with pytest.warns(UserWarning, match="lambda"):
            first, second = (t(1) for _ in range(2))
        assert first is not second
        assert hasattr(first, "acquire")

    def test_locally_defined_models(self) -> None:
        class Local(pydantic.BaseModel):
            x: int

        t = task(lambda x: Local(x=x), cache_policy=INPUTS)
        assert t(1) == t(1)

    def test_none_with_a_policy(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: int) -> None:
            calls()

        assert (t(1), t(1)) == (None, None)
        assert len(calls) == 1

    def test_a_returned_state_that_failed_is_not_stored(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: int) -> Any:
            calls()
            return cellist.states.Failed(message="m")

        t(1)
        t(1)
        assert len(calls) == 2

    def test_storage_keys(self) -> None:
        calls = Calls()

        @task(result_storage_key="fixed-{parameters[x]}")
        def t(x: int, y: int = 0) -> int:
            return calls()

        @flow
        def f() -> Any:
            return t(1), t(1, y=5), t(2)

        assert f() == (1, 1, 2)
        assert f() == (1, 1, 2)

    def test_state_details(self) -> None:
        t = task(lambda x: x, cache_policy=INPUTS, cache_expiration=timedelta(hours=1))
        state = t(1, return_state=True)
        assert state.state_details.cache_key
        again = t(1, return_state=True)
        assert again.state_details.cache_key == state.state_details.cache_key
        assert trail(again)[-1] == "Cached"


class TestSingleFlight:
    def test_one_key_at_once_is_computed_once(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: int) -> int:
            time.sleep(0.1)
            return calls()

        @flow
        def f() -> Any:
            return sorted(
                (future.state.name, future.result())
                for future in t.map([7, 7, 7, 7])
                if future.wait() is None
            )

        assert f() == [("Cached", 1)] * 3 + [("Completed", 1)]

    def test_a_failure_lets_the_next_one_run(self) -> None:
        calls = Calls()

        @task(cache_policy=INPUTS)
        def t(x: int) -> int:
            time.sleep(0.02)
            if calls() == 1:
                raise ValueError
            return len(calls)

        futures = t.map([7, 7, 7])
        futures.wait(timeout=60)
        states = sorted(future.state.name for future in futures)
        assert states.count("Failed") == 1
        assert len(calls) == 2


class TestManagement:
    """11.8."""

    def test_list_invalidate_clear(self) -> None:
        t = task(lambda x: x + 1, name="kept", cache_policy=INPUTS)
        other = task(lambda x: x + 2, name="other", cache_policy=INPUTS)
        t(1)
        t(2)
        other(1)
        entries = cellist.cache.entries()
        assert len(entries) == 3
        assert set(entries["task"]) == {"kept", "other"}
        assert cellist.cache.clear(t) == 2
        assert len(cellist.cache.entries()) == 1
        assert cellist.cache.invalidate(other) == 1
        details = other(5, return_state=True).state_details
        assert cellist.cache.invalidate(str(details.cache_key)) == 1
        assert cellist.cache.invalidate("nothing of the kind") == 0
        assert t(1, return_state=True).name == "Completed"
        cellist.cache.clear()
        assert len(cellist.cache.entries()) == 0

    def test_reasons(self) -> None:
        t = task(lambda x: x + 1, name="asked", cache_policy=INPUTS)
        t(10)
        state = t(20, return_state=True)
        assert "10" in str(state.why)
        assert "20" in str(state.why)
        hit = t(20, return_state=True)
        assert str(hit.why)
