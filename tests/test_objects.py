"""The records of runs, as hooks and contexts hand them out."""

from datetime import timedelta
from uuid import UUID

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.objects import TERMINAL_STATES, FlowRun, StateType, TaskRun
from cellist.settings import temporary_settings

TASK_RUN = {
    "id": UUID,
    "name": str,
    "flow_run_id": UUID,
    "task_key": str,
    "dynamic_key": str,
    "task_version": str,
    "tags": frozenset,
    "task_inputs": dict,
    "state_type": StateType,
    "state_name": str,
    "run_count": int,
    "flow_run_run_count": int,
    "total_run_time": timedelta,
    "empirical_policy": tuple,
    "labels": dict,
}
FLOW_RUN = {
    "id": UUID,
    "name": str,
    "flow_id": UUID,
    "flow_version": str,
    "parameters": dict,
    "tags": frozenset,
    "context": dict,
    "state_type": StateType,
    "run_count": int,
    "total_run_time": timedelta,
    "parent_task_run_id": type(None),
    "deployment_id": type(None),
    "labels": dict,
}
MOMENTS = ("expected_start_time", "start_time", "end_time")


@pytest.fixture
def records(recorder):
    @task(cache_policy=NO_CACHE, version="1", retries=2, retry_delay_seconds=[1, 2], tags=["a"])
    def work(x):
        return x

    @flow
    def outer(n):
        return work(n)

    outer(1)
    outer(2)
    return recorder


@pytest.mark.parametrize(("name", "fields"), [("work", TASK_RUN), ("outer", FLOW_RUN)])
def test_fields(records, name, fields):
    run = records.of(name)[0]
    assert isinstance(run, TaskRun if name == "work" else FlowRun)
    found = {field: getattr(run, field) for field in fields}
    assert {field: kind for field, kind in fields.items() if type(found[field]) is not kind} == (
        {"empirical_policy": tuple} if name == "work" else {}
    )
    moments = [getattr(run, moment) for moment in MOMENTS]
    assert moments == sorted(moments)
    assert run.state_type in TERMINAL_STATES


def test_values(records):
    work, outer = records.of("work")[0], records.of("outer")
    assert work.empirical_policy == (2, [1.0, 2.0], None)
    assert work.empirical_policy.retries == 2
    assert work.flow_run_id == outer[0].id
    assert outer[0].flow_id == outer[1].flow_id
    assert outer[0].parameters == {"n": 1}
    assert work.flow_run_run_count == 1


def test_a_task_run_knows_the_attempt_of_its_flow(recorder):
    tries = []

    @task(cache_policy=NO_CACHE)
    def work():
        tries.append(1)

    @flow(retries=1)
    def outer():
        work()
        if len(tries) == 1:
            raise KeyError

    outer()
    work()
    assert [run.flow_run_run_count for run in recorder.of("work")] == [1, 2, 0]


def test_the_policy_of_a_run_follows_the_settings(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        pass

    with temporary_settings(tasks_default_retries=4, tasks_default_retry_delay_seconds=3):
        work()
        assert recorder.one("work").empirical_policy == (4, 3, None)
        assert (work.retries, work.retry_delay_seconds) == (4, 3)
    assert (work.retries, work.retry_delay_seconds) == (0, 0.0)
