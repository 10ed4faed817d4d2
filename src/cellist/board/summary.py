"""A board as text: what is below it in a terminal, and what a script is told at the end."""

from typing import NamedTuple

from cellist.board.groups import Group
from cellist.board.palette import LOOKS, OVER, TROUBLE
from cellist.board.progress import doing, meter
from cellist.board.rows import Row
from cellist.board.view import View
from cellist.board.wording import counts_text, duration, more_text
from cellist.drawing.markup import clipped, printable

MOST_LINES = 16
"""Groups told of."""
_NAME = 34


class Line(NamedTuple):
    """One line: what it is about, its look, the state in words, how long it took, and why."""

    name: str
    look: str
    state: str
    took: str
    why: str


def heading(view: View) -> Line:
    """Return the line on the whole."""
    header = view.header()
    facts = [counts_text(view.counts)] if view.counts else []
    facts += [header["saved"]] if header["saved"] else []
    if header["why"]:
        facts = [header["why"]]
    elif sum(view.counts.values()) > 1:
        facts[0] = f"{header['runs']}: {facts[0]}"
    return Line(
        clipped(printable(header["title"]), 60),
        header["look"],
        header["word"],
        header["took"] or "",
        printable(" · ".join(facts)),
    )


def lines_of(view: View) -> list[Line]:
    """Return a line for each group that the heading has not told all of."""
    return [_line(group, view.counting(group)) for group in _told(view)[:MOST_LINES]]


def rest_of(view: View) -> str | None:
    """Return how many groups have no line."""
    return more_text(len(_told(view)) - MOST_LINES) if len(_told(view)) > MOST_LINES else None


def _told(view: View) -> list[Group]:
    return [group for group in view.groups if not _is_the_whole(view, group)]


def _line(group: Group, counting: Row | None) -> Line:
    name = f"{'  ' * min(group.depth, 4)}{clipped(printable(group.name), _NAME - 10)}"
    if group.total > 1:
        name += f" ×{group.total:,}"
    seconds = group.seconds()
    state = group.word
    if group.total > 1 and group.over < group.total:
        state += f" {group.over:,} of {group.total:,}"
    return Line(
        name,
        group.look,
        state,
        "" if seconds is None else duration(seconds),
        clipped(printable(_doing(counting) or _why(group)), 200),
    )


def _doing(row: Row | None) -> str:
    """Return how far a run is, drawn with characters."""
    now = doing(row.run, row.look) if row is not None else None
    return f"{meter(now[0])} {now[1]}".strip() if now is not None else ""


def _why(group: Group) -> str:
    """Return what is said of a group: how it failed, why it ran or did not."""
    parts = [part for part in (group.error if group.look in TROUBLE else "", group.why) if part]
    mixed = sum(1 for number in group.counts.values() if number) > 1
    if mixed and group.over == group.total:
        parts.insert(0, counts_text(group.counts))
    return "; ".join(parts)


def summary_lines(view: View, width: int) -> list[str]:
    """Return the board as lines of plain text: the whole, which may be long, then one per group."""
    view.read()
    told = lines_of(view)
    name = max((len(line.name) for line in told), default=0)
    state = max((len(line.state) for line in told), default=0)
    first = heading(view)
    took = f" in {first.took}" if first.took else ""
    shown = [f"{first.name}: {_icon(first)} {first.state}{took}{_after(first.why)}"]
    shown += [
        f"  {line.name:<{name}}  {_icon(line)} {line.state:<{state}}  {line.took:>8}  {line.why}"
        for line in told
    ]
    if rest_of(view):
        shown.append(f"  {rest_of(view)}")
    return [shown[0], *(clip_end(line.rstrip(), width) for line in shown[1:])]


def status_line(view: View, width: int) -> str:
    """Return how far things are on one line: what runs, and how many runs are over."""
    header = view.header()
    over = sum(number for look, number in view.counts.items() if look in OVER)
    total = sum(view.counts.values())
    parts = [f"{header['title']}: {LOOKS[header['look']].icon} {header['word']}"]
    parts += [f"{over:,} of {total:,} runs over"] if total else []
    for group in view.groups:
        now = _doing(view.counting(group))
        if now:
            parts.append(f"{group.name} {now}")
        elif group.kind != "flow" and group.over < group.total and group.look != "pending":
            parts.append(f"{group.name} {group.detail()}")
    return clip_end(printable(" · ".join(parts)), width)


def clip_end(line: str, width: int) -> str:
    """Return a line that fits."""
    return line if len(line) <= width else f"{line[: max(width - 1, 0)]}…"


def _is_the_whole(view: View, group: Group) -> bool:
    """Whether the heading has said it all: of the flow of the board, or of its only run."""
    if group.parent is not None or group.total > 1:
        return False
    return group.kind == "flow" or len(view.groups) == 1


def _icon(line: Line) -> str:
    return LOOKS[line.look].icon


def _after(text: str) -> str:
    return f" · {text}" if text else ""
