"""What looking up a result gives: the value and what is known of it, or why there is none."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from cellist.caching.envelope import Bytes, Header
from cellist.exceptions import SerializationError


@dataclass(slots=True, eq=False, repr=False)  # not frozen: that triples the cost of making one
class Found:
    """A hit: a value no other caller holds, what is known of it, and `memory` or `disk`."""

    value: Any
    header: Header
    source: str
    preview: str | None = None
    """What the value looks like, if that is known."""
    shown: Bytes | None = None
    """What its run showed (see `shown`)."""


class Missing(NamedTuple):
    """A miss. `code` is absent, expired, unreadable or foreign; expired ones keep their header."""

    code: str
    message: str
    header: Header | None = None


ABSENT = Missing("absent", "no result is stored under this key")


class Told(str):
    """Why a result is not kept, in one sentence, where the store has warned of it already."""

    __slots__ = ()


def undecodable(error: Exception) -> str:
    """Return why bytes that are whole do not become a value."""
    if isinstance(error, AttributeError | ImportError):
        return f"it refers to something this session does not define ({error})"
    if isinstance(error, SerializationError):
        return str(error)
    return f"it cannot be restored ({type(error).__name__}: {error})"
