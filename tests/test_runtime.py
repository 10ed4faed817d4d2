"""What code can ask about the run it is in."""

import importlib
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from cellist import flow, runtime, tags, task
from cellist.cache_policies import NO_CACHE

NOW = "now"
OUTSIDE = {
    "flow_run": {
        "id": None,
        "name": None,
        "flow_name": None,
        "flow_version": None,
        "tags": [],
        "parameters": {},
        "run_count": 0,
        "scheduled_start_time": NOW,
        "parent_flow_run_id": None,
        "root_flow_run_id": None,
        "parent_deployment_id": None,
        "api_url": None,
        "ui_url": None,
        "job_variables": None,
    },
    "task_run": {
        "id": None,
        "name": None,
        "task_name": None,
        "tags": [],
        "parameters": {},
        "run_count": 0,
        "api_url": None,
        "ui_url": None,
    },
    "deployment": {
        "id": None,
        "name": None,
        "version": None,
        "parameters": {},
        "flow_run_id": None,
    },
}
ATTRIBUTES = [(module, name) for module, names in OUTSIDE.items() for name in names]


@pytest.mark.parametrize(("module", "name"), ATTRIBUTES)
def test_outside_runs(module, name):
    value = getattr(importlib.import_module(f"cellist.runtime.{module}"), name)
    expected = OUTSIDE[module][name]
    if expected is NOW:
        assert abs(value - datetime.now(UTC)) < timedelta(minutes=1)
    else:
        assert value == expected


@pytest.mark.parametrize("module", OUTSIDE)
def test_names_are_listed_and_others_refused(module):
    found = getattr(runtime, module)
    assert dir(found) == sorted(OUTSIDE[module])
    with pytest.raises(AttributeError, match=rf"runtime\.{module}' has no attribute 'nothing'"):
        print(found.nothing)
    with pytest.raises(ImportError):
        exec(f"from cellist.runtime.{module} import nothing")


@task(cache_policy=NO_CACHE, tags=["b"], task_run_name="work on {x}")
def work(x, y=2):
    from cellist.runtime.task_run import name  # the value it has now

    here = runtime.task_run
    return {
        "task": [name, here.task_name, here.tags, here.parameters, here.run_count],
        "task id": here.id,
        "flow": [runtime.flow_run.name, runtime.flow_run.flow_name, runtime.flow_run.run_count],
        "ids": ids(),
    }


def ids():
    run = runtime.flow_run
    return [run.id, run.parent_flow_run_id, run.root_flow_run_id]


@flow(flow_run_name="run {n}", version="7")
def outer(n):
    here = runtime.flow_run
    facts = [here.name, here.parameters, here.tags, here.flow_version, here.scheduled_start_time]
    return facts, ids(), work(n), work.submit(n).result(), middle(), runtime.task_run.id


@flow
def inner():
    return ids(), runtime.task_run.name


@task(cache_policy=NO_CACHE)
def middle():
    return ids(), inner()


def test_inside_runs():
    with tags("a"):
        facts, top, called, submitted, between, task_id = outer(1)
    assert facts[:4] == ["run 1", {"n": 1}, ["a"], "7"]
    assert facts[4].tzinfo is UTC
    assert top == [top[0], None, top[0]]
    assert uuid.UUID(top[0])
    assert task_id is None
    for one in (called, submitted):
        assert one["task"] == ["work on 1", "work", ["a", "b"], {"x": 1, "y": 2}, 1]
        assert one["flow"] == ["run 1", "outer", 1]
        assert one["ids"] == top
        assert uuid.UUID(one["task id"])
    in_task, (in_subflow, task_name) = between
    assert in_task == top
    assert in_subflow == [in_subflow[0], top[0], top[0]]
    assert in_subflow[0] != top[0]
    assert str(task_name).startswith("middle-")


def test_a_task_without_a_flow():
    found = work(1)
    assert found["flow"] == [None, None, 0]
    assert found["ids"] == [None, None, None]


@pytest.mark.parametrize("prefix", ["CELLIST", "PREFECT"])
@pytest.mark.parametrize(
    ("module", "name", "text", "value"),
    [
        ("flow_run", "name", "mocked", "mocked"),
        ("flow_run", "id", "abc", "abc"),
        ("flow_run", "run_count", "3", 3),
        ("flow_run", "tags", "a, b", ["a", "b"]),
        ("flow_run", "tags", '["a", "b,c"]', ["a", "b,c"]),
        ("flow_run", "parameters", '{"x": 1}', {"x": 1}),
        (
            "flow_run",
            "scheduled_start_time",
            "2030-01-02T03:04:05",
            datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        ),
        ("flow_run", "invented", "x", "x"),
        ("task_run", "run_count", "5", 5),
        ("task_run", "task_name", "t", "t"),
        ("deployment", "name", "d", "d"),
    ],
)
def test_the_environment_stands_in(monkeypatch, prefix, module, name, text, value):
    monkeypatch.setenv(f"{prefix}__RUNTIME__{module.upper()}__{name.upper()}", text)
    assert getattr(getattr(runtime, module), name) == value


@pytest.mark.parametrize(("name", "text"), [("run_count", "many"), ("parameters", "{")])
def test_a_stand_in_that_cannot_be_says_so(monkeypatch, name, text):
    variable = f"CELLIST__RUNTIME__FLOW_RUN__{name.upper()}"
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=f"{variable}='{text}' is no "):
        getattr(runtime.flow_run, name)
