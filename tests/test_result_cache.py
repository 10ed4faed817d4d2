"""Caching as a user meets it: hits and misses by policy, why, and what is never stored."""

import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cellist import State, flow, get_run_context, runtime, task
from cellist.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
)
from cellist.caching.store import Found, ResultStore
from cellist.context import FlowRunContext, TaskRunContext
from cellist.model.annotations import NOT_SET
from cellist.session import CellistWarning, get_session
from cellist.settings import temporary_settings
from tests.sessions import WAYS, Recorder, as_task, final_state, names, outcome

pytestmark = pytest.mark.usefixtures("recorder")


class Counter:
    """Counts calls without being part of what a task reads: it digests to nothing."""

    def __init__(self) -> None:
        self.count = 0

    def __cellist_key__(self) -> str:
        return "counter"


@pytest.mark.parametrize("way", WAYS)
def test_second_call_is_a_hit(way: str, recorder: Recorder) -> None:
    counter = Counter()

    def work(x: int) -> dict[str, int]:
        counter.count += 1
        return {"x": x}

    t = as_task(way, work, cache_policy=INPUTS)
    first = final_state(way, t, 1)
    second = final_state(way, t, 1)
    third = final_state(way, t, 2)
    assert counter.count == 2
    assert (first.name, second.name, third.name) == ("Completed", "Cached", "Completed")
    assert second.type == "COMPLETED"
    assert second.message is None
    assert first.result() == second.result() == {"x": 1}
    assert first.why.outcome == third.why.outcome == "miss"
    assert first.why.code == "first_run"
    assert second.why.outcome == "hit"
    assert str(second.why).startswith("reused from")
    assert "1 → 2" in str(third.why)
    assert names(recorder.of("work")[1]) == ["Pending", "Running", "Cached"]
    assert second.state_details.cache_key == first.state_details.cache_key


