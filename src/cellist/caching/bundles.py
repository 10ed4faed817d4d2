"""Bundles that lie beside a notebook: where a result is looked for that the store does not have.

They are found by themselves in the working directory and in the project's (where `.cellist/`
lies), and named by `CELLIST_BUNDLES`. Nothing is opened before the first miss. What is found is
copied into the local store, where it is signed by this user: the bytes of a bundle of one's own,
or one that is trusted, as they are; of any other only data, as `foreign` reads it, encoded anew.

Nothing here raises for what is in a file: a bundle that cannot be used is one warning and misses.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from cellist.caching.envelope import Bytes, Header
from cellist.caching.formats import Encoded, decode
from cellist.caching.found import Found, Missing, undecodable
from cellist.caching.memory import Entry
from cellist.caching.reasons import Known
from cellist.caching.shown import only_safe, pack, split, unpack
from cellist.caching.signing import Signer, user_signer
from cellist.exceptions import BundleError
from cellist.model.later import later
from cellist.model.locations import DIRECTORY, SUFFIX

if TYPE_CHECKING:
    import shlex

    from cellist.caching import bundle_file, foreign, trust
else:
    shlex = later("shlex", globals())
    bundle_file = later("cellist.caching.bundle_file", globals())
    foreign = later("cellist.caching.foreign", globals())
    trust = later("cellist.caching.trust", globals())

_LOOK_SECONDS = 2.0  # how late a bundle that is added or replaced may be noticed
Warn = Callable[[str], object]


class Target(Protocol):
    """The store that results are copied into."""

    def get(self, key: str, *, in_memory: bool = True) -> Found | Missing:
        """Return the result under a key."""
        ...

    def seal(
        self,
        key: str,
        value: Any,
        header: Header,
        *,
        at_once: bool = False,
        shown: bytes | None = None,
    ) -> Entry | str:
        """Serialise a result and what its run showed, or return why that cannot be kept."""
        ...

    def keep(self, entry: Entry, *, durable: bool, in_memory: bool = True) -> str | None:
        """Keep what is serialised already, or return why not."""

    def invalidate(self, *, key: str) -> int:
        """Forget the result under a key."""
        ...


class _Attached:
    """One bundle in use, and whether its pickles may be loaded."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self.file = bundle_file.BundleFile(path, signer)
        self.name = path.name
        self.is_trusted = self.file.is_own or trust.is_trusted(self.file.digest)
        self._known: dict[str, list[Known]] | None = None

    def header(self, line: "bundle_file.Line") -> Header:
        """Return what is to be kept of the result's header, with the bundle it came in."""
        header: Any = {**line.header, "bundle": [self.name, self.file.digest]}
        if not self.is_trusted:
            header.pop("serializer", None)
        return header

    def known(self, task_key: str) -> Sequence[Known]:
        """Return the headers of a task's results, for comparing keys."""
        if self._known is None:
            found: dict[str, list[Known]] = {}
            for line in self.file.lines.values():
                header = line.header
                found.setdefault(header.get("task_key", ""), []).append(Known(header))
            self._known = found
        return self._known.get(task_key, ())


