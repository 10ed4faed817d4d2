"""Note what code shows while it is shown: text, displays and log records, in order.

What a front end would show in the end is what is kept: text that a carriage return overwrote is
gone, an updated display has its last content, and what `clear_output` cleared is not there.

A task run that is a miss has a recorder, on the note the cache made of its call, until its result
is sealed; so nothing is recorded of what will not be stored. Output belongs to the run that
`current` names and to the runs around it: a task that calls others has shown what they showed. A
`%%task` cell has a recorder of its own in `recording_here`.

Nothing is replaced: the `write` of the streams that are in use is tapped, since handlers of
`logging` hold on to a stream, and output that code redirects itself is not shown. A plain thread
has no context, so it is told on its way which run started it.
"""

import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, cast
from weakref import ref

from cellist.caching.shown import Event, bundle
from cellist.engine.execution import Execution, current, current_cell
from cellist.model.runs import Run

MOST_BYTES = 10 * 2**20
"""Bytes of output that are kept of one recording."""

muted: ContextVar[bool] = ContextVar("cellist_recording_muted", default=False)
recording_here: ContextVar["Recorder | None"] = ContextVar("cellist_recording", default=None)
_lock = threading.RLock()


class Recorder:
    """Notes outputs in order. May be used from several threads."""

    __slots__ = ("_clear", "_events", "_size", "attempt", "cell", "figures", "is_cut", "streams")

    def __init__(self, cell: Any = None) -> None:
        self.cell = cell
        self.attempt = 1
        """The attempt of the run whose output it holds; a failed one is not shown again."""
        self.streams: tuple[Any, Any] | None = None
        """What stdout and stderr were when it began, if only these count."""
        self.figures: Any = None
        """The figures that were open when it began."""
        self._events: list[Event] = []
        self._size = 0
        self._clear = False
        """Whether the next output clears those before it."""
        self.is_cut = False
        """Whether there was more than is kept."""

    def restart(self) -> None:
        """Forget what was shown so far: an attempt that failed is not shown again."""
        with _lock:
            self._events.clear()
            self._size = 0
            self._clear = self.is_cut = False

    def write(self, stream: str, text: str) -> None:
        """Note text on `stdout` or `stderr`."""
        with _lock:
            self._begin_output()
            if self.is_cut:
                return
            last: Event | None = self._events[-1] if self._events else None
            if last is None or last["kind"] != "stream" or last["name"] != stream:
                last = {"kind": "stream", "name": stream, "done": [], "line": []}
                self._add(last, 0)
            self._overwrite(last, text)

    def _overwrite(self, event: Event, text: str) -> None:
        """Add text to a stream, with carriage returns done as a terminal does them."""
        pieces: list[str] = event["line"]
        if "\n" not in text and "\r" not in text:
            if self._take(len(text)):
                pieces.append(text)
            return
        self._size -= sum(map(len, pieces))
        *lines, rest = ("".join(pieces) + text).replace("\r\n", "\n").split("\n")
        pieces.clear()
        ended = [_overwritten(line).rstrip("\r") + "\n" for line in lines]
        for shown, place in [
            *((one, event["done"]) for one in ended),
            (_overwritten(rest), pieces),
        ]:
            if not self._take(len(shown)):
                return
            place.append(shown)

    def log(self, level: int, message: str) -> None:
        """Note a record of a run's logger."""
        with _lock:
            self._add({"kind": "log", "level": level, "message": message}, len(message))

    def display(
        self, data: dict[str, Any], metadata: Any, display_id: str | None, is_update: bool
    ) -> None:
        """Note a display, or that an earlier one has another content now."""
        kept, size = bundle(data, metadata)
        with _lock:
            earlier = self._with_id(display_id) if is_update and display_id else []
            if earlier:
                if self._take(size):
                    for one in earlier:
                        self._size -= one["size"]
                        one.update(kept, size=size)
                return
            self._begin_output()
            about = {"id": display_id, "update": is_update, "size": size}
            self._add({"kind": "display", **kept, **about}, size)

    def result(self, data: dict[str, Any], metadata: Any) -> None:
        """Note the value of an expression, as it was displayed."""
        kept, size = bundle(data, metadata)
        with _lock:
            self._begin_output()
            self._add({"kind": "result", **kept, "size": size}, size)

    def clear(self, wait: bool) -> None:
        """Note that what was shown so far is cleared, now or with the next output."""
        with _lock:
            if wait:
                self._clear = True
                return
            logs = [event for event in self._events if event["kind"] == "log"]
            self.restart()
            for event in logs:  # they are not in the output of the cell
                self._add(event, len(event["message"]))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was noted."""
        return not self._events

    def events(self) -> list[Event]:
        """Return what was shown as plain data."""
        with _lock:
            found: list[Event] = []
            for event in self._events:
                if event["kind"] == "stream":
                    text = "".join([*event["done"], *event["line"]])
                    if text:
                        found.append({"kind": "stream", "name": event["name"], "text": text})
                else:
                    found.append({name: it for name, it in event.items() if name != "size"})
            if self.is_cut:
                note = f"[cellist kept the first {MOST_BYTES // 2**20} MB of what was shown]\n"
                found.append({"kind": "stream", "name": "stderr", "text": note})
            return found

    def _with_id(self, display_id: str) -> list[Event]:
        return [one for one in self._events if one.get("id") == display_id]

    def _begin_output(self) -> None:
        if self._clear:
            self._clear = False
            self.clear(wait=False)

    def _add(self, event: Event, size: int) -> None:
        if self._take(size):
            self._events.append(event)

    def _take(self, size: int) -> bool:
        """Take room for more output; whether there is some."""
        if self.is_cut or self._size + size > MOST_BYTES:
            self.is_cut = True
            return False
        self._size += size
        return True


def _overwritten(line: str) -> str:
    """Return what a line shows after its carriage returns."""
    if "\r" not in line:
        return line
    ends_so = line.endswith("\r")  # the next text begins at the start of the line
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown + "\r" if ends_so else shown


# -- whose output it is --


def record(x: Execution, recorder: Recorder) -> None:
    """Have the output of a task run noted from now on; the caller keeps the recorder on its note.

    This is on the way of every miss, also of those that show nothing.
    """
    streams = recorder.streams = (sys.stdout, sys.stderr)
    recorder.attempt = x.run.attempts
    if streams[0] is not _Taps.streams[0] or streams[1] is not _Taps.streams[1]:
        tap_streams()


@contextmanager
def unrecorded() -> Generator[None]:
    """Show something that is not part of what the code shows."""
    token = muted.set(True)
    try:
        yield
    finally:
        muted.reset(token)


def recorders() -> list[Recorder]:
    """Return the recorders that output of the present code goes to."""
    if muted.get():
        return []
    cell = recording_here.get()
    if cell is None and _cells and _is_loose():
        cell = _cells[-1]
    found = [cell] if cell is not None and cell in _cells else []
    x = current.get()
    if x is None:
        x = _starter()
    return [*found, *recorders_of(x)] if x is not None else found


def recorders_of(x: Execution | None) -> Iterator[Recorder]:
    """Yield the recorders of a run and of the runs it is part of."""
    while x is not None:
        note = x.cache_note
        recorder: Recorder | None = note.recorder if note is not None else None
        if recorder is not None:
            if recorder.attempt != x.run.attempts:
                recorder.attempt = x.run.attempts
                recorder.restart()
            yield recorder
        x = x.parent


def note_log(run: Run, level: int, message: str) -> None:
    """Note what code logged in a run, whichever thread it did that in."""
    x = None if muted.get() else current.get() or _starter()
    while x is not None and x.run is not run:  # code may log in a run around its own
        x = x.parent
    for recorder in recorders_of(x):
        recorder.log(level, message)


def _is_loose() -> bool:
    """Whether this is a thread that user code started without a context.

    What belongs to a cell has its token, and threads of ours have names of their own.
    """
    named = threading.current_thread().name.startswith("cellist-")
    return current_cell.get() is None and not named


def _starter() -> Execution | None:
    """Return the run whose code started this thread, if that was being recorded."""
    weak = vars(threading.current_thread()).get(_STARTED_IN)
    return weak() if weak is not None else None


# -- cells --

_cells: list[Recorder] = []


def open_cell(recorder: Recorder) -> None:
    """Begin to note the output of the cell that runs here; `close_cell` ends it in any context."""
    with _lock:
        _cells.append(recorder)
        tap_streams()
    recording_here.set(recorder)


def close_cell(recorder: Recorder) -> None:
    """End the recording of a cell."""
    with _lock:
        if recorder in _cells:
            _cells.remove(recorder)
    if recording_here.get() is recorder:
        recording_here.set(None)


# -- taps --


class _Taps:
    streams: tuple[Any, Any] = (None, None)
    """The streams that were tapped last."""
    on: list[tuple[Callable[[], Any], str, Any]] = []  # noqa: RUF012 - one list for the process
    """What is tapped: an object, weakly, as code may redirect its output to a new stream for each
    call; the name of its method; and what it had itself by that name."""
    prune_at = 64
    """How many there may be before those that are gone are forgotten."""


def tap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(method)` in place of a method of one object, unless that is done already."""
    with _lock, suppress(AttributeError, TypeError):  # it takes no attributes: not recorded
        if not is_tapped(owner, name):
            own = _own(owner).get(name)
            tapped: Any = make(getattr(owner, name))
            tapped.is_tap = True
            setattr(owner, name, tapped)
            _Taps.on.append((_weakly(owner), name, own))
            if len(_Taps.on) > _Taps.prune_at:
                _Taps.on[:] = [one for one in _Taps.on if one[0]() is not None]
                _Taps.prune_at = 2 * len(_Taps.on) + 64


