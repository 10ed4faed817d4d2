"""Variables as the process inherited them: what its own code sets later does not count.

Who may grant trust is the user, who starts the kernel, and not what is opened in it. So the
variables that do, or that say where the user's secret and list of trusted bundles lie, are read as
they were when the process began, which Linux keeps in `/proc`. Where there is no such record they
are read when cellist is imported, so code that runs earlier in the same process could still set
them there.

This keeps out files that are read by code in the kernel, such as `.env` by python-dotenv. It does
not keep out who sets the environment that a kernel starts with: an editor that hands a project's
`.env` to kernels has asked whether the project is trusted, because such a file can run code by
itself (`PYTHONPATH`). Nor can it bind code that runs in the kernel, which may do all the user may.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

TRUST = "CELLIST_TRUST"
_READ = (TRUST, "CELLIST_SECRET_DIR", "APPDATA", "XDG_DATA_HOME", "HOME", "USERPROFILE")
_RECORD = Path("/proc/self/environ")
_noted: dict[str, str] = {}
_instead: list[Mapping[str, str]] = []


def note() -> None:
    """Note what the environment says now, as `import cellist` does."""
    for name in _READ:
        _noted.setdefault(name, os.environ.get(name, ""))


def inherited(name: str) -> str:
    """Return what a variable said when the process began; an empty text if it was not set."""
    if _instead:
        return _instead[-1].get(name, "")
    try:
        record = _RECORD.read_bytes()
    except OSError:  # another system, or a process that may not read its own
        return _noted.get(name, "")
    start = os.fsencode(name) + b"="
    for entry in record.split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry[len(start) :])
    return ""


@contextmanager
def instead(variables: Mapping[str, str]) -> Generator[None]:
    """Let these count as what the process inherited, for a while: for tests."""
    _instead.append(variables)
    try:
        yield
    finally:
        _instead.pop()
