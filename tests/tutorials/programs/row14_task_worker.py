"""What a task worker tells of itself: its tasks, its limit, what goes on and what has ended."""

import asyncio
import os
import socket

from cellist import task
from cellist.cache_policies import DEFAULT, NO_CACHE
from cellist.task_worker import TaskWorker

# %%


@task(cache_policy=NO_CACHE)
def double(x: int) -> int:
    return 2 * x


@task
async def triple(x: int) -> int:
    return 3 * x


# %%


async def look() -> None:
    worker = TaskWorker(double, triple, limit=2)
    assert worker.client_id == f"{socket.gethostname()}-{os.getpid()}"
    assert [one.persist_result for one in worker.tasks] == [True, True]
    assert [one.cache_policy for one in worker.tasks] == [DEFAULT, DEFAULT]
    print(worker.started, worker.started_at, worker.limit, worker.available_tasks)
    async with worker:
        print(worker.started, worker.current_tasks)
        for future in (double.delay(4), triple.delay(4)):
            await worker.execute_task_run(future)
            print(await future.result_async(timeout=60))
        print(sorted(worker.finished_task_runs.values()))
    print(TaskWorker(double, limit=None).available_tasks)


asyncio.run(look())
# > False None 2 2
# > True 0
# > 8
# > 12
# > [1, 1]
# > None
