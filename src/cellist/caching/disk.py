"""What diskcache may do to the disk: bytes only, checked file names, whole files or none.

diskcache pickles keys and values it has no column for, and unpickles whatever a row says is a
pickle (CVE-2025-69872); it also opens and deletes any file a row names. `BytesDisk` takes both
away: keys are text, values are `Stored` envelopes, and a file name that this module could not have
made, or that a link leads out of the directory, is never opened and never removed. Files appear
under their name only when complete.
"""

import re
import secrets
import sqlite3
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import diskcache  # pyright: ignore[reportMissingTypeStubs] - it ships no types

from cellist.caching.envelope import Bytes
from cellist.caching.files import Folders, open_plain, sync_directory, write_new

_MODE_RAW, _MODE_BINARY = 1, 2  # of diskcache: a value in the row, and one in a file of its own
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_TEMPORARY = re.compile(r"[0-9a-f]{28}\.val\.tmp")


class Stored(NamedTuple):
    """A row of the index: a whole envelope, or the head of one whose file has all of it."""

    blob: bytes
    filename: str | None
    size: int


class _Refused:
    """What a row becomes that cellist did not write; nothing of it is decoded."""


REFUSED = _Refused()


def is_own_name(filename: object) -> bool:
    """Whether the relative name is one that `BytesDisk` gives to files."""
    return isinstance(filename, str) and _NAME.fullmatch(filename) is not None


def is_temporary_name(name: str) -> bool:
    """Whether the name, without its folder, is that of a file that is not complete."""
    return _TEMPORARY.fullmatch(name) is not None


class BytesDisk(diskcache.Disk):
    """Keeps envelopes for diskcache; pickles nothing and trusts no file name."""

    def __init__(self, directory: str, **_settings: Any) -> None:
        super().__init__(directory)
        self._root = Path(directory)
        self._folders = Folders(self._root)
        self._deferred: list[str] | None = None

    def put(self, key: object) -> tuple[str, bool]:  # pyright: ignore[reportIncompatibleMethodOverride] - narrower on purpose
        """Return the key as it stands in the index. Raises `TypeError` unless it is text."""
        if type(key) is not str:
            message = f"keys of the result store are text, not {type(key).__name__}"
            raise TypeError(message)
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Return the key of a row. Raises `ValueError` for a row cellist did not write."""
        if type(key) is not str or not raw:
            raise ValueError("the index holds a key that cellist did not write")
        return key

    def store(self, value: object, read: object, key: object = None) -> tuple[Any, ...]:  # noqa: ARG002 - the signature is diskcache's
        """Return the columns size, mode, filename and value. Raises `TypeError`."""
        if type(value) is not Stored:
            raise TypeError("the result store keeps envelopes only")
        mode = _MODE_RAW if value.filename is None else _MODE_BINARY
        return value.size, mode, value.filename, sqlite3.Binary(value.blob)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> Any:  # noqa: ARG002 - the signature is diskcache's
        """Return the row as `Stored`, or `REFUSED` if cellist cannot have written it."""
        if type(value) is not bytes:
            return REFUSED
        if mode == _MODE_RAW and filename is None:
            return Stored(value, None, len(value))
        if mode != _MODE_BINARY or not is_own_name(filename):
            return REFUSED
        return Stored(value, str(filename), 0)

    def remove(self, file_path: object) -> None:
        """Remove a file of the store; any other name is left alone."""
        if not isinstance(file_path, str) or not is_own_name(file_path):
            return
        if self._deferred is not None:
            self._deferred.append(file_path)
            return
        if self._folders.has(file_path[:5]):
            with suppress(OSError):
                (self._root / file_path).unlink()

    @contextmanager
    def removing_afterwards(self) -> Generator[None]:
        """Put off removals until the block ends well; if it raises, nothing is removed.

        Inside a transaction diskcache removes the files of replaced rows before it commits, so a
        reader would find a row without its file, and a rollback would lose the old value.
        """
        self._deferred = []
        try:
            yield
        except BaseException:
            self._deferred = None
            raise
        names, self._deferred = self._deferred, None
        for name in names:
            self.remove(name)

    def open(self, filename: str) -> BinaryIO:
        """Open a file of the store for reading, unbuffered. Raises `OSError`."""
        if not is_own_name(filename):
            raise FileNotFoundError(filename)
        if not self._folders.has(filename[:5]):
            raise FileNotFoundError(filename)
        return open_plain(self._root / filename)

    def leads_astray(self, filename: str) -> bool:
        """Whether a link on the way to a file leads out of the store."""
        return not self._folders.has(filename[:5])

    def write(self, pieces: Iterable[Bytes], *, durable: bool) -> str:
        """Write a file that is there completely or not at all, and return its relative name.

        `durable` waits until the disk has it. Raises `OSError`, leaving nothing behind.
        """
        name = secrets.token_hex(16)
        filename = f"{name[:2]}/{name[2:4]}/{name[4:]}.val"
        folder = self._folders.make(filename[:5])
        path = folder / filename[6:]
        temporary = path.with_name(path.name + ".tmp")
        write_new(temporary, pieces, durable=durable)
        try:
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            sync_directory(folder)
        return filename
