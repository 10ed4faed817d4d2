"""Whether a failed attempt is to be followed by another: a part of the life of a run."""

from cellist.engine.commands import Err, Invoke, Steps
from cellist.engine.conclusions import Conclusion
from cellist.engine.errors import describe, retry_message, shown
from cellist.engine.execution import Execution
from cellist.model.retries import delay_before
from cellist.model.runs import Run
from cellist.model.states import FAILED, State

_FIRST_KEPT, _LAST_KEPT = 2, 6
"""Of how many failed attempts that were retried it is kept what ended them."""


def announce_retry(x: Execution, error: BaseException) -> float:
    """Say that a failed attempt is retried, keep what ended it, and return after how many seconds.

    Here and not when the wait has begun: to tell a traceback takes time.
    """
    run, plan = x.run, x.plan
    delay = delay_before(run.attempts - 1, plan.delays, plan.jitter)
    x.services.log(x, 20, retry_message(error, plan, run.attempts, delay))
    _keep_error(run, error)
    return delay


def _keep_error(run: Run, error: BaseException) -> None:
    run.error = describe(error)
    if not hasattr(run, "failed_attempts"):  # most runs have none, so none is made for them
        run.failed_attempts = []
    run.failed_attempts.append((run.attempts, run.error))
    del run.failed_attempts[_FIRST_KEPT:-_LAST_KEPT]


def wants_retry(x: Execution, error: BaseException, given: Conclusion | None) -> Steps[bool]:
    """Ask the task's own condition, if it has one; an error in it is logged and means no."""
    condition = x.plan.condition
    if condition is None:
        return True
    text = f"{x.plan.noun} run encountered unexpected exception: {shown(error)}"
    state = given.state if given else State(FAILED, None, text, error)
    outcome = yield Invoke(condition, (x.definition, x.run, state), {}, None, True)
    if isinstance(outcome, Err):
        x.services.log(
            x,
            40,
            f"`retry_condition_fn` raised {shown(outcome.error)}; the run is not retried.",
        )
        return False
    return bool(outcome.value)
