"""A plan: which calls of a flow would be reused and which would run; as text, HTML and data."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from cellist.caching.reasons import seconds_text
from cellist.drawing.markup import clipped
from cellist.model.markup import escaped, prose
from cellist.model.reason_text import html_of
from cellist.model.reasons import Reason

REUSED, RUNS, WAITS, UNKNOWN = "reused", "runs", "waits", "unknown"
"""Verdicts: the result is there; it would run; it would run unless what it waits for gives what it
gave before; a subflow of which only that it would run is known."""

MOST_ALIKE = 10
"""Calls of one task with the same verdict and kind of reason that are shown one by one."""
_GIVEN = 60
_LEFT = 'style="text-align:left;vertical-align:top"'
_SHORT = 'style="text-align:left;vertical-align:top;white-space:nowrap"'


class PlannedCall(NamedTuple):
    """One call of a task in a plan."""

    name: str
    """What its run is called in the plan, such as `fetch-0`."""
    task: str
    flow: str | None
    """The flow that would call it."""
    verdict: str
    """`reused`, `runs`, `waits` or `unknown`."""
    reason: Reason
    expected: float | None = None
    """Seconds its run would take, `None` if it is reused or never ran to its end before."""
    based_on: int = 0
    """The number of runs that is the median of."""
    waits_for: tuple[str, ...] = ()
    """The calls whose values it needs and which would run."""
    is_many: bool = False
    """Whether it stands for the runs of a map whose number is not known yet."""
    is_known: bool = False
    """Whether its value is known."""
    is_made_up: bool = False
    """Whether its `viz_return_value` stood in for its value."""
    given: str = ""
    """What it is called with, in short, as far as that is known."""

    @property
    def saved(self) -> float:
        """Seconds that the reuse saves."""
        return (self.reason.saved or 0.0) if self.verdict == REUSED else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the call as plain data, fit for JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "flow": self.flow,
            "given": self.given,
            "verdict": self.verdict,
            "why": self.reason.as_dict(),
            "expected": self.expected,
            "based_on": self.based_on,
            "saved": self.saved,
            "waits_for": list(self.waits_for),
        }


class Plan:
    """What `cellist.plan` found out. Printed it is a table, in a notebook it shows itself.

    `calls` are in the order of the flow's code. `stopped` is empty, or one sentence about why the
    code could not be followed to its end; then there are more calls than the plan knows of.
    """

    def __init__(self, flow: str, calls: Sequence[PlannedCall], stopped: str = "") -> None:
        self.flow = flow
        self.calls = list(calls)
        self.stopped = stopped

    @property
    def counts(self) -> dict[str, int]:
        """How many calls there are of each verdict."""
        verdicts = [call.verdict for call in self.calls]
        return {one: verdicts.count(one) for one in (REUSED, RUNS, WAITS, UNKNOWN)}

    @property
    def seconds_saved(self) -> float:
        """Seconds of work that need not be done again."""
        return sum(call.saved for call in self.calls)

    @property
    def seconds_to_run(self) -> float:
        """Seconds of work that would be done, as far as there are runs to learn it from."""
        return self._expected(RUNS)

    @property
    def seconds_waiting(self) -> float:
        """Seconds of work of calls that wait and may still be reused, likewise."""
        return self._expected(WAITS)

    def _expected(self, verdict: str) -> float:
        return sum(call.expected or 0.0 for call in self.calls if call.verdict == verdict)

    def why(self, name: str) -> Reason:
        """Return the reason of a call by its name, or of the first of a task by the task's name.

        Raises `KeyError` naming the calls there are.
        """
        for call in self.calls:
            if name in (call.name, call.task):
                return call.reason
        known = ", ".join(call.name for call in self.calls[:MOST_ALIKE])
        raise KeyError(f"the plan has no call {name!r}; it has {known}")

    def to_frame(self) -> Any:
        """Return the calls as a DataFrame, one line for each."""
        pd: Any = import_module("pandas")  # heavy, and untyped
        columns = [
            "name", "task", "flow", "verdict", "why", "expected", "based_on", "saved", "waits_for",
        ]  # fmt: skip
        rows = [{**call.as_dict(), "why": call.reason.sentence} for call in self.calls]
        return pd.DataFrame(rows, columns=pd.Index(columns))

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, fit for JSON."""
        return {
            "flow": self.flow,
            "stopped": self.stopped,
            "counts": self.counts,
            "seconds_saved": self.seconds_saved,
            "seconds_to_run": self.seconds_to_run,
            "seconds_waiting": self.seconds_waiting,
            "calls": [call.as_dict() for call in self.calls],
        }

    @property
    def sentence(self) -> str:
        """The plan in one sentence."""
        counts = self.counts
        parts: list[str] = []
        if counts[REUSED]:
            saved = seconds_text(self.seconds_saved)
            parts.append(f"{counts[REUSED]} would be reused ({saved} saved)")
        if counts[RUNS]:
            parts.append(f"{counts[RUNS]} would run{self._cost(RUNS, 'about')}")
        if counts[WAITS]:
            parts.append(f"{counts[WAITS]} would wait for what runs{self._cost(WAITS, 'at most')}")
        if counts[UNKNOWN]:
            parts.append(f"{counts[UNKNOWN]} {_subflows(counts[UNKNOWN])} cannot be looked into")
        return f"Plan of flow `{self.flow}`: {', '.join(parts) or 'it calls no task'}."

    def _cost(self, verdict: str, how: str) -> str:
        """Return what is expected of the calls with a verdict, empty if nothing is."""
        calls = [call for call in self.calls if call.verdict == verdict]
        timed = [call for call in calls if call.expected is not None]
        if not timed:
            return ""
        more = f", and {len(calls) - len(timed)} never timed" if len(timed) < len(calls) else ""
        return f" ({how} {seconds_text(self._expected(verdict))} of work{more})"

    def _remarks(self) -> Iterator[str]:
        if self.stopped:
            yield f"The plan ends here: {self.stopped}"
        made_up = sorted({call.task for call in self.calls if call.is_made_up})
        if made_up:
            named = ", ".join(f"`{name}`" for name in made_up)
            yield f"What follows from {named} was planned with the viz_return_value."

    def __str__(self) -> str:
        lines = [self.sentence]
        rows = [("task", "verdict", "expected", "why"), *map(_cells, self._lines())]
        if self.calls:
            widths = [max(len(row[i]) for row in rows) for i in range(3)]
            lines.append("")
            for row in rows:
                told = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
                lines.append("  ".join([*told, row[3]]).rstrip())
        remarks = list(self._remarks())
        return "\n".join([*lines, *([""] if remarks else []), *remarks])

    __repr__ = __str__

    def _lines(self) -> Iterator[list[PlannedCall]]:
        """Yield the calls that share a line: single ones, or many of one task that are alike."""
        groups: dict[Any, list[PlannedCall]] = {}
        for call in self.calls:
            key = (call.task, call.flow, call.verdict, call.reason.code)
            groups.setdefault(key, []).append(call)
        shown: set[Any] = set()
        for call in self.calls:
            key = (call.task, call.flow, call.verdict, call.reason.code)
            if len(groups[key]) <= MOST_ALIKE:
                yield [call]
            elif key not in shown:
                shown.add(key)
                yield groups[key]

    def _repr_html_(self) -> str:
        heads = "".join(f"<th {_LEFT}>{h}</th>" for h in ("task", "verdict", "expected", "why"))
        body = "".join(map(_row_html, self._lines()))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        remarks = "".join(f"<p>{prose(remark)}</p>" for remark in self._remarks())
        shown = table if self.calls else ""
        return f'<div class="cellist-plan"><p>{prose(self.sentence)}</p>{shown}{remarks}</div>'


