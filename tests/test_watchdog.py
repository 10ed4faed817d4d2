"""What waiting runs wait for, in words, and what is said when nothing moves."""

import threading
from typing import Any

import pytest

from cellist import flow, limits, task
from cellist.board.rows import Row
from cellist.cache_policies import INPUTS, NO_CACHE
from cellist.model.runs import Run, RunUpdated
from cellist.notebook.status import status_lines
from cellist.task_runners import ThreadPoolTaskRunner
from tests.sessions import Recorder

quick: dict[str, Any] = {"cache_policy": NO_CACHE}


def waits(recorder: Recorder, run: Run) -> str | None:
    return recorder.session.waits_of(run)


@pytest.fixture
def gate() -> Any:
    return threading.Event()


def test_inputs_and_workers(recorder: Recorder, gate: Any) -> None:
    started = threading.Event()

    @task(**quick)
    def fetch(n):
        started.set()
        assert gate.wait(60)
        return n

    @task(**quick)
    def join(*xs):
        return len(xs)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def f():
        one = fetch.submit(1)
        assert started.wait(60)
        two, three, four = (fetch.submit(n) for n in (2, 3, 4))
        cases = {
            one: None,
            two: "waits for a worker",
            join.submit(two): f"waits for `{two.name}`",
            join.submit(two, [three]): f"waits for `{two.name}` and `{three.name}`",
            join.submit(
                two, three, four, one
            ): f"waits for `{two.name}`, `{three.name}` and 2 others",
        }
        found = {future: waits(recorder, future.run) for future in cases}
        group: Any = type("G", (), {"id": 0})()
        row = Row(two.run, group, 0).as_dict()
        status = "\n".join(status_lines(recorder.session))
        gate.set()
        assert found == cases
        assert row["why"] == "waits for a worker"
        assert f"waits for `{two.name}` and `{three.name}`" in status
        return two

    f()
    assert [waits(recorder, run) for run in recorder.of("join")] == [None] * 3


def test_limits_and_others_that_compute_the_same(recorder: Recorder, gate: Any) -> None:
    limits.set_tag("db", 1)
    started = threading.Event()

    @task(tags={"db"}, **quick)
    def query(n):
        started.set()
        assert gate.wait(60)

    @task(cache_policy=INPUTS)
    def same(n):
        started.set()
        assert gate.wait(60)
        return n

    @flow
    def f(t):
        started.clear()
        gate.clear()
        first = t.submit(1)
        assert started.wait(60)
        second = t.submit(1)
        said = None
        while said in (None, "waits for a worker"):
            said = waits(recorder, second.run)
        gate.set()
        return [said.replace(first.name, "first")]

    assert f(query) == ["waits for limit `db`"]
    assert f(same) == ["waits for `first`, which computes the same"]


def test_a_change_is_announced_and_a_standstill_is_logged(recorder: Recorder, gate: Any) -> None:
    limits.set_tag("db", 1)
    held = threading.Event()

    @task(tags={"db"}, **quick)
    def query(n):
        return n

    @task(**quick)
    def after(n):
        return n

    def hold():
        from cellist.concurrency.sync import concurrency

        with concurrency("tag:db"):
            held.set()
            assert gate.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)

    @flow
    def f():
        one = query.submit(1)
        two = after.submit(one)
        dog = recorder.session.watchdog
        assert dog.is_on
        while waits(recorder, one.run) != "waits for limit `db`":
            pass
        dog.look(0.0)
        seen = len(recorder.events)
        dog.look(29.0)
        assert not [e for e in recorder.events[seen:] if isinstance(e, RunUpdated)]
        dog.look(31.0)
        dog.look(32.0)  # told once
        gate.set()
        assert two.result() == 1
        return [one.name, two.name]

    one, two = f()
    holder.join()
    told = [text for text in recorder.logs() if "Nothing has moved" in text]
    assert told == [
        f"Nothing has moved for 31 s: `{one}` waits for limit `db`; `{two}` waits for `{one}`."
    ]
