"""Which fault of the disk an exception stands for, and what the user is told of faults."""

import errno
import sqlite3
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def is_full(error: Exception) -> bool:
    """Whether the disk, or the user's part of it, is full."""
    return (isinstance(error, OSError) and error.errno in _FULL) or "is full" in str(error)


def is_read_only(error: Exception) -> bool:
    """Whether something may not be written."""
    return (isinstance(error, OSError) and error.errno in _READ_ONLY) or "readonly" in str(error)


def is_damage(error: Exception) -> bool:
    """Whether a database is not what was written: cut short, emptied or overwritten."""
    if not isinstance(error, sqlite3.OperationalError):
        return isinstance(error, sqlite3.DatabaseError)
    code = getattr(error, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_IOERR_SHORT_READ or "no such table" in str(error)


def short(error: Exception) -> str:
    """Return the fault in a few words."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def moved(directory: Path) -> str:
    """Return what to say when the directory is not the one that was opened."""
    return f"The results in {directory} were removed or replaced; starting anew."


def damaged(directory: Path, *, guest: bool = False) -> str:
    """Return what to say when the index had to be made anew: small results lay in it.

    That of a `guest` in a user's own diskcache is left as it is.
    """
    if guest:
        return (
            f"The diskcache in {directory} is damaged. It is yours, so it was left as it is, and "
            "results are kept in memory only until you have mended or deleted it."
        )
    return (
        f"The index of results in {directory} was damaged; it was put aside, "
        "and what is missing will be computed again."
    )


def unavailable(trouble: str) -> str:
    """Return what to say when nothing can be read or written."""
    return f"Results are kept in memory only: {trouble}. Set CELLIST_HOME to a writable directory."


def read_only(trouble: str) -> str:
    """Return what to say when results can be read, but not written."""
    return f"New results are kept in memory only: {trouble}. What is there is used all the same."
