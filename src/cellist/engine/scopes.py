"""Which transaction is here, and how a block of one is entered and left.

A task run without hooks for it, outside blocks, needs no transaction: it is made the moment
somebody asks for it, or a child that must be able to be rolled back joins it.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from cellist.engine.commands import Steps, offload
from cellist.engine.deciding import begin_steps, commit_steps, hand_over, let_go, rollback_steps
from cellist.engine.drivers import adrive, drive
from cellist.engine.execution import Execution, current, current_cell
from cellist.engine.transactions import (
    ACTIVE,
    COMMITTED,
    ROLLED_BACK,
    BaseTransaction,
    Scope,
    scope,
)
from cellist.model.isolation import IsolationLevel
from cellist.model.states import COMPLETED
from cellist.model.transactions import CommitMode

_making = threading.Lock()


def _here() -> Scope | None:
    """Return the scope of the code that asks. One that an earlier cell left open does not count."""
    found = scope.get()
    return found if found is not None and found.cell is current_cell.get() else None


def innermost() -> BaseTransaction | None:
    """Return the innermost transaction of the code that asks: a block, or the task run itself."""
    return _nearest(current.get(), _here())


def enclosing(above: Execution | None) -> BaseTransaction | None:
    """Return the transaction that what starts here inside a run is a child of.

    What a hook starts is nobody's child: its transaction is about to be decided.
    """
    here = _here()
    return None if here is not None and here.is_hook else _nearest(above, here)


def _nearest(x: Execution | None, here: Scope | None) -> BaseTransaction | None:
    while x is not None:
        if here is not None and here.owner is x:
            return here.transaction
        if not x.plan.is_flow:
            return own(x)
        x = x.parent
    return here.transaction if here is not None else None


def own(x: Execution) -> BaseTransaction:
    """Return the transaction of a task run, made if it has none yet.

    One that is made late is in no block, as those that are get theirs at the start.
    """
    if x.transaction is None:
        above = x.parent
        while above is not None and above.plan.is_flow:
            above = above.parent
        made = make(x, own(above) if above is not None else None)
        if x.run.is_final:  # code that was given up still runs
            made.decide(COMMITTED if x.run.state_type is COMPLETED else ROLLED_BACK)
        with _making:
            if x.transaction is None:
                x.transaction = made
    return x.transaction


def join(x: Execution) -> None:
    """Make the transaction of a run that starts here, if it is a task run and in need of one."""
    if not x.plan.is_flow and (x.plan.transacts or _here() is not None):
        x.transaction = make(x, enclosing(x.parent))


def make(x: Execution, parent: BaseTransaction | None) -> BaseTransaction:
    """Make the transaction of an attempt of a task run."""
    kind = AsyncTransaction if x.plan.is_async else Transaction
    made = kind(state=ACTIVE)
    made.owner = made.run_of = x
    _settle_options(made, parent)
    return made


def _settle_options(txn: BaseTransaction, parent: BaseTransaction | None) -> None:
    txn.parent = parent
    if txn.commit_mode is None:
        txn.commit_mode = parent.commit_mode if parent is not None else CommitMode.LAZY
    if txn.isolation_level is None:
        inherited = parent.isolation_level if parent is not None else None
        txn.isolation_level = inherited or IsolationLevel.READ_COMMITTED


@contextmanager
def _opened(txn: BaseTransaction) -> Generator[None]:
    """Make a block the innermost transaction; it stays so unless the body raises."""
    if txn.before is not None or txn.is_decided:
        message = f"{txn!r} was entered before. Make a new one with transaction()."
        raise RuntimeError(message)
    x = current.get()
    _settle_options(txn, enclosing(x))
    txn.owner = x
    before = scope.get()
    txn.before = (before,)
    scope.set(Scope(txn, x, current_cell.get(), is_hook=False))
    try:
        yield
    except BaseException:
        txn.decide(ROLLED_BACK)
        txn.state = ROLLED_BACK
        txn.unlock()
        _leave(txn)
        raise


def _leave(txn: BaseTransaction) -> None:
    """Put back the scope around a block; in a context where the block is not open, do nothing.

    A coroutine that nobody awaits any more is closed wherever it happens to be collected.
    """
    before, txn.before = txn.before, None
    here = scope.get()
    inside = here.transaction if here is not None else None
    while inside is not None and inside is not txn:
        inside = inside.parent
    if before is not None and inside is txn:
        scope.set(before[0])


def _close_steps(
    txn: BaseTransaction, error: BaseException | None, apart: bool
) -> Steps[BaseException | None]:
    """End a block: decide it, unless that is its parent's."""
    stop = None
    is_own = txn.parent is None or txn.commit_mode is CommitMode.EAGER
    if error is not None or (is_own and txn.commit_mode is CommitMode.OFF):
        stop = yield from rollback_steps(txn, apart)
    elif is_own:
        stop = yield from commit_steps(txn, apart)
    return (yield from _reset_steps(txn, apart)) or stop


