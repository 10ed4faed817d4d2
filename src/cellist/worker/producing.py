"""Queue deferred runs: what `delay`, `apply_async` and `map(deferred=True)` do.

A run is made, what it was called with is pickled and signed, and both are written in one
transaction. Only then is the run announced, so there is no run that was not handed over.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from cellist import settings
from cellist.carried import serialize_context
from cellist.engine.execution import (
    Execution,
    active_tags,
    current,
    current_cell,
    enclosing_flow,
)
from cellist.engine.inputs import Upstream, find_upstream
from cellist.engine.lineage import upstream_of
from cellist.engine.plan import Plan
from cellist.engine.promise import Promise
from cellist.exceptions import ConfigurationError, SerializationError
from cellist.model.deferred import MirrorRun, hex_of
from cellist.model.facts import Arguments
from cellist.model.ids import as_hex
from cellist.model.previews import short
from cellist.rehearsal import Rehearsal
from cellist.session import Session, get_session
from cellist.taskkeys import code_parts
from cellist.worker.futures import PrefectDistributedFuture, watcher_here
from cellist.worker.jobs import DELIVERIES, Entry
from cellist.worker.payloads import pack_parameters, parameters_of, seal
from cellist.worker.watching import Watcher

Call = tuple[tuple[Any, ...], dict[str, Any]]
_log = logging.getLogger("cellist")
_MOST_INPUTS = 50


def defer(
    task: Any,
    calls: Iterable[Call],
    wait_for: Any = None,
    dependencies: Mapping[str, Any] | None = None,
    delivery: str | None = None,
    origins: Sequence[Upstream] = (),
) -> list[Any]:
    """Queue a run for each call, all or none of them, and return their futures.

    Raises `ParameterBindError` for arguments that do not fit, `SerializationError` naming the
    parameter that cannot be sent, `ConfigurationError` for a `delivery` there is not, and
    `QueueError` if the queue cannot be written.
    """
    parent = current.get()
    if parent is None:
        settings.refresh()
    elif type(parent) is Rehearsal:
        return [parent.submit(task, args, kwargs, wait_for) for args, kwargs in calls]
    chosen = delivery or settings.active().tasks_delivery
    if chosen not in DELIVERIES:
        message = f"`delivery` must be one of {', '.join(DELIVERIES)}, got {delivery!r}."
        raise ConfigurationError(message)
    producer = _Producer(task, parent, wait_for, dependencies or {}, chosen, origins)
    made = [producer.make(args, kwargs) for args, kwargs in calls]
    watcher = watcher_here()
    if made:
        watcher.queue.add([entry for _, entry in made])
    futures = [producer.announce(run, watcher) for run, _ in made]
    if made:
        runs = [run for run, _ in made]
        _log.info("Queued %d run(s) of task %r; the first is %s.", len(runs), task.name, runs[0].id)
        producer.tell_of_workers(watcher.queue.workers(), runs)
    return futures


class _Producer:
    """Makes the runs of one task that are queued together."""

    def __init__(
        self,
        task: Any,
        parent: Execution | None,
        wait_for: Any,
        dependencies: Mapping[str, Any],
        delivery: str,
        origins: Sequence[Upstream],
    ) -> None:
        self.task = task
        self.plan: Plan = task.plan()
        self.parent = parent
        self.wait_for = wait_for
        self.delivery = delivery
        self.most = settings.active().tasks_max_deliveries
        self.origins = origins
        self.services: Session = get_session() if parent is None else parent.services
        self.context = serialize_context()
        self.key: str = task.task_key
        self.dependencies = {
            name: tuple(UUID(hex_of(one)).int for one in found)
            for name, found in dependencies.items()
        }
        self.about = {
            "version": task.version,
            "parts": code_parts(task.fn),
        }

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[MirrorRun, Entry]:
        """Return a run that is not announced yet, and what is to be queued of it."""
        self.plan.shape.check(args, kwargs)
        named = self.plan.shape.named(args, kwargs)
        found, _ = find_upstream([*named, ("wait_for", self.wait_for)])
        self._check_futures(found)
        run = self._run(args, kwargs)
        x = Execution(
            *(run, self.task, self.plan, args, kwargs),
            *(self.parent, enclosing_flow(self.parent), self.services),
        )
        links = upstream_of(x, named, [*found, *self.origins]) or {}
        run.upstream = {**links, **self.dependencies} or None
        identifier = uuid4()
        run.parameters_id = identifier
        parameters = self.plan.bind(args, kwargs)
        data: dict[str, Any] = {"context": self.context}
        if parameters:
            data["parameters"] = parameters
        if self.wait_for:
            data["wait_for"] = self.wait_for
        run_id = as_hex(run.number)
        body = pack_parameters(self.task.name, parameters, data)
        entry = Entry(
            run_id,
            self.key,
            self.task.name,
            self.delivery,
            self.most,
            identifier.hex,
            seal(parameters_of(identifier.hex, run_id, self.key), body),
            run.rows(),
            self._about(run),
            [as_hex(one.source.run.number) for one in found if isinstance(one.source, Promise)],
        )
        return run, entry

    def _check_futures(self, found: Sequence[Upstream]) -> None:
        for one in found:
            if isinstance(one.source, Promise) and not getattr(one.source, "is_portable", False):
                where = one.parameter if one.parameter == "wait_for" else f"`{one.parameter}`"
                message = (
                    f"Parameter {where} of task `{self.task.name}` holds the future of "
                    f"{one.source.run.name!r}, a run of this process, for which a worker cannot "
                    "wait. Pass its `.result()`, or start that run by `.delay()` too."
                )
                raise SerializationError(message)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> MirrorRun:
        parent = self.parent
        flow = enclosing_flow(parent)
        tags = active_tags.get()
        run = MirrorRun(
            self.task,
            parent.run if parent is not None else None,
            flow.flow_run if flow is not None else None,
            self.services.sinks,
            self.plan.tags | tags if tags else self.plan.tags,
            parent.run.cell if parent is not None else current_cell.get(),
        )
        run.call = Arguments(args, kwargs)
        run.where = "queue"
        run.seed([("SCHEDULED", None, None, time.time_ns())])
        return run

    def _about(self, run: MirrorRun) -> dict[str, Any]:
        names = self.plan.shape.named(*Arguments.of(run.call))
        return {
            **self.about,
            "run": run.name,
            "tags": sorted(run.tags),
            "flow": as_hex(run.flow.number) if run.flow is not None else None,
            "parent": as_hex(run.parent.number) if run.parent is not None else None,
            "inputs": {name or "*": short(value) for name, value in names[:_MOST_INPUTS]},
            "upstream": {
                name: [as_hex(number) for number in numbers]
                for name, numbers in (run.upstream or {}).items()
            },
        }

    def announce(self, run: MirrorRun, watcher: Watcher) -> PrefectDistributedFuture[Any]:
        """Publish a run that was queued, and return its future."""
        services = self.services
        if self.parent is None:
            try:
                services.on_root_run(run.cell, run)
            except Exception as error:
                services.warn(f"cellist could not show its board: {type(error).__name__}: {error}")
        run.publish()
        future: PrefectDistributedFuture[Any] = PrefectDistributedFuture(run.id, run, watcher)
        if run.cell is not None:
            future.follow()
        return future

    def tell_of_workers(self, workers: Sequence[dict[str, Any]], runs: list[MirrorRun]) -> None:
        """Say on the runs why nobody will take them at once, if that is so."""
        if any(self.key in worker["tasks"] for worker in workers):
            return
        name = self.task.name
        other = [one for one in workers if name in one["tasks"].values()]
        if other:
            text = (
                f"Worker {other[0]['client_id']} serves a task `{name}` whose code is another one "
                f"than that of `{name}` here. The run waits for a worker with this code: restart "
                "the worker with it."
            )
            self.services.warn(text, once=("other code", self.key, other[0]["client_id"]))
        else:
            text = f"Queued. No worker serves `{name}` ({self.key}) at present."
        for run in runs:
            run.log(logging.INFO, text)
