"""Results by key: read them back, write them, and lock their keys.

    ResultStore(result_storage="results").read(key).result

`result_storage=` of tasks and flows takes such a store too, with its serializer and the place of
its records. Whatever the place, what is stored is digested and signed, and nothing else is read.
"""

import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from cellist import settings
from cellist.caching.envelope import Header
from cellist.caching.found import Missing
from cellist.caching.locks import LockManager
from cellist.caching.result_places import place_of
from cellist.caching.serializers import PickleSerializer, Serializer, serializer_of
from cellist.engine.execution import FlowExecution, current
from cellist.exceptions import ObjectNotFound, SerializationError
from cellist.model.host import host_name
from cellist.model.isolation import IsolationLevel
from cellist.model.later import later
from cellist.persistence import CachePlan, Keeping, Storage

if TYPE_CHECKING:
    import asyncio

    from cellist import session
    from cellist.caching.stores import AnyStore
else:
    asyncio = later("asyncio", globals())
    session = later("cellist.session", globals())


@dataclass(frozen=True, slots=True)
class ResultRecordMetadata:
    """What is known of a stored result besides its value.

    `serializer` is the one that was chosen; results in cellist's own formats have a
    `PickleSerializer` here. `version` is that of cellist.
    """

    storage_key: str
    expiration: datetime | None
    serializer: Serializer
    version: str
    created: datetime | None = None
    task: str = ""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """A result as it is stored: the value, and what is known of it."""

    result: Any
    metadata: ResultRecordMetadata

    @property
    def expiration(self) -> datetime | None:
        """When the result is no longer valid; `None` is never."""
        return self.metadata.expiration


