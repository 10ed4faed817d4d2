"""Which bundles of others a user trusts: by the SHA-256 digest of their manifest.

The list lies beside the user's secret (see `signing`), never in a project, so that nothing that
comes with a project can add itself to it. Whoever changes one byte of a manifest has another
digest. `CELLIST_TRUST` names more digests, as inherited by the process (see
`model.environment`).
"""

import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cellist.model.environment import TRUST, inherited
from cellist.model.locations import secret_directory

_FILE = "trusted"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Trusted(NamedTuple):
    """One line of the list: whose manifest it is, when it was trusted, and where it lay then."""

    digest: str
    moment: str
    path: str


def is_trusted(digest: str) -> bool:
    """Whether the user trusts the manifest of this digest."""
    return digest in _granted() or any(one.digest == digest for one in _read())


def trust(digest: str, path: Path) -> None:
    """Trust a manifest from now on. Raises `OSError` if that cannot be written down."""
    line = Trusted(digest, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), str(path))
    _write([*(one for one in _read() if one.digest != digest), line])


def withdraw(choose: Callable[[Trusted], bool]) -> list[str]:
    """Take manifests off the list and return their digests. Raises `OSError`."""
    known = _read()
    gone = [one for one in known if choose(one)]
    if gone:
        _write([one for one in known if one not in gone])
    return [one.digest for one in gone]


def _granted() -> set[str]:
    words = re.split(r"[,\s]+", inherited(TRUST).lower())
    return {word.removeprefix("sha256:") for word in words}


def _read() -> list[Trusted]:
    """Return the list; nothing if it is missing, or if others could have written it."""
    found: list[Trusted] = []
    with suppress(OSError, RuntimeError):
        path = secret_directory() / _FILE
        facts = path.stat()
        if os.name == "posix" and (facts.st_mode & 0o022 or facts.st_uid != os.geteuid()):
            return []
        for line in path.read_text("utf-8", "replace").splitlines():
            digest, moment, where = (*line.split(" ", 2), "", "")[:3]
            if _DIGEST.fullmatch(digest):
                found.append(Trusted(digest, moment, where))
    return found


def _write(lines: list[Trusted]) -> None:
    directory = secret_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(" ".join(one).replace("\n", " ") + "\n" for one in lines)
        Path(temporary).replace(directory / _FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
