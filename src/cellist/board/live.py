"""A board: one view model, the widget that draws it live, and the record that stays.

Protocol, custom messages only (trait changes towards the kernel get lost on ipykernel 7.4):

    kernel → page   {kind: "snapshot", seq, now, ...}    everything
                    {kind: "patch", seq, now, ...}       what changed since seq - 1
                    {kind: "reply", token, text}         what became of a command
                    {kind: "found", token, fit}          how many runs fit; a patch lists some
                    {kind: "detail", token, facts | values | problem}   see `details`
    page → kernel   {kind: "hello"}, {kind: "resync"}    both ask for a snapshot
                    {kind: "want", group, first, number} asks for runs that are only counted
                    {kind: "command", action, run | group, token}    see `clicks`
                    {kind: "find", text, looks, tags, token}   asks for runs that fit, see `search`
                    {kind: "detail", run, token}

Forms of pauses have messages of their own, see `forms`.

A page that has just loaded cannot ask while a synchronous cell blocks the kernel, so snapshots
are also sent unasked: often until the first hello, seldom afterwards.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from cellist.board.clicks import Control, answer
from cellist.board.forms import Answer, Forms
from cellist.board.record import SO_FAR, record_html
from cellist.board.search import Search
from cellist.board.view import View
from cellist.board.widget import JupyterScreen, NoLiveBoard
from cellist.engine.threads import run_in_thread
from cellist.exceptions import ObjectNotFound
from cellist.model.events import Event
from cellist.model.markup import printable

TICK = 0.25
"""Seconds between two looks at how far loops are."""
RECORD_EVERY = 2.0
"""Seconds between two versions of the record while runs go on, at the least."""
FACTS_EVERY = 1.0
"""Seconds between two tellings of what is said of whole groups, at the least."""
_FACTS_SHARE = 200
"""These tellings take one part in so many of the time at the most, where groups are many."""
_BYWORK = 400
"""A record or an unasked snapshot takes one part in so many of the time."""

Receive = Callable[[dict[str, Any]], None]
Ui = Literal["widget", "html", "text"]
_ID = re.compile("[0-9a-f]{32}")
_log = logging.getLogger("cellist.board")


class Telling(Protocol):
    """Who tells about one run, see `details`."""

    def facts(self, number: str) -> dict[str, Any]:
        """Return what is known of a run. Raises `ObjectNotFound`."""
        ...

    def values(self, number: str) -> dict[str, Any]:
        """Return previews of its values."""
        ...


class Usual(Protocol):
    """Who knows how long such runs take."""

    def __call__(self, *, reusing: bool) -> Sequence[float]:
        """Return how long the latest ones took that compare, in seconds."""
        ...


class Screen(Protocol):
    """Where a board is shown. The one for Jupyter is in `widget.py`; tests have their own."""

    def open(self, html: str, text: str, receive: Receive | None, ident: str) -> None:
        """Show the outputs in the calling context; without `receive` only the record."""
        ...

    def open_again(self, html: str, text: str) -> None:
        """Show the outputs in the calling context too."""
        ...

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the pages that show the widget."""
        ...

    def record(self, html: str, text: str) -> None:
        """Replace the record."""
        ...

    def retire(self) -> None:
        """Learn that only questions will come from now on."""
        ...


