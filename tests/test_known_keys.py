"""Keys that are kept in mind: the very ones that would be made, for the very same calls only."""

import itertools
import math
from typing import Any

import pytest

from cellist import task
from cellist.cache_policies import DEFAULT, INPUTS, RUN_ID, TASK_SOURCE
from cellist.known_keys import KnownKeys, call_of
from tests.sessions import Recorder

FACTOR = 2
PLAIN = [
    *[0, 1, -1, True, False, None, 0.0, -0.0, 1.0, math.nan, math.inf],
    *["", "0", "1", "None", "nan", "0x0.0p+0", 10**100],
]


def keys_of(recorder: Recorder, name: str) -> list[str | None]:
    return [run.cache_key for run in recorder.of(name)]


def test_a_key_in_mind_is_the_one_that_is_made(recorder: Recorder) -> None:
    @task
    def known(x):
        return [x]

    for value in [*PLAIN, *PLAIN]:
        known(value)
    again = keys_of(recorder, "known")
    assert again[: len(PLAIN)] == again[len(PLAIN) :]
    assert len(set(again)) == len(PLAIN)
    assert len(recorder.of("known")) == 2 * len(PLAIN)
    assert all(run.state_name == "Cached" for run in recorder.of("known")[len(PLAIN) :])


def test_calls_are_told_apart_by_type_and_place() -> None:
    calls = [call_of(pair) for pair in itertools.product(PLAIN, PLAIN)]
    assert None not in calls
    assert len(set(calls)) == len(PLAIN) ** 2
    assert call_of([math.nan]) == call_of([-math.nan])


class Actions:
    """Functions that are called once; that they are does not count for a key."""

    def __init__(self) -> None:
        self.wait: list[Any] = []

    def __iter__(self) -> Any:
        while self.wait:
            yield self.wait.pop()

    def __cellist_key__(self) -> str:
        return "actions"


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [Text("a"), "a" * 1000, 1 << 5000, b"a", (1,), [], 1j])
def test_what_is_not_plain_or_is_large_is_not_kept_in_mind(value: Any) -> None:
    assert call_of([value]) is None


def test_a_change_of_what_the_task_reads_counts_at_once(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    @task
    def scaled(x):
        return x * FACTOR

    assert [scaled(3), scaled(3)] == [6, 6]
    monkeypatch.setitem(globals(), "FACTOR", 5)
    assert [scaled(3), scaled(3)] == [15, 15]
    monkeypatch.setitem(globals(), "FACTOR", 2)
    assert scaled(3) == 6
    names = [run.state_name for run in recorder.of("scaled")]
    assert names == ["Completed", "Cached", "Completed", "Cached", "Cached"]
    assert recorder.of("scaled")[2].why.changes[0].name == "FACTOR"


def test_a_change_while_a_run_goes_on_counts_though_other_calls_have_new_keys_by_then(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in mind of the task is then the new code, and the run's key is of the old one."""

    @task
    def scaled(x):
        for then in pending:
            then()
        return x * FACTOR

    pending: Any = Actions()
    assert [scaled(1), scaled(2)] == [2, 4]

    def change_and_call() -> None:
        monkeypatch.setitem(globals(), "FACTOR", 5)
        assert scaled(1) == 5

    pending.wait.append(change_and_call)
    assert scaled(3) == 15
    monkeypatch.setitem(globals(), "FACTOR", 2)
    assert scaled(3) == 6
    assert [run.state_name for run in recorder.of("scaled")][-1] == "Completed"


def test_a_default_that_is_changed_in_place_counts(recorder: Recorder) -> None:
    kept: dict[str, int] = {"by": 1}

    @task
    def added(x, by=kept):
        return x + by["by"]

    assert [added(1), added(1)] == [2, 2]
    kept["by"] = 10
    assert added(1) == 11


def test_a_policy_that_is_changed_counts(recorder: Recorder) -> None:
    policy: Any = INPUTS + TASK_SOURCE

    @task(cache_policy=policy)
    def labelled(x, label):
        return x

    assert [labelled(1, "a"), labelled(1, "b"), labelled(1, "b")] == [1, 1, 1]
    inputs = policy.policies[-1]
    inputs.exclude.append("label")
    assert [labelled(1, "a"), labelled(1, "b")] == [1, 1]
    names = [run.state_name for run in recorder.of("labelled")]
    assert names == ["Completed", "Completed", "Cached", "Completed", "Cached"]


@pytest.mark.parametrize("policy", [INPUTS, TASK_SOURCE, DEFAULT + RUN_ID, INPUTS + RUN_ID])
def test_other_policies_make_each_key(policy: Any) -> None:
    from_policy = task(lambda x: x, cache_policy=policy).plan().cache.keys
    assert from_policy is None
    assert isinstance(task(lambda x: x).plan().cache.keys, KnownKeys)


def test_a_key_made_of_what_is_known_is_the_one_the_policy_makes(recorder: Recorder) -> None:
    def scaled(x, y=2.5, *, z="é"):
        return [x, y, z, FACTOR]

    def kept(calls: list[dict[str, Any]], policy: Any) -> list[Any]:
        @task(cache_policy=policy, persist_result=True)
        def fresh(x, y=2.5, *, z="é"):
            return scaled(x, y, z=z)

        found: list[Any] = []
        for call in calls:
            fresh(**call)
            recorder.session.store.flush()
            (header,) = (
                one
                for one in recorder.session.store.headers(fresh.identity)
                if one.get("key") == recorder.of("fresh")[-1].cache_key
            )
            told = header.get("components") or ()
            found.append((header.get("key"), sorted(map(tuple, told))))
        recorder.session.store.clear()
        return found

    calls = [{"x": 1}, {"x": 2}, {"x": None, "y": True}, {"z": "a", "x": 0.0}, {"x": "text"}]
    for policy in (DEFAULT, DEFAULT - "y"):
        one_by_one = [kept([call], policy)[0] for call in calls]
        assert kept(calls, policy) == one_by_one
        assert kept(calls[::-1], policy) == one_by_one[::-1]
        assert len({key for key, _ in one_by_one}) == len(calls)


def test_defaults_put_into_the_function_count_at_once(recorder: Recorder) -> None:
    """As autoreload does with those of an edited module."""

    def total(a, b=1, *, c=2):
        return a + b + c

    made: Any = task(total)
    assert [made(1), made(1)] == [4, 4]
    total.__defaults__ = (10,)
    assert [made(1), made(1), made(1, 1)] == [13, 13, 4]
    total.__kwdefaults__ = {"c": 20}
    assert [made(1), made(1), made(1, 10, c=2)] == [31, 31, 13]
    told = [run.state_name for run in recorder.of("total")]
    assert told == [*["Completed", "Cached"] * 2, "Cached", "Completed", "Cached", "Cached"]
