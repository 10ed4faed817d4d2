"""The life of a run, from top to bottom.

`run_steps` is a generator: it yields a command whenever something takes time and is sent the
outcome (see `commands`). It knows no clock, thread, loop, socket or file, so a test can step
through it by hand. Tasks and flows, sync and async, take the same steps; their differences are
values in the plan. It returns the run's outcome and never raises a user's error.

    inputs → name, parameters → Running → cache → attempts → conclusion → store → final → hooks

The usual case, a task without inputs to wait for, hooks or cache, passes only `if`s on its way
from Running to the invocation; everything rare is in a sub-generator of its own.
"""

from typing import Any

from cellist.engine.children import drop_children, wait_for_children
from cellist.engine.commands import (
    NOTHING,
    Crash,
    Elsewhere,
    Err,
    Given,
    Held,
    Invoke,
    Ok,
    Outcome,
    Sleep,
    Steps,
    Wait,
    Waker,
)
from cellist.engine.commits import abandon, after_completed, before_completed, renew
from cellist.engine.conclusions import Conclusion, conclude, is_special
from cellist.engine.errors import (
    crash_message,
    describe,
    failure_message,
    one_line,
    shown,
    trim,
)
from cellist.engine.execution import Execution, FlowExecution
from cellist.engine.far import conclude_far, take_inputs
from cellist.engine.inputs import ATOMS, check_arguments, find_upstream, resolve_call
from cellist.engine.pausing import Suspension
from cellist.engine.retrying import announce_retry, wants_retry
from cellist.engine.reuse import find, store
from cellist.engine.slots import give_slots_back, take_slots
from cellist.engine.streams import consume, is_generator, stream
from cellist.exceptions import (
    CancelledRun,
    ConcurrencySlotAcquisitionError,
    HashError,
    IllegalTransition,
    UpstreamTaskError,
)
from cellist.model.facts import Arguments
from cellist.model.previews import short
from cellist.model.reasons import Reason
from cellist.model.states import (
    CANCELLED,
    COMPLETED,
    CRASHED,
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
)

CANCEL_MESSAGE = "Cancelled on request."
STOP_MESSAGE = "Stopped by an interrupt of the kernel."


def run_steps(x: Execution) -> Steps[Outcome]:  # noqa: C901, PLR0912, PLR0915 - flat for speed: the usual case is a walk through `if`s
    """Take a run from Pending to its final state and return its outcome."""
    run, plan = x.run, x.plan
    try:
        if x.waits is not None or plan.prepares or run.tags:
            problem = yield from _prepare(x)
            if problem is not None:
                return problem
        if x.cancelling:
            return (yield from _end(x, CancelledRun(CANCEL_MESSAGE)))
        run.enter(RUNNING)
        if plan.hooks:
            yield from _hooks(x, "on_running")
        computes = plan.cache.__class__ is Reason and x.recalls is None
        if computes:
            run.why = None if plan.is_flow else plan.cache
        else:
            hit = x.services.cache.recall(x) if x.recalls is None else None
            if hit is None:
                hit = yield from find(x)
            if isinstance(hit, Err):
                return (yield from _end_unrun(x, hit))
            if hit is not None:
                x.transaction = None  # committed by the run that stored it
                if run.preview is None:  # of a result that was found it may be known
                    run.preview = short(hit.value)
                run.enter(COMPLETED, "Cached")
                if plan.hooks:
                    yield from _hooks(x, "on_completion", hit.value)
                return hit if hit.__class__ is Ok else Ok(hit.value)
            x.began = x.services.now()
        while True:
            outcome = (yield x) if x.steps is None else (yield from stream(x))
            if (
                type(outcome) is Ok
                and not plan.is_flow
                and not x.cancelling
                and (outcome.value.__class__ in ATOMS or not is_special(outcome.value))
                and x.transaction is None
            ):
                if not computes:
                    stop = yield from store(x, outcome.value)
                    if stop is not None:
                        return (yield from _end(x, stop))
                elif x.flow is not None and x.flow.spares is not None:
                    x.flow.spares.add(x, outcome.value)
                if run.preview is None:  # of a result that was stored it is known
                    run.preview = short(outcome.value)
                run.enter(COMPLETED)
                if plan.hooks:
                    yield from _hooks(x, "on_completion", outcome.value)
                return outcome
            ended = yield from _conclude(x, outcome)
            if ended is not None:
                return ended
    except IllegalTransition:
        if not x.cancelling or run.is_final:
            raise
        return (yield from _end(x, CancelledRun(CANCEL_MESSAGE)))  # asked for a moment ago
    except BaseException:
        _abort(x)  # the driver was interrupted between two steps, or we have a fault of our own
        raise
    finally:
        if x.permit is not None:
            give_slots_back(x)
        if x.flight is not None:
            x.services.cache.land(x)


