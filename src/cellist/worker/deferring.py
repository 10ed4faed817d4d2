"""What a task can do besides running here: have its runs carried out by a worker, and be one.

Every task can, few ever do: so what it takes, some twenty modules, is loaded at the first use.
"""

import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellist.worker.futures import PrefectDistributedFuture
    from cellist.worker.producing import Call


def _producing() -> Any:
    return import_module("cellist.worker.producing")


def _serving() -> Any:
    return import_module("cellist.worker.serving")


class Deferring:
    """The part of a task that deals with deferred runs."""

    def delay(self, *args: Any, **kwargs: Any) -> "PrefectDistributedFuture[Any]":
        """Queue a run for a worker to carry out, and return its future at once.

        The run is on the disk when this returns, so neither the end of this process nor that of a
        worker loses it. Raises `ParameterBindError`, `SerializationError` naming an argument that
        cannot be sent, and `QueueError`.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        wait_for: Iterable[Any] | None = None,
        dependencies: Mapping[str, Iterable[Any]] | None = None,
        *,
        delivery: str | None = None,
    ) -> "PrefectDistributedFuture[Any]":
        """Do what `delay` does, with arguments as a sequence and a mapping.

        The run begins when the deferred runs in `wait_for` and among its arguments have ended.
        `dependencies` are runs by parameter that it is shown to come from. With
        `delivery="at_least_once"` a run whose worker was lost is run again, with
        `"at_most_once"` it ends as Crashed; the setting `tasks_delivery` is the default.
        """
        call = (self._all(tuple(args or ())), dict(kwargs or {}))
        return _producing().defer(self, [call], wait_for, dependencies, delivery)[0]

    def _all(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a call, with the instance the task is bound to."""
        return args

    def _defer(self, calls: "Iterable[Call]", wait_for: Any, origins: Sequence[Any]) -> list[Any]:
        """Queue a run for each call, all or none of them."""
        return _producing().defer(self, calls, wait_for, origins=origins)

    def serve(
        self,
        limit: int | None = 10,
        status_server_port: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Carry out deferred runs of this task until interrupted; see `cellist.serve`."""
        caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - documented for this use
        return _serving().serve_for(caller, (self,), limit, status_server_port, timeout)

    def aserve(
        self,
        limit: int | None = 10,
        status_server_port: int | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Do what `serve` does, on the running event loop."""
        return _serving().aserve(
            self, limit=limit, status_server_port=status_server_port, timeout=timeout
        )
