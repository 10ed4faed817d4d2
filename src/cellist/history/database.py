"""The SQLite file of the history: schema, opening, crash marks, pruning.

One writer per process in WAL mode; readers open connections of their own. A file that is damaged
is moved aside and a fresh one begun; one written by a newer cellist is left alone.

A batch of rows is one statement, because each gives up and retakes the GIL, which a busy main
thread makes slow. The statement has a few sizes, so that SQLite need not compile it every time;
what is left of one is filled with NULLs, which are not written.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from cellist.model.host import host_name

COLUMNS = (
    "id",
    "kind",
    "name",
    "definition",
    "flow",
    "parent",
    "session",
    "state",
    "state_type",
    "created",
    "started",
    "ended",
    "attempts",
    "outcome",
    "doc",
)
VERSION = 1
"""Of the schema. A table more is no new version: whoever does not know it can go on with the file.
"""
_KEEP_DAYS = 90
_KEEP_BYTES = 200 * 2**20
_BUSY_MS = 5_000
_DAY_NS = 86_400 * 1_000_000_000

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, {", ".join(COLUMNS[1:])}
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_flow ON runs (flow);
CREATE INDEX IF NOT EXISTS runs_by_session ON runs (session) WHERE ended IS NULL;
CREATE TABLE IF NOT EXISTS logs (run TEXT, at INTEGER, level INTEGER, message TEXT);
CREATE INDEX IF NOT EXISTS logs_by_run ON logs (run);
CREATE TABLE IF NOT EXISTS decisions (
    at INTEGER, kind TEXT, task TEXT, because TEXT, results INTEGER, who TEXT
);
CREATE TABLE IF NOT EXISTS calls (run TEXT PRIMARY KEY, call BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS beats (session INTEGER PRIMARY KEY, at INTEGER);
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY, pid INTEGER, host TEXT, boot TEXT, born TEXT, started INTEGER
);
"""
_ROW = f"({', '.join('?' * len(COLUMNS))})"
_SIZES = (16, 128, 1024)
WRITE_LOGS = (
    "INSERT INTO logs SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each(?)"
)

WRITE_DECISION = "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?)"
WRITE_CALL = "INSERT OR REPLACE INTO calls VALUES (?, ?)"
FORGET_CALL = "DELETE FROM calls WHERE run = ?"
GONE = "The kernel that ran it went away."
_FLOWS = (
    "SELECT id FROM runs WHERE session = ? AND ended IS NULL AND kind = 'flow' ORDER BY id DESC"
)
_INSIDE = (
    "WITH RECURSIVE inside (id) AS (SELECT id FROM runs WHERE flow = ? "
    "UNION SELECT runs.id FROM runs JOIN inside ON runs.flow = inside.id)"
)
_MOST_NAMED = 2
BEAT_EVERY = 30.0
"""Seconds between two signs of life of a process with unfinished runs."""
_SILENT_NS = 300 * 1_000_000_000
Count = Callable[[list[str]], int]
"""Says how many of the results under some keys are there."""


class NewerFile(Exception):
    """The file was written by a newer version of cellist."""


