"""Every word the board and the record show about a run, a group and the whole.

Rules: a state is named in plain words; a number is followed by what it counts; a duration keeps
about two significant digits; a sentence never says more than is known. All pure functions, so
that wording is tested without a browser.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from cellist.board.palette import LOOKS, OVER, TROUBLE
from cellist.drawing.markup import clipped
from cellist.model.runs import Run
from cellist.model.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    State,
    StateType,
)

_BY_TYPE = {
    SCHEDULED: "scheduled",
    PENDING: "pending",
    RUNNING: "running",
    COMPLETED: "completed",
    FAILED: "failed",
    CANCELLED: "cancelled",
    CRASHED: "crashed",
    PAUSED: "paused",
    CANCELLING: "cancelling",
}
_BY_NAME = {"Cached": "cached", "AwaitingRetry": "waiting", "NotReady": "skipped"}
_WORDS = {
    "Retrying": "retrying",
    "TimedOut": "timed out",
    "RolledBack": "rolled back",
    "NotReady": "not run",
    "AwaitingConcurrencySlot": "waiting for a free slot",
    "Suspended": "suspended",
    "Late": "late",
}

ERROR_LIMIT = 240
"""Characters of an error line that are shown; the traceback has the rest."""
DIFF_LIMIT = 2_000
"""Characters of source diffs that travel with a run."""


def look_of(state: State | None) -> str:
    """Return the key of the look of a state; a run without a state is pending."""
    if state is None:
        return "pending"
    return _BY_NAME.get(state.name) or _BY_TYPE[state.type]


class _LooksByState(dict[tuple[str, str | None], str]):
    """The look of each type and name of a state that was seen: few, and asked for very often."""

    def __missing__(self, key: tuple[str, str | None]) -> str:
        kind, name = key
        look = self[key] = _BY_NAME.get(name or "") or _BY_TYPE[StateType(kind)]
        return look


_looks = _LooksByState()


def look_now(run: Run) -> str:
    """Return the key of the look of a run, without making an object of its state."""
    entered = run.entered
    return look_entered(entered[-4], entered[-3]) if entered else "pending"


def look_entered(kind: str, name: str | None) -> str:
    """Return the key of the look of a state by its type and name."""
    return _looks[kind, name]


def word_of(state: State | None) -> str:
    """Return the state in words, such as `timed out`."""
    if state is None:
        return LOOKS["pending"].word
    return _WORDS.get(state.name) or LOOKS[look_of(state)].word


def word_now(run: Run) -> str:
    """Return the state of a run in words, without making an object of its state."""
    entered = run.entered
    if not entered:
        return LOOKS["pending"].word
    kind, name = entered[-4], entered[-3]
    return _WORDS.get(name) or LOOKS[_looks[kind, name]].word


def duration(seconds: float) -> str:
    """Return a duration for people: `8 ms`, `1.4 s`, `42 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 0.0005:
        return "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `2,300 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _allowed(run: Run) -> int:
    """Return how many attempts the run may make."""
    retries = getattr(run.definition, "retries", None)
    return max((retries if isinstance(retries, int) else 0) + 1, run.attempts)


def next_attempt_text(run: Run) -> str:
    """Return which attempt comes next: `attempt 2 of 4`."""
    made = run.attempts + 1
    return f"attempt {made} of {max(_allowed(run), made)}"


def attempt_text(run: Run, look: str) -> str | None:
    """Return how far the attempts are: `attempt 2 of 4`; `None` for a first and only one."""
    if look == "waiting":
        return next_attempt_text(run)
    if look in OVER:
        return f"after {amount(run.attempts, 'attempt')}" if run.attempts > 1 else None
    return (
        f"attempt {run.attempts} of {_allowed(run)}" if run.attempts and _allowed(run) > 1 else None
    )


def error_line(run: Run) -> str | None:
    """Return the last failure as one line, `KeyError: 'id'`; `None` if nothing failed so far."""
    error = run.error
    if error is not None:
        lines = error.message.strip()[: 8 * ERROR_LIMIT].splitlines()
        name = error.type.rpartition(".")[2]
        return clipped(f"{name}: {lines[0]}" if lines else name, ERROR_LIMIT)
    message = run.entered[-2] if run.entered else None
    if message and look_now(run) not in _NO_FAILURE:
        return clipped(_ENCOUNTERED.sub("", message), ERROR_LIMIT)
    return None


_ENCOUNTERED = re.compile(r"^(Task|Flow) run encountered an exception:? ")
_WAITING = ("scheduled", "paused")
_UNSERVED = (
    "waits for a worker, such as BackgroundWorker({0}).start() in this kernel or "
    "cellist.serve({0}) in another notebook"
)
_NO_FAILURE = ("completed", "cached", "scheduled", "paused", "running")


def why_line(run: Run, limit: int) -> str | None:
    """Return what a scheduled run waits for, else why it ran or was reused, as far as is known."""
    message, look = run.entered[-2] if run.entered else None, look_now(run)
    if message and look in _WAITING:
        return clipped(message, limit)
    if look == "scheduled" and run.entered[-3] in (None, "Scheduled"):
        return clipped(_UNSERVED.format(run.definition.name), limit)
    return clipped(str(run.why), limit) if run.why is not None else None


