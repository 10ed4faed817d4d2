"""Names of runs from templates and functions; `runtime` tells a run about itself."""

from datetime import date

import cellist
from cellist import flow, runtime, tags, task
from cellist.runtime import flow_run, task_run


# %%
@task(task_run_name="bill-{customer[name]}-on-{day:%A}")
def bill(customer: dict, day: date, currency: str = "EUR") -> str | None:
    return runtime.task_run.name


@task(task_run_name="pay-in-{currency}")
def pay(currency: str = "EUR") -> str | None:
    return runtime.task_run.name


def by_flow() -> str:
    return f"{flow_run.flow_name}-{task_run.task_name}-{task_run.parameters['n']}"


@task(task_run_name=by_flow)
def number(n: int) -> str | None:
    return runtime.task_run.name


@task(task_run_name=lambda parameters: f"half-of-{parameters['n']}")
def half(n: int) -> str | None:
    return runtime.task_run.name


@flow(flow_run_name="close-{year}")
def close_books(year: int) -> list[str | None]:
    monday = date(year, 7, 7)
    return [
        runtime.flow_run.name,
        bill({"name": "ann"}, monday),
        pay(),
        number(3),
        half.submit(8).result(),
    ]


print(*close_books(2025), sep="\n")
# > close-2025
# > bill-ann-on-Monday
# > pay-in-EUR
# > close-books-number-3
# > half-of-8

# %%
# Those are the names of the records.
assert cellist.run("close-2025").definition == "close-books"
names = cellist.runs(flow="close-2025", kind="task")["name"]
assert sorted(names) == [
    "bill-ann-on-Monday",
    "close-books-number-3",
    "half-of-8",
    "pay-in-EUR",
]


# %%
# A name is made of resolved inputs, and once per run.
attempts: list[str | None] = []
made: list[int] = []


def once(parameters: dict) -> str:
    made.append(parameters["n"])
    return f"n-is-{parameters['n']}-{len(made)}"


@task(task_run_name=once, retries=2)
def stubborn(n: int) -> int:
    attempts.append(runtime.task_run.name)
    if runtime.task_run.run_count < 3:
        raise RuntimeError("not yet")
    return n


@task
def seven() -> int:
    return 7


@flow
def insist() -> int:
    return stubborn.submit(seven.submit()).result()


assert insist() == 7
assert attempts == ["n-is-7-1"] * 3
assert made == [7]


# %%
# What `runtime` knows, inside and outside of runs.
@task(tags=["b"], name="Teller")
def tell(x: int, y: int = 2) -> dict:
    return {
        "name": task_run.task_name,
        "tags": sorted(task_run.tags),
        "parameters": task_run.parameters,
        "run_count": task_run.run_count,
        "flow": flow_run.flow_name,
        "flow parameters": flow_run.parameters,
        "flow tags": sorted(flow_run.tags),
        "ids": bool(task_run.id) and bool(flow_run.id) and task_run.id != flow_run.id,
    }


@flow(name="Telling", version="9")
def telling(x: int) -> dict:
    assert flow_run.run_count == 1
    assert flow_run.flow_version == "9"
    assert task_run.id is None
    return tell(x)


with tags("a"):
    known = telling(1)
for key, value in known.items():
    print(f"{key}: {value}")
# > name: Teller
# > tags: ['a', 'b']
# > parameters: {'x': 1, 'y': 2}
# > run_count: 1
# > flow: Telling
# > flow parameters: {'x': 1}
# > flow tags: ['a']
# > ids: True
assert (flow_run.id, flow_run.name, task_run.id, task_run.name) == (None,) * 4
assert (flow_run.parameters, flow_run.tags, task_run.run_count) == ({}, [], 0)

# %%
# It tells of the run that asks: the next one hears something else.
assert telling(1)["flow tags"] == []
with tags("c"):
    assert telling(1)["flow tags"] == ["c"]


# %%
# A name that cannot be made fails the run, which says so.
@task(task_run_name="for-{nobody}")
def nameless(x: int) -> int:
    return x


try:
    nameless(1)
except KeyError as error:
    print("no name:", error)
# > no name: 'nobody'
assert cellist.run("nameless").state == "Failed"
