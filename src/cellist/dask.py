"""Run the tasks of a flow on a Dask cluster. Needs `pip install 'cellist[dask]'`.

    from cellist.dask import DaskTaskRunner

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 4}))
    def crawl(urls): ...

Only the code of tasks leaves this process. States, cache and history stay here. A result stays on
the cluster as long as nothing here needs it, and tasks there get it without it passing through
here. The cache stores bytes, so a task that is cached has its result fetched when it completes; for
large intermediate results switch caching off (`cache_policy=NO_CACHE`).
"""

import contextlib
import logging
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from importlib import import_module
from typing import Any

from cellist.carried import Passage
from cellist.engine.execution import current, enclosing_flow
from cellist.exceptions import ConfigurationError, MissingContextError
from cellist.runners.dask import DaskPool, distributed
from cellist.task_runners import TaskRunner

__path__: list[str] = []  # `cellist.dask.task_runners` is looked for by `compat`


@contextlib.contextmanager
def _reported(client: Any, path: str) -> Generator[None]:
    """Write Dask's report of what happens meanwhile.

    It asks for the current client, which is ours only while we say so: `set_as_default` is the
    user's to choose.
    """
    report = distributed().performance_report(filename=path)
    with client.as_current():
        report.__enter__()
    try:
        yield
    finally:
        with client.as_current():
            report.__exit__(None, None, None)


class DaskTaskRunner(TaskRunner):
    """Runs tasks on a Dask cluster; without options on one of its own, for the flow run.

    `address` is that of a running scheduler; `cluster` a cluster object you made; otherwise a
    cluster is made by `cluster_class` (a class, a function or its import path; default
    `distributed.LocalCluster`) with `cluster_kwargs`, and `adapt_kwargs` go to its `adapt`.
    `client_kwargs` go to `distributed.Client`. `performance_report_path` names an HTML file for
    Dask's report. Coroutine functions run on the workers, each in a loop of its own.

    Raises `ValueError` for options that exclude each other.
    """

    takes_coroutines = True

    def __init__(
        self,
        cluster: Any = None,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: dict[str, Any] | None = None,
        adapt_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        performance_report_path: str | None = None,
    ) -> None:
        super().__init__()
        self.cluster = cluster
        self.address = address
        self.cluster_class = cluster_class
        self.cluster_kwargs = dict(cluster_kwargs or {})
        self.adapt_kwargs = dict(adapt_kwargs or {})
        self.client_kwargs = {"set_as_default": False, **(client_kwargs or {})}
        self.performance_report_path = performance_report_path
        self._check()

    def _check(self) -> None:
        """Raise `ValueError` for options that exclude each other."""
        given = {
            "cluster": self.cluster is not None,
            "cluster_class": self.cluster_class is not None,
            "cluster_kwargs": bool(self.cluster_kwargs),
        }
        others = [name for name, is_given in given.items() if is_given]
        if self.address and (self.adapt_kwargs or others):
            named = ", ".join(f"`{name}`" for name in [*others, "adapt_kwargs"][: len(others) or 1])
            message = f"DaskTaskRunner: `address` names a cluster that runs, so leave out {named}."
            raise ValueError(message)
        if self.cluster is not None and others != ["cluster"]:
            message = f"DaskTaskRunner: `cluster` is there already, so leave out `{others[1]}`."
            raise ValueError(message)
        for name, options in (
            ("client_kwargs", self.client_kwargs),
            ("cluster_kwargs", self.cluster_kwargs),
        ):
            if "asynchronous" in options:
                message = f"DaskTaskRunner: `asynchronous` may not be set in `{name}`."
                raise ValueError(message)

    def _options(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "address": self.address,
            "cluster_class": self.cluster_class,
            "cluster_kwargs": self.cluster_kwargs,
            "adapt_kwargs": self.adapt_kwargs,
            "client_kwargs": self.client_kwargs,
            "performance_report_path": self.performance_report_path,
        }

    def duplicate(self) -> "DaskTaskRunner":
        """Return a fresh runner with the same options."""
        return type(self)(**self._options())

    @property
    def client(self) -> Any:
        """The `distributed.Client` of the runner; made, with the cluster, if there is none yet."""
        return self.pool.client

    def make_pool(self) -> DaskPool:
        """Return a pool that sends tasks to the cluster, made or reached for the first of them."""
        return DaskPool(Passage, partial(self._make_client, _client_of_worker()))

    def _make_client(self, outer: Any) -> tuple[Any, Callable[[], object]]:
        """Return a client of the cluster, and what closes it and what was started for it.

        Raises `ImportError` if `distributed` is not installed, and `ConfigurationError` if the
        cluster cannot be made or reached.
        """
        stack = contextlib.ExitStack()
        try:
            client = self._connect(stack, outer)
            if self.performance_report_path:
                stack.enter_context(_reported(client, self.performance_report_path))
        except (OSError, TimeoutError, RuntimeError) as error:
            stack.close()
            where = f"the Dask scheduler at {self.address!r}" if self.address else "a Dask cluster"
            message = (
                f"DaskTaskRunner cannot reach {where}: {error}. Check the address, that the "
                "scheduler runs, and that this machine can connect to it."
            )
            raise ConfigurationError(message) from error
        except BaseException:
            stack.close()
            raise
        self.tell(f"The Dask dashboard is available at {client.dashboard_link}")
        return client, stack.close

    def _connect(self, stack: contextlib.ExitStack, outer: Any) -> Any:
        dask = distributed()
        if not self.address and self.cluster is None and outer is not None:
            return outer
        target: Any = self.address or self.cluster
        if target is None:
            target = stack.enter_context(self._make_cluster(dask))
        if self.adapt_kwargs:
            target.adapt(**self.adapt_kwargs)
        return stack.enter_context(dask.Client(target, **self.client_kwargs))

    def _make_cluster(self, dask: Any) -> Any:
        make = self.cluster_class or dask.LocalCluster
        if isinstance(make, str):
            module, _, name = make.replace(":", ".").rpartition(".")
            try:
                make = getattr(import_module(module), name)
            except (ImportError, AttributeError, ValueError) as error:
                message = f"DaskTaskRunner: there is no cluster class {make!r}: {error}"
                raise ConfigurationError(message) from error
        # a task whose worker went away has crashed; Dask would run it up to three times again
        once = {"distributed.scheduler.allowed-failures": 0}
        # its workers write what went wrong as they were ended below the cell; ours to tell is more
        quiet = {"silence_logs": logging.CRITICAL} if make is dask.LocalCluster else {}
        with import_module("dask").config.set(once):
            return make(**{**quiet, **self.cluster_kwargs})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DaskTaskRunner) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash((DaskTaskRunner, self.address, str(self.cluster_class)))

    def __repr__(self) -> str:
        given = {
            name: value
            for name, value in self._options().items()
            if value and value != {"set_as_default": False}
        }
        return f"DaskTaskRunner({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def _client_of_worker() -> Any:
    """Return a client of the cluster whose task this is, `None` outside of one."""
    dask = sys.modules.get("distributed")
    if dask is None:
        return None
    try:
        dask.get_worker()
    except ValueError:
        return None
    return dask.get_client()


