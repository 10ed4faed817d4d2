"""What a refreshed run tells of its task: whether it gave what it had given before.

The earlier result is loaded only here, when the new one is ready to be stored. Both are compared
as they come back from the store, by their digests.
"""

from dataclasses import replace

from cellist.cache_notes import Note
from cellist.caching.digests import digest_value
from cellist.caching.memory import Entry
from cellist.caching.reasons import also, time_of
from cellist.exceptions import HashError
from cellist.model.reasons import Reason
from cellist.persistence import CachePlan


def is_refreshed(plan: CachePlan, note: Note) -> bool:
    """Whether the run computes although a result may be stored under its key."""
    return plan.refresh or (note.found is not None and note.found.code == "refreshed")


def compared(why: Reason | None, plan: CachePlan, note: Note, entry: Entry) -> Reason | None:
    """Return the reason with a word on how the new result, as sealed, compares with the stored one.

    What differs although nothing in the key allows for it is flagged in the entry, for good. A
    fault here changes nothing.
    """
    if why is None or not plan.policy.gives_values:
        return why
    try:
        return _compared(why, note, entry)
    except Exception:  # such as a stored value that cannot be restored: there is nothing to compare
        return why


def _compared(why: Reason, note: Note, entry: Entry) -> Reason:
    stored = note.store.peek(note.key)
    if stored is None:
        return why
    header = stored.header
    if header.get("differs"):
        entry.header["differs"] = True  # one more run that agrees takes nothing back
    if header.get("serializer") != entry.header.get("serializer"):
        return why  # what comes back differs by how it was written
    when = time_of(header.get("created", 0.0))
    try:
        before = digest_value(stored.value)
        del stored  # it may be large, and the next line makes another
        is_same = before == digest_value(entry.fresh())
    except HashError:
        return _noted(why, f"its result cannot be compared with the one of {when}")
    if is_same:
        return _noted(why, f"gave the same result as at {when}")
    text = f"its result differs from the one of {when}"
    if not _is_pinned(note):
        return also(why, why.code, text)
    entry.header["differs"] = True
    text += " although inputs and source are the same: it is not deterministic"
    return also(why, "not_deterministic", text)


def _noted(why: Reason, note: str) -> Reason:
    return replace(why, notes=(note, *why.notes))


def _is_pinned(note: Note) -> bool:
    """Whether the key holds the task's source and every argument of the call."""
    named = {one.name for one in note.components if one.kind == "argument"}
    return bool(note.request.closures) and named.issuperset(note.request.arguments)
