"""A generator task is Running while it yields, and the parent of who consumes its values."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import cellist
from cellist import flow, runtime, task
from cellist.context import TaskRunContext


# %%
class Batch:
    """Some records, of a kind of their own."""

    def __init__(self, records: list[int]) -> None:
        self.records = records


@task
def batches(count: int) -> Iterator[Batch]:
    ids.append(runtime.task_run.id)
    for number in range(count):
        yield Batch([number, number + 1])


@task
async def batches_async(count: int) -> AsyncIterator[Batch]:
    ids.append(runtime.task_run.id)
    for number in range(count):
        await asyncio.sleep(0)
        yield Batch([number])


@task(cache_policy=None)
def total(batch: Batch) -> int:
    context = TaskRunContext.get()
    assert context is not None
    links = context.task_run.task_inputs
    totals.append(runtime.task_run.id)
    parents.append([str(link.id) for link in links.get("__parents__", [])])
    return sum(batch.records)


ids: list[str | None] = []
totals: list[str | None] = []
parents: list[list[str]] = []


# %%
@flow
def add_up() -> int:
    found = 0
    for batch in batches(2):
        print("while it yields:", cellist.run(ids[0]).state)
        found += total(batch)
    print("when it is exhausted:", cellist.run(ids[0]).state)
    return found


assert add_up() == 4
# > while it yields: Running
# > while it yields: Running
# > when it is exhausted: Completed

# %%
record = cellist.run(ids[0])
print(" → ".join(state.name for state in record.states))
# > Pending → Running → Completed
assert len(ids) == 1  # one run, however many values

# %%
# Each consumer names the generator's run as its parent: there the value came from.
assert parents == [ids, ids]
for consumer in totals:
    assert [record.id] in cellist.run(consumer).upstream.values()


# %%
# So do consumers that are submitted, and those of an async generator.
@flow
def add_up_submitted() -> int:
    return sum(future.result() for future in [total.submit(batch) for batch in batches(2)])


@flow
async def add_up_async() -> int:
    return sum([total(batch) async for batch in batches_async(2)])


parents.clear()
assert add_up_submitted() == 4
# %%
assert asyncio.run(add_up_async()) == 1
# %%
assert parents == [[ids[1]]] * 2 + [[ids[2]]] * 2
ids = ids[:1]


# %%
# A consumer that has had enough ends the run as Completed.
@flow
def just_one() -> None:
    for batch in batches(100):
        total(batch)
        break


just_one()
assert len(ids) == 2
print(" → ".join(state.name for state in cellist.run(ids[1]).states))
# > Pending → Running → Completed


# %%
@task
def breaks() -> Iterator[int]:
    ids.append(runtime.task_run.id)
    yield 1
    raise LookupError("no second value")


@flow
def meets_a_failure() -> list[int]:
    found = []
    try:
        for value in breaks():
            found += [value]
    except LookupError as error:
        print("failed:", error)
    return found


assert meets_a_failure() == [1]
# > failed: no second value
print(cellist.run(ids[2]).state)
# > Failed
