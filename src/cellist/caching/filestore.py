"""Results as files, one for each, for file systems that SQLite is not to be trusted with.

An entry is `kk/<key>.cle`, the same envelope as in the index, written under another name and then
renamed, so that it is there completely or not at all. The time of the file's last change is when
it was last used; when it was stored is in the envelope. Nothing is locked: whoever renames last
has the say, and any result under a key is as good as another.
"""

import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import BinaryIO, NamedTuple

from cellist.caching.disk import Stored
from cellist.caching.envelope import BadEntry, Bytes, Header, read_head, record_length
from cellist.caching.files import (
    Folders,
    file_name,
    identity_of,
    open_plain,
    sync_directory,
    write_new,
)
from cellist.caching.index import INLINE
from cellist.caching.listing import Listed, Row, Tag
from cellist.model.locations import ensure

_ENTRY = re.compile(r"x?[0-9a-f]{16,128}\.cle")
_TEMPORARY = re.compile(r"x?[0-9a-f]{16,128}\.[0-9a-f]{16}\.tmp")
_ORPHAN_SECONDS = 3600.0
_SEARCHED = 1000
"""How many of the files used last are searched for a task's: not all, which may be very many."""


class Replaced(FileNotFoundError):
    """Another process replaced the entry while it was read; reading it again helps."""


class _File(NamedTuple):
    """What a folder says of a file."""

    path: Path
    inode: int
    size: int
    used: float


Describe = Callable[[bytes, int | None], tuple[str, Header, Tag]]
"""Checks a head, and the size of its file if given, and returns what it says of key, result and
lists. Raises `BadEntry`."""