def connect(target: str, *, is_uri: bool = False) -> sqlite3.Connection:
    """Open a connection for writing and bring the schema up. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(
        target, timeout=_BUSY_MS / 1000, uri=is_uri, check_same_thread=False, isolation_level=None
    )
    try:
        _refuse_newer(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def write_runs(connection: sqlite3.Connection, values: list[Any]) -> None:
    """Write rows, given as one flat list, in place of older ones of the same runs."""
    width = len(COLUMNS)
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    sizes = [size for size in _SIZES if size <= most]
    for start in range(0, len(values), sizes[-1] * width):
        part = values[start : start + sizes[-1] * width]
        size = next(size for size in sizes if size * width >= len(part))
        part += [None] * (size * width - len(part))
        connection.execute(_write_statement(size), part)


@cache
def _write_statement(size: int) -> str:
    rows = ", ".join([_ROW] * size)
    return (
        f"INSERT OR REPLACE INTO runs SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL "  # noqa: S608 - constants
        "AND (column7 IS NOT -1 OR NOT EXISTS (SELECT 1 FROM runs WHERE id = column1 "
        "AND (ended IS NOT NULL OR column12 IS NULL)))"
    )  # the session -1 marks what is known of a run that a worker carries out: its word counts


def _refuse_newer(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] > VERSION:
        raise NewerFile


def move_aside(path: Path) -> Path:
    """Rename a damaged file and what belongs to it; return the new name."""
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(aside.name + suffix))
    return aside


def open_session(connection: sqlite3.Connection, count: Count | None = None) -> int:
    """Enter this process and return its number; first mark what dead processes left behind."""
    mark_crashed(connection, count)
    cursor = connection.execute(
        "INSERT INTO sessions (pid, host, boot, born, started) VALUES (?, ?, ?, ?, ?)",
        (os.getpid(), host_name(), boot_id(), born(os.getpid()), time.time_ns()),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def mark_crashed(connection: sqlite3.Connection, count: Count | None = None) -> int:
    """Mark unfinished runs of processes that are gone as Crashed, and return how many.

    Of a flow it is told where it stopped and, by `count`, how many results can be reused.
    """
    rows = connection.execute(
        "SELECT s.id, s.pid, s.host, s.boot, s.born FROM sessions s "
        "WHERE s.id IN (SELECT DISTINCT session FROM runs WHERE ended IS NULL)"
    ).fetchall()
    dead = [row[0] for row in rows if not is_alive(*row[1:]) or _is_silent(connection, row)]
    last = "COALESCE(json_extract(doc, '$.states[#-1][3]'), created) + 1000"
    mark = (
        f"UPDATE runs SET state = 'Crashed', state_type = 'CRASHED', ended = {last}, "  # noqa: S608 - a constant
        f"doc = json_insert(doc, '$.states[#]', json_array('Crashed', 'CRASHED', ?, {last})) "
        "WHERE ended IS NULL AND state != 'NotReady' AND "
    )
    marked = 0
    for session in dead:
        for run in connection.execute(_FLOWS, (session,)).fetchall():
            told = ", ".join(_where_it_stopped(connection, run[0], count))
            message = f"{GONE[:-1]}{f': {told}' if told else ''}."
            marked += connection.execute(f"{mark} id = ?", (message, run[0])).rowcount
        marked += connection.execute(f"{mark} session = ?", (GONE, session)).rowcount
    return marked


def _where_it_stopped(
    connection: sqlite3.Connection, flow: str, count: Count | None
) -> Iterator[str]:
    """Say what a flow run was at, and how much of it there is."""
    running = connection.execute(
        f"{_INSIDE} SELECT DISTINCT definition FROM runs WHERE id IN inside AND kind = 'task' "  # noqa: S608 - a constant
        f"AND state_type IN ('RUNNING', 'SCHEDULED', 'CRASHED') LIMIT {_MOST_NAMED + 1}",
        (flow,),
    ).fetchall()
    if running:
        names = [f"`{name}`" for (name,) in running[:_MOST_NAMED]]
        more = " and others" if len(running) > _MOST_NAMED else ""
        yield f"stopped at {', '.join(names)}{more}"
    if count is not None:
        found = count(keys_inside(connection, flow))
        yield f"{found} result{'' if found == 1 else 's'} reusable"


def keys_inside(connection: sqlite3.Connection, flow: str) -> list[str]:
    """Return the cache keys of the runs inside a flow run that completed."""
    rows = connection.execute(
        f"{_INSIDE} SELECT json_extract(doc, '$.cache_key') FROM runs WHERE id IN inside "  # noqa: S608 - a constant
        "AND state_type = 'COMPLETED' AND json_extract(doc, '$.cache_key') IS NOT NULL",
        (flow,),
    ).fetchall()
    return [key for (key,) in rows]


def beat(connection: sqlite3.Connection, session: int) -> None:
    """Let other machines know that this process still runs what it has not finished."""
    connection.execute(
        "INSERT OR REPLACE INTO beats SELECT ?, ? WHERE EXISTS "
        "(SELECT 1 FROM runs WHERE session = ? AND ended IS NULL)",
        (session, time.time_ns(), session),
    )


def _is_silent(connection: sqlite3.Connection, session: tuple[Any, ...]) -> bool:
    """Whether a process of another machine, such as a container that is gone, is not heard of."""
    number, _, host = session[:3]
    if host == host_name():
        return False
    row = connection.execute("SELECT at FROM beats WHERE session = ?", (number,)).fetchone()
    return row is not None and row[0] < time.time_ns() - _SILENT_NS


def is_alive(pid: int, host: str, boot: str, birth: str) -> bool:
    """Whether that very process still runs; a process of another machine is taken to."""
    if host != host_name():
        return True
    if boot != boot_id():
        return False
    if os.name == "nt":  # there os.kill would interrupt the process
        return born(pid) == birth if birth else bool(_process(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not birth or born(pid) == birth


def boot_id() -> str:
    """Return what tells this start of the machine from others, empty where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def born(pid: int) -> str:
    """Return when a process started, in ticks since boot or seconds; empty where unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
        process = _process(pid)
        return "" if process is None else str(process.create_time())
    fields = text.rsplit(")", 1)[1].split()
    return "" if fields[0] in "ZX" else fields[19]  # field 22, counted after the name in brackets


def _process(pid: int) -> Any:
    """Return a process by its id where the system has no files about it, `None` if it is gone."""
    psutil: Any = import_module("psutil")  # ipykernel brings it
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def prune(connection: sqlite3.Connection, path: Path | None) -> None:
    """Forget runs older than 90 days, and the oldest quarter of a file above 200 MB."""
    oldest = f"{(time.time_ns() - _KEEP_DAYS * _DAY_NS) // 1_000_000:012x}"
    gone = connection.execute("DELETE FROM runs WHERE id < ?", (oldest,)).rowcount  # ids are times
    is_large = False
    if path is not None and path.exists() and path.stat().st_size > _KEEP_BYTES:
        is_large = True
        gone += connection.execute(
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE ended IS NOT NULL "
            "ORDER BY id LIMIT (SELECT count(*) / 4 FROM runs))"
        ).rowcount
    if gone:
        for table in ("logs", "calls"):
            connection.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT id FROM runs)")  # noqa: S608 - constants
    if is_large:
        connection.execute("VACUUM")


def read(target: str, is_uri: bool, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
    """Run a query on a connection of its own and return all rows as mappings."""
    with closing(sqlite3.connect(target, timeout=_BUSY_MS / 1000, uri=is_uri)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql, parameters).fetchall()
