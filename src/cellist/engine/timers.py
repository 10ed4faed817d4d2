"""One thread that calls functions when their time has come: retries due, time limits, polls."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable

_order = itertools.count()


class Timer:
    """A call that is due at a moment of the monotonic clock; `cancel` takes it back."""

    __slots__ = ("callback", "due", "order")

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.order = next(_order)
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Do not make the call, unless it is being made already."""
        self.callback = None

    def __lt__(self, other: "Timer") -> bool:
        return (self.due, self.order) < (other.due, other.order)


class Clock:
    """Keeps the timers and the thread that serves them; the thread starts with the first."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call a quick function that does not raise after some seconds, in the clock's thread."""
        timer = Timer(time.monotonic() + seconds, callback)
        with self._changed:
            heapq.heappush(self._heap, timer)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._serve, name="cellist-clock", daemon=True
                )
                self._thread.start()
            elif self._heap[0] is timer:
                self._changed.notify()
        return timer

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0].due > time.monotonic():
                    wait = self._heap[0].due - time.monotonic() if self._heap else None
                    self._changed.wait(wait)
                timer = heapq.heappop(self._heap)
            callback = timer.callback
            if callback is not None:
                callback()
            del timer, callback  # what they hold must not live until the next one fires


clock = Clock()
"""The clock of this process."""


def call_later(seconds: float, callback: Callable[[], object]) -> Timer:
    """Call a quick function that does not raise after some seconds, in the clock's thread."""
    return clock.call_later(seconds, callback)
