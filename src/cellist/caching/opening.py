"""How a directory of results is opened: what kind of place it is, and whether it can be written."""

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from cellist.caching.filestore import Describe, Files
from cellist.caching.frozen import FrozenIndex, is_read_only
from cellist.caching.index import open_index
from cellist.caching.listing import Place
from cellist.caching.mounts import AUTO, keeps_files, network_of
from cellist.model.locations import DIRECTORY, ensure


class Opened(NamedTuple):
    """A place, whether it had to be made anew for a damaged one, and what the user should know."""

    place: Place
    is_replaced: bool = False
    notice: str = ""


def open_place(directory: Path, kind: str, describe: Describe, *, guest: bool) -> Opened:
    """Open a directory for writing or, if that cannot be, for reading.

    Raises `OSError` or `sqlite3.Error` if neither works.
    """
    if guest:
        return Opened(*open_index(directory, guest=True))
    if not is_read_only(directory):
        try:
            return _open_writable(directory, kind, describe)
        except (OSError, sqlite3.Error):
            if not directory.is_dir():
                raise
            try:
                return _open_readable(directory, kind, describe)
            except (OSError, sqlite3.Error):
                pass
            raise
    return _open_readable(directory, kind, describe)


def _open_writable(directory: Path, kind: str, describe: Describe) -> Opened:
    if directory.parent.name == DIRECTORY:
        ensure(directory.parent)
    if not keeps_files(directory, kind):
        return Opened(*open_index(directory))
    network = network_of(directory) if kind == AUTO else ""
    notice = network and (
        f"{directory} lies on a network file system ({network}), where an index is not safe: each "
        "result is a file of its own. CELLIST_STORE=files or index decides, too."
    )
    return Opened(Files(directory, describe, is_read_only=False), notice=notice)


def _open_readable(directory: Path, kind: str, describe: Describe) -> Opened:
    if keeps_files(directory, kind) or not (directory / "cache.db").exists():
        if not os.access(directory, os.R_OK | os.X_OK):
            raise PermissionError(f"{directory} cannot be read")
        return Opened(Files(directory, describe, is_read_only=True))
    return Opened(FrozenIndex(directory))
