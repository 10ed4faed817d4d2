"""Task runners: one after the other or side by side, given as a class or an instance."""

import threading

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.task_runners import (
    ConcurrentTaskRunner,
    SequentialTaskRunner,
    ThreadPoolTaskRunner,
)

# %%
order: list[str] = []


@task(cache_policy=NO_CACHE)
def first_task(num: int) -> int:
    order.append(f"first {num}")
    return num + num


@task(cache_policy=NO_CACHE)
def second_task(num: int) -> int:
    order.append(f"second {num}")
    return num * num


@task(cache_policy=NO_CACHE)
def where() -> str:
    return threading.current_thread().name


@task(cache_policy=NO_CACHE)
def meet(barrier: threading.Barrier) -> bool:
    """Return only when all have come."""
    barrier.wait(timeout=60)
    return True


# %%
# Sequential: a submitted task runs at once, in the caller; futures go from task to task.
@flow(name="Some numbers", task_runner=SequentialTaskRunner())
def in_order(nums: list[int]) -> int:
    found = 0
    for num in nums:
        plus = first_task.submit(num)
        assert plus.state.is_completed()
        order.append("submitted")
        squared = second_task.submit(plus)
        print(plus.result(), squared.result())
        found += squared.result()
    assert where.submit().result() == threading.current_thread().name
    return found


print(in_order([1, 2]))
# > 2 4
# > 4 16
# > 20
print(order)
# > ['first 1', 'submitted', 'second 2', 'first 2', 'submitted', 'second 4']


# %%
# Concurrent: all of them are there at once, or the barrier would not let them go.
@flow(task_runner=ConcurrentTaskRunner())
def side_by_side() -> list[bool]:
    barrier = threading.Barrier(3)
    futures = [meet.submit(barrier) for _ in range(3)]
    return [future.result() for future in futures]


@flow
def by_default() -> list[bool]:
    return meet.map([threading.Barrier(1)] * 2).result()


print(side_by_side(), by_default())
# > [True, True, True] [True, True]


# %%
# As a class; through a copy; with a limit.
@flow(task_runner=SequentialTaskRunner)
def as_a_class() -> bool:
    return where.submit().result() == threading.current_thread().name


@flow(task_runner=ThreadPoolTaskRunner)
def in_threads() -> bool:
    return where.submit().result() == threading.current_thread().name


print(as_a_class(), in_threads())
# > True False
print(in_threads.with_options(task_runner=SequentialTaskRunner())())
# > True
assert isinstance(as_a_class.task_runner, SequentialTaskRunner)


class Room:
    """Counts who is in it."""

    def __init__(self) -> None:
        self.inside, self.most, self.door = 0, 0, threading.Lock()

    def visit(self) -> None:
        with self.door:
            self.inside += 1
            self.most = max(self.most, self.inside)
        threading.Event().wait(0.01)
        with self.door:
            self.inside -= 1


@task(cache_policy=NO_CACHE)
def enter(room: Room) -> None:
    room.visit()


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def two_at_a_time() -> int:
    room = Room()
    enter.map([room] * 8).wait()
    return room.most


assert two_at_a_time() <= 2
assert two_at_a_time.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))() == 1


# %%
# A direct call does not go to the runner.
@flow(task_runner=ConcurrentTaskRunner())
def direct() -> bool:
    return where() == threading.current_thread().name


print(direct())
# > True


# %%
# Each flow has its own; a child flow does not inherit it.
@flow(task_runner=SequentialTaskRunner())
def parent() -> tuple[bool, bool]:
    here = threading.current_thread().name
    return where.submit().result() == here, in_threads()


print(parent())
# > (True, False)


# %%
# Results from one task to several, and on to the next.
@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def network() -> list[int]:
    start = first_task.submit(1)
    middle = [second_task.submit(start), first_task.submit(start)]
    end = add_all.submit(middle, wait_for=[start])
    return [end.result(), *add_all.map([[start, 1], middle]).result()]


@task(cache_policy=NO_CACHE)
def add_all(numbers: list[int]) -> int:
    return sum(numbers)


print(network())
# > [8, 3, 8]
