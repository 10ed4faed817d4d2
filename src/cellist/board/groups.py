"""A group: all runs of one task or flow at one place, drawn as one node with counts.

Two runs share a group when the same definition was called from the same group. So two hundred
mapped fetches are one node, fifty subflows with three tasks each are four nodes, and a recursion
folds into one.
"""

from collections.abc import Iterator
from typing import Any

from cellist.board.activity import Pace
from cellist.board.palette import LOOKS, OVER, TROUBLE
from cellist.board.progress import node_text
from cellist.board.rows import Row
from cellist.board.wording import (
    counts_text,
    duration,
    error_line,
    look_of_many,
    more_text,
    progress_text,
    reasons_text,
    word_now,
)
from cellist.drawing.markup import clipped
from cellist.model.reasons import Reason
from cellist.model.runs import Run

MAX_LANES = 40
"""Rows of bars one group gets in the timeline; with more at once, bars share a lane."""

_REASONS_KEPT = 50
_TAGS_KEPT = 20
CODES = {key: look.code for key, look in LOOKS.items()}
_FACTS = ("name", "kind", "depth", "why", "error", "lanes", "pitch", "took", "tags")
_PENDING = CODES["pending"]


def definition_key(run: Run) -> tuple[str, str]:
    """Return what tells one definition from another."""
    definition = run.definition
    return run.kind, getattr(definition, "key", None) or definition.name


class Group:
    """Runs of one definition called from one place.

    What the page is told of it comes in two parts. The state of each run is one letter, a *cell*;
    counts, progress and words follow from the cells, and the page works them out where it shows
    them, so that a change of state costs a few bytes. The rest are *facts*, told when they change
    and not more often than people read.
    """

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
        self.sent = 0
        self._told: tuple[Any, ...] = ()
        self.error: str | None = None
        """The latest failure of a run that failed for good."""
        self.lanes: list[Row] = []
        """The run that used each lane last."""
        self._lane_ends: list[int] = []
        """When that run was over; 0 while it goes on."""
        self.reasons: dict[str, int] = {}
        """Why runs that were not reused ran."""
        self._gists: dict[str, str] = {}
        """The same reasons by what they come to, without the values of single runs."""
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
        """Take in a new run; it is counted by the first `move`."""
        rows = self.rows
        row = Row(run, self, len(rows))
        rows.append(row)
        self.cells.append(_PENDING)
        if run.tags and len(self.tags) < _TAGS_KEPT:
            self.tags |= run.tags
        return row

    def move(self, row: Row, look: str) -> None:
        """Note that a run of the group looks different now."""
        counts, before = self.counts, row.look
        if before:
            if counts[before] == 1:
                del counts[before]
            else:
                counts[before] -= 1
        counts[look] = counts.get(look, 0) + 1
        row.look = look
        self.cells[row.index] = CODES[look]
        if look in OVER:
            if before not in OVER:
                self.over += 1
                self._note_end(row)
            if look in TROUBLE:
                self.error = error_line(row.run)
        elif before in OVER:
            self.over -= 1

    def _note_end(self, row: Row) -> None:
        entered = row.run.entered
        ended = row.run.ended if entered[-3] == "RolledBack" else entered[-1]
        self.ended = max(self.ended, ended)
        self.pace.note(row.look, ended // 1_000_000)
        if row.lane is not None and self.lanes[row.lane] is row:
            self._lane_ends[row.lane] = ended

    def note(self, row: Row) -> None:
        """Take from a run what concerns the group besides its state: when it began, and why."""
        run = row.run
        begin = run.first_running
        if begin and (not self.began or begin < self.began):
            self.began = begin
        if not row.reasoned and run.why is not None and row.look in OVER:
            row.reasoned = True
            self._count_reason(run.why)

    def _count_reason(self, why: Reason) -> None:
        sentence = str(why)
        if why.outcome == "hit":
            self.reused += 1
            self.saved += why.saved or 0.0
            self._hit = sentence
        elif sentence in self.reasons or len(self.reasons) < _REASONS_KEPT:
            self.reasons[sentence] = self.reasons.get(sentence, 0) + 1
            self._gists[sentence] = why.gist

    @property
    def why(self) -> str:
        """Why the runs ran or did not, first of those that ran.

        Hits differ in what each saved, so they are summed up.
        """
        hit = self._hit if self.reused == 1 else f"reused, saved {duration(self.saved)}"
        reused = {hit: self.reused} if self.reused else {}
        told = [one for one in (self._alike(), reused) if one]
        return "; ".join(reasons_text(one, counts_one=len(told) > 1) for one in told)

    @property
    def ran_because(self) -> str:
        """Why those runs ran that did, empty if none did."""
        return reasons_text(self._alike())

    def _alike(self) -> dict[str, int]:
        """Return why runs ran, with what differs only in the values of each run summed up."""
        sentences: dict[str, list[str]] = {}
        for sentence in self.reasons:
            sentences.setdefault(self._gists[sentence], []).append(sentence)
        return {
            gist if len(same) > 1 else same[0]: sum(self.reasons[one] for one in same)
            for gist, same in sentences.items()
        }

    def take_lane(self, row: Row) -> None:
        """Give a run that started a lane of the timeline: the first whose last run was over."""
        begin, end = row.run.first_running, row.ended
        for lane, last in enumerate(self._lane_ends):
            if 0 < last <= begin:
                row.lane, row.shade = lane, not self.lanes[lane].shade
                self.lanes[lane], self._lane_ends[lane] = row, end
                return
        if len(self.lanes) < MAX_LANES:
            row.lane = len(self.lanes)
            self.lanes.append(row)
            self._lane_ends.append(end)
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
        return word_now(self.rows[0].run) if self.total == 1 else LOOKS[self.look].word

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

    def label(self) -> str:
        """Return the group and how its runs are, as it is read out."""
        return f"{self.name}: {counts_text(self.counts)}"

    @property
    def more(self) -> str | None:
        """The note on runs that are only counted; `None` if all are drawn."""
        return more_text(self.total - self.sent)

    def _facts(self) -> tuple[Any, ...]:
        """Return what is said of the group and does not follow from its cells and rows."""
        seconds = self.seconds() if self.total > 1 else None
        return (
            self.name,
            self.kind,
            self.depth,
            self.why,
            self.error,
            len(self.lanes),
            self.pitch,
            duration(seconds) if seconds is not None else None,
            sorted(clipped(tag, 40) for tag in self.tags)[:_TAGS_KEPT] if self.tags else [],
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the group as the front end gets it."""
        self._told = self._facts()
        facts = dict(zip(_FACTS, self._told, strict=True))
        whole = {"id": self.id, **facts, "cells": "".join(self.cells)}
        if self.total > self.sent:
            whole["pace"] = self.pace.as_dict()
        return whole

    @property
    def is_told(self) -> bool:
        """Whether the front end knows of the group."""
        return bool(self._told)

    def changes(self) -> dict[str, Any] | None:
        """Return the facts that differ since the last `changes` or `as_dict`, if there are some."""
        facts, told = self._facts(), self._told
        patch: dict[str, Any] = {}
        if facts != told:
            before = told or (self,) * len(facts)  # which equals no fact
            parts = zip(_FACTS, facts, before, strict=True)
            patch = {name: fact for name, fact, old in parts if fact != old}
            self._told = facts
        if self.pace.is_stale and self.total > self.sent:
            patch["pace"] = self.pace.changes()
        return {"id": self.id, **patch} if patch else None
