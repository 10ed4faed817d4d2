"""Acceptances: "the source changed, but the old results still hold", as the user has decided.

Each is a small signed file of its own beside the results: which task, which source its results
were recorded under, and the one source they hold for as well. It counts only if this user has
signed it, so nobody can make a result be reused by planting one. A further edit gives the task
another source, which no acceptance covers.

A look-up that finds nothing asks here. Without any acceptance that costs a look at a clock, and
twice a second one at the directory, which tells whether this or another kernel has changed it.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from blake3 import blake3

from cellist.caching.envelope import BadEntry, open_head, seal
from cellist.caching.signing import Signer, user_signer
from cellist.model.locations import ensure
from cellist.model.reasons import Component

Sources = tuple[str, ...]
"""The digests of a task's source closures, nearly always one; see `sources_of`."""

_FORMAT = "acceptance"  # no format of results: neither can be taken for the other
_SUFFIX = ".accepted"
_LARGEST = 2**20
_HEED_SECONDS = 0.5
_REREAD_SECONDS = 60.0


class Acceptance(NamedTuple):
    """What was accepted for one source of a task, when, why and by whom."""

    task_key: str
    now: Sources
    former: tuple[Sources, ...]
    """The sources whose results hold, the one accepted last first."""
    because: str
    at: float
    who: str = ""


class Acceptances:
    """The acceptances of one project. `of` raises nothing; may be used from several threads."""

    def __init__(self, directory: Path, warn: Callable[[str], object]) -> None:
        self.directory = directory
        self._warn = warn
        self._signer: Signer | None = None
        self._known: dict[tuple[str, Sources], Acceptance | None] = {}
        self._changed_at = 0
        self._heed_at = self._reread_at = 0.0

    def are_possible(self) -> bool:
        """Whether anything was ever accepted in this project."""
        if time.monotonic() >= self._heed_at:
            self._heed()
        return self._changed_at > 0

    def of(self, task_key: str, now: Sources) -> Acceptance | None:
        """Return what was accepted for a task with this source, `None` if nothing was."""
        if not self.are_possible() or not now:
            return None
        asked, known = (task_key, now), self._known  # which another thread may exchange meanwhile
        if asked not in known:
            known[asked] = self._read(task_key, self._path(task_key, now))
        return known[asked]

    def add(self, acceptance: Acceptance) -> None:
        """Record an acceptance in place of an earlier one for the same source.

        When it returns, other processes can read it. Raises `OSError`.
        """
        ensure(self.directory.parent)
        self.directory.mkdir(mode=0o700, exist_ok=True)
        blob = seal(self._signed_by(), _FORMAT, {}, _FORMAT, acceptance._asdict(), [])
        handle, temporary = tempfile.mkstemp(dir=self.directory)  # made with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path(acceptance.task_key, acceptance.now))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._forget()

    def of_task(self, task_key: str) -> list[Acceptance]:
        """Return all that was accepted for a task; this reads the disk."""
        found: list[Acceptance] = []
        for path in self._paths(task_key):
            one = self._read(task_key, path)
            if one is not None:
                found.append(one)
        return found

    def withdraw(self, task_key: str) -> int:
        """Delete the acceptances of a task and return how many there were. Raises `OSError`."""
        count = 0
        for path in self._paths(task_key):
            path.unlink(missing_ok=True)
            count += 1
        self._forget()
        return count

    def _forget(self) -> None:
        self._known = {}
        self._heed_at = 0.0

    def _heed(self) -> None:
        """Forget what is known if anybody has changed the directory, and now and then anyway."""
        clock = time.monotonic()
        self._heed_at = clock + _HEED_SECONDS
        try:
            changed_at = self.directory.stat().st_mtime_ns
        except OSError:
            changed_at = 0
        if changed_at != self._changed_at or clock >= self._reread_at:
            self._reread_at = clock + _REREAD_SECONDS
            self._changed_at = changed_at
            self._known = {}

    def _read(self, task_key: str, path: Path) -> Acceptance | None:
        try:
            with path.open("rb") as file:
                blob = file.read(_LARGEST)
        except OSError:
            return None
        try:
            sealed = open_head(blob, None, self._signed_by())
            found = _acceptance(sealed.meta) if sealed.format == _FORMAT else None
            is_meant = found is not None and found.task_key == task_key
            if found is not None and is_meant and path == self._path(task_key, found.now):
                return found
            problem = "it belongs to something else"
        except BadEntry as bad:
            problem = str(bad)
        except Exception as error:  # signed by this user, but of another version
            problem = f"it cannot be understood ({type(error).__name__})"
        self._warn(f"An acceptance for task `{task_key}` was not used: {problem}.")
        return None

    def _signed_by(self) -> Signer:
        if self._signer is None:
            self._signer, sentence = user_signer()
            if sentence:
                self._warn(sentence)
        return self._signer

    def _paths(self, task_key: str) -> list[Path]:
        return sorted(self.directory.glob(f"{_name(task_key)}-*{_SUFFIX}"))

    def _path(self, task_key: str, now: Sources) -> Path:
        return self.directory / f"{_name(task_key)}-{_name(*now)}{_SUFFIX}"


def _acceptance(meta: Any) -> Acceptance:
    now = tuple(map(str, cast("list[str]", meta["now"])))
    former = tuple(tuple(map(str, one)) for one in cast("list[list[str]]", meta["former"]))
    because, at, who = str(meta["because"]), float(meta["at"]), str(meta["who"])
    return Acceptance(str(meta["task_key"]), now, former, because, at, who)


def _name(*parts: str) -> str:
    return blake3("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def is_source(one: Component) -> bool:
    """Whether a component stands for a whole source closure."""
    return one.kind == "source" and one.name == "closure"


def sources_of(components: Sequence[Component]) -> Sources:
    """Return the digests of the source closures among the components of a key."""
    return tuple(dict.fromkeys([one.digest for one in components if is_source(one)]))


def with_sources(
    components: Sequence[Component], now: Sources, former: Sources
) -> list[Component] | None:
    """Return the components with former sources in the place of those of now."""
    if len(now) != len(former):
        return None  # recorded under a policy with other parts
    place = dict(zip(now, former, strict=True))
    return [one._replace(digest=place[one.digest]) if is_source(one) else one for one in components]
