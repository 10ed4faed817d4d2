"""Transactions: what is done together is kept together, or undone in reverse order.

A transaction is one of two kinds. A *block* is opened by `with transaction():`; every run of a
task is one as well, from its start to its end. They form a tree: each is a child of the innermost
one it was started in. A child that has ended waits, staged, for its parent to decide, and who
comes after the decision follows it. So each is committed or rolled back exactly once.

    commit      children in order → own on_commit hooks → record → COMMITTED
    roll-back   own on_rollback hooks in reverse → ROLLED_BACK → children in reverse

Here is what a transaction knows; `deciding` has the steps and `scopes` says which one is where.
"""

import copy
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from cellist.engine.execution import Execution, current, current_cell
from cellist.exceptions import ConfigurationError
from cellist.model.annotations import NOT_SET
from cellist.model.isolation import IsolationLevel
from cellist.model.later import later
from cellist.model.transactions import CommitMode, TransactionState

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

ACTIVE, STAGED = TransactionState.ACTIVE, TransactionState.STAGED
COMMITTED, ROLLED_BACK = TransactionState.COMMITTED, TransactionState.ROLLED_BACK

Hook = Callable[..., Any]
_deciding = threading.Lock()
"""Held for the instant in which a transaction is decided or takes a child: threads share one."""


class Store(Protocol):
    """Where the records of keyed transactions are kept.

    For `SERIALIZABLE` it also has `acquire_lock(key, holder)` and `release_lock(key, holder)`, and
    `read` and `write` take `holder=`.
    """

    def exists(self, key: str) -> bool:
        """Whether there is an unexpired record."""
        ...

    def read(self, key: str) -> Any:
        """Return the record; its `result` is what was staged."""
        ...

    def write(self, obj: Any, *, key: str) -> Any:
        """Keep a record."""
        ...


class Scope(NamedTuple):
    """That code runs inside a block, or in a hook of a transaction."""

    transaction: "BaseTransaction"
    owner: Execution | None
    """The run whose code it is; `None` outside runs."""
    cell: Any
    is_hook: bool


scope: ContextVar[Scope | None] = ContextVar("cellist_transaction", default=None)
"""Set and restored by value, like `current`: a coroutine may be closed from another context."""


