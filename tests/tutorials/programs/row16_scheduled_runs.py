"""A scheduled run keeps its parameters; a worker makes it Pending, and the engine runs it."""

import asyncio

from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.task_worker import TaskWorker, read_parameters

# %%
tries = []


@task(cache_policy=NO_CACHE, retries=1)
def second_time(x: int) -> int:
    tries.append(x)
    if len(tries) == 1:
        raise ValueError("not yet")
    return x


@task(cache_policy=NO_CACHE)
def unknown() -> None:
    return None


# %%


async def carry_out() -> None:
    future = second_time.delay(4)
    details = future.state.state_details
    print(future.state.name, details.deferred)
    print(read_parameters(details.task_parameters_id)["parameters"])
    await TaskWorker(second_time).execute_task_run(future)
    print(future.state.name, [state.name for state in future.run.states])
    left = unknown.delay()
    await TaskWorker(second_time).execute_task_run(left)
    print(left.state.name)


asyncio.run(carry_out())
# > Scheduled True
# > {'x': 4}
# > Completed ['Scheduled', 'Pending', 'Running', 'Retrying', 'Completed']
# > Scheduled
