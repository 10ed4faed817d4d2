"""Task runners against what they are built on: many small tasks at once, and one after the other.

Everything is started before the clock runs. The share of cellist is what the ratio tells.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from benchmarks.measure import OURS, Contender, Row, Size, interleave
from benchmarks.subjects import same
from cellist import task
from cellist.cache_policies import NO_CACHE
from cellist.dask import DaskTaskRunner
from cellist.ray import RayTaskRunner
from cellist.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

WORKERS = 2
_same = task(same, name="same", cache_policy=NO_CACHE)
Submit = Callable[[int], Callable[[], Any]]
"""Submits a call of a function that does nothing; what it returns gives the result."""


def ours(runner: TaskRunner) -> Submit:
    """Submit to a started runner of ours."""
    return lambda number: runner.submit(_same, {"x": number}).result


def executor(pool: Any) -> Submit:
    """Submit to an executor of the standard library, or a client of Dask."""
    options = {"pure": False} if hasattr(pool, "scheduler_info") else {}
    return lambda number: pool.submit(same, number, **options).result


def at_once(submit: Submit, count: int) -> Contender:
    """Return what submits all calls and then asks for the results."""

    def run() -> float:
        begun = time.perf_counter()
        for result in [submit(number) for number in range(count)]:
            result()
        return (time.perf_counter() - begun) / count

    return run


def one_by_one(submit: Submit, count: int) -> Contender:
    """Return what waits for each result before it submits the next call."""

    def run() -> float:
        begun = time.perf_counter()
        for number in range(count):
            submit(number)()
        return (time.perf_counter() - begun) / count

    return run


def compare(size: Size, name: str, peer: str, runner: TaskRunner, base: Submit) -> Iterator[Row]:
    """Yield throughput and latency of one runner beside its peer's."""
    with runner:
        ours(runner)(0)()  # a cluster is reached, and a process started, for the first call
        for kind, make, usual in (("at once", at_once, 1000), ("latency", one_by_one, 100)):
            count = size.items(usual)
            contenders = {OURS: make(ours(runner), count), peer: make(base, count)}
            rounds = interleave(size.heavy(), contenders)
            yield from rounds.rows(f"{name}: {kind}", {peer: None})


def runners(size: Size) -> Iterator[Row]:
    """Compare each runner with its peer, where the peer is installed."""
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield from compare(
            size, "threads", "ThreadPoolExecutor", ThreadPoolTaskRunner(WORKERS), executor(threads)
        )
        spawn = multiprocessing.get_context("spawn")
        processes = stack.enter_context(ProcessPoolExecutor(WORKERS, spawn))
        yield from compare(
            size,
            "processes",
            "ProcessPoolExecutor",
            ProcessPoolTaskRunner(WORKERS),
            executor(processes),
        )
    if size.tiny:
        return  # clusters take longer to start than all the rest
    if find_spec("distributed"):
        yield from on_dask(size)
    if find_spec("ray"):
        yield from on_ray(size)


def on_dask(size: Size) -> Iterator[Row]:
    """Compare with Dask used directly, on the same cluster."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=WORKERS, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield from compare(
            size, "dask", "distributed", DaskTaskRunner(cluster=cluster), executor(client)
        )


def on_ray(size: Size) -> Iterator[Row]:
    """Compare with Ray used directly, on the same cluster."""
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    remote: Any = ray.remote(same)

    def base(number: int) -> Callable[[], Any]:
        reference = remote.remote(number)
        return lambda: ray.get(reference)

    yield from compare(size, "ray", "ray", RayTaskRunner(), base)
    ray.shutdown()