def _weakly(owner: Any) -> Callable[[], Any]:
    try:
        return ref(owner)
    except TypeError:
        return lambda: owner


def _own(owner: Any) -> Mapping[str, Any]:
    """Return what is set on an object itself, not by its class."""
    return cast("Mapping[str, Any]", vars(owner))


def tap_streams() -> None:
    """Put ourselves into what stdout and stderr are now, and into the start of threads."""
    tap(threading.Thread, "start", _starting)
    streams = (sys.stdout, sys.stderr)
    for index, name in enumerate(("stdout", "stderr")):
        tap(streams[index], "write", _writing(name, index, streams[index]))
    _Taps.streams = streams


def is_tapped(owner: Any, name: str) -> bool:
    """Whether a method of an object is tapped."""
    return hasattr(_own(owner).get(name), "is_tap")


def untap() -> None:
    """Take all taps away unless a cell is being recorded."""
    with _lock:
        if _cells:
            return
        while _Taps.on:
            find, name, own = _Taps.on.pop()
            owner = find()
            if owner is None or not is_tapped(owner, name):
                continue  # it is gone, or somebody came after us
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
        _Taps.streams = (None, None)


_STARTED_IN = "_cellist_started_in"


def _starting(old: Callable[..., Any]) -> Callable[..., Any]:
    def start(thread: threading.Thread, *args: Any, **kwargs: Any) -> Any:
        x = current.get() or _starter()
        if x is not None:
            vars(thread)[_STARTED_IN] = ref(x)
        return old(thread, *args, **kwargs)

    return start


def _writing(stream: str, index: int, owner: Any) -> Callable[[Any], Callable[..., Any]]:
    def make(old: Callable[..., Any]) -> Callable[..., Any]:
        def write(text: str) -> Any:
            if isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - anything may be written
                for recorder in recorders():
                    if recorder.streams is None or recorder.streams[index] is owner:
                        recorder.write(stream, text)
            return old(text)

        return write

    return make
