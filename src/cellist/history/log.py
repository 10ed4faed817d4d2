"""The history: events are appended to a queue, and a thread of its own writes them down.

A run pays little more than one `deque.append` per event. The thread wakes ten times a second while
there is something to write, folds the events of a batch by run, and writes the rows of the runs
concerned: at once when they are final, else when nothing has happened to them for a moment, since
most runs are over before they could be read. It does so when it takes little from the user's code
(see `pace`), unless somebody waits for the history.
Memory is the truth of the living process: whatever happens to the file, no run fails or slows.
"""

import itertools
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from cellist.history import database
from cellist.history.decisions import Decision
from cellist.history.pace import Pace
from cellist.history.queries import Reader
from cellist.history.rows import Rows, storable
from cellist.model.events import Journal, LogWritten
from cellist.model.ids import as_hex
from cellist.model.locations import ensure
from cellist.model.runs import Run
from cellist.model.states import COMPLETED, FINAL

_MOST_AT_ONCE = 3000
_YOUNG = 150_000_000
"""Nanoseconds an unfinished run must stay as it is to be written."""
_BUSY_YOUNG = 1_000_000_000
_BUSY = 2000
"""Unfinished runs from which on they must stay so for longer."""
_MARK_EVERY = 5.0
"""Seconds between two looks, when somebody reads, for processes that are gone."""
_LONGEST_MESSAGE = 10_000
_MOST_HELD = 100_000
_HELD_BY_OTHERS = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_memory_names = itertools.count()


