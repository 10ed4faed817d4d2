"""The view model: events in, what to draw out. Pure: no clock, no thread, no front end.

`apply` only notes which runs were touched, so it may be called for every event. `changes` reads
the touched runs and returns what differs from the last time; `snapshot` returns everything. Both
are plain data that JSON takes. A board of ten thousand runs stays cheap because a frame costs
what changed and because only some runs are drawn one by one: the first ones of each group, and
those that need attention. All are counted, and all have their cell in their group's grid. What is
said of a whole group may be put off, so that it costs groups per second and not runs.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, cast

from cellist.board.activity import Activity
from cellist.board.attention import NEEDY, Attention
from cellist.board.glance import at_a_glance
from cellist.board.graph import drawn_groups, find_order, graph_of
from cellist.board.groups import CODES, Group, definition_key
from cellist.board.listed import Listed
from cellist.board.palette import LOOKS, OVER
from cellist.board.progress import doing_words
from cellist.board.roots import Roots
from cellist.board.rows import Row, milliseconds
from cellist.board.superseded import LOOK as SUPERSEDED
from cellist.board.superseded import retried, superseded
from cellist.board.wording import (
    amount,
    duration,
    look_now,
    look_of_many,
    ordered,
    reason_or_error,
    saved_text,
    summary,
    usual_text,
    word_now,
)
from cellist.drawing.markup import clipped
from cellist.model.events import Event, LogWritten
from cellist.model.runs import Run

WANTED_LIMIT = 200
"""Runs that are listed at once because somebody asks for them."""
COUNTING_LIMIT = 100
"""Runs whose loops move on the board at once."""

GRAPH_AT_ONCE = 60
"""Groups up to which a new one is drawn in the graph at once; laying out more takes longer."""

_LOGS_KEPT = 6
_LOG_LIMIT = 200


class View:
    """What one board shows, folded from events."""

    def __init__(self, title: str) -> None:
        self.title = clipped(title, 120)
        self.groups: list[Group] = []
        self.rows: dict[int, Row] = {}
        self.counts: dict[str, int] = {}
        """Runs by look, without flows that hold other runs."""
        self.latest = 0
        """When something last happened, nanoseconds since the epoch."""
        self.usual: Sequence[float] = ()
        """How long the latest runs of this name took, in seconds."""
        self._touched: dict[int, Run] = {}
        self._logs: dict[int, deque[str]] = {}
        self._by_spot: dict[tuple[int | None, int], Group] = {}
        self._by_place: dict[tuple[int | None, tuple[str, str]], Group] = {}
        self._children: dict[int | None, list[Group]] = {}
        self._roots = Roots()
        self._attention = Attention()
        self._counting: dict[int, Row] = {}
        """Runs that go on and tell how far they are."""
        self._activity = Activity()
        self._changed_groups: dict[int, Group] = {}
        self._put_off: dict[int, Group] = {}
        """Groups whose cells were told, but not yet what is said of them as a whole."""
        self._moved: dict[int, Row] = {}
        """Runs that look different now."""
        self._changed_rows: dict[int, Row] = {}
        self._graph: dict[str, Any] | None = None
        self._structure_changed = False
        self._listed = Listed()
        self._active = 0

    def apply(self, event: Event) -> None:
        """Take in an event. Cheap: the run itself is read by the next `changes`."""
        self.apply_all((event,))

    def apply_all(self, events: Iterable[Event]) -> None:
        """Take in events, many at once."""
        touched = self._touched
        for event in events:
            run = event[0]
            touched[run.number] = run
            if event.__class__ is LogWritten:
                lines = self._logs.setdefault(run.number, deque(maxlen=_LOGS_KEPT))
                lines.append(clipped(cast("LogWritten", event).message, _LOG_LIMIT))

    @property
    def is_stale(self) -> bool:
        """Whether something was not yet part of a `changes` or `snapshot`."""
        return bool(self._touched or self._changed_groups)

    @property
    def counts_on(self) -> bool:
        """Whether a run tells how far it is: that moves without events, see `tick`."""
        return bool(self._counting)

    def counting(self, group: Group) -> Row | None:
        """Return a run of a group that goes on and tells how far it is."""
        return next((row for row in self._counting.values() if row.group is group), None)

    def tick(self) -> None:
        """Have those runs read again that tell how far they are."""
        for number, row in islice(self._counting.items(), COUNTING_LIMIT):
            self._touched[number] = row.run

    @property
    def active(self) -> int:
        """How many runs are not over; exact after `changes` or `snapshot`."""
        return self._active

    @property
    def has_put_off(self) -> bool:
        """Whether `changes` has put something off, for a call with `everything`."""
        return bool(self._put_off) or self._structure_changed

    def changes(self, *, everything: bool = True) -> dict[str, Any]:
        """Return what differs since the last call.

        Without `everything`, what is said of groups that were told of before is put off: all
        but the states of their runs.
        """
        self.read()
        patch: dict[str, Any] = {"header": self.header()}
        self._put_off.update(self._changed_groups)
        if self._moved:
            rows = self._moved.values()
            patch["cells"] = [
                [row.group.id for row in rows],
                [row.index for row in rows],
                "".join([CODES[row.look] for row in rows]),
            ]
        facts = self._facts(everything=everything)
        if facts:
            patch["groups"] = facts
        if self._changed_rows:
            patch["rows"] = [row.as_dict() for row in self._changed_rows.values()]
        if (everything or len(self.groups) <= GRAPH_AT_ONCE) and self._draw_graph():
            patch["graph"] = self._graph
        self._forget_told()
        return patch

    def _facts(self, *, everything: bool) -> list[dict[str, Any]]:
        """Return what differs of what is said of groups; they are no longer put off."""
        behind = self._put_off
        if everything:
            told, self._put_off = list(behind.values()), {}
        else:
            told = [group for group in self._changed_groups.values() if not group.is_told]
            for group in told:
                del behind[group.id]
        return [facts for group in told if (facts := group.changes())]

    def snapshot(self) -> dict[str, Any]:
        """Return everything that is drawn."""
        self.read()
        self._draw_graph()
        whole = {
            "looks": {key: list(look.told) for key, look in LOOKS.items()},
            "header": self.header(),
            "groups": [group.as_dict() for group in self.groups],
            "rows": [row.as_dict() for row in self.rows.values() if row.sent],
            "graph": self._graph or graph_of(()),
        }
        self.forget_changes()
        return whole

    def header(self) -> dict[str, Any]:
        """Return the line on the whole: state, times, counts, what reuse saved, what is next."""
        look, word = self._overall()
        begin = self._roots.began
        end = 0 if self._active else self._roots.ended
        reused = sum(group.reused for group in self.groups)
        saved = saved_text(sum(group.saved for group in self.groups), reused)
        took = duration((end - begin) / 1e9) if end else None
        total = sum(self.counts.values())
        lone = self._lone()
        why = lone and (doing_words(lone.run, lone.look) or reason_or_error(lone.run))
        return {
            "title": self.title,
            "lone": lone.hex if lone else None,
            "why": why,
            "look": look,
            "word": word,
            "start": milliseconds(begin) if begin else None,
            "end": milliseconds(end) if end else None,
            "took": took,
            "usual": usual_text(self.usual, (end - begin) / 1e9 if end else None),
            "idle": self.gaps(),
            "runs": amount(total, "run"),
            "counts": ordered(self.counts),
            "saved": saved,
            "note": at_a_glance(self.groups, self._counting.values(), is_over=bool(end)),
            "next": self._attention.next_retry(),
            "failure": self._attention.failure(is_over=not self._active),
            "cancel": [row.hex for row in self._roots.stoppable()],
            "sentence": summary(
                self.title, word, self.counts, [why or saved, f"It took {took}" if took else None]
            ),
        }

    def gaps(self) -> list[tuple[int, int | None]]:
        """Return when all that had begun only waited, in milliseconds; a last one may go on."""
        return self._activity.gaps()

    def _overall(self) -> tuple[str, str]:
        """Return look and word of the board: of its only flow, or of all it holds."""
        only = self._roots.only
        if only is not None:
            return only.look, word_now(only.run)
        look = look_of_many(self._roots.counts)
        return look, LOOKS[look].word

    def _lone(self) -> Row | None:
        """Return the run that is all there is: a cell that calls one task, or is one."""
        only = self._roots.only
        return (
            only if only is not None and only.run.kind != "flow" and len(self.rows) == 1 else None
        )

    def read(self) -> None:
        """Read the runs that were touched. Changes stay to be sent."""
        touched, self._touched = self._touched, {}
        rows, flows = self.rows, list[Row]()
        for number, run in touched.items():
            row = rows.get(number) or self._admit(run)
            self._refresh(row)
            if run.kind == "flow":
                flows.append(row)
        if self._logs:  # now that all have rows: callers are to come before what they called
            self._take_logs()
        for flow in retried(flows) if flows else ():
            for row in list(superseded(flow.run, rows.values())):
                row.superseded = True
                self._refresh(row)

    def _take_logs(self) -> None:
        logs, self._logs = self._logs, {}
        for number, lines in logs.items():
            row = self.rows[number]
            row.logs = row.logs or deque(maxlen=_LOGS_KEPT)
            row.logs.extend(lines)

    def _admit(self, run: Run) -> Row:
        """Give a run that is seen for the first time its row and its group."""
        caller = run.parent or run.flow
        caller_row = self.rows.get(caller.number) if caller is not None else None
        within = caller_row.group if caller_row is not None else None
        # By identity, which is quick; the group keeps the definition, so its id is not reused.
        spot = (within and within.id, id(run.definition))
        group = self._by_spot.get(spot)
        if group is None:
            group = self._by_spot[spot] = self._find_group(run, within)
            group.definitions.append(run.definition)
        row = self.rows[run.number] = group.add(run)
        if caller_row is None:
            self._roots.add(row)
        self._active += 1
        if not row.index:
            siblings = self._children.setdefault(group.parent and group.parent.id, [])
            group.after = find_order(group, siblings)
            siblings.append(group)
            self._structure_changed = True
        return row

    def _find_group(self, run: Run, caller: Group | None) -> Group:
        """Return the group of a definition seen for the first time in this place."""
        key = definition_key(run)
        if caller is not None:
            for group in caller.lineage():
                if group.key == key:
                    return group  # a recursion folds into the group it started from
        place = (caller and caller.id, key)
        group = self._by_place.get(place)
        if group is None:
            group = self._by_place[place] = Group(len(self.groups), run, caller)
            self.groups.append(group)
        return group

    def _refresh(self, row: Row) -> None:
        """Read the present state of a run into its row and group."""
        run, group = row.run, row.group
        entered = run.entered
        look = SUPERSEDED if row.superseded else look_now(run)
        if look != row.look:
            if row.is_root:
                self._roots.move(row, look)
            self._count(row, look)
            group.move(row, look)
            self._moved[run.number] = row
        if entered and entered[-1] > self.latest:
            self.latest = entered[-1]
        group.note(row)
        if run.progress is not None:
            self._note_progress(row)
        if run.upstream is not None and run.upstream is not row.upstream:
            row.upstream = run.upstream
            self._connect(row)
        self._changed_groups[group.id] = group
        if row.sent or self._listed.take(row):
            if row.lane is None and run.first_running:
                group.take_lane(row)
            self._changed_rows[run.number] = row
            if run.kind != "flow":
                self._activity.note(run.number, row.bars())

    def _note_progress(self, row: Row) -> None:
        if row.look == "running":
            self._counting[row.run.number] = row
        else:
            self._counting.pop(row.run.number, None)

    def _count(self, row: Row, look: str) -> None:
        before = row.look
        if row.run.kind != "flow":
            counts = self.counts
            if before:
                counts[before] -= 1
            counts[look] = counts.get(look, 0) + 1
        if look in OVER:
            self._active -= before not in OVER
        elif before in OVER:
            self._active += 1
        if look in NEEDY or before in NEEDY:
            self._attention.move(row, look)

    def _connect(self, row: Row) -> None:
        """Note from which groups the inputs of a run came."""
        sources = row.group.sources
        for numbers in row.upstream.values():
            for number in numbers:
                source = self.rows.get(number)
                if source is None:
                    continue
                if source.group.id not in sources:
                    self._structure_changed = True
                sources[source.group.id] = sources.get(source.group.id, 0) + 1

    def _draw_graph(self) -> bool:
        """Lay the graph out anew if its structure changed."""
        if not self._structure_changed:
            return False
        self._graph = graph_of(self.groups)
        self._structure_changed = False
        return True

    def forget_changes(self) -> None:
        """Take what changed so far as sent."""
        self._put_off.clear()
        self._forget_told()

    def _forget_told(self) -> None:
        self._moved.clear()
        self._changed_groups.clear()
        self._changed_rows.clear()

    def want(self, group: int, first: int, number: int) -> bool:
        """Draw these runs of a group one by one, too; whether there was one that was not yet."""
        if not 0 <= group < len(self.groups):
            return False
        return self.list_too(self.groups[group].rows[max(0, first) : max(0, first) + number])

    def list_too(self, rows: Sequence[Row]) -> bool:
        """Draw runs one by one that are only counted, not too many; whether there was one."""
        new = [row for row in rows[:WANTED_LIMIT] if not row.sent]
        for row in new:
            row.sent = True
            row.group.sent += 1
            self._changed_rows[row.run.number] = row
            self._changed_groups[row.group.id] = row.group
        return bool(new)

    def drawn(self) -> list[Group]:
        """Return the groups that are nodes of the picture."""
        return drawn_groups(self.groups)

    def row_by_hex(self, number: str) -> Row | None:
        """Return the row of a run by the id the front end knows; `None` if there is none."""
        try:
            return self.rows.get(int(number, 16))
        except ValueError:
            return None
