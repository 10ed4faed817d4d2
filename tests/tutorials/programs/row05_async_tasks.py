"""Async tasks are awaited one after the other, or run side by side."""

import asyncio

from cellist import flow, task


# %%
class Meeting:
    """Nobody leaves before all have come: proves that its visitors are there at once."""

    def __init__(self, size: int) -> None:
        self.size, self.present, self.full = size, 0, asyncio.Event()

    async def attend(self) -> None:
        self.present += 1
        if self.present == self.size:
            self.full.set()
        await asyncio.wait_for(self.full.wait(), timeout=60)


@task
async def visit(name: str) -> str:
    await meeting.attend()
    return name.upper()


@task
async def chat(name: str) -> str:
    print(name, "begins")
    await asyncio.sleep(0)
    print(name, "ends")
    return name


# %%
@flow
async def one_by_one() -> list[str]:
    return [await chat("ann"), await chat("bob")]


@flow
async def gathered() -> list[str]:
    return await asyncio.gather(*[visit(name) for name in ("ann", "bob", "cy")])


@flow
async def grouped() -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visit(name)) for name in ("dan", "eve")]
    return [done.result() for done in tasks]


@flow
async def submitted() -> list[str]:
    futures = visit.map(["fay", "gus"])
    return [await future for future in futures]


@flow
def from_sync_code() -> list[str]:  # which cannot await; it submits
    return [future.result() for future in (visit.submit("hal"), visit.submit("ida"))]


# %%
async def main() -> None:
    global meeting
    print(await one_by_one())
    for size, meet in ((3, gathered), (2, grouped), (2, submitted)):
        meeting = Meeting(size)
        print(await meet())


asyncio.run(main())
# > ann begins
# > ann ends
# > bob begins
# > bob ends
# > ['ann', 'bob']
# > ['ANN', 'BOB', 'CY']
# > ['DAN', 'EVE']
# > ['FAY', 'GUS']

# %%
meeting = Meeting(2)
print(from_sync_code())
# > ['HAL', 'IDA']

# %%
# The call alone starts nothing: it gives a coroutine.
waiting = visit("joe")
assert asyncio.iscoroutine(waiting)
waiting.close()
