"""A task worker is started, stopped, entered as a context, and asked to end by SIGTERM."""

import asyncio
import signal

from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.task_worker import StopTaskWorker, TaskWorker, should_try_to_read_parameters

# %%


@task(cache_policy=NO_CACHE)
def double(x: int) -> int:
    return 2 * x


@task(cache_policy=NO_CACHE)
def nothing() -> None:
    return None


# %%


async def start_and_stop() -> None:
    worker = TaskWorker(double)
    try:
        await worker.stop()
    except RuntimeError as error:
        print(error)
    serving = asyncio.create_task(worker.start())
    future = double.delay(4)
    print(await future.result_async(timeout=60))
    try:
        await worker.stop()
    except StopTaskWorker:
        print("stopping", worker.stopping)
    await serving
    print(worker.started)


asyncio.run(start_and_stop())
# > Task worker has not started. Please start the task worker by calling .start()
# > 8
# > stopping True
# > False

# %%


async def terminate() -> None:
    async with TaskWorker(double, nothing) as worker:
        one, other = double.delay(1), nothing.delay()
        print(should_try_to_read_parameters(double, one.run))
        print(should_try_to_read_parameters(nothing, other.run))
    try:
        worker.handle_sigterm(signal.SIGTERM, None)
    except SystemExit as end:
        print("exit code", end.code)


asyncio.run(terminate())
# > True
# > False
# > exit code 0