class Files:
    """The entries of one directory. May be used from several threads."""

    rebuilt = False

    def __init__(self, directory: Path, describe: Describe, *, is_read_only: bool) -> None:
        self.directory = directory if is_read_only else ensure(directory)
        self.is_read_only = is_read_only
        self.lock = RLock()
        self._describe = describe
        self._folders = Folders(directory)
        self._name = str(directory)
        self._identity = identity_of(self._name)
        self._known: dict[str, tuple[int, Listed]] = {}

    @property
    def is_current(self) -> bool:
        """Whether the directory is still the one that was opened, and as writable."""
        if self._identity is None or identity_of(self._name) != self._identity:
            return False
        return not self.is_read_only or not os.access(self._name, os.W_OK | os.X_OK)

    def read(self, key: str) -> Stored | None:
        """Return a small entry whole, the head of a large one, or None if there is none."""
        filename = _filename(key)
        try:
            with self._open(filename) as file:
                size = os.fstat(file.fileno()).st_size
                blob = file.read(INLINE if size <= INLINE else 4096)
                if size <= INLINE:
                    return Stored(blob, None, size)
                with suppress(BadEntry):  # said where the entry is checked
                    if record_length(blob) > len(blob) - 128:
                        file.seek(0)
                        blob = read_head(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stored(blob, filename, size)

    def read_ahead(self, key: str) -> Stored | None:
        """Return the same: nothing is read ahead here."""
        return self.read(key)

    def open(self, stored: Stored) -> BinaryIO:
        """Open the file of an entry. Raises `Replaced` if it is another one by now."""
        file = self._open(stored.filename or "")
        is_same = False
        try:
            is_same = file.read(len(stored.blob)) == stored.blob
        finally:
            if not is_same:
                file.close()
        if not is_same:
            raise Replaced(stored.filename)
        return file

    def _open(self, filename: str) -> BinaryIO:
        if not self._folders.has(filename[:2]):
            raise FileNotFoundError(filename)
        try:
            return open_plain(self.directory / filename)
        except OSError as error:
            if error.errno == errno.ESTALE:  # it was replaced on another machine
                raise Replaced(filename) from error
            raise

    def store(
        self, key: str, head: bytes, payload: Sequence[Bytes], size: int, *, durable: bool
    ) -> Stored:
        """Write an entry under a name of its own, to be renamed by `write`."""
        if self.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), self._name)
        name = file_name(key)
        folder = self._folders.make(name[:2])
        temporary = f"{name}.{secrets.token_hex(8)}.tmp"
        write_new(folder / temporary, (head, *payload), durable=durable)
        return Stored(head, f"{name[:2]}/{temporary}", size)

    def discard(self, stored: Stored) -> None:
        """Remove what `store` wrote."""
        with suppress(OSError):
            (self.directory / (stored.filename or "")).unlink()

    def write(self, rows: Iterable[Row], *, durable: bool = False) -> None:
        """Give entries their names; `durable` waits until the disk has them."""
        for row in rows:
            path = self.directory / _filename(row.key)
            (self.directory / (row.stored.filename or "")).replace(path)
            if durable:
                sync_directory(path.parent)

    def delete(self, entries: Iterable[Listed]) -> int:
        """Delete entries, unless they were replaced since, and return how many there were."""
        count = 0
        for entry in entries:
            filename = entry.filename or ""
            if self._listed(self._facts(self.directory / filename)) != entry:
                continue  # another process used or replaced it
            with suppress(FileNotFoundError):
                (self.directory / filename).unlink()
                count += 1
        return count

    def settle(self) -> None:
        """Do nothing: what is deleted is gone at once."""

    def take_out(self, key: str, target: Path) -> None:
        """Remove an entry, whatever it is, leaving its bytes in a file outside the store."""
        filename = _filename(key)
        if self._folders.has(filename[:2]):
            with suppress(FileNotFoundError):
                (self.directory / filename).rename(target)

    def count_uses(self, uses: dict[str, tuple[int, float]]) -> None:
        """Record when entries were last used; how often is not kept."""
        for key, (_, at) in uses.items():
            filename = _filename(key)
            path = self.directory / filename
            if self._folders.has(filename[:2]) and not path.is_symlink():
                with suppress(OSError):
                    os.utime(path, (at, at))

    def entries(self) -> list[Listed]:
        """Return all entries, least recently used first."""
        files = sorted(self._files(), key=lambda file: file.used)
        listed = [entry for file in files if (entry := self._listed(file)) is not None]
        names = {entry.filename for entry in listed}
        for name in self._known.keys() - names:
            self._known.pop(name, None)
        return listed

    def newest(self, task_key: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Return keys and heads of a task's entries stored last, newest first.

        Only the files used last are searched.
        """
        files = sorted(self._files(), key=lambda file: -file.used)[:_SEARCHED]
        found: list[Listed] = []
        for file in files:
            entry = self._listed(file)
            if entry is not None and entry.tag.task_key == task_key:
                found.append(entry)
        found.sort(key=lambda entry: -entry.created)
        heads: list[tuple[str, bytes]] = []
        for entry in found[:count]:
            with suppress(OSError, BadEntry), self._open(entry.filename or "") as file:
                heads.append((entry.key, read_head(file)))
        return heads

    def bytes_used(self) -> int:
        """Return the bytes all entries take."""
        return sum(file.size for file in self._files())

    def sweep(self, adopt: object) -> None:  # noqa: ARG002 - what is there is listed
        """Remove what processes left behind that were killed as they wrote."""
        before = time.time() - _ORPHAN_SECONDS
        for file in self._files(_TEMPORARY):
            if file.used < before:
                with suppress(OSError):
                    file.path.unlink()

    def close(self) -> None:
        """Do nothing: nothing stays open."""

    def release(self) -> None:
        """Do nothing: threads share what there is."""

    def _files(self, names: re.Pattern[str] = _ENTRY) -> Iterator[_File]:
        for folder in self.directory.glob("[0-9a-fx][0-9a-f]"):
            if not self._folders.has(folder.name):
                continue
            for found in os.scandir(folder):
                if names.fullmatch(found.name) and found.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        facts = found.stat(follow_symlinks=False)
                        path = Path(found.path)
                        yield _File(path, facts.st_ino, facts.st_size, facts.st_mtime)

    def _facts(self, path: Path) -> _File | None:
        try:
            facts = path.lstat()
        except OSError:
            return None
        return _File(path, facts.st_ino, facts.st_size, facts.st_mtime)

    def _listed(self, file: _File | None) -> Listed | None:
        """Return what is known of an entry, reading its head the first time."""
        if file is None:
            return None
        filename = f"{file.path.parent.name}/{file.path.name}"
        inode, listed = self._known.get(filename, (None, None))
        if listed is None or (inode, listed.size) != (file.inode, file.size):
            listed = self._read_listed(file, filename)
            if listed is None:
                return None
            self._known[filename] = file.inode, listed
        return listed._replace(used=file.used)

    def _read_listed(self, file: _File, filename: str) -> Listed | None:
        """Return what an entry says of itself; of one that is not ours, nothing but its name."""
        try:
            with self._open(filename) as opened:
                key, header, tag = self._describe(read_head(opened), None)
        except OSError:
            return None
        except BadEntry:
            tag = Tag("", "", 0.0, None, "")
            return Listed(file.path.stem, tag, file.used, file.used, None, file.size, filename)
        created = float(header.get("created") or file.used)
        return Listed(key, tag, created, file.used, None, file.size, filename)


def _filename(key: str) -> str:
    name = file_name(key)
    return f"{name[:2]}/{name}.cle"
