"""A profiler sees the code of tasks that are called directly, as it sees any function."""

import cProfile
import pstats
import threading

from cellist import flow, task


# %%
@task
def work(n: int) -> int:
    assert threading.current_thread() is threading.main_thread()
    return sum(square(i) for i in range(n))


def square(i: int) -> int:
    return i * i


@flow
def workload() -> int:
    return work(10) + work(20)


# %%
profiler = cProfile.Profile()
assert profiler.runcall(workload) == 285 + 2470

# %%
calls: dict[str, int] = {}
for (_, _, name), row in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined] - typeshed leaves it out
    calls[name] = calls.get(name, 0) + row[1]
assert calls["work"] == 2
assert calls["square"] == 30
assert calls["workload"] == 1
