"""Where a user wants results to lie."""

from pathlib import Path
from typing import Any, NamedTuple

from cellist.model.later import later

diskcache: Any = later("diskcache", globals())


class Place(NamedTuple):
    """Where results lie: a directory, which may be that of a diskcache of the user's own."""

    directory: Path
    guest: bool = False


def place_of(given: Any, option: str) -> Place:
    """Return the place a user gave as a directory or a `diskcache.Cache`. Raises `TypeError`."""
    if isinstance(given, str | Path):
        return Place(Path(given).expanduser().absolute())
    if isinstance(given, diskcache.Cache):
        cache: Any = given
        if type(cache.disk) is diskcache.Disk:
            return Place(Path(cache.directory).absolute(), guest=True)
        message = (
            f"`{option}` is a diskcache with a disk of its own, {type(cache.disk).__name__}, which "
            "would misread the entries; give a directory instead."
        )
        raise TypeError(message)
    message = f"`{option}` must be a directory or a diskcache.Cache, got {given!r:.60}."
    raise TypeError(message)
