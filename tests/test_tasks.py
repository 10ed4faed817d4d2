"""Tasks: options, binding, calling, mapping, names and bad input."""

import asyncio
import functools
import threading
from typing import Any

import pytest

from cellist import cancel, flow, tags, task, unmapped
from cellist.annotations import allow_failure
from cellist.cache_policies import NO_CACHE, NONE
from cellist.exceptions import (
    CancelledRun,
    CellistError,
    MappingLengthMismatch,
    MappingMissingIterable,
    ParameterBindError,
    ReservedArgumentError,
)
from cellist.settings import temporary_settings
from cellist.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner
from cellist.tasks import Task, exponential_backoff
from tests.sessions import Recorder, names

quick: dict[str, Any] = {"cache_policy": NO_CACHE}
pytestmark = pytest.mark.usefixtures("recorder")


class Thing:
    """Every way to make a method a task; falsy, which must not matter."""

    def __init__(self, n: int = 1) -> None:
        self.n = n

    def __len__(self) -> int:
        return 0

    @task(**quick)
    def method(self, x):
        return (self.n, x)

    @task(**quick)
    async def coroutine(self, x):
        return (self.n, x)

    @classmethod
    @task(**quick)
    def outer_class(cls, x):
        return (cls.__name__, x)

    @task(**quick)
    @classmethod
    def inner_class(cls, x):
        return (cls.__name__, x)

    @staticmethod
    @task(**quick)
    def outer_static(x):
        return x

    @task(**quick)
    @staticmethod
    def inner_static(x):
        return x

    def __repr__(self) -> str:
        return f"Thing({self.n})"


class Sub(Thing):
    pass


FORMS = {
    "method": (3, 5),
    "outer_class": ("Sub", 5),
    "inner_class": ("Sub", 5),
    "outer_static": 5,
    "inner_static": 5,
}


@pytest.mark.parametrize("form", FORMS)
def test_binding(form: str) -> None:
    bound = getattr(Sub(3), form)
    assert isinstance(bound, Task)
    expected = FORMS[form]
    assert bound(5) == expected
    assert bound.submit(5).result() == expected
    assert bound.map([5]).result() == [expected]
    assert bound.with_options(name="other")(5) == expected
    assert bound.with_options(name="other").submit(5).result() == expected
    with ThreadPoolTaskRunner() as runner:
        assert runner.submit(bound, {"x": 5}).result() == expected
        assert runner.map(bound, {"x": [5]}).result() == [expected]
    assert bound(5, return_state=True).result() == expected
    if form != "method":
        assert getattr(Sub, form)(5) == expected
        assert getattr(Sub, form).submit(5).result() == expected
    else:
        assert Sub.method(Sub(3), 5) == expected
        assert Sub.method(Sub(3), 5) == expected


async def test_binding_of_coroutines() -> None:
    assert await Thing(2).coroutine(1) == (2, 1)
    assert await Thing(2).coroutine.submit(1) == (2, 1)


def test_instances_are_bound_independently() -> None:
    a, b = Thing(1).method, Thing(2).method
    assert (a(0), b(0), a(0)) == ((1, 0), (2, 0), (1, 0))
    wrong: list[Any] = []

    def work(n: int) -> None:
        wrong.extend(x for x in (Thing(n).method(0)[0] for _ in range(30)) if x != n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_self_is_a_parameter_of_the_run_name(recorder: Recorder) -> None:
    Thing(7).method.with_options(task_run_name="{self.n}-{x}")(1)
    assert recorder.runs[0].name == "7-1"


def test_hooks_of_tasks_that_were_stopped_or_crashed(recorder: Recorder) -> None:
    seen: list[tuple[str, str]] = []

    @task(on_crashed=[lambda _task, run, state: seen.append((run.name, state.name))], **quick)
    def interrupted() -> None:
        raise KeyboardInterrupt

    @task(**quick)
    def stopped() -> None:
        cancel()
        raise AssertionError("a stop comes before the next step")

    @stopped.on_cancellation
    def note(_task: Any, run: Any, state: Any) -> None:
        seen.append((run.name, state.name))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(CancelledRun):
        stopped.submit().result()
    assert seen == [("interrupted", "Crashed"), ("stopped", "Cancelled")]
    assert stopped.on_cancellation_hooks == [note]
    assert stopped.with_options(on_cancellation=[]).on_cancellation_hooks == []


def test_hook_added_through_an_instance_counts() -> None:
    seen = []

    class Own:
        @task(**quick)
        def method(self):
            return 1

    Own().method()
    Own().method.on_completion(lambda *_: seen.append(1))
    Own().method()
    assert seen == [1]


def test_copies_of_class_methods_stay_class_methods() -> None:
    class Own:
        made = Sub.__mro__[1].__dict__["inner_class"].with_options(name="copy")

    assert Own.made(1) == ("Own", 1)


class Callable_:
    def __call__(self, x):
        return x + 1


class AsyncCallable:
    async def __call__(self, x):
        return x + 1


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (lambda x: x + 1, "<lambda>"),
        (functools.partial(lambda y, x: x + y, 1), "<lambda>"),
        (Callable_(), "Callable_"),
        ((1).__add__, "__add__"),
    ],
)
def test_what_can_be_a_task(fn: Any, name: str) -> None:
    t = task(fn, **quick)
    assert t.name == name
    assert t(1) == 2
    assert t.submit(1).result() == 2
    assert isinstance(t.task_key, str)


