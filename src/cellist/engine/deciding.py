"""The steps by which a transaction begins, and is committed or rolled back.

As the life of a run, they yield commands, so that there is one text of them for sync and async
code. They return what must go on to the caller, such as a KeyboardInterrupt in a hook; ordinary
errors of hooks are logged. `apart` has sync hooks called in threads, for who sits on a loop.
"""

from cellist.engine.commands import Err, Invoke, Offload, Steps, offload
from cellist.engine.errors import shown
from cellist.engine.transactions import ACTIVE, COMMITTED, ROLLED_BACK, BaseTransaction, Hook
from cellist.model.isolation import IsolationLevel
from cellist.model.states import COMPLETED

ROLLED_BACK_MESSAGE = "Task rolled back as part of transaction"


def begin_steps(txn: BaseTransaction) -> Steps[None]:
    """Open a keyed block: wait for its lock, and look whether its record exists.

    Raises `ConfigurationError`, and what the store raises.
    """
    txn.state = ACTIVE
    if txn.store is None or txn.key is None:
        return
    if txn.isolation_level is IsolationLevel.SERIALIZABLE:
        yield from offload(txn.lock)
    if not txn.overwrite and (yield from offload(txn.store.exists, txn.key)):
        txn.decide(COMMITTED)
        txn.state = COMMITTED


def commit_steps(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Commit; roll back if a hook or the record fails. Does nothing if it is decided already."""
    if not txn.decide(COMMITTED):
        return None
    error = yield from _keep(txn, apart)
    if error is None:
        txn.state = COMMITTED
        yield from let_go(txn)
        return None
    stop = yield from _undo(txn, apart)
    return stop if isinstance(error, Exception) else error


def rollback_steps(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Roll back, unless it is decided already."""
    if not txn.decide(ROLLED_BACK):
        return None
    return (yield from _undo(txn, apart))


def hand_over(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Leave the decision to the parent; if that has decided, follow it."""
    verdict = txn.parent.adopt(txn) if txn.parent is not None else COMMITTED
    if verdict is None:
        return None
    step = commit_steps if verdict is COMMITTED else rollback_steps
    return (yield from step(txn, apart))


def _keep(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Commit the children, call the hooks and write; return what kept it from being done."""
    for child in txn.children:
        stop = yield from commit_steps(child, apart)
        if stop is not None:
            return stop
    for hook in txn.on_commit_hooks:
        error = yield from _call(txn, hook, "on_commit", apart)
        if error is not None:
            return error
    if not txn.has_record:
        return None
    outcome = yield Offload(txn.write)
    if isinstance(outcome, Err):
        txn.log(f"The record of {txn!r} could not be written: {shown(outcome.error)}")
        return outcome.error
    return RuntimeError(outcome.value) if outcome.value else None


def _undo(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Call all hooks and roll back all children, whatever fails meanwhile."""
    txn.fail()
    stop = None
    for hook in reversed(txn.on_rollback_hooks):
        error = yield from _call(txn, hook, "on_rollback", apart)
        if error is not None and not isinstance(error, Exception):
            stop = stop or error
    txn.state = ROLLED_BACK
    for child in reversed(txn.children):
        stop = (yield from rollback_steps(child, apart)) or stop
    tell_rolled_back(txn)
    yield from let_go(txn)
    return stop


def _call(txn: BaseTransaction, hook: Hook, kind: str, apart: bool) -> Steps[BaseException | None]:
    outcome = yield Invoke(txn.call_apart if apart else txn.call, (hook,), {}, None, True)
    if not isinstance(outcome, Err):
        return None
    name = getattr(hook, "__name__", type(hook).__name__)
    txn.log(f"Hook {name!r} ({kind}) raised {shown(outcome.error)}")
    return outcome.error


def tell_rolled_back(txn: BaseTransaction) -> None:
    """Have a completed run enter RolledBack."""
    x = txn.run_of
    if x is not None and x.run.state_type is COMPLETED:
        x.run.enter(COMPLETED, "RolledBack", ROLLED_BACK_MESSAGE)


def let_go(txn: BaseTransaction) -> Steps[None]:
    """Release what only an undecided transaction needs."""
    txn.record = None
    if txn.is_locked:
        outcome = yield Offload(txn.unlock)
        if isinstance(outcome, Err):
            txn.log(f"The lock of {txn!r} could not be released: {shown(outcome.error)}")
