"""Call the code of tasks in other processes; states, cache and history stay here.

A thread of ours ships the call, passes on what the code says meanwhile and waits for the answer, so
retries and places work as in the thread pool. What the thread pool cannot do, this can: code is
stopped by ending its process, at a cancel and when its time is up. A process that went away is
replaced by another; only the run that was in it has crashed.

Processes are spawned, not forked: a kernel has threads and a loop that do not survive a fork.
They are no daemons, or tasks could not use processes of their own; so they are ended at exit.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cellist.engine.commands import Invoke, WentAway
from cellist.engine.scheduler import Work
from cellist.engine.threads import Worker, run_in_thread
from cellist.exceptions import CancelledRun, CrashedRun
from cellist.runners.child import Start, main
from cellist.runners.loops_told import Mirror
from cellist.runners.parcels import Packing, note_facts
from cellist.runners.returns import open_answer
from cellist.runners.threads import ThreadPool

_SHOWN_AFTER = 0.02
"""Seconds in which text that comes without a pause is shown."""


class Child:
    """One process, seen from here. `end` may be called from any thread."""

    def __init__(self, context: Any, start: Start) -> None:
        self._lock = threading.Lock()
        self._is_ended = False
        self.is_ready = False
        self.connection, theirs = context.Pipe()
        self._poll: Callable[[int], Any] = self.connection.poll
        if hasattr(select, "poll"):  # the connection's own way takes ten times as long
            poller = select.poll()
            poller.register(self.connection.fileno(), select.POLLIN)
            self._poll = poller.poll
        self.process: Any = context.Process(
            target=main, args=(theirs, start), name="cellist-process"
        )
        self.process.start()
        theirs.close()

    def has_more(self) -> bool:
        """Whether a message is there already."""
        try:
            return bool(self._poll(0))
        except OSError:
            return False

    def end(self) -> None:
        """End the process now, whatever it does."""
        with self._lock:
            self._is_ended = True
            if self.process.is_alive():
                self.process.kill()

    def let_go(self) -> None:
        """Have the process end when it has nothing to do."""
        self.connection.close()
        run_in_thread(self.process.join)

    def fate(self) -> str:
        """Return how the process ended."""
        self.process.join(5)
        code = self.process.exitcode
        if code is None:
            return "it does not answer"
        if code >= 0:
            return f"it ended with exit code {code}"
        try:
            return f"it was ended by signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"it was ended by signal {-code}"


class ProcessPool(ThreadPool):
    """A thread pool whose user code is called in processes."""

    def __init__(
        self,
        max_workers: int | None,
        initializer: Any,
        initargs: tuple[Any, ...],
        passage: Any,
    ) -> None:
        super().__init__(max_workers or os.cpu_count() or 1)
        self._start = Start(passage.prepare, initializer, initargs)
        self._packing = Packing(passage)
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._is_closed = False
        self._context: Any = None

    def ready(self, command: Invoke, work: Work) -> None:
        """Have a process at hand, so that the time of a task does not count that of its start.

        Raises `WentAway` if it does not come up, and what its initializer raises.
        """
        if command.fn is work.x.fn:
            self._call_for(work)

    def _call_for(self, work: Work) -> "Call":
        """Return a process that is ready and works for nobody else, as one that works for this."""
        call = work.call = Call(self._take_idle() or self._new_child())
        if work.x.cancelling:
            call.stop()
        try:
            while not call.child.is_ready:
                message = self._receive(call, work)
                if message[0] == "broken":
                    open_answer(message[1])[1].throw()
                call.child.is_ready = message[0] == "ready"
        except BaseException:
            self._give_back(call, work)
            raise
        return call

    def _take_idle(self) -> Child | None:
        """Return a process that has nothing to do, if there is one; it may have died meanwhile."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.process.is_alive():
                    return child
                self._children.discard(child)
                child.connection.close()
        return None

    def _new_child(self) -> Child:
        with self._lock:
            if self._context is None:
                import multiprocessing

                import_module("multiprocessing.util")  # waits for processes at exit: ours is first
                self._context = multiprocessing.get_context("spawn")
                atexit.register(self._end_all)
        child = Child(self._context, self._start)
        with self._lock:
            self._children.add(child)
        return child

    def invoke(self, command: Invoke, work: Work, worker: Worker | None) -> Any:
        """Call user code in a process; other calls, such as hooks, here.

        Raises `SerializationError` if the call cannot be pickled and `WentAway` if the process
        went away.
        """
        x = work.x
        if command.fn is not x.fn:
            return super().invoke(command, work, worker)
        while True:
            fine, value, asked, unfit = self._send(command, work)
            try:
                if fine or not self._packing.learn(x, value.error):
                    break
            except CrashedRun as error:
                raise WentAway(error) from None
        note_facts(x, asked, unfit)
        if not fine:
            value.throw()
        return value

    def _send(self, command: Invoke, work: Work) -> Any:
        """Return the answer of a process to the call."""
        call: Call | None = work.call
        try:
            parcel, _ = self._packing.pack(
                work.x, command.fn, (tuple(command.args), dict(command.kwargs))
            )
            call = call or self._call_for(work)
            with contextlib.suppress(OSError):  # it went away: to read says how
                call.child.connection.send_bytes(parcel)
            del parcel
            return self._answer(call, work)
        finally:
            self._give_back(call, work)

    def _answer(self, call: "Call", work: Work) -> Any:
        """Pass on what the code says until it has ended, and return what it gave."""
        loops, shown = Mirror(work.x.run), Shown(call.child.has_more)
        while True:
            try:
                kind, *rest = self._receive(call, work)
            except WentAway:
                shown.flush()
                raise
            if kind == "out":
                shown.write(*rest)
                continue
            shown.flush()
            if kind == "log":
                work.x.services.tell_carried(work.x, *rest)
            elif kind == "loops":
                loops.hear(*rest)
            else:
                return open_answer(self._receive(call, work, answer=True))

    def _receive(self, call: "Call", work: Work, *, answer: bool = False) -> Any:
        """Return the next message, or the bytes of the answer.

        Raises `WentAway` if there is nobody to send one.
        """
        child = call.child
        try:
            return child.connection.recv_bytes() if answer else child.connection.recv()
        except (EOFError, OSError):
            call.stop()
        name = work.x.definition.name
        if work.x.cancelling:
            raise WentAway(CancelledRun(f"Task `{name}` was cancelled by ending its process."))
        if child.is_ready:
            message = f"The process running task `{name}` went away: {child.fate()}."
            raise WentAway(CrashedRun(message))
        message = (
            f"No process for task `{name}` came up: {child.fate()}. A script has to start flows "
            'below `if __name__ == "__main__":`, because each new process reads the script too.'
        )
        raise WentAway(CrashedRun(message))

    def _give_back(self, call: "Call | None", work: Work) -> None:
        """Keep the process for the next task, unless it is gone."""
        if call is None:
            return
        if work.call is call:  # else its time is up and the run goes on without it
            work.call = None
        child = call.child
        with self._lock:
            if not self._is_closed and child.is_ready and not call.is_stopped:
                self._idle.append(child)
                return
            self._children.discard(child)
        child.let_go()

    def close(self) -> None:
        """End the processes, those that work when their work is done."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._children.difference_update(idle)
        for child in idle:
            child.let_go()
        atexit.unregister(self._end_all)
        if self._children:
            atexit.register(self._end_all)

    def _end_all(self) -> None:
        for child in list(self._children):
            child.end()


class Call:
    """The process in which the code of a run is, so that it can be stopped."""

    __slots__ = ("child", "is_stopped")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.is_stopped = False

    def stop(self) -> None:
        """Stop the code by ending its process."""
        self.is_stopped = True
        self.child.end()


class Shown:
    """What code writes elsewhere, on its way to be shown here: what has come is shown at once.

    To show text costs more than to send a line of it, in a kernel most of all.
    """

    def __init__(self, has_more: Callable[[], bool]) -> None:
        self._has_more = has_more
        self._name = ""
        self._waiting: list[str] = []
        self._until = 0.0

    def write(self, name: str, text: str) -> None:
        """Show text, together with what has come already, but for that within a moment."""
        if name != self._name:
            self.flush()
        if not self._waiting:
            self._name, self._until = name, time.monotonic() + _SHOWN_AFTER
        self._waiting.append(text)
        if time.monotonic() >= self._until or not self._has_more():
            self.flush()

    def flush(self) -> None:
        """Show what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            write(self._name, "".join(waiting))


def write(name: str, text: str) -> None:
    """Show what code wrote elsewhere, as if it had written it here."""
    with contextlib.suppress(Exception):  # such as a closed stream: no fault of the task's
        stream = sys.stdout if name == "stdout" else sys.stderr
        try:
            stream.write(text)
        except UnicodeEncodeError:  # shown as its code, so that the rest is not lost
            code = stream.encoding or "utf-8"
            stream.write(text.encode(code, "backslashreplace").decode(code))
        stream.flush()
