"""Which run code is in, and how threads and processes of one's own learn of it."""

import asyncio
import contextvars
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from cellist import context, flow, get_run_logger, runtime, tags, task
from cellist.cache_policies import NO_CACHE
from cellist.context import (
    FlowRunContext,
    TagsContext,
    TaskRunContext,
    get_run_context,
    hydrated_context,
    serialize_context,
    with_context,
)
from cellist.exceptions import MissingContextError
from cellist.settings import get_current_settings, temporary_settings
from cellist.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner


def here():
    """What this code is part of: the kind and name of the innermost run, the flow, the task."""
    try:
        innermost = type(get_run_context()).__name__
    except MissingContextError:
        innermost = None
    flow_context, task_context = FlowRunContext.get(), TaskRunContext.get()
    return (
        innermost,
        flow_context and flow_context.flow.name,
        task_context and task_context.task.name,
    )


@task(cache_policy=NO_CACHE)
def leaf(x=0):
    return here()


@flow
def subflow():
    return here(), leaf()


@task(cache_policy=NO_CACHE)
def middle():
    return here(), leaf(), subflow()


@flow
def outer():
    submitted = [leaf.submit().result(), *leaf.map([1]).result()]
    return here(), leaf(), submitted, middle(), subflow()


def test_get_run_context_where_runs_nest():
    in_flow, in_leaf, submitted, (in_middle, below, in_sub), in_subflow = outer()
    task_, flow_ = "TaskRunContext", "FlowRunContext"
    assert here() == (None, None, None)
    assert in_flow == (flow_, "outer", None)
    assert [in_leaf, *submitted] == [(task_, "outer", "leaf")] * 3
    assert in_middle == (task_, "outer", "middle")
    assert below == (task_, "outer", "leaf")
    assert in_sub == ((flow_, "subflow", "middle"), (task_, "subflow", "leaf"))
    assert in_subflow == ((flow_, "subflow", None), (task_, "subflow", "leaf"))
    assert leaf() == (task_, None, "leaf")
    with pytest.raises(MissingContextError, match="No run context available"):
        get_run_context()


def test_fields():
    @task(cache_policy=NO_CACHE, log_prints=True)
    def work(x, y=2):
        found = TaskRunContext.get()
        assert found is not None
        assert found.task is work
        assert found.task_run is found.run
        assert found.task_run.name == runtime.task_run.name
        assert found.parameters == {"x": 1, "y": 2}
        assert (found.log_prints, found.persist_result) == (True, False)
        assert found.result_store is not None
        assert found.start_time == found.task_run.start_time or found.start_time is not None
        assert "work" in repr(found)

    @flow(task_runner=SequentialTaskRunner, persist_result=False)
    def whole(n: int):
        found = FlowRunContext.get()
        assert found is not None
        assert isinstance(found, context.EngineContext)
        assert found.flow is whole
        assert found.flow_run.parameters == found.parameters == {"n": 3}
        assert isinstance(found.task_runner, SequentialTaskRunner)
        assert (found.log_prints, found.persist_result, found.detached) == (False, False, False)
        assert found.result_store is not None
        work(1)

    anyhow: Any = whole  # validation makes a number of the text
    anyhow("3")


def test_tags_are_a_context():
    assert TagsContext.get().current_tags == set()
    with tags("a") as first, tags("b") as both:
        assert (first, both, TagsContext.get().current_tags) == ({"a"}, {"a", "b"}, {"a", "b"})
    assert TagsContext.get().current_tags == set()


def test_threads_of_ones_own():
    @flow
    def whole():
        found: list[object] = []
        for target in (here, with_context(here)):
            thread = threading.Thread(target=lambda target=target: found.append(target()))
            thread.start()
            thread.join()
        with ThreadPoolExecutor(2) as pool:
            found.append(pool.submit(contextvars.copy_context().run, here).result())
            found += pool.map(with_context(leaf.fn), range(3))
        return found

    inside = ("FlowRunContext", "whole", None)
    assert whole() == [(None, None, None), *[inside] * 5]


def test_coroutines_elsewhere():
    @flow
    def whole():
        async def ask():
            await asyncio.sleep(0)
            return here()

        bound = with_context(ask)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(bound())).result()

    assert whole() == ("FlowRunContext", "whole", None)


def in_another_process(n):
    """Runs in a process of the user's: what it knows, what it logs, and a task of its own."""
    get_run_logger().info("number %d", n)
    run = get_run_context().run
    parents = leaf(n), runtime.flow_run.id, runtime.task_run.id
    return here(), sorted(TagsContext.get().current_tags), str(run.id), run.run_count, parents


