"""Which process is which: among those of this machine, and told from those of others."""

import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from cellist.model.host import host_name


@cache
def this_host() -> str:
    """Return what tells this machine, since it was booted, from others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = ""
    return f"{host_name()} {boot}"


def started(pid: int) -> float | None:
    """Return when a process was started, as the system counts it; `None` if it is gone."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        fields = facts.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else float(fields[19])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        pass
    psutil: Any = import_module("psutil")  # heavy, and only where there is no /proc
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


_starts: dict[int, float] = {}


def own_start() -> float:
    """Return when this process was started."""
    pid = os.getpid()
    if pid not in _starts:
        _starts.clear()  # those of the process this one was forked from
        _starts[pid] = started(pid) or 0.0
    return _starts[pid]


def ancestors() -> set[int]:
    """Return the ids of the processes that started this one, as far as they are told."""
    multiprocessing: Any = import_module("multiprocessing")
    parent = multiprocessing.parent_process()
    return {os.getppid()} | ({parent.pid} if parent is not None else set())
