"""At most so many runs with a tag at a time."""

import asyncio
import threading
import time
from collections.abc import Callable

import cellist
from cellist import flow, limits, tags, task
from cellist.cache_policies import NO_CACHE


# %%
class Database:
    """Counts who is connected, and can make its guests wait for each other."""

    def __init__(self, together: int = 1) -> None:
        self.inside, self.most, self.door = 0, 0, threading.Lock()
        self.together = threading.Barrier(together)
        self.open = threading.Event()

    def __enter__(self) -> None:
        with self.door:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.together.wait(timeout=60)

    def __exit__(self, *_: object) -> None:
        with self.door:
            self.inside -= 1


@task(tags=["database"], cache_policy=NO_CACHE)
def query(database: Database, number: int) -> int:
    with database:
        return number


@task(cache_policy=NO_CACHE)
def compute(number: int) -> int:
    return number * 10


def eventually(met: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# %%
# Two at a time: pairs meet inside, and never is there a third.
limits.set_tag("database", 2)


@flow
def report() -> list[int]:
    database = Database(together=2)
    numbers = query.map([database] * 6, range(6)).result()
    assert database.most == 2
    return numbers


print(report())
# > [0, 1, 2, 3, 4, 5]

# %%
# Who waits says so, and holds up nobody who has another tag.
limits.set_tag("database", 1)


@task(tags=["database"], cache_policy=NO_CACHE)
def hold(database: Database) -> str:
    with database:
        database.open.wait(timeout=60)
    return "released"


@flow
def queue() -> list[str]:
    database = Database()
    first = hold.submit(database)
    eventually(lambda: database.inside == 1)
    second = query.submit(database, 1)
    eventually(lambda: second.state.name == "AwaitingConcurrencySlot")
    assert compute.submit(4).result() == 40
    database.open.set()
    assert (first.result(), second.result(), database.most) == ("released", 1, 1)
    return [state.name for state in cellist.run(second.task_run_id).states]


print(*queue(), sep=" → ")
# > Pending → AwaitingConcurrencySlot → Running → Completed


# %%
# Tags of the place count as well; async tasks wait the same way.
limits.set_tag("api", 1)


@task(cache_policy=NO_CACHE)
async def fetch(seen: list[str], name: str) -> None:
    seen.append(f"{name} in")
    for _ in range(5):
        await asyncio.sleep(0)
    seen.append(f"{name} out")


@flow
async def crawl() -> list[str]:
    seen: list[str] = []
    with tags("api"):
        await asyncio.gather(*[fetch(seen, name) for name in "abc"])
    return seen


for step in asyncio.run(crawl()):
    print(step)
# > a in
# > a out
# > b in
# > b out
# > c in
# > c out

# %%
# Without a limit a tag limits nothing.
limits.remove("tag:api")
limits.remove("tag:database")


@flow
def freely() -> int:
    database = Database(together=3)
    query.map([database] * 3, range(3)).wait()
    return database.most


print(freely())
# > 3