@task(cache_policy=NO_CACHE)
def spread_out():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(with_context(in_another_process), range(2)))
    return found, runtime.flow_run.id, runtime.task_run.id


@pytest.mark.slow
def test_processes_of_ones_own():
    @flow
    def whole():
        with tags("t"):
            return spread_out()

    found, flow_id, task_id = whole()
    below = ("TaskRunContext", "whole", "leaf")
    inside = ("TaskRunContext", "whole", "spread_out")
    assert found == [(inside, ["t"], task_id, 1, (below, flow_id, task_id))] * 2


def test_a_context_travels_as_data():
    carried = {}

    @task(cache_policy=NO_CACHE)
    def work(x):
        with tags("t"), temporary_settings(tasks_default_retries=3):
            carried["data"] = pickle.dumps(serialize_context())
        return runtime.task_run.id, runtime.task_run.name

    @flow
    def whole(n: int):
        return work(n), runtime.flow_run.id, runtime.flow_run.name

    (task_id, task_name), flow_id, flow_name = whole(5)
    with hydrated_context(pickle.loads(carried["data"])):
        assert (runtime.task_run.id, runtime.task_run.name) == (task_id, task_name)
        assert (runtime.flow_run.id, runtime.flow_run.name) == (flow_id, flow_name)
        assert runtime.flow_run.parameters == {"n": 5}
        assert runtime.task_run.parameters == {"x": 5}
        found = FlowRunContext.get()
        assert found is not None
        assert found.detached
        assert found.flow_run.state_name == "Running"
        assert TagsContext.get().current_tags == {"t"}
        assert get_current_settings().tasks_default_retries == 3
        assert leaf() == ("TaskRunContext", "whole", "leaf")
        assert leaf.submit().result() == ("TaskRunContext", "whole", "leaf")
    assert here() == (None, None, None)
    assert TagsContext.get().current_tags == set()
    assert get_current_settings().tasks_default_retries == 0


def test_no_context_is_a_context_too():
    with hydrated_context(serialize_context()):
        assert here() == (None, None, None)
    with hydrated_context(None):
        assert here() == (None, None, None)


def test_what_cannot_be_pickled_stays_behind():
    @flow
    def whole(lock):
        return serialize_context()

    with hydrated_context(pickle.loads(pickle.dumps(whole(threading.Lock())))):
        assert runtime.flow_run.flow_name == "whole"
        assert runtime.flow_run.parameters == {}


@task(cache_policy=NO_CACHE, log_prints=True, tags=["p"])
def in_process(x, y=2):
    get_run_logger().warning("logged %s", x)
    print("printed", x)
    return (
        runtime.task_run.name,
        runtime.task_run.tags,
        runtime.task_run.parameters,
        runtime.flow_run.id,
        type(get_run_context()).__name__,
    )


@pytest.mark.slow
def test_a_process_pool_keeps_context_and_logs(recorder, capfd):
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def whole():
        return in_process.map([7, 8]).result(), runtime.flow_run.id

    found, flow_id = whole()
    runs = recorder.of("in_process")
    assert found == [
        (run.name, ["p"], {"x": x, "y": 2}, flow_id, "TaskRunContext")
        for run, x in zip(runs, (7, 8), strict=True)
    ]
    logs = {
        run: [e.message for e in recorder.events if e[0] is run and len(e) == 4] for run in runs
    }
    assert list(logs.values()) == [[f"logged {x}", f"printed {x}"] for x in (7, 8)]
    assert capfd.readouterr().out == ""


@task
def name_in_process(x):
    return runtime.flow_run.name if x else x


@pytest.mark.slow
def test_what_was_asked_in_a_process_is_known_to_the_cache(recorder):
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1), flow_run_name="{name}")
    def whole(name):
        return name_in_process.map([0, 1]).result()

    assert [whole(name) for name in "ab"] == [[0, "a"], [0, "b"]]
    codes = [run.why.code for run in recorder.of("name_in_process")]
    assert codes == ["first_run", "run_read", "reused", "run_read"]


def test_facts_about_a_run_are_no_part_of_what_code_says(recorder):
    @task
    def reads():
        from cellist.runtime.flow_run import name

        return name, runtime.task_run.name, runtime.flow_run.parameters

    @flow
    def whole(x):
        return reads.task_key

    assert {whole(1), whole(2), reads.task_key} == {reads.task_key}
    asks = task(lambda x: (reads.task_key, x)[1])
    assert [asks(1, return_state=True).name for _ in range(2)] == ["Completed", "Cached"]
