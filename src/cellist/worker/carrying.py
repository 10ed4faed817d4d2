"""Carry claimed runs out by the ordinary engine, as the runs that they were queued as."""

import contextvars
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from cellist import settings
from cellist.calling import begin, new_execution
from cellist.carried import revive
from cellist.decorated import Decorated
from cellist.engine.execution import active_tags, current
from cellist.engine.inputs import find_upstream
from cellist.exceptions import ObjectNotFound
from cellist.future import PrefectFuture
from cellist.model.deferred import DeferredRun
from cellist.model.events import Event, StateChanged
from cellist.taskkeys import code_parts
from cellist.worker.futures import PrefectDistributedFuture
from cellist.worker.jobs import Job
from cellist.worker.payloads import Unsigned, load, parameters_of, unseal


def is_task(value: Any) -> bool:
    """Whether a value is a task."""
    return isinstance(value, Decorated) and value.noun == "task"


def read_job(job: Job, sealed: bytes | None) -> dict[str, Any]:
    """Return what a run is called with. Raises `Unsigned`, or what unpickling raises."""
    if sealed is None:
        raise Unsigned("its parameters are not in the queue any more")
    return load(unseal(parameters_of(job.parameters, job.id, job.key), sealed))


def start(
    job: Job,
    task: Any,
    data: dict[str, Any],
    runner: Any,
    on_state: Callable[[DeferredRun], object],
) -> PrefectFuture[Any]:
    """Start a run that was claimed, on the running loop or in the pool of a runner.

    Raises `ObjectNotFound` if it waits for a run that is not known.
    """
    return contextvars.Context().run(_start, job, task, data, runner, on_state)


def _start(
    job: Job,
    task: Any,
    data: dict[str, Any],
    runner: Any,
    on_state: Callable[[DeferredRun], object],
) -> PrefectFuture[Any]:
    nothing: dict[str, Any] = {"runs": [], "tags": [], "settings": {}}
    carried: dict[str, Any] = data.get("context") or nothing
    current.set(revive(carried))
    active_tags.set(frozenset(carried["tags"]))
    plan = task.plan()
    if carried["settings"]:
        plan = task.plan_under(replace(settings.active(), **carried["settings"]))
    args, kwargs = task.shape.call_of(data.get("parameters") or {})
    wait_for = data.get("wait_for")
    _check_known([*task.shape.named(args, kwargs), ("wait_for", wait_for)])

    def make_run(
        definition: Any, parent: Any, flow: Any, sinks: Iterable[Any], tags: Any, cell: Any
    ) -> DeferredRun:
        def note(event: Event) -> None:
            if isinstance(event, StateChanged):
                on_state(run)

        run = DeferredRun(definition, parent, flow, (*sinks, note), tags, cell)
        run.number = int(job.id, 16)
        run.name = job.about.get("run") or job.task
        run.seed(job.states)
        return run

    plan.shape.check(args, kwargs)
    x = new_execution(task, plan, args, kwargs, wait_for, (), make_run)
    x.run.upstream = {**job.upstream, **(x.run.upstream or {})} or None
    return begin(x, runner)


def _check_known(named: list[tuple[str, Any]]) -> None:
    """Raise `ObjectNotFound` for the future of a run that will never end."""
    for one in find_upstream(named)[0]:
        source: Any = one.source
        if isinstance(source, PrefectDistributedFuture):
            try:
                source.done()
            except ObjectNotFound as error:
                message = f"`{one.parameter}` is the future of a run that is not known: {error}"
                raise ObjectNotFound(message) from None


def difference(job: Job, task: Any) -> str | None:
    """Return one sentence if the worker's code of a task is not that which the run was queued with.

    The task's own source is part of its key, so it is what the source reaches.
    """
    theirs: dict[str, str] = job.about.get("parts") or {}
    if not theirs:
        return None
    ours = code_parts(task.fn)
    changed = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    if not changed:
        return None
    return (
        f"The code of task `{job.task}` in this worker is not that of the process that queued the "
        f"run: {', '.join(changed)} differs. The worker's code runs; restart the worker if it is "
        "the older one."
    )
