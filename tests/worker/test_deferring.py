"""What a producer sees of deferred runs: `delay`, `apply_async`, `map`, and their futures."""

import asyncio
import os
import pickle
import threading
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest

import cellist
from cellist import flow, get_run_logger, runtime, tags, task, unmapped
from cellist.cache_policies import NO_CACHE
from cellist.exceptions import (
    CancelledRun,
    ConfigurationError,
    CrashedRun,
    MissingResult,
    ObjectNotFound,
    ParameterBindError,
    QueueError,
    SerializationError,
    UnfinishedRun,
)
from cellist.futures import (
    PrefectDistributedFuture,
    as_completed,
    resolve_futures_to_results,
    wait,
)
from cellist.objects import RunInput
from cellist.settings import temporary_settings
from cellist.states import Completed
from cellist.task_worker import BackgroundWorker, read_parameters
from cellist.tasks import Task
from cellist.worker import database, watching
from cellist.worker.floor import Floor
from cellist.worker.futures import watcher_here
from cellist.worker.losses import here
from cellist.worker.queue import Queue
from cellist.worker.recording import settle_lost
from tests.worker.waits import until


def plain(fn=None, **options):
    options.setdefault("cache_policy", NO_CACHE)
    return task(fn, **options) if fn else task(**options)


@plain
def double(x):
    return 2 * x


@plain
def add(x, y=42):
    return x + y


@plain
async def triple(x):
    await asyncio.sleep(0)
    return 3 * x


@plain
def fail(text):
    raise ValueError(text)


def parameters_of(future):
    return read_parameters(future.state.state_details.task_parameters_id)


class TestQueued:
    """What a run is before any worker has it."""

    def test_is_scheduled_and_deferred(self):
        future = double.delay(4)
        assert isinstance(future, PrefectDistributedFuture)
        assert future.state.is_scheduled()
        assert future.state.name == "Scheduled"
        assert future.state.state_details.deferred is True
        assert future.state.state_details.task_run_id == future.task_run_id
        assert not future.done()

    @pytest.mark.parametrize(
        ("args", "kwargs"),
        [
            ((1, 2), {}),
            ([1, 2], {}),
            ((), {"x": 1, "y": 2}),
            ([1], {"y": 2}),
            (None, {"x": 1, "y": 2}),
        ],
    )
    def test_keeps_its_parameters_by_name(self, args, kwargs):
        kept = parameters_of(add.apply_async(args, kwargs))
        assert kept["parameters"] == {"x": 1, "y": 2}
        assert "context" in kept
        assert "wait_for" not in kept

    def test_keeps_defaults_and_variadic_arguments(self):
        @task
        def total(*args, **kwargs):
            return sum(args) + sum(kwargs.values())

        assert parameters_of(add.delay(1))["parameters"] == {"x": 1, "y": 42}
        kept = parameters_of(total.delay(1, 2, y=3))
        assert kept["parameters"] == {"args": (1, 2), "kwargs": {"y": 3}}

    def test_keeps_what_it_waits_for(self):
        before = PrefectDistributedFuture(task_run_id=uuid4())
        kept = parameters_of(add.apply_async((1, 2), wait_for=[before]))
        assert kept["wait_for"] == [before]

    def test_dependencies_are_told_by_parameter(self, session):
        number = uuid4()
        future = add.apply_async((1, 2), dependencies={"x": {RunInput("task_run", number)}})
        assert future.run.task_inputs["x"] == [RunInput("task_run", number)]

    @pytest.mark.parametrize(
        ("args", "kwargs", "says"),
        [((1,), {"x": 1}, "multiple values"), ((), {}, "missing a required argument: 'x'")],
    )
    def test_arguments_that_do_not_fit_queue_nothing(self, queue, args, kwargs, says):
        with pytest.raises(ParameterBindError, match=says):
            add.apply_async(args, kwargs)
        assert queue.counts()["queued"] == 0

    def test_an_unknown_delivery_is_refused(self):
        with pytest.raises(ConfigurationError, match="at_least_once, at_most_once, got 'twice'"):
            add.apply_async((1,), delivery="twice")

    def test_appears_in_the_history(self):
        future = double.delay(4)
        found = cellist.run(future.task_run_id)
        assert (found.state, found.inputs) == ("Scheduled", {"x": "4"})
        assert any("No worker serves `double`" in log.message for log in found.logs)

    def test_is_called_as_its_task_outside_flows(self):
        assert double.delay(4).name == "double"

    def test_an_argument_that_cannot_be_sent_is_named(self, queue):
        with pytest.raises(SerializationError, match=r"Parameter `x` of task `double`.*lock"):
            double.delay({"a": threading.Lock()})
        assert queue.counts()["queued"] == 0

    def test_the_future_of_a_run_of_this_process_is_refused(self):
        future = double.submit(1)
        with pytest.raises(
            SerializationError, match=r"Parameter `x` of task `add`.*'double'.*\.delay\(\)"
        ):
            add.delay([future])
        with pytest.raises(TypeError, match="cannot be taken to another"):
            pickle.dumps(future)

    def test_in_async_code_it_returns_at_once_too(self):
        async def main():
            return triple.delay(1)

        assert asyncio.run(main()).state.is_scheduled()

    def test_a_place_that_cannot_be_written_is_named(self, own_home):
        own_home.mkdir(exist_ok=True)
        (own_home / "queue.sqlite").mkdir()
        with pytest.raises(QueueError, match=r"queue\.sqlite, cannot be used"):
            double.delay(1)