def _address() -> tuple[str, bool]:
    """Return the address of the scheduler in use here, and whether this is a worker's thread."""
    dask = distributed()
    with contextlib.suppress(ValueError):
        return dask.get_worker().scheduler.address, True
    flow = enclosing_flow(current.get())
    runner: Any = flow.runner if flow is not None else None
    if isinstance(runner, DaskTaskRunner):
        return runner.client.scheduler.address, False
    message = "There is no Dask cluster here: ask in a flow or task that runs on DaskTaskRunner."
    raise MissingContextError(message)


@contextlib.contextmanager
def get_dask_client(timeout: float | None = None, **client_kwargs: Any) -> Generator[Any]:
    """Give a client of the cluster that the flow or task runs on, within a `with` block.

    In a task its place on the worker is given to other work meanwhile. `timeout` is in seconds.
    Raises `MissingContextError` where there is no such cluster.
    """
    address, is_worker = _address()
    options = {"set_as_default": False, **client_kwargs}
    if timeout is not None:
        options["timeout"] = timeout
    with _away(is_worker), distributed().Client(address, **options) as client:
        yield client


@contextlib.asynccontextmanager
async def get_async_dask_client(
    timeout: float | None = None, **client_kwargs: Any
) -> AsyncGenerator[Any]:
    """Give an asynchronous client of the cluster, within an `async with` block.

    As `get_dask_client` does in other respects, too.
    """
    address, is_worker = _address()
    options = {"set_as_default": False, **client_kwargs, "asynchronous": True}
    if timeout is not None:
        options["timeout"] = timeout
    with _away(is_worker):
        async with distributed().Client(address, **options) as client:
            yield client


_aways = threading.local()


@contextlib.contextmanager
def _away(is_worker: bool) -> Generator[None]:
    """Give the place of a task on its worker to other work, unless that was done already.

    Without it tasks that wait for work of theirs could hold all places, and wait for ever.
    """
    depth = getattr(_aways, "depth", 0)
    if is_worker and not depth:
        distributed().secede()
    _aways.depth = depth + is_worker
    try:
        yield
    finally:
        _aways.depth -= is_worker
        if is_worker and not _aways.depth:
            distributed().rejoin()


__all__ = ["DaskTaskRunner", "get_async_dask_client", "get_dask_client"]
