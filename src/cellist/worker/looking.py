"""Questions to the queue of deferred runs, and the connection they go through."""

import json
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellist.exceptions import QueueError
from cellist.worker import bells
from cellist.worker.database import DEAD, DONE, QUEUED, TAKEN, connect, told, transaction
from cellist.worker.jobs import COLUMNS, Job, job_of
from cellist.worker.losses import Watch


class Reader:
    """The reading half of the queue. May be used from several threads.

    Raises `QueueError` where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._version = -1
        self.opened = 0
        """How often another file than before was found in its place, also the first time."""
        self.watch = Watch()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Use the connection within a `with` block, nobody else meanwhile."""
        with self._lock:
            try:
                yield self._open()
            except (sqlite3.Error, OSError) as error:
                raise QueueError(told(self.path, error)) from error

    @contextmanager
    def writing(self) -> Generator[tuple[sqlite3.Connection, int]]:
        """Write in one transaction within a `with` block; gives the number of the change too."""
        with self.reading() as connection, transaction(connection) as number:
            yield connection, number
        bells.ring(self.path)

    def _open(self) -> sqlite3.Connection:
        """Return the connection, a new one if the file was taken away."""
        if self._connection is not None and self._identity() == self._inode:
            return self._connection
        before, self._connection = self._connection, None
        try:
            self._connection = connect(self.path)
            inode = self._identity()
        finally:
            if before is not None:
                before.close()  # only now, or the new file may have the number of the old one
        self.opened += inode != self._inode
        self._inode = inode
        self._version = -1
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def has_changed(self) -> bool:
        """Whether another connection has written since this was asked last."""
        with self.reading() as connection:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
            before, self._version = self._version, version
            return version != before

    def payload(self, identifier: str) -> bytes | None:
        """Return the parameters kept under an id."""
        with self.reading() as connection:
            found = connection.execute("SELECT body FROM payloads WHERE id = ?", (identifier,))
            row = found.fetchone()
        return None if row is None else row[0]

    def workers(self) -> list[dict[str, Any]]:
        """Return the workers that are alive as far as can be told, with their tasks."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT id, client, host, pid, started, beat, tasks, since FROM workers"
            ).fetchall()
        found = [row for row in rows if not self.watch.is_gone(*row[2:5])]
        return [
            {"id": row[0], "client_id": row[1], "tasks": json.loads(row[6]), "since": row[7]}
            for row in found
        ]

    def cancels(self, owner: int) -> list[str]:
        """Return the runs of a worker that somebody asked to cancel."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM jobs WHERE owner = ? AND status = 'taken' AND cancel", (owner,)
            ).fetchall()
        return [row[0] for row in rows]

    def find(self, run_id: str) -> Job | None:
        """Return a run by its id."""
        with self.reading() as connection:
            sql = f"SELECT {COLUMNS} FROM jobs WHERE id = ?"  # noqa: S608 - constants
            row = connection.execute(sql, (run_id,)).fetchone()
        return None if row is None else job_of(row)

    def named(self, text: str) -> list[Job]:
        """Return the runs of this name, else those of the task of this name, the oldest first.

        Else those whose id begins so.
        """
        begins = text.replace("-", "").lower()
        is_hex = bool(begins) and not begins.strip("0123456789abcdef")
        tries = [("json_extract(about, '$.run') = ?", text), ("task = ?", text)]
        tries += [("id LIKE ? || '%'", begins)] if is_hex else []
        for where, value in tries:
            sql = f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY seq"  # noqa: S608 - constants
            with self.reading() as connection:
                rows = connection.execute(sql, (value,)).fetchall()
            if rows:
                return [job_of(row) for row in rows]
        return []

    def find_by_parameters(self, identifier: str) -> Job | None:
        """Return the run whose parameters are kept under an id."""
        with self.reading() as connection:
            sql = f"SELECT {COLUMNS} FROM jobs WHERE parameters = ?"  # noqa: S608 - constants
            row = connection.execute(sql, (identifier,)).fetchone()
        return None if row is None else job_of(row)

    def last_change(self) -> int:
        """Return the number of the last change."""
        with self.reading() as connection:
            return connection.execute("SELECT number FROM changes").fetchone()[0]

    def changed_since(self, number: int) -> list[tuple[int, str]]:
        """Return the changes after one, as their numbers and the ids of runs, oldest first."""
        with self.reading() as connection:
            return connection.execute(
                "SELECT changed, id FROM jobs WHERE changed > ? ORDER BY changed", (number,)
            ).fetchall()

    def outcome(self, seq: int) -> bytes | None:
        """Return what a run gave."""
        with self.reading() as connection:
            row = connection.execute("SELECT body FROM outcomes WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else row[0]

    def jobs(self, status: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Return runs, the newest first, as dictionaries for a table."""
        names = "id, task, key, status, deliveries, delivery, queued, ended, states, needs"
        where = "WHERE status = ?" if status else ""
        sql = f"SELECT {names} FROM jobs {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - constants
        with self.reading() as connection:
            rows = connection.execute(sql, ([status] if status else []) + [limit]).fetchall()
        columns: list[str] = [*names.split(", ")]
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        for row in found:
            row["why"] = json.loads(row.pop("states"))[-1][2]
            row["waits_for"] = row.pop("needs")
        return found

    def counts(self) -> dict[str, int]:
        """Return how many runs there are of each status."""
        with self.reading() as connection:
            rows = connection.execute("SELECT status, count(*) FROM jobs GROUP BY status")
            return {QUEUED: 0, TAKEN: 0, DONE: 0, DEAD: 0, **dict(rows.fetchall())}

    def waiting(self) -> list[tuple[str, str, int]]:
        """Return key, name and number of runs for each task of which runs wait."""
        with self.reading() as connection:
            return connection.execute(
                "SELECT key, max(task), count(*) FROM jobs WHERE status = 'queued' GROUP BY key"
            ).fetchall()
