"""How far the loops of a run are.

Whoever counts only writes a number; whoever looks reads it when it is time to draw. So an item
costs one store, there is no event per item, and a loop that turns slow still moves on the board.
One event, at the first loop of a run, tells that there is something to look at.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from cellist.model.runs import Run

_WINDOW = 15.0
"""Seconds that the rate is taken over: what was long ago says little about what is left."""
_SAMPLES = 60
_LEAST = 0.3
"""Seconds below which a rate would be noise."""
_MOST_BARS = 20
_lock = threading.Lock()


class Glance(NamedTuple):
    """A loop as it was at one moment. Rates are items per second, times seconds."""

    description: str
    unit: str
    done: float
    total: float | None
    rate: float | None
    left: float | None
    elapsed: float
    is_over: bool

    @property
    def share(self) -> float | None:
        """Which part of the whole is done, from 0 to 1; `None` where the whole is not known."""
        if not self.total or self.done > self.total:
            return None
        return max(self.done / self.total, 0.0)


class Bar:
    """One loop. `done` is written by whoever counts; with `read` it is asked for instead."""

    __slots__ = ("_samples", "began", "description", "done", "ended", "read", "total", "unit")

    def __init__(
        self,
        total: float | None,
        description: str = "",
        unit: str = "",
        read: Callable[["Bar"], None] | None = None,
    ) -> None:
        self.total = total
        self.description = description
        self.unit = unit
        self.read = read
        self.done: float = 0
        self.began = time.monotonic()
        self.ended = 0.0
        self._samples: deque[tuple[float, float]] = deque([(self.began, 0.0)], maxlen=_SAMPLES)

    def end(self) -> None:
        """Note that no more is counted."""
        if not self.ended:
            self._read()
            self.ended = time.monotonic()
            self.read = None

    def look(self, now: float | None = None) -> Glance:
        """Return how far the loop is. May be called from any thread; `now` is for tests."""
        self._read()
        ended = self.ended
        at = ended or (time.monotonic() if now is None else now)
        done, elapsed = self.done, max(at - self.began, 0.0)
        rate = (done / elapsed if elapsed >= _LEAST else None) if ended else self._rate(at, done)
        left = None
        if not ended and rate and self.total is not None and done <= self.total:
            left = (self.total - done) / rate
        return Glance(
            self.description, self.unit, done, self.total, rate, left, elapsed, bool(ended)
        )

    def _read(self) -> None:
        if self.read is not None:
            self.read(self)

    def _rate(self, now: float, done: float) -> float | None:
        """Return items per second over the last seconds."""
        with _lock:
            samples = self._samples
            if now - samples[-1][0] >= _WINDOW / _SAMPLES:
                samples.append((now, done))
            while len(samples) > 1 and now - samples[0][0] > _WINDOW:
                samples.popleft()
            since, before = samples[0]
        return (done - before) / (now - since) if now - since >= _LEAST and done > before else None


class Bars:
    """The loops of one run: those under way, outermost first, else the last one that is over."""

    __slots__ = ("_attempt", "_bars")

    def __init__(self) -> None:
        self._bars: tuple[Bar, ...] = ()
        self._attempt = 0

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Those loops."""
        return self._bars

    def begin(self, bar: Bar, attempt: int) -> None:
        """Add a loop that begins; those of earlier attempts are gone, however they ended."""
        with _lock:
            known = self._bars if attempt == self._attempt else ()
            live = [one for one in known if not one.ended]
            self._bars = (*live[: _MOST_BARS - 1], bar)
            self._attempt = attempt

    def end(self, bar: Bar) -> None:
        """Note that a loop is over. An inner one goes, the outermost stays to be read."""
        bar.end()
        with _lock:
            if len(self._bars) > 1:
                self._bars = tuple(known for known in self._bars if known is not bar)

    def look(self, attempt: int, now: float | None = None) -> list[Glance]:
        """Return how far each loop of an attempt is that is to be shown."""
        return [bar.look(now) for bar in self._bars] if attempt == self._attempt else []


def begin(run: Run, bar: Bar) -> None:
    """Make a loop one of a run, and tell of the first."""
    bars = run.progress
    if bars is None:
        with _lock:
            is_first = run.progress is None
            bars = run.progress = run.progress or Bars()
        bars.begin(bar, run.attempts)
        if is_first:
            run.announce("progress")
    else:
        bars.begin(bar, run.attempts)


def end(run: Run, bar: Bar) -> None:
    """Note that a loop of a run is over."""
    if run.progress is not None:
        run.progress.end(bar)
