"""A refreshed run says whether it gave what it had given before, and flags what did not."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checks
from hypothesis import strategies as st

import cellist
from cellist import State, task
from cellist.cache_policies import INPUTS, TASK_SOURCE, CacheKeyFnPolicy
from cellist.session import get_session
from cellist.settings import temporary_settings
from tests.sources import FIRST, Calls, Values, define, state_of, why

pytestmark = pytest.mark.usefixtures("recorder")


def refreshed_by_option(t: Any, *args: Any) -> State:
    return state_of(t.with_options(refresh_cache=True), *args)


def refreshed_by_command(t: Any, *args: Any) -> State:
    cellist.refresh(t)
    return state_of(t, *args)


def refreshed_by_setting(t: Any, *args: Any) -> State:
    with temporary_settings(tasks_refresh_cache=True):
        return state_of(t, *args)


def refreshed_by_mode(t: Any, *args: Any) -> State:
    with temporary_settings(cache="refresh"):
        return state_of(t.with_options(refresh_cache=False), *args)


Refresh = Callable[..., State]
WAYS: list[Refresh] = [
    refreshed_by_option, refreshed_by_command, refreshed_by_setting, refreshed_by_mode,
]  # fmt: skip


@pytest.mark.parametrize("again", WAYS)
def test_the_same_result_is_a_note(again: Refresh) -> None:
    t = define(FIRST, Calls())
    t(1)
    reason = again(t, 1).why
    assert (reason.code, str(reason)) == ("refreshed", "ran: a refresh was asked for")
    (note,) = reason.notes
    assert note.startswith("gave the same result as at ")
    assert why(t, 1).notes == ()


@pytest.mark.parametrize("again", WAYS)
def test_a_different_result_is_flagged_for_good(again: Refresh) -> None:
    values = Values([1], [2], [2], [2])

    @task
    def draw(x):
        return values.next()

    draw(1)
    reason = again(draw, 1).why
    assert reason.code == "not_deterministic"
    assert str(reason).startswith(
        "ran: a refresh was asked for; its result differs from the one of"
    )
    assert str(reason).endswith(" although inputs and source are the same: it is not deterministic")
    flag = "not deterministic: two runs gave different results"
    assert why(draw, 1).notes == (flag,)
    assert again(draw, 1).why.notes[0].startswith("gave the same result as")
    assert why(draw, 1).notes == (flag,), "one more run that agrees takes nothing back"
    get_session().store.close()
    get_session().store._memory.remove(str(state_of(draw, 1).state_details.cache_key))
    assert why(draw, 1).notes == (flag,), "it is kept on disk"


def test_nothing_is_said_of_a_first_result() -> None:
    t = define(FIRST, Calls())
    reason = refreshed_by_option(t, 1).why
    assert (str(reason), reason.notes) == ("ran: a refresh was asked for", ())


def test_a_value_without_a_digest_cannot_be_compared() -> None:
    @task
    def make(x):
        return [Odd()]

    make(1)
    reason = refreshed_by_option(make, 1).why
    assert reason.code == "refreshed"
    assert reason.notes[0].startswith("its result cannot be compared with the one of ")


class Odd:
    """Has no digest, and can be pickled."""

    def __cellist_key__(self) -> Any:
        return threading.Lock()


def test_a_stored_value_that_cannot_be_restored_is_no_trouble() -> None:
    values = Values([Broken()], [1])

    @task
    def make(x):
        return values.next()

    make(1)
    state = refreshed_by_option(make, 1)
    assert (state.result(), state.why.notes) == ([1], ())
    assert str(state.why) == "ran: a refresh was asked for"


def fail() -> None:
    raise RuntimeError("cannot be restored")


class Broken:
    """Can be pickled and not restored."""

    def __reduce__(self) -> Any:
        return fail, ()


@pytest.mark.parametrize(
    "policy",
    [INPUTS, TASK_SOURCE, (INPUTS - "x") + TASK_SOURCE, CacheKeyFnPolicy(lambda *_: "one key")],
)
def test_only_a_key_of_source_and_inputs_tells_that_a_task_is_not_deterministic(policy) -> None:
    values = Values([1], [2])

    def draw(x):
        return values.next()

    t = task(draw, cache_policy=policy)
    t(1)
    reason = refreshed_by_option(t, 1).why
    assert reason.code == "refreshed"
    assert "; its result differs from the one of " in str(reason)
    assert "deterministic" not in str(reason)
    assert why(t, 1).notes == ()


def test_what_a_serializer_changes_is_no_difference() -> None:
    t = task(lambda x: (x, x), result_serializer="json")
    t(1)
    assert refreshed_by_option(t, 1).why.notes[0].startswith("gave the same result")


def test_nothing_is_loaded_unless_a_refresh_is_asked_for(monkeypatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(get_session().store.__class__, "peek", lambda _, key: looks.append(key))
    t = define(FIRST, Calls())
    for x in (1, 1, 2):
        t(x)
    assert looks == []
    refreshed_by_option(t, 1)
    assert len(looks) == 1


@checks(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=5))
def test_a_value_never_differs_from_itself(value: Any) -> None:
    t = task(lambda held: held, cache_policy=INPUTS + TASK_SOURCE, name="give back")
    t(value)
    reason = refreshed_by_option(t, value).why
    assert reason.code == "refreshed"
    assert reason.notes[0].startswith("gave the same result as at ")


def test_what_a_task_depends_on_does_not_stand_for_its_source() -> None:
    values = Values(1, 2)
    t = task(lambda x: [x, values.next()], cache_policy=INPUTS, depends_on=[1], name="work")
    t(1)
    cellist.refresh(t)
    assert why(t, 1).code == "refreshed"
