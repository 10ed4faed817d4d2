"""The stores of a session by place, and results whose records lie in another place than they do."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, cast

from cellist.caching.bundles import Bundles
from cellist.caching.envelope import Header
from cellist.caching.found import Found, Missing
from cellist.caching.leases import FileSystemLockManager
from cellist.caching.memory import Entry
from cellist.caching.mounts import AUTO
from cellist.caching.reasons import Known
from cellist.caching.result_places import Place
from cellist.caching.serializers import Serializer
from cellist.caching.store import ResultStore

_RECORD = "storage_key"
_ASTRAY = "its record does not say where it lies"
_GONE = "its record is there, but its value is gone"


class Stores:
    """One store for each place, made when first needed."""

    def __init__(
        self, default: ResultStore, warn: Callable[[str], object], kind: str = AUTO
    ) -> None:
        self.default = default
        self.bundles = Bundles(default.directory, warn)
        self._warn = warn
        self._kind = kind
        self._budget = default.budget
        self._stores: dict[tuple[Place, bool], ResultStore] = {}
        self._locks: dict[Path, FileSystemLockManager] = {}
        self._lock = Lock()

    def at(self, place: Place | None, *, in_memory: bool = True) -> ResultStore:
        """Return the store of a place, the project's for `None`.

        Without `in_memory` it reads and writes the disk each time, so that what somebody else
        deletes is gone at once.
        """
        if place is None or place.directory == self.default.directory:
            return self.default
        with self._lock:
            store = self._stores.get((place, in_memory))
            if store is None:
                memory: dict[str, Any] = {} if in_memory else {"memory_budget": 0}
                store = self._stores[place, in_memory] = ResultStore(
                    place.directory,
                    on_warning=self._warn,
                    guest=place.guest,
                    kind=self._kind,
                    budget=self._budget,
                    **memory,
                )
        return store

    def of(self, place: Place | None, key_place: Place | None) -> "AnyStore":
        """Return the store of a place, with records in a place of their own if one is given."""
        if key_place is None:
            return self.at(place)
        return LinkedStore(self.at(key_place, in_memory=False), self.at(place))

    def all(self) -> list[ResultStore]:
        """Return the stores that were used so far, the project's first."""
        with self._lock:
            return [self.default, *self._stores.values()]

    def locks_of(self, store: Any) -> FileSystemLockManager:
        """Return the lock manager for the keys of a store."""
        directory = store.directory
        with self._lock:
            locks = self._locks.get(directory)
            if locks is None:
                locks = self._locks[directory] = FileSystemLockManager(directory, kind=self._kind)
        return locks

    def set_budget(self, budget: int | None) -> None:
        """Change how many bytes the results of each place may take; None is the default."""
        with self._lock:
            self._budget = budget
            for store in (self.default, *self._stores.values()):
                store.budget = budget

    def flush(self) -> None:
        """Write what waits to be written."""
        for store in self.all():
            store.flush()

    def close(self) -> None:
        """Write what waits to be written, and close all stores."""
        for store in self.all():
            store.close()


def target_of(record: Found) -> str | None:
    """Return the key that a record leads to, `None` if it does not say."""
    value: Any = record.value
    target: Any = cast("dict[str, Any]", value).get(_RECORD) if type(value) is dict else None
    return target if isinstance(target, str) else None


class LinkedStore:
    """Results in one store, found through records in another: without its record one is gone."""

    def __init__(self, records: ResultStore, results: ResultStore) -> None:
        self.records = records
        self.results = results

    @property
    def is_writable(self) -> bool:
        """Whether both results and records can be kept."""
        return self.records.is_writable and self.results.is_writable

    @property
    def directory(self) -> Path:
        """Where the records lie, and the locks on their keys."""
        return self.records.directory

    def get(self, key: str, *, in_memory: bool = True) -> Found | Missing:
        """Return the result that the record under a key leads to."""
        record = self.records.get(key, in_memory=False)
        if isinstance(record, Missing):
            return record
        target = target_of(record)
        if target is None:
            return self.records.refuse("unreadable", _ASTRAY)
        found = self.results.get(target, in_memory=in_memory)
        if isinstance(found, Missing) and found.code == "absent":
            return self.results.refuse("unreadable", _GONE)
        return found

    def peek(self, key: str) -> Found | Missing:
        """Return what `get` would without leaving a trace, see `Aside`."""
        record = self.records.peek(key)
        if isinstance(record, Missing):
            return record
        target = target_of(record)
        if target is None:
            return Missing("unreadable", _ASTRAY)
        found = self.results.peek(target)
        if isinstance(found, Missing) and found.code == "absent":
            return Missing("unreadable", _GONE)
        return found

    def disown(self, found: Found) -> None:
        """Count a result that `get` gave, but that is not used, as one that was not found."""
        self.results.disown(found)

    def recount(self) -> None:
        """Take the last miss back: who was told of it looks once more."""
        self.records.recount()

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
        """Serialise a result for `keep`, or return one sentence why it cannot be kept."""
        return self.results.seal(
            key, value, header, at_once=at_once, serializer=serializer, shown=shown
        )

    def keep(
        self, entry: Entry, *, durable: bool, visible: bool = False, in_memory: bool = True
    ) -> str | None:
        """Keep what was sealed, then the record that leads to it."""
        problem = self.results.keep(entry, durable=durable, visible=visible, in_memory=in_memory)
        if problem:
            return problem
        record = {
            _RECORD: entry.key,
            "expiration": entry.expires,
            "serializer": entry.header.get("serializer"),
        }
        header = cast("Header", {**entry.header, "serializer": None, "shown": False})
        return self.records.put(entry.key, record, header, durable=durable, in_memory=False)

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
        """Keep a result and its record; return None or one sentence why it is not kept."""
        sealed = self.seal(key, value, header, at_once=True, serializer=serializer)
        if isinstance(sealed, str):
            return sealed
        return self.keep(sealed, durable=durable, in_memory=in_memory)

    def known(self, task_key: str) -> list[Known]:
        """Return the headers of a task's results, for comparing keys."""
        return self.results.known(task_key)

    def invalidate(self, *, key: str) -> int:
        """Delete the record under a key; its result stays where it is, out of reach."""
        return self.records.invalidate(key=key)


AnyStore = ResultStore | LinkedStore
