"""The result store: what a task returned, by key, in memory and on disk.

A result is serialised before `put` returns, so what the caller does to the value later cannot
leak into it; then it waits for a background thread, unless it must be on disk at once. A hit
gives a fresh value each time. Nothing here raises for a value or for the disk: what cannot be
read is a miss with a reason, what cannot be kept is one sentence.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, cast

from cellist.caching import lifetime
from cellist.caching.aside import Aside
from cellist.caching.envelope import BadEntry, Header
from cellist.caching.files import Marker
from cellist.caching.formats import Encoded, atom_size, decode, encode, serialize
from cellist.caching.found import ABSENT, Found, Missing, Told, undecodable
from cellist.caching.memory import Entry, Headers, Memory
from cellist.caching.mounts import AUTO
from cellist.caching.reasons import Known
from cellist.caching.serializers import Serializer
from cellist.caching.shelf import Loaded, Shelf
from cellist.caching.shown import split
from cellist.caching.snapshots import take
from cellist.caching.uses import Uses
from cellist.caching.writer import Writer
from cellist.exceptions import SerializationError
from cellist.model.locations import home

_GIB = 2**30
_REMEMBER = 2**20
_BACKLOG = 128 * 2**20
_HEED_SECONDS = 0.1  # how late another kernel's clear may be noticed
_log = logging.getLogger("cellist.results")


class ResultStore(Aside):
    """Keeps results by key. All methods may be called from any thread.

    `directory` is where results lie (default: `results` in the project's `.cellist/`); it is
    created on first use. `guest` says that it is a diskcache of the user's own, `kind` whether it
    has an `index` or keeps each result in one of `files`; `auto` does so on network file systems.
    `budget` and `memory_budget` are bytes; by default the budget is 10 GiB, but not more than a
    tenth of the disk. `on_warning` gets one sentence for each kind of trouble, once; without it
    they are logged.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        budget: int | None = None,
        memory_budget: int = _GIB // 4,
        on_warning: Callable[[str], object] | None = None,
        guest: bool = False,
        kind: str = AUTO,
    ) -> None:
        self.directory = Path(directory).absolute() if directory else home() / "results"
        self._memory = Memory(memory_budget)
        self._shelf = Shelf(self.directory, budget, self._warn, guest=guest, kind=kind)
        if not memory_budget:
            self._shelf.trust = 0.0
        self._writer = Writer(self._write, self._tidy, self._shelf.release)
        self._on_warning = on_warning
        self._warned: dict[str, str] = {}
        self.used: set[str] = set()
        """The keys that were read or written in this session; the collector spares them."""
        self._uses: dict[str, int] = {}
        self._unsaved = Uses()
        self._refused: dict[str, Missing] = {}
        """What was found damaged, and is not there any more or soon."""
        self._suspects: dict[str, str] = {}
        self._headers = Headers()
        self._hits = self._misses = self._stored = 0
        self._saved = 0.0
        self._marker = Marker(self.directory / "forgotten")
        self._look_again = 0.0
        lifetime.watch(self)

    @property
    def budget(self) -> int | None:
        """Bytes that results may take, None for the default; see `ResultStore`."""
        return self._shelf.given_budget

    @budget.setter
    def budget(self, budget: int | None) -> None:
        self._shelf.given_budget = budget

    @property
    def is_writable(self) -> bool:
        """Whether new results can be kept on disk, as far as is known."""
        return self._shelf.is_writable

    def get(self, key: str, *, in_memory: bool = True) -> Found | Missing:
        """Return the result under a key. Changing its value never changes the next hit.

        With `in_memory` it stays in memory for the next one.
        """
        if time.monotonic() >= self._look_again:
            self._heed_others()
        entry = self._memory.get(key) or self._writer.find(key)
        if entry is not None and (entry.expires is None or entry.expires > time.time()):
            try:
                value, shown = entry.opened()
            except Exception as error:
                return self._undecodable(key, error)
            self.count_hit(key, entry.header)
            preview = entry.preview or entry.preview_of(value)
            return Found(value, entry.header, "memory", preview, shown)
        is_ahead = entry is not None and self._writer.find(key) is not None
        try:
            loaded = None if is_ahead else self._shelf.load(key)  # which has what was before
        except BadEntry as bad:
            return self._reject(key, bad.code, str(bad), "")
        except Exception as error:  # a fault of cellist itself must not fail a run
            return self.refuse("unreadable", undecodable(error))
        if loaded is None:
            self._misses += 1
            if key in self._refused:
                return self._refused[key]
            if entry is not None:
                return Missing("expired", "it has expired", entry.header)
            return Missing("absent", trouble) if (trouble := self._shelf.trouble) else ABSENT
        return self._open(key, loaded, in_memory)

    def _open(self, key: str, loaded: Loaded, in_memory: bool) -> Found | Missing:
        sealed, parts = loaded.sealed, loaded.parts
        if parts is None:
            self._misses += 1
            return Missing("expired", "it has expired", sealed.header)
        encoded = None
        if in_memory and sealed.size <= _REMEMBER:
            encoded = Encoded(sealed.format, sealed.meta, parts)
            encoded = encoded.owned() if loaded.private else encoded
        try:
            own, shown = split(sealed.header, parts)
            value = decode(sealed.format, sealed.meta, own, private=loaded.private)
        except Exception as error:  # the value's own classes run here
            return self._undecodable(key, error)
        if encoded is not None:
            kept, encoded = (None, encoded) if shown or atom_size(value) is None else (value, None)
            self._memory.put(Entry(key, sealed.header, kept, encoded, sealed.size, sealed.expires))
        self.count_hit(key, sealed.header)
        return Found(value, sealed.header, "disk", sealed.header.get("preview"), shown)

    def count_hit(self, key: str, header: Header) -> None:
        """Count the use of a result."""
        if key not in self._uses:
            if not self._uses:
                self._writer.stay()
            self.used.add(key)
        self._uses[key] = self._uses.get(key, 0) + 1
        self._hits += 1
        self._saved += header.get("seconds") or 0.0

    def _undecodable(self, key: str, error: Exception) -> Missing:
        message = undecodable(error)
        if isinstance(error, AttributeError | ImportError):  # it may be defined by a later cell
            return self.refuse("unreadable", message)
        return self._reject(key, "unreadable", message, message)

    def _reject(self, key: str, code: str, message: str, fault: str) -> Missing:
        """Return the miss of an entry that is not tried again; see `Shelf.set_aside`."""
        missing = self.refuse(code, message)
        if code == "unreadable":
            self._refused[key] = missing
            self._suspects[key] = fault
            self._writer.stay()
        return missing

    def refuse(self, code: str, message: str) -> Missing:
        """Return the miss of a result that cannot be used, and warn."""
        self._misses += 1
        self._warn(code, f"A stored result was not used: {message}. It is computed again.")
        return Missing(code, message)

    def put(
        self,
        key: str,
        value: Any,
        header: Header,
        *,
        durable: bool,
        serializer: Serializer | None = None,
        in_memory: bool = True,
    ) -> str | None:
        """Keep a result under a key, and return None or one sentence why it is not kept.

        `durable` returns only when the disk has it; otherwise it is written in the background.
        `serializer` takes the place of cellist's own formats. Unless `in_memory`, the result does
        not stay in memory.
        """
        sealed = self.seal(key, value, header, at_once=True, serializer=serializer)
        if isinstance(sealed, str):
            return sealed
        return self.keep(sealed, durable=durable, in_memory=in_memory)

    def seal(
        self,
        key: str,
        value: Any,
        header: Header,
        *,
        at_once: bool = False,
        serializer: Serializer | None = None,
        shown: bytes | None = None,
    ) -> Entry | str:
        """Serialise a result and what its run showed for `keep`, or return a sentence why not.

        `at_once` says that it is kept before the value can change: large parts are not copied.
        """
        try:
            encoded, is_plain = None, serializer is None and shown is None
            size, taken = take(value) if is_plain else (None, None)
            if size is None:
                encoded = encode(value) if serializer is None else serialize(value, serializer)
                encoded.parts.extend(() if shown is None else (shown,))
                size = encoded.size
            if size > self._shelf.budget:
                return (
                    f"the result is not stored: it has {size:,} bytes, "
                    f"and the store may have {self._shelf.budget:,}"
                )
            header = cast("Header", {"created": time.time(), **header, "key": key})
            if encoded is not None and serializer is not None:
                header["serializer"] = encoded.meta
            header.update({} if shown is None else {"shown": True})
            if encoded is not None and not (at_once and size > self._memory.limit):
                encoded = encoded.owned()
            kept, expires = None if encoded or taken else value, header.get("expires")
            return Entry(key, header, kept, encoded, size, expires, snapshot=taken)
        except SerializationError as error:
            return f"the result is not stored: {error}"
        except Exception as error:  # a fault of cellist itself must not fail a run
            return f"the result is not stored: {type(error).__name__}: {error}"

    def keep(
        self, entry: Entry, *, durable: bool, visible: bool = False, in_memory: bool = True
    ) -> str | None:
        """Keep what was sealed; see `put`. `visible` returns when other processes can read it."""
        try:
            self._stored += 1
            self._refused.pop(entry.key, None)
            self.used.add(entry.key)
            if in_memory:
                self._memory.put(entry)
            else:
                self._memory.remove(entry.key)
            self._headers.add(entry.header)
            if durable or visible or entry.size > self._memory.limit:
                trouble = self._writer.write_now(entry, durable=durable)
                return trouble and Told(f"the result is not stored on disk: {trouble}")
            self._writer.add(entry)
            if self._writer.backlog > _BACKLOG:  # the disk is slower than the caller: wait for it
                self._writer.flush(60)
        except Exception as error:  # a fault of cellist itself must not fail a run
            return f"the result is not stored: {type(error).__name__}: {error}"
        return None

    def _write(self, entries: list[Entry], durable: bool) -> str | None:
        """Write entries; None, or a sentence why (some) were not. Runs in the writer's thread."""
        try:
            self._set_aside()
            self._shelf.tell({entry.key for entry in entries})  # before others can see them
            if not self._shelf.make_room(entries, self.used):
                self._warn(
                    "budget",
                    f"New results are kept in memory only: {self.directory} is full of results "
                    "used in this session. Raise the budget, or clear results you do not need.",
                )
                return "the store is full of results used in this session"
            sentence = self._shelf.commit(entries, durable=durable)
        except Exception as error:  # a fault of cellist itself must not end the thread
            sentence = f"{type(error).__name__}: {error}"
            self._warn("fault", f"Results could not be written: {sentence}.")
        return sentence

    def _tidy(self, everything: bool) -> None:
        """Do what can wait; not `everything` need be done. Runs in the writer's thread."""
        uses, self._uses = self._uses, {}
        with suppress(Exception):  # a fault of cellist itself must not end the thread
            self._set_aside()
            self._shelf.count_uses(self._unsaved.take(uses, time.time(), everything=everything))
            self._shelf.tell(set(uses))

    def _set_aside(self) -> None:
        """Take what was found damaged out of the store. Runs in the writer's thread."""
        while self._suspects:
            self._shelf.set_aside(*self._suspects.popitem())

    def flush(self, timeout: float | None = None) -> None:
        """Wait until what was put is on disk, at most `timeout` seconds."""
        if self._uses or self._unsaved:
            self._writer.stay()
        self._writer.flush(timeout)

    def headers(self, task_key: str) -> list[Header]:
        """Return the headers of a task's results, newest first, at most 50.

        What other kernels store shows up within a minute.
        """
        return [one.header for one in self.known(task_key)]

    def known(self, task_key: str) -> list[Known]:
        """Return the same headers, ready to be compared with a new key."""
        return self._headers.of(task_key, self._shelf.headers)

    def entries(self) -> list[dict[str, Any]]:
        """Return one dict for each result: key, task, created, size, seconds, and so on."""
        self.flush(10)
        return [entry.described() for entry in self._shelf.entries()]

    def invalidate(self, *, key: str | None = None, task: str | None = None) -> int:
        """Forget the result under a key, or all of a task (its name or key); return how many."""
        if key is None and task is None:
            return 0
        return self._forget(key, task)

    def clear(self) -> int:
        """Forget all results; return how many there were."""
        return self._forget(None, None)

    def _forget(self, key: str | None, task: str | None) -> int:
        self._writer.flush(10)  # what is being written would come back otherwise
        held = [*self._memory.entries(), *self._writer.waiting()]
        gone = {
            entry.key
            for entry in held
            if key in (None, entry.key)
            and task in (None, entry.header.get("task"), entry.header.get("task_key"))
        }
        gone |= self._shelf.remove(
            lambda entry: (
                key in (None, entry.key) and task in (None, entry.tag.task, entry.tag.task_key)
            )
        )
        self._writer.discard(*gone)
        for name in gone:
            self._memory.remove(name)
            self._uses.pop(name, None)
            self._unsaved.forget(name)
        self._headers.clear()
        self._marker.set()  # other kernels hold results in memory, too
        return len(gone)

    def _heed_others(self) -> None:
        """Forget what memory holds if another kernel had results forgotten."""
        self._look_again = time.monotonic() + _HEED_SECONDS
        if self._marker.has_changed():
            self._memory.clear()
            self._headers.clear()

    def verify(self) -> list[dict[str, Any]]:
        """Read every result on disk and return one dict for each that cannot be used.

        Those that were set aside earlier are among them until they are computed again.
        """
        self.flush(10)
        return self._shelf.verify()

    def close(self) -> None:
        """Write what waits to be written and close the directory; a later use opens it again."""
        self.flush(60)
        self._writer.stop()
        self._shelf.close()

    def _warn(self, kind: str, message: str) -> None:
        """Tell the user, once for each kind of trouble."""
        if kind in self._warned:
            return
        self._warned[kind] = message
        if self._on_warning is None:
            _log.warning("%s", message)
            return
        with suppress(Exception):  # a listener's fault is not the run's
            self._on_warning(message)

    def locks(self) -> list[Any]:
        """Return the locks to hold while the process forks."""
        return [*self._writer.locks(), self._headers.lock, *self._shelf.locks(), self._memory.lock]

    def after_fork(self) -> None:
        """Start over in a forked child: the parent writes what waits to be written."""
        self._writer = Writer(self._write, self._tidy, self._shelf.release)
        self._headers.lock = Lock()
        self._memory.lock = Lock()
        self._shelf.after_fork()