class TestMap:
    def test_queues_a_run_for_each_element(self, queue):
        futures = add.map([1, 2, 3], unmapped(7), deferred=True)
        assert [parameters_of(one)["parameters"] for one in futures] == [
            {"x": 1, "y": 7},
            {"x": 2, "y": 7},
            {"x": 3, "y": 7},
        ]
        assert queue.counts()["queued"] == 3

    def test_gives_the_results_in_order(self):
        with BackgroundWorker(double, limit=2):
            assert double.map(range(20), deferred=True).result(timeout=30) == [
                2 * x for x in range(20)
            ]

    def test_all_are_queued_or_none(self, queue):
        with pytest.raises(SerializationError):
            double.map([1, threading.Lock()], deferred=True)
        assert queue.counts()["queued"] == 0


class TestResults:
    @pytest.fixture(autouse=True)
    def worker(self):
        with BackgroundWorker(double, add, triple, fail) as worker:
            yield worker

    def test_of_a_function(self):
        future = double.delay(4)
        assert future.result(timeout=30) == 8
        assert future.state.name == "Completed"
        assert future.state.result() == 8
        assert future.done()

    def test_of_a_coroutine_function(self):
        assert triple.delay(4).result(timeout=30) == 12

    def test_of_a_failure(self):
        future = fail.delay("no")
        with pytest.raises(ValueError, match="no"):
            future.result(timeout=30)
        assert isinstance(future.result(raise_on_failure=False), ValueError)
        assert future.state.name == "Failed"
        assert "ValueError: no" in (future.state.message or "")

    def test_of_a_failure_whose_message_is_no_valid_text(self):
        with pytest.raises(ValueError, match="\udcff"):
            fail.delay("a file named \udcff").result(timeout=30)
        assert double.delay(1).result(timeout=30) == 2

    def test_awaited(self):
        async def main():
            first, second = triple.delay(1), triple.delay(2)
            await first.wait_async(timeout=30)
            return await first.result_async(timeout=30), await second

        assert asyncio.run(main()) == (3, 6)

    def test_without_a_timeout_waits_as_long_as_it_takes(self):
        assert double.delay(1).result() == 2

    def test_waits_of_many(self):
        futures = [double.delay(x) for x in range(5)]
        done, not_done = wait(futures, timeout=30)
        assert (len(done), len(not_done)) == (5, 0)
        assert {one.result() for one in as_completed(futures, timeout=30)} == {0, 2, 4, 6, 8}
        assert resolve_futures_to_results({"a": futures[1]}) == {"a": 2}

    def test_calls_back(self):
        called = threading.Event()
        seen = []

        def note(future):
            seen.append(future.state.name)
            called.set()

        double.delay(1).add_done_callback(note)
        assert called.wait(30)
        assert seen == ["Completed"]

    @pytest.mark.parametrize("what", ["last_change", "changed_since", "outcome"])
    def test_who_waits_learns_of_the_end_though_the_queue_could_not_be_read(
        self, what, monkeypatch
    ):
        real, failed = getattr(Queue, what), threading.Event()

        def fails_once(self, *args):
            if not failed.is_set():
                failed.set()
                raise QueueError("It is locked.")
            return real(self, *args)

        future = double.delay(1)
        monkeypatch.setattr(Queue, what, fails_once)
        called = threading.Event()
        future.add_done_callback(lambda _: called.set())
        assert called.wait(30)
        assert failed.is_set()

    def test_who_comes_while_others_are_told_learns_of_the_end(self, monkeypatch):
        watcher = watcher_here()
        real = watcher.end_of
        future = double.delay(1)
        late, called = PrefectDistributedFuture(future.task_run_id), threading.Event()

        def joined(job):
            watcher.add(late, hold=True)
            return real(job)

        monkeypatch.setattr(watcher, "end_of", joined)
        future.add_done_callback(lambda _: called.set())
        assert called.wait(30)
        monkeypatch.undo()
        until(lambda: late.outcome is not None)

    def test_by_id_and_pickled(self):
        future = double.delay(21)
        by_id = PrefectDistributedFuture(task_run_id=future.task_run_id)
        copy = pickle.loads(pickle.dumps(future))
        assert by_id == future == copy
        assert len({by_id, future, copy}) == 1
        assert by_id.result(timeout=30) == copy.result(timeout=30) == 42
        assert by_id.name == "double"

    def test_as_a_parameter(self):
        future = double.delay(4)
        assert add.delay(future, y=[future, 1][1]).result(timeout=30) == 9
        assert double(future) == 16
        assert double.submit(future).result(timeout=30) == 16

    def test_the_graph_knows_the_parameter(self):
        first = double.delay(4)
        second = add.delay(first)
        second.wait(timeout=30)
        assert cellist.run(second.task_run_id).upstream == {"x": [first.task_run_id.hex]}

    def test_waits_for_others(self):
        first = double.delay(4)
        assert add.apply_async((1, 1), wait_for=[first]).result(timeout=30) == 2

    def test_of_a_run_whose_input_failed(self):
        future = double.delay(fail.delay("no"))
        with pytest.raises(UnfinishedRun, match="double did not run"):
            future.result(timeout=30)
        assert future.state.name == "NotReady"

    def test_both_processes_see_the_states(self):
        future = double.delay(4)
        future.wait(timeout=30)
        record = cellist.run(future.task_run_id)
        assert [one.name for one in record.states] == [
            "Scheduled",
            "Pending",
            "Running",
            "Completed",
        ]
        assert [one.name for one in future.run.states] == [one.name for one in record.states]
        assert record.result == "8"