def _abort(x: Execution) -> None:
    """Leave no run without an end."""
    if isinstance(x, FlowExecution):
        x.services.cancel_children(x)
    if x.run.is_final:
        return
    if x.services.interrupted():
        x.run.enter(CANCELLED, None, STOP_MESSAGE)
    elif x.cancelling:
        x.run.enter(CANCELLED, None, CANCEL_MESSAGE)
    else:
        x.run.enter(CRASHED, None, "Execution was aborted before it could end.")


def _take_inputs(x: Execution) -> Steps[Outcome | None]:
    """Wait for the promises among the inputs and put their values in place."""
    waiting = [promise for promise in x.waits or () if promise.outcome is None]
    if waiting:
        outcome = yield Wait(waiting)
        if isinstance(outcome, Err):
            return (yield from _end(x, outcome.error))
    take = yield from take_inputs(x)
    if isinstance(take, Err):
        return (yield from _end(x, take.error))
    try:
        for upstream in find_upstream([("wait_for", x.wait_for)])[0]:
            take(upstream)
        named = x.plan.shape.named(x.args, x.kwargs)
        check_arguments(named)
        x.args, x.kwargs = resolve_call(named, len(x.args), take)
    except UpstreamTaskError as error:
        x.run.why = Reason("off", "upstream", f"did not run: {error.upstream}")
        x.run.enter(PENDING, "NotReady", str(error))
        error.args = (f"{x.run.name} {x.run.why}. {error}",)
        return Err(error.with_traceback(None))  # all of it is ours
    except Exception as error:
        return (yield from _fail(x, error))
    x.run.call = Arguments(x.args, x.kwargs)
    return None


def _prepare(x: Execution) -> Steps[Outcome | None]:
    """Wait for the inputs, check them, name the run as it asks, and take slots for its tags."""
    if x.cancelling:
        return (yield from _end(x, CancelledRun(CANCEL_MESSAGE)))
    if x.waits is not None:
        problem = yield from _take_inputs(x)
        if problem is not None:
            return problem
    step = x.plan.prepare
    try:
        if step is not None:
            step(x)
    except Exception as error:
        return (yield from _fail(x, error, "Validation of flow parameters failed with error: "))
    try:
        if x.plan.naming is not None:
            x.run.name = x.plan.naming(x)
            x.run.announce("name")
    except Exception as error:
        return (yield from _fail(x, error))
    if x.plan.is_flow:
        x.services.narrate_beginning(x)
    return (yield from _take_slots(x))


def _take_slots(x: Execution) -> Steps[Outcome | None]:
    """Take a slot of each limit of the run's tags; an outcome means that there was none for it."""
    error = yield from take_slots(x)
    if error is None:
        return None
    end = _fail if isinstance(error, ConcurrencySlotAcquisitionError) else _end
    return (yield from end(x, error))