class ResultStore:
    """Results by key in one place.

    - `result_storage`: a directory or a `diskcache.Cache`; by default the project's store.
    - `result_serializer`: a serializer or its name; by default cellist's own exact formats.
    - `metadata_storage`: a place for the records that lead to results, if not with them.
    - `lock_manager`: whose locks are used; by default locks that other processes see.
    - `cache_result_in_memory`: whether values stay in memory for the next one who asks.

    Raises `TypeError` or `ValueError` for an option that cannot be used.
    """

    def __init__(
        self,
        result_storage: Any = None,
        result_serializer: Any = None,
        metadata_storage: Any = None,
        lock_manager: Any = None,
        cache_result_in_memory: bool = True,
    ) -> None:
        given = storage_of(result_storage, "a ResultStore")
        inner = given or Storage()
        self.result_storage = result_storage
        self.result_serializer: Serializer | None = (
            serializer_of(result_serializer, "a ResultStore")
            if result_serializer is not None
            else inner.serializer
        )
        self.metadata_storage = metadata_storage
        if lock_manager is not None and not isinstance(lock_manager, LockManager):
            message = f"`lock_manager` of a ResultStore is no lock manager: {lock_manager!r:.60}."
            raise TypeError(message)
        self.cache_result_in_memory = cache_result_in_memory and inner.in_memory
        key_place = (
            place_of(metadata_storage, "metadata_storage")
            if metadata_storage is not None
            else inner.key_place
        )
        self.storage = Storage(
            inner.place,
            key_place,
            self.result_serializer,
            lock_manager or inner.lock_manager,
            self.cache_result_in_memory,
        )
        """The same options, resolved."""

    @property
    def _store(self) -> "AnyStore":
        return session.get_session().stores.of(self.storage.place, self.storage.key_place)

    @property
    def lock_manager(self) -> Any:
        """The lock manager in use."""
        return self.storage.lock_manager or session.get_session().stores.locks_of(self._store)

    def read(self, key: str, holder: str | None = None) -> ResultRecord:
        """Return the record under a key, waiting while somebody else holds its lock.

        Raises `ObjectNotFound` if there is none, it has expired or it cannot be used.
        """
        if not self.is_lock_holder(key, holder):
            self.wait_for_lock(key)
        return self._read(key)

    async def aread(self, key: str, holder: str | None = None) -> ResultRecord:
        """Return the record under a key; as `read`, without blocking the event loop."""
        if not self.is_lock_holder(key, holder):
            await self.await_for_lock(key)
        return await asyncio.to_thread(self._read, key)

    def _read(self, key: str) -> ResultRecord:
        store = self._store
        found = store.get(key, in_memory=self.cache_result_in_memory)
        if isinstance(found, Missing):
            message = f"There is no result under the key {key!r} in {store.directory}: "
            raise ObjectNotFound(message + found.message + ".")
        header = found.header
        spec = header.get("serializer")
        described = ResultRecordMetadata(
            storage_key=key,
            expiration=_moment(header.get("expires")),
            serializer=Serializer.from_spec(spec) if spec else PickleSerializer(),
            version=_version(),
            created=_moment(header.get("created")),
            task=header.get("task", ""),
        )
        return ResultRecord(found.value, described)

    def exists(self, key: str) -> bool:
        """Whether a result that has not expired can be read under a key."""
        return not isinstance(self._store.get(key, in_memory=self.cache_result_in_memory), Missing)

    async def aexists(self, key: str) -> bool:
        """Whether a result can be read under a key; does not block the event loop."""
        return await asyncio.to_thread(self.exists, key)

    def write(
        self,
        obj: Any,
        key: str | None = None,
        expiration: datetime | None = None,
        holder: str | None = None,
    ) -> ResultRecord:
        """Store an object under a key, by default a new one; return its record.

        When it returns the disk has it. Raises `SerializationError` if it cannot be stored, and
        `RuntimeError` if somebody else holds the lock of the key.
        """
        key = uuid4().hex if key is None else key
        if self.is_locked(key) and not self.is_lock_holder(key, holder):
            message = f"The result under {key!r} cannot be written: another holder has its lock."
            raise RuntimeError(message)
        if expiration is not None and expiration.tzinfo is None:
            expiration = expiration.astimezone()
        header: Header = {
            "key": key,
            "task": "",
            "task_key": "",
            "created": time.time(),
            "seconds": 0.0,
            "expires": expiration.timestamp() if expiration is not None else None,
            "components": [],
        }
        problem = self._store.put(
            key,
            obj,
            header,
            durable=True,
            serializer=self.result_serializer,
            in_memory=self.cache_result_in_memory,
        )
        if problem:
            raise SerializationError(problem)
        serializer = self.result_serializer or PickleSerializer()
        created = _moment(header.get("created"))
        described = ResultRecordMetadata(key, expiration, serializer, _version(), created)
        return ResultRecord(obj, described)

    async def awrite(
        self,
        obj: Any,
        key: str | None = None,
        expiration: datetime | None = None,
        holder: str | None = None,
    ) -> ResultRecord:
        """Store an object under a key; as `write`, without blocking the event loop."""
        holder = holder or self.generate_default_holder()
        return await asyncio.to_thread(self.write, obj, key, expiration, holder)

    def delete(self, key: str) -> bool:
        """Delete the result under a key, with a `metadata_storage` its record; whether it was."""
        return bool(self._store.invalidate(key=key))

    async def adelete(self, key: str) -> bool:
        """Delete the result under a key without blocking the event loop."""
        return await asyncio.to_thread(self.delete, key)

    @staticmethod
    def generate_default_holder() -> str:
        """Return who holds a lock taken without saying who: this thread of this process."""
        return f"{host_name()}:{os.getpid()}:{threading.get_ident()}"

    def acquire_lock(
        self, key: str, holder: str | None = None, timeout: float | None = None
    ) -> bool:
        """Take the lock of a key, waiting at most `timeout` seconds; say whether it is held."""
        return self.lock_manager.acquire_lock(key, self._holder(holder), timeout)

    async def aacquire_lock(
        self, key: str, holder: str | None = None, timeout: float | None = None
    ) -> bool:
        """Take the lock of a key without blocking the event loop."""
        return await self.lock_manager.aacquire_lock(key, self._holder(holder), timeout)

    def release_lock(self, key: str, holder: str | None = None) -> None:
        """Give the lock of a key back. Raises `ValueError` unless the holder has it."""
        self.lock_manager.release_lock(key, self._holder(holder))

    async def arelease_lock(self, key: str, holder: str | None = None) -> None:
        """Give the lock of a key back without blocking the event loop."""
        await asyncio.to_thread(self.release_lock, key, self._holder(holder))

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock of a key."""
        return self.lock_manager.is_locked(key)

    async def ais_locked(self, key: str) -> bool:
        """Whether anybody holds the lock of a key; does not block the event loop."""
        return await asyncio.to_thread(self.is_locked, key)

    def is_lock_holder(self, key: str, holder: str | None = None) -> bool:
        """Whether the holder, by default this thread, has the lock of a key."""
        return self.lock_manager.is_lock_holder(key, self._holder(holder))

    async def ais_lock_holder(self, key: str, holder: str | None = None) -> bool:
        """Whether the holder has the lock of a key; does not block the event loop."""
        return await asyncio.to_thread(self.is_lock_holder, key, self._holder(holder))

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock, at most `timeout` seconds; say whether it is free."""
        return self.lock_manager.wait_for_lock(key, timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock without blocking the event loop."""
        return await self.lock_manager.await_for_lock(key, timeout)

    def _holder(self, holder: str | None) -> str:
        return holder or self.generate_default_holder()

    def supports_isolation_level(self, level: IsolationLevel) -> bool:
        """Whether runs can be kept apart this way: always, since there are locks by default.

        Raises `ValueError` for what is no isolation level.
        """
        return IsolationLevel(level) in IsolationLevel

    def __repr__(self) -> str:
        place = self.storage.place
        return f"ResultStore({str(place.directory) if place is not None else ''!r})"


def storage_of(given: Any, owner: str) -> Storage | None:
    """Return a `result_storage` option as what it comes to. Raises `TypeError` naming the owner."""
    if given is None:
        return None
    if isinstance(given, ResultStore):
        return given.storage
    return Storage(place_of(given, f"result_storage` of `{owner}"))


@cache
def _version() -> str:
    from importlib import metadata  # late: it takes a tenth of the time to import cellist

    return metadata.version("cellist")


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def get_result_store() -> ResultStore:
    """Return the store of the run that goes on here, outside runs the project's."""
    x = current.get()
    if x is None:
        return ResultStore()
    keeping = cast("Keeping | None", x.keeping) or Keeping()
    storage, serializer = keeping.storage, keeping.serializer
    if isinstance(x.plan.cache, CachePlan):
        storage, serializer = x.plan.cache.storage, x.plan.cache.serializer
    storage = storage or Storage()
    made = ResultStore(None, serializer or storage.serializer)
    made.storage = storage._replace(serializer=made.result_serializer)
    made.cache_result_in_memory = storage.in_memory
    return made


def should_persist_result() -> bool:
    """Whether the result of the task run that goes on here is kept.

    In a flow: whether those of its tasks are that do not say so themselves.
    """
    x = current.get()
    if x is not None and not isinstance(x, FlowExecution):
        return isinstance(x.plan.cache, CachePlan)
    default = settings.refresh().tasks_default_persist_result
    if default is not None:
        return default
    keeping = cast("Keeping | None", x.keeping) if x is not None else None
    return keeping is None or keeping.persist is not False


__all__ = [
    "ResultRecord",
    "ResultRecordMetadata",
    "ResultStore",
    "get_result_store",
    "should_persist_result",
]
