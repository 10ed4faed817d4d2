"""What becomes of a task run's result: stored, staged in a transaction, or undone.

Most runs are in no transaction, and their result is stored when it is there. A run that is in one
is staged: sealed now, so that what happens to the value later does not matter, and stored with the
commit. One that is alone is committed before Completed is announced.
"""

from collections.abc import Callable

from cellist.engine.commands import Offload, Ok, Outcome, Steps, stop_in
from cellist.engine.conclusions import Conclusion
from cellist.engine.deciding import commit_steps, hand_over, rollback_steps, tell_rolled_back
from cellist.engine.execution import Execution
from cellist.engine.reuse import is_partial, seconds, store
from cellist.engine.scopes import make
from cellist.engine.transactions import COMMITTED, BaseTransaction
from cellist.model.reasons import Reason
from cellist.model.transactions import CommitMode


def before_completed(x: Execution, conclusion: Conclusion) -> Steps[BaseException | None]:
    """Store the result; of a run that is a transaction, commit it or stage it for the parent.

    Returns what is to end the run instead, such as an interrupt in a hook.
    """
    if x.plan.is_flow:
        if x.recalls is not None and not is_partial(x):
            return stop_in((yield Offload(x.recalls.keep, x, conclusion.value)))
        return None
    txn: BaseTransaction | None = x.transaction
    is_kept = conclusion.plain and x.plan.cache.__class__ is not Reason and not is_partial(x)
    if txn is not None and not txn.is_decided:
        if is_kept:
            sealed = yield Offload(x.services.cache.seal, x, conclusion.value, seconds(x))
            stop = stop_in(sealed)
            if stop is not None:
                return stop
            txn.record = _record_of(x, sealed)
        hooks = x.plan.hooks
        txn.stage(conclusion.value, hooks.get("on_rollback"), hooks.get("on_commit"))
        stop = yield from _commit_alone(txn, x.plan.is_async)
        if stop is None and x.recalls is not None and txn.is_committed():
            return stop_in((yield Offload(x.recalls.keep, x, conclusion.value)))
        return stop
    if conclusion.plain and (txn is None or txn.is_committed()):
        return (yield from store(x, conclusion.value))
    return None


def _commit_alone(txn: BaseTransaction, apart: bool) -> Steps[BaseException | None]:
    """Commit a run that need not wait for its parent."""
    if txn.parent is None or txn.commit_mode is CommitMode.EAGER:
        return (yield from commit_steps(txn, apart))
    if not (txn.on_commit_hooks or txn.on_rollback_hooks or txn.is_in_block):
        return (yield from _commit_without_children(txn, txn.parent, apart))
    return None


def _record_of(x: Execution, outcome: Outcome) -> Callable[[], str | None] | None:
    """Return what stores a sealed result: its problem counts if the user asked for a cache.

    That the default cache cannot keep what a task returned is no reason to undo the task.
    """
    sealed = outcome.value if isinstance(outcome, Ok) else None
    if sealed is None:
        return None

    def record() -> str | None:
        problem = sealed()
        if problem and x.run.is_final:
            x.run.announce("why")
        return problem if x.plan.cache.explicit else None

    return record


def _commit_without_children(
    txn: BaseTransaction, parent: BaseTransaction, apart: bool
) -> Steps[BaseException | None]:
    """Commit a run that nothing can undo; children that can be undone wait for the parent."""
    txn.decide(COMMITTED)
    stop: BaseException | None = None
    if txn.has_record:
        stop = stop_in((yield Offload(txn.write)))
    txn.record = None
    txn.state = COMMITTED
    for child in txn.children:
        child.parent = parent
        stop = (yield from hand_over(child, apart)) or stop
    return stop


def after_completed(x: Execution) -> Steps[BaseException | None]:
    """Give a staged run to its parent, or say that it was rolled back already."""
    txn: BaseTransaction = x.transaction
    if txn.is_rolled_back():
        tell_rolled_back(txn)
    elif not txn.is_decided:
        return (yield from hand_over(txn, x.plan.is_async))
    return None


def abandon(x: Execution) -> Steps[BaseException | None]:
    """Roll back what an attempt that ends without a result has done so far."""
    if x.transaction is None:
        return None
    return (yield from rollback_steps(x.transaction, x.plan.is_async))


def renew(x: Execution) -> None:
    """Begin a transaction for another attempt."""
    if x.transaction is not None:
        x.transaction = make(x, x.transaction.parent)
