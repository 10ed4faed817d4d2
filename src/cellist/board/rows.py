"""A row: what the board says about one run, read from the run when it is drawn.

Reading late, instead of folding each state, makes ten changes between two frames cost one. A run
is only ever appended to by its engine, so reading it from the feed's thread is safe; whatever was
missed comes with the next event.
"""

import re
from collections import deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellist.board.palette import OVER
from cellist.board.progress import doing, node_text, progress_of
from cellist.board.wording import (
    attempt_text,
    diffs,
    duration,
    error_line,
    look_entered,
    why_line,
    word_now,
)
from cellist.drawing.markup import clipped
from cellist.history.rows import inputs_of, parameters_of
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.model.states import CANCELLING, PAUSED, RUNNING
from cellist.session import get_session

if TYPE_CHECKING:
    from cellist.board.groups import Group

Bar = tuple[str, int, int | None]
"""Look, start and end in milliseconds since the epoch; no end while it lasts."""

_TEXT_LIMIT = 120
_INPUTS_SHOWN = 12
_GIVEN_LIMIT = 80
_NOTES_SHOWN = 5
_TAGS_SHOWN = 12
_NOTE_LIMIT = 300
_TRACE_LINES = 12
_CELL_FILE = re.compile(r'File "[^"\n]*ipykernel_\d+[^"\n]*"')
_TRACE_LIMIT = 1600


def milliseconds(nanoseconds: int) -> int:
    """Return a time in the unit the front end uses."""
    return nanoseconds // 1_000_000


class Row:
    """One run on the board. `sent` rows are drawn one by one; the others are only counted."""

    # Of most runs of a large board these stay as they are here, and take neither time nor memory.
    look = ""
    """How it looks; empty until it was read for the first time."""
    attempt = 0
    """In which attempt a flow was when it was last looked at."""
    superseded = False
    """Whether it failed in an attempt of its flow that was retried."""
    lane: int | None = None
    logs: deque[str] | None = None
    is_root = False
    sent = False
    shade = False
    """Neighbours in a lane differ in shade, or they would look like one bar."""
    reasoned = False
    """Whether the group has counted why it ran."""
    upstream: Any = None

    def __init__(self, run: Run, group: "Group", index: int) -> None:
        self.run = run
        self.group = group
        self.index = index

    @property
    def hex(self) -> str:
        """The id the front end knows the run by."""
        return as_hex(self.run.number)

    @property
    def began(self) -> int:
        """When the run was announced, nanoseconds since the epoch."""
        entered = self.run.entered
        return entered[3] if entered else 0

    @property
    def ended(self) -> int:
        """When the run was over, nanoseconds since the epoch; 0 before."""
        return self.run.ended if self.look in OVER else 0

    @property
    def seconds(self) -> float | None:
        """How long the run took from its first attempt to its end; `None` before the end."""
        ended = self.ended
        return (ended - (self.run.first_running or ended)) / 1e9 if ended else None

    def bars(self) -> list[Bar]:
        """Return the stretches of the timeline: attempts, waits between them, pauses."""
        entered = self.run.entered
        found: list[Bar] = []
        for place in range(0, len(entered), 4):
            after = entered[place + 4 : place + 8]
            look = _bar_look(entered[place], entered[place + 1], after, self.look)
            if look:
                end = milliseconds(after[3]) if after else None
                found.append((look, milliseconds(entered[place + 3]), end))
        return found

    def controls(self) -> list[str]:
        """Return the commands that make sense in the present state."""
        if self.look == "waiting":
            return ["retry_now", "give_up"]
        return [] if self.look in OVER or self.look == "cancelling" else ["cancel"]

    def as_dict(self) -> dict[str, Any]:
        """Return the row as the front end gets it; fields without a value are left out.

        Of most runs little is known, and a flood of them is told: so nothing is worked out that
        has no value.
        """
        run, look = self.run, self.look
        fields: dict[str, Any] = {
            "id": as_hex(run.number),
            "g": self.group.id,
            "i": self.index,
            "name": clipped(run.name, _TEXT_LIMIT),
            "look": look,
            "word": word_now(run),
            "bars": self.bars(),
            "lane": self.lane,
            "attempt": attempt_text(run, look),
            "why": self._why(),
            "error": error_line(run),
            "where": run.where,
        }
        if look in OVER:
            seconds = self.seconds
            fields["took"] = None if seconds is None else duration(seconds)
        else:
            fields["can"] = self.controls()
            if look == "waiting" and run.due:
                fields["due"] = milliseconds(run.due)
        if self.shade:
            fields["shade"] = True
        fields |= self._seldom()
        return {key: value for key, value in fields.items() if value is not None and value != []}

    def _seldom(self) -> dict[str, Any]:
        """Return what there is to tell only of some runs."""
        run, look, why = self.run, self.look, self.run.why
        found: dict[str, Any] = {}
        if why is not None:
            found["notes"] = [clipped(note, _NOTE_LIMIT) for note in why.notes[:_NOTES_SHOWN]]
            found["diff"] = diffs(run) or None
            found["hit"] = why.outcome == "hit" or None
        if run.error is not None:
            found["trace"] = trace_tail(run)
        inputs = run.inputs
        if inputs is None and run.attempts:  # before it began, some may be futures
            inputs = inputs_of(run, parameters_of(run))
        if inputs:
            shown = list(islice(inputs.items(), _INPUTS_SHOWN))
            found["inputs"] = [
                [clipped(name, 60), clipped(text, _TEXT_LIMIT)] for name, text in shown
            ]
            given = ", ".join(f"{k}={v}" for k, v in shown) if len(shown) > 1 else shown[0][1]
            found["given"] = clipped(given, _GIVEN_LIMIT)
        if run.preview is not None:
            found["result"] = clipped(run.preview, _TEXT_LIMIT)
        if self.logs:
            found["logs"] = list(self.logs)
        if run.progress is not None:
            found["doing"] = doing(run, look)
            found["progress"] = progress_of(run, look)
            found["node"] = node_text(run, look)
        if run.tags:
            found["tags"] = sorted(clipped(tag, 40) for tag in run.tags)[:_TAGS_SHOWN]
        return found

    def _why(self) -> str | None:
        """Return what a run waits for, else why it ran or was reused."""
        waits = None if self.look in OVER else get_session().waits_of(self.run)
        return waits or why_line(self.run, 300)


def trace_tail(run: Run) -> str | None:
    """Return the end of the traceback of a failed run, without what only this machine knows.

    A record is committed and shown to others: ipykernel's name for a cell changes with every
    kernel, and where somebody's home is concerns nobody.
    """
    if run.error is None or not run.error.traceback:
        return None
    lines = run.error.traceback[-4 * _TRACE_LIMIT :].rstrip().splitlines()[-_TRACE_LINES:]
    text = _CELL_FILE.sub('File "<cell>"', "\n".join(lines)[-_TRACE_LIMIT:])
    return text.replace(f'File "{Path.home()}/', 'File "~/')


def _bar_look(kind: str, name: str | None, after: tuple[Any, ...], now: str) -> str | None:
    """Return how a stretch is drawn: an attempt by how it ended, a wait as a wait."""
    if kind == RUNNING:
        if not after:
            return "running"
        look = look_entered(after[0], after[1])
        if look == "cancelling" and now in OVER:
            return now
        if look in OVER:
            return look
        return "failed" if look in ("waiting", "running", "scheduled") else "running"
    if name == "AwaitingRetry":
        return "waiting"
    if kind == PAUSED:
        return "paused"
    return "cancelling" if kind == CANCELLING else None
