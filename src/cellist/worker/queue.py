"""The queue of deferred runs: handing them over, claiming, acknowledging, finding the lost ones.

A run is claimed by a worker, which is a row that counts up while the worker lives. A run is lost
if its worker's process is gone, or if nobody has seen the worker count for the time of a lease.
Whoever looks measures that time by its own monotonic clock, so no clock that is set, here or on
another machine, can make a live worker look dead. A run leaves the queue only when its final
state and its outcome are written, in one transaction; a worker that was taken for dead and comes
back finds that the run is no longer its own, and what it has to say is not taken.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

from cellist.model.runs import Entry as StateRow
from cellist.worker.database import DONE, QUEUED, TAKEN
from cellist.worker.jobs import AT_MOST_ONCE, COLUMNS, Ended, Entry, Job, as_json, job_of
from cellist.worker.looking import Reader
from cellist.worker.losses import Lost, lose, satisfy

_LAST = 2000
_OWNER_BITS = 52
_DELIVERIES = Job._fields.index("deliveries")
_KEEP_SECONDS = 7 * 86_400.0
"""How long the outcome of a run is kept for those who ask for it by its id."""


class Queue(Reader):
    """The queue in one file, through a connection of its own. May be used from several threads.

    Raises `QueueError` where the file cannot be used.
    """

    # -- handing over --

    def add(self, entries: Iterable[Entry]) -> None:
        """Queue runs, all or none of them; they are on the disk when this returns."""
        now = time.time()
        with self.writing() as (connection, number):
            for one in entries:
                needs = _unfinished(connection, one.needs)
                connection.execute(
                    "INSERT INTO payloads VALUES (?, ?)", (one.parameters, one.payload)
                )
                seq = connection.execute(
                    "INSERT INTO jobs (id, key, task, status, delivery, most, needs, parameters,"
                    " states, about, queued, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(one.id, one.key, one.task, QUEUED, one.delivery, one.most, len(needs)),
                        *(one.parameters, as_json(one.states), as_json(one.about), now, number),
                    ),
                ).lastrowid
                connection.executemany(
                    "INSERT INTO needs VALUES (?, ?)", [(upstream, seq) for upstream in needs]
                )

    def put_payload(self, identifier: str, body: bytes) -> None:
        """Keep parameters under an id."""
        with self.writing() as (connection, _):
            connection.execute("INSERT OR REPLACE INTO payloads VALUES (?, ?)", (identifier, body))

    # -- workers --

    def enter(self, client: str, process: tuple[str, int, float], tasks: dict[str, str]) -> int:
        """Enter a worker with the names of its tasks by their keys, and return its number."""
        number = 1 + secrets.randbits(_OWNER_BITS)  # unlike those of a file that was here before
        with self.writing() as (connection, _):
            _prune(connection, time.time())
            connection.execute(
                "INSERT INTO workers (id, client, host, pid, started, tasks, since)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, client, *process, as_json(tasks), time.time()),
            )
        return number

    def beat(self, owner: int) -> bool:
        """Show that a worker lives; `False` if it was taken for dead and forgotten."""
        with self.reading() as connection:  # nobody waits for this, so no bell
            return bool(
                connection.execute(
                    "UPDATE workers SET beat = beat + 1 WHERE id = ?", (owner,)
                ).rowcount
            )

    def leave(self, owner: int) -> None:
        """Take a worker out; what it still has is queued again unless that may not be."""
        self.release(owner, None, "Its worker has ended before it did.", begun=True)
        with self.writing() as (connection, _):
            connection.execute("DELETE FROM workers WHERE id = ?", (owner,))

    def exchange(
        self,
        owner: int,
        *,
        ended: Sequence[Ended] = (),
        noted: Sequence[tuple[str, list[StateRow]]] = (),
        keys: Iterable[str] = (),
        most: int = 0,
        without: Iterable[str] = (),
    ) -> tuple[list[Job], list[Ended]]:
        """Acknowledge what has ended, note states, and claim at most so many runs.

        Returns what was claimed, the oldest first, and what came too late to be taken: the run is
        no longer the worker's.
        """
        with self.writing() as (connection, number):
            late = [one for one in ended if not _acknowledge(connection, owner, one, number)]
            for run_id, states in noted:
                connection.execute(
                    "UPDATE jobs SET states = ?, changed = ?"
                    " WHERE id = ? AND owner = ? AND status = 'taken'",
                    (as_json(states), number, run_id, owner),
                )
            claimed = _claim(connection, owner, keys, most, without, number) if most else []
        return claimed, late

    def claim_one(self, owner: int, run_id: str) -> Job | None:
        """Claim a certain run, `None` if it does not wait in the queue."""
        with self.writing() as (connection, number):
            sql = f"SELECT {COLUMNS} FROM jobs WHERE id = ? AND status = 'queued'"  # noqa: S608 - constants
            rows = connection.execute(sql, (run_id,)).fetchall()
            found = _take(connection, owner, rows, number)
        return found[0] if found else None

    def release(self, owner: int, run_ids: Iterable[str] | None, why: str, *, begun: bool) -> None:
        """Put runs of a worker, by default all, back into the queue; that is no new delivery.

        What has `begun` and may run at most once becomes a dead letter.
        """
        with self.writing() as (connection, number):
            chosen = None if run_ids is None else set(run_ids)
            for job in _taken(connection, owner):
                if chosen is None or job.id in chosen:
                    is_spent = begun and job.delivery == AT_MOST_ONCE
                    lose(connection, job, number, why, most=1 if is_spent else None)

    def bury(self, owner: int, job: Job, why: str) -> Lost | None:
        """Take a run that cannot be carried out out of the queue, to the dead letters.

        `None` if it is no longer the worker's.
        """
        with self.writing() as (connection, number):
            return lose(connection, job, number, why, most=0, owner=owner)

    def find_lost(self, lease: float) -> tuple[list[Lost], list[int]]:
        """Queue the runs of dead workers again; return what became of them, and these workers.

        Those that may not be delivered again, or were too often, become dead letters. The last
        runs that such workers have ended are returned as well. `lease` is in seconds: a worker is
        dead if its process is gone, or if it was not seen to live for so long.
        """
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT w.id, w.host, w.pid, w.started, w.beat, w.client FROM workers w"
            ).fetchall()
            gone = {row[0]: row[5] for row in rows if self.watch.is_dead(row[:5], lease)}
        if not gone:
            return [], []
        lost: list[Lost] = []
        with self.writing() as (connection, number):
            for owner, client in gone.items():
                why = f"Worker {client} went away while it ran."
                jobs = _taken(connection, owner)
                gone_on = [lose(connection, job, number, why, most=job.most) for job in jobs]
                lost += [one for one in gone_on if one is not None]
                lost += [Lost(job, DONE, job.states) for job in _done_last(connection, owner)]
        return lost, list(gone)

    def forget(self, owners: Iterable[int]) -> None:
        """Forget dead workers, once what became of their runs is recorded.

        One that was only slow may have claimed others meanwhile: it is judged anew.
        """
        with self.writing() as (connection, _):
            connection.executemany(
                "DELETE FROM workers WHERE id = ? AND NOT EXISTS"
                " (SELECT 1 FROM jobs WHERE owner = workers.id AND status = 'taken')",
                [(one,) for one in owners],
            )

    # -- changing --

    def cancel(self, run_id: str, why: str) -> str | None:
        """Cancel a run: at once if it waits, else its worker is told. Returns its status before."""
        return self.cancel_all([run_id], why).get(run_id)

    def cancel_all(self, run_ids: Iterable[str], why: str) -> dict[str, str]:
        """Cancel runs as `cancel` does, and return the status before of those that are known."""
        before: dict[str, str] = {}
        with self.writing() as (connection, number):
            sql = f"SELECT {COLUMNS} FROM jobs WHERE id = ?"  # noqa: S608 - constants
            for run_id in run_ids:
                row = connection.execute(sql, (run_id,)).fetchone()
                if row is None:
                    continue
                job = job_of(row)
                before[run_id] = job.status
                if job.status == QUEUED:
                    lose(connection, job, number, why, most=0, cancelled=True)
                elif job.status == TAKEN:
                    connection.execute(
                        "UPDATE jobs SET cancel = 1, changed = ? WHERE seq = ?", (number, job.seq)
                    )
        return before

    def requeue(self, run_ids: Iterable[str]) -> list[Job]:
        """Queue dead letters again, and return them as they were."""
        found: list[Job] = []
        with self.writing() as (connection, number):
            sql = f"SELECT {COLUMNS} FROM jobs WHERE id = ? AND status = 'dead'"  # noqa: S608 - constants
            for run_id in run_ids:
                row = connection.execute(sql, (run_id,)).fetchone()
                if row is None:
                    continue
                job = job_of(row)
                found.append(job)
                lose(connection, job, number, "Queued again by hand.", most=None)
        return found

    def remove(self, run_ids: Iterable[str]) -> int:
        """Remove runs that are over, with all that is kept of them; returns how many."""
        with self.writing() as (connection, _):
            return sum(_remove(connection, "id = ?", (run_id,)) for run_id in run_ids)


def _taken(connection: sqlite3.Connection, owner: int) -> list[Job]:
    sql = f"SELECT {COLUMNS} FROM jobs WHERE owner = ? AND status = 'taken'"  # noqa: S608 - constants
    return [job_of(row) for row in connection.execute(sql, (owner,)).fetchall()]


def _done_last(connection: sqlite3.Connection, owner: int) -> list[Job]:
    """Return the last runs a worker has ended: it may have died before the history knew."""
    sql = (
        f"SELECT {COLUMNS} FROM jobs WHERE owner = ? AND status = 'done'"  # noqa: S608 - constants
        " ORDER BY changed DESC LIMIT ?"
    )
    return [job_of(row) for row in connection.execute(sql, (owner, _LAST)).fetchall()]


def _unfinished(connection: sqlite3.Connection, needs: Sequence[str]) -> list[str]:
    sql = "SELECT 1 FROM jobs WHERE id = ? AND status IN ('queued', 'taken')"
    return [one for one in dict.fromkeys(needs) if connection.execute(sql, (one,)).fetchone()]


def _acknowledge(connection: sqlite3.Connection, owner: int, one: Ended, number: int) -> bool:
    """Write the end of a run; `False` if it is no longer the worker's."""
    job = one.job
    taken = connection.execute(
        "UPDATE jobs SET status = 'done', states = ?, facts = ?, ended = ?,"
        " changed = ? WHERE id = ? AND owner = ? AND deliveries = ? AND status = 'taken'",
        (
            *(as_json(one.states), as_json(one.facts), time.time(), number),
            *(job.id, owner, job.deliveries),
        ),
    ).rowcount
    if not taken:
        return False
    connection.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?)", (job.seq, one.outcome))
    connection.execute("DELETE FROM payloads WHERE id = ?", (job.parameters,))
    satisfy(connection, job.id)
    return True


