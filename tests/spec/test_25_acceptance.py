"""SPEC 25: the acceptance checks that are no table of another section (1, 12, 14)."""

import gc
import threading
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.task_runners import SequentialTaskRunner
from cellist.tasks import task_input_hash
from tests.kernels import kernel


class TestThirdDocument:
    """Check 1: the tutorial of flow and task configuration, its import line changed."""

    def test_cached_task(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @task(cache_key_fn=task_input_hash, cache_expiration=timedelta(minutes=5))
        def hello_task(name_input: str) -> str:
            print(f"Hello {name_input}!")
            return f"Hello {name_input}!"

        @flow
        def hello_flow(name_input: str) -> Any:
            return hello_task(name_input)

        def printed(name: str) -> bool:
            assert hello_flow(name) == f"Hello {name}!"
            return f"Hello {name}!" in capsys.readouterr().out

        assert printed("Marvin")
        assert not printed("Marvin")
        assert printed("Arthur")
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + 301)
        assert printed("Marvin")

    def test_retries_of_flow_and_task(self) -> None:
        attempts: list[str] = []

        @task(retries=2, retry_delay_seconds=0, cache_policy=NO_CACHE)
        def failure() -> Any:
            attempts.append("task")
            if len(attempts) < 3:
                raise ValueError("not yet")
            return "at last"

        @flow(retries=3)
        def test_retries() -> Any:
            return failure()

        assert test_retries() == "at last"
        assert test_retries(return_state=True).is_completed()

    @pytest.mark.parametrize("runner", [SequentialTaskRunner, SequentialTaskRunner()])
    def test_sequential(self, runner: Any, capsys: pytest.CaptureFixture[str]) -> None:
        @task
        def first_task(num: int) -> int:
            return num + num

        @task(cache_policy=NO_CACHE)
        def second_task(num: int) -> int:
            print(num * num)
            return num * num

        @flow(name="My Example Flow", task_runner=runner)
        def my_flow(num: int) -> Any:
            plusnum: Any = first_task.submit(num)
            sumnum = second_task.submit(plusnum)
            return plusnum.result(), sumnum.result()

        assert my_flow(5) == (10, 100)
        assert capsys.readouterr().out == "100\n"


class TestSize:
    """Check 12."""

    def test_a_list_of_a_million_adds_little(self) -> None:
        big = list(range(1_000_000))

        @task(cache_policy=NO_CACHE)
        def t(x: Any) -> int:
            return len(x)

        @flow
        def f(x: Any = None) -> float:
            t([1])
            began = time.perf_counter()
            t(big)
            return time.perf_counter() - began

        assert min(f() for _ in range(3)) < 0.05

    def test_two_hundred_in_a_row(self) -> None:
        @task(cache_policy=NO_CACHE)
        def step(x: Any) -> Any:
            return x + 1, threading.get_ident()

        @task(cache_policy=NO_CACHE)
        def first(pair: Any) -> Any:
            return pair[0]

        @flow
        def f() -> Any:
            x: Any = 0
            threads = []
            for _ in range(100):
                pair = step.submit(x)
                threads.append(pair)
                x = first.submit(pair)
            return x.result(), len({pair.result()[1] for pair in threads})

        value, threads = f()
        assert value == 100
        assert threads <= 4

    @pytest.mark.slow
    def test_ten_thousand_tasks(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> int:
            return i

        @flow
        def f() -> int:
            return sum(future.result() for future in [t.submit(i) for i in range(10_000)])

        began = time.process_time()
        assert f() == sum(range(10_000))
        assert time.process_time() - began < 5

    @pytest.mark.slow
    def test_memory_of_runs_is_bounded(self) -> None:
        @task(cache_policy=NO_CACHE)
        def t(i: int) -> bytes:
            return b"x" * 100_000

        @flow
        def f(n: int) -> None:
            for i in range(n):
                t(i)

        f(10)
        gc.collect()
        tracemalloc.start()
        f(500)
        gc.collect()
        used, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used < 10_000_000, "the results of runs that are over are kept"
        assert peak < 20_000_000


SYNC_FLOW = """
import time
from pathlib import Path
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
@task(cache_policy=NO_CACHE)
def step(i):
    time.sleep(0.1)
    return i
@flow
def f():
    step(0)
    futures = [step.submit(i) for i in range(1, 4)]
    [future.result() for future in futures]
    step(4)
    while not Path("heard").exists():
        time.sleep(0.01)
f()
"""


@pytest.mark.kernel
@pytest.mark.slow
def test_the_board_moves_while_a_sync_flow_runs(tmp_path: Path) -> None:
    """Check 14: from a kernel whose loop is blocked the front end still hears of every step."""
    env = {"CELLIST_HOME": str(tmp_path / "home"), "CELLIST_UI": "widget"}
    with kernel(env, cwd=str(tmp_path)) as k:
        k.run("%load_ext cellist")
        sent = k.client.execute(SYNC_FLOW)
        wanted = {"comm_msg", "update_display_data"}
        while True:
            message = k.client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != sent and kind != "comm_msg":
                continue
            assert kind != "error", content
            if kind == "status" and content["execution_state"] == "idle":
                break
            # Only the last of the steps is told of by that: the flow waits for it.
            if kind != "comm_msg" or "completed" in str(content):
                wanted.discard(kind)
            if not wanted:
                (tmp_path / "heard").touch()
    assert not wanted
