"""Carry out submitted coroutine functions on an event loop: the kernel's, or one of our own."""

import threading
from typing import TYPE_CHECKING, Any

from cellist.engine.commands import Err
from cellist.engine.drivers import adrive
from cellist.engine.execution import Execution, current
from cellist.engine.promise import Promise
from cellist.engine.steps import run_steps
from cellist.engine.waiting import begin_work, end_work
from cellist.exceptions import IllegalTransition
from cellist.model.later import later
from cellist.model.runs import Run
from cellist.model.states import CANCELLING

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_lock = threading.Lock()
_session_loop: "asyncio.AbstractEventLoop | None" = None


class LoopWork:
    """A run on its way on a loop. `cancel` may be called from any thread."""

    __slots__ = ("loop", "promise", "started", "task", "x")

    def __init__(
        self,
        x: Execution,
        promise: Promise,
        loop: "asyncio.AbstractEventLoop",
    ) -> None:
        self.x = x
        self.promise = promise
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self.started = False
        promise.work = self
        x.carrier = self

    def begin(self, *, is_here: bool) -> None:
        """Start the run on its loop; `is_here` says that this is the thread the loop runs in."""
        begin_work(self.loop)
        if is_here:
            self._start()
        else:
            # call_soon_threadsafe copies the context of the caller, as create_task does
            self.loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self.task = self.loop.create_task(self._run())

    async def _run(self) -> None:
        self.started = True
        current.set(self.x)
        try:
            outcome = await adrive(run_steps(self.x), self.x)
        except BaseException as fault:
            outcome = Err(fault)
        finally:
            end_work(self.loop)
        self.x.carrier = None
        self.promise.settle(outcome)

    def cancel(self) -> None:
        """Cancel the run at its next await."""
        self.x.cancelling = True
        if self.x.run.attempts:
            try:
                self.x.run.enter(CANCELLING, None, "Cancel requested, still running.")
            except IllegalTransition:
                return
        self.halt(self.x.run)

    def halt(self, run: Run) -> None:
        """Interrupt what the run awaits."""
        del run
        self.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        # A task that is cancelled before its first step never runs at all, and its run would never
        # end; the steps of one that has not started see by themselves that they are cancelled.
        if self.task is not None and self.started:
            self.task.cancel()


def session_loop() -> "asyncio.AbstractEventLoop":
    """Return the loop for scripts, which runs in a thread of its own from its first use on."""
    global _session_loop  # noqa: PLW0603 - one loop for the process
    with _lock:
        if _session_loop is None or not _session_loop.is_running():
            loop = asyncio.new_event_loop()
            ready = threading.Event()

            def serve() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(ready.set)
                loop.run_forever()

            threading.Thread(target=serve, name="cellist-loop", daemon=True).start()
            ready.wait()
            _session_loop = loop
        return _session_loop


def loop_for(flow_loop: Any) -> "asyncio.AbstractEventLoop":
    """Return the loop for what is submitted outside loops: its flow's, else the session's."""
    if flow_loop is not None and flow_loop.is_running():
        return flow_loop
    return session_loop()
