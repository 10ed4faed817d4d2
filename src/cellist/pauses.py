"""How a pause goes: it is begun, somebody answers, and it is ended. See `flow_runs`."""

from types import FrameType
from typing import Any

from cellist.answers import answer_from_file, can_be_resumed, identity_of, note_answer
from cellist.engine.commands import Err, Ok
from cellist.engine.execution import FlowExecution, current_for_user, enclosing_flow
from cellist.engine.pausing import FlowPause, Suspension, book_of
from cellist.exceptions import FlowPauseTimeout, NotPausedError, ObjectNotFound, UnattendedPause
from cellist.forms import Wanted
from cellist.model.awaited import is_awaited
from cellist.model.runs import FlowRun
from cellist.model.states import PAUSED
from cellist.placeholders import Origin, Placeholder
from cellist.rehearsal import Rehearsal
from cellist.session import Session, get_session

_PATIENCE = 5.0
"""Seconds to wait until what happened so far has been written."""


def wants_coroutine(frame: FrameType) -> bool:
    """Whether who calls is to await: in a coroutine function, or where the `await` stands there."""
    execution = current_for_user()
    if execution is None or isinstance(execution, Rehearsal):
        return is_awaited(frame)
    return execution.plan.is_async or is_awaited(frame)


class Behind:
    """A pause that has to wait for another one of its flow."""

    def __init__(self, other: FlowPause, wanted: FlowPause) -> None:
        self.other = other
        self.wanted = wanted

    def again(self) -> "FlowPause | Ok | Behind":
        """Begin anew, now that the other one is over."""
        return _open(self.wanted)


def begin_pause(kind: Any, timeout: float | None, key: str | None) -> FlowPause | Ok | Behind:
    """Pause the flow around the code that asks; an `Ok` if this was answered before.

    Raises what `pause_flow_run` raises.
    """
    flow = _flow_here("paused")
    if flow is None:
        return Ok(_stand_in(kind))
    wanted = None if kind is None else Wanted(kind)
    book = book_of(flow)
    name = key or book.next_key(flow.run.attempts)
    if name in book.answers:
        return Ok(book.answers[name])
    return _open(FlowPause(flow, name, wanted, timeout, stops=False))


def _check_attended(session: Session, pause: FlowPause) -> None:
    """Raise `UnattendedPause` where nobody could end the pause."""
    if can_be_resumed(session, pause) is False:
        raise UnattendedPause(_unattended(pause))


def _stand_in(kind: Any) -> Any:
    """Return what stands for an answer where a flow is only drawn or planned."""
    return None if kind is None else Placeholder(Origin((), "the answer", is_many=False))


def _flow_here(what: str) -> FlowExecution | None:
    """Return the flow to pause; `None` in a rehearsal. Raises `RuntimeError` outside flows."""
    execution = current_for_user()
    if isinstance(execution, Rehearsal):
        return None
    flow = enclosing_flow(execution)
    if flow is None or flow.is_detached:
        message = f"Flow runs can only be {what} from inside a flow"
        if flow is not None:
            message += f", and this task runs in another process. Ask in flow {flow.run.name!r}"
        raise RuntimeError(f"{message}.")
    return flow


def _open(pause: FlowPause) -> FlowPause | Ok | Behind:
    """Make the flow paused, unless its pause was answered or has to wait for another one."""
    flow = pause.flow
    other = book_of(flow).begin(pause)
    if other is not None:
        return Behind(other, pause)
    session: Session = flow.services
    try:
        found = answer_from_file(pause)
        if found is None:
            _check_attended(session, pause)
        pause.enter(_asks(pause))
        if flow.cancelling:
            pause.cancel()
        elif found is not None:
            note_answer(pause, found.value, "from the file of answers")
        else:
            session.log(flow, 20, f"{_asks(pause)} {_how(pause)}")
            if session.desk.show is not None:
                session.desk.show(pause)
    except BaseException:
        book_of(flow).end(pause)
        raise
    return pause


def end_pause(pause: FlowPause) -> None:
    """Let nobody answer any more."""
    pause.cancel()  # if it is open still, its time is up or its code was stopped
    book_of(pause.flow).end(pause)


def value_of(pause: FlowPause, timeout: float | None) -> Any:
    """Return the answer. Raises `CancelledRun`, or `FlowPauseTimeout` if there is none."""
    __tracebackhide__ = True
    outcome = pause.outcome
    if isinstance(outcome, Ok):
        return outcome.value
    if pause.flow.cancelling and isinstance(outcome, Err):
        raise outcome.error
    message = (
        f"Flow run {pause.flow.run.name!r} was paused, and nobody resumed it within "
        f"{timeout:g} seconds."
    )
    raise FlowPauseTimeout(message)


