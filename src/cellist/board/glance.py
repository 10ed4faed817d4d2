"""What one look should tell when nothing needs anybody: what goes on, and what took long."""

from collections.abc import Iterable

from cellist.board.groups import Group
from cellist.board.wording import amount, duration

_MOST = 4
_WORTH_NAMING = 0.2
"""Share of the longest that a group must have taken to be named beside it."""


def at_a_glance(groups: Iterable[Group], *, is_over: bool) -> str | None:
    """Return `now: embed ×3, vocabulary`, or `longest: fetch 7.8 s, embed 2.4 s`, or `None`."""
    tasks = [group for group in groups if group.kind != "flow"]
    return _longest(tasks) if is_over else _running(tasks)


def _running(tasks: Iterable[Group]) -> str | None:
    running = [
        (group.name, group.counts["running"]) for group in tasks if "running" in group.counts
    ]
    names = [name if number == 1 else f"{name} ×{number:,}" for name, number in running]
    return f"now: {_some(names)}" if names else None


def _longest(tasks: list[Group]) -> str | None:
    if tasks and all(set(group.counts) == {"cached"} for group in tasks):
        return "nothing had to run"
    timed = sorted(((group.seconds() or 0.0, group.name) for group in tasks), reverse=True)
    if len(timed) < 2 or timed[0][0] < 1:
        return None
    worth = timed[0][0] * _WORTH_NAMING
    names = [f"{name} {duration(seconds)}" for seconds, name in timed if seconds >= worth]
    return f"longest: {', '.join(names[:_MOST])}"


def _some(names: list[str]) -> str:
    text = ", ".join(names[:_MOST])
    return f"{text} and {amount(len(names) - _MOST, 'other task')}" if len(names) > _MOST else text