def _subflows(number: int) -> str:
    return "subflow" if number == 1 else "subflows"


def _cells(calls: list[PlannedCall]) -> tuple[str, str, str, str]:
    """Return what a line says of its calls."""
    first = calls[0]
    why = first.reason.sentence
    if len(calls) > 1:
        return f"{first.task} × {len(calls)}", first.verdict, _sum(calls), f"first: {why}"
    name = f"{first.name} × ?" if first.is_many else first.name
    return f"{name} {_given(first)}".rstrip(), first.verdict, _sum(calls), why


def _given(call: PlannedCall) -> str:
    return clipped(f"({call.given})", _GIVEN) if call.given else ""


def _sum(calls: list[PlannedCall]) -> str:
    first = calls[0]
    if first.verdict == REUSED:
        return f"saves {seconds_text(sum(call.saved for call in calls))}"
    if first.expected is None:
        return ""
    each = " each" if first.is_many else ""
    runs = f"{first.based_on} run{'s' if first.based_on > 1 else ''}"
    return f"{seconds_text(sum(call.expected or 0.0 for call in calls))}{each} (from {runs})"


def _row_html(calls: list[PlannedCall]) -> str:
    name, verdict, expected, _ = _cells(calls)
    why = html_of(calls[0].reason, "first:" if len(calls) > 1 else "")
    given = _given(calls[0]) if len(calls) == 1 else ""
    called = f"<code>{escaped(name.removesuffix(given).rstrip())}</code> {escaped(given)}"
    cells = (called.rstrip(), verdict, escaped(expected))
    short = "".join(f"<td {_SHORT}>{cell}</td>" for cell in cells)
    return f"<tr>{short}<td {_LEFT}>{why}</td></tr>"


__all__ = ["REUSED", "RUNS", "UNKNOWN", "WAITS", "Plan", "PlannedCall"]
