"""What a place for results needs now and then: sweeping, collecting, setting damaged entries aside.

None of it is done in a user's own diskcache, nor where nothing can be written.
"""

import sqlite3
import time
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from cellist.caching import collector
from cellist.caching.disk import Stored
from cellist.caching.envelope import BadEntry, read_head
from cellist.caching.filestore import Describe
from cellist.caching.listing import Listed, Place, Row
from cellist.caching.pins import Pins
from cellist.caching.quarantine import Quarantine

_SWEEP_SECONDS = 86_400.0
_FAULTS = (OSError, sqlite3.Error)


class Upkeep:
    """Looks after one directory. Nothing here raises."""

    def __init__(self, directory: Path, describe: Describe, *, guest: bool) -> None:
        self._marker = directory / "swept"
        self._describe = describe
        self._guest = guest
        self._quarantine = Quarantine(directory)
        self.pins = Pins(directory)

    def tell(self, place: Place, keys: set[str]) -> None:
        """Let other kernels know what this one has used, so that they leave it."""
        if not (place.is_read_only or self._guest):
            with suppress(OSError):
                self.pins.tell(keys)

    def victims(self, entries: list[Listed], pinned: Container[str], excess: int) -> set[Listed]:
        """Return what to give up so that there is room for `excess` bytes."""
        others: set[str] = set() if self._guest else self.pins.of_others()
        return set(collector.victims(entries, pinned, others, excess, time.time()))

    def set_aside(self, place: Place, key: str, bad: BadEntry) -> None:
        """Take a damaged entry out of the place, and keep it where it can be looked at.

        What somebody else signed is not damaged: to them it may be of use.
        """
        if place.is_read_only or self._guest or bad.code != "unreadable":
            return
        with suppress(*_FAULTS):
            tasks = [entry.tag.task for entry in place.entries() if entry.key == key]
            note = {"key": key, "task": "".join(tasks), "code": bad.code, "problem": str(bad)}
            self._quarantine.admit(note, lambda target: place.take_out(key, target))

    def aside(self, entries: list[Listed]) -> list[dict[str, Any]]:
        """Return what was set aside and has not been computed again."""
        here = {entry.key for entry in entries}
        last = {note["key"]: note for note in self._quarantine.notes()}
        return [note for key, note in last.items() if key not in here]

    def sweep_if_due(self, place: Place) -> None:
        """Once a day remove, in the background, what killed processes left."""
        try:
            due = place.rebuilt or time.time() - self._marker.stat().st_mtime > _SWEEP_SECONDS
        except OSError:
            due = True
        if due and not (place.is_read_only or self._guest):
            Thread(target=self._sweep, args=(place,), daemon=True).start()

    def _sweep(self, place: Place) -> None:
        def adopt(filename: str, size: int) -> Row | None:
            with place.open(Stored(b"", filename, size)) as file:
                head = read_head(file)
            try:
                key, _, tag = self._describe(head, size)
            except BadEntry:
                return None
            return Row(key, Stored(head, filename, size), tag)

        with suppress(*_FAULTS, BadEntry):
            place.sweep(adopt)
            self._marker.touch()
            self._quarantine.tidy()
        place.release()


def problems(entries: list[Listed], load: Callable[[str], object]) -> list[dict[str, Any]]:
    """Load all entries and return what is wrong with any."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        try:
            load(entry.key)
        except BadEntry as bad:
            facts = {"key": entry.key, "task": entry.tag.task}
            found.append({**facts, "code": bad.code, "problem": str(bad)})
    return found
