"""How far the loops of code in another process are: told a few times a second, shown here."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from cellist.engine.timers import Timer, call_later
from cellist.model.progress import Bar, begin, end
from cellist.model.runs import Run

_EVERY = 0.25
"""Seconds between two tellings: a board shows no more."""

Told = tuple[int, str, str, float, float | None, bool]
"""A loop by number: its description, its unit, how many are done, of how many, whether it is over.
"""


class Teller:
    """Tells, in the process that has the code, of the loops of a run from its first one on."""

    def __init__(self, run: Run, tell: Callable[[tuple[Any, ...]], object]) -> None:
        self._run = run
        self._tell = tell
        self._lock = threading.Lock()
        self._timer: Timer | None = None
        self._numbers: dict[int, tuple[int, Bar]] = {}
        """The loops that were told of last, by their identity; it is theirs as long as they live"""
        self._count = 0
        self._told: list[Told] = []

    def begin(self) -> None:
        """Tell now, and from now on."""
        with self._lock:
            self._look()
            self._timer = call_later(_EVERY, self._again)

    def end(self) -> None:
        """Tell for the last time, if there were loops."""
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
                self._look()

    def _again(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._look()
                self._timer = call_later(_EVERY, self._again)

    def _look(self) -> None:
        numbers: dict[int, tuple[int, Bar]] = {}
        told: list[Told] = []
        for bar in self._run.progress.bars if self._run.progress is not None else ():
            known = self._numbers.get(id(bar))
            if known is None:
                self._count += 1
                known = self._count, bar
            numbers[id(bar)] = known
            seen = bar.look()
            told.append(
                (known[0], seen.description, seen.unit, seen.done, seen.total, seen.is_over)
            )
        self._numbers = numbers
        if told != self._told:
            self._told = told
            self._tell(("loops", told))


class Mirror:
    """Shows, in the process that has the run, the loops that are told of."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._bars: dict[int, Bar] = {}

    def hear(self, told: Sequence[Told]) -> None:
        """Take down how far the loops are."""
        for number in self._bars.keys() - {one[0] for one in told}:
            end(self._run, self._bars.pop(number))
        for number, description, unit, done, total, is_over in told:
            bar = self._bars.get(number)
            if bar is None:
                bar = self._bars[number] = Bar(total, description, unit)
                begin(self._run, bar)
            bar.done, bar.total, bar.description = done, total, description
            if is_over:
                end(self._run, bar)
