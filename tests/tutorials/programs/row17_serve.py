"""`serve` carries out runs that were submitted without a flow, and offers a status page."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.task_worker import BackgroundWorker, aserve, serve

# %%


@task(cache_policy=NO_CACHE)
def double(x: int) -> int:
    return 2 * x


# %%
futures = double.map([1, 2, 3], deferred=True)
serve(double, limit=2, timeout=0.5)
print([future.state.name for future in futures], futures.result())
# > ['Completed', 'Completed', 'Completed'] [2, 4, 6]

# %%


def free_port() -> int:
    import socket

    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


port = free_port()
with BackgroundWorker(double, limit=3, status_server_port=port):
    double.delay(5).result(timeout=60)
    status = json.load(urlopen(f"http://127.0.0.1:{port}/status", timeout=60))
print(*sorted(status))
print(status["limit"], status["current"], list(status["finished"].values()))
# > available client_id current finished in_flight limit started_at stopping tasks
# > 3 0 [1]

# %%


async def cancelled() -> None:
    serving = asyncio.create_task(aserve(double))
    await asyncio.sleep(0.1)
    serving.cancel()
    await asyncio.wait([serving])
    print(serving.cancelled())


asyncio.run(cancelled())
# > True

# %%
with ThreadPoolExecutor(1) as pool:
    pool.submit(serve, double, timeout=0.1).result(timeout=60)
print("ended")
# > ended