class TestTheQueueGoesAway:
    @pytest.mark.parametrize("replaced", [False, True])
    @pytest.mark.parametrize("by_id", [False, True])
    def test_who_waits_is_told(self, queue, replaced, by_id, monkeypatch):
        monkeypatch.setattr(watching, "GONE_SECONDS", 0.2)
        future = double.delay(1)
        if by_id:
            future = PrefectDistributedFuture(future.task_run_id)
            assert future.state.is_scheduled()
        caught = []

        def wait_for_ever():
            try:
                future.result()
            except Exception as error:
                caught.append(error)

        waiting = threading.Thread(target=wait_for_ever)
        waiting.start()
        until(lambda: watcher_here()._awaited)
        take_away(queue)
        if replaced:
            queue.last_change()
        waiting.join(30)
        assert not waiting.is_alive()
        (error,) = caught
        assert isinstance(error, CrashedRun)
        for part in ("is not known", str(queue.path), "deleted or replaced", "again"):
            assert part in str(error)
        assert future.state.is_crashed()

    def test_who_waits_is_told_if_it_cannot_be_made_again(self, queue, monkeypatch):
        monkeypatch.setattr(watching, "GONE_SECONDS", 0.2)
        future = double.delay(1)
        watcher_here().await_end(future)
        monkeypatch.setattr(database, "ensure", Mock(side_effect=PermissionError("read-only")))
        take_away(queue)
        until(lambda: future.outcome is not None)
        with pytest.raises(CrashedRun, match="deleted or replaced"):
            future.result(timeout=30)

    def test_one_that_comes_back_in_time_is_no_loss(self, queue):
        future = double.delay(1)
        watcher_here().await_end(future)
        aside = queue.path.with_name("aside")
        queue.close()
        watcher_here().queue.close()
        aside.mkdir()
        for part in sorted(queue.path.parent.glob("queue.sqlite*")):
            part.rename(aside / part.name)
        watcher_here()._bell.ring()
        for part in sorted(aside.iterdir(), reverse=True):  # nobody may find it without its log
            part.replace(queue.path.parent / part.name)
        with BackgroundWorker(double):
            assert future.result(timeout=30) == 2

    def test_a_worker_goes_on_with_the_new_one(self, queue, caplog):
        began, go = threading.Event(), threading.Event()

        @plain
        def hold():
            began.set()
            go.wait(30)

        with BackgroundWorker(hold, double):
            first = hold.delay()
            assert began.wait(30)
            take_away(queue)
            second = double.delay(2)  # with the number in the new file that the first had
            assert second.result(timeout=30) == 4
            go.set()
            until(lambda: "not in the queue any more" in caplog.text)
            assert double.delay(3).result(timeout=30) == 6
        assert cellist.run(first.task_run_id).state == "Completed"


