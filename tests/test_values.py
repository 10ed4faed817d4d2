"""Values of runs that are over: what can still be had, from where, and what is said if not."""

import gc
import threading

import numpy as np
import pandas as pd
import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import FailedRun, MissingResult, ObjectNotFound
from cellist.session import get_session
from cellist.values import FAILURES_KEPT, TooLarge, written
from tests.sessions import Recorder


class Box:
    """An object that takes a weak reference."""

    def __init__(self, *items: object) -> None:
        self.items = items


@task
def make(n):
    return pd.DataFrame({"a": range(n)})


@task(cache_policy=NO_CACHE)
def box(frame):
    return Box(frame)


@task(cache_policy=NO_CACHE)
def fail(value, url="none"):
    raise ValueError("no")


@task
def count(frames):
    return sum(len(frame) for frame in frames)


@pytest.mark.parametrize(
    ("preview", "value"),
    [
        ("42", (42,)),
        ("'a < b'", ("a < b",)),
        ("None", (None,)),
        ("[1, 2]", ([1, 2],)),
        ("{'a': 1}", ({"a": 1},)),
        ("list of 9: [1, 2, 3, …]", None),
        ("'cut of…", None),
        ("DataFrame 3×1", None),
        ("Color.RED", None),
        ("[list(2)]", None),
        ("float64(1.0)", None),
        ("int of 900 bits", None),
        (None, None),
    ],
)
def test_only_a_preview_in_full_is_a_value(preview, value):
    assert written(preview) == value


def test_a_cached_result_is_loaded_anew_each_time(recorder: Recorder):
    make(3)
    one, two = cellist.run("make").load(), cellist.run("make").load()
    assert one.equals(pd.DataFrame({"a": range(3)}))
    assert one is not two
    before = dict(get_session().store.stats())
    cellist.run("make").load()
    assert get_session().store.stats()["hits"] == before["hits"], "a look is no use"


def test_short_values_are_read_off_the_record(recorder: Recorder):
    @task(cache_policy=NO_CACHE)
    def add(a, b):
        return a + b

    add(1, b="1".count("1"))
    record = cellist.run("add")
    assert (record.load(), record.load("a"), record.load("b")) == (2, 1, 1)


def test_an_argument_is_the_result_it_came_from(recorder: Recorder):
    @flow
    def crawl():
        count([make.submit(n) for n in range(2, 9)])
        box(make(5))

    crawl()
    frames = cellist.run("count").load("frames")
    assert [len(frame) for frame in frames] == [2, 3, 4, 5, 6, 7, 8]
    assert len(cellist.run("box").load("frame")) == 5


def test_what_was_told_of_futures_gives_way_to_their_values(recorder: Recorder):
    go = threading.Event()

    @task(cache_policy=NO_CACHE)
    def held(n):
        go.wait(60)
        return n

    @task(cache_policy=NO_CACHE)
    def add(a, b):
        return a + b

    @flow
    def crawl():
        total = add.submit(held.submit(1), 2)
        assert get_session().history.flush(60)
        waits = cellist.run("add").inputs
        go.set()
        return waits, total.result()

    assert crawl() == ({"a": "cellist.future.PrefectFuture", "b": "2"}, 3)
    record = cellist.run("add")
    assert record.inputs == {"a": "1", "b": "2"}
    assert record.load("a") == 1


def test_what_something_still_holds_is_loaded_and_nothing_is_kept_for_that(recorder: Recorder):
    kept = []

    @flow
    def crawl():
        kept.append(box(7))

    crawl()
    record = cellist.run("box")
    assert record.load() is kept[0]
    kept.clear()
    gc.collect()
    with pytest.raises(MissingResult, match=r"not stored \(caching is off.*persist"):
        record.load()


def test_a_failed_run_has_its_arguments_for_a_while(recorder: Recorder):
    held = Box()
    fail([held], return_state=True)
    record = cellist.run("fail")
    assert record.load("value")[0] is held
    with pytest.raises(FailedRun, match="`fail` failed, so it has no result: ValueError: no"):
        record.load()
    with pytest.raises(ObjectNotFound, match=r"no argument `nothing`\. Its arguments: `value`"):
        record.load("nothing")
    for _ in range(FAILURES_KEPT):
        fail([Box()], return_state=True)
    cellist.runs()
    with pytest.raises(MissingResult, match="`value` of `fail`"):
        record.load("value")


def test_arguments_of_failures_are_not_kept_alive(recorder: Recorder):
    held = [Box()]

    @flow
    def crawl():
        fail(held[0], return_state=True)
        return 1

    crawl()
    record = cellist.run("fail")
    assert record.load("value") is held.pop()
    gc.collect()
    with pytest.raises(MissingResult, match="not kept"):
        record.load("value")


def test_a_large_result_is_not_read_for_a_look(recorder: Recorder):
    @task
    def large():
        return np.zeros(1 << 20)

    large()
    session = get_session()
    find = session.values.result  # noqa: PD011 - no frame
    record = cellist.run("large")
    with pytest.raises(TooLarge, match="takes 8 MB"):
        find(record, most=1 << 20)
    session.store.flush(60)
    session.store._memory.remove(record.cache_key or "")
    with pytest.raises(TooLarge, match="takes 8 MB"):
        find(record, most=1 << 20)
    assert record.load().shape == (1 << 20,)


def test_a_result_that_was_thrown_away_is_said_to_be_gone(recorder: Recorder):
    make(3)
    cellist.cache.clear()
    with pytest.raises(MissingResult, match="no result is stored under this key"):
        cellist.run("make").load()


def test_a_result_kept_elsewhere_is_found(recorder: Recorder, tmp_path):
    @task(result_storage=tmp_path / "results", persist_result=True)
    def keep(n):
        return pd.Series(range(n))

    keep(4)
    assert len(cellist.run("keep").load()) == 4