def _end_unrun(x: Execution, hit: Err) -> Steps[Outcome]:
    """End a run that is not to compute: a strict one fails, any other was ended from outside."""
    error = hit.error
    if isinstance(hit, Held) and not isinstance(error, CancelledRun):
        return (yield from _fail(x, error, None, hit.message))
    if not isinstance(error, HashError):
        return (yield from _end(x, error))
    stop = yield from abandon(x)
    return (yield from _fail(x, error) if stop is None else _end(x, stop))


def _conclude(x: Execution, outcome: Outcome) -> Steps[Outcome | None]:
    """Decide what an attempt led to. `None` means that another attempt is to be made."""
    if isinstance(outcome, Elsewhere):
        return (yield from conclude_far(x, outcome, _conclude))
    if isinstance(outcome, Ok) and is_generator(outcome.value):
        outcome = yield consume(outcome.value, x.plan.timeout)
    if isinstance(outcome, Ok) and isinstance(x, FlowExecution):
        outcome = yield from wait_for_children(x, outcome)
    if isinstance(outcome, Err):
        error = trim(outcome.error)
        if not isinstance(error, Exception) or x.cancelling or isinstance(outcome, Crash):
            return (yield from _end(x, error))
        stopped = yield from drop_children(x, error)
        if stopped is not None:
            return (yield from _end(x, stopped.error))
        return (yield from _failed_attempt(x, error, None))
    if x.cancelling:
        return (yield from _end(x, CancelledRun(CANCEL_MESSAGE)))
    try:
        conclusion = conclude(outcome.value, x.plan.is_flow)
    except Exception as error:
        return (yield from _failed_attempt(x, trim(error), None))
    return (yield from _enter_conclusion(x, conclusion))


def _enter_conclusion(x: Execution, conclusion: Conclusion) -> Steps[Outcome | None]:
    if conclusion.type is COMPLETED:
        stop = yield from before_completed(x, conclusion)
        if stop is not None:
            return (yield from _end(x, stop))
        return (yield from _complete(x, conclusion))
    if conclusion.type is FAILED:
        return (yield from _failed_attempt(x, conclusion.error, conclusion))
    yield from abandon(x)
    x.run.enter(conclusion.type, conclusion.name, conclusion.message)
    if x.plan.hooks:
        which = {CANCELLED: "on_cancellation", CRASHED: "on_crashed"}.get(conclusion.type, "")
        yield from _hooks(x, which, conclusion.data)
    return conclusion.outcome(x.plan.is_flow)


def _failed_attempt(
    x: Execution, error: BaseException, given: Conclusion | None
) -> Steps[Outcome | None]:
    """Retry if the plan allows, else fail. `given` is a failed state that user code returned."""
    run, plan = x.run, x.plan
    stop = yield from abandon(x)
    if stop is not None:
        return (yield from _end(x, stop))
    message = given.message if given else failure_message(error, plan)
    if run.attempts <= plan.retries and (yield from wants_retry(x, error, given)):
        delay = announce_retry(x, error)
        if delay or plan.is_flow:
            word = yield from _wait_for_retry(x, delay, message)
            if isinstance(word, BaseException):
                return (yield from _end(x, word))
            if word == "give_up":
                return (yield from _fail(x, error, None, message, given))
        if isinstance(x, FlowExecution) and x.attempts is not None:
            x.attempts.ended(x, error)
        return (yield from _begin_again(x))
    if plan.retries:
        text = f"{plan.noun} run failed with exception: {shown(error)} - Retries are exhausted"
        x.services.log(x, 40, text)
    return (yield from _fail(x, error, None, message, given))


def _begin_again(x: Execution) -> Steps[Outcome | None]:
    """Begin another attempt, unless there is no slot for it."""
    problem = yield from _take_slots(x)
    if problem is not None:
        return problem
    if isinstance(x, FlowExecution):
        x.failures.clear()  # those of the attempt before
    renew(x)
    x.run.error = None
    x.run.enter(RUNNING, None if x.plan.is_flow else "Retrying")
    x.began = x.services.now()
    if x.plan.hooks:
        yield from _hooks(x, "on_running")
    return None


