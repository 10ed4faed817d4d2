"""A task runs in a flow, in another task, and on its own; it may be imported."""

import measures
from measures import to_fahrenheit

import cellist
from cellist import flow, runtime, task
from cellist.context import TaskRunContext


# %%
@task
def label(celsius: float) -> str:
    """Call an imported task inside this one."""
    inner.append(to_fahrenheit(celsius, return_state=True))
    return f"{celsius:g} °C is {inner[-1].result():g} °F"


@task
def whereabouts() -> tuple[str | None, str | None]:
    return runtime.flow_run.flow_name, runtime.task_run.name


inner = []


# %%
@flow
def report(readings: list[float]) -> str:
    warm = to_fahrenheit(readings[0])
    mean = measures.average.submit(readings)
    print(label(readings[1]))
    return f"{warm:g}, {mean.result():g}, {whereabouts()[0]}"


print(report([10.0, 30.0]))
# > 30 °C is 86 °F
# > 50, 20, report

# %%
# On its own a task run belongs to no flow and is named after its task.
assert whereabouts() == (None, "whereabouts")
assert label(100.0) == "100 °C is 212 °F"

# %%
# The run inside the task knows its parent, in a flow and without one.
for state, flow_name in zip(inner, ["report", None], strict=True):
    record = cellist.run(state.state_details.task_run_id)
    assert record.parent is not None
    assert cellist.run(record.parent).definition == "label"
    assert (record.flow is not None) == (flow_name is not None)
    if record.flow is not None:
        assert cellist.run(record.flow).definition == flow_name


# %%
@task
def outer() -> tuple[str, list[str]]:
    return runtime.task_run.id or "", innermost()


@task
def innermost() -> list[str]:
    context = TaskRunContext.get()
    assert context is not None
    return [str(link.id) for link in context.task_run.task_inputs["__parents__"]]


own_id, parents = outer()
assert parents == [own_id]


# %%
# Inputs may be anything, and come out of the task the same object where nothing is cached.
@task(cache_policy=None)
def same(value: object) -> object:
    return value


thing = [object()]
assert same(thing) is thing