class Board:
    """What is shown under one cell execution.

    `control(action, run_id_hex)` is called for clicks, on any thread; what it returns is shown.
    `usual(reusing=...)` returns how long the latest runs of this name took, in seconds, of those
    that reused some results or of those that reused none; it may take a while.
    `details` tells about a run that is opened.
    """

    shows_logs = True
    """Whether what runs log is seen on it."""

    def __init__(
        self,
        title: str,
        *,
        control: Control,
        ui: Ui,
        screen: Screen | None = None,
        usual: Usual | None = None,
        details: Telling | None = None,
    ) -> None:
        self.title = title
        self.ui: Ui = ui
        self._control = control
        self._details = details
        self._screen = screen
        self._note = ""
        self._usual = usual
        self._compared: bool | None = None
        """With which runs this one was compared: those that reused results, or none."""
        self._view: View | None = View(title)
        self._forms = Forms()
        self.ident = secrets.token_hex(4)
        """What ties the widget to its record on a page."""
        self._lock = threading.RLock()
        self._seq = 0
        self._shown = False
        self._greeted = False
        self._last_snapshot: dict[str, Any] | None = None
        self._next_snapshot = 0.0
        self._next_record = 0.0
        self._next_tick = 0.0
        self._next_facts = 0.0
        self._record_stale = False
        self._snapshot_stale = False

    @property
    def active(self) -> int:
        """How many runs are not over, as of the last frame."""
        return self._view.active if self._view else 0

    @property
    def is_released(self) -> bool:
        """Whether the board is closed."""
        return self._view is None

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events; drawn by the next `frame`."""
        with self._lock:  # a hello on another thread may be reading the view
            if self._view is not None:
                self._view.apply_all(events)

    def show(self) -> None:
        """Display the board in the calling context: the widget, then the record under its id."""
        if self.ui == "text" or self._shown or self._view is None:
            return
        with self._lock:
            if self._screen is None:
                self._screen = JupyterScreen()
            self._open(self._screen)
            self._shown = True

    def show_again(self) -> None:
        """Display the board in the calling context too, whose cell has lost or never had it."""
        with self._lock:
            if self._screen is not None and self._shown and self._view is not None:
                self._screen.open_again(*self._record())

    def ask(self, run: str, form: dict[str, Any], answer: Answer) -> None:
        """Show a form for a run, given by its id in hex; `answer` takes what is filled in."""
        self._forms.open(run, form, answer)
        self._send_forms()

    def stop_asking(self, run: str) -> None:
        """Take the form of a run away."""
        self._forms.close(run)
        self._send_forms()

    def _send_forms(self) -> None:
        with self._lock:
            if self._screen is not None and self.ui == "widget" and self._shown:
                self._screen.send(self._forms.message())

    @property
    def answers_while_blocked(self) -> bool:
        """Whether clicks reach the kernel while code on its main thread blocks."""
        return getattr(self._screen, "answers_while_blocked", False)

    def _open(self, screen: Screen) -> None:
        """Open the screen; where there can be no widget, with the record alone, which says so."""
        if self.ui == "widget":
            try:
                screen.open(*self._record(), self._receive, self.ident)
                return
            except NoLiveBoard as missing:
                self.ui, self._note = "html", str(missing)
        screen.open(*self._record(), None, self.ident)

    def note(self, text: str) -> None:
        """Have the record say something below its heading. Call it before `show`."""
        self._note = text

    def frame(self, *, final: bool = False) -> None:
        """Send what changed; write the record if it is time, or `final`."""
        if not final:
            self._ask_usual()
        with self._lock:
            view, now = self._view, time.monotonic()
            if view is None or not self._shown:
                return
            if view.counts_on and now >= self._next_tick:
                self._next_tick = now + TICK
                view.tick()
            if view.is_stale or (view.has_put_off and (final or now >= self._next_facts)):
                self._record_stale = True
                self._snapshot_stale = self.ui == "widget"
                self._send_changes(view, now, at_once=final)
            elif self._snapshot_stale and now >= self._next_snapshot:
                self._send_snapshot(view, now)
            if self._record_stale and (final or now >= self._next_record):
                self._write_record()

    def _ask_usual(self) -> None:
        """Ask the history, on the thread of the feed, which nobody waits for.

        Once at the beginning, and once more when a result was reused: such runs compare only with
        others that had less to do than all.
        """
        view = self._view
        if self._usual is None or view is None or self._compared:
            return
        reusing = any(group.reused for group in view.groups)
        if reusing != self._compared:
            self._compared = reusing
            view.usual = self._usual(reusing=reusing)

    def due_in(self) -> float | None:
        """Return in how many seconds a frame is wanted though nothing happens."""
        wanted: list[float] = []
        if self._view is not None and self._shown:
            if self._record_stale:
                wanted.append(self._next_record)
            if self._snapshot_stale:
                wanted.append(self._next_snapshot)
            if self._view.counts_on:
                wanted.append(self._next_tick)
            if self._view.has_put_off:
                wanted.append(self._next_facts)
            if self._view.is_stale:
                wanted.append(0.0)
        return max(0.0, min(wanted) - time.monotonic()) if wanted else None

    def close(self) -> None:
        """Send the last patch and the final record, then let go of the runs."""
        with self._lock:
            view = self._view
            if view is None:
                return
            self.frame(final=True)
            if self._shown and self.ui == "widget":
                self._last_snapshot = view.snapshot()
            self.release()

    def release(self) -> None:
        """Let go of the runs without drawing anything more."""
        with self._lock:
            self._view = None
            if self._screen is not None and self._shown:
                self._screen.retire()

    def _send_changes(self, view: View, now: float, *, at_once: bool) -> None:
        if self.ui != "widget":
            view.read()
            view.forget_changes()
        elif now >= self._next_snapshot and not at_once:
            self._send_snapshot(view, now)
        else:
            begin = time.thread_time()
            everything = at_once or now >= self._next_facts
            self._send("patch", view.changes(everything=everything))
            if everything:
                spent = time.thread_time() - begin
                self._next_facts = now + max(FACTS_EVERY, _FACTS_SHARE * spent)

    def _send_snapshot(self, view: View, now: float) -> None:
        """Send everything, and the next time after a pause that keeps the cost small."""
        begin = time.thread_time()
        self._send("snapshot", view.snapshot())
        if not self._forms.is_empty:
            self._send_forms()
        spent = time.thread_time() - begin
        self._next_snapshot = now + max(5.0 if self._greeted else 0.5, _BYWORK * spent)
        self._snapshot_stale = False

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        if self._screen is not None:
            self._seq += 1
            now = time.time_ns() // 1_000_000
            self._screen.send({"kind": kind, "seq": self._seq, "now": now, **content})

    def _write_record(self) -> None:
        begin = time.thread_time()
        if self._screen is not None:
            self._screen.record(*self._record())
        spent = time.thread_time() - begin
        self._next_record = time.monotonic() + max(RECORD_EVERY, _BYWORK * spent)
        self._record_stale = False

    def _record(self) -> tuple[str, str]:
        view = self._view or View(self.title)
        view.read()
        note = self._note or (SO_FAR if self.ui == "widget" and view.active else "")
        return record_html(view, self.ident, note), printable(view.header()["sentence"])

    def _receive(self, message: dict[str, Any]) -> None:
        """Answer a message from the page, on whatever thread it comes."""
        kind = message.get("kind")
        if kind in ("hello", "resync"):
            self._answer_hello()
        elif kind == "want":
            self._answer_want(message)
        elif kind == "find":  # this looks at all runs, and this thread may be the main one
            run_in_thread(partial(self._find, message))
        elif kind == "command":
            text = answer(message, self._view, self._control)
            self._say({"kind": "reply", "token": message.get("token"), "text": text})
        elif kind == "detail":  # this may take a while, and this thread may be the main one
            run_in_thread(partial(self._tell, message.get("run"), message.get("token")))
        elif kind == "answer":
            self._say(self._forms.answer(message))

    def _answer_hello(self) -> None:
        with self._lock:
            self._greeted = True
            if self._view is not None:
                self._send_snapshot(self._view, time.monotonic())
            elif self._last_snapshot is not None:
                self._send("snapshot", {**self._last_snapshot, "closed": True})

    def _answer_want(self, message: dict[str, Any]) -> None:
        """Send runs that are only counted so far."""
        asked = [message.get(name) for name in ("group", "first", "number")]
        group, first, number = (value if isinstance(value, int) else 0 for value in asked)
        with self._lock:
            if self._view is not None and self._view.want(group, first, number):
                self._send("patch", self._view.changes())

    def _find(self, message: dict[str, Any]) -> None:
        """Send runs that fit, and how many there are; nothing once the board is closed."""
        with self._lock:
            rows = list(self._view.rows.values()) if self._view is not None else []
        found = Search.asked(message).among(rows)
        with self._lock:
            if self._view is not None:
                if self._view.list_too(found):
                    self._send("patch", self._view.changes())
                self._say({"kind": "found", "token": message.get("token"), "fit": len(found)})

    def _tell(self, run: object, token: object) -> None:
        """Send what is known of a run, then previews of its values. Does not raise."""
        details = self._details
        if details is None or not isinstance(run, str) or not _ID.fullmatch(run):
            text = "Nothing more is known of this run."
            self._say({"kind": "detail", "token": token, "problem": text})
            return
        try:
            self._say({"kind": "detail", "token": token, "facts": details.facts(run)})
            self._say({"kind": "detail", "token": token, "values": details.values(run)})
        except ObjectNotFound as error:
            self._say({"kind": "detail", "token": token, "problem": str(error)})
        except Exception as error:
            _log.warning("Run %s could not be told in detail.", run, exc_info=True)
            text = f"The details cannot be shown: {type(error).__name__}: {error}"
            self._say({"kind": "detail", "token": token, "problem": text[:500]})

    def _say(self, message: dict[str, Any]) -> None:
        with self._lock:  # a screen is told one thing at a time
            if self._screen is not None:
                self._screen.send(message)
