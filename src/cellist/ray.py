"""Run the tasks of a flow on a Ray cluster. Needs `pip install 'cellist[ray]'`.

    from cellist.ray import RayTaskRunner, remote_options

    @flow(task_runner=RayTaskRunner())
    def train(parts):
        with remote_options(num_cpus=2):
            return fit.map(parts).result()

Only the code of tasks leaves this process. States, cache and history stay here. A result stays in
Ray's object store as long as nothing here needs it, and tasks there get it from the store. The
cache stores bytes, so a task that is cached has its result fetched when it completes.
"""

from collections.abc import Callable
from typing import Any

from cellist.carried import Passage
from cellist.exceptions import ConfigurationError
from cellist.runners.ray import RayPool, ray, remote_options, start
from cellist.task_runners import TaskRunner

__path__: list[str] = []  # `cellist.ray.context` is looked for by `compat`


def _sentence(error: Exception) -> str:
    return f"{str(error).strip().rstrip('.')}."


class RayTaskRunner(TaskRunner):
    """Runs tasks on a Ray cluster: the one this process is connected to, else a new connection.

    `address` is that of a running cluster, such as `"auto"` or `"ray://head:10001"`; without it Ray
    is started on this machine. `init_kwargs` go to `ray.init`. What was started or connected for a
    flow run is shut down with it. Coroutine functions run on the workers.
    """

    takes_coroutines = True

    def __init__(
        self, address: str | None = None, init_kwargs: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.address = address
        self.init_kwargs = {"namespace": "prefect", **(init_kwargs or {})}
        if address and "address" in self.init_kwargs:
            message = "RayTaskRunner: give the address as `address` or in `init_kwargs`, not both."
            raise ValueError(message)

    def duplicate(self) -> "RayTaskRunner":
        """Return a fresh runner with the same options."""
        return type(self)(self.address, self.init_kwargs)

    def make_pool(self) -> RayPool:
        """Return a pool that sends tasks to Ray, started or reached for the first of them."""
        return RayPool(Passage, self._connect)

    def _connect(self) -> Callable[[], object]:
        """Connect this process to Ray, and return what to call in the end.

        Raises `ImportError` if `ray` is not installed, and `ConfigurationError` if the cluster
        cannot be started or reached.
        """
        if ray().is_initialized():
            self._tell_of_another_address()
            return int
        options = {**self.init_kwargs, **({"address": self.address} if self.address else {})}
        try:
            context, end = start(options)
        except Exception as error:
            why = _sentence(error)
            if self.address:
                message = (
                    f"RayTaskRunner cannot reach the Ray cluster at {self.address!r}: {why} Check "
                    "the address, that the cluster runs, and that it has the same versions "
                    "of Python and Ray."
                )
            else:
                message = f"RayTaskRunner cannot start Ray on this machine: {why}"
            raise ConfigurationError(message) from error
        url = getattr(context, "dashboard_url", None)
        if url:
            self.tell(f"The Ray dashboard is available at http://{url}")
        return end

    def _tell_of_another_address(self) -> None:
        """Say so if this process is connected already, and not to the cluster that is meant."""
        connected = ray().get_runtime_context().gcs_address
        if self.address and self.address not in ("auto", "local", connected):
            self.tell(
                f"The tasks run on the Ray cluster at {connected}, to which this process is "
                f"connected already, and not on {self.address!r}. For that one, call "
                "ray.shutdown() first."
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RayTaskRunner) and (self.address, self.init_kwargs) == (
            other.address,
            other.init_kwargs,
        )

    def __hash__(self) -> int:
        return hash((RayTaskRunner, self.address))

    def __repr__(self) -> str:
        return f"RayTaskRunner(address={self.address!r})"


__all__ = ["RayTaskRunner", "remote_options"]
