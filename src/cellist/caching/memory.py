"""The layer above the disk: results of this process, as bytes or as immutable values.

A value is kept itself only if nothing can change it; everything else is kept as bytes and decoded
anew for each caller, so that two callers never share something mutable.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from cellist.caching.envelope import Bytes, Header
from cellist.caching.formats import Encoded, decode, encode
from cellist.caching.reasons import Known
from cellist.caching.shown import split
from cellist.caching.snapshots import SMALL, loads, snapshot
from cellist.model.previews import short

MAX_HEADERS = 50
_REREAD_SECONDS = 60.0
_OVERHEAD = 600  # about what a header and the bookkeeping take


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """One result: its value if that is immutable, else its bytes, as they are stored or not yet."""

    key: str
    header: Header
    value: Any
    encoded: Encoded | None
    size: int
    expires: float | None
    cancelled: bool = False
    """Whether it must not be written any more."""
    preview: str | None = None
    """What the value looks like, once somebody has had it."""
    snapshot: bytes | None = None
    """The value as a pickle of plain data, made by this process: quicker to open than `encoded`."""

    def opened(self) -> tuple[Any, Bytes | None]:
        """Return the value, sharing no mutable memory with others, and what its run showed."""
        if self.snapshot is not None:
            return loads(self.snapshot), None
        encoded = self.encoded
        if encoded is None:
            return self.value, None
        parts, shown = split(self.header, encoded.parts)
        value = decode(encoded.format, encoded.meta, parts, private=False)
        if encoded.format == "json" and shown is None and self.size <= SMALL:
            self.snapshot = snapshot(value)
        return value, shown

    def encode(self) -> Encoded:
        """Return the value as the bytes that are stored. Raises `SerializationError`."""
        if self.encoded is not None:
            return self.encoded
        return encode(self.value if self.snapshot is None else loads(self.snapshot))

    def preview_of(self, value: Any) -> str:
        """Return what the value looks like; it is the same for each caller."""
        if self.preview is None:
            self.preview = self.header.get("preview") or short(value)
        return self.preview


class Memory:
    """Keeps the entries used last, up to a number of bytes."""

    def __init__(self, budget: int) -> None:
        self.limit = budget // 8
        """The largest entry that is kept: one must not push out all others."""
        self._budget = budget
        self._used = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.lock = Lock()

    def get(self, key: str) -> Entry | None:
        """Return the entry and count it as used."""
        entries = self._entries
        entry = entries.get(key)
        if entry is not None:
            try:
                entries.move_to_end(key)  # without the lock: each step is one of its own
            except KeyError:  # it was forgotten meanwhile
                pass
        return entry

    def put(self, entry: Entry) -> None:
        """Keep the entry in place of an older one, pushing out those unused for longest."""
        with self.lock:
            old = self._entries.pop(entry.key, None)
            if old is not None:
                self._used -= old.size + _OVERHEAD
            if entry.size > self.limit:
                return
            self._entries[entry.key] = entry
            self._used += entry.size + _OVERHEAD
            while self._used > self._budget:
                _, oldest = self._entries.popitem(last=False)
                self._used -= oldest.size + _OVERHEAD

    def remove(self, key: str) -> None:
        """Forget the entry, if there is one."""
        with self.lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._used -= old.size + _OVERHEAD

    def clear(self) -> None:
        """Forget all entries."""
        with self.lock:
            self._entries.clear()
            self._used = 0

    def entries(self) -> list[Entry]:
        """Return all entries, least recently used first."""
        with self.lock:
            return list(self._entries.values())


class Recent:
    """The latest headers of one task, oldest first, by key. Not to be used by two at once."""

    def __init__(self) -> None:
        self._by_key: dict[str, Known] = {}
        self.read_at: float | None = None
        """When the disk was last asked, on the monotonic clock."""

    def add(self, header: Header) -> None:
        """Note a header as the newest."""
        key = header.get("key", "")
        self._by_key.pop(key, None)
        self._by_key[key] = Known(header)
        if len(self._by_key) > MAX_HEADERS:
            del self._by_key[next(iter(self._by_key))]

    def merge(self, headers: list[Header]) -> None:
        """Take in headers from disk; what this process stored itself is newer."""
        found = {header.get("key", ""): Known(header) for header in headers} | self._by_key
        ordered = sorted(found.items(), key=lambda item: item[1].header.get("created", 0.0))
        self._by_key = dict(ordered[-MAX_HEADERS:])

    def newest(self) -> list[Known]:
        """Return what is known of the entries, newest first."""
        return list(reversed(self._by_key.values()))


class Headers:
    """The latest headers of each task, from disk at most once a minute."""

    def __init__(self) -> None:
        self._recent: dict[str, Recent] = {}
        self.lock = Lock()

    def of(self, task_key: str, read: Callable[[str, int], list[Header]]) -> list[Known]:
        """Return what is known of a task's results, newest first."""
        now = time.monotonic()
        with self.lock:
            recent = self._recent.setdefault(task_key, Recent())
            if recent.read_at is not None and now - recent.read_at < _REREAD_SECONDS:
                return recent.newest()
            recent.read_at = now
        found = read(task_key, MAX_HEADERS)
        with self.lock:
            recent.merge(found)
            return recent.newest()

    def add(self, header: Header) -> None:
        """Note the header of a result that was just stored."""
        task_key = header.get("task_key")
        if task_key:
            with self.lock:
                self._recent.setdefault(task_key, Recent()).add(header)

    def clear(self) -> None:
        """Forget all of them."""
        with self.lock:
            self._recent.clear()