def test_builtins_and_async_objects_can_be_tasks() -> None:
    assert task(len, **quick)([1, 2]) == 2
    assert task(print, **quick)() is None
    made: Any = task(dict)
    assert made(a=1) == {"a": 1}
    t = task(AsyncCallable(), **quick)
    assert t.isasync
    assert asyncio.run(t(1)) == 2
    assert t.submit(1).result() == 2


def test_submitted_generators_are_collected() -> None:
    @task
    def count(n):
        yield from range(n)
        return "ignored"

    async def acount_fn(n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    acount: Any = task(acount_fn, retries=1)
    assert count.isgenerator
    assert not count.isasync
    assert acount.isgenerator
    assert acount.isasync
    assert count.submit(3).result() == [0, 1, 2]
    assert count.map([1, 2]).result() == [[0], [0, 1]]
    assert acount.submit(3).result() == [0, 1, 2]
    state = count.submit(2, return_state=True)
    assert state.result() == [0, 1]
    assert "generator" in str(state.why)


@pytest.mark.parametrize("thing", [5, "name", None.__class__, []])
def test_what_cannot_be_a_task(thing: Any) -> None:
    if callable(thing):
        assert task(thing, **quick)() is None
        return
    with pytest.raises(TypeError, match="@task needs a function"):
        task(thing)


def test_reserved_names_are_refused() -> None:
    def wants_state(return_state):
        return return_state

    def wants_wait(wait_for):
        return wait_for

    for decorate in (task, flow):
        with pytest.raises(ReservedArgumentError, match="'return_state' is a reserved"):
            decorate(wants_state)
        with pytest.raises(ReservedArgumentError, match="'wait_for'"):
            decorate(wants_wait)


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("retries", -1, CellistError),
        ("retries", 1.5, CellistError),
        ("retry_delay_seconds", "1", TypeError),
        ("retry_delay_seconds", (1, 2), TypeError),
        ("retry_delay_seconds", [1] * 51, ValueError),
        ("retry_delay_seconds", -1, ValueError),
        ("retry_delay_seconds", lambda n: "x", TypeError),
        ("retry_jitter_factor", -1, ValueError),
        ("retry_condition_fn", 5, TypeError),
        ("timeout_seconds", "1", TypeError),
        ("timeout_seconds", -1, ValueError),
        ("cache_expiration", "1d", TypeError),
        ("cache_policy", "INPUTS", TypeError),
        ("task_run_name", 5, TypeError),
        ("tags", "one", TypeError),
        ("tags", [1], TypeError),
        ("on_completion", print, TypeError),
        ("on_failure", [1], TypeError),
        ("on_running", "hook", TypeError),
    ],
)
def test_bad_options_are_named_with_their_owner(option: str, value: Any, kind: type) -> None:
    def fetch() -> None: ...

    with pytest.raises(kind) as caught:
        task(fetch, **{option: value})
    text = str(caught.value)
    assert option in text
    assert "'fetch'" in text


def test_unknown_options_are_refused() -> None:
    misspelt: Any = {"retrys": 3}
    with pytest.raises(TypeError, match="retrys"):
        task(print, **misspelt)
    with pytest.raises(TypeError, match=r"of task .* has no option 'retrys'. Did you mean 'retri"):
        task(print).with_options(**misspelt)


