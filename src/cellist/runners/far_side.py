"""What a worker of a cluster does with a call: carry it out, and tell what it does meanwhile.

A worker may run several calls at a time, in threads of one process. What code writes to stdout and
stderr is told to whom it belongs by a context variable; all else goes where it went before.
"""

import contextvars
import io
import os
import pickle
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from cellist.engine.conclusions import is_special
from cellist.engine.errors import one_line
from cellist.engine.inputs import ATOMS
from cellist.engine.threads import stop_code_in
from cellist.engine.timers import Timer, call_later
from cellist.model.previews import short
from cellist.runners.child import Sent
from cellist.runners.parcels import unpack
from cellist.runners.returns import Kept, answer

_sent: contextvars.ContextVar[dict[str, Sent] | None] = contextvars.ContextVar(
    "cellist_sent", default=None
)
_threads: dict[str, int] = {}
"""The thread of each call that is carried out in this process."""
_lock = threading.Lock()
NEAR: dict[str, contextvars.Context] = {}
"""Calls that were sent from this process, with the context of each: a worker may be in it."""

Send = Callable[[tuple[Any, ...]], object]


class CallFailed(Exception):
    """Code of a task raised something; `answer` is that, in a form that arrives."""

    def __init__(self, text: str, answer: bytes, told: int) -> None:
        super().__init__(text, answer, told)
        self.answer = answer
        self.told = told

    def __str__(self) -> str:
        return str(self.args[0])


class Divided(io.TextIOBase):
    """Stands for a stream: what code of a call writes is sent, all else is written."""

    def __init__(self, name: str, plain: Any) -> None:
        super().__init__()
        self._name = name
        self._plain = plain

    def _target(self) -> Any:
        sent = _sent.get()
        return self._plain if sent is None else sent[self._name]

    def write(self, text: str) -> int:
        """Write the text where it belongs."""
        return self._target().write(text)

    def flush(self) -> None:
        """Flush what is written to."""
        self._target().flush()

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return False

    def fileno(self) -> int:
        """Return the file below, for programs that are started with it."""
        return self._plain.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def _divide_streams() -> None:
    with _lock:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, Divided):
                setattr(sys, name, Divided(name, stream))


class Telling:
    """Sends the messages of one call and counts them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.count = 0
        self._lock = threading.RLock()
        self._first: tuple[Any, ...] | None = None
        self._timer: Timer | None = None

    def begin(self, message: tuple[Any, ...], after: float) -> None:
        """Send a first message after some seconds, or before another, unless all is over then."""
        self._first = message
        if after:
            self._timer = call_later(after, self._begun)
        else:
            self._begun()

    def _begun(self) -> None:
        with self._lock:
            message, self._first = self._first, None
            if message is not None:
                self.tell(message)

    def tell(self, message: tuple[Any, ...]) -> None:
        """Send one message."""
        with self._lock:
            if self._first is not None:
                self._begun()
            self.count += 1
            self._send(message)

    def end(self) -> None:
        """Send nothing of one's own accord any more."""
        with self._lock:
            self._first = None
        if self._timer is not None:
            self._timer.cancel()


def carry_out(
    parcel: bytes, number: str, values: Sequence[Kept], place: str, send: Send, after: float = 0
) -> tuple[Any, tuple[bytes | None, str | None, bool, bool, str], int]:
    """Carry a call out and return its value, what to know about it and how much was told.

    That it has begun is told when it has run for `after` seconds, or tells something else. Raises
    `CallFailed` with what the code raised.
    """
    telling = Telling(send)
    telling.begin(("begin", place), after)
    _threads[number] = threading.get_ident()
    unfit = ""
    try:
        given = [one.value for one in values]
        (passage, fn, args, kwargs), unfit = unpack(parcel, given)
        passage.prepare()
        home = NEAR.get(number)
        if home is not None:
            fine, value, asked = home.copy().run(passage.call_at_home, fn, args, kwargs)
        else:
            with _streams_sent(telling):
                fine, value, asked = passage.call(fn, args, kwargs, telling.tell)
    except BaseException as error:
        fine, value, asked = False, error, False
    finally:
        telling.end()
        with _lock:
            _threads.pop(number, None)
    if fine:
        facts = (_small(value), short(value), is_special(value), asked, unfit)
        return value, facts, telling.count
    text = f"{type(value).__name__}: {one_line(value)}"
    raise CallFailed(text, answer(False, value, asked), telling.count) from None


def _small(value: Any) -> bytes | None:
    """Return a value as bytes if it is so small that it may as well come along at once."""
    items: list[Any] = list(value) if type(value) in (list, tuple) and len(value) <= 20 else [value]
    if all(type(item) in ATOMS and sys.getsizeof(item) <= 1000 for item in items):
        return pickle.dumps(value)
    return None


@contextmanager
def _streams_sent(telling: Telling) -> Generator[None]:
    """Send what is written to stdout and stderr in this context."""
    _divide_streams()
    sent = {name: Sent(telling, name, getattr(sys, name)) for name in ("stdout", "stderr")}
    token = _sent.set(sent)
    try:
        yield
    finally:
        _sent.reset(token)
        for stream in sent.values():
            stream.flush()


def stop(number: str) -> bool:
    """Ask the code of a call to stop; whether it runs here."""
    with _lock:
        ident = _threads.get(number)
        if ident is not None:
            stop_code_in(ident)
    return ident is not None


def place() -> str:
    """Return where this process is."""
    return f"process {os.getpid()}"
