"""SPEC 22: one test for each row of the register of quirks that is not another file's table.

Q1-Q5, Q9-Q17, Q19-Q24, Q26, Q28-Q31 and Q33-Q40 also appear in the tables of their sections; here
each row that is in scope is stated once in its shortest form, so that the register can be read off.
"""

import asyncio
import builtins
import functools
import textwrap
import threading
import time
from typing import Any

import pytest

import cellist
from cellist import flow, quote, task
from cellist.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from cellist.exceptions import ParameterBindError, UpstreamTaskError
from cellist.futures import as_completed, wait
from tests.sessions import names
from tests.spec.observe import Calls, trail


@task(cache_policy=NO_CACHE)
def fail() -> Any:
    raise ValueError("boom")


@task(cache_policy=NO_CACHE)
def give(x: Any = 1) -> Any:
    return x


def test_q1_a_direct_call_with_a_failed_upstream_raises() -> None:
    @flow
    def f() -> Any:
        with pytest.raises(UpstreamTaskError):
            give(fail.submit())
        return 1

    assert f() == 1


def test_q2_a_flow_that_returns_futures_gives_values_or_raises() -> None:
    assert flow(lambda: give.map([1, 2]), name="f")() == [1, 2]
    with pytest.raises(ValueError, match="boom"):
        flow(lambda: [give.submit(), fail.submit()], name="f")()


def test_q3_mixed_and_nested_containers_count() -> None:
    for make in (lambda: [fail.submit(), 3], lambda: {"a": [[fail.submit()]]}):
        assert flow(make, name="f")(return_state=True).is_failed()


def test_q4_a_returned_failure_is_retried() -> None:
    calls = Calls()

    @flow(retries=2)
    def f() -> Any:
        return give.submit(7) if calls() == 3 else fail.submit()

    assert f() == 7


def test_q5_submissions_are_waited_for() -> None:
    done = Calls()

    @task(cache_policy=NO_CACHE)
    def slow() -> None:
        time.sleep(0.05)
        done()

    @flow
    def f() -> None:
        slow.submit()

    f()
    assert len(done) == 1


def test_q6_input_keys_know_their_task() -> None:
    one = task(lambda x: "one", name="one", cache_policy=INPUTS)
    two = task(lambda x: "two", name="two", cache_policy=INPUTS)
    assert (one(1), two(1)) == ("one", "two")


def test_q7_int_keys() -> None:
    t = task(lambda x: x, cache_key_fn=lambda *_: 4)
    assert (t(1), t(2)) == (1, 1)


def test_q8_nothing_is_hashed_without_caching() -> None:
    class NoDigest:
        def __reduce_ex__(self, _: Any) -> Any:
            raise AssertionError("it was pickled")

    assert task(lambda x: 3, cache_policy=NO_CACHE)(NoDigest()) == 3


def test_q9_sets_have_one_digest() -> None:
    calls = Calls()
    t = task(lambda x: calls(), cache_policy=INPUTS)
    assert t({"a", "b", "c"}) == t({"c", "a", "b"}) == 1


def test_q10_hits_share_no_object() -> None:
    t = task(lambda: [1], cache_policy=TASK_SOURCE)
    t().append(2)
    t().append(3)
    assert t() == [1]


def test_q11_keys_know_no_place() -> None:
    from cellist.tasks import task_input_hash

    source = "@task(cache_key_fn=task_input_hash)\ndef f(x):\n    return x\n"
    made: list[Any] = []
    for name, text in (("<one>", source), ("<two>", "\n\n" + source)):
        namespace: dict[str, Any] = {"task": task, "task_input_hash": task_input_hash}
        exec(compile(text, name, "exec"), namespace)
        made.append(namespace["f"])
    assert made[0].task_key == made[1].task_key
    made[0](1)
    assert made[1](1, return_state=True).name == "Cached"


def test_q12_bindings_are_not_shared() -> None:
    class K:
        def __init__(self, name: str) -> None:
            self.name = name

        @task(cache_policy=NO_CACHE)
        def m(self) -> str:
            return self.name

    one, two = K("one").m, K("two").m
    assert (one(), two()) == ("one", "two")


def test_q13_static_methods_and_falsy_instances() -> None:
    class K:
        def __len__(self) -> int:
            return 0

        @task(cache_policy=NO_CACHE)
        @staticmethod
        def s(x: int) -> int:
            return x

        @task(cache_policy=NO_CACHE)
        def m(self) -> int:
            return len(self)

    assert (K().s(1), K.s(2), K().m()) == (1, 2, 0)


def test_q14_conditions_of_any_kind() -> None:
    calls = Calls()

    def work() -> None:
        calls()
        raise ValueError

    class Yes:
        def __call__(self, *_: Any) -> bool:
            return True

    for condition in (Yes(), functools.partial(lambda yes, *_: yes, True)):
        task(work, retries=1, retry_condition_fn=condition, cache_policy=NO_CACHE)(
            return_state=True
        )
    assert len(calls) == 4


def test_q16_a_bad_run_name_fails_the_run() -> None:
    t = task(lambda: 1, task_run_name="{nope}", cache_policy=NO_CACHE)
    assert trail(t(return_state=True)) == ["Pending", "Failed"]
    with pytest.raises(KeyError):
        t()


def test_q17_generators(checked: Any) -> None:
    @task
    def numbers() -> Any:
        yield from range(3)

    for _ in numbers():
        break
    assert names(checked.one("numbers")) == ["Pending", "Running", "Completed"]
    assert task(lambda: (i for i in range(3)), cache_policy=NO_CACHE)() == [0, 1, 2]
    assert flow(lambda: (i for i in range(3)), name="f")() == [0, 1, 2]

    @task
    async def later() -> Any:
        yield 1

    assert later.submit().result() == [1]