def test_with_options_replaces_and_clears() -> None:
    base = task(
        lambda: 1, name="base", tags=["a"], retries=3, timeout_seconds=5, task_run_name="x", **quick
    )
    copy = base.with_options(tags=[], retries=0, timeout_seconds=None, task_run_name=None)
    assert (copy.tags, copy.retries, copy.timeout_seconds) == (set(), 0, None)
    assert base.with_options(timeout_seconds=0).timeout_seconds is None  # no limit
    assert copy.task_run_name is None
    assert copy.name == "base"
    assert copy.cache_policy == NO_CACHE == NONE
    assert (base.tags, base.retries) == ({"a"}, 3)
    hooked = base.with_options(on_failure=[print])
    assert hooked.on_failure_hooks == [print]
    assert base.on_failure_hooks == []
    assert hooked.with_options(name="z").on_failure_hooks == [print]


def test_attributes_users_read() -> None:
    @task(name="n", tags={"a"}, version="1", retries=2, retry_delay_seconds=exponential_backoff(10))
    def documented(x: int = 1) -> int:
        """Do it.

        Well.
        """
        return x

    assert documented.description == "Do it.\n\nWell."
    assert documented.__name__ == "documented"
    assert documented.__wrapped__ is documented.fn  # type: ignore[attr-defined] - set by update_wrapper
    assert documented.retry_delay_seconds == [10, 20]
    assert documented.fn(3) == 3
    assert "def documented" in (documented.source_code or "")
    assert documented.version == "1"
    assert repr(documented) == "Task('n')"


def test_default_names_of_runs(recorder: Recorder) -> None:
    @task(**quick)
    def work():
        return 1

    work()
    flow(lambda: (work(), 1), name="f")()
    outside, inside = recorder.of("work")
    assert outside.name == "work"
    assert inside.name.startswith("work-")
    assert len(inside.name) == len("work-") + 3


def test_arguments_that_do_not_fit_make_no_run(recorder: Recorder) -> None:
    def work_fn(a, *, b):
        return a, b

    async def awork_fn(a):
        return a

    work: Any = task(work_fn)
    awork: Any = task(awork_fn)
    calls = (
        work,
        lambda: work(1),
        lambda: work(1, b=2, c=3),
        lambda: work.submit(1),
        lambda: work.map([1]),
        lambda: work.map([1], b=[2], c=3),
        awork,
        awork.submit,
    )
    for call in calls:
        with pytest.raises(ParameterBindError, match="Error binding parameters"):
            call()
    assert recorder.runs == []
    assert work(1, b=2) == (1, 2)


def test_tags_of_runs(recorder: Recorder) -> None:
    t = task(lambda: 1, name="t", tags=["own"], **quick)
    with tags("a") as now:
        assert now == {"a"}
        with tags("b"):
            t()
            t.submit().wait()
        t()
    t()
    assert [run.tags for run in recorder.of("t")] == [
        {"own", "a", "b"},
        {"own", "a", "b"},
        {"own", "a"},
        {"own"},
    ]


def test_settings_are_read_at_run_time(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    @task(**quick)
    def fails():
        tries.append(1)
        raise ValueError

    @task(retries=0, **quick)
    def fails_once():
        tries.append(1)
        raise ValueError

    fails(return_state=True)
    assert len(tries) == 1
    with temporary_settings({"CELLIST_TASKS_DEFAULT_RETRIES": "2"}):
        fails(return_state=True)
        assert len(tries) == 4
        fails_once(return_state=True)
        assert len(tries) == 5
    monkeypatch.setenv("PREFECT_TASKS_DEFAULT_RETRIES", "1")
    fails(return_state=True)
    assert len(tries) == 7
    monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "0")
    fails(return_state=True)
    assert len(tries) == 8
    monkeypatch.setenv("CELLIST_TASKS_DEFAULT_RETRIES", "many")
    with pytest.raises(CellistError, match="CELLIST_TASKS_DEFAULT_RETRIES='many'"):
        fails()


# ----------------------------------------------------------------------------------------- map


@task(**quick)
def add(a, b=10):
    return (a, b)


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        (([1, 2],), {}, [(1, 10), (2, 10)]),
        (([1, 2], [3, 4]), {}, [(1, 3), (2, 4)]),
        (([1, 2],), {"b": 5}, [(1, 5), (2, 5)]),
        (([1, 2],), {"b": unmapped([5, 6])}, [(1, [5, 6]), (2, [5, 6])]),
        (([1, 2],), {"b": "xy"}, [(1, "xy"), (2, "xy")]),
        (([1, 2],), {"b": b"xy"}, [(1, b"xy"), (2, b"xy")]),
        (({"k": 1, "l": 2},), {}, [("k", 10), ("l", 10)]),
        ((range(2),), {}, [(0, 10), (1, 10)]),
        (((n * n for n in range(3)),), {}, [(0, 10), (1, 10), (4, 10)]),
        (([],), {}, []),
    ],
)
def test_map(args: Any, kwargs: Any, expected: Any) -> None:
    assert add.map(*args, **kwargs).result() == expected
    states = add.map(
        *(list(a) if hasattr(a, "send") else a for a in args), return_state=True, **kwargs
    )
    assert len(states) in {len(expected), 0}


