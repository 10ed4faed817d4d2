"""What the stop button does while a run is live on the main thread.

Sync code is interrupted as ever, by `KeyboardInterrupt`. An awaiting cell is not woken by a signal
alone: the event loop sleeps on until something else happens (NOTES measured an interrupt that took
as long as the sleep). So while a run is live our handler cancels the run's asyncio task through
the loop on the first press, which wakes it, and raises on the second. The handler that was there
before is put back when the outermost run ends.
"""

import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

from cellist.engine import drivers
from cellist.engine.background import is_background, signal_main
from cellist.engine.timers import call_later
from cellist.model.later import later
from cellist.model.runs import Run

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_PATIENCE = 0.1  # seconds in which the main thread should notice a signal
_SYNC_CODE = (drivers.drive.__code__, drivers.perform.__code__)
_DRIVERS = (drivers.drive.__code__, drivers.advance.__code__, drivers.adrive.__code__)


class Guard:
    """The handler of one process; it is installed by the outermost run on the main thread."""

    def __init__(self) -> None:
        self.interrupted = False
        """Whether the stop button was pressed since the outermost run began."""
        self.only_if_busy = False
        self.expected = False
        """Whether the next signal is our own way of stopping one run, not the stop button."""
        self._whose: Run | None = None
        """The run it is to stop, if it is to stop one in particular."""
        self.cell_task: asyncio.Task[Any] | None = None
        """The task in which a notebook cell runs; IPython catches what is raised in it."""
        self._depth = 0
        self._presses = 0
        self._before: Any = None
        self._targets: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    def enter(self, task: "asyncio.Task[Any] | None" = None) -> bool:
        """Install the handler if this is the main thread; say whether `leave` must be called.

        What runs in the background of a notebook is not stopped by the button.
        """
        if threading.current_thread() is not threading.main_thread() or is_background.get():
            return False
        if task is not None:
            self._targets.append((task.get_loop(), task))
        self._depth += 1
        if self._depth == 1:
            self.interrupted = False
            self._presses = 0
            self._before = signal.getsignal(signal.SIGINT)
            if callable(self._before):
                signal.signal(signal.SIGINT, self._handle)
        return True

    def begin_cell(self, task: "asyncio.Task[Any] | None") -> None:
        """Learn that a notebook cell begins: a stop of an earlier one does not concern it."""
        self.cell_task = task
        if not self._depth:
            self.interrupted = False

    def leave(self, task: "asyncio.Task[Any] | None" = None) -> None:
        """Undo one `enter`."""
        if task is not None:
            self._targets = [target for target in self._targets if target[1] is not task]
        self._depth -= 1
        if self._depth == 0:
            if callable(self._before) and signal.getsignal(signal.SIGINT) == self._handle:
                signal.signal(signal.SIGINT, self._before)
            self._before = None

    def knows(self, task: "asyncio.Task[Any]") -> bool:
        """Whether `enter` was called for a task and `leave` was not."""
        return any(target[1] is task for target in self._targets)

    def interrupt_main(self, run: Run | None = None) -> None:
        """Interrupt the code on the main thread on behalf of one run that was cancelled.

        Nothing is interrupted if the run is over by then: other code runs there.
        """
        self._whose = run
        self.expected = True
        self._kick()

    def interrupt_cell(self) -> None:
        """Interrupt code that keeps the main thread from its loop, and nothing else."""
        self.only_if_busy = True
        self.interrupt_main()

    def _kick(self) -> None:
        """Send a signal, again and again until it is noticed.

        One that arrives just before a blocking call begins is noticed only when that call ends.
        """
        is_ours = signal.getsignal(signal.SIGINT) == self._handle
        if not self.expected or not self._depth or not is_ours:
            self.expected = False
            return
        if _on_main():
            signal.raise_signal(signal.SIGINT)
        else:
            signal_main()
        call_later(_PATIENCE, self._kick)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.expected:
            whose = self._whose
            if whose is not None and whose.is_final:
                self.expected = self.only_if_busy = False
                return
            if _in_steps(frame):
                return  # which must not be cut off; the next signal comes in a moment
            only_if_busy, self.expected, self.only_if_busy = self.only_if_busy, False, False
            if only_if_busy and not self._is_busy(frame):
                return  # the loop is free: the cancel that was sent through it arrives
            raise KeyboardInterrupt
        self._presses += 1
        self.interrupted = True
        if self._presses == 1 and self._targets and not self._is_busy(frame):
            for loop, task in self._targets:
                loop.call_soon_threadsafe(task.cancel)
            return
        del number
        raise KeyboardInterrupt

    def _is_busy(self, frame: FrameType | None) -> bool:
        """Whether the main thread runs code that an exception can be raised in right now.

        In any other task than that of the cell `KeyboardInterrupt` would end the event loop.
        """
        if _in_sync_code(frame):
            return True
        loop = self._targets[0][0]
        return self.cell_task is not None and asyncio.current_task(loop) is self.cell_task


def _on_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _in_steps(frame: FrameType | None) -> bool:
    """Whether the main thread carries out our own steps of a run, and no code of a user."""
    below: FrameType | None = None
    while frame is not None:
        if frame.f_code in _DRIVERS:
            steps = frame.f_locals.get("steps")
            return below is None or getattr(steps, "gi_frame", None) is below
        below, frame = frame, frame.f_back
    return False


def _in_sync_code(frame: FrameType | None) -> bool:
    """Whether the main thread is inside sync user code that one of our drivers called."""
    while frame is not None:
        if frame.f_code in _SYNC_CODE:
            return True
        frame = frame.f_back
    return False
