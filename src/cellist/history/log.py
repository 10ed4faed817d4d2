"""The history: events are appended to a queue, and a thread of its own writes them down.

A run pays one `deque.append` per event. The thread wakes ten times a second while there is
something to write, folds the events of a batch by run, and writes the rows of the runs concerned.
Memory is the truth of the living process: whatever happens to the file, no run fails or slows.
"""

import itertools
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellist.history import database
from cellist.history.queries import Reader
from cellist.history.rows import row_of
from cellist.model.ids import as_hex
from cellist.model.locations import ensure
from cellist.model.runs import Event, LogWritten, Run
from cellist.model.states import FINAL

_PAUSE = 0.1
_LAZY_PAUSE = 0.5
_IDLE_AFTER = 100
_MOST_AT_ONCE = 20_000
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
        self._queue: deque[Event] = deque()
        self.sink: Callable[[Event], object] = self._queue.append
        self._memory = f"file:cellist-{id(self)}-{next(_memory_names)}?mode=memory&cache=shared"
        self._connection: sqlite3.Connection | None = None
        self._session = 0
        self._inode: tuple[int, int] | None = None
        self._held: list[tuple[list[Any], list[Any]]] = []
        """Rows of runs and logs that could not be written while another process held the file."""
        self._wake = threading.Event()
        self._written = threading.Condition()
        self._rounds = 0
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
            goal = self._rounds + 2  # the round going on may have missed the newest events
            self._wake.set()
            return self._written.wait_for(lambda: self._rounds >= goal or self._again(), timeout)

    def _again(self) -> bool:
        self._wake.set()
        return not self._thread.is_alive()

    def close(self) -> None:
        """Write what is left, within a few seconds, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=10.0)

    def _serve(self) -> None:
        idle = 0
        while True:
            self._wake.wait(_LAZY_PAUSE if idle > _IDLE_AFTER else _PAUSE)
            self._wake.clear()
            closing = self._closing
            idle = 0 if self._queue else idle + 1
            try:
                while (self._queue or self._held) and self._write_batch():
                    pass
            except Exception as error:
                self._warn("write", f"cellist could not write its history: {error}.")
            with self._written:
                self._rounds += 1
                self._written.notify_all()
            if closing:
                if self._connection is not None:
                    self._connection.close()
                return

    def _take_batch(self) -> tuple[dict[int, Run], list[list[Any]]]:
        """Take events off the queue: the runs they concern, and rows of the log."""
        runs: dict[int, Run] = {}
        logs: list[list[Any]] = []
        take = self._queue.popleft
        for _ in range(min(len(self._queue), _MOST_AT_ONCE)):
            event = take()
            run = event.run
            if isinstance(event, LogWritten):
                logs.append(
                    [as_hex(run.number), event.at, event.level, event.message[:_LONGEST_MESSAGE]]
                )
            else:
                runs[run.number] = run
        return runs, logs

    def _write_batch(self) -> bool:
        """Write a batch; `False` if the file is held by somebody and it must be tried later."""
        runs, logs = self._take_batch()
        connection = self._open()
        if connection is None:
            return True
        rows = [row_of(run, self._session) for run in runs.values()]
        for run in runs.values():
            if run.state is not None and run.state.type in FINAL:
                run.call = None  # recorded; the arguments need not be kept alive any longer
        self._held.append((rows, logs))
        try:
            connection.execute("BEGIN IMMEDIATE")
            for held_rows, held_logs in self._held:
                connection.execute(database.WRITE_RUNS, (_json(held_rows),))
                if held_logs:
                    connection.execute(database.WRITE_LOGS, (_json(held_logs),))
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            return self._recover(connection, error)
        self._held.clear()
        return True

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
        self._session = database.open_session(connection)
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
            held = error.sqlite_errorcode in _HELD_BY_OTHERS
            if held and sum(len(rows) for rows, _ in self._held) < _MOST_HELD:
                return False
            self._held.clear()  # a full disk: the batch is lost for the record, not for the runs
            return True
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


def _json(rows: list[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=str, separators=(",", ":"))
