"""Looks into a result store that are no use of a result: they move no count and no order."""

import time
from typing import Any

from cellist.caching.envelope import Header
from cellist.caching.formats import Encoded, decode
from cellist.caching.found import Found
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
    _saved: float

    def peek(self, key: str) -> Found | None:
        """Return the result under a key, `None` without a usable one; nothing is counted.

        Raises whatever keeps it from being read.
        """
        entry = self._memory.get(key) or self._writer.find(key)
        if entry is not None and (entry.expires is None or entry.expires > time.time()):
            return Found(entry.fresh(), entry.header, "memory", shown=entry.shown)
        loaded = self._shelf.load(key)
        if loaded is None or loaded.parts is None:
            return None
        sealed = loaded.sealed
        parts, shown = split(sealed.header, loaded.parts)
        value: Any = decode(sealed.format, sealed.meta, parts, private=loaded.private)
        return Found(value, sealed.header, "disk", shown=shown)

    def disown(self, found: Found) -> None:
        """Count a result that `get` gave, but that is not used, as one that was not found."""
        self._hits -= 1
        self._misses += 1
        self._saved -= found.header.get("seconds") or 0.0

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
