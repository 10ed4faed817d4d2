"""Plain data taken as it is at one moment, quickly: for memory only, never for the disk.

To put a value into the form it is stored in takes several times as long as to copy it. So what is
small and made of nothing but Python's own containers, numbers and texts is copied on the caller's
path, and put into that form in the background.
"""

import pickle
from io import BytesIO
from typing import Any, NoReturn

from cellist.caching.formats import atom_size

SMALL = 64 * 2**10
"""Bytes of the largest snapshot."""
_MOST_ITEMS = 1000
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


class _NotPlain(Exception):
    """The value is of something else as well."""


class _Plain(pickle.Pickler):
    """Refuses all but exact instances of what pickle knows by heart."""

    def reducer_override(self, obj: object) -> NoReturn:  # noqa: ARG002 - pickle's signature
        """Refuse: it is called for all that pickle does not know, subclasses and classes too."""
        raise _NotPlain


def snapshot(value: Any) -> bytes | None:
    """Return plain data as bytes that nobody else can change, `None` for any other value."""
    if type(value) not in _CONTAINERS or len(value) > _MOST_ITEMS:
        return None
    file = BytesIO()
    try:
        _Plain(file, 5).dump(value)
    except (_NotPlain, RecursionError):
        return None
    taken = file.getvalue()
    return taken if len(taken) <= SMALL else None


def take(value: Any) -> tuple[int | None, bytes | None]:
    """Return about how many bytes a value takes and, if it could change, its snapshot.

    `None` and `None` for what must be encoded at once.
    """
    size = atom_size(value)
    taken = snapshot(value) if size is None else None
    return (size if taken is None else len(taken)), taken


loads = pickle.loads
"""Returns a snapshot's value, which nobody else has: made by this process, of plain data."""
