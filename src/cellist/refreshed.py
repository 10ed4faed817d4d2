"""What a refreshed run tells of its task: whether it gave what it had given before.

The earlier result is loaded only here, when the new one is ready to be stored. Both are compared
as they come back from the store, by their digests. A fault here changes nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cellist.cache_notes import Note
from cellist.caching.digests import digest_value
from cellist.caching.envelope import Header
from cellist.caching.found import Missing
from cellist.caching.memory import Entry
from cellist.caching.reasons import also, time_of
from cellist.exceptions import HashError
from cellist.model.reasons import Reason
from cellist.persistence import CachePlan


def is_refreshed(plan: CachePlan, note: Note) -> bool:
    """Whether the run computes although a result may be stored under its key."""
    return plan.refresh or (note.found is not None and note.found.code == "refreshed")


def compared(why: Reason | None, note: Note, entry: Entry) -> Reason | None:
    """Return the reason with a word on how the new result, as sealed, compares with the stored one.

    What differs although nothing in the key allows for it is flagged in the entry, for good.
    """
    if why is None or note.is_compared:
        return why
    serializer = entry.header.get("serializer")
    try:
        why, differs = compare_with_stored(
            why, note, lambda value: value, lambda: entry.opened()[0], lambda old: old == serializer
        )
    except Exception:  # such as a stored value that cannot be restored: there is nothing to compare
        return why
    if differs:
        entry.header["differs"] = True
    return why


def compare_with_stored(
    why: Reason,
    note: Note,
    open_stored: Callable[[Any], Any],
    get_new: Callable[[], Any],
    is_comparable: Callable[[Any], bool] = lambda _: True,
) -> tuple[Reason, bool]:
    """Return the reason of a refreshed run, and whether its task is known not to be deterministic.

    `open_stored` makes of what is stored that which is compared with what `get_new` gives, and
    `is_comparable` says whether what this serializer stored can be. Raises what these raise.
    """
    stored = note.store.peek(note.key)
    if isinstance(stored, Missing):
        return why, False
    header = stored.header
    differs = bool(header.get("differs"))  # one more run that agrees takes nothing back
    if not is_comparable(header.get("serializer")):
        return why, differs
    value = open_stored(stored.value)
    del stored  # it may be large, and each step makes another
    try:
        before = digest_value(value)
        del value
        is_same = before == digest_value(get_new())
    except HashError:
        is_same = None
    why, is_new = _told(why, note, header, is_same)
    return why, differs or is_new


def _told(why: Reason, note: Note, stored: Header, is_same: bool | None) -> tuple[Reason, bool]:
    """Return the reason with what came of the comparison, and whether that tells of a fault."""
    when = time_of(stored.get("created", 0.0))
    if is_same is None:
        return _noted(why, f"its result cannot be compared with the one of {when}"), False
    if is_same:
        return _noted(why, f"gave the same result as at {when}"), False
    text = f"its result differs from the one of {when}"
    if not _is_pinned(note):
        return also(why, why.code, text), False
    text += " although inputs and source are the same: it is not deterministic"
    return also(why, "not_deterministic", text), True


def _noted(why: Reason, note: str) -> Reason:
    return replace(why, notes=(note, *why.notes))


def _is_pinned(note: Note) -> bool:
    """Whether the key holds the task's source and every argument of the call."""
    named = {one.name for one in note.components if one.kind == "argument"}
    return bool(note.call.closures) and named.issuperset(note.call.request.arguments)