def _claim(
    connection: sqlite3.Connection,
    owner: int,
    keys: Iterable[str],
    most: int,
    without: Iterable[str],
    number: int,
) -> list[Job]:
    """Claim the oldest runs of these tasks that wait for nothing but a worker."""
    skipped = as_json(list(without))
    sql = (
        f"SELECT {COLUMNS} FROM jobs WHERE key = ? AND status = 'queued' AND needs = 0"  # noqa: S608 - constants
        " AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?"
    )
    rows: list[Any] = []
    for key in keys:
        rows += connection.execute(sql, (key, skipped, most)).fetchall()
    rows.sort()  # by `seq`, which no two have in common
    return _take(connection, owner, rows[:most], number)


def _take(
    connection: sqlite3.Connection, owner: int, rows: Sequence[Any], number: int
) -> list[Job]:
    """Give runs to a worker, unless it was taken for dead: nobody would miss them."""
    if not connection.execute("SELECT 1 FROM workers WHERE id = ?", (owner,)).fetchone():
        return []
    connection.executemany(
        "UPDATE jobs SET status = 'taken', owner = ?, deliveries = deliveries + 1, changed = ?"
        " WHERE seq = ?",
        [(owner, number, row[0]) for row in rows],
    )
    return [job_of(row)._replace(status=TAKEN, deliveries=row[_DELIVERIES] + 1) for row in rows]


def _remove(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> int:
    chosen = f"FROM jobs WHERE status IN ('done', 'dead') AND {where}"
    connection.execute(
        f"DELETE FROM outcomes WHERE seq IN (SELECT seq {chosen})",  # noqa: S608 - constants
        values,
    )
    connection.execute(
        f"DELETE FROM payloads WHERE id IN (SELECT parameters {chosen})",  # noqa: S608 - constants
        values,
    )
    return connection.execute(f"DELETE {chosen}", values).rowcount


def _prune(connection: sqlite3.Connection, now: float) -> None:
    """Forget what ended long ago."""
    _remove(connection, "status = 'done' AND ended < ?", (now - _KEEP_SECONDS,))
