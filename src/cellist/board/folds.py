"""From time to place on the record's timeline: stretches in which everything waited are folded.

As on the live one: a night of waiting gets a fixed width, so that the minutes of work have room.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cellist.board.wording import duration

WIDTH = 40
"""How wide a fold is drawn."""


class Fold(NamedTuple):
    """A stretch of time that is folded, in milliseconds, and where it is drawn."""

    begin: int
    end: int
    x: float

    @property
    def text(self) -> str:
        """How long it was."""
        return f"+{duration((self.end - self.begin) / 1000)}"


class Scale:
    """Places of the moments between `begin` and `end`, milliseconds, on a width from `left` on."""

    def __init__(
        self,
        begin: int,
        end: int,
        gaps: Iterable[tuple[int, int | None]],
        left: float,
        width: float,
    ) -> None:
        spans = [
            (max(first, begin), min(end if last is None else last, end)) for first, last in gaps
        ]
        spans = [(first, last) for first, last in spans if last > first]
        most = int(width / WIDTH / 3)  # there must be room for what is not folded
        longest = sorted(spans, key=lambda span: span[0] - span[1])[:most]
        worked = end - begin - sum(last - first for first, last in longest)
        self._per_ms = (width - WIDTH * len(longest)) / max(worked, 1)
        self._begin, self._left = begin, left
        self.folds: list[Fold] = []
        """What is folded, in order."""
        for first, last in sorted(longest):
            self.folds.append(Fold(first, last, self.x(first)))

    def x(self, at: int) -> float:
        """Return where a moment is drawn."""
        fold = next((fold for fold in reversed(self.folds) if fold.begin < at), None)
        if fold is None:
            return self._left + (at - self._begin) * self._per_ms
        if at < fold.end:
            return fold.x + WIDTH * (at - fold.begin) / (fold.end - fold.begin)
        return fold.x + WIDTH + (at - fold.end) * self._per_ms
