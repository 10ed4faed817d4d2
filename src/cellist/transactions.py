"""Transactions: tasks that are kept together, or undone together.

    with transaction():
        path = write(table)       # its on_rollback hook deletes the file again
        check(path)               # raises: `write` is rolled back, nothing is stored

A task that completes inside a transaction waits: its result is stored, and its `on_commit` hooks
are called, when the outermost transaction ends. If an exception leaves the block, the
`on_rollback` hooks of what has completed are called, the last first, and their runs end in
RolledBack. Hooks take the transaction; its `get` reads what `set` put there. What ran from the
cache was committed long ago and is never rolled back.

Submitted tasks belong to the transaction they were submitted in. One that ends after it follows:
it is committed if the transaction was, else rolled back at once. So wait for the futures inside
the block if their failure is to undo the rest.

With a key a transaction leaves a record, and is committed on entry if there is one already:

    with transaction(key=f"import-{day}") as txn:
        if not txn.is_committed():
            import_day(day)

Each run of a task is a transaction too, to which `get_transaction()` gives access in its code. A
task with such hooks that is called from another task is undone if an exception leaves that task.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any

from cellist.caching.store import Found
from cellist.engine.scopes import AsyncTransaction, Transaction, innermost
from cellist.engine.transactions import BaseTransaction, Store
from cellist.exceptions import MissingResult
from cellist.model.isolation import IsolationLevel
from cellist.model.transactions import CommitMode, TransactionState
from cellist.session import get_session


@dataclass(frozen=True, slots=True)
class Record:
    """What a committed transaction left: `result` is the value that was staged."""

    key: str
    result: Any


class SessionRecords:
    """Records of transactions in the result store of this project; locks are of this process."""

    def exists(self, key: str) -> bool:
        """Whether there is an unexpired record."""
        return isinstance(get_session().store.get(key), Found)

    def read(self, key: str, holder: str | None = None) -> Record:
        """Return the record. Raises `MissingResult` if there is none."""
        del holder  # only the one that has the lock is ever here
        found = get_session().store.get(key)
        if not isinstance(found, Found):
            message = f"There is no record of transaction {key!r}: {found.message}."
            raise MissingResult(message)
        return Record(key, found.value)

    def write(self, obj: Any, *, key: str, holder: str | None = None) -> None:
        """Keep a record; on disk when this returns. Raises `RuntimeError` if it cannot be kept."""
        del holder  # only the one that has the lock is ever here
        header: Any = {"key": key, "task": "transaction", "created": time.time(), "seconds": 0.0}
        problem = get_session().store.put(key, obj, header, durable=True)
        if problem:
            raise RuntimeError(problem)

    def acquire_lock(self, key: str, holder: str) -> bool:
        """Wait until nobody else in this process holds the lock on a key, and take it."""
        with _freed:
            _freed.wait_for(lambda: _held.get(key, holder) == holder)
            _held[key] = holder
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Let go of the lock on a key."""
        with _freed:
            if _held.get(key) == holder:
                del _held[key]
                _freed.notify_all()


_held: dict[str, str] = {}
_freed = threading.Condition()


def transaction(
    key: str | None = None,
    store: Store | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> Transaction:
    """Return a transaction for a `with` block of sync code.

    - `key`: the key of the record; without one nothing but the results of tasks is stored.
    - `store`: where the record lies, such as a `ResultStore`; by default that of this project.
    - `commit_mode`: `LAZY` (default) with the outermost transaction, `EAGER` at the end of the
      block, `OFF` only if you call `commit`. Transactions and tasks inside inherit it.
    - `isolation_level`: `SERIALIZABLE` lets only one at a time have the key; others wait.
    - `overwrite`: act as if there were no record yet. `write_on_commit=False` writes none.
    - `logger`: takes errors of hooks; by default they go to the log of the run.

    Entering raises `ConfigurationError` if `SERIALIZABLE` meets a store without locks. An error in
    a hook, or in writing the record, is logged and rolls back; it is not raised.
    """
    return Transaction(
        key,
        store if store is not None or key is None else SessionRecords(),
        commit_mode,
        isolation_level,
        overwrite,
        write_on_commit,
        logger,
    )


def atransaction(
    key: str | None = None,
    store: Store | None = None,
    commit_mode: CommitMode | None = None,
    isolation_level: IsolationLevel | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> AsyncTransaction:
    """Return a transaction for an `async with` block; see `transaction`.

    `read`, `commit`, `rollback` and `reset` are awaited, and sync hooks are called in a thread.
    """
    return AsyncTransaction(
        key,
        store if store is not None or key is None else SessionRecords(),
        commit_mode,
        isolation_level,
        overwrite,
        write_on_commit,
        logger,
    )


def get_transaction() -> BaseTransaction | None:
    """Return the innermost transaction here: a block's, or that of the task run; else `None`."""
    return innermost()


__all__ = [
    "AsyncTransaction",
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]
