"""`TaskWorker`, `serve`, and the status page."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from unittest.mock import AsyncMock, patch

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import DEFAULT, INPUTS, NO_CACHE
from cellist.exceptions import CrashedRun, ObjectNotFound, QueueError
from cellist.settings import temporary_settings
from cellist.task_worker import (
    BackgroundWorker,
    StopTaskWorker,
    TaskWorker,
    aserve,
    create_status_server,
    serve,
    should_try_to_read_parameters,
)
from cellist.worker.queue import Queue
from tests.worker.waits import auntil


@task(cache_policy=NO_CACHE)
def double(x):
    return 2 * x


@task(cache_policy=NO_CACHE)
async def triple(x):
    return 3 * x


@task(cache_policy=NO_CACHE)
def nothing():
    return None


class Gate:
    """Code that waits here, and tells how many do."""

    def __init__(self):
        self.open = threading.Event()
        self.inside = threading.Semaphore(0)
        self.most = 0
        self.count = 0
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            self.count += 1
            self.most = max(self.most, self.count)
        self.inside.release()
        self.open.wait(30)
        with self.lock:
            self.count -= 1

    def __reduce__(self):
        return "nothing"


class TestMade:
    def test_only_inside_an_event_loop(self):
        with pytest.raises(RuntimeError, match="must be initialized within an async context"):
            TaskWorker(double)

    async def test_what_is_no_task_is_ignored(self):
        worker = TaskWorker(double, "no task", flow(double.fn), triple)
        assert worker.task_keys == {double.task_key, triple.task_key}

    @pytest.mark.parametrize("policy", [None, NO_CACHE, INPUTS])
    async def test_tasks_are_persisted(self, policy):
        (served,) = TaskWorker(double.with_options(cache_policy=policy)).tasks
        assert served.persist_result is True
        assert served.cache_policy == (INPUTS if policy is INPUTS else DEFAULT)

    async def test_before_it_starts(self):
        worker = TaskWorker(double)
        assert worker.client_id == f"{socket.gethostname()}-{os.getpid()}"
        assert (worker.started, worker.started_at, worker.stopping) == (False, None, False)
        assert (worker.limit, worker.current_tasks, worker.available_tasks) == (10, 0, 10)
        assert (worker.in_flight_task_runs, worker.finished_task_runs) == ({}, {})

    async def test_without_a_limit(self):
        worker = TaskWorker(double, limit=None)
        assert (worker.limit, worker.current_tasks, worker.available_tasks) == (None, 0, None)

    @pytest.mark.parametrize(("one", "expected"), [(double, True), (nothing, False)])
    def test_should_try_to_read_parameters(self, one, expected):
        assert should_try_to_read_parameters(one, double.delay(1).run) is expected


class TestExecute:
    @pytest.mark.parametrize("one", [double, triple], ids=["sync", "async"])
    async def test_carries_out_one_run(self, one):
        worker = TaskWorker(one)
        future = one.delay(2)
        await worker.execute_task_run(future.run)
        assert future.state.is_completed()
        assert await future.state.result() == one.fn(2) if one is double else 6
        assert worker.finished_task_runs[one.task_key] == 1
        assert not worker.started

    async def test_takes_an_id_a_future_and_a_record(self):
        for form in (lambda f: f, lambda f: f.task_run_id, lambda f: str(f.task_run_id)):
            future = double.delay(2)
            await TaskWorker(double).execute_task_run(form(future))
            assert await future.result_async(timeout=60) == 4
        future = double.delay(3)
        await TaskWorker(double).execute_task_run(cellist.run(future.task_run_id))
        assert future.result(timeout=60) == 6

    async def test_of_an_unknown_task_stays_queued(self, caplog, queue):
        future = triple.delay(1)
        await TaskWorker(double).execute_task_run(future)
        assert "not found in task worker registry" in caplog.text
        assert queue.counts()["queued"] == 1

    async def test_of_an_unknown_run(self):
        with pytest.raises(ObjectNotFound):
            await TaskWorker(double).execute_task_run("00000000-0000-0000-0000-000000000005")

    async def test_inside_the_context(self):
        async with TaskWorker(double) as worker:
            assert worker.started
            assert worker.started_at is not None
            future = double.delay(1)
            await worker.execute_task_run(future)
            assert future.state.is_completed()
            assert worker.started
        assert not worker.started

    async def test_retries_and_hooks_are_the_tasks_own(self):
        seen = []

        def note(owner, run, state):
            seen.append(state.name)

        @task(retries=1, cache_policy=NO_CACHE, on_completion=[note], tags=["a"])
        def second_time():
            if not seen:
                seen.append("tried")
                raise ValueError
            return 1

        future = second_time.delay()
        await TaskWorker(second_time).execute_task_run(future)
        assert future.result(timeout=60) == 1
        assert seen == ["tried", "Completed"]
        assert cellist.run(future.task_run_id).tags == ["a"]

    async def test_a_result_is_reused_by_the_tasks_own_policy(self):
        @task
        def once(x):
            return [x]

        worker = TaskWorker(once)
        first, second = once.delay(1), once.delay(1)
        for future in (first, second):
            await worker.execute_task_run(future)
        assert (first.state.name, second.state.name) == ("Completed", "Cached")
        assert second.result(timeout=60) == [1]

    async def test_a_task_that_is_not_cached_runs_each_time(self):
        worker = TaskWorker(double)
        for _ in range(2):
            future = double.delay(1)
            await worker.execute_task_run(future)
            assert future.state.name == "Completed"

    async def test_nested_runs_belong_to_it(self):
        @task(cache_policy=NO_CACHE)
        def outer(x):
            return double(x)

        future = outer.delay(2)
        await TaskWorker(outer).execute_task_run(future)
        assert future.result(timeout=60) == 4
        inner = cellist.run("double")
        assert inner.parent == future.task_run_id.hex


class TestTaking:
    def test_at_most_so_many_at_a_time(self):
        gate = Gate()

        @task(cache_policy=NO_CACHE)
        def wait():
            gate()

        with BackgroundWorker(wait, limit=2) as served:
            futures = [wait.delay() for _ in range(5)]
            assert gate.inside.acquire(timeout=60)
            assert gate.inside.acquire(timeout=60)
            worker = served.worker
            assert worker is not None
            assert (worker.current_tasks, worker.available_tasks) == (2, 0)
            assert len(worker.in_flight_task_runs[wait.task_key]) == 2
            gate.open.set()
            for future in futures:
                future.result(timeout=30)
            assert worker.finished_task_runs[wait.task_key] == 5
        assert gate.most == 2

    def test_the_oldest_of_a_task_first(self):
        seen = []

        @task(cache_policy=NO_CACHE)
        def note(x):
            seen.append(x)

        futures = [note.delay(x) for x in range(30)]
        with BackgroundWorker(note, limit=1):
            futures[-1].result(timeout=30)
        assert seen == list(range(30))

    def test_unknown_tasks_stay_queued(self, queue):
        other = triple.delay(1)
        with BackgroundWorker(double):
            double.delay(1).result(timeout=30)
        assert not other.done()
        assert queue.counts()["queued"] == 1

    def test_a_run_that_waits_for_another_takes_no_place(self):
        """With one place, a run that is queued before what it needs must not keep it."""

        @task(cache_policy=NO_CACHE)
        def last(x):
            return x + 1

        first = double.delay(1)
        second = last.delay(first)
        with BackgroundWorker(last, double, limit=1):
            assert second.result(timeout=30) == 3

    def test_without_a_limit(self):
        with BackgroundWorker(double, limit=None):
            assert double.map(range(50), deferred=True).result(timeout=30)[-1] == 98

    def test_what_was_not_signed_by_this_user_is_not_read(self, queue, caplog):
        class Trap:
            def __reduce__(self):
                return os.mkdir, ("trapped",)

        import cloudpickle

        future = double.delay(1)
        job = queue.find(future.task_run_id.hex)
        queue.put_payload(job.parameters, b"x" * 32 + cloudpickle.dumps(Trap()))
        said = pytest.raises(CrashedRun, match="was not signed by this user")
        with BackgroundWorker(double), said:
            future.result(timeout=30)
        assert not Path("trapped").exists()
        assert "Failed to read parameters for task run" in caplog.text
        assert queue.counts()["dead"] == 1
        assert cellist.run(future.task_run_id).state == "Crashed"

    @pytest.mark.parametrize("what", ["payload", "cancels", "exchange"])
    def test_a_queue_that_cannot_be_used_for_a_moment_loses_no_run(self, what, queue, monkeypatch):
        real, left = getattr(Queue, what), [3]

        def fails_at_first(self, *args, **more):
            if left[0] and threading.current_thread().name == "cellist-desk":
                left[0] -= 1
                raise QueueError("It is locked.")
            return real(self, *args, **more)

        monkeypatch.setattr(Queue, what, fails_at_first)
        with BackgroundWorker(double, limit=2):
            futures = double.map(range(5), deferred=True)
            assert futures.result(timeout=30) == [0, 2, 4, 6, 8]
        assert left == [0]
        assert queue.counts()["done"] == 5

    def test_a_run_that_cannot_be_read_now_keeps_no_other_from_ending(self, queue, monkeypatch):
        gate, real, is_locked = Gate(), Queue.payload, threading.Event()

        @task(cache_policy=NO_CACHE)
        def wait():
            gate()

        with BackgroundWorker(wait, double, limit=2):
            first = wait.delay()
            assert gate.inside.acquire(timeout=60)

            def locked(self, identifier):
                is_locked.set()
                raise QueueError("It is locked.")

            monkeypatch.setattr(Queue, "payload", locked)
            second = double.delay(1)
            assert is_locked.wait(30)
            gate.open.set()
            first.result(timeout=30)
            monkeypatch.setattr(Queue, "payload", real)
            assert second.result(timeout=30) == 2

    def test_what_cannot_be_read_is_left_to_others_if_so_set(self, queue):
        future = double.delay(1)
        job = queue.find(future.task_run_id.hex)
        queue.put_payload(job.parameters, b"nothing")
        kept = {"PREFECT_TASKS_SCHEDULING_DELETE_FAILED_SUBMISSIONS": False}
        with temporary_settings(kept), BackgroundWorker(double):
            double.delay(2).result(timeout=30)
        assert queue.counts()["queued"] == 1


class TestStopping:
    async def test_before_the_start_is_an_error(self):
        with pytest.raises(RuntimeError, match="Task worker has not started"):
            await TaskWorker(double).stop()

    async def test_raises_and_says_so(self):
        async with TaskWorker(double) as worker:
            with pytest.raises(StopTaskWorker):
                await worker.stop()
            assert worker.stopping
            assert not worker.started

    async def test_start_returns_once_it_is_stopped(self):
        worker = TaskWorker(double)
        serving = asyncio.create_task(worker.start())
        await auntil(lambda: worker.started)
        with pytest.raises(StopTaskWorker):
            await worker.astop()
        await asyncio.wait_for(serving, 10)

    async def test_after_a_time(self, caplog):
        began = time.monotonic()
        await aserve(double, timeout=0.05)
        assert time.monotonic() - began < 10
        assert "stopped after 0.05 seconds" in caplog.text

    def test_serve_blocks_where_no_loop_runs(self):
        future = double.delay(4)
        assert serve(double, timeout=0.3) is None
        assert future.done()

    async def test_serve_gives_a_coroutine_where_one_runs(self):
        future = triple.delay(4)
        await serve(triple, timeout=0.3)
        assert future.done()

    def test_a_task_serves_itself(self):
        future = double.delay(4)
        double.serve(timeout=0.3)
        assert future.done()

    async def test_cancelled_while_it_serves(self):
        serving = asyncio.create_task(aserve(double))
        await asyncio.sleep(0.05)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    async def test_what_goes_on_ends_first(self):
        gate = Gate()

        @task(cache_policy=NO_CACHE)
        def wait():
            gate()
            return 1

        worker = TaskWorker(wait)
        serving = asyncio.create_task(worker.astart())
        going = wait.delay()
        await auntil(lambda: gate.inside.acquire(blocking=False))
        worker.halt()
        waiting = wait.delay()
        gate.open.set()
        await asyncio.wait_for(serving, 20)
        assert going.result(timeout=60) == 1
        assert not waiting.done()

    async def test_what_does_not_end_in_time_goes_back(self, queue, caplog):
        @task(cache_policy=NO_CACHE)
        async def wait():
            await asyncio.sleep(60)

        with temporary_settings({"CELLIST_WORKER_GRACE_SECONDS": 0.05}):
            worker = TaskWorker(wait)
            serving = asyncio.create_task(worker.astart())
            kept = wait.delay()
            once = wait.apply_async(delivery="at_most_once")
            await auntil(lambda: worker.current_tasks == 2)
            worker.halt()
            await asyncio.wait_for(serving, 20)
        assert "Given back to the queue" in caplog.text
        job = queue.find(kept.task_run_id.hex)
        assert (job.status, job.deliveries) == ("queued", 0)
        assert once.state.is_crashed()
        assert kept.state.is_scheduled()

    async def test_who_has_one_run_executed_returns_when_it_goes_back(self, queue):
        @task(cache_policy=NO_CACHE)
        async def wait():
            await asyncio.sleep(60)

        with temporary_settings({"CELLIST_WORKER_GRACE_SECONDS": 0.05}):
            future = wait.delay()
            async with TaskWorker(wait) as worker:
                executing = asyncio.create_task(worker.execute_task_run(future))
                await auntil(lambda: worker.current_tasks == 1)
            await asyncio.wait_for(executing, 20)
        assert queue.find(future.task_run_id.hex).status == "queued"

    @pytest.mark.parametrize("started", [False, True])
    async def test_sigterm_asks_to_stop_and_exits(self, started):
        worker = TaskWorker(double)
        if started:
            await worker.__aenter__()
        with patch("sys.exit") as leave, patch.object(worker, "stop", AsyncMock()) as stop:
            worker.handle_sigterm(signal.SIGTERM, None)
        leave.assert_called_once_with(0)
        stop.assert_called_once_with()
        if started:
            await worker.__aexit__()

    async def test_sigterm_while_it_serves_exits_when_all_has_ended(self):
        worker = TaskWorker(double)
        serving = asyncio.create_task(_exit_of(worker))
        await auntil(lambda: worker.started)
        worker.handle_sigterm(signal.SIGTERM, None)
        assert await asyncio.wait_for(serving, 10) == 0


async def _exit_of(worker):
    try:
        await worker.astart()
    except SystemExit as leave:
        return leave.code


class TestServe:
    def test_wants_tasks(self):
        with pytest.raises(TypeError, match="deferred runs of tasks"):
            serve(flow(double.fn))

    def test_names_what_it_leaves_out(self, caplog):
        serve(double, "other", timeout=0.05)
        assert "'other' is no task" in caplog.text


def fetch(port, path="/status"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.load(answer)


class TestStatus:
    async def test_tells_what_the_worker_does(self):
        worker = TaskWorker(double, triple, limit=3)
        async with worker:
            await worker.execute_task_run(double.delay(1))
            with create_status_server(worker) as server:
                status = await asyncio.to_thread(fetch, server.port)
            assert worker.started_at is not None
            assert status == {
                "client_id": worker.client_id,
                "started_at": worker.started_at.isoformat(),
                "stopping": False,
                "limit": 3,
                "current": 0,
                "available": 3,
                "tasks": sorted([double.task_key, triple.task_key]),
                "finished": {double.task_key: 1},
                "in_flight": {},
            }

    def test_tells_of_runs_that_go_on(self):
        gate = Gate()

        @task(cache_policy=NO_CACHE)
        def wait():
            gate()

        with BackgroundWorker(wait) as served:
            future = wait.delay()
            assert gate.inside.acquire(timeout=60)
            with create_status_server(served.worker) as server:
                status = fetch(server.port)
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    fetch(server.port, "/other")
            gate.open.set()
            future.wait(timeout=60)
        (found,) = status["in_flight"].values()
        assert list(found) == [str(future.task_run_id)]
        assert status["current"] == 1

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=f"cannot be served on port {port} of 127.0.0.1"):
                serve(double, status_server_port=port)
            with pytest.raises(OSError, match=f"port {port}"):
                BackgroundWorker(double, status_server_port=port).start()
