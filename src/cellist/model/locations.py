"""Where cellist keeps its files: results, history, and the user's own secret.

A project's files live in one directory, `.cellist/`. It is looked for upward from the working
directory, as git looks for `.git`, so notebooks in subfolders share it; when there is none it is
made beside the notebook. A directory that belongs to somebody else is passed over: what it holds
could not be trusted, and could not be written either. `CELLIST_HOME` overrules the search.
The secret that signs results must not lie beside them, so it has a per-user place of its own;
`CELLIST_SECRET_DIR` overrules that. Where it lies nothing that is opened in a kernel may say, such
as a project's `.env`: a secret that came with a project would make its pickles the user's own.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from cellist.model.environment import inherited

DIRECTORY = ".cellist"
SUFFIX = ".cellist"
"""How the names of bundles end."""


def home(start: Path | None = None) -> Path:
    """Return the directory for results and history, seen from `start` (default: the cwd).

    Nothing is created and nothing is raised; see `ensure`.
    """
    override = os.environ.get("CELLIST_HOME")
    if override:
        return Path(override).expanduser().absolute()
    base = (start or _cwd()).absolute()
    for folder in (base, *base.parents):
        candidate = folder / DIRECTORY
        if _is_ours(candidate):
            return candidate
    return base / DIRECTORY


def ensure(directory: Path) -> Path:
    """Create the directory if it is missing: private to the user, and never committed to git.

    One that holds other things already is the user's own, whose files git is to go on seeing.
    Raises `OSError` if it cannot be created.
    """
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = directory / ".gitignore"
    if not ignore.exists() and (directory.name == DIRECTORY or not any(directory.iterdir())):
        with suppress(OSError):  # a read-only directory can still be read from
            ignore.write_text("*\n", encoding="ascii")
    return directory


def secret_directory() -> Path:
    """Return the per-user directory of the secret that signs results.

    Raises `RuntimeError` if the user has no home directory.
    """
    override = inherited("CELLIST_SECRET_DIR")
    if override:
        return Path(override).expanduser().absolute()
    user = inherited("USERPROFILE" if sys.platform == "win32" else "HOME")
    own = Path(user) if user else Path.home()
    if sys.platform == "win32":
        base = inherited("APPDATA") or str(own / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = str(own / "Library" / "Application Support")
    else:
        base = inherited("XDG_DATA_HOME") or str(own / ".local" / "share")
    return Path(base) / "cellist"


def _cwd() -> Path:
    try:
        return Path.cwd()
    except OSError:  # the working directory was deleted under the kernel
        return Path(os.environ.get("PWD") or os.sep)


def _is_ours(candidate: Path) -> bool:
    """Whether the candidate is a directory of this user; root may use anybody's."""
    try:
        if not candidate.is_dir():
            return False
        if sys.platform == "win32":
            return True
        me = os.getuid()
        return me == 0 or candidate.stat().st_uid == me
    except OSError:
        return False
