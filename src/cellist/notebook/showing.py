"""Record what code shows while everything is shown live, and show it again.

    with recording(shell) as shown:      prints, displays, figures and last values are noted
        ...
    events = shown.events()              plain data, fit for a pickle
    replay(shell, events)                the same outputs in the same order

What a front end would show in the end is what is kept: text that a carriage return overwrote is
gone, an updated display has its last content, and what `clear_output` cleared is not there. Work
that the code started is recorded with it, also in threads of cellist and in threads of its own;
what other cells left running is not.

Streams and the display machinery are tapped where they are, not replaced: handlers of `logging`
hold on to a stream, and output that the code redirects itself must not be recorded.
"""

import pickle
import sys
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from cellist.engine.execution import current_cell

MOST_BYTES = 10 * 2**20
"""Bytes of output that are kept of one recording."""
_WIDGET = "application/vnd.jupyter.widget-view+json"
Event = dict[str, Any]

_recording: ContextVar["Recorder | None"] = ContextVar("cellist_recording", default=None)
_muted: ContextVar[bool] = ContextVar("cellist_recording_muted", default=False)
_open: list["Recorder"] = []
_lock = threading.RLock()


class Recorder:
    """Notes outputs in order. May be used from several threads."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell
        self._events: list[Event] = []
        self._size = 0
        self._clear = False
        """Whether the next output clears those before it."""
        self.is_cut = False
        """Whether there was more than is kept."""

    def restart(self) -> None:
        """Forget what was shown so far: an attempt that failed is not replayed."""
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

    def display(
        self, data: dict[str, Any], metadata: Any, display_id: str | None, is_update: bool
    ) -> None:
        """Note a display, or that an earlier one has another content now."""
        kept = _kept(data)
        if kept is None:
            return
        event: Event = {"kind": "display", "data": kept, "metadata": metadata or {}}
        try:
            frozen = pickle.dumps(event, 5)
        except Exception:
            event = {
                "kind": "display",
                "data": {kind: text for kind, text in kept.items() if isinstance(text, str)},
                "metadata": {},
            }
            frozen = pickle.dumps(event, 5)
        event = {"kind": "display", "pickle": frozen, "id": display_id, "update": False}
        with _lock:
            earlier = self._with_id(display_id) if is_update and display_id else []
            if earlier:
                if self._take(len(frozen)):
                    for one in earlier:
                        self._size -= len(one["pickle"])
                        one["pickle"] = frozen
                return
            event["update"] = is_update
            self._begin_output()
            self._add(event, len(frozen))

    def result(self, data: dict[str, Any], metadata: Any) -> None:
        """Note the value of an expression, as it was displayed."""
        kept = _kept(data)
        if kept is None:
            return
        frozen = pickle.dumps(
            {"data": {k: v for k, v in kept.items() if _is_plain(v)}, "metadata": metadata or {}}, 5
        )
        with _lock:
            self._begin_output()
            self._add({"kind": "result", "pickle": frozen}, len(frozen))

    def clear(self, wait: bool) -> None:
        """Note that what was shown so far is cleared, now or with the next output."""
        with _lock:
            if wait:
                self._clear = True
            else:
                self.restart()

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
                    found.append(dict(event))
            if self.is_cut:
                note = f"[cellist kept the first {MOST_BYTES // 2**20} MB of what was shown]\n"
                found.append({"kind": "stream", "name": "stderr", "text": note})
            return found

    def _with_id(self, display_id: str) -> list[Event]:
        return [one for one in self._events if one.get("id") == display_id]

    def _begin_output(self) -> None:
        if self._clear:
            self.restart()

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


def _kept(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return what of a bundle can be shown again; a widget lives no longer than its kernel."""
    if _WIDGET not in data:
        return dict(data)
    rest = {kind: value for kind, value in data.items() if kind != _WIDGET}
    return rest or None


def _is_plain(value: Any) -> bool:
    try:
        pickle.dumps(value, 5)
    except Exception:
        return False
    return True


# -- recording --


@contextmanager
def recording(shell: Any) -> Generator[Recorder]:
    """Record what is shown within the block by the code in it and by what it starts."""
    recorder = Recorder(current_cell.get())
    start(shell, recorder)
    try:
        yield recorder
    finally:
        stop(recorder)


def start(shell: Any, recorder: Recorder) -> None:
    """Begin to record here; `stop` may be called in another context."""
    with _lock:
        _open.append(recorder)
        _tap(shell)
    _recording.set(recorder)


def stop(recorder: Recorder) -> None:
    """End a recording; the last one to end removes the taps."""
    with _lock:
        if recorder in _open:
            _open.remove(recorder)
        if not _open:
            _untap()
    if _recording.get() is recorder:
        _recording.set(None)


