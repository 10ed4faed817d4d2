"""Whether a failed attempt is to be followed by another: a part of the life of a run."""

from cellist.engine.commands import Err, Invoke, Steps
from cellist.engine.conclusions import Conclusion
from cellist.engine.errors import shown
from cellist.engine.execution import Execution
from cellist.model.states import FAILED, State


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
