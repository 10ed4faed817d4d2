"""Looks into a result store that are no use of a result: they move no count and no order."""

import time
from typing import Any, Protocol

from cellist.caching.envelope import BadEntry, Header
from cellist.caching.formats import Encoded, decode
from cellist.caching.found import ABSENT, Found, Missing, undecodable
from cellist.caching.memory import Memory
from cellist.caching.shelf import Shelf
from cellist.caching.shown import split
from cellist.caching.writer import Writer

_ALL = 2**62


class Aside:
    """The part of a result store that looks without using."""

    _memory: Memory
    _shelf: Shelf
    _writer: Writer
    _hits: int
    _misses: int
    _stored: int
    _saved: float
    _warned: dict[str, str]
    _look_again: float

    def _heed_others(self) -> None:
        """Forget what memory holds if another kernel had results forgotten."""

    def peek(self, key: str) -> Found | Missing:
        """Return what `get` would, but count nothing, keep nothing in memory and warn of nothing.

        The value is read all the same: one that cannot be is a miss.
        """
        self._heed_others()
        entry = self._memory.get(key) or self._writer.find(key)
        try:
            if entry is not None and (entry.expires is None or entry.expires > time.time()):
                value, shown = entry.opened()
                return Found(value, entry.header, "memory", shown=shown)
            loaded = self._shelf.load(key)
            if loaded is None:
                return Missing("expired", "it has expired", entry.header) if entry else ABSENT
            sealed = loaded.sealed
            if loaded.parts is None:
                return Missing("expired", "it has expired", sealed.header)
            parts, shown = split(sealed.header, loaded.parts)
            value: Any = decode(sealed.format, sealed.meta, parts, private=loaded.private)
        except BadEntry as bad:
            return Missing(bad.code, str(bad))
        except Exception as error:  # the value's own classes run here
            return Missing("unreadable", undecodable(error))
        return Found(value, sealed.header, "disk", shown=shown)

    def size_of(self, key: str) -> int | None:
        """Return how many bytes a result takes, None where that is not known; reads no value."""
        entry = self._memory.get(key) or self._writer.find(key)
        return entry.size if entry is not None else self._shelf.size_of(key)

    def disown(self, found: Found) -> None:
        """Count a result that `get` gave, but that is not used, as one that was not found."""
        self._hits -= 1
        self._misses += 1
        self._saved -= found.header.get("seconds") or 0.0

    def recount(self) -> None:
        """Take the last miss back: who was told of it looks once more."""
        self._misses -= 1

    def stats(self) -> dict[str, Any]:
        """Return counts of this session, the bytes on disk, and the warnings given."""
        return {
            "hits": self._hits,
            "misses": self._misses,
            "stored": self._stored,
            "seconds_saved": self._saved,
            "bytes": self._shelf.bytes_used(),
            "warnings": list(self._warned.values()),
        }

    def recorded(self, task: str) -> list[Header]:
        """Return the headers of all results of a task, given by name or key, newest first.

        This reads the disk.
        """
        self._writer.flush(10)
        named = {one.tag.task_key for one in self._shelf.entries() if task == one.tag.task}
        headers = [entry.header for entry in self._memory.entries()]
        for task_key in {task, *named}:
            headers += self._shelf.headers(task_key, _ALL)
        found = {
            one.get("key", ""): one
            for one in headers
            if task in (one.get("task"), one.get("task_key"))
        }
        return sorted(found.values(), key=lambda one: one.get("created", 0.0), reverse=True)

    def encoded(self, key: str) -> tuple[Header, Encoded] | None:
        """Return a result as it lies on disk, None if it is not there. Raises `BadEntry`."""
        loaded = self._shelf.load(key)
        if loaded is None or (parts := loaded.parts) is None:
            return None
        return loaded.sealed.header, Encoded(loaded.sealed.format, loaded.sealed.meta, parts)


class Peekable(Protocol):
    """What can be looked into without using it."""

    def peek(self, key: str) -> Found | Missing:
        """Return what is stored under a key."""
        ...


class Readable(Protocol):
    """What a look-up reads from."""

    def get(self, key: str, *, in_memory: bool = True) -> Found | Missing:
        """Return what is stored under a key."""
        ...

    def disown(self, found: Found) -> None:
        """Count a result that `get` gave, but that is not used, as one that was not found."""
        ...


class Onlooker:
    """A store for who only looks: the same look-up leaves no trace in it."""

    def __init__(self, store: Peekable) -> None:
        self._store = store

    def get(self, key: str, *, in_memory: bool = True) -> Found | Missing:
        """Return what is stored under a key."""
        del in_memory
        return self._store.peek(key)

    def disown(self, found: Found) -> None:
        """Do nothing: nothing was counted."""
