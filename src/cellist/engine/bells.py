"""Wake processes that wait for others: a named pipe for each, and news of those that have ended.

Who waits makes a pipe in a directory that all know, and sleeps until a byte comes through it or one
of the processes it waits for is gone. Nothing is looked up on the disk meanwhile. Where there are
no named pipes, or none of the system's handles on processes, a wait is short instead.
"""

import os
import secrets
import select
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

_SUFFIX = ".bell"
_WITHOUT_PIPES = 0.05
_WITHOUT_HANDLES = 0.5


class Bell:
    """The pipe of this process in a directory. It is there until it is closed."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._fd = -1
        make: Any = getattr(os, "mkfifo", None)  # not on Windows
        if make is None:
            return
        with suppress(OSError):  # a file system without pipes, or that cannot be written to
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                make(self._path, 0o600)
            self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, seconds: float, pids: Collection[int] = ()) -> None:
        """Sleep until somebody rings or one of the processes has ended, at most so long."""
        if self._fd < 0:
            threading.Event().wait(min(seconds, _WITHOUT_PIPES))
            return
        handles: list[int] = []
        try:
            seconds = min(seconds, self._open_handles(pids, handles))
            poll = select.poll()
            for fd in (self._fd, *handles):
                poll.register(fd, select.POLLIN)
            poll.poll(max(0, int(seconds * 1000)))
        finally:
            for fd in handles:
                os.close(fd)
        with suppress(BlockingIOError):
            os.read(self._fd, 4096)

    def poke(self) -> None:
        """End the wait that goes on, from another thread of this process."""
        if self._fd >= 0:
            with suppress(OSError):  # a full pipe wakes as well
                os.write(self._fd, b"!")

    def _open_handles(self, pids: Collection[int], handles: list[int]) -> float:
        """Open handles on processes; return how long it may be slept in view of the others."""
        open_handle: Any = getattr(os, "pidfd_open", None)  # only on Linux
        for pid in pids:
            try:
                if open_handle is None:
                    return _WITHOUT_HANDLES
                handles.append(open_handle(pid))
            except ProcessLookupError:
                return 0.0
            except OSError:
                return _WITHOUT_HANDLES
        return float("inf")

    def close(self) -> None:
        """Take the pipe away."""
        if self._fd >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1


def ring(directory: Path) -> None:
    """Wake all who wait; pipes of processes that are gone are taken away."""
    try:
        names = [entry.path for entry in os.scandir(directory) if entry.name.endswith(_SUFFIX)]
    except OSError:
        return  # nobody has ever waited
    for name in names:
        try:
            fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108 - as scandir gives it
            continue
        with suppress(OSError):  # a full pipe wakes as well
            os.write(fd, b"!")
        os.close(fd)
