"""Which results living kernels have used, so that one kernel does not collect another's.

Each kernel that uses a directory keeps a file there with the keys it has used, a line each, and
appends to it in the background. That of a kernel that is gone counts no more; whether one on
another machine is gone is told by when its file was last written.
"""

import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cellist.caching.files import Folders
from cellist.caching.processes import own_start, started, this_host

FOLDER = "sessions"
_SILENT_SECONDS = 86_400.0
"""How long a kernel on another machine counts as living without having used a new result."""


class Pins:
    """The keys that this process, and others, have used in one directory."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._directory = directory / FOLDER
        self._path: Path | None = None
        self._told: set[str] = set()

    def tell(self, keys: set[str]) -> None:
        """Let others know what this process has used. Raises `OSError`."""
        new = keys - self._told
        if not new:
            return
        text = "".join(f"{json.dumps(key)}\n" for key in new)
        if self._path is None or not self._path.exists():
            text = "".join(f"{json.dumps(key)}\n" for key in self._told) + text
            Folders(self._root).make(FOLDER)
            self._path = self._directory / f"{os.getpid()}-{secrets.token_hex(6)}.txt"
            who = {"host": this_host(), "pid": os.getpid(), "started": own_start()}
            text = json.dumps(who) + "\n" + text
        with self._path.open("a", encoding="ascii") as file:
            file.write(text)
        self._told |= new

    def of_others(self) -> set[str]:
        """Return the keys that other living processes have used; files of dead ones are removed."""
        keys: set[str] = set()
        if not Folders(self._root).has(FOLDER):
            return keys
        for path in self._directory.glob("*.txt"):
            if path == self._path or path.is_symlink():
                continue
            with suppress(OSError, ValueError, TypeError, KeyError):
                first, *lines = path.read_text("ascii").splitlines()
                if not _is_alive(json.loads(first), path.stat().st_mtime):
                    path.unlink()
                    continue
                for line in lines:
                    with suppress(ValueError):  # one that is just being written
                        keys.add(json.loads(line))
        return keys

    def close(self) -> None:
        """Let others know that this process needs nothing any more."""
        path, self._path = self._path, None
        if path is not None:
            self._told.clear()
            with suppress(OSError):
                path.unlink()

    def forget(self) -> None:
        """Start over in a forked child, which has used nothing."""
        self._path = None
        self._told = set()


def _is_alive(who: dict[str, Any], written: float) -> bool:
    if who["host"] == this_host():
        return started(int(who["pid"])) == who["started"]
    return time.time() - written < _SILENT_SECONDS
