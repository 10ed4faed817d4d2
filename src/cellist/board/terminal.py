"""The board of a terminal: lines at its foot while runs go on, a summary when they are over.

With rich installed, on a terminal that can redraw, the lines are drawn in their place; they come
once a flow has taken a moment, and go. Otherwise a plain line tells now and then how far things
are. Nothing is written but whole lines, so what the user's code prints stays what it is.
"""

import contextvars
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal, TextIO

from cellist.board.region import Region, is_terminal
from cellist.board.styled import Styler
from cellist.board.summary import status_line, summary_lines
from cellist.board.view import View
from cellist.board.wording import duration
from cellist.model.events import Event
from cellist.recording import unrecorded

PATIENCE = 0.4
"""Seconds a flow may take before lines appear: most are over by then."""
REDRAW = 0.15
"""Seconds between two pictures of the lines."""
_PAPER = 140
"""Characters of a line where there is room."""
TELL_FIRST, TELL_EVERY = 10.0, 30.0
"""Seconds until a plain line tells how far things are, and between two of them."""


class TextBoard:
    """What a terminal shows of one cell execution, or of one flow of a script.

    `stream` gives the stream to write to at that moment. `is_live` lets it draw while runs go on.
    """

    ui: Literal["text"] = "text"
    """What kind of board this is, as of every board."""
    shows_logs = False
    """What runs log goes to the terminal itself."""

    def __init__(self, title: str, stream: Callable[[], TextIO], *, is_live: bool) -> None:
        self.title = title
        self._stream = stream
        self._is_live = is_live
        self._view: View | None = View(title)
        self._lock = threading.RLock()
        self._context = contextvars.copy_context()
        self._began = time.monotonic()
        self._next = self._began + PATIENCE
        self._styler = _styler(stream()) if is_live else None
        self._redraws = self._styler is not None and self._styler.can_redraw
        self._region: Region | None = None
        if not self._redraws:
            self._next = self._began + TELL_FIRST

    @property
    def active(self) -> int:
        """How many runs are not over, as of the last look."""
        return self._view.active if self._view else 0

    @property
    def is_released(self) -> bool:
        """Whether the summary was written."""
        return self._view is None

    def show(self) -> None:
        """Nothing is shown before something has taken a moment."""

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events."""
        with self._lock:
            if self._view is not None:
                self._view.apply_all(events)

    def frame(self, *, final: bool = False) -> None:
        """Draw the lines if it is time; `final`: tell how things are where some run goes on."""
        with self._lock:
            view, now = self._view, time.monotonic()
            if view is None:
                return
            if final or view.is_stale:
                view.read()
            if final and view.active:
                self._take_away()
                self._write(self._rendered(view, ""))
            elif not final and self._is_live and view.active and now >= self._next:
                self._draw(view, now)

    def due_in(self) -> float | None:
        """Return in how many seconds a frame is wanted though nothing happens."""
        if self._view is None or not self._is_live or not self._view.active:
            return None
        return max(0.0, self._next - time.monotonic())

    def close(self) -> None:
        """Take the lines away and write the summary."""
        with self._lock:
            view, self._view = self._view, None
            if view is not None:
                self._take_away()
                view.read()
                if view.groups:
                    self._write(self._rendered(view, ""))

    def release(self) -> None:
        """Take the lines away and write nothing more."""
        with self._lock:
            self._view = None
            self._take_away()

    def _draw(self, view: View, now: float) -> None:
        view.tick()
        elapsed = duration(now - self._began)
        if not self._redraws:
            self._next = now + TELL_EVERY
            self._write([f"{status_line(view, _width(self._stream()) - 12)} · {elapsed}"])
            return
        self._next = now + REDRAW
        if self._region is None:
            self._region = Region(self._stream())
        self._region.draw(self._rendered(view, elapsed))

    def _rendered(self, view: View, elapsed: str) -> list[str]:
        if self._styler is not None:
            return self._styler.lines(view, _width(self._stream()), elapsed)
        return summary_lines(view, _width(self._stream()))

    def _take_away(self) -> None:
        region, self._region = self._region, None
        if region is not None:
            region.close()

    def _write(self, lines: list[str]) -> None:
        self._context.run(_write, self._stream(), lines)


def _write(stream: TextIO, lines: list[str]) -> None:
    """Write whole lines at once; a terminal that lacks a sign gets a question mark for it."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    with unrecorded():
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()


def _styler(stream: TextIO) -> Styler | None:
    try:
        return Styler(stream)
    except ImportError:
        return None


def _width(stream: TextIO) -> int:
    columns = shutil.get_terminal_size().columns if is_terminal(stream) else _PAPER
    return max(40, min(columns, _PAPER))