class BaseTransaction:
    """What sync and async transactions share. `get_transaction()` gives the present one."""

    __slots__ = (
        "before",
        "_holder",
        "_key",
        "_staged",
        "_values",
        "_verdict",
        "children",
        "commit_mode",
        "is_locked",
        "isolation_level",
        "logger",
        "on_commit_hooks",
        "on_rollback_hooks",
        "overwrite",
        "owner",
        "parent",
        "record",
        "run_of",
        "state",
        "store",
        "write_on_commit",
    )

    def __init__(
        self,
        key: str | None = None,
        store: Store | None = None,
        commit_mode: CommitMode | str | None = None,
        isolation_level: IsolationLevel | str | None = None,
        overwrite: bool = False,
        write_on_commit: bool = True,
        logger: Any = None,
        state: TransactionState = TransactionState.PENDING,
    ) -> None:
        self._key = key
        self.store = store
        self.commit_mode = CommitMode(commit_mode) if commit_mode is not None else None
        self.isolation_level = IsolationLevel(isolation_level) if isolation_level else None
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self.logger = logger
        self.state = state
        self.parent: BaseTransaction | None = None
        self.children: list[BaseTransaction] = []
        self.on_commit_hooks: list[Hook] = []
        self.on_rollback_hooks: list[Hook] = []
        self.owner: Execution | None = None
        """The run whose code opened the block, or which is the transaction."""
        self.run_of: Execution | None = None
        """The task run that is this transaction; `None` for a block."""
        self.record: Callable[[], str | None] | None = None
        """Writes the record of a task run; returns one sentence if it could not."""
        self._values: dict[str, Any] = {}
        self._staged: Any = None
        self._verdict: TransactionState | None = None
        self.before: tuple[Scope | None] | None = None
        """The scope around a block while it is open."""
        self._holder = uuid4().hex
        self.is_locked = False

    @property
    def key(self) -> str | None:
        """The key of the record: the one given, for a task run its cache key."""
        return self._key if self.run_of is None else self.run_of.run.cache_key

    def set(self, name: str, value: Any) -> None:
        """Keep a copy of a value under a name; children see it."""
        self._values[name] = copy.deepcopy(value)

    def get(self, name: str, default: Any = NOT_SET) -> Any:
        """Return a copy of the value set here, else in the nearest transaction around this one.

        Raises `ValueError` if there is none and no default.
        """
        holder: BaseTransaction | None = self
        while holder is not None:
            if name in holder._values:
                return copy.deepcopy(holder._values[name])
            holder = holder.parent
        if default is NOT_SET:
            message = (
                f"No value {name!r} was set in this transaction or one around it. "
                f"Call set({name!r}, ...) first, or give get() a default."
            )
            raise ValueError(message)
        return default

    def get_parent(self) -> "BaseTransaction | None":
        """Return the transaction around this one."""
        return self.parent

    def is_pending(self) -> bool:
        """Whether it has not begun."""
        return self.state is TransactionState.PENDING

    def is_active(self) -> bool:
        """Whether it goes on and nothing was staged."""
        return self.state is ACTIVE

    def is_staged(self) -> bool:
        """Whether it has a value that waits for the commit."""
        return self.state is STAGED

    def is_committed(self) -> bool:
        """Whether it is committed; on entry: whether a record of its key exists."""
        return self.state is COMMITTED

    def is_rolled_back(self) -> bool:
        """Whether it is rolled back."""
        return self.state is ROLLED_BACK

    def stage(
        self,
        value: Any,
        on_rollback_hooks: Iterable[Hook] | None = None,
        on_commit_hooks: Iterable[Hook] | None = None,
    ) -> None:
        """Set what a commit writes under the key, and add hooks, called with the transaction.

        Has no effect once the transaction is decided.
        """
        if self._verdict is not None:
            return
        self._staged = value
        self.on_rollback_hooks += on_rollback_hooks or ()
        self.on_commit_hooks += on_commit_hooks or ()
        self.state = STAGED

    @property
    def is_decided(self) -> bool:
        """Whether a commit or roll-back has at least begun."""
        return self._verdict is not None

    @property
    def is_in_block(self) -> bool:
        """Whether there is a block around this transaction."""
        above = self.parent
        while above is not None and above.run_of is not None:
            above = above.parent
        return above is not None

    def decide(self, verdict: TransactionState) -> bool:
        """Settle what becomes of the transaction; `False` if that was settled before."""
        with _deciding:
            if self._verdict is not None:
                return False
            self._verdict = verdict
            return True

    def fail(self) -> None:
        """Overrule the decision to commit: a child that comes now must not follow it."""
        with _deciding:
            self._verdict = ROLLED_BACK

    def adopt(self, child: "BaseTransaction") -> TransactionState | None:
        """Keep a child until the decision, or return what was decided."""
        with _deciding:
            if self._verdict is None:
                self.children.append(child)
            return self._verdict

    def call(self, hook: Hook) -> Any:
        """Call a hook inside the run the transaction belongs to; may return an awaitable."""
        before = self._go_in()
        try:
            value = hook(self)
        finally:
            _go_back(before)
        return self._await(value) if inspect.isawaitable(value) else value

    async def _await(self, value: Awaitable[Any]) -> Any:
        before = self._go_in()
        try:
            return await value
        finally:
            _go_back(before)

    async def call_apart(self, hook: Hook) -> Any:
        """Call a hook from a loop: a sync one in a thread, so that the loop goes on."""
        if inspect.iscoroutinefunction(hook):
            return await self.call(hook)
        value = await asyncio.to_thread(self.call, hook)
        return await value if inspect.isawaitable(value) else value

    def _go_in(self) -> tuple[Execution | None, Scope | None]:
        before = current.get(), scope.get()
        current.set(self.owner)
        scope.set(Scope(self, self.owner, current_cell.get(), is_hook=True))
        return before

    @property
    def has_record(self) -> bool:
        """Whether a commit writes something."""
        if self.run_of is not None:
            return self.record is not None
        return self.store is not None and self._key is not None and self.write_on_commit

    def write(self) -> str | None:
        """Write the record; return a sentence if it could not be kept, or raise."""
        if self.record is not None:
            return self.record()
        store: Any = self.store
        store.write(self._staged, key=self._key, **self._as_holder())
        return None

    def read_record(self) -> Any:
        """Return the record under the key, `None` without a key or store."""
        store: Any = self.store
        if store is None or self.key is None:
            return None
        return store.read(self.key, **self._as_holder())

    def _as_holder(self) -> dict[str, Any]:
        """Return what tells a store that heeds locks that this one has the lock."""
        return {"holder": self._holder} if self.is_locked else {}

    def lock(self) -> None:
        """Wait for the lock on the key. Raises `ConfigurationError` if the store has none."""
        acquire = getattr(self.store, "acquire_lock", None)
        if acquire is None:
            message = (
                f"Transaction {self._key!r} is SERIALIZABLE, but its store "
                f"({type(self.store).__name__}) has no locks. Give it one with `acquire_lock` "
                f"and `release_lock`, or leave out `store=`."
            )
            raise ConfigurationError(message)
        acquire(self._key, self._holder)
        self.is_locked = True
        if self.is_decided:  # who waited for it was interrupted and is gone
            self.unlock()

    def unlock(self) -> None:
        """Let go of the lock on the key, if it is held."""
        with _deciding:
            is_locked, self.is_locked = self.is_locked, False
        if is_locked:
            store: Any = self.store
            store.release_lock(self._key, self._holder)

    def log(self, message: str) -> None:
        """Log an error: to the run's log, or with the logger that was given."""
        if self.logger is not None:
            self.logger.error(message)
        elif self.owner is not None:
            self.owner.services.log(self.owner, 40, message)
        else:
            logging.getLogger("cellist.transactions").error(message)

    def __repr__(self) -> str:
        key = f"key={self.key!r}, " if self.key is not None else ""
        return f"{type(self).__name__}({key}state={self.state.value})"


def _go_back(before: tuple[Execution | None, Scope | None]) -> None:
    current.set(before[0])
    scope.set(before[1])