class History(Reader):
    """Writes what happens to runs to SQLite, and answers questions about it.

    `path` is the file, `None` for a history that ends with the process. `on_warning` gets one
    sentence for each kind of trouble. Nothing here raises for the sake of the file.
    """

    def __init__(self, path: Path | None, *, on_warning: Callable[[str], None]) -> None:
        self.path = path
        self._warn_with = on_warning
        self._warned: set[str] = set()
        self._queue = self.sink = Journal()
        self._memory = f"file:cellist-{id(self)}-{next(_memory_names)}?mode=memory&cache=shared"
        self._connection: sqlite3.Connection | None = None
        self._session = 0
        self._inode: tuple[int, int] | None = None
        self._young: dict[Run, None] = {}
        """Unfinished runs that are not written as they are now, by when they last changed."""
        self._held: list[tuple[list[Any], list[Any]]] = []
        """Rows of runs and logs that could not be written while another process held the file."""
        self._decided: deque[tuple[Any, ...]] = deque()
        """Decisions of the user that are still to be written."""
        self._calls: deque[tuple[str, bytes]] = deque()
        """Calls of runs that somebody may want to resume, still to be written."""
        self.count_kept: database.Count | None = None
        """Says how many of the results under some keys are there."""
        self._marked_at = self._next_beat = 0.0
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._pace = Pace()
        self._rounds = 0
        self._waiters = 0
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="cellist-history", daemon=True)
        self._thread.start()

    @property
    def target(self) -> tuple[str, bool]:
        """Where to read: a file, or a database in memory, and whether it is a URI."""
        return (str(self.path), False) if self.path is not None else (self._memory, True)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what was handed over so far can be read; `False` if it took too long."""
        if not self._thread.is_alive():
            return False
        with self._written:
            self._waiters += 1
            goal = self._rounds + 2  # the round going on may have missed the newest events
            self._wake.set()
            try:
                return self._written.wait_for(
                    lambda: self._rounds >= goal or self._again(), timeout
                )
            finally:
                self._waiters -= 1

    def decide(self, decision: Decision) -> None:
        """Record what the user has decided over the cache."""
        at, kind, task, because, results, who = decision
        self._decided.append((at, kind, storable(task), storable(because), results, storable(who)))
        self._wake.set()

    def keep_call(self, run: str, call: bytes) -> None:
        """Keep what it takes to call a flow again, until its run has completed."""
        self._calls.append((run, call))  # written with the run itself: no hurry

    def _again(self) -> bool:
        self._wake.set()
        return not self._thread.is_alive()

    def close(self) -> None:
        """Write what is left, within a few seconds, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=10.0)

    def _serve(self) -> None:
        pace = self._pace
        while True:
            self._wake.wait(pace.pause)
            self._wake.clear()
            closing = self._closing
            is_idle = not (self._queue or self._young)
            try:
                if pace.look(len(self._queue), is_idle, self._in_haste):
                    self._write_all()
                self._beat()
            except Exception as error:
                self._warn("write", f"cellist could not write its history: {error}.")
            with self._written:
                self._rounds += 1
                self._written.notify_all()
            if closing:
                if self._connection is not None:
                    self._connection.close()
                return

    def _write_all(self) -> None:
        """Write until nothing is left that is due, with rests in between."""
        while True:
            began = time.thread_time()
            runs, logs = self._take_batch()
            if not (runs or logs or self._held or self._decided or self._calls):
                if self._waiters:
                    self._mark_crashed()
                return
            is_written = self._write_batch(runs, logs)
            if not is_written or not (self._queue or self._young or self._held):
                return
            if not self._in_haste:
                spent = time.thread_time() - began
                self._wake.wait(self._pace.rest(spent, len(self._queue)))

    def _beat(self) -> None:
        if self._connection is not None and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + database.BEAT_EVERY
            database.beat(self._connection, self._session)

    def _mark_crashed(self) -> None:
        """See to it that who reads finds marked what dead processes left behind."""
        if self.path is None or not self.path.exists():
            return
        if self._connection is None:
            self._open()
        elif time.monotonic() - self._marked_at > _MARK_EVERY:
            self._marked_at = time.monotonic()
            try:
                database.mark_crashed(self._connection, self.count_kept)
            except sqlite3.Error as error:
                self._warn("write", f"cellist could not write its history: {error}.")

    @property
    def _in_haste(self) -> bool:
        """Whether somebody waits until all that happened can be read."""
        return self._waiters > 0 or self._closing

    def _take_batch(self) -> tuple[list[Run], list[list[Any]]]:
        """Take events off the queue: the runs that are due to be written, and rows of the log."""
        take = self._queue.popleft
        events = [take() for _ in range(min(len(self._queue), _MOST_AT_ONCE))]
        changed = dict.fromkeys([event for event in events if isinstance(event, Run)])
        logs = [
            [
                as_hex(event.run.number),
                event.at,
                event.level,
                storable(event.message)[:_LONGEST_MESSAGE],
            ]
            for event in events
            if isinstance(event, LogWritten)
        ]
        young = self._young
        due: list[Run] = []
        for run in changed:
            young.pop(run, None)
            if run.state_type is None:
                continue  # nothing can be said of it before its first state
            if run.state_type in FINAL:
                due.append(run)
            else:
                young[run] = None
        for run in self._grown():
            del young[run]
            due.append(run)
        return due, logs

    def _grown(self) -> list[Run]:
        """Return the unfinished runs that have been as they are for long enough."""
        young = self._young
        if self._in_haste:
            return list(young)
        latest = time.time_ns() - (_BUSY_YOUNG if len(young) > _BUSY else _YOUNG)
        return list(takewhile(lambda run: run.entered[-1] <= latest, young))

    def _write_batch(self, runs: list[Run], logs: list[list[Any]]) -> bool:
        """Write a batch; `False` if the file is held by somebody and it must be tried later."""
        connection = self._open()
        if connection is None:
            self._young.update(dict.fromkeys(runs))
            self._held.append(([], logs))
            return False
        self._held.append((self._rows_of(runs), logs))
        decided, calls = list(self._decided), list(self._calls)
        try:
            connection.execute("BEGIN IMMEDIATE")
            for held_rows, held_logs in self._held:
                database.write_runs(connection, held_rows)
                if held_logs:
                    connection.execute(database.WRITE_LOGS, (_json(held_logs),))
            connection.executemany(database.WRITE_DECISION, decided)
            connection.executemany(database.WRITE_CALL, calls)
            connection.executemany(database.FORGET_CALL, _completed_roots(runs))
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            return self._recover(connection, error)
        except Exception:
            connection.execute("ROLLBACK")
            self._held.clear()
            raise
        self._held.clear()
        for _ in decided:
            self._decided.popleft()
        for _ in calls:
            self._calls.popleft()
        return True

    def _rows_of(self, runs: list[Run]) -> list[Any]:
        """Return the rows as a flat list; a run that cannot be put down costs no other."""
        rows = Rows(self._session)
        values: list[Any] = []
        for run in _one_of_each(runs):
            try:
                rows.add(run, values)
            except Exception as error:
                self._warn("row", f"cellist could not write a run to its history: {error}.")
            if run.state_type in FINAL:
                self._let_go(run)
        return values

    def _let_go(self, run: Run) -> None:
        """Drop the arguments of a run that is recorded: they need not be kept alive any longer."""
        if run.state_type is not COMPLETED and run.call is not None and self.values is not None:
            try:
                self.values.keep_call(run)
            except Exception as error:
                self._warn("call", f"cellist could not keep the arguments of a run: {error}.")
        run.call = None

    def _open(self) -> sqlite3.Connection | None:
        """Return the connection; opened anew if the file was taken away."""
        if self._connection is not None and self._is_same_file():
            return self._connection
        self._connection = None
        for attempt in (1, 2):
            try:
                return self._connect()
            except database.NewerFile:
                self._to_memory("was written by a newer version of cellist")
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode in _HELD_BY_OTHERS:
                    return None  # tried again with the next batch
                if isinstance(error, sqlite3.OperationalError) or attempt == 2 or not self.path:
                    self._to_memory(f"cannot be used ({error})")
                else:
                    self._set_aside(error)
            except OSError as error:
                self._to_memory(f"cannot be used ({error})")
        return self._connect() if self.path is None else None

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:
            ensure(self.path.parent)
        target, is_uri = self.target
        connection = database.connect(target, is_uri=is_uri)
        database.prune(connection, self.path)
        self._session = database.open_session(connection, self.count_kept)
        self._marked_at = time.monotonic()
        self._connection = connection
        self._inode = self._identity()
        return connection

    def _identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _is_same_file(self) -> bool:
        return self.path is None or self._identity() == self._inode

    def _recover(self, connection: sqlite3.Connection, error: sqlite3.DatabaseError) -> bool:
        """Go on after a failed write; `False` if the batch is kept for another try."""
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # there may be no transaction left
        if isinstance(error, sqlite3.OperationalError):
            self._warn("write", f"cellist could not write its history: {error}.")
            values = sum(len(rows) for rows, _ in self._held)
            if values > _MOST_HELD * len(database.COLUMNS):
                self._held.clear()  # lost for the record, not for the runs
            return False
        connection.close()
        self._connection = None
        self._set_aside(error)
        return True

    def _set_aside(self, error: Exception) -> None:
        assert self.path is not None
        aside = database.move_aside(self.path)
        self._warn(
            "corrupt",
            f"The history of runs was damaged ({error}). It was moved to {aside.name} "
            f"and a fresh one begun; results in the cache are not affected.",
        )

    def _to_memory(self, problem: str) -> None:
        self._warn(
            "memory", f"The history file {problem}; runs are remembered in this kernel only."
        )
        self.path = None

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            try:
                self._warn_with(message)
            except Exception:
                time.sleep(0)  # warnings turned into errors must not end this thread


def _one_of_each(runs: list[Run]) -> list[Run]:
    """Return one object for each run, the final one if there is: two may know of a deferred run."""
    found: dict[int, Run] = {}
    for run in runs:
        other = found.get(run.number)
        if other is None or other.state_type not in FINAL or run.state_type in FINAL:
            found[run.number] = run
    return list(found.values())


def _completed_roots(runs: list[Run]) -> list[tuple[str]]:
    """Return the ids of outermost flow runs that completed: nobody will want to resume them."""
    return [
        (as_hex(run.number),)
        for run in runs
        if run.parent is None and run.kind == "flow" and run.state_type is COMPLETED
    ]


def _json(rows: list[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=str, separators=(",", ":"))
