"""Reading an entry: nothing of it is used before all of it has been proven."""

import errno
import time
from typing import Any, NamedTuple

from cellist.caching.disk import REFUSED, Stored
from cellist.caching.envelope import BadEntry, Bytes, Sealed, file_parts, inline_parts, open_head
from cellist.caching.faults import short
from cellist.caching.filestore import Replaced
from cellist.caching.listing import Place
from cellist.caching.signing import Signer


class Loaded(NamedTuple):
    """An entry read from disk and proven whole; `parts` is None if it has expired."""

    sealed: Sealed
    parts: list[Bytes] | None
    private: bool


def open_entry(place: Place, key: str, stored: Any, signer: Signer) -> Loaded:
    """Return what was stored under a key.

    Raises `BadEntry` if it cannot be used, `FileNotFoundError` if its file is not there (any more).
    """
    if stored is REFUSED or not isinstance(stored, Stored):
        raise BadEntry("foreign", "cellist did not write it")
    sealed = open_head(stored.blob, key, signer)
    if sealed.expires is not None and sealed.expires <= time.time():
        return Loaded(sealed, None, private=False)
    if stored.filename is None:
        return Loaded(sealed, inline_parts(stored.blob, sealed), private=False)
    try:
        with place.open(stored) as file:
            return Loaded(sealed, file_parts(file, sealed), private=True)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise Replaced(stored.filename) from error
        message = f"its file cannot be read ({short(error)})"
        raise BadEntry("unreadable", message) from error
