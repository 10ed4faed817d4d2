"""Cancel deferred runs by their name, their task's or the beginning of their id."""

from typing import NamedTuple

from cellist.worker.database import QUEUED
from cellist.worker.futures import queue_path, watcher_here
from cellist.worker.jobs import Job
from cellist.worker.losses import Lost
from cellist.worker.recording import record_lost

WHY = "Cancelled on request."


class Told(NamedTuple):
    """What became of deferred runs: those that waited, went on with a worker, or were over."""

    cancelled: list[Job]
    asked: list[Job]
    over: list[Job]


def cancel_named(text: str) -> Told:
    """Cancel the deferred runs that go by a name or an id; those with a worker are told to stop.

    Raises `QueueError` where the queue cannot be used.
    """
    if not queue_path().exists():
        return Told([], [], [])
    queue = watcher_here().queue
    jobs = queue.named(text)
    going = [job for job in jobs if not job.is_over]
    before = queue.cancel_all([job.id for job in going], WHY)
    found = [job for job in going if before.get(job.id) == QUEUED]
    ended = [now for job in found if (now := queue.find(job.id)) is not None]
    record_lost(Lost(job, job.status, job.states) for job in ended)
    over = [job for job in jobs if job.is_over]
    return Told(found, [job for job in going if job not in found], over)
