"""Exceptions as users and records see them: without cellist's own frames, and as text."""

import os
import traceback
from types import TracebackType
from typing import TYPE_CHECKING

from cellist.engine.plan import Plan
from cellist.exceptions import FlowRunTimeoutError, TaskRunTimeoutError, TerminationSignal
from cellist.model.later import later
from cellist.model.runs import ErrorInfo

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - compared with co_filename, which is text
_LONGEST = 20_000  # characters of a traceback that a record keeps


def own_frame(filename: str) -> bool:
    """Whether a frame's file is part of cellist."""
    return filename.startswith(_OWN)


def trim(error: BaseException) -> BaseException:
    """Cut cellist's frames out of the traceback of an exception, in place, and return it.

    With them go the frames of the standard library next to them, by which our code awaits the
    user's, or waits for it. What the user awaits stays as it is.
    """
    kept: list[TracebackType] = []
    step = error.__traceback__
    after_own = False
    while step is not None:
        after_own = own_frame(step.tb_frame.f_code.co_filename) or (after_own and _awaits(step))
        if not after_own:
            kept.append(step)
        step = step.tb_next
    following: TracebackType | None = None
    for step in reversed(kept):
        following = TracebackType(following, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return error.with_traceback(following)  # a frozen exception refuses the assignment


def _awaits(step: TracebackType) -> bool:
    return str(step.tb_frame.f_globals.get("__name__", "")).startswith(("asyncio.", "threading"))


def describe(error: BaseException) -> ErrorInfo:
    """Return an exception as text: its type, message and traceback without cellist's frames."""
    text = "".join(traceback.format_exception(error))
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n…\n{text[-_LONGEST // 2 :]}"
    return ErrorInfo(type(error).__name__, one_line(error), text)


def one_line(error: BaseException) -> str:
    """Return the text of an exception, also of one whose own `__str__` fails."""
    try:
        return str(error)
    except Exception as broken:
        return f"<unprintable, its __str__ raised {type(broken).__name__}>"


def shown(error: BaseException) -> str:
    """Return the `repr` of an exception, also of one whose own `__repr__` fails."""
    try:
        return repr(error)
    except Exception as broken:
        return f"<{type(error).__name__}, its __repr__ raised {type(broken).__name__}>"


def failure_message(error: BaseException, plan: Plan) -> str:
    """Return what a Failed state says about the exception that ended an attempt."""
    noun = plan.noun
    own = FlowRunTimeoutError if plan.is_flow else TaskRunTimeoutError
    if isinstance(error, own) and plan.timeout is not None:
        return f"{noun} run exceeded timeout of {plan.timeout} second(s)"
    if isinstance(error, TimeoutError):
        return f"{noun} run failed due to timeout: {shown(error)}"
    gap = ": " if plan.is_flow else " "
    return f"{noun} run encountered an exception{gap}{type(error).__name__}: {one_line(error)}"


def retry_message(error: BaseException, plan: Plan, number: int, delay: float) -> str:
    """Return what is logged about a failed attempt that is retried for the `number`-th time."""
    when = f"{delay:g} second(s) from now" if delay else "immediately"
    return (
        f"{plan.noun} run failed with exception: {shown(error)} - "
        f"Retry {number}/{plan.retries} will start {when}"
    )


def crash_message(error: BaseException) -> str:
    """Return what a Crashed state says about the exception that ended the run."""
    if isinstance(error, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if isinstance(error, TerminationSignal):
        return "Execution was aborted by a termination signal."
    if isinstance(error, SystemExit):
        return "Execution was aborted by Python system exit call."
    if isinstance(error, asyncio.CancelledError):
        return "Execution was cancelled by the runtime environment."
    return (
        f"Execution was interrupted by an unexpected exception: "
        f"{type(error).__name__}: {one_line(error)}"
    )