def test_an_interrupt_while_a_result_is_read_ends_the_run(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    @task
    def work(x: int) -> int:
        return x

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    assert work(1) == 1
    with monkeypatch.context() as patch:
        patch.setattr(ResultStore, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work(1)
    assert work(1) == 1
    assert [run.state_name for run in recorder.of("work")] == ["Completed", "Crashed", "Cached"]


@pytest.mark.parametrize("call", [((1,), {}), ((), {"x": 1})], ids=["plain", "by name"])
def test_a_miss_asks_the_store_once(
    call: tuple[tuple[Any, ...], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    @task
    def work(x: int) -> int:
        return x

    asked: list[str] = []
    get = ResultStore.get

    def noting(self: ResultStore, key: str, **options: Any) -> Any:
        asked.append(key)
        return get(self, key, **options)

    work(0)
    monkeypatch.setattr(ResultStore, "get", noting)
    before = get_session().store.stats()
    work(*call[0], **call[1])
    work(*call[0], **call[1])
    after = get_session().store.stats()
    assert len(asked) == 2
    assert asked[0] == asked[1]
    counts = [after[one] - before[one] for one in ("hits", "misses", "stored")]
    assert counts == [1, 1, 1]


def test_a_miss_that_is_looked_up_again_under_its_lock_is_one() -> None:
    @task
    def work(x: int) -> int:
        time.sleep(0.15)  # long enough for a lock of its key
        return x

    before = get_session().store.stats()["misses"]
    for x in range(3):
        work(x)
    assert get_session().store.stats()["misses"] - before == 3


def test_hits_are_fresh_objects() -> None:
    t = task(lambda n=0: [1], cache_policy=INPUTS)
    first = t()
    first.append(2)
    second = t()
    assert second == [1]
    second.append(3)
    assert t() == [1]


def test_default_policy_is_on_and_off() -> None:
    counter = Counter()

    @task
    def work(x):
        counter.count += 1
        return x

    work(1)
    assert work(1, return_state=True).name == "Cached"
    off = [
        work.with_options(cache_policy=NO_CACHE),
        work.with_options(cache_policy=None),
        work.with_options(persist_result=False),
    ]
    for other in off:
        state = other(1, return_state=True)
        assert state.name == "Completed"
        assert state.why.outcome == "off"
        assert "caching is off" in str(state.why)
    with temporary_settings(tasks_disable_caching=True):
        assert work(1, return_state=True).why.code == "disabled"
    with temporary_settings(tasks_default_no_cache=True):
        assert work(1, return_state=True).why.code == "default_off"
        explicit = work.with_options(cache_policy=DEFAULT)
        assert explicit(1, return_state=True).name == "Cached"
    assert work(1, return_state=True).name == "Cached"


def test_defaults_are_inputs_too() -> None:
    def make(default: int) -> Any:
        def work(x=default):
            return x

        return task(work, cache_policy=INPUTS)

    assert make(1)() == 1
    assert make(2)() == 2
    assert make(1)(return_state=True).name == "Cached"
    assert make(1)(1, return_state=True).name == "Cached"
    assert make(1)(x=1, return_state=True).name == "Cached"


def test_inputs_alone_ignores_source_and_names_the_task() -> None:
    first = task(lambda x: x, name="a", cache_policy=INPUTS)

    def other(x):
        return x + 1

    assert first(1) == 1
    assert task(other, cache_policy=INPUTS)(1) == 2  # another task
    shared = INPUTS.configure(shared=True)
    assert task(lambda x: x, cache_policy=shared)(1) == 1
    assert task(other, cache_policy=shared)(1) == 1  # told to share


def test_source_alone_ignores_inputs() -> None:
    t = task(lambda x: x, cache_policy=TASK_SOURCE)
    assert t(1) == 1
    assert t(2) == 1


def test_exclusion() -> None:
    t = task(lambda x, log: x, cache_policy=INPUTS - "log")
    assert t(1, threading.Lock()) == 1
    assert t(1, "other", return_state=True).name == "Cached"
    assert t(2, "other", return_state=True).name == "Completed"


def test_run_id_and_flow_parameters() -> None:
    by_run = task(lambda x: x, name="r", cache_policy=INPUTS + RUN_ID)
    by_parameters = task(lambda: 1, name="p", cache_policy=FLOW_PARAMETERS)

    @flow
    def f(n):
        return [
            t(*a, return_state=True).name
            for t, a in [(by_run, (1,)), (by_run, (1,)), (by_parameters, ())]
        ]

    first, second, third = (f(n) for n in (1, 1, 2))
    assert first == ["Completed", "Cached", "Completed"]
    assert second == ["Completed", "Cached", "Cached"]
    assert third == ["Completed", "Cached", "Completed"]
    assert by_run(1, return_state=True).name == "Completed"
    assert by_run(1, return_state=True).name == "Completed"
    outside = by_parameters(return_state=True)
    assert outside.why.code == "no_key"


def test_inputs_alone_give_no_key_without_arguments() -> None:
    counter: list[int] = []

    @task(cache_policy=INPUTS)
    def alone() -> int:
        counter.append(1)
        return 1

    alone()
    assert alone(return_state=True).why.code == "no_key"
    assert len(counter) == 2
    with_source = task(lambda: 1, name="pure", cache_policy=INPUTS + TASK_SOURCE)
    with_source()
    assert with_source(return_state=True).name == "Cached"


@pytest.mark.parametrize("key", [7, "text", ("a", 1)])
def test_key_function(key: Any) -> None:
    counter = Counter()
    seen: list[Any] = []

    def make_key(context, parameters):
        seen.append((context.task.name, context.task_run.run_count, parameters))
        return key

    def work(x, y=2):
        counter.count += 1
        return x

    t = task(work, cache_key_fn=make_key)
    assert t(1) == 1
    assert t(99, return_state=True).result() == 1
    assert counter.count == 1
    assert seen[0] == ("work", 1, {"x": 1, "y": 2})
    policy = CachePolicy.from_cache_key_fn(make_key)
    assert isinstance(policy, CacheKeyFnPolicy)


def test_key_function_that_gives_none_or_raises() -> None:
    state = task(lambda: 1, cache_key_fn=lambda *_: None)(return_state=True)
    assert (state.name, state.why.code) == ("Completed", "no_key")
    t = task(lambda: 1, name="bad", cache_key_fn=lambda *_: 1 / 0)
    with pytest.warns(CellistWarning, match="ZeroDivisionError"):
        state = t(return_state=True)
    assert state.result() == 1
    assert state.why.code == "key_error"
    assert t() == 1  # said once


def test_key_function_wins_over_policy(caplog: pytest.LogCaptureFixture) -> None:
    task(lambda: 1, cache_key_fn=lambda *_: "k", cache_policy=INPUTS)
    assert "the latter wins" in caplog.text
    task(lambda: 1, persist_result=False, cache_policy=INPUTS)
    assert "turns off the `cache_policy`" in caplog.text


def test_result_storage_key() -> None:
    t = task(lambda x: x, result_storage_key="fixed-{parameters[x]}")
    assert t(1) == 1
    assert t(1, return_state=True).name == "Cached"
    assert t(2, return_state=True).name == "Completed"


@pytest.mark.parametrize("expiration", [600, timedelta(minutes=10)])
def test_expiration(expiration: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    t = task(lambda n=0: 1, cache_policy=INPUTS, cache_expiration=expiration)
    t()
    assert t(return_state=True).name == "Cached"
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 601)
    state = t(return_state=True)
    assert (state.name, state.why.code) == ("Completed", "expired")
    assert "expired" in str(state.why)


@pytest.mark.parametrize("expiration", [0, timedelta(0)])
def test_what_expires_at_once_is_never_reused(expiration: Any) -> None:
    t = task(lambda n=0: 1, cache_policy=INPUTS, cache_expiration=expiration)
    states = [t(return_state=True) for _ in range(2)]
    assert [state.name for state in states] == ["Completed"] * 2
    assert states[1].why.code == "expired"


def test_refresh(recorder: Recorder) -> None:
    counter = Counter()

    def work(n=0):
        counter.count += 1
        return counter.count

    t = task(work, cache_policy=INPUTS)
    assert t() == t() == 1
    state = t.with_options(refresh_cache=True)(return_state=True)
    assert (state.result(), state.why.code) == (2, "refreshed")
    assert t() == 2
    with temporary_settings(tasks_refresh_cache=True):
        assert t() == 3
        assert t.with_options(refresh_cache=False)() == 3
    assert t() == 3


def test_none_is_kept_only_when_the_policy_was_chosen() -> None:
    counter = Counter()

    @task
    def nothing(n=0):
        counter.count += 1

    nothing()
    state = nothing(return_state=True)
    assert counter.count == 2
    assert (state.name, state.why.code) == ("Completed", "no_result")
    assert "None" in str(state.why)
    chosen = nothing.with_options(cache_policy=INPUTS)
    chosen()
    assert chosen(return_state=True).name == "Cached"


ABOUT_THE_RUN: dict[str, Callable[[], Any]] = {
    "runtime.task_run": lambda: runtime.task_run.name,
    "runtime.flow_run": lambda: runtime.flow_run.name,
    "get_run_context": lambda: get_run_context() is not None,
    "FlowRunContext.get": lambda: FlowRunContext.get() is None,
    "TaskRunContext.get": lambda: TaskRunContext.get() is not None,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("asked", ABOUT_THE_RUN)
def test_what_holds_for_one_run_only_is_not_kept_by_default(asked: str, way: str) -> None:
    def work(x: int) -> str:
        return f"{x}: {ABOUT_THE_RUN[asked]()}"

    t = as_task(way, work, cache_policy=NOT_SET)
    states = [final_state(way, t, 1) for _ in range(2)]
    assert [state.name for state in states] == ["Completed"] * 2
    assert states[0].why.code == "run_read"
    assert "which run" in str(states[0].why)
    chosen = as_task(way, work, cache_policy=DEFAULT)
    assert [final_state(way, chosen, 1).name for _ in range(2)] == ["Completed", "Cached"]


def test_a_task_is_not_kept_if_one_inside_it_asked_about_its_run() -> None:
    @task
    def inner() -> str | None:
        return runtime.flow_run.name

    @task
    def outer() -> str | None:
        return inner()

    @flow(flow_run_name="run of {number}")
    def whole(number: int) -> str | None:
        return outer()

    assert [whole(1), whole(2)] == ["run of 1", "run of 2"]


def test_names_hooks_and_key_functions_may_ask_about_the_run() -> None:
    def name_of_run() -> str:
        return f"in-{runtime.task_run.task_name}"

    def hook(*_: object) -> None:
        assert runtime.task_run.id

    @task(task_run_name=name_of_run, on_running=[hook], on_completion=[hook])
    def work(x: int) -> int:
        return x

    assert [work(1, return_state=True).name for _ in range(2)] == ["Completed", "Cached"]


def test_failures_are_not_kept() -> None:
    counter = Counter()

    @task(cache_policy=INPUTS)
    def work(n=0):
        counter.count += 1
        if counter.count == 1:
            raise ValueError
        return "fine"

    assert work(return_state=True).is_failed()
    assert work() == "fine"
    assert work(return_state=True).name == "Cached"


def test_mutated_argument_is_named_and_the_result_not_kept() -> None:
    t = task(lambda items, n: items.append(n) or len(items), cache_policy=INPUTS)
    for _ in range(2):
        state = t([1], 2, return_state=True)
        assert (state.name, state.result()) == ("Completed", 2)
        assert state.why.code == "mutated"
        assert "argument `items` was changed in place" in str(state.why)


def test_argument_without_digest_runs_uncached_with_one_warning() -> None:
    counter = Counter()

    def work(cfg):
        counter.count += 1
        return 1

    t = task(work, cache_policy=INPUTS)
    cfg = {"db": [threading.Lock()]}
    with pytest.warns(CellistWarning, match=r"cfg\['db'\]\[0\]"):
        t(cfg)
    for _ in range(2):  # another warning would be an error
        state = t(cfg, return_state=True)
        assert state.result() == 1
        assert (state.why.outcome, state.why.code) == ("off", "unstable")
        assert "cfg['db'][0]" in str(state.why)
    assert counter.count == 3


def test_result_that_cannot_be_stored_is_returned_and_named() -> None:
    t = task(lambda n=0: threading.Lock(), name="locked", cache_policy=INPUTS)
    with pytest.warns(CellistWarning, match="`locked` is not kept"):
        state = t(return_state=True)
    assert state.name == "Completed"
    assert hasattr(state.result(), "acquire")
    assert state.why.code == "not_kept"


def test_nothing_is_digested_when_caching_is_off() -> None:
    class Angry:
        def __cellist_key__(self) -> str:
            raise AssertionError("digested")

        def __reduce__(self) -> Any:
            raise AssertionError("pickled")

    given = Angry()
    assert task(lambda x: x, cache_policy=NO_CACHE)(given) is given


def test_edited_helper_is_a_miss_with_the_reason() -> None:
    space: dict[str, Any] = {}

    def define(body: str) -> None:
        exec(compile(f"def helper(x):\n    return {body}\n", "<cell 1>", "exec"), space)

    define("x + 1")
    exec(compile("def work(x):\n    return helper(x)\n", "<cell 2>", "exec"), space)
    t = task(space["work"])
    assert t(1) == 2
    assert t(1, return_state=True).name == "Cached"
    define("x + 100")
    state = t(1, return_state=True)
    assert (state.name, state.result()) == ("Completed", 101)
    assert "helper `helper` changed" in str(state.why)
    define("x + 1")
    assert t(1, return_state=True).name == "Cached"


def test_same_code_defined_again_is_a_hit() -> None:
    def define() -> Any:
        space: dict[str, Any] = {}
        exec("def work(x):\n    return [x]\n", space)
        return task(space["work"])

    assert define()(1) == [1]
    assert define()(1, return_state=True).name == "Cached"


def test_value_is_stored_before_completed_is_announced(recorder: Recorder) -> None:
    seen: list[str] = []

    @task(cache_policy=INPUTS)
    def work(n=0):
        return 5

    def hook(t: Any, run: Any, state: Any) -> None:
        seen.append(work(return_state=True).name)

    work.with_options(on_completion=[hook])()
    assert seen == ["Cached"]


def test_concurrent_use() -> None:
    t = task(lambda x: [x] * 3, cache_policy=INPUTS)

    @flow
    def f():
        return t.map([n % 5 for n in range(100)]).result()

    assert f() == [[n % 5] * 3 for n in range(100)]
    assert f() == [[n % 5] * 3 for n in range(100)]


def test_retried_task_is_stored_once_it_works() -> None:
    counter = Counter()

    @task(retries=2, cache_policy=INPUTS)
    def work(n=0):
        counter.count += 1
        if counter.count < 3:
            raise ValueError
        return counter.count

    assert outcome("submit", work) == 3
    assert work() == 3
    assert counter.count == 3


def test_broken_store_is_a_miss(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no disk")

    for name in ("get", "seal", "headers"):
        monkeypatch.setattr(recorder.session.store, name, broken)
    t = task(lambda n=0: 1, name="work", cache_policy=INPUTS)
    with pytest.warns(CellistWarning, match="no disk"):
        assert t() == 1
    assert t() == 1


def test_a_global_edited_during_the_run_keeps_its_result_out(recorder: Recorder) -> None:
    namespace: dict[str, Any] = {"FACTOR": 1, "started": threading.Event(), "go": threading.Event()}
    code = "def scaled(x):\n    started.set()\n    go.wait(60)\n    return x * FACTOR\n"
    exec(code, namespace)
    scaled: Any = task(namespace["scaled"], name="scaled")
    future = scaled.submit(10)
    namespace["started"].wait(60)
    namespace["FACTOR"] = 2
    namespace["go"].set()
    assert future.result() == 20
    assert future.state.why.code == "mutated"
    namespace["FACTOR"] = 1
    assert scaled(10) == 10


def test_tasks_of_one_name_are_told_apart_without_source() -> None:
    assert task(lambda x: x * 2, cache_policy=INPUTS)(3) == 6
    assert task(lambda x: x * 100, cache_policy=INPUTS)(3) == 300

    def scale(factor: int, x: int) -> int:
        return factor * x

    assert task(functools.partial(scale, 2), cache_policy=INPUTS)(5) == 10
    assert task(functools.partial(scale, 3), cache_policy=INPUTS)(5) == 15


def made(held: Any) -> Any:
    @task(cache_policy=INPUTS)
    def work(n: int) -> list[str]:
        return [f"{n} {held}"[:4]]

    return work


def helper() -> int:
    return 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2),
        ([1], [2]),
        (lambda: 1, lambda: 2),
        (functools.partial(int, "1"), functools.partial(int, "2")),
        (int, str),
        (helper, made),
        (made(1), made(2)),
    ],
    ids=["number", "list", "lambda", "partial", "class", "function", "task"],
)
def test_what_functions_of_one_factory_hold_tells_them_apart(one: Any, other: Any) -> None:
    found = [made(held)(1, return_state=True).name for held in (one, other, one, other)]
    assert found == ["Completed", "Completed", "Cached", "Cached"]


def test_what_has_no_digest_counts_by_type_and_what_calls_itself_ends() -> None:
    @task(cache_policy=INPUTS)
    def down(n: int) -> int:
        with lock:
            pass
        return down.fn(n - 1) if n else 0

    lock = threading.Lock()
    assert [down(2, return_state=True).name for _ in range(2)] == ["Completed", "Cached"]


def test_a_default_without_a_digest_is_noted_as_not_tracked() -> None:
    lock = threading.Lock()

    @task(cache_policy=TASK_SOURCE, cache_expiration=3600)
    def work(n: Any = lock) -> str:
        return type(n).__name__

    whys = [work(return_state=True).why for _ in range(2)]
    assert [why.outcome for why in whys] == ["miss", "hit"]
    assert all(why.notes == ("not tracked: default of `n`",) for why in whys)


def test_what_a_function_notes_later_makes_no_other_task_of_it() -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS)
    def work(n: int) -> int:
        calls.append(n)
        return n

    assert [work(n) for n in (1, 2, 1, 2)] == [1, 2, 1, 2]
    assert calls == [1, 2]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (TASK_SOURCE, "Completed"),
        (TASK_SOURCE + FLOW_PARAMETERS, "Completed"),
        (INPUTS - "n" + TASK_SOURCE, "Cached"),
    ],
)
def test_source_without_inputs_counts_the_defaults(policy: CachePolicy, expected: str) -> None:
    def define(default: Any) -> Any:
        def work(n: Any = 0) -> Any:
            return [n]

        work.__defaults__ = (default,)
        return task(work, cache_policy=policy)

    assert define(1)(return_state=True).name == "Completed"
    assert define(1)(return_state=True).name == "Cached"
    state = define(2)(return_state=True)
    assert state.name == expected
    if expected == "Completed":
        assert state.why.sentence == "ran: default of `n`: 1 → 2"


