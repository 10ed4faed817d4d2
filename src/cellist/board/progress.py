"""How far the loops of a run are, in words and as the front end gets it."""

from typing import Any

from cellist.board.palette import OVER
from cellist.board.wording import duration
from cellist.drawing.markup import clipped
from cellist.model.progress import Glance
from cellist.model.runs import Run

MOST_SHOWN = 3
"""Nested loops shown of one run."""
_DESCRIPTION = 40
_FULL, _EMPTY = "█", "░"


def glances(run: Run) -> list[Glance]:
    """Return the loops of the present attempt of a run that are to be shown, outermost first."""
    return run.progress.look(run.attempts)[:MOST_SHOWN] if run.progress is not None else []


def progress_of(run: Run, look: str) -> list[list[Any]]:
    """Return for each loop of a run the share that is done, or `None`, and words."""
    over = look in OVER
    return [[_share(one), words(one, is_over=over)] for one in glances(run)]


def doing(run: Run, look: str) -> list[Any] | None:
    """Return what a run that goes on is at: the share of its outermost loop, and all in words."""
    if run.progress is None or look != "running":
        return None
    live = [one for one in glances(run) if not one.is_over]
    return [_share(live[0]), "; ".join(words(one) for one in live)] if live else None


def doing_words(run: Run, look: str) -> str | None:
    """Return what a run that goes on is at, in words."""
    found = doing(run, look)
    return found[1] if found else None


def node_text(run: Run, look: str) -> str | None:
    """Return how far a run that goes on is, in the few words a node has room for."""
    if run.progress is None or look != "running":
        return None
    one = next((one for one in glances(run) if not one.is_over), None)
    if one is None:
        return None
    share = one.share
    parts = [counted(one) if share is None else f"{share:.0%}"]
    if one.left is not None:
        parts.append(f"{duration(max(one.left, 1))} left")
    elif one.rate:
        parts.append(rate(one))
    return " · ".join(parts)


def progress_line(run: Run, look: str) -> str:
    """Return all loops of a run on one line, drawn with characters; empty if there are none."""
    return "; ".join(
        f"{bar} {text}".strip()
        for one in glances(run)
        for bar, text in [(meter(one.share), words(one, is_over=look in OVER))]
    )


def _share(one: Glance) -> float | None:
    return None if one.share is None else round(one.share, 4)


def words(one: Glance, *, is_over: bool = False) -> str:
    """Return a loop in words: `pages: 420 of 1,000 · 12/s · 48 s left`."""
    stopped = is_over or one.is_over
    facts = [counted(one)]
    if one.rate:
        facts.append(rate(one))
    if one.left is not None and not stopped:
        facts.append(f"{duration(max(one.left, 1))} left")
    text = " · ".join(facts)
    return f"{clipped(one.description, _DESCRIPTION)}: {text}" if one.description else text


def counted(one: Glance) -> str:
    """Return how much is done: `420 of 1,000`, `3.1 of 4.0 MB`, or `420` alone."""
    unit = f" {clipped(one.unit, 20)}" if one.unit and one.unit != "B" else ""
    done = _amount(one.done, one.unit)
    if one.total is None or one.done > one.total or one.done == one.total:
        return done + unit
    return f"{done} of {_amount(one.total, one.unit)}{unit}"


def rate(one: Glance) -> str:
    """Return how fast it goes: `12/s`, `3.4 MB/s`, or `2.5 s each` where it is slow."""
    speed = one.rate or 0.0
    if one.unit == "B":
        return f"{_amount(speed, 'B')}/s"
    if speed < 0.95:
        return f"{duration(1 / speed)} each"
    return f"{speed:,.1f}/s" if speed < 9.95 else f"{speed:,.0f}/s"


def meter(share: float | None, width: int = 10) -> str:
    """Return a bar of characters; empty where the whole is not known, or done."""
    if share is None or share == 1:
        return ""
    full = int(share * width)
    return _FULL * full + _EMPTY * (width - full)


def _amount(number: float, unit: str) -> str:
    if unit != "B":
        return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
    for name in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return (
                f"{number:.0f} {name}" if name == "B" or number >= 99.5 else f"{number:.1f} {name}"
            )
        number /= 1000
    return f"{number:,.1f} TB"