def _reset_steps(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Leave a block; what is undecided is its parent's, and a failed one fails a block around."""
    _leave(txn)
    parent = txn.parent
    if txn.is_decided:
        yield from let_go(txn)
        if txn.is_rolled_back() and parent is not None and parent.run_of is None:
            return (yield from rollback_steps(parent, apart))
        return None
    return (yield from hand_over(txn, apart)) if parent is not None else None


def _raise(stop: Any) -> None:
    if stop is not None:
        raise stop


class Transaction(BaseTransaction):
    """A transaction of sync code; `with transaction() as txn:` or a run of a sync task."""

    __slots__ = ()

    def _do(self, steps: Steps[Any]) -> Any:
        return drive(steps, self.owner)

    def __enter__(self) -> Self:
        with _opened(self):
            self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            _raise(self._do(_close_steps(self, error, apart=False)))
        finally:
            _leave(self)

    def begin(self) -> None:
        """Take the lock on the key if that is asked for, and see whether a record exists."""
        self._do(begin_steps(self))

    def read(self) -> Any:
        """Return the record under the key, `None` without a key or store."""
        return self.read_record()

    def commit(self) -> bool:
        """Commit now; whether that was done. A hook or write that fails rolls back instead."""
        if self.is_decided:
            return False
        _raise(self._do(commit_steps(self, apart=False)))
        return self.is_committed()

    def rollback(self) -> bool:
        """Roll back now; `False` if the transaction was decided before."""
        if self.is_decided:
            return False
        _raise(self._do(rollback_steps(self, apart=False)))
        return self.is_rolled_back()

    def reset(self) -> None:
        """Leave the block without deciding: that is the parent's then."""
        _raise(self._do(_reset_steps(self, apart=False)))


class AsyncTransaction(BaseTransaction):
    """A transaction of async code; `async with atransaction() as txn:` or a run of an async task.

    Sync hooks are called in a thread.
    """

    __slots__ = ()

    async def _do(self, steps: Steps[Any]) -> Any:
        return await adrive(steps, self.owner)

    async def __aenter__(self) -> Self:
        with _opened(self):
            await self.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            _raise(await self._do(_close_steps(self, error, apart=True)))
        finally:
            _leave(self)

    async def begin(self) -> None:
        """Take the lock on the key if that is asked for, and see whether a record exists."""
        await self._do(begin_steps(self))

    async def read(self) -> Any:
        """Return the record under the key, `None` without a key or store."""
        return await self._do(offload(self.read_record))

    async def commit(self) -> bool:
        """Commit now; whether that was done. A hook or write that fails rolls back instead."""
        if self.is_decided:
            return False
        _raise(await self._do(commit_steps(self, apart=True)))
        return self.is_committed()

    async def rollback(self) -> bool:
        """Roll back now; `False` if the transaction was decided before."""
        if self.is_decided:
            return False
        _raise(await self._do(rollback_steps(self, apart=True)))
        return self.is_rolled_back()

    async def reset(self) -> None:
        """Leave the block without deciding: that is the parent's then."""
        _raise(await self._do(_reset_steps(self, apart=True)))