@contextmanager
def unrecorded() -> Generator[None]:
    """Show something that is not part of what the code shows."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


def _here() -> Recorder | None:
    """Return the recorder that output of the present code goes to."""
    if _muted.get():
        return None
    recorder = _recording.get()
    if recorder is not None:
        return recorder if recorder in _open else None
    # A plain thread has no context; what belongs to another cell has that of its cell.
    return _open[-1] if _open and current_cell.get() is None else None


_taps: list[tuple[Any, str]] = []


def _tap(shell: Any) -> None:
    """Put ourselves into the streams and the display machinery that are in use now."""
    tapped = {(id(owner), name) for owner, name in _taps}
    hook: Any = shell.displayhook
    points: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (sys.stdout, "write", lambda old: _writing("stdout", old)),
        (sys.stderr, "write", lambda old: _writing("stderr", old)),
        (shell.display_pub, "publish", _publishing),
        (shell.display_pub, "clear_output", _clearing),
        (hook, "write_output_prompt", _quietly),
        (hook, "write_format_data", _showing_result),
        (hook, "finish_displayhook", _quietly),
    ]
    for owner, name, make in points:
        if (id(owner), name) not in tapped:
            try:
                setattr(owner, name, make(getattr(owner, name)))
            except (AttributeError, TypeError):  # a stream that takes no attributes: not recorded
                continue
            _taps.append((owner, name))


def _untap() -> None:
    while _taps:
        owner, name = _taps.pop()
        cast("dict[str, Any]", vars(owner)).pop(name, None)


def _writing(stream: str, old: Callable[..., Any]) -> Callable[..., Any]:
    def write(text: str) -> Any:
        recorder = _here()
        if recorder is not None and isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - anything may be written
            recorder.write(stream, text)
        return old(text)

    return write


def _publishing(old: Callable[..., Any]) -> Callable[..., Any]:
    def publish(data: dict[str, Any], metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        recorder = _here()
        if recorder is not None:
            transient: dict[str, Any] = kwargs.get("transient") or {}
            update = bool(kwargs.get("update"))
            recorder.display(data, metadata, transient.get("display_id"), update)
        with unrecorded():  # in a terminal a display is a print
            return old(data, metadata, *args, **kwargs)

    return publish


def _clearing(old: Callable[..., Any]) -> Callable[..., Any]:
    def clear_output(wait: bool = False) -> Any:
        recorder = _here()
        if recorder is not None:
            recorder.clear(wait)
        with unrecorded():
            return old(wait)

    return clear_output


def _showing_result(old: Callable[..., Any]) -> Callable[..., Any]:
    def write_format_data(format_dict: dict[str, Any], md_dict: Any = None) -> Any:
        recorder = _here()
        if recorder is not None:
            recorder.result(format_dict, md_dict)
        with unrecorded():
            return old(format_dict, md_dict)

    return write_format_data


def _quietly(old: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with unrecorded():
            return old(*args, **kwargs)

    return call


# -- replaying --


class Nothing:
    """Stands for the value of a last expression that could not be kept."""


def replay(shell: Any, events: list[Event], value: Any = Nothing) -> None:
    """Show recorded outputs again, in order, under the present cell.

    `value` is what the last expression gave; it becomes `_` and `Out[n]`.
    """
    ids: dict[str, str] = {}
    results = [event for event in events if event["kind"] == "result"]
    for event in events:
        if event["kind"] == "stream":
            stream = sys.stdout if event["name"] == "stdout" else sys.stderr
            stream.write(event["text"])
            continue
        bundle = pickle.loads(event["pickle"])  # noqa: S301 - part of a result whose signature was checked
        if event["kind"] == "result":
            is_last = event is results[-1]
            _show_result(shell, bundle, value if is_last else Nothing)
            continue
        kwargs: dict[str, Any] = {}
        display_id = event["id"]
        if display_id is not None:
            if not event["update"]:  # two displays of one recording may share an id
                display_id = ids.setdefault(display_id, uuid.uuid4().hex)
            kwargs = {"transient": {"display_id": display_id}, "update": event["update"]}
        shell.display_pub.publish(bundle["data"], bundle["metadata"], **kwargs)


def _show_result(shell: Any, bundle: dict[str, Any], value: Any) -> None:
    """Do what IPython's display hook does, with the recorded bundle for the value."""
    hook: Any = shell.displayhook
    if value is not Nothing:
        hook.check_for_underscore()
    hook.start_displayhook()
    hook.write_output_prompt()
    if value is not Nothing:
        hook.update_user_ns(value)
        hook.fill_exec_result(value)
    hook.write_format_data(bundle["data"], bundle["metadata"])
    if value is not Nothing:
        hook.log_output(bundle["data"])
    hook.finish_displayhook()


def flush_figures(shell: Any) -> None:
    """Show the figures that matplotlib's inline backend would show after the cell."""
    backend: Any = sys.modules.get("matplotlib_inline.backend_inline")
    callbacks = getattr(shell.events, "callbacks", {}).get("post_execute", [])
    if backend is not None and backend.flush_figures in callbacks:
        backend.flush_figures()
