"""A row: what the board says about one run, read from the run when it is drawn.

Reading late, instead of folding each state, makes ten changes between two frames cost one. A run
is only ever appended to by its engine, so reading it from the feed's thread is safe; whatever was
missed comes with the next event.
"""

import re
from collections import deque
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellist.board.palette import OVER
from cellist.board.progress import doing, progress_of
from cellist.board.wording import (
    attempt_text,
    diffs,
    duration,
    error_line,
    look_entered,
    why_line,
    word_of,
)
from cellist.drawing.markup import clipped
from cellist.model.ids import as_hex
from cellist.model.runs import Entry, Run
from cellist.model.states import CANCELLING, PAUSED, RUNNING
from cellist.session import get_session

if TYPE_CHECKING:
    from cellist.board.groups import Group

Bar = tuple[str, int, int | None]
"""Look, start and end in milliseconds since the epoch; no end while it lasts."""

_TEXT_LIMIT = 120
_INPUTS_SHOWN = 12
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

    __slots__ = (
        "attempt",
        "group",
        "index",
        "is_paced",
        "is_root",
        "lane",
        "logs",
        "look",
        "reasoned",
        "run",
        "sent",
        "shade",
        "superseded",
        "upstream",
    )

    def __init__(self, run: Run, group: "Group", index: int) -> None:
        self.run = run
        self.group = group
        self.index = index
        self.look = "pending"
        self.attempt = 0
        """In which attempt a flow was when it was last looked at."""
        self.superseded = False
        """Whether it failed in an attempt of its flow that was retried."""
        self.lane: int | None = None
        self.logs: deque[str] | None = None
        self.is_paced = False
        self.is_root = False
        self.sent = False
        self.shade = False
        """Neighbours in a lane differ in shade, or they would look like one bar."""
        self.reasoned = False
        self.upstream: Any = None

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
        entries = list(self.run.entries())
        found: list[Bar] = []
        for (kind, name, _, at), after in zip_longest(entries, entries[1:]):
            look = _bar_look(kind, name, after)
            if look:
                found.append((look, milliseconds(at), milliseconds(after[3]) if after else None))
        return found

    def controls(self) -> list[str]:
        """Return the commands that make sense in the present state."""
        if self.look == "waiting":
            return ["retry_now", "give_up"]
        return [] if self.look in OVER or self.look == "cancelling" else ["cancel"]

    def as_dict(self) -> dict[str, Any]:
        """Return the row as the front end gets it; fields without a value are left out."""
        run = self.run
        look = self.look
        seconds = self.seconds
        notes = run.why.notes[:_NOTES_SHOWN] if run.why is not None else ()
        fields: dict[str, Any] = {
            "id": self.hex,
            "g": self.group.id,
            "i": self.index,
            "name": clipped(run.name, _TEXT_LIMIT),
            "look": look,
            "word": word_of(run.state),
            "bars": self.bars(),
            "lane": self.lane,
            "shade": self.shade or None,
            "took": None if seconds is None else duration(seconds),
            "due": milliseconds(run.due) if look == "waiting" and run.due else None,
            "attempt": attempt_text(run, look),
            "why": get_session().waits_of(run) or why_line(run, 300),
            "notes": [clipped(note, _NOTE_LIMIT) for note in notes],
            "diff": diffs(run) or None,
            "hit": getattr(run.why, "outcome", None) == "hit" or None,
            "error": error_line(run),
            "trace": trace_tail(run),
            "inputs": [
                [clipped(name, 60), clipped(text, _TEXT_LIMIT)]
                for name, text in list((run.inputs or {}).items())[:_INPUTS_SHOWN]
            ],
            "result": clipped(run.preview, _TEXT_LIMIT) if run.preview is not None else None,
            "logs": list(self.logs) if self.logs else None,
            "where": run.where,
            "doing": doing(run, look),
            "progress": progress_of(run, look) if run.progress is not None else None,
            "tags": sorted(clipped(tag, 40) for tag in run.tags)[:_TAGS_SHOWN],
            "can": self.controls(),
        }
        return {key: value for key, value in fields.items() if value not in (None, [])}


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


def _bar_look(kind: str, name: str | None, after: Entry | None) -> str | None:
    """Return how a stretch is drawn: an attempt by how it ended, a wait as a wait."""
    if name == "AwaitingRetry":
        return "waiting"
    if kind == PAUSED:
        return "paused"
    if kind == CANCELLING:
        return "cancelling"
    if kind != RUNNING:
        return None
    if after is None:
        return "running"
    look = look_entered(after[0], after[1])
    if look in OVER:
        return look
    return "failed" if look in ("waiting", "running", "scheduled") else "running"
