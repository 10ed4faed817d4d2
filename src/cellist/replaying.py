"""Replay: what a task run showed is recorded with its result, and shown again on a hit.

`CELLIST_REPLAY` says when: `auto`, the default, is in notebooks and in IPython, once the extension
is loaded; a script that finds its results prints nothing of old. `@task(replay=...)` decides for
one task. What is shown again begins with one line that says of which run it is and from when. Log
records go to the log of the run, each with that mark, and to the console where no board shows them.

Trouble of any kind here costs what would have been shown, never a run.
"""

import sys
import threading
from datetime import datetime
from typing import Any, Protocol

from cellist import settings
from cellist.cache_notes import Note
from cellist.caching.found import Found
from cellist.caching.reasons import clock_time
from cellist.caching.shown import Event, pack, unpack
from cellist.engine.commands import Ok, Recorded
from cellist.engine.errors import one_line
from cellist.engine.execution import Execution
from cellist.persistence import CachePlan
from cellist.recording import Recorder, record, unrecorded
from cellist.runlogs import log_again

MARK = "↺"
_GREY, _PLAIN = "\x1b[38;5;243m", "\x1b[0m"  # readable on white and on black
_showing = threading.RLock()
"""Held while one run is shown again, so that lines of two that are found at once do not mix."""


class Displays(Protocol):
    """Shows the displays of one recording again."""

    def show(self, event: Event) -> None:
        """Show one display, or the update of one."""
        ...


class Front(Protocol):
    """What shows displays: the shell of a notebook."""

    def watch(self) -> None:
        """Have displays noted."""

    def figures(self) -> Any:
        """Return which figures are open, for `note_figures`."""

    def note_figures(self, x: Execution, before: Any) -> None:
        """Note the figures that a task leaves open, which are shown after the cell."""

    def displays(self) -> Displays:
        """Return what shows the displays of one recording."""
        ...


class Owner(Protocol):
    """What replay needs of its session."""

    front: Front | None
    """The shell, if the extension is loaded."""

    def warn(self, message: str, once: Any = None) -> None:
        """Warn once: for the same message, or for the same `once`."""
        ...


class Replay:
    """Decides, records and shows again, for one session. No call raises."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner

    def is_on(self, plan: CachePlan) -> bool:
        """Whether a task is recorded and shown again."""
        if plan.replay is not None:
            return plan.replay
        wanted = settings.active().replay
        return self.owner.front is not None if wanted == "auto" else wanted == "on"

    def hit(self, plan: CachePlan, found: Found) -> Ok:
        """Return a hit, such that what its run showed is shown again if it is to be."""
        shown = found.shown
        if shown is None or not self.is_on(plan):
            return Ok(found.value)
        return Recorded(found.value, shown, found.header.get("created") or 0.0)

    def begin(self, x: Execution, plan: CachePlan, note: Note) -> None:
        """Begin to record a miss, unless its result will not be kept."""
        if plan.readonly or not self.is_on(plan) or not (plan.explicit or plan.gives_result):
            return
        recorder = note.recorder = Recorder()
        front = self.owner.front
        if front is not None:
            front.watch()
            recorder.figures = front.figures()
        record(x, recorder)

    def end(self, x: Execution, note: Note) -> bytes | None:
        """Return what a run has shown, `None` for nothing. Its note still has the recorder."""
        recorder = note.recorder
        if recorder is None:
            return None
        try:
            front = self.owner.front
            if front is not None:
                front.note_figures(x, recorder.figures)
            if recorder.is_empty or recorder.attempt != x.run.attempts:
                return None
            return pack(recorder.events())
        except Exception as error:
            self._trouble(x, "kept", error)
            return None

    def show(self, x: Execution, found: Recorded) -> None:
        """Show again what a recorded run has shown, as output of the run that found its result."""
        try:
            events = unpack(found.shown)
            when = clock_time(datetime.fromtimestamp(found.created).astimezone())
            with _showing:
                self._show(x, events, when)
        except Exception as error:
            self._trouble(x, "shown again", error)

    def _show(self, x: Execution, events: list[Event], when: str) -> None:
        marked = settings.active().ui != "off" and not getattr(x.run.cell, "quiet", False)
        front = self.owner.front
        displays: Displays = front.displays() if front is not None else _Texts()
        outputs = [event for event in events if event["kind"] != "log"]
        if marked and outputs:
            first = _stream_of(outputs[0])
            with unrecorded():
                first.write(_line(f"{MARK} {x.run.name} · recorded {when}", first, front))
        for event in events:
            if event["kind"] == "log":
                log_again(x.run, event["level"], event["message"], f"{MARK} {when} · ")
            elif event["kind"] == "stream":
                _stream_of(event).write(event["text"])
            else:
                displays.show(event)
        if marked and outputs:
            last = outputs[-1]
            if last["kind"] == "stream" and not last["text"].endswith("\n"):
                with unrecorded():
                    _stream_of(last).write("\n")  # the next mark begins a line

    def _trouble(self, x: Execution, what: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {one_line(error)}"
        message = f"What task `{x.definition.name}` showed is not {what}: {text}"
        self.owner.warn(message, once=("replay", what, x.definition.name))


class _Texts:
    """Shows displays as text, where there is no shell."""

    def show(self, event: Event) -> None:
        """Write the text of a display."""
        text = event["data"].get("text/plain")
        if text:
            sys.stdout.write(f"{text}\n")


def _stream_of(event: Event) -> Any:
    return sys.stderr if event.get("name") == "stderr" else sys.stdout


def _line(text: str, stream: Any, front: Front | None) -> str:
    """Return a line of ours, muted where colours are understood."""
    if front is None and not stream.isatty():
        return f"{text}\n"
    return f"{_GREY}{text}{_PLAIN}\n"