def reason_or_error(run: Run) -> str | None:
    """Return what matters most of a run in one line: how it failed, else why it ran or did not."""
    return error_line(run) or why_line(run, ERROR_LIMIT)


def diffs(run: Run) -> str:
    """Return what changed in the code since the last result, as unified diffs; lines stay lines."""
    changes = run.why.changes if run.why is not None else ()
    found = [f"{change.name}\n{text}" for change in changes if (text := change.diff)]
    text = "\n".join(found)
    return text if len(text) <= DIFF_LIMIT else f"{text[:DIFF_LIMIT]}…"


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts by state: `3 failed, 12 running, 185 completed`."""
    return ", ".join(f"{n:,} {LOOKS[key].word}" for key, n in ordered(counts))


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the counts that are not zero, what deserves attention first."""
    return sorted([pair for pair in counts.items() if pair[1]], key=_place)


_PLACES = {key: place for place, key in enumerate(LOOKS)}


def _place(pair: tuple[str, int]) -> int:
    return _PLACES[pair[0]]


_WHILE_ACTIVE = ("cancelling", "running", "waiting", "paused")
_WHEN_OVER = ("failed", "crashed", "cancelled", "skipped", "completed", "cached", "superseded")


def look_of_many(counts: Mapping[str, int]) -> str:
    """Return the look that stands for several runs: what they do now, else how they ended."""
    present = {key for key, n in counts.items() if n}
    for key in _WHILE_ACTIVE:
        if key in present:
            return key
    queued = present & {"pending", "scheduled"}
    if queued and present - queued:
        return "running"  # some are over and the others have not started: it is under way
    if queued:
        return "pending" if "pending" in queued else "scheduled"
    for key in _WHEN_OVER:
        if key in present:
            return key
    return "pending"


def progress_text(counts: Mapping[str, int], total: int) -> str:
    """Return how far a group is: `128 of 200 · 2 failed`, or `200 runs` when it is over."""
    over = sum(n for key, n in counts.items() if key in OVER)
    text = amount(total, "run") if over == total else f"{over:,} of {total:,}"
    trouble = sum(counts.get(key, 0) for key in TROUBLE)
    return f"{text} · {trouble:,} failed" if trouble and trouble < total else text


def saved_text(seconds: float, reused: int) -> str | None:
    """Return what reuse brought: `reuse saved 12 s`; `None` if nothing was reused."""
    if not reused:
        return None
    return f"reuse saved {duration(seconds)}" if seconds >= 0.0005 else "results reused"


def usual_text(seconds: Sequence[float], took: float | None = None) -> str | None:
    """Return how long such runs usually take: `usually 4-6 min, last 8 runs`.

    The middle half of them counts, so that one hung run does not spoil it. Of a run that is over
    it is only said if it took longer. `None` if nothing is known.
    """
    if not seconds:
        return None
    found = sorted(seconds)
    low, high = found[(len(found) - 1) // 4], found[-1 - (len(found) - 1) // 4]
    if took is not None:
        is_late = took > _MUCH_LONGER * high and took > high + 1
        return f"longer than usual ({_between(low, high)})" if is_late else None
    if len(found) == 1:
        return f"took {_between(low, high)} last time"
    return f"usually {_between(low, high)}, last {len(found)} runs"


_MUCH_LONGER = 1.25


def _between(low: float, high: float) -> str:
    """Return a range in the unit of its upper end, or one duration where both are the same."""
    if high < 60:
        unit = duration(high).rpartition(" ")[2]
        ends = [duration(value).removesuffix(f" {unit}") for value in (low, high)]
    elif high < 2 * 3600:
        unit = "min"
        ends = [f"{value / 60:.{0 if value >= 60 else 1}f}" for value in (low, high)]
    else:
        unit = "h"
        ends = [f"{value / 3600:.1f}".removesuffix(".0") for value in (low, high)]
    return f"{ends[0]}–{ends[1]} {unit}" if ends[0] != ends[1] else f"{ends[0]} {unit}"


def reasons_text(reasons: Mapping[str, int], limit: int = 120, *, counts_one: bool = False) -> str:
    """Return the two commonest reasons of a group, how many runs each, and how many others.

    The reason of a single run is told without its number, unless it `counts_one`.
    """
    ranked = sorted(reasons.items(), key=lambda pair: -pair[1])
    shown = 1 if len(ranked) > 2 and ranked[1][1] == 1 else 2  # one of many says nothing
    if sum(reasons.values()) == 1 and not counts_one:
        return clipped(ranked[0][0], 2 * limit)
    parts = [f"{clipped(sentence, limit)} (×{number:,})" for sentence, number in ranked[:shown]]
    if len(ranked) > shown:
        parts.append(f"and {amount(len(ranked) - shown, 'other reason')}")
    return "; ".join(parts)


def summary(title: str, word: str, counts: Mapping[str, int], extra: Iterable[str | None]) -> str:
    """Return the whole in one sentence, for screen readers and for text/plain."""
    total = sum(counts.values())
    parts = [f"{title}: {word}"]
    if total:
        parts.append(f"{amount(total, 'task run')}: {counts_text(counts)}")
    parts += [part[0].upper() + part[1:].removesuffix(".") for part in extra if part]
    return ". ".join(parts) + "."


def more_text(number: int) -> str | None:
    """Return the note on runs that are counted but not listed; `None` if all are."""
    return f"… and {number:,} more" if number else None
