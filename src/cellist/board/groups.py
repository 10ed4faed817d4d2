"""A group: all runs of one task or flow at one place, drawn as one node with counts.

Two runs share a group when the same definition was called from the same group. So two hundred
mapped fetches are one node, fifty subflows with three tasks each are four nodes, and a recursion
folds into one.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cellist.board.activity import Pace
from cellist.board.palette import LOOKS, OVER, TROUBLE
from cellist.board.progress import doing, node_text
from cellist.board.rows import Row
from cellist.board.wording import (
    counts_text,
    duration,
    error_line,
    look_of_many,
    more_text,
    ordered,
    progress_text,
    reasons_text,
    word_of,
)
from cellist.drawing.markup import clipped
from cellist.model.runs import Run

MAX_LANES = 40
"""Rows of bars one group gets in the timeline; with more at once, bars share a lane."""

_REASONS_KEPT = 50
_TAGS_KEPT = 20
_CODES = {key: look.code for key, look in LOOKS.items()}


def definition_key(run: Run) -> tuple[str, str]:
    """Return what tells one definition from another."""
    definition = run.definition
    return run.kind, getattr(definition, "key", None) or definition.name


class Group:
    """Runs of one definition called from one place."""

    def __init__(self, number: int, run: Run, parent: "Group | None") -> None:
        self.id = number
        self.name = clipped(run.definition.name, 80)
        self.kind = run.kind
        self.key = definition_key(run)
        self.definitions: list[Any] = []
        self.parent = parent
        self.depth = 0 if parent is None else parent.depth + 1
        self.rows: list[Row] = []
        self.counts: dict[str, int] = {}
        self.over = 0
        """How many runs are over."""
        self.cells: list[str] = []
        self.changed_cells: dict[int, str] = {}
        self.sent = 0
        self._told: dict[str, Any] = {}
        self.error: str | None = None
        """The latest failure of a run that failed for good."""
        self.lanes: list[Row] = []
        """The run that used each lane last."""
        self.reasons: Counter[str] = Counter()
        """Why runs that were not reused ran."""
        self.tags: set[str] = set()
        self.pace = Pace()
        self.began = 0
        self.ended = 0
        self.reused = 0
        self._hit = ""
        self.saved = 0.0
        self.sources: dict[int, int] = {}
        """Group id → how many dependencies lead from it to this group."""
        self.after: int | None = None
        """The group that was over when this one began, where no dependency says so."""

    def lineage(self) -> "Iterator[Group]":
        """Yield the group and those it was called from, inside out."""
        group: Group | None = self
        while group is not None:
            yield group
            group = group.parent

    def add(self, run: Run) -> Row:
        """Take in a new run."""
        row = Row(run, self, len(self.rows))
        self.rows.append(row)
        self.cells.append(_CODES[row.look])
        self.counts[row.look] = self.counts.get(row.look, 0) + 1
        if run.tags and len(self.tags) < _TAGS_KEPT:
            self.tags |= run.tags
        self.changed_cells[row.index] = _CODES[row.look]
        return row

    def move(self, row: Row, look: str) -> None:
        """Note that a run of the group looks different now."""
        counts = self.counts
        counts[row.look] -= 1
        if not counts[row.look]:
            del counts[row.look]
        counts[look] = counts.get(look, 0) + 1
        self.over += (look in OVER) - (row.look in OVER)
        row.look = look
        self.cells[row.index] = self.changed_cells[row.index] = _CODES[look]

    def note(self, row: Row) -> None:
        """Take from a run what concerns the group: its span and, once it is over, its outcome."""
        run = row.run
        begin = run.first_running
        if begin and (not self.began or begin < self.began):
            self.began = begin
        if row.look in OVER:
            ended = run.ended
            self.ended = max(self.ended, ended)
            if not row.is_paced:
                row.is_paced = True
                self.pace.note(row.look, ended // 1_000_000)
            if row.look in TROUBLE:
                self.error = error_line(run)
            if not row.reasoned and run.why is not None:
                self._count_reason(row)

    def _count_reason(self, row: Row) -> None:
        row.reasoned = True
        why = row.run.why
        sentence = str(why)
        if getattr(why, "outcome", None) == "hit":
            self.reused += 1
            self.saved += getattr(why, "saved", None) or 0.0
            self._hit = sentence
        elif sentence in self.reasons or len(self.reasons) < _REASONS_KEPT:
            self.reasons[sentence] += 1

    @property
    def why(self) -> str:
        """Why the runs ran or did not. Hits differ in what each saved, so they are summed up."""
        reasons = dict(self.reasons)
        if self.reused == 1:
            reasons[self._hit] = 1
        elif self.reused:
            reasons[f"reused, saved {duration(self.saved)}"] = self.reused
        return reasons_text(reasons)

    def take_lane(self, row: Row) -> None:
        """Give a run that started a lane of the timeline: the first whose last run was over."""
        begin = row.run.first_running
        for lane, last in enumerate(self.lanes):
            if last.ended and last.ended <= begin:
                row.lane, row.shade = lane, not last.shade
                self.lanes[lane] = row
                return
        if len(self.lanes) < MAX_LANES:
            row.lane = len(self.lanes)
            self.lanes.append(row)
        else:
            row.lane = row.index % MAX_LANES

    @property
    def total(self) -> int:
        """How many runs there are."""
        return len(self.rows)

    @property
    def look(self) -> str:
        """The look that stands for the group."""
        return look_of_many(self.counts)

    @property
    def word(self) -> str:
        """The state of the group in words."""
        if self.total == 1:
            return word_of(self.rows[0].run.state)
        return LOOKS[self.look].word

    def seconds(self) -> float | None:
        """Return the time from the first start to the last end; `None` while it goes on."""
        if self.over < self.total or not self.ended:
            return None
        return (self.ended - (self.began or self.ended)) / 1e9

    @property
    def pitch(self) -> int:
        """How high a lane of the timeline is, in pixels; many lanes are drawn thin."""
        lanes = len(self.lanes)
        return 14 if lanes < 2 else 7 if lanes <= 12 else 4 if lanes <= 24 else 3

    def detail(self) -> str:
        """Return the second line of the node: progress, or duration for a single run."""
        if self.total > 1:
            return progress_text(self.counts, self.total)
        seconds = self.seconds()
        if seconds is None:
            only = self.rows[0]
            return node_text(only.run, only.look) or self.word
        return f"{self.word} · {duration(seconds)}"

    def _facts(self) -> dict[str, Any]:
        """Return what is said of the group, without what is said of each run."""
        only = self.rows[0] if self.total == 1 else None
        seconds = self.seconds()
        return {
            "name": self.name,
            "kind": self.kind,
            "depth": self.depth,
            "total": self.total,
            "over": self.over,
            "look": self.look,
            "word": self.word,
            "detail": self.detail(),
            "counts": ordered(self.counts),
            "label": f"{self.name}: {counts_text(self.counts)}",
            "why": self.why,
            "error": self.error,
            "lanes": len(self.lanes),
            "pitch": self.pitch,
            "more": more_text(self.total - self.sent),
            "run": only.hex if only is not None else None,
            "doing": doing(only.run, only.look) if only is not None else None,
            "took": duration(seconds) if seconds is not None else None,
            "tags": sorted(clipped(tag, 40) for tag in self.tags)[:_TAGS_KEPT],
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the group as the front end gets it."""
        self._told = self._facts()
        whole = {"id": self.id, **self._told, "cells": "".join(self.cells)}
        if self.total > self.sent:
            whole["pace"] = self.pace.as_dict()
        return whole

    def changes(self, *, final: bool = False) -> dict[str, Any]:
        """Return what differs since the last `changes` or `as_dict`."""
        facts, told = self._facts(), self._told
        self._told = facts
        patch = {key: value for key, value in facts.items() if told.get(key, self) != value}
        patch["id"] = self.id
        if self.total > self.sent and (final or self.pace.is_due):
            patch["pace"] = self.pace.as_dict()
        if self.changed_cells:
            patch["changed"] = list(self.changed_cells.items())
        return patch
