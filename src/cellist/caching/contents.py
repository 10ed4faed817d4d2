"""Digests of what files and folders hold, each file read again only if it may have changed.

A file is known by device, inode, size and the times of its last changes. One that was written less
than two seconds ago is read each time: clocks of file systems are coarse, so it may be written
again without a sign. Names and places do not count here, and files of any size are read in pieces.
"""

import contextlib
import os
import stat
import time
from pathlib import Path

from blake3 import blake3

_SETTLED = 2.0
"""Seconds after the last write from which on an unchanged time means unchanged content."""
_PIECE = 1 << 20
_MOST = 4096

_Mark = tuple[int, int, int, int, int]
_known: dict[_Mark, str] = {}


def file_digest(path: "str | os.PathLike[str]") -> str:
    """Return the digest of a file's content as 64 hex digits.

    Raises `OSError` if it cannot be read; `IsADirectoryError` for a folder, and plain `OSError`
    for a pipe or device, which are not opened.
    """
    mark, changed = _mark(path)
    known = _known.get(mark)
    if known is not None:
        return known
    is_settled = time.time() - changed >= _SETTLED
    digest = _read(path)
    if is_settled and _mark(path)[0] == mark:  # nobody wrote to it meanwhile
        if len(_known) >= _MOST:
            _known.clear()
        _known[mark] = digest
    return digest


def _mark(path: "str | os.PathLike[str]") -> tuple[_Mark, float]:
    """Return what tells a file from its former self, and when it was last written."""
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(21, "Is a directory", str(path))
    if not stat.S_ISREG(found.st_mode):
        message = f"{str(path)!r} is no regular file"
        raise OSError(message)
    changed = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return (found.st_dev, found.st_ino, *changed), found.st_mtime


def _read(path: "str | os.PathLike[str]") -> str:
    digest = blake3()
    piece = memoryview(bytearray(_PIECE))
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def folder_digests(path: "str | os.PathLike[str]", pattern: str) -> dict[str, str]:
    """Return the digest of each file below a folder that fits a pattern, by its name from there.

    Names have `/` on every system and come sorted. Raises `OSError` for a file that cannot be read,
    and `NotADirectoryError` unless the path is a folder.
    """
    root = Path(path)
    if not stat.S_ISDIR(root.stat().st_mode):
        raise NotADirectoryError(20, "Not a directory", str(path))
    files = {one.relative_to(root).as_posix(): one for one in root.glob(pattern) if one.is_file()}
    found: dict[str, str] = {}
    for name in sorted(files):
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
            found[name] = file_digest(files[name])
    return found
