"""Put into the history what became of runs whose worker has died.

The history is written a moment after the event, so a worker may have ended runs, and told the
queue, of which its history knows nothing.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from cellist.carried import Known
from cellist.model.deferred import DeferredRun, MirrorRun
from cellist.model.states import StateType
from cellist.session import get_session
from cellist.worker.database import DONE
from cellist.worker.facts import take_facts
from cellist.worker.jobs import Job
from cellist.worker.losses import Lost

R = TypeVar("R", bound=DeferredRun)


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
    run = kind(definition, None, None, get_session().sinks, tags)
    run.number = int(job.id, 16)
    run.name = about.get("run") or job.task
    run.inputs = about.get("inputs")
    return run
