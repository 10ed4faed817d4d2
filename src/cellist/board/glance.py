"""What one look should tell when nothing needs anybody: what goes on, and what took long."""

from collections.abc import Iterable
from itertools import islice

from cellist.board.groups import Group
from cellist.board.progress import doing
from cellist.board.rows import Row
from cellist.board.wording import amount, duration
from cellist.drawing.markup import clipped

_MOST = 4
_CAUSE = 240
_LOOKED_AT = 100
"""Runs whose loops are looked at."""
_WORTH_NAMING = 0.2
"""Share of the longest that a group must have taken to be named beside it."""


def at_a_glance(groups: Iterable[Group], counting: Iterable[Row], *, is_over: bool) -> str | None:
    """Return what runs, what had to run though others did not, or what took long; or `None`.

    `now: embed ×3 (20–60%), vocabulary`, `clean ran: helper `fix` changed (line 2)`, `nothing had
    to run`, `longest: fetch 7.8 s, embed 2.4 s`.

    `counting` are the runs that tell how far they are.
    """
    tasks = [group for group in groups if group.kind != "flow"]
    return _longest(tasks) if is_over else _running(tasks, counting)


def _running(tasks: Iterable[Group], counting: Iterable[Row]) -> str | None:
    shares: dict[int, list[float]] = {}
    for row in islice(counting, _LOOKED_AT):
        now = doing(row.run, row.look)
        if now is not None and now[0] is not None:
            shares.setdefault(row.group.id, []).append(now[0])
    names: list[str] = []
    for group in tasks:
        number = group.counts.get("running")
        if number:
            many = f" ×{number:,}" if number > 1 else ""
            names.append(f"{group.name}{many}{_span(shares.get(group.id))}")
    return f"now: {_some(names)}" if names else None


def _span(shares: list[float] | None) -> str:
    if not shares:
        return ""
    low, high = round(min(shares) * 100), round(max(shares) * 100)
    return f" ({low}%)" if low == high else f" ({low}–{high}%)"


def _longest(tasks: list[Group]) -> str | None:
    if tasks and all(set(group.counts) == {"cached"} for group in tasks):
        return "nothing had to run"
    if any(group.reused for group in tasks):
        cause = next((group for group in tasks if group.reasons), None)
        if cause is not None:
            return clipped(f"{cause.name} {cause.ran_because}", _CAUSE)
    timed = sorted(((group.seconds() or 0.0, group.name) for group in tasks), reverse=True)
    if len(timed) < 2 or timed[0][0] < 1:
        return None
    worth = timed[0][0] * _WORTH_NAMING
    names = [f"{name} {duration(seconds)}" for seconds, name in timed if seconds >= worth]
    return f"longest: {', '.join(names[:_MOST])}"


def _some(names: list[str]) -> str:
    text = ", ".join(names[:_MOST])
    return f"{text} and {amount(len(names) - _MOST, 'other task')}" if len(names) > _MOST else text