def suspend(kind: Any, flow_run_id: Any, timeout: float | None, key: str | None) -> Any:
    """Stop the code that asks, unless this was answered; see `suspend_flow_run`."""
    __tracebackhide__ = True
    execution = current_for_user()
    flow = _flow_here("suspended")
    if flow is None:
        return _stand_in(kind)
    if flow_run_id is not None and str(flow_run_id) not in (str(flow.run.id), flow.run.name):
        message = (
            f"Only a flow itself can suspend its run; to stop another, there is "
            f"cellist.cancel({flow_run_id!r})."
        )
        raise RuntimeError(message)
    if execution is not flow or flow.parent is not None:
        message = "Cannot suspend from a task or a subflow, only from the outermost flow itself."
        raise RuntimeError(message)
    session: Session = flow.services
    book = book_of(flow)
    identity = identity_of(flow)
    book.answers.update(session.desk.answered.pop(identity, {}))
    name = key or book.next_key(flow.run.attempts)
    if name in book.answers:
        return book.answers[name]
    wanted = None if kind is None else Wanted(kind)
    pause = FlowPause(flow, name, wanted, timeout, stops=True)
    found = answer_from_file(pause)
    if found is not None:
        book.answers[name] = found.value
        return found.value
    session.desk.answered[identity] = dict(book.answers)
    session.desk.suspended[flow.run.number] = pause
    if session.desk.show is not None:
        session.desk.show(pause)
    raise Suspension(pause, f"{_asks(pause)} {_how(pause)}")


def resume(which: Any, given: Any) -> None:
    """Answer the pause of a flow run; see `resume_flow_run`."""
    __tracebackhide__ = True
    pause = pause_of(which)
    run = pause.flow.run
    if pause.due and pause.due < pause.flow.services.now():
        message = f"Flow run {run.name!r} waits no longer to be resumed."
        raise FlowPauseTimeout(message)
    value = pause.wanted.from_code(given) if pause.wanted is not None else None
    if not note_answer(pause, value, "from code"):
        raise NotPausedError(_not_paused(run))


def pause_of(which: Any) -> FlowPause:
    """Return the pause of a flow run. Raises `ObjectNotFound` or `NotPausedError`."""
    session = get_session()
    wanted = getattr(which, "flow_run_id", None) or which
    number = getattr(wanted, "number", None) or getattr(wanted, "int", None)
    for one, pause in session.desk.suspended.items():
        name = (pause.flow.run.name, pause.flow.run.definition.name, pause.flow.run.id.hex)
        if one == number or str(wanted).replace("-", "") in name or str(wanted) in name:
            return pause
    try:
        x = session.find(getattr(wanted, "number", wanted))
    except ObjectNotFound:
        session.history.flush(_PATIENCE)
        record = session.history.run(str(getattr(wanted, "id", wanted)))
        raise NotPausedError(_not_paused(record)) from None
    pause = x.pauses.open if isinstance(x, FlowExecution) and x.pauses is not None else None
    if pause is None or x.run.state_type is not PAUSED:
        raise NotPausedError(_not_paused(x.run))
    return pause


def _not_paused(run: Any) -> str:
    state = getattr(run, "state_name", None) or run.state
    return f"Cannot resume run {run.name!r}: it is not paused but {state}."


def _asks(pause: FlowPause) -> str:
    """Return in a sentence what a pause waits for."""
    if pause.wanted is None:
        return "Waits to be resumed."
    names = ", ".join(f"`{field['name']}`" for field in pause.wanted.fields())
    hint = f" ({pause.wanted.hint})" if pause.wanted.hint else ""
    return f"Waits for input {names}{hint}."


def _how(pause: FlowPause) -> str:
    run: FlowRun = pause.flow.flow_run
    what = "" if pause.wanted is None else f", run_input={pause.wanted.example}"
    return f"Resume it by cellist.resume_flow_run({str(run.id)!r}{what})."


def _unattended(pause: FlowPause) -> str:
    flow = pause.flow.run.definition.name
    return (
        f"Flow {flow!r} would pause here (key {pause.key!r}), but nobody is there to answer: this "
        f"notebook or script runs by itself. {_asks(pause)} Put the answer into a JSON file, "
        f'{{"{flow}.{pause.key}": ...}}, and set CELLIST_INPUTS to its path.'
    )


__all__ = [
    "Behind",
    "begin_pause",
    "end_pause",
    "pause_of",
    "resume",
    "suspend",
    "value_of",
    "wants_coroutine",
]