def _wait_for_retry(
    x: Execution, delay: float, message: str | None
) -> Steps[str | BaseException | None]:
    """Hold the run in AwaitingRetry until it is due or somebody decides otherwise.

    Returns the word of who decided, and what ended the wait if the run is not to go on.
    """
    x.waker = Waker()
    x.run.due = x.services.now() + int(delay * 1_000_000_000)
    x.run.enter(SCHEDULED, "AwaitingRetry", message)
    give_slots_back(x)
    if x.cancelling:
        return CancelledRun(CANCEL_MESSAGE)
    outcome = yield Sleep(delay, x.waker)
    x.waker, x.run.due = None, 0
    if isinstance(outcome, Err):
        return outcome.error
    return CancelledRun(CANCEL_MESSAGE) if x.cancelling else outcome.value


def _fail(
    x: Execution,
    error: BaseException,
    prefix: str | None = None,
    message: str | None = None,
    given: Conclusion | None = None,
) -> Steps[Outcome]:
    """Enter Failed, call the hooks and return the outcome a caller gets."""
    run = x.run
    run.error = describe(error)
    x.note_failure(error)
    if prefix is not None:
        message = f"{prefix}{type(error).__name__}: {one_line(error)}"
    name = given.name if given else "TimedOut" if isinstance(error, TimeoutError) else None
    run.enter(FAILED, name, message or (None if given else failure_message(error, x.plan)))
    data = given.data if given else error
    if x.plan.hooks:
        yield from _hooks(x, "on_failure", data)
    return Err(error) if given is None else given.outcome(x.plan.is_flow)


def _complete(x: Execution, conclusion: Conclusion) -> Steps[Outcome]:
    value = conclusion.value
    if x.run.preview is None:
        x.run.preview = short(value)
    x.run.enter(COMPLETED, conclusion.name, conclusion.message)
    if x.transaction is not None:
        stop = yield from after_completed(x)
        if stop is not None:
            return Err(stop)
    if x.plan.hooks:
        data = value if conclusion.plain else conclusion.data
        yield from _hooks(x, "on_completion", data)
    return Ok(value) if conclusion.plain else Given(value, conclusion.data)


def _end(x: Execution, error: BaseException) -> Steps[Outcome]:
    """End a run that was cancelled, interrupted or crashed. No retries; the error goes on."""
    run = x.run
    yield from abandon(x)
    if isinstance(x, FlowExecution):
        x.services.cancel_children(x)
        if isinstance(error, Suspension) and not x.cancelling:
            return error.take_effect()
    hook, data = "on_cancellation", error
    if x.cancelling or isinstance(error, CancelledRun):
        run.enter(CANCELLED, None, CANCEL_MESSAGE)
        if not isinstance(error, CancelledRun):
            data = CancelledRun(f"{x.plan.noun} run {run.name!r} was cancelled.")
    elif x.is_cancelled_above():
        run.enter(CANCELLED, None, CANCEL_MESSAGE)  # and the error goes on to who is to stop
    elif x.services.interrupted():
        run.enter(CANCELLED, None, STOP_MESSAGE)
    else:
        hook = "on_crashed"
        run.error = describe(error)
        run.enter(CRASHED, None, crash_message(error))
    if x.plan.hooks:
        yield from _hooks(x, hook, data)
    return Err(data)


def _hooks(x: Execution, which: str, data: Any = NOTHING) -> Steps[None]:
    """Call the hooks of one kind in order; an error in one is logged and the next is called."""
    for hook in x.plan.hooks.get(which, ()):
        state = x.run.public_state() if data is NOTHING else x.run.public_state(data)
        x.services.tell_hook(x, hook, state)
        outcome = yield Invoke(hook, (x.definition, x.run, state), {}, None, True)
        x.services.tell_hook_end(x, hook, which, outcome)
