"""Reading ahead: what was stored one after the other is mostly wanted one after the other again.

A notebook that runs again asks for its results in the order in which it stored them. So when rows
are read in that order the next ones are read along, which takes hardly longer than one. They
are kept for a moment only, as bytes that nobody has looked at, and each is given once.
"""

import sqlite3
import time
from typing import Any

from cellist.caching.disk import BytesDisk

_NEXT = (
    "SELECT key, mode, filename, value FROM Cache WHERE rowid > ? AND rowid <= ? AND raw = 1"
    " AND filename IS NULL AND typeof(key) = 'text' AND typeof(value) = 'blob'"
)
_MOST_ROWS, _MOST_BYTES = 64, 256 * 2**10
_IN_ORDER = 2  # rows in a row after which it is worth while
_NEAR = 8
_SECONDS = 0.1
"""How old a row may be that is given: as late as another kernel's clear may be noticed."""


class ReadAhead:
    """The rows of one index that are likely to be asked for next. May be used from any thread."""

    def __init__(self, disk: BytesDisk) -> None:
        self._disk = disk
        self._rows: dict[str, Any] = {}
        self._until = 0.0
        self._last = self._in_order = 0

    def take(self, key: str) -> Any:
        """Return a row that was read ahead, `None` if it was not or that is too long ago."""
        stored = self._rows.pop(key, None)
        return stored if stored is not None and time.monotonic() < self._until else None

    def after(self, row: int, blob: object, connection: sqlite3.Connection) -> None:
        """Read ahead if the row that was just read, with this blob, followed others in order."""
        is_next = 0 < row - self._last <= _NEAR
        self._in_order = self._in_order + 1 if is_next else 0
        self._last = row
        if self._in_order < _IN_ORDER or type(blob) is not bytes:
            return
        last = row + min(_MOST_ROWS, _MOST_BYTES // (len(blob) + 1))
        until = time.monotonic() + _SECONDS
        try:
            rows = connection.execute(_NEXT, (row, last)).fetchall()
        except sqlite3.Error:  # whoever asks for one of them finds out
            return
        fetch = self._disk.fetch
        self._rows = {key: fetch(mode, name, value, None) for key, mode, name, value in rows}
        self._until = until
        self._last = last

    def forget(self) -> None:
        """Forget all rows: some are no more what they were."""
        self._rows = {}
