"""The files that a cell reads and writes while it runs, also those whose names are computed.

Python's audit hook tells of files that are opened, of folders that are listed, and of what is made,
renamed and removed. What a cell has read must be the same on a hit, and what it has written must
still be there; both are looked up then. What running the cell again would do once more, such as
appending to a file, keeps it from being stored.

Only Python code is heard: what C code or another process opens is not. Files of libraries, code,
settings and the system do not count. An audit hook cannot be taken away again; it is set with the
first task cell, and does nothing unless one is running.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from cellist.caching.contents import file_digest
from cellist.model.locations import secret_directory
from cellist.notebook.definitions import Unkept
from cellist.sentinel import is_data

MOST = 10_000
"""Files that are looked at for one cell."""
_WRITING = os.O_WRONLY | os.O_RDWR
_FOLDER = "folder"
_LEFT_BY_TOOLS = frozenset({".cellist", ".ipynb_checkpoints", "__pycache__", ".git"})
_watching: list["FileWatch"] = []
_is_set = False


class FileWatch:
    """What one cell has done with files so far. Threads of the cell count, whoever runs them."""

    def __init__(self) -> None:
        self.own: tuple[str, ...] = ()
        """Where files of cellist's own lie, which other threads write meanwhile."""
        self._forget()

    def _forget(self) -> None:
        self._read: dict[str, Any] = {}
        """Files it reads, with what tells whether they are changed meanwhile."""
        self._listed: dict[str, str] = {}
        self._written: set[str] = set()
        """Files it writes from the beginning: doing that again gives the same."""
        self._made: set[str] = set()
        """Files and folders that doing it again would not make, or would make longer."""
        self._kept: set[str] = set()
        """Folders it would make if they were not there."""
        self._changed: dict[str, None] = {}

    def start(self) -> None:
        """Begin to watch, and forget what was seen before."""
        global _is_set  # noqa: PLW0603 - a process has one list of audit hooks
        self._forget()
        if not _is_set:
            _is_set = True
            sys.addaudithook(_hear)
        _watching.append(self)

    def stop(self) -> None:
        """End the watch."""
        with suppress(ValueError):
            _watching.remove(self)

    # -- what is heard; the thing itself happens afterwards --

    def opened(self, path: str, mode: str | None, flags: int) -> None:
        """Take note of a file that is about to be opened."""
        if not flags & _WRITING:
            if path not in self._written | self._made:
                self._read.setdefault(path, _mark(path))
            return
        is_new = not os.path.exists(path)  # noqa: PTH110 - runs at every open
        if not flags & os.O_TRUNC or flags & os.O_EXCL or (mode and "+" in mode and "r" in mode):
            if is_new:
                self._made.add(path)
            elif path not in self._written | self._made:
                self._changed[path] = None
        elif path in self._read:
            self._changed[path] = None
        else:
            self._written.add(path)

    def connected(self, path: str) -> None:
        """Take note of a database, which is read and may be changed."""
        if os.path.exists(path):  # noqa: PTH110 - names as the code gave them
            self._read.setdefault(path, _mark(path))
        else:
            self._made.add(path)

    def listed(self, path: str) -> None:
        """Take note of a folder that is about to be listed."""
        if path not in self._made:
            self._listed.setdefault(path, _listing(path))

    def made(self, path: str) -> None:
        """Take note of a folder that is about to be made."""
        (self._kept if os.path.isdir(path) else self._made).add(path)  # noqa: PTH112 - names as the code gave them

    def removed(self, path: str) -> None:
        """Take note of a file or folder that is about to be removed."""
        if path in self._written | self._made:
            self._written.discard(path)
            self._made.discard(path)
        elif os.path.lexists(path):
            self._changed[path] = None

    def renamed(self, old: str, new: str) -> None:
        """Take note of a file or folder that is about to get another name."""
        is_own = old in self._written | self._made
        self.removed(old)
        if new in self._read or not is_own:
            self._changed[new] = None
        else:
            self._written.add(new)

    # -- the result --

    def changes(self) -> list[str]:
        """Return in words what the cell did that a hit does not."""
        found = dict.fromkeys(sorted(path for path in self._made if os.path.lexists(path)))
        found.update(self._changed)
        found.update((p, None) for p, mark in self._read.items() if mark != _mark(p))
        made = [os.path.dirname(path) for path in found]  # noqa: PTH120 - names as the code gave them
        listed = [p for p, was in self._listed.items() if was != _listing(p) and p not in made]
        return [
            f"the {_FOLDER if os.path.isdir(path) else 'file'} `{_shown(path)}`"  # noqa: PTH112 - names as the code gave them
            for path in [*found, *listed]
        ]

    def states(self, known: Iterable[str]) -> dict[str, str]:
        """Return what files and folders are to be like on a hit, by their names.

        `known` are files whose content is part of the key anyway. Raises `Unkept` for too many.
        """
        in_key = {_absolute(path) for path in known}
        paths = {*self._read, *self._listed, *self._written, *self._kept} - in_key
        paths = {path for path in paths if not _is_gone(path, self._written)}
        if len(paths) > MOST:
            message = f"it uses more than {MOST:,} files"
            raise Unkept(message)
        listed = self._listed.keys()
        return {_shown(path): _state(path, path in listed) for path in sorted(paths)}


