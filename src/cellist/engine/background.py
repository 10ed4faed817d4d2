"""Code that runs in the background of a notebook: on the loop of the kernel, while cells run.

The stop button concerns the cell in front. But code that does not await keeps the kernel from
everything, whoever started it, so a press that finds nothing else to stop interrupts it. Hence a
handler of our own is in place while a step of such code is being executed, and only then.
"""

import _thread
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

from cellist.engine.timers import call_later
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

is_background: ContextVar[bool] = ContextVar("cellist_background", default=False)
"""Whether the code belongs to a background flow: stop does not concern it, its waits pump."""

_PATIENCE = 0.1  # seconds in which the main thread should notice a signal


class Stepper:
    """Awaits a coroutine step by step, and interrupts it where it does not await."""

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        self._loop = loop
        self.runs_callback = vars(asyncio.Handle)["_run"].__code__
        """The code in which a loop carries out one callback."""
        self._before: Any = None
        self._presses = 0
        self._expected = False
        """Whether the next signal is our own way of stopping this code."""
        self.was_stopped = False
        """Whether the stop button has interrupted the code."""
        self.began = 0.0
        """When the present step began, on the monotonic clock; 0 between steps."""

    @property
    def is_inside(self) -> bool:
        """Whether a step of the code is being executed: it called, however far, who asks."""
        return self.began > 0

    def steps(self, coroutine: Coroutine[Any, Any, Any]) -> "Steps":
        """Return an awaitable that carries the coroutine on to its end."""
        return Steps(self, coroutine)

    def enter(self) -> None:
        """Put the handler in place for a step on the main thread."""
        self.began = time.monotonic()
        self._presses = 0
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is not None:  # else it is not Python's, and could not be put back
                signal.signal(signal.SIGINT, self._handle)

    def leave(self) -> None:
        """Put the handler back that was there before the step."""
        self.began = 0.0
        before, self._before = self._before, None
        if before is not None and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, before)

    def interrupt(self) -> None:
        """Interrupt the code where it does not await; it is noticed sooner or later.

        A signal that arrives just before a blocking call begins is noticed only when that ends.
        """
        self._expected = True
        self._kick()

    def _kick(self) -> None:
        if not self._expected or not self.is_inside:
            self._expected = False
        else:
            if signal.getsignal(signal.SIGINT) == self._handle:
                signal_main()
            call_later(_PATIENCE, self._kick)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._expected:
            if _runs_here(frame, self):
                self._expected = False
                raise KeyboardInterrupt
            return  # other code runs on top of it, which this is not meant for
        self._presses += 1
        waits = callable(self._before)  # a cell that the press is meant for
        if _runs_here(frame, self, pumping=False) and (not waits or self._presses > 1):
            self.was_stopped = True
            raise KeyboardInterrupt
        if waits:
            self._loop.call_soon(self._before, number, None)

    def is_blocking(self) -> bool:
        """Whether the main thread is inside the code now, and its loop does not go on."""
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage] - documented for this
        return _runs_here(frames.get(threading.main_thread().ident or 0), self, pumping=False)


class Steps:
    """A coroutine that is awaited with a handler around each step."""

    def __init__(self, stepper: Stepper, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._stepper = stepper
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                waited = self.step(error)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                yield waited
            except BaseException as thrown:
                error = thrown

    def step(self, error: BaseException | None) -> Any:
        """Carry the coroutine on to its next await."""
        __tracebackhide__ = True
        stepper = self._stepper
        stepper.enter()
        try:
            return self._coroutine.throw(error) if error else self._coroutine.send(None)
        finally:
            stepper.leave()


def signal_main() -> None:
    """Send the signal of the stop button to the main thread."""
    ident = threading.main_thread().ident
    if ident is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, signal.SIGINT)  # also ends a blocking call
    else:
        _thread.interrupt_main()


_STEPS = Steps.step.__code__


def _runs_here(frame: FrameType | None, stepper: Stepper, *, pumping: bool = True) -> bool:
    """Whether the innermost callback of the loop is a step of this code.

    With `pumping=False` not if that step runs the loop itself, while it waits.
    """
    while frame is not None:
        code = frame.f_code
        if code is _STEPS:
            return frame.f_locals.get("stepper") is stepper
        if code is stepper.runs_callback or (not pumping and code.co_name == "run_nested"):
            return False
        frame = frame.f_back
    return False
