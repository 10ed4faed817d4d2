"""What both kinds of store do with files: names, identity, and writing them whole or not at all."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3

from cellist.caching.envelope import Bytes

_PLAIN = re.compile(r"x?[0-9a-f]{16,128}")


def file_name(key: str) -> str:
    """Return a key as a file name of any system: itself if it is a digest, else one of it.

    Keys a user chose may be as long as they like, or differ in case only.
    """
    if _PLAIN.fullmatch(key):
        return key
    return "x" + blake3(key.encode("utf-8", "surrogatepass")).hexdigest()


def identity_of(path: str) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; `None` if there is none."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - asked at every hit, and twice as fast as Path's
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


class Folders:
    """The folders of a store, none of which may lead elsewhere.

    A link in a directory that came from somebody else would have files outside it overwritten or
    removed. What was found to be a folder is not looked at again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: set[str] = set()

    def has(self, folder: str) -> bool:
        """Whether a relative path is a folder, and everything on the way to it."""
        if folder in self._known:
            return True
        path = self._root
        for part in folder.split("/"):
            path = path / part
            if path.is_symlink() or not path.is_dir():
                return False
        self._known.add(folder)
        return True

    def make(self, folder: str) -> Path:
        """Make a folder if it is missing. Raises `OSError` if something else is in its place."""
        path = self._root / folder
        if folder not in self._known or not path.is_dir():
            self._known.discard(folder)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.has(folder):
                message = f"{path} leads out of the store"
                raise NotADirectoryError(message)
        return path


def open_plain(path: Path) -> BinaryIO:
    """Open a file, but no link, for reading, unbuffered. Raises `OSError`."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags), "rb", buffering=0)


def write_new(path: Path, pieces: Iterable[Bytes], *, durable: bool) -> None:
    """Write a file that does not exist yet; `durable` waits until the disk has it.

    Raises `OSError`, leaving nothing behind.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
            for piece in pieces:
                _write_all(file, piece)
            if durable:
                os.fsync(file.fileno())
    except BaseException:  # an interrupt, too, must not leave half a file behind
        with suppress(OSError):
            path.unlink()
        raise


def _write_all(file: Any, piece: Bytes) -> None:
    """Write all bytes; one call to the system may take fewer, and at most 2 GiB."""
    view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
    while view.nbytes:
        view = view[file.write(view) :]


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names in a directory, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Wait until the disk has what was written to a file. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Marker:
    """A file by whose time processes tell each other that something has happened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._time()

    def set(self) -> None:
        """Tell the others."""
        with suppress(OSError):
            self._path.write_bytes(b"")
        self._seen = self._time()

    def has_changed(self) -> bool:
        """Whether somebody else has told since the last look."""
        seen, self._seen = self._seen, self._time()
        return seen != self._seen

    def _time(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
