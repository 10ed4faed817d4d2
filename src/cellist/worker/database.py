"""The SQLite file of deferred runs: its tables, and how it is opened.

    jobs      one row for each deferred run: its task, its states, who has it
    payloads  what it was called with; outcomes: what it gave. Signed, see `payloads`
    needs     which deferred runs another one waits for
    workers   the workers there are. Each counts a number up while it lives

The file is in WAL mode, in which nobody waits for a reader; on network file systems, which give
WAL no memory to share, with a rollback journal. A commit outlives every process from the moment it
returns. It is not forced to the disk at once, which takes up to seconds where others write much, so
a machine that loses power may lose the last moments; what it keeps of the file is consistent.
"""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from cellist.caching.mounts import network_of
from cellist.exceptions import QueueError
from cellist.model.locations import ensure

VERSION = 1
FILE = "queue.sqlite"
BUSY_SECONDS = 10.0
QUEUED, TAKEN, DONE, DEAD = "queued", "taken", "done", "dead"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL,
    task TEXT NOT NULL, status TEXT NOT NULL, delivery TEXT NOT NULL,
    most INTEGER NOT NULL, deliveries INTEGER NOT NULL DEFAULT 0, owner INTEGER,
    cancel INTEGER NOT NULL DEFAULT 0, needs INTEGER NOT NULL DEFAULT 0,
    parameters TEXT NOT NULL, states TEXT NOT NULL, about TEXT NOT NULL, facts TEXT,
    queued REAL, ended REAL, changed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (key, seq) WHERE status = 'queued' AND needs = 0;
CREATE INDEX IF NOT EXISTS jobs_taken ON jobs (owner) WHERE status = 'taken';
CREATE INDEX IF NOT EXISTS jobs_dead ON jobs (seq) WHERE status = 'dead';
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (ended) WHERE status = 'done';
CREATE INDEX IF NOT EXISTS jobs_done_by ON jobs (owner, changed) WHERE status = 'done';
CREATE INDEX IF NOT EXISTS jobs_changed ON jobs (changed);
CREATE INDEX IF NOT EXISTS jobs_parameters ON jobs (parameters);
CREATE TABLE IF NOT EXISTS payloads (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS needs (
    upstream TEXT, seq INTEGER, PRIMARY KEY (upstream, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, client TEXT, host TEXT, pid INTEGER, started REAL,
    beat INTEGER NOT NULL DEFAULT 0, tasks TEXT NOT NULL, since REAL
);
CREATE TABLE IF NOT EXISTS changes (number INTEGER NOT NULL);
INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the queue, made if it is missing. Raises `QueueError` if it cannot be used."""
    try:
        ensure(path.parent)
        try:
            return _connect(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            aside = _move_aside(path)
            message = (
                f"The queue of deferred runs, {path}, is damaged ({error}). It was moved to "
                f"{aside.name}; the next run begins a new one. Runs that waited in it are lost "
                "unless you repair it (`sqlite3 FILE .recover`)."
            )
            raise QueueError(message) from error
    except (OSError, sqlite3.OperationalError) as error:
        raise QueueError(told(path, error)) from error


def told(path: Path, error: Exception) -> str:
    """Return one sentence about trouble with the file."""
    return f"The queue of deferred runs, {path}, cannot be used: {error}."


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _refuse_newer(connection, path)
        journal = "DELETE" if network_of(path.parent) else "WAL"
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] > VERSION:
        message = f"{path} was written by a newer version of cellist: update it here too."
        raise QueueError(message)


def _move_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            part.replace(path.with_name(aside.name + suffix))
    return aside


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[int]:
    """Write within a `with` block, all of it or nothing. Gives the number of this change.

    Numbers of changes only grow, so whoever knows the last one finds what is new.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("UPDATE changes SET number = number + 1")
        yield connection.execute("SELECT number FROM changes").fetchone()[0]
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk may have rolled it back already
            connection.execute("ROLLBACK")
        raise
