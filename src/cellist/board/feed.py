"""The feed: one thread per kernel that thins events into at most twenty frames a second.

The engine's side is one `append`. The thread drains, hands each event to the board of the cell
its run was started from, and lets each board draw one frame. Why a thread and not the kernel's
loop: a synchronous body blocks the loop, and that is when people look at the board. Why one for
all boards: the server drops everything above a thousand messages a second, of all cells together.

After a frame the thread sleeps sixty times as long as the frame took of the processor, so that the
board takes a sixtieth of it, and not more than two percent, from the user's code; but never so long
that a board would no longer look live, as what a change costs is not less for being drawn later.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from cellist.model.events import Event

FRAME = 0.05
"""Seconds between frames at the least: twenty a second."""

_REST = 60
_LONGEST_PAUSE = 0.25
_NO_CELL: Any = object()
_log = logging.getLogger("cellist.board")


class Drawn(Protocol):
    """A board as the feed knows it."""

    title: str

    @property
    def active(self) -> int:
        """How many runs are not over."""
        ...

    @property
    def is_released(self) -> bool:
        """Whether it is closed."""
        ...

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events."""
        ...

    def frame(self, *, final: bool = False) -> None:
        """Draw what has changed."""
        ...

    def due_in(self) -> float | None:
        """Return in how many seconds a frame is wanted though nothing happens."""
        ...

    def close(self) -> None:
        """Draw the end."""
        ...

    def release(self) -> None:
        """Let go without drawing anything more."""
        ...


class CellToken(Protocol):
    """One execution of a cell."""

    @property
    def id(self) -> str:
        """What tells it from others."""
        ...


class Feed:
    """Carries events to boards. Make one per kernel and give `sink` to the runs."""

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._boards: dict[str, Drawn] = {}
        self._leaving: set[str] = set()
        """Cells that are over while runs they started are not."""
        self._lock = threading.RLock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        """Wakes the thread. Not an `Event`: a signal handler may change a run while the thread it
        interrupted is in this very `sink`, and of all ways to wake a thread only this is safe then.
        """
        self._asleep = False
        self._thread: threading.Thread | None = None

    def sink(self, event: Event) -> None:
        """Take an event, on any thread, in a fraction of a microsecond."""
        if self._boards:
            self._queue.append(event)
            if self._asleep:
                self._asleep = False
                self._bell.put(None)

    def attach(self, cell_token: CellToken, board: Drawn) -> None:
        """Send the events of runs started from this cell execution to this board."""
        with self._lock:
            self._boards[cell_token.id] = board
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._loop, name="cellist-board", daemon=True
                )
                self._thread.start()
        self._bell.put(None)

    def finish(self, cell_token: CellToken) -> None:
        """Draw the end of a cell execution, in the calling thread, before this returns.

        Nothing may be left for later: nbclient drops what comes after a cell's end. If runs of the
        cell go on, the record shows them as they are and the board closes when the last one ends.
        """
        with self._lock:
            self._drain()
            board = self._boards.get(cell_token.id)
            if board is None:
                return
            if not _guarded(board, partial(board.frame, final=True)):
                board.release()
            if board.active and not board.is_released:
                self._leaving.add(cell_token.id)
                return
            self._forget(cell_token.id)

    def _forget(self, key: str) -> None:
        self._leaving.discard(key)
        board = self._boards.pop(key)
        if not board.is_released:
            _guarded(board, board.close)
        if not self._boards:
            self._queue.clear()

    def _loop(self) -> None:
        while True:
            begin = time.thread_time()
            with self._lock:
                due = self._turn()
            spent = time.thread_time() - begin  # what it took away, however long it had to wait
            time.sleep(min(max(FRAME, spent * _REST), _LONGEST_PAUSE))
            self._rest(due)

    def _rest(self, due: float | None) -> None:
        """Sleep until something happens, or for `due` seconds."""
        self._asleep = True
        if not self._queue:  # looked at after the flag: a sink that missed it left an event
            with suppress(Empty):
                self._bell.get(timeout=due)
        self._asleep = False
        with suppress(Empty):
            while True:
                self._bell.get_nowait()

    def _turn(self) -> float | None:
        """Draw a frame of every board; return the seconds until one wants to be drawn anyway."""
        self._drain()
        waits: list[float] = []
        for key, board in list(self._boards.items()):
            if not _guarded(board, board.frame):
                self._forget(key)
                continue
            if key in self._leaving and not board.active:
                self._forget(key)
                continue
            wait = board.due_in()
            if wait is not None:
                waits.append(wait)
        return min(waits, default=None)

    def _drain(self) -> None:
        """Hand on the events that are there now; what comes meanwhile is for the next frame."""
        queue = self._queue
        take = queue.popleft
        by_cell: dict[Any, list[Event]] = {}
        cell, events = _NO_CELL, list[Event]()
        for _ in range(len(queue)):
            event = take()
            its = event[0].cell
            if its is not cell:  # many in a row are of one cell
                cell = its
                events = by_cell.setdefault(getattr(cell, "id", ""), [])
            events.append(event)
        for key, found in by_cell.items():
            board = self._boards.get(key)
            if board is not None:
                board.apply(found)


def _guarded(board: Drawn, act: Callable[[], None]) -> bool:
    """Draw; a fault of the board is one warning and the end of the board, never of a run."""
    try:
        act()
    except Exception:
        _log.warning(
            "The board of %r stopped; the run is not affected.", board.title, exc_info=True
        )
        board.release()
        return False
    return True
