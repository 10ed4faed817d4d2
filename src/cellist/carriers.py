"""What carries a run out where it was called: the handle by which it is stopped from elsewhere."""

import threading
from typing import TYPE_CHECKING, Any

from cellist.engine.execution import Execution
from cellist.engine.threads import stop_code_in
from cellist.model.later import later
from cellist.model.runs import Run

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())


class ThreadRun:
    """A run that is carried out in a thread of the user's."""

    __slots__ = ("ident", "x")

    def __init__(self, x: Execution) -> None:
        self.x = x
        self.ident = threading.get_ident()

    def cancel(self) -> None:
        """Cancel the run as soon as its code notices."""
        self.x.cancelling = True
        self.halt(self.x.run)

    def halt(self, run: Run) -> None:
        """Raise an exception in the thread if the run still goes on."""
        if self.x.carrier is self and not run.is_final:
            stop_code_in(self.ident)


class AwaitedRun:
    """A run that is carried out inside somebody's asyncio task. `cancel` works from any thread."""

    __slots__ = ("cancels", "task", "x")

    def __init__(self, x: Execution, task: "asyncio.Task[Any]") -> None:
        self.x = x
        self.task = task
        self.cancels = 0
        x.carrier = self

    def cancel(self) -> None:
        """Cancel the run at its next await."""
        self.x.cancelling = True
        self.halt(self.x.run)

    def halt(self, run: Run) -> None:
        """Interrupt whatever the asyncio task awaits, if the run still goes on by then."""
        del run
        self.task.get_loop().call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self.x.carrier is self:
            self.cancels += 1
            self.task.cancel()

    def take_back(self) -> None:
        """Take back the cancels that were meant for this run, which is over: others go on."""
        for _ in range(self.cancels):
            self.task.uncancel()
