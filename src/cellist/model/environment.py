"""Variables as the process inherited them: what its own code sets later does not count.

Who may grant trust is the user, who starts the kernel, and not what is opened in it. So the
variable that does is read as it was when the process began, which Linux keeps in `/proc`. Where
there is no such record it is read when cellist is imported, so code that runs earlier in the same
process could still set it there.

This keeps out files that are read by code in the kernel, such as `.env` by python-dotenv. It does
not keep out who sets the environment that a kernel starts with: an editor that hands a project's
`.env` to kernels has asked whether the project is trusted, because such a file can run code by
itself (`PYTHONPATH`). Nor can it bind code that runs in the kernel, which may do all the user may.
"""

import os
from pathlib import Path

TRUST = "CELLIST_TRUST"
_RECORD = Path("/proc/self/environ")
_noted: list[str] = []


def note() -> None:
    """Note what the environment says now, as `import cellist` does."""
    _noted.append(os.environ.get(TRUST, ""))


def inherited_trust() -> str:
    """Return what `CELLIST_TRUST` said when the process began, or an empty text."""
    try:
        record = _RECORD.read_bytes()
    except OSError:  # another system, or a process that may not read its own
        return _noted[0] if _noted else ""
    start = TRUST.encode() + b"="
    for entry in record.split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry[len(start) :])
    return ""
