"""Where entries go that turned out to be damaged: out of the store, kept a while to be looked at.

A damaged entry must not be tried again at every call, and deleting it would destroy the evidence.
It lies in `quarantine/` with a note of what it was. Few are kept, and not for long.
"""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cellist.caching.files import Folders, write_new

FOLDER = "quarantine"
_MOST = 20
_MOST_BYTES = 100 * 2**20
_DAYS_SECONDS = 7 * 86_400.0
_NOTE_BYTES = 10_000


class Quarantine:
    """The damaged entries of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / FOLDER
        self._folders = Folders(directory)

    def admit(self, note: dict[str, Any], take_out: Callable[[Path], None]) -> None:
        """Have `take_out` move an entry to a file here, and keep a note of it.

        Raises `OSError` if that cannot be done.
        """
        self._folders.make(FOLDER)
        stem = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        text = json.dumps({**note, "at": time.time()}, default=str)
        write_new(self._directory / f"{stem}.json", [text.encode()], durable=False)
        take_out(self._directory / f"{stem}.cle")
        self.tidy()

    def notes(self) -> list[dict[str, Any]]:
        """Return the notes, oldest first. They are not signed: nothing but texts to be shown."""
        found: list[dict[str, Any]] = []
        for path in self._stems():
            with (
                suppress(OSError, ValueError, TypeError, KeyError),
                path.with_suffix(".json").open("rb") as file,
            ):
                note = json.loads(file.read(_NOTE_BYTES))
                found.append({name: str(note[name]) for name in ("key", "task", "code", "problem")})
        return found

    def tidy(self) -> None:
        """Remove what is old, and the oldest of what is too much."""
        before = time.time() - _DAYS_SECONDS
        room = _MOST_BYTES
        for number, path in enumerate(reversed(self._stems())):
            files = [path.with_suffix(suffix) for suffix in (".json", ".cle")]
            sizes: list[int] = []
            stored = before
            for file in files:
                with suppress(OSError):
                    facts = file.lstat()
                    sizes.append(facts.st_size)
            with suppress(ValueError):
                stored = int(path.stem.partition("-")[0]) / 1e9
            room -= sum(sizes)
            if number >= _MOST or room < 0 or stored <= before:
                for file in files:
                    with suppress(OSError):
                        file.unlink()

    def _stems(self) -> list[Path]:
        """Return the entries, oldest first, as paths without regard to their ending."""
        if not self._folders.has(FOLDER):
            return []
        with suppress(OSError):
            names = {path.stem for path in self._directory.iterdir()}
            return [self._directory / f"{name}.cle" for name in sorted(names)]
        return []
