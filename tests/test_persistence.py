"""Who says whether, where and as what results are kept: task, setting, enclosing task and flow."""

from pathlib import Path
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.results import ResultStore, get_result_store
from cellist.settings import temporary_settings
from tests.sessions import Recorder

pytestmark = pytest.mark.usefixtures("recorder")

KEPT, LOST = "Cached", "Completed"
ON: dict[str, Any] = {"persist_result": True}
OFF: dict[str, Any] = {"persist_result": False}
REFRESHED: dict[str, Any] = {"refresh_cache": True}


def twice(t: Any) -> str:
    """Call a task twice and return the name of the second state."""
    t(1)
    return t(1, return_state=True).name


def body(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("own", "setting", "outer_task", "outer_flow", "want"),
    [
        # nothing said: kept
        ({}, None, {}, None, KEPT),
        ({}, None, {}, {}, KEPT),
        # the task itself counts most
        (OFF, True, ON, ON, LOST),
        (ON, False, OFF, OFF, KEPT),
        # who says how wants it kept
        ({"cache_policy": INPUTS}, False, {}, OFF, KEPT),
        ({"cache_key_fn": lambda *_: "k"}, False, {}, OFF, KEPT),
        ({"result_storage_key": "k"}, False, {}, OFF, KEPT),
        ({"result_serializer": "json"}, False, {}, OFF, KEPT),
        ({"result_storage": "here"}, False, {}, OFF, KEPT),
        ({"cache_policy": NO_CACHE}, True, {}, None, LOST),
        ({"cache_policy": None}, True, {}, None, LOST),
        # then the setting
        ({}, False, ON, ON, LOST),
        ({}, True, OFF, OFF, KEPT),
        # then the enclosing task
        ({}, None, OFF, ON, LOST),
        ({}, None, ON, OFF, KEPT),
        ({}, None, {"cache_policy": INPUTS}, OFF, KEPT),
        # then the flow
        ({}, None, {}, OFF, LOST),
        ({}, None, None, OFF, LOST),
        ({}, None, {}, {**OFF, "result_serializer": "json"}, LOST),
    ],
)  # fmt: skip
def test_whether(
    own: dict[str, Any],
    setting: bool | None,
    outer_task: dict[str, Any] | None,
    outer_flow: dict[str, Any] | None,
    want: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = task(body, name="inner", **own)
    call: Any = lambda: twice(inner)
    if outer_task is not None:
        call = task(lambda call=call: call(), name="outer", **REFRESHED, **outer_task)
    if outer_flow is not None:
        call = flow(lambda call=call: call(), name="whole", **outer_flow)
    with temporary_settings(tasks_default_persist_result=setting):
        assert call() == want


def test_reasons_name_who_said_so() -> None:
    t = task(body, name="t")

    @flow(name="whole", persist_result=False)
    def whole() -> Any:
        return t(1, return_state=True).why

    assert str(whole()) == "ran: caching is off (persist_result=False of flow `whole`)"
    with temporary_settings(tasks_default_persist_result=False):
        assert "CELLIST_TASKS_DEFAULT_PERSIST_RESULT" in str(t(1, return_state=True).why)
    assert "(persist_result=False)" in str(
        t.with_options(persist_result=False)(1, return_state=True).why
    )


def test_settings_and_options_count_from_the_next_call_on() -> None:
    t = task(body, name="t")
    assert twice(t) == KEPT
    with temporary_settings(tasks_default_persist_result=False):
        assert twice(t) == LOST
    assert twice(t) == KEPT


def look(n: int) -> tuple[str, str]:
    """Where and as what the results of the run around this call are kept."""
    store = get_result_store()
    place = store.storage.place
    kind = store.result_serializer
    return (place.directory.name if place else "", kind.type if kind else "")


def test_flows_hand_down_to_tasks_and_subflows(tmp_path: Path) -> None:
    t = task(look, name="t")
    own = task(look, name="own", result_storage=tmp_path / "own", result_serializer="pickle")
    half = task(look, name="half", result_serializer="compressed/json")

    @flow
    def below() -> list[Any]:
        return [t(1), t.submit(2).result(), own(3), half(4)]

    @flow(result_storage=tmp_path / "below")
    def elsewhere() -> list[Any]:
        return [t(5)]

    @flow(result_storage=tmp_path / "above", result_serializer="json")
    def above() -> list[Any]:
        return [*below(), *elsewhere(), task(lambda: t(6), cache_policy=NO_CACHE)()]

    assert above() == [
        ("above", "json"),
        ("above", "json"),
        ("own", "pickle"),
        ("above", "compressed/json"),
        ("below", "json"),
        ("above", "json"),
    ]
    assert t(1) == ("", "")  # outside, the project's store counts again


def test_tasks_hand_down_to_tasks(tmp_path: Path) -> None:
    inner = task(look, name="inner")
    outer = task(
        lambda n: inner(n + 0),
        name="outer",
        result_storage=tmp_path / "o",
        result_serializer="json",
    )
    assert outer(1) == ("o", "json")


def test_a_store_brings_its_options(recorder: Recorder, tmp_path: Path) -> None:
    store = ResultStore(
        tmp_path / "values",
        result_serializer="json",
        metadata_storage=tmp_path / "keys",
        cache_result_in_memory=False,
    )
    t = task(lambda n: (n,), name="t", cache_policy=INPUTS)

    @flow(result_storage=store)
    def whole() -> list[Any]:
        return [t(1), t(1)]

    assert whole() == [(1,), [1]]
    assert (tmp_path / "keys" / "cache.db").exists()
    held = recorder.session.stores.at(store.storage.place)._memory.entries()
    assert held == []
    assert ResultStore(store).storage == store.storage


def test_same_key_in_two_places_is_two_results(tmp_path: Path) -> None:
    t = task(lambda n: [n], name="t", cache_policy=INPUTS)
    one, two = (t.with_options(result_storage=tmp_path / name) for name in ("one", "two"))
    names = [each(1, return_state=True).name for each in (t, one, two, t, one, two)]
    assert names == [LOST] * 3 + [KEPT] * 3


def test_a_flow_reads_its_own_options_anew_after_with_options(tmp_path: Path) -> None:
    t = task(look, name="t")
    first = flow(lambda: t(1), name="f", result_storage=tmp_path / "a")
    second = first.with_options(result_storage=tmp_path / "b")
    assert [one()[0] for one in (first, second, first)] == ["a", "b", "a"]
