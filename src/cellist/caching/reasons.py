"""Say why a call is a miss: compare its key's components with the nearest earlier entry's.

Nearest is the entry of the same task with the fewest components that differ; among equals one of
a call with the same arguments, then the newest. What is said first is what a person can act on:
code, then globals, then arguments, then packages.

Earlier keys are compared as sets, made once for each entry, because every miss may ask; texts are
looked at only for the nearest one.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from cellist.caching.declared import UNDEFINED, change_of, is_declared, line_changed
from cellist.caching.envelope import Header
from cellist.model.reasons import CODE_KINDS, Change, Component, Reason
from cellist.model.states import CANCELLED, COMPLETED, CRASHED, FAILED, FINAL, StateType

_ORDER = (
    "source",
    "function",
    "class",
    "module",
    "closure",
    "default",
    "global",
    "argument",
    "flow parameter",
    "version",
    "file",
    "folder",
    "environment variable",
    "extra",
    "package",
    "run",
    "policy",
)
_INPUTS = frozenset({"argument", "flow parameter"})
_MOST_NAMED = 3
_Part = tuple[str, str, str]
_DAY = 86_400
_WIDTH = 60


class Known:
    """The header of an earlier entry, with its components ready to be compared."""

    __slots__ = ("_inputs", "_parts", "header")

    def __init__(self, header: Header) -> None:
        self.header = header
        self._parts: frozenset[_Part] | None = None
        self._inputs: frozenset[_Part] | None = None

    @property
    def parts(self) -> frozenset[_Part]:
        """Kind, name and digest of each component."""
        parts = self._parts
        if parts is None:
            try:
                components = self.header.get("components") or ()
                parts = frozenset([(c[0], c[1], c[2]) for c in components])
            except (TypeError, LookupError):  # written by another version: it explains nothing
                parts = frozenset[_Part]()
            self._parts = parts
        return parts

    @property
    def inputs(self) -> frozenset[_Part]:
        """Those of the arguments: calls with the same ones are compared first.

        An argument that stands for a file is the same whatever the file holds.
        """
        inputs = self._inputs
        if inputs is None:
            try:
                told = self.header.get("components") or ()
                inputs = _inputs([Component(*one) for one in told if one[0] in _INPUTS])
            except (TypeError, LookupError):
                inputs = frozenset[_Part]()
            self._inputs = inputs
        return inputs


def _inputs(components: Iterable[Component]) -> frozenset[_Part]:
    return frozenset(
        [
            (one.kind, one.name, one.text.partition("\n")[0] if is_declared(one) else one.digest)
            for one in components
            if one.kind in _INPUTS
        ]
    )


def explain(
    components: Sequence[Component],
    earlier: Sequence[Known],
    notes: tuple[str, ...] = (),
    tried: "Tried | None" = None,
    gave: Mapping[str, str] | None = None,
) -> Reason:
    """Return why a call with these components found no entry, given the earlier ones.

    `tried` is how the task's last run ended, if there was one: it may have left no entry. `gave`
    names by parameter the tasks whose results the arguments are.
    """
    nearest = _nearest(components, earlier)
    if nearest is None:
        code, text = _with_nothing(tried)
        return Reason("miss", code, f"ran: {text}", notes=notes)
    recorded_at = nearest.header.get("created")
    changes = compare(_components_of(nearest.header), components)
    changes = [_traced(one, gave) for one in changes] if gave else changes
    if not changes:
        sentence = "ran: its stored result is gone"
        return Reason("miss", "evicted", sentence, (), recorded_at, None, notes)
    changes.sort(key=lambda change: _rank(change.kind))
    said = "; ".join(change.summary for change in changes[:_MOST_NAMED])
    if len(changes) > _MOST_NAMED:
        said += f"; and {len(changes) - _MOST_NAMED} more"
    return Reason("miss", "changed", f"ran: {said}", tuple(changes), recorded_at, None, notes)


Told = tuple[
    Sequence[Component],
    Sequence[Known],
    tuple[str, ...],
    "Callable[[], Tried | None] | None",
    Mapping[str, str] | None,
]
"""What `explained` says it by: what `explain` takes, and what tells how the last run ended."""


def explained(told: Told) -> Reason:
    """Return what `explain` does, or less where that fails."""
    components, earlier, notes, tried, gave = told
    try:
        return explain(components, earlier, notes, tried() if tried else None, gave)
    except Exception:
        return explain(components, [], notes)


class Tried(NamedTuple):
    """How a run ended of which no entry is there; before this session: when, since the epoch."""

    state: StateType
    at: float | None = None


def _with_nothing(tried: Tried | None) -> tuple[str, str]:
    """Return code and sentence for a task of which no entry is there."""
    if tried is None or tried.state not in FINAL:
        return "first_run", "never run before"
    if tried.state is COMPLETED:
        return "nothing_kept", "no earlier result is kept"
    if tried.at is not None:
        return "nothing_kept", f"ran before, but {_ENDED[tried.state]} ({time_of(tried.at)})"
    return "nothing_kept", f"never completed before, its last run {_ENDED[tried.state]}"


_ENDED = {FAILED: "failed", CANCELLED: "was cancelled", CRASHED: "crashed"}


def _nearest(components: Sequence[Component], earlier: Sequence[Known]) -> Known | None:
    """Return the entry with the fewest components that differ; see the text of the module."""
    parts = frozenset([(one.kind, one.name, one.digest) for one in components])
    inputs = _inputs(components)
    same = [one for one in earlier if one.inputs == inputs]
    nearest, fewest = None, 1 << 30
    for group, least in ((same, 0), (earlier, 1)):  # none of the others can differ in less
        for one in group:
            count = _distance(parts, one.parts)
            if count < fewest:
                nearest, fewest = one, count
                if count <= least:
                    break
        if fewest <= 1:
            break
    return nearest


def _distance(parts: frozenset[_Part], others: frozenset[_Part]) -> int:
    """Return how many named components differ."""
    if parts == others:
        return 0
    return len({(kind, name) for kind, name, _ in parts ^ others})


def _components_of(header: Mapping[str, Any]) -> list[Component]:
    return [Component(*item) for item in header.get("components") or ()]


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def compare(before: Iterable[Component], after: Iterable[Component]) -> list[Change]:
    """Return what differs between the components of two keys."""
    old = {(one.kind, one.name): one for one in before}
    new = {(one.kind, one.name): one for one in after}
    changes: list[Change] = []
    for key in [*new, *(key for key in old if key not in new)]:
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None and was.digest == now.digest:
            continue
        one = now or was
        assert one is not None
        was_text = was.text if was else ""
        now_text = now.text if now else ""
        summary = _summary(one, was_text, now_text, was is None, now is None)
        changes.append(Change(one.kind, one.name, was_text, now_text, summary))
    return _without_echoes(changes)


def _without_echoes(changes: list[Change]) -> list[Change]:
    """Leave out that a name means nothing where it is told that what it meant came or went."""
    told = {change.name for change in changes if UNDEFINED not in (change.before, change.after)}
    return [
        change
        for change in changes
        if change.name not in told or UNDEFINED not in (change.before, change.after)
    ]


def _summary(one: Component, before: str, after: str, added: bool, removed: bool) -> str:
    label = one.label
    if after == UNDEFINED:
        return f"{label} is not defined any more"
    if added or (before == UNDEFINED and not removed):
        return f"{label} is new"
    if removed and before == UNDEFINED:
        return f"{label} is defined now"
    if removed:
        return f"{label} is no longer used"
    if one.kind in CODE_KINDS:
        return f"{label} changed{line_changed(before, after, is_code=True)}"
    declared = change_of(one.kind, label, before, after)
    if declared is not None:
        return declared
    if before == after or not before or not after:
        return f"{label} changed"
    return f"{label}: {_clip(before)} → {_clip(after)}"


def _traced(change: Change, gave: Mapping[str, str]) -> Change:
    """Return a change of an argument as one that the task made whose result the argument is."""
    task = gave.get(change.name) if change.kind == "argument" else None
    if task is None:
        return change
    values = change.summary.partition(": ")[2]
    summary = f"{task} gave another `{change.name}`{': ' if values else ''}{values}"
    return change._replace(summary=summary)


def _clip(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def reused(header: Mapping[str, Any], notes: tuple[str, ...] = (), computed_by: str = "") -> Reason:
    """Return why a call found its result; `computed_by` says who made it while the call waited.

    What it says is put together when somebody reads it.
    """
    if notes or computed_by:
        return Reason.later(_reused_with, (header, notes, computed_by))
    return Reason.later(_reused, header)


def _reused_with(told: tuple[Mapping[str, Any], tuple[str, ...], str]) -> Reason:
    return _reused(*told)


def _reused(
    header: Mapping[str, Any], notes: tuple[str, ...] = (), computed_by: str = ""
) -> Reason:
    created = header.get("created") or 0.0
    saved = header.get("seconds") or 0.0
    if computed_by:
        sentence = f"reused: computed at the same time by {computed_by}"
    else:
        when = _told(int(created) // 60, int(time.time()) // 60)
        bundle = header.get("bundle")
        source = f"bundle `{bundle[0]}`, recorded {when}" if bundle else when
        sentence = f"reused from {source}, saved {seconds_text(saved)}"
    notes += tuple(header.get("hints") or ())
    code = "reused"
    if "accepted" in header or "differs" in header:
        code, sentence, notes = _told_of(header, sentence, notes)
    return Reason("hit", code, sentence, (), created, saved, notes)


def _told_of(
    header: Mapping[str, Any], sentence: str, notes: tuple[str, ...]
) -> tuple[str, str, tuple[str, ...]]:
    """Return code, sentence and notes of a hit that needs a word on what it rests on."""
    code = "reused"
    if header.get("differs"):
        notes = ("not deterministic: two runs gave different results", *notes)
    accepted = header.get("accepted")
    if accepted:
        code = "accepted"
        sentence += f"; its source changed since, accepted because: {accepted['because']}"
        by = f" by {accepted['who']}" if accepted["who"] else ""
        notes = (f"accepted at {time_of(accepted['at'])}{by}", *notes)
    return code, sentence, notes


def time_of(moment: float) -> str:
    """Return a moment, in seconds since the epoch, as people say it."""
    return clock_time(datetime.fromtimestamp(moment).astimezone())


@lru_cache(maxsize=256)
def _told(minute: int, now: int) -> str:
    """Return a minute since the epoch as people say it; asked again with each minute of `now`."""
    del now
    return clock_time(datetime.fromtimestamp(minute * 60).astimezone())


def also(reason: Reason | None, code: str, text: str) -> Reason:
    """Return a miss with one more thing to say about it."""
    if reason is None:
        return Reason("miss", code, f"ran: {text}")
    return Reason(
        reason.outcome,
        code,
        f"{reason.sentence}; {text}",
        reason.changes,
        reason.recorded_at,
        reason.saved,
        reason.notes,
    )


def noting(reason: Reason | None, notes: Iterable[str]) -> Reason | None:
    """Return a reason with more notes."""
    return None if reason is None else replace(reason, notes=(*reason.notes, *notes))


def clock_time(moment: datetime) -> str:
    """Return a local time as people say it: `14:02` today, else with the date."""
    if time.time() - moment.astimezone(UTC).timestamp() < _DAY:
        return f"{moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M}"


def seconds_text(seconds: float) -> str:
    """Return a duration as people say it: `85 ms`, `12.3 s`, `3 m 10 s`, `2 h 5 m`, `3 d`."""
    if 0 < seconds < 0.0005:
        return "under 1 ms"  # "0 ms" reads as if nothing had been measured
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} m {seconds % 60:.0f} s"
    if seconds < _DAY:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} m"
    return f"{seconds // _DAY:.0f} d"
