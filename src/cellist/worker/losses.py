"""Which workers are dead, and what becomes of the runs they had."""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from cellist.caching.processes import own_start, started, this_host
from cellist.model.runs import Entry as StateRow
from cellist.worker.database import DEAD, DONE, QUEUED
from cellist.worker.jobs import AT_MOST_ONCE, Job


@cache
def here() -> str:
    """Return what tells the processes that have numbers in common from all others."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    except OSError:
        space = ""
    return f"{this_host()} {space}"


def this_process() -> tuple[str, int, float]:
    """Return what tells this process from others, also from later ones with its number."""
    return here(), os.getpid(), own_start()


class Watch:
    """Tells whether workers live, by what this process sees of them and by its monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, tuple[int, float]] = {}
        """The last count seen of a worker, and when it was seen first."""

    def is_gone(self, host: str, pid: int, birth: float) -> bool:
        """Whether a process was one of this machine and has ended."""
        return host == here() and started(pid) != birth

    def is_dead(self, worker: tuple[int, str, int, float, int], lease: float) -> bool:
        """Whether a worker's process has ended, or it was not seen to count for so many seconds.

        The worker is told by its number, its process, and how far it has counted.
        """
        owner, host, pid, birth, beat = worker
        now = self._clock()
        seen = self._seen.get(owner)
        if seen is None or seen[0] != beat:
            seen = self._seen[owner] = beat, now
        return self.is_gone(host, pid, birth) or now - seen[1] > lease


class Lost(NamedTuple):
    """A run whose worker was lost, and what became of it: queued, dead, or done if cancelled."""

    job: Job
    status: str
    states: list[StateRow]


def lose(
    connection: sqlite3.Connection,
    job: Job,
    number: int,
    why: str,
    *,
    most: int | None,
    owner: int | None = None,
    cancelled: bool = False,
) -> Lost | None:
    """Queue a run again, or let it end if that may not be or somebody has asked to cancel it.

    `most` is how often a run may be delivered; `None`: the delivery going on is not counted. With
    `owner`, `None` is returned and nothing changed if it no longer is that worker's.
    """
    row = connection.execute("SELECT owner, cancel FROM jobs WHERE id = ?", (job.id,)).fetchone()
    if row is None or (owner is not None and row[0] != owner):
        return None
    cancelled = cancelled or bool(row[1])
    is_free = most is None or (job.delivery != AT_MOST_ONCE and job.deliveries < most)
    kind, status = ("SCHEDULED", QUEUED) if is_free else ("CRASHED", DEAD)
    if cancelled:
        kind, status = "CANCELLED", DONE
    deliveries = job.deliveries - (most is None and job.status == "taken")
    states: list[StateRow] = [*job.states, _state(job, kind, _message(job, why, status, most))]
    connection.execute(
        "UPDATE jobs SET status = ?, owner = NULL, cancel = 0, deliveries = ?, states = ?,"
        " ended = ?, changed = ? WHERE seq = ?",
        (
            *(status, 0 if job.status == DEAD else deliveries),
            *(json.dumps(states), None if status == QUEUED else time.time(), number, job.seq),
        ),
    )
    if status != QUEUED:
        satisfy(connection, job.id)
    return Lost(job, status, states)


def _message(job: Job, why: str, status: str, most: int | None) -> str:
    if status == QUEUED:
        return why if most is None else f"{why} It waits for another worker."
    if status == DONE or most == 0:
        return why
    if job.delivery == AT_MOST_ONCE:
        return f"{why} It is delivered at most once, so it is not run again."
    return f"{why} That was delivery {job.deliveries} of {most}, so it is not tried again."


def _state(job: Job, kind: str, message: str) -> StateRow:
    last = job.states[-1][3] if job.states else 0
    return kind, None, message, max(time.time_ns(), last + 1000)


def satisfy(connection: sqlite3.Connection, run_id: str) -> None:
    """Let runs go on that waited for this one, which is over."""
    connection.execute(
        "UPDATE jobs SET needs = needs - 1 WHERE seq IN (SELECT seq FROM needs WHERE upstream = ?)",
        (run_id,),
    )
    connection.execute("DELETE FROM needs WHERE upstream = ?", (run_id,))