def take_away(queue):
    for part in queue.path.parent.glob("queue.sqlite*"):
        part.unlink()


class TestUnknown:
    def test_says_that_there_is_no_such_run(self):
        future = PrefectDistributedFuture(task_run_id=UUID(int=5))
        for ask in (future.result, future.wait, future.done, lambda: future.state):
            with pytest.raises(ObjectNotFound, match="No deferred run has the id"):
                ask()

    def test_a_timeout_is_heeded(self):
        with pytest.raises(TimeoutError, match=r"within 0\.01 seconds"):
            double.delay(1).result(timeout=0.01)


class TestContext:
    def test_the_flow_the_tags_and_the_settings_come_along(self):
        @plain(log_prints=True)
        def tell():
            get_run_logger().info("logged")
            return runtime.flow_run.name, sorted(runtime.task_run.tags), runtime.task_run.name

        queued = []

        @flow(flow_run_name="nightly")
        def night():
            with tags("a", "b"):
                queued.append(tell.delay())

        night()
        (future,) = queued
        with BackgroundWorker(tell):
            name, seen, run_name = future.result(timeout=30)
        assert (name, seen) == ("nightly", ["a", "b"])
        assert run_name == future.name
        record = cellist.run(future.task_run_id)
        assert cellist.run("nightly").children[0].id == record.id
        assert "logged" in [log.message for log in record.logs]

    def test_retries_of_the_settings_in_force_where_it_was_queued(self):
        calls = []

        @plain
        def flaky():
            calls.append(1)
            if len(calls) < 3:
                raise ValueError
            return len(calls)

        with temporary_settings({"CELLIST_TASKS_DEFAULT_RETRIES": 2}):
            future = flaky.delay()
        with BackgroundWorker(flaky):
            assert future.result(timeout=30) == 3
        assert [one.name for one in future.run.states] == [
            "Scheduled", "Pending", "Running", "Retrying", "Retrying", "Completed",
        ]  # fmt: skip

    def test_a_method_takes_its_instance_along(self):
        with BackgroundWorker(Cart.total):
            assert Cart(3).total.delay(4).result(timeout=30) == 12

    def test_user_states_and_values_that_cannot_be_sent(self):
        @plain
        def meh():
            return Completed(message="meh", data=5)

        @plain
        def locked():
            return threading.Lock()

        with BackgroundWorker(meh, locked):
            told, kept = meh.delay(), locked.delay()
            assert told.result(timeout=30) == 5
            assert told.state.message == "meh"
            with pytest.raises(MissingResult, match="The result of task `locked` cannot be sent"):
                kept.result(timeout=30)
            assert kept.state.is_completed()


