"""Workers for deferred runs: `serve(*tasks)`, and `TaskWorker` for those who need more."""

from typing import Any
from uuid import UUID

from cellist.exceptions import ObjectNotFound
from cellist.model.awaited import also_awaitable
from cellist.worker.futures import queue_path
from cellist.worker.payloads import load, pack_parameters, parameters_of, seal, unseal
from cellist.worker.queue import Queue
from cellist.worker.serving import BackgroundWorker, aserve, serve
from cellist.worker.status import create_status_server
from cellist.worker.worker import StopTaskWorker, TaskWorker, should_try_to_read_parameters


@also_awaitable
def store_parameters(*where: Any) -> None:
    """Keep what a run is called with in the queue: `store_parameters(identifier, parameters)`.

    A store in front, as Prefect's function has it, is passed over.
    """
    identifier, data = where[-2:]
    body = pack_parameters("parameters", data.get("parameters") or {}, data)
    queue = Queue(queue_path())
    queue.put_payload(identifier.hex, seal(_purpose(queue, identifier), body))
    queue.close()


@also_awaitable
def read_parameters(*where: Any) -> dict[str, Any]:
    """Return what a run is called with: `parameters`, `wait_for` and `context`.

    `read_parameters(identifier)` takes the `task_parameters_id` of a scheduled state; a store in
    front, as Prefect's function has it, is passed over. Raises `ObjectNotFound` if there are none.
    """
    identifier: UUID = where[-1]
    queue = Queue(queue_path())
    sealed = queue.payload(identifier.hex)
    if sealed is None:
        raise ObjectNotFound(f"No parameters are kept under {identifier}: the run may be over.")
    found = load(unseal(_purpose(queue, identifier), sealed))
    queue.close()
    return found


def _purpose(queue: Queue, identifier: UUID) -> str:
    job = queue.find_by_parameters(identifier.hex)
    return parameters_of(identifier.hex, job.id if job else "", job.key if job else "")


__all__ = [
    "BackgroundWorker",
    "StopTaskWorker",
    "TaskWorker",
    "aserve",
    "create_status_server",
    "read_parameters",
    "serve",
    "should_try_to_read_parameters",
    "store_parameters",
]