def test_map_over_keywords_and_futures() -> None:
    @task(**quick)
    def named(**things):
        return things

    @task(**quick)
    def three():
        return [1, 2, 3]

    assert named.map(a=[1, 2], b=5).result() == [{"a": 1, "b": 5}, {"a": 2, "b": 5}]

    @flow
    def f():
        source = three.submit()
        assert add.map(source).result() == [(1, 10), (2, 10), (3, 10)]
        assert add.map(source.state).result() == [(1, 10), (2, 10), (3, 10)]
        futures = add.map([1, 2])
        assert add.map(futures, unmapped(source)).result() == [
            ((1, 10), [1, 2, 3]),
            ((2, 10), [1, 2, 3]),
        ]
        assert add.map([futures[0], 7], b=0).result() == [((1, 10), 0), (7, 0)]

    f()


def test_map_links_each_run_to_the_future_it_came_from(recorder: Recorder) -> None:
    @task(**quick)
    def three():
        return [1, 2, 3]

    @flow
    def f():
        add.map(three.submit())

    f()
    upstream = recorder.one("three").number
    for run in recorder.of("add"):
        assert upstream in {n for numbers in (run.upstream or {}).values() for n in numbers}


def test_map_with_failures_among_its_futures() -> None:
    @task(**quick)
    def maybe(n):
        if n == 1:
            raise ValueError("one")
        return n

    @flow
    def f():
        first = maybe.map([0, 1, 2])
        second = add.map(first)
        second.wait()
        assert [state.name for state in second.state] == ["Completed", "NotReady", "Completed"]
        kinds = [type(a) for a, _ in add.map(allow_failure(first)).result()]
        assert kinds == [int, ValueError, int]

    f()


def test_map_errors() -> None:
    with pytest.raises(MappingMissingIterable, match="'add'"):
        add.map(1)
    with pytest.raises(MappingMissingIterable):
        add.map("text")
    with pytest.raises(MappingLengthMismatch, match=r"a: 2, b: 3.*unmapped"):
        add.map([1, 2], [1, 2, 3])


# ------------------------------------------------------------------------------------- runners


def test_sequential_runner_is_done_when_submit_returns() -> None:
    @flow(task_runner=SequentialTaskRunner)
    def f():
        future = add.submit(1)
        assert future.done()
        nested = add.submit(add.submit(future))
        return nested.result()

    assert f() == (((1, 10), 10), 10)


def test_runner_used_directly() -> None:
    with ThreadPoolTaskRunner(max_workers=2) as runner:
        assert runner.submit(add, {"a": 1}).result() == (1, 10)
        assert runner.map(add, {"a": [1, 2], "b": unmapped(0)}).result() == [(1, 0), (2, 0)]
        with pytest.raises(RuntimeError, match="already started"):
            runner.__enter__()
    with pytest.raises(RuntimeError, match="must be started"):
        runner.submit(add, {"a": 1})
    with pytest.raises(ValueError, match="max_workers"):
        ThreadPoolTaskRunner(max_workers=0)
    assert runner.duplicate() == runner
    assert runner.duplicate() is not runner


@pytest.mark.slow
def test_process_runner(recorder: Recorder) -> None:
    import os

    here = os.getpid()

    @task(retries=1, **quick)
    def where(x):
        if x < 0:
            raise ValueError(f"negative {x}")
        return (x, os.getpid())

    @task(**quick)
    def generate(n):
        yield from range(n)

    @task(**quick)
    def unpicklable():
        return threading.Lock()

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def f():
        value, pid = where.submit(1).result()
        assert value == 1
        assert pid != here
        bad = where.submit(-1)
        with pytest.raises(ValueError, match="negative -1"):
            bad.result()
        assert names(bad.run) == ["Pending", "Running", "Retrying", "Failed"]
        assert generate.submit(3).result() == [0, 1, 2]
        with pytest.raises(CellistError, match="cannot be sent back"):
            unpicklable.submit().result()
        with pytest.raises(CellistError, match="cannot be sent to a process"):
            where.submit(threading.Lock()).result()

    f()
