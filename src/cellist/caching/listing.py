"""What is known of stored results without opening them, and what all places for them can do."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO, NamedTuple, Protocol, Self

from cellist.caching.disk import Stored
from cellist.caching.envelope import Bytes, Header

_LIST = (
    "SELECT key, tag, store_time, access_time, access_count, size, filename FROM Cache"
    " WHERE raw = 1 AND typeof(key) = 'text' AND typeof(tag) = 'text'"
    " AND typeof(store_time) = 'real' AND typeof(access_time) = 'real'"
    " AND typeof(access_count) = 'integer' AND typeof(size) = 'integer'"
    " AND substr(key, 1, ?) = ? ORDER BY access_time"
)
_NEWEST = (
    "SELECT key, value FROM Cache WHERE rowid IN (SELECT rowid FROM Cache"
    " WHERE tag >= ? AND tag < ? AND raw = 1 AND substr(key, 1, ?) = ?"
    " ORDER BY store_time DESC LIMIT ?)"
    " AND typeof(key) = 'text' AND typeof(value) = 'blob' ORDER BY store_time DESC"
)
# Nothing signs a row: what no disk can hold would leave no room for anything.
_USED = (
    "SELECT total(size) FROM Cache WHERE typeof(size) = 'integer' AND size BETWEEN 1 AND 1 << 47"
    " AND substr(key, 1, ?) = ?"
)


class Tag(NamedTuple):
    """What a row says of its entry so that lists need not open envelopes. It is not signed."""

    task_key: str
    task: str
    seconds: float
    expires: float | None
    format: str

    @classmethod
    def of(cls, header: Header, kind: str) -> Self:
        """Return the tag of an entry with this header, in the format called `kind`."""
        return cls(
            str(header.get("task_key", "")),
            str(header.get("task", "")),
            float(header.get("seconds") or 0.0),
            header.get("expires"),
            kind,
        )

    def pack(self) -> str:
        """Return the tag as one text, the task key first so that it can be searched for."""
        seconds, expires = f"{self.seconds:.4g}", "" if self.expires is None else repr(self.expires)
        return "\n".join((_line(self.task_key), _line(self.task), seconds, expires, self.format))


def _line(text: str) -> str:
    return text.replace("\n", " ")


def _unpack(text: str) -> Tag:
    """Return the tag; of a text that is not one, nothing but the text."""
    try:
        task_key, task, seconds, expires, kind = text.split("\n")
        return Tag(task_key, task, float(seconds), float(expires) if expires else None, kind)
    except ValueError:
        return Tag(text, text, 0.0, None, "")


class Row(NamedTuple):
    """An entry to write."""

    key: str
    stored: Stored
    tag: Tag


class Listed(NamedTuple):
    """What the index knows of an entry without opening it."""

    key: str
    tag: Tag
    created: float
    used: float
    hits: int | None
    size: int
    filename: str | None

    def described(self) -> dict[str, Any]:
        """Return what a user is told of it. `hits` is None where uses are not counted."""
        return {
            "key": self.key,
            "task": self.tag.task,
            "task_key": self.tag.task_key,
            "created": self.created,
            "size": self.size,
            "seconds": self.tag.seconds,
            "expires": self.tag.expires,
            "last_used": self.used,
            "format": self.tag.format,
            "hits": self.hits,
        }


class Place(Protocol):
    """A place for entries: an index, files, or either when it may only be read.

    All methods raise `OSError` or `sqlite3.Error` if the disk does not do its part.
    """

    lock: Any
    """To be held while the process forks."""
    rebuilt: bool
    """Whether entries may be there that are not listed yet."""

    @property
    def is_current(self) -> bool:
        """Whether the place is still the one that was opened."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written."""
        ...

    def read(self, key: str) -> Any:
        """Return the entry as `Stored`, `disk.REFUSED`, or None if there is none."""
        ...

    def read_ahead(self, key: str) -> Any:
        """Return the entry as `read` does, perhaps as it was a moment ago."""
        ...

    def open(self, stored: Stored) -> BinaryIO:
        """Open the file of an entry that has one."""
        ...

    def store(
        self, key: str, head: bytes, payload: Sequence[Bytes], size: int, *, durable: bool
    ) -> Stored:
        """Prepare an entry for `write`."""
        ...

    def discard(self, stored: Stored) -> None:
        """Undo `store`."""
        ...

    def write(self, rows: Iterable[Row], *, durable: bool = False) -> None:
        """Write what was prepared; `durable` waits until the disk has it."""
        ...

    def delete(self, entries: Iterable[Listed]) -> int:
        """Delete entries, unless they were replaced since, and return how many there were."""
        ...

    def settle(self) -> None:
        """Wait for those who write at present, if that is possible; raises nothing."""
        ...

    def take_out(self, key: str, target: Path) -> None:
        """Remove an entry, whatever it is, leaving its bytes in a file outside the store."""
        ...

    def count_uses(self, uses: dict[str, tuple[int, float]]) -> None:
        """Record how often entries were used, and when last."""
        ...

    def entries(self) -> list[Listed]:
        """Return all entries, least recently used first."""
        ...

    def newest(self, task_key: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Return keys and heads of the entries of a task stored last, newest first."""
        ...

    def bytes_used(self) -> int:
        """Return the bytes all entries take."""
        ...

    def sweep(self, adopt: Callable[[str, int], Row | None]) -> None:
        """Remove what killed processes left; list what is there, but not listed."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...

    def release(self) -> None:
        """Close what belongs to the calling thread."""
        ...


class Rows:
    """Lists the rows of a database of diskcache, which itself would unpickle keys for that.

    Of a user's own diskcache only the rows are listed whose keys begin with `prefix`.
    """

    def __init__(self, connection: sqlite3.Connection, prefix: str, lock: RLock) -> None:
        self._connection = connection
        self._prefix = prefix
        self._ours = (len(prefix), prefix)
        self._lock = lock

    def entries(self) -> list[Listed]:
        """Return all entries, least recently used first."""
        start = len(self._prefix)
        rows = self.select(_LIST, self._ours)
        return [Listed(key[start:], _unpack(tag), *facts) for key, tag, *facts in rows]

    def newest(self, task_key: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Return the keys and blobs of the entries of a task stored last, newest first."""
        task_key = _line(task_key)
        bounds = (task_key + "\n", task_key + "\x0b")
        rows = self.select(_NEWEST, (*bounds, *self._ours, count))
        return [(key[len(self._prefix) :], blob) for key, blob in rows]

    def bytes_used(self) -> int:
        """Return the bytes all entries take."""
        return int(self.select(_USED, self._ours)[0][0])

    def select(self, query: str, values: tuple[Any, ...]) -> Sequence[Any]:
        """Return the rows a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        with self._lock, suppress(sqlite3.Error):  # closing it under a reader kills the process
            self._connection.close()