class Cart:
    def __init__(self, price):
        self.price = price

    @task(cache_policy=NO_CACHE)
    def total(self, count):
        return self.price * count


class TestCancel:
    def test_a_run_that_waits_is_cancelled_at_once(self):
        future = double.delay(1)
        assert future.cancel() is True
        with pytest.raises(CancelledRun, match="Cancelled on request"):
            future.result(timeout=30)
        assert future.state.name == "Cancelled"
        assert future.cancel() is False

    def test_the_history_knows_of_it_though_nobody_else_does(self):
        run_id = double.delay(1).task_run_id
        assert cellist.run(run_id).state == "Scheduled"
        assert PrefectDistributedFuture(run_id).cancel() is True
        assert cellist.run(run_id).state == "Cancelled"

    def test_so_it_does_of_one_that_is_cancelled_at_once(self):
        ids = []
        for _ in range(20):
            ids.append(double.delay(1).task_run_id)  # nobody holds the future
            other = PrefectDistributedFuture(ids[-1])
            assert other.cancel() is True
            with pytest.raises(CancelledRun):
                other.result(timeout=30)
        assert {cellist.run(one).state for one in ids} == {"Cancelled"}
        found = cellist.runs(name="double")
        assert list(found["state"]) == ["Cancelled"] * 20

    def test_one_that_a_worker_has_just_claimed(self, monkeypatch):
        """A cancel that comes before the run has begun is not lost."""
        floor, claimed = Floor, threading.Event()
        begin = floor._begin

        def begin_late(self, job, data):
            claimed.set()
            until(lambda: job.id in self.cancelled)
            begin(self, job, data)

        monkeypatch.setattr(floor, "_begin", begin_late)

        @plain
        async def wait_long():
            await asyncio.sleep(60)

        with BackgroundWorker(wait_long):
            future = wait_long.delay()
            assert claimed.wait(30)
            assert future.cancel()
            with pytest.raises(CancelledRun):
                future.result(timeout=30)

    def test_it_stays_part_of_its_flow_in_the_history(self, queue):
        @flow
        def crawl():
            lost = double.apply_async((1,), delivery="at_most_once")
            return double.delay(lost).task_run_id, lost.task_run_id, runtime.flow_run.id

        cancelled, lost, flow_id = crawl()
        assert cellist.run(cancelled).state == "Scheduled"
        PrefectDistributedFuture(cancelled).cancel()
        owner = queue.enter("w", (here(), os.getpid(), 0.0), {double.task_key: "double"})
        assert queue.claim_one(owner, lost.hex)
        settle_lost(queue, 30)
        found = [cellist.run(one) for one in (cancelled, lost)]
        assert [one.state for one in found] == ["Cancelled", "Crashed"]
        assert {UUID(one.flow) for one in found} == {UUID(flow_id)}
        assert {UUID(one.parent) for one in found} == {UUID(flow_id)}
        assert found[0].upstream == {"x": [lost.hex]}

    @pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
    def test_the_history_knows_of_one_whose_worker_died_first(self, queue, delivery):
        future = double.apply_async((1,), delivery=delivery)
        run_id = future.task_run_id.hex
        owner = queue.enter("w", (here(), os.getpid(), 0.0), {double.task_key: "double"})
        assert queue.claim_one(owner, run_id)
        assert future.cancel() is True
        settle_lost(queue, 30)
        assert future.state.is_cancelled()
        assert cellist.run(run_id).state == "Cancelled"

    def test_a_run_that_goes_on_is_cancelled_by_its_worker(self):
        began = threading.Event()

        @plain
        async def wait_long():
            began.set()
            await asyncio.sleep(60)

        with BackgroundWorker(wait_long):
            future = wait_long.delay()
            assert began.wait(30)
            assert future.cancel()
            with pytest.raises(CancelledRun):
                future.result(timeout=30)
        assert future.state.name == "Cancelled"


def test_is_part_of_a_task():
    assert callable(Task.delay)
    assert callable(Task.serve)
