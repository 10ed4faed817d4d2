"""What happened when, in little memory: the idle stretches of a board, the pace of a group.

Times are milliseconds since the epoch. Both are told of an end once or several times and in any
order of runs, and cost a fraction of a microsecond each time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any

from cellist.board.palette import LOOKS

MOST_BINS = 96
"""Columns of a pace; with more, two become one of twice the width."""

_FIRST_WIDTH = 50
_ORDER = {key: place for place, key in enumerate(LOOKS)}
_IDLE_LOOKS = frozenset({"waiting", "paused"})
_IDLE_SHARE = 3
_LEAST_IDLE = 1_000


class Spans:
    """A set of moments, kept as spans that do not touch."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []

    def add(self, begin: int, end: int) -> None:
        """Take in one span; what overlaps becomes one."""
        first = bisect_left(self.ends, begin)
        last = bisect_right(self.begins, end)
        if first < last:
            begin = min(begin, self.begins[first])
            end = max(end, self.ends[last - 1])
        self.begins[first:last] = [begin]
        self.ends[first:last] = [end]

    def without(self, other: "Spans") -> list[tuple[int, int]]:
        """Return the parts of these spans that the other ones do not cover."""
        found: list[tuple[int, int]] = []
        for begin, end in zip(self.begins, self.ends, strict=True):
            at = begin
            for place in range(bisect_right(other.ends, begin), len(other.begins)):
                if other.begins[place] >= end:
                    break
                if other.begins[place] > at:
                    found.append((at, other.begins[place]))
                at = max(at, other.ends[place])
            if at < end:
                found.append((at, end))
        return found


class Activity:
    """When attempts were made and when runs only waited, for a timeline that folds idle gaps."""

    def __init__(self) -> None:
        self._busy = Spans()
        self._idle = Spans()
        self._running: dict[int, int] = {}
        self._waiting: dict[int, int] = {}

    def note(self, run: int, bars: Iterable[tuple[str, int, int | None]]) -> None:
        """Take in the attempts and waits of a run as they are now."""
        self._running.pop(run, None)
        self._waiting.pop(run, None)
        for look, begin, end in bars:
            waits = look in _IDLE_LOOKS
            if end is None:
                (self._waiting if waits else self._running)[run] = begin
            else:
                (self._idle if waits else self._busy).add(begin, end)

    def gaps(self) -> list[tuple[int, int | None]]:
        """Return when all that had begun only waited; the last gap has no end while it lasts.

        Gaps are left out that are short beside the time in which something ran.
        """
        busy = self._busy
        worked = sum(busy.ends) - sum(busy.begins)
        least = max(_LEAST_IDLE, worked // _IDLE_SHARE)
        found: list[tuple[int, int | None]] = [
            (begin, end)
            for begin, end in self._idle.without(busy)
            if end - begin >= least and not any(begin <= at < end for at in self._running.values())
        ]
        if self._waiting and not self._running:
            begin = max(min(self._waiting.values()), busy.ends[-1] if busy.ends else 0)
            found = [gap for gap in found if gap[1] is None or gap[1] <= begin]
            found.append((begin, None))
        return found


class Pace:
    """How many runs of a group ended when and how: what is drawn of more runs than have bars."""

    def __init__(self) -> None:
        self._begin = 0
        self._width = _FIRST_WIDTH
        self._counts: dict[tuple[int, str], int] = {}
        self._changed: set[tuple[int, str]] = set()
        """Columns that were not told; those told before still hold."""
        self._is_new = True
        """Whether all that was told before no longer holds."""

    def note(self, look: str, at: int) -> None:
        """Count a run that ended."""
        if not self._begin:
            self._begin = at - at % self._width
        place = (at - self._begin) // self._width
        place = max(place, 0)
        while place >= MOST_BINS:
            self._halve()
            place //= 2
        key = place, look
        self._counts[key] = self._counts.get(key, 0) + 1
        self._changed.add(key)

    def _halve(self) -> None:
        self._width *= 2
        halved: dict[tuple[int, str], int] = {}
        for (place, look), number in self._counts.items():
            key = place // 2, look
            halved[key] = halved.get(key, 0) + number
        self._counts = halved
        self._changed = set(halved)
        self._is_new = True

    @property
    def is_stale(self) -> bool:
        """Whether there is anything new."""
        return bool(self._changed)

    def as_dict(self) -> dict[str, Any]:
        """Return the columns as the front end gets them: of each its place, look and number."""
        self._is_new = False
        self._changed.clear()
        return {**self._frame(), "parts": self._parts(self._counts)}

    def changes(self) -> dict[str, Any]:
        """Return the columns that differ since the last time; all of them if they have moved."""
        if self._is_new:
            return self.as_dict()
        changed = self._parts(self._changed)
        self._changed.clear()
        return {**self._frame(), "changed": changed}

    def _frame(self) -> dict[str, Any]:
        return {"begin": self._begin, "width": self._width}

    def _parts(self, keys: Iterable[tuple[int, str]]) -> list[list[Any]]:
        return [[*key, self._counts[key]] for key in sorted(keys, key=_by_place_then_look)]


def _by_place_then_look(key: tuple[int, str]) -> tuple[int, int]:
    return key[0], _ORDER[key[1]]