@pytest.mark.parametrize("policy", [INPUTS, DEFAULT], ids=["inputs", "default"])
def test_what_a_partial_has_bound_and_its_run_changed_keeps_the_result_out(
    policy: CachePolicy,
) -> None:
    def gather(bound: list[int], x: int) -> int:
        bound.append(x)
        return len(bound)

    bound = [1]
    state = task(functools.partial(gather, bound), cache_policy=policy)(5, return_state=True)
    assert bound == [1, 5]
    assert state.why.code == "mutated"
    bound[:] = [1]
    assert task(functools.partial(gather, bound), cache_policy=policy)(5) == 2
    assert bound == [1, 5]


def test_tasks_of_one_flow_run_do_not_share_by_run_id() -> None:
    one = task(lambda: 1, name="one", cache_policy=RUN_ID)
    two = task(lambda: 2, name="two", cache_policy=RUN_ID)

    @flow
    def both() -> list[int]:
        return [one(), two(), one(), two()]

    assert both() == [1, 2, 1, 2]


def test_what_was_salvaged_from_an_alarm_is_not_a_result() -> None:
    @task(cache_policy=INPUTS, timeout_seconds=0.1)
    def stubborn(n: int) -> int:
        try:
            time.sleep(5)
        except BaseException:
            return -1
        return n

    state = stubborn(1, return_state=True)
    assert state.name == "TimedOut"
    assert stubborn(1, return_state=True).name == "TimedOut"


