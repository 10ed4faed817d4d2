"""Put into the history what became of runs whose worker has died.

The history is written a moment after the event, so a worker may have ended runs, and told the
queue, of which its history knows nothing.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from cellist.carried import Known
from cellist.model.deferred import DeferredRun, MirrorRun
from cellist.model.runs import FlowRun, Run, TaskRun
from cellist.model.states import StateType
from cellist.session import get_session
from cellist.worker.database import DONE
from cellist.worker.facts import take_facts
from cellist.worker.jobs import Job
from cellist.worker.losses import Lost
from cellist.worker.queue import Queue

_PATIENCE = 5.0
R = TypeVar("R", bound=DeferredRun)
A = TypeVar("A", bound=Run)


def settle_lost(queue: Queue, lease: float) -> list[Lost]:
    """Queue the runs of dead workers again, and record what became of them.

    The workers are forgotten once it is written: whoever does this may die meanwhile, and the
    next one then finds them again. `lease` is in seconds.
    """
    lost, owners = queue.find_lost(lease)
    if owners:
        record_lost(lost)
        get_session().history.flush(_PATIENCE)
        queue.forget(owners)
    return lost


def record_lost(lost: Iterable[Lost]) -> None:
    """Record what each run is in now; of those that are done, if their end is not recorded."""
    for one in lost:
        with suppress(Exception):  # a history that cannot be written is no reason to fail
            if one.status == DONE:
                mirror = _known(MirrorRun, one.job)
                mirror.seed(one.states)
                take_facts(mirror, one.job.facts)
                mirror.publish()
            else:
                run = _known(DeferredRun, one.job)
                *before, last = one.states
                run.seed(before)
                run.enter(StateType(last[0]), last[1], last[2])


def _known(kind: type[R], job: Job) -> R:
    about = job.about
    definition = Known(job.task, about.get("version"), job.key)
    tags = frozenset(about.get("tags") or ())
    flow = _around(FlowRun, about.get("flow"))
    parent = _around(TaskRun, about.get("parent"))
    if flow is not None and parent is not None and parent.number == flow.number:
        parent = flow
    run = kind(definition, parent, flow, get_session().sinks, tags)
    run.number = int(job.id, 16)
    run.name = about.get("run") or job.task
    run.inputs = about.get("inputs")
    run.upstream = job.upstream or None
    return run


def _around(kind: type[A], number: str | None) -> A | None:
    """Return what stands for a run of which only the id is known."""
    if number is None:
        return None
    run = kind(Known("", None, ""), None, None, (), frozenset())
    run.number = int(number, 16)
    return run
