"""The life of a process of the process pool: take a call, tell what it does, answer, and again.

What code writes to stdout and stderr is sent line by line while it runs, in one order with what
it logs, so that it appears under the cell the task was started from. Interrupts are for the
process that gave the work: it stops this one by ending it. If it goes away, so does this one.
"""

import io
import os
import signal
import sys
import threading
from typing import Any

from cellist.runners.parcels import run_packed
from cellist.runners.returns import answer, cloudpickle

_LONGEST = 8192  # characters that wait for the end of their line


class Start:
    """What a process is to do before its first call, pickled by value as notebooks need it."""

    def __init__(self, prepare: Any, initializer: Any, initargs: tuple[Any, ...]) -> None:
        self._work = (prepare, initializer, initargs)

    def __call__(self) -> None:
        """Load what calls need, so that no task's time is spent on it, and call the initializer."""
        prepare, initializer, initargs = self._work
        prepare()
        if initializer is not None:
            initializer(*initargs)

    def __reduce__(self) -> Any:
        return _LateStart, (cloudpickle().dumps(self._work),)


class _LateStart:
    """A start that is unpickled where its errors can be told."""

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __call__(self) -> None:
        """Do it."""
        Start(*cloudpickle().loads(self._pickled))()


class Wire:
    """Sends messages to the process that gave the work; any thread may."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    def tell(self, message: tuple[Any, ...]) -> None:
        """Send one message, such as `("log", 20, "text")`."""
        with self._lock:
            self._connection.send(message)

    def end(self, answer: bytes) -> None:
        """Send the answer to a call, in a message of its own: it may be large."""
        with self._lock:
            self._connection.send(("end",))
            self._connection.send_bytes(answer)


class Sent(io.TextIOBase):
    """Stands for stdout or stderr: what is written goes on the wire, line by line."""

    def __init__(self, wire: Any, name: str, plain: Any) -> None:
        super().__init__()
        self._wire = wire
        self._name = name
        self._plain = plain
        self._waiting: list[str] = []
        self._size = 0
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - text streams have it as a property too
        """UTF-8: what is written stays text."""
        return "utf-8"

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def fileno(self) -> int:
        """Return the file below, for programs that are started with it."""
        return self._plain.fileno()

    def write(self, text: str) -> int:
        """Send the text when its line is complete."""
        with self._lock:
            self._waiting.append(text)
            self._size += len(text)
            if "\n" in text or self._size > _LONGEST:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what waits for the end of its line."""
        with self._lock:
            text = "".join(self._waiting)
            self._waiting.clear()
            self._size = 0
        if text:
            self._wire.tell(("out", self._name, text))


def main(connection: Any, start: Any) -> None:
    """Serve calls until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import multiprocessing  # not with the module: every session imports that

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    wire = Wire(connection)
    sys.stdout = Sent(wire, "stdout", sys.stdout)
    sys.stderr = Sent(wire, "stderr", sys.stderr)
    try:
        start()
    except BaseException as error:
        wire.tell(("broken", answer(False, error)))
        return
    wire.tell(("ready",))
    try:
        while True:
            parcel = connection.recv_bytes()
            done = _serve(parcel, wire)
            sys.stdout.flush()
            sys.stderr.flush()
            wire.end(done)
            del parcel, done  # a large result must not live until the next call
    except (EOFError, OSError):
        return


def _serve(parcel: bytes, wire: Wire) -> bytes:
    """Return the answer to a call, also to one that cannot be read."""
    try:
        return run_packed(parcel, wire.tell)
    except (EOFError, BrokenPipeError):
        raise
    except BaseException as error:
        return answer(False, error, False, "")


def _end_with(parent: Any) -> None:
    """Go away when the process that gave the work does."""
    parent.join()
    os._exit(1)