def test_q19_a_cached_state_can_be_read() -> None:
    t = task(lambda x: [x], cache_policy=INPUTS)
    t(1)
    assert t(1, return_state=True).result() == [1]


def test_q20_callbacks_see_the_final_state() -> None:
    seen: list[Any] = []
    told = threading.Event()
    future = give.submit()
    future.add_done_callback(lambda f: (seen.append(f.state.name), told.set()))
    assert told.wait(60)
    assert seen == ["Completed"]


def test_q21_wait_does_not_raise_and_the_state_is_crashed() -> None:
    @task(cache_policy=NO_CACHE)
    def t() -> None:
        raise SystemExit

    future = t.submit()
    future.wait(timeout=60)
    assert future.state.is_crashed()


async def test_q22_cancelled_by_the_user_is_cancelled(checked: Any) -> None:
    began = asyncio.Event()

    @task(cache_policy=NO_CACHE)
    async def t() -> None:
        began.set()
        await asyncio.sleep(60)

    pending = asyncio.ensure_future(t(return_state=True))
    await began.wait()
    cellist.cancel(checked.one("t").id)
    with pytest.raises(BaseException):  # noqa: B017 - only the state is tested
        (await pending).result()
    assert names(checked.one("t"))[-1] == "Cancelled"


def test_q23_the_waiter_is_free_at_the_deadline() -> None:
    release = threading.Event()

    @task(timeout_seconds=0.05, cache_policy=NO_CACHE)
    def t() -> None:
        release.wait(60)

    began = time.monotonic()
    future = t.submit()
    future.wait()
    assert time.monotonic() - began < 30
    assert future.state.name == "TimedOut"
    release.set()


async def test_q24_submitted_async_tasks_share_the_loop() -> None:
    here = asyncio.get_running_loop()

    @task(cache_policy=NO_CACHE)
    async def t() -> bool:
        return asyncio.get_running_loop() is here

    assert await t.submit()


def test_q28_small_values_link_nothing(checked: Any) -> None:
    @flow
    def f() -> None:
        give(7)
        give.with_options(name="use")(7)

    f()
    assert not checked.one("use").task_inputs.get("x")


def test_q29_print_is_never_exchanged_for_good() -> None:
    before = builtins.print
    seen: list[Any] = []

    @task(log_prints=True, cache_policy=NO_CACHE)
    def t() -> None:
        print("x")
        seen.append(True)

    t()
    assert builtins.print is before
    assert seen == [True]


async def test_q30_values_are_values_in_a_running_loop() -> None:
    assert give(3, return_state=True).result() == 3
    assert give.submit(3).result() == 3
    assert flow(lambda: 4, name="f")(return_state=True).result() == 4


def test_q31_decorators_and_comments_do_not_count_helpers_do() -> None:
    def state_of(source: str) -> str:
        namespace: dict[str, Any] = {"task": task, "TASK_SOURCE": TASK_SOURCE}
        exec(textwrap.dedent(source), namespace)
        return namespace["f"](return_state=True).name

    base = "def g():\n    return 1\n@task(cache_policy=TASK_SOURCE)\ndef f():\n    return g()\n"
    assert state_of(base) == "Completed"
    assert state_of(base.replace("SOURCE)", "SOURCE, retries=3)")) == "Cached"
    assert state_of(base.replace("return g()", "return g()  # why")) == "Cached"
    assert state_of(base.replace("return 1", "return 2")) == "Completed"


def test_q32_caching_is_on() -> None:
    t = task(lambda x: x + 1)
    assert [t(1, return_state=True).name for _ in range(2)] == ["Completed", "Cached"]


def test_q33_settings_count_when_the_task_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    t = task(lambda x: calls(), cache_policy=INPUTS)
    t(1)
    monkeypatch.setenv("CELLIST_TASKS_DISABLE_CACHING", "true")
    assert t(1) == 2
    monkeypatch.delenv("CELLIST_TASKS_DISABLE_CACHING")
    assert t(1) == 1


def test_q34_a_swallowed_failure_fails_nothing() -> None:
    @flow
    def f() -> None:
        fail(return_state=True)
        fail.submit()

    assert f(return_state=True).is_completed()


def test_q35_the_end_of_a_hit_is_cached() -> None:
    t = task(lambda x: x, cache_policy=INPUTS)
    t(1)
    assert trail(t(1, return_state=True))[-1] == "Cached"


def test_q36_not_ready_is_pending_and_settled() -> None:
    @flow
    def f() -> Any:
        future = give.submit(fail.submit())
        assert wait([future], timeout=60).not_done == set()
        assert list(as_completed([future], timeout=60)) == [future]
        return quote([future.state])

    got: Any = f()
    (state,) = got.unwrap() if isinstance(got, quote) else got
    assert (state.name, state.type.name, state.is_final()) == ("NotReady", "PENDING", False)


def test_q37_flows_coerce_and_tasks_do_not() -> None:
    def work(x: int) -> Any:
        return x

    text: Any = "5"
    assert flow(work)(text) == 5
    assert task(work)(text) == "5"


def test_q38_bind_errors_make_no_run(checked: Any) -> None:
    for call in (give, give.submit, flow(give.fn, name="f")):
        bad: Any = call
        with pytest.raises(ParameterBindError):
            bad(1, 2, 3)
    assert checked.runs == []


def test_q39_direct_calls_stay_in_their_thread() -> None:
    t = task(threading.get_ident, cache_policy=NO_CACHE)
    assert t() == threading.get_ident()


def test_q40_options_can_be_cleared() -> None:
    assert task(tags=["a"])(give.fn).with_options(tags=[]).tags == set()