def test_a_clear_reaches_other_kernels(tmp_path: Path) -> None:
    ours, theirs = ResultStore(tmp_path / "r"), ResultStore(tmp_path / "r")
    ours.put("k", 1, {"task": "t", "task_key": "t"}, durable=True)
    assert isinstance(ours.get("k"), Found)
    assert theirs.clear() == 1
    time.sleep(0.15)
    assert not isinstance(ours.get("k"), Found)
    ours.close()
    theirs.close()


def test_one_warning_for_each_argument_of_a_task() -> None:
    t = task(lambda items, other=None: len(items), name="t", cache_policy=INPUTS)
    lock = threading.Lock()
    calls = [([lock],), ([1, lock],), ([], lock), ([lock],)]  # other paths, the same arguments
    with pytest.warns(CellistWarning) as caught:
        assert [t(*arguments) for arguments in calls] == [1, 2, 0, 1]
    assert len(caught) == 2
    assert "items[0]" in str(caught[0].message)
    assert "other" in str(caught[1].message)
    assert not any("Traceback" in str(one.message) for one in caught)


def test_refresh_never_reads_and_always_overwrites(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = task(lambda n: [n, time.monotonic_ns()], name="t", cache_policy=INPUTS)
    first = t(1)
    read: list[str] = []
    get = recorder.session.store.get
    monkeypatch.setattr(
        recorder.session.store,
        "get",
        lambda key, **options: read.append(key) or get(key, **options),
    )
    second = t.with_options(refresh_cache=True)(1)
    assert (read, second == first) == ([], False)
    assert t(1) == second
    assert len(read) == 1


def test_expiry_is_stamped_when_the_result_is_made() -> None:
    t = task(lambda n: n, name="t", cache_policy=INPUTS, cache_expiration=1000)
    t(1)
    later = t.with_options(cache_expiration=0.0001)
    assert later(1, return_state=True).name == "Cached"  # the stamp of the first counts
    shared = later.with_options(refresh_cache=True)
    shared(1)
    time.sleep(0.001)
    assert t(1, return_state=True).why.code == "expired"  # and that of the last one


def test_seed_demo_of_cache_keys() -> None:
    calls: list[int] = []

    def total(context: Any, parameters: dict[str, Any]) -> int:
        return sum(parameters["numbers"])

    def work(numbers: list[int]) -> int:
        calls.append(1)
        return sum(numbers)

    t = task(work, cache_key_fn=total, cache_expiration=timedelta(minutes=1))
    assert [t([2, 2]), t([1, 3]), t([2, 3])] == [4, 4, 5]
    assert len(calls) == 2


PROGRAM = """
import sys
from cellist import task
from cellist.tasks import task_input_hash
exec(compile(sys.argv[1], sys.argv[2], "exec"))
t = task(f, cache_key_fn=task_input_hash)
print(t(3, return_state=True).name)
"""


def test_task_input_hash_is_the_same_in_every_cell_and_kernel(own_home: Path) -> None:
    def run(code: str, filename: str) -> str:
        command = [sys.executable, "-c", PROGRAM, code, filename]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    code = "def f(n):\n    return n + 1\n"
    assert run(code, "<ipython-input-1>") == "Completed"
    assert run("# moved\n\n\n" + code, "<ipython-input-7>") == "Cached"
    assert run(code.replace("+ 1", "+ 2"), "<ipython-input-1>") == "Completed"


def test_one_task_called_first_by_many_threads() -> None:
    """Python 3.11 cannot parse in two threads at once."""
    for round_number in range(5):
        space: dict[str, Any] = {}
        exec(f"def work(n):\n    return n + {round_number}\n", space)
        t = task(space["work"])
        begin = threading.Barrier(8)
        codes: list[str] = []

        def call(t: Any = t, begin: Any = begin, codes: list[str] = codes) -> None:
            begin.wait()
            codes.append(t(1, return_state=True).why.outcome)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == ["hit"] * 7 + ["miss"]


@pytest.mark.parametrize("policy", [DEFAULT, INPUTS])
def test_a_new_version_makes_old_results_invalid(policy: Any) -> None:
    def work(x: int) -> int:
        return x

    def state(version: str | None) -> State:
        return task(work, cache_policy=policy, version=version)(1, return_state=True)

    assert [state("1").name, state("1").name] == ["Completed", "Cached"]
    changed = state("2")
    assert changed.name == "Completed"
    assert "its version" in str(changed.why)
    assert [state("1").name, state(None).name] == ["Cached", "Completed"]
