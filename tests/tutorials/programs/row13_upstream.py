"""A run knows which runs its inputs came from, and what became of them."""

from dataclasses import dataclass
from typing import Any

import cellist
from cellist import allow_failure, flow, task
from cellist.context import TaskRunContext
from cellist.exceptions import UpstreamTaskError


# %%
@dataclass
class Order:
    items: list[Any]


@task
def fetch(item: str) -> list[str]:
    return [item]


@task
def price(order: Order, discount: dict[str, Any], *, note: str = "") -> dict[str, list[str]]:
    context = TaskRunContext.get()
    assert context is not None
    return {
        name: [str(link.id) for link in links]
        for name, links in context.task_run.task_inputs.items()
    }


@task(cache_policy=None)
def audit(result: dict) -> int:
    return len(result)


# %%
@flow
def sell() -> tuple[list[str], dict[str, list[str]]]:
    first, second, third = (fetch.submit(item) for item in ("pen", "ink", "pad"))
    links = price.submit(Order([first, 1]), {"of": [second]}, note="thanks", wait_for=[third])
    audit(links.result())
    return [str(future.task_run_id) for future in (first, second, third)], links.result()


(pen, ink, pad), links = sell()
assert links["order"] == [pen]  # found inside a dataclass,
assert links["discount"] == [ink]  # inside a dict,
assert links["wait_for"] == [pad]  # and named where it was only waited for
assert not links.get("note")

# %%
# The record has it too, with the state of each; a plain result is traced to its run.
record = cellist.run("audit")
(source,) = record.upstream["result"]
assert cellist.run(source).definition == "price"
graph = cellist.run("sell").graph
assert len(graph["edges"]) == 4
assert {cellist.run(node).state for node in graph["nodes"]} == {"Completed"}


# %%
# If one of them fails, what depends on it does not run, unless it allows that.
@task
def broken() -> str:
    raise OSError("disk on fire")


@task
def show(text: Any) -> str:
    return f"shown: {text}"


@flow
def go_on() -> list[str]:
    future = broken.submit()
    blocked, allowed = show.submit(future), show.submit(allow_failure(future))
    last = show.submit("late", wait_for=[blocked])
    for one in (blocked, last):
        one.wait()
        print(one.state.name, one.state.type.value)
    try:
        show(future)
    except UpstreamTaskError:
        print("a direct call says so")
    return [allowed.result()]


print(go_on())
# > NotReady PENDING
# > NotReady PENDING
# > a direct call says so
# > ['shown: disk on fire']