class Bundles:
    """The bundles of a session. All methods may be called from any thread.

    `results` is the directory of the project's store. `warn` gets one sentence for each kind of
    trouble with a bundle. `named` returns the paths that the settings name.
    """

    def __init__(
        self, results: Path, warn: Warn, named: Callable[[], Sequence[str]] = tuple
    ) -> None:
        self.named = named
        self._project = results.parent.parent if results.parent.name == DIRECTORY else None
        self._tell = warn
        self._attached: tuple[_Attached, ...] = ()
        self._opened: dict[tuple[Any, ...], _Attached | None] = {}
        self._warned: set[Any] = set()
        self._forgotten: set[str] = set()
        self._look_again = 0.0
        self._lock = Lock()

    def fetch(
        self, store: Target | None, key: str, in_memory: bool = True
    ) -> Found | Missing | None:
        """Return the result under a key, or why it cannot be used; None if no bundle has it.

        It is copied into the store, if one is given.
        """
        missing: Missing | None = None
        for bundle, line in self._having(key):
            if not (bundle.is_trusted or line.is_data):
                missing = self._untrusted(bundle)
                continue
            expires = line.header.get("expires")
            if expires is not None and expires <= time.time():
                missing = Missing("expired", "it has expired", line.header)
                continue
            try:
                found = _take(store, bundle, line, in_memory)
            except Exception as error:  # a damaged file, a hostile one, or classes not defined here
                problem = str(error) if isinstance(error, BundleError) else undecodable(error)
                message = f"A result in bundle `{bundle.name}` was not used: {problem}."
                self._warn(message, once=(bundle.file.digest, "damaged"))
                missing = Missing("unreadable", f"its result in bundle `{bundle.name}`: {problem}")
                continue
            if isinstance(found, Found):
                return found
            missing = found
        return missing

    def peek(self, key: str) -> Header | None:
        """Return the header of the result that `fetch` would give, without reading its value."""
        for bundle, line in self._having(key):
            expires = line.header.get("expires")
            is_current = expires is None or expires > time.time()
            if is_current and (bundle.is_trusted or line.is_data):
                return bundle.header(line)
        return None

    def known(self, task_key: str) -> list[Known]:
        """Return the headers of a task's results, for comparing keys."""
        return [one for bundle in self._current() for one in bundle.known(task_key)]

    def forget(self, *, key: str | None = None, task: str | None = None) -> None:
        """Leave results alone for the rest of this session: under a key, of a task, or all."""
        for bundle in self._current():
            for line in bundle.file.lines.values():
                if key in (None, line.key) and task in (
                    None,
                    line.task,
                    line.header.get("task_key"),
                ):
                    self._forgotten.add(line.key)

    def look_again(self) -> None:
        """Open all bundles anew: which of them are trusted may have changed."""
        with self._lock:
            self._opened.clear()
            self._warned.clear()
            self._look_again = 0.0

    def _having(self, key: str) -> "Iterator[tuple[_Attached, bundle_file.Line]]":
        if key in self._forgotten:
            return
        for bundle in self._current():
            line = bundle.file.lines.get(key)
            if line is not None:
                yield bundle, line

    def _current(self) -> tuple[_Attached, ...]:
        if time.monotonic() >= self._look_again:
            with self._lock:
                if time.monotonic() >= self._look_again:
                    self._attached = tuple(filter(None, self._open()))
                    self._look_again = time.monotonic() + _LOOK_SECONDS
        return self._attached

    def _open(self) -> list[_Attached | None]:
        """Return the bundles there are now; those that have not changed are not opened again."""
        now: dict[tuple[Any, ...], _Attached | None] = {}
        signer: Signer | None = None
        for path, is_named in self._paths():
            try:
                facts = path.stat()
            except OSError:
                continue
            identity = (path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if identity in self._opened:
                now[identity] = self._opened[identity]
            elif not is_named and not _is_ours(facts):
                now[identity] = None
                self._warn(
                    f"The bundle `{shown(path)}` belongs to another user of this machine and is "
                    "left alone. Name it in CELLIST_BUNDLES to use it."
                )
            else:
                signer = signer or user_signer()[0]
                now[identity] = self._attach(path, signer)
        self._opened = now
        return list(now.values())

    def _attach(self, path: Path, signer: Signer) -> _Attached | None:
        try:
            return _Attached(path, signer)
        except Exception as error:  # whatever is wrong with a file, results are computed
            self._warn(f"The bundle `{shown(path)}` is not used: {error}.")
            return None

    def _paths(self) -> Iterator[tuple[Path, bool]]:
        """Yield the files that may be bundles, each once, and whether somebody named them."""
        seen: set[Path] = set()
        named = [Path(text).expanduser().absolute() for text in self.named()]
        places = [(place, True) for place in named]
        with suppress(OSError):  # the working directory was deleted under the kernel
            places.append((Path.cwd(), False))
        if self._project is not None:
            places.append((self._project, False))
        for place, is_named in places:
            for path in self._files(place, is_named):
                if path not in seen:
                    seen.add(path)
                    yield path, is_named

    def _files(self, place: Path, is_named: bool) -> list[Path]:
        """Return the bundles in a directory, or the one that is the place itself."""
        try:
            if place.is_file():
                return [place]
            if place.is_dir():
                return [path for path in sorted(place.glob(f"*{SUFFIX}")) if path.is_file()]
            if is_named:
                self._warn(f"CELLIST_BUNDLES names `{place}`, which is not there.")
        except OSError as error:
            self._warn(f"There may be bundles in `{place}`, which cannot be read: {error}.")
        return []

    def _untrusted(self, bundle: _Attached) -> Missing:
        remedy = f"`%cellist trust {shlex.quote(shown(bundle.file.path))}`"
        count, total = bundle.file.needing_trust, len(bundle.file.lines)
        verb = "needs" if count == 1 else "need"
        message = f"{count} of {total} entries of `{bundle.name}` {verb} trust: {remedy}."
        self._warn(message, once=(bundle.file.digest, "trust"))
        return Missing("foreign", f"its result in bundle `{bundle.name}` needs trust: {remedy}")

    def _warn(self, message: str, once: Any = None) -> None:
        """Tell the user, once for a message or for `once`."""
        if (once or message) not in self._warned:
            self._warned.add(once or message)
            self._tell(message)


def _take(
    store: Target | None, bundle: _Attached, line: "bundle_file.Line", in_memory: bool
) -> Found | Missing:
    """Copy a result into a store and return it from there, or as it is if that does not keep it."""
    header = bundle.header(line)
    parts = bundle.file.parts(line)
    own, blob = split(header, parts)
    if bundle.is_trusted:
        value: Any = None
        encoded = Encoded(line.format, line.meta, parts)
        expires = header.get("expires")
        entry: Entry | str = Entry(line.key, header, None, encoded, encoded.size, expires)
    else:
        value, blob = foreign.decode_foreign(line.format, line.meta, own), _safe(blob)
        header.pop("shown", None)
        entry = store.seal(line.key, value, header, at_once=True, shown=blob) if store else ""
    if store is not None and isinstance(entry, Entry):
        store.keep(entry, durable=False, in_memory=in_memory)
        found = store.get(line.key, in_memory=in_memory)
        if isinstance(found, Found):
            return found
        if found.code == "unreadable":  # its classes are not defined here, or are other ones
            store.invalidate(key=line.key)
            return found
    if bundle.is_trusted:
        value = decode(line.format, line.meta, own, private=False)
    return Found(value, header, "bundle", shown=blob)


def _safe(blob: Bytes | None) -> bytes | None:
    """Return what somebody else's run showed, without what could run code."""
    try:
        return None if blob is None else pack(only_safe(unpack(blob)))
    except Exception:  # it is no recording
        return None


def shown(path: Path) -> str:
    """Return a path as a person would give it here."""
    with suppress(ValueError, OSError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _is_ours(facts: os.stat_result) -> bool:
    """Whether a file belongs to this user or the system; root may use anybody's."""
    if sys.platform == "win32":
        return True
    return os.geteuid() == 0 or facts.st_uid in (0, os.geteuid())
