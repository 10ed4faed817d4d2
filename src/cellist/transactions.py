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

from typing import Any

from cellist.engine.scopes import AsyncTransaction, Transaction, innermost
from cellist.engine.transactions import BaseTransaction, Store
from cellist.model.isolation import IsolationLevel
from cellist.model.transactions import CommitMode, TransactionState
from cellist.results import ResultStore


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
        store if store is not None or key is None else ResultStore(),
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
        store if store is not None or key is None else ResultStore(),
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