def own_places(results: Path) -> tuple[str, ...]:
    """Return where files of cellist's own lie, if its results lie there."""
    places = [results.parent]
    with suppress(RuntimeError):  # no home directory
        places.append(secret_directory())
    return tuple(f"{place}{os.sep}" for place in places)


def now_of(states: Mapping[str, str]) -> dict[str, str]:
    """Return what the files and folders of `FileWatch.states` are like now."""
    return {name: _state(name, state.startswith("names ")) for name, state in states.items()}


def _is_gone(path: str, written: set[str]) -> bool:
    return path in written and not os.path.exists(path)  # noqa: PTH110 - names as the code gave them


def _state(path: str, is_listed: bool) -> str:
    if is_listed:
        return _listing(path)
    try:
        return file_digest(path)
    except IsADirectoryError:
        return _FOLDER
    except OSError:
        return "missing"


def _listing(path: str) -> str:
    """Return what tells which names a folder holds, but for those that tools leave there."""
    try:
        with _unheard():
            names = sorted(os.listdir(path))  # noqa: PTH208 - names as the code gave them
    except OSError:
        return "names missing"
    shown = [name for name in names if name not in _LEFT_BY_TOOLS]
    return f"names {sha256(os.fsencode('/'.join(shown))).hexdigest()[:16]}"


def _mark(path: str) -> Any:
    try:
        found = os.stat(path)  # noqa: PTH116 - names as the code gave them
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _absolute(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - names as the code gave them


def _shown(path: str) -> str:
    """Return a path as it is stored: from here if it is below, so that projects can be moved."""
    return path.removeprefix(os.getcwd() + os.sep)  # noqa: PTH109 - names as the code gave them


# -- hearing --


class _Unheard:
    """What is done within is not heard."""

    depth = 0

    def __enter__(self) -> None:
        _Unheard.depth += 1

    def __exit__(self, *exception: object) -> None:
        _Unheard.depth -= 1


_unheard = _Unheard


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _watching or event not in _HEARD or _Unheard.depth:
        return
    try:
        _HEARD[event](args)
    except Exception:  # noqa: S110 - an exception here would fail what the user does
        pass


def _paths(*given: Any) -> list[str] | None:
    """Return absolute paths, `None` if one of them is none or is nobody's data."""
    found: list[str] = []
    for one in given:
        if isinstance(one, int):
            return None
        path = _absolute(os.fsdecode("." if one is None else one))
        if not is_data(path):
            return None
        found.append(path)
    return found


def _tell(method: str, paths: list[str] | None, *others: Any) -> None:
    if paths is not None:
        for watch in _watching:
            if not f"{paths[0]}{os.sep}".startswith(watch.own):
                getattr(watch, method)(*paths, *others)


def _hear_listing(args: tuple[Any, ...]) -> None:
    caller = sys._getframe(2).f_code.co_filename  # pyright: ignore[reportPrivateUsage] - tells an import
    if not caller.startswith("<frozen importlib"):
        _tell("listed", _paths(args[0]))


def _hear_making(method: str) -> Callable[[tuple[Any, ...]], None]:
    def hear(args: tuple[Any, ...]) -> None:
        if args[-1] == -1:  # else the path begins in a folder that we do not know
            _tell(method, _paths(args[0]))

    return hear


_HEARD: dict[str, Callable[[tuple[Any, ...]], None]] = {
    "open": lambda args: _tell("opened", _paths(args[0]), args[1], args[2]),
    "os.listdir": _hear_listing,
    "os.scandir": _hear_listing,
    "os.mkdir": _hear_making("made"),
    "os.remove": _hear_making("removed"),
    "os.rmdir": _hear_making("removed"),
    "os.rename": lambda args: _tell("renamed", _paths(args[0], args[1])),
    "sqlite3.connect": lambda args: _tell("connected", _paths(args[0])),
}
