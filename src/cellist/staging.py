"""The context in which a flow's code runs without its tasks, for a picture or a plan of it."""

from types import TracebackType
from typing import Any, Self

from cellist import settings
from cellist.engine.errors import own_frame, trim
from cellist.engine.execution import Execution, current
from cellist.engine.inputs import find_upstream, resolve, value_of
from cellist.engine.promise import Promise
from cellist.engine.waiting import wait_all
from cellist.exceptions import FlowVisualizationError, ParameterTypeError
from cellist.placeholders import REMEDY, Placeholder, origin_of
from cellist.rehearsal import Rehearsal, Script


class Stage:
    """Runs a flow's code in a rehearsal; `outer` is that of the flow which calls it, if any.

    Raises what a call with such arguments raises before the flow's code begins.
    """

    def __init__(
        self,
        flow: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        script: Script | None = None,
        outer: Rehearsal | None = None,
    ) -> None:
        if outer is None:
            settings.refresh()
        self._before: Execution | None = None
        self.rehearsal = Rehearsal(flow, args, kwargs, script, outer)
        _resolve_inputs(self.rehearsal)
        _prepare(self.rehearsal)

    def begin(self) -> Any:
        """Call the flow's function."""
        x = self.rehearsal
        return x.fn(*x.args, **x.kwargs)

    def culprits(self, error: Exception) -> list[str]:
        """Return the calls whose placeholders an error of the flow's code has to do with."""
        return _culprits(error.__traceback__, self.rehearsal)

    def __enter__(self) -> Self:
        self._before = current.get()
        current.set(self.rehearsal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        current.set(self._before)
        if isinstance(error, Exception):
            _explain(error, self.rehearsal)
            trim(error)


def _resolve_inputs(x: Rehearsal) -> None:
    """Wait for futures among the arguments and put values in their place, as a run does."""
    found, treated = find_upstream(x.plan.shape.named(x.args, x.kwargs))
    if treated:
        wait_all([one.source for one in found if isinstance(one.source, Promise)])
        x.args, x.kwargs = resolve((x.args, x.kwargs), value_of)


def _prepare(x: Rehearsal) -> None:
    """Check the arguments and note them as parameters; placeholders fit every annotation."""
    assert x.plan.prepare is not None  # every flow has its parameters checked
    try:
        x.plan.prepare(x)
    except (ParameterTypeError, FlowVisualizationError):
        if not x.holds_placeholder((x.args, x.kwargs)):
            raise
        x.flow_run.parameters = x.bound()


def _explain(error: Exception, rehearsal: Rehearsal) -> None:
    """Add to an error of the flow's code which placeholders it had to do with, and the remedy."""
    if isinstance(error, FlowVisualizationError):
        return
    names = _culprits(error.__traceback__, rehearsal)
    if names:
        error.add_note(
            f"The tasks of the flow do not run here: {', '.join(names)} gave a placeholder. If the "
            f"code needs a value there, give the task one to go on with: {REMEDY}."
        )


def _culprits(traceback: TracebackType | None, rehearsal: Rehearsal) -> list[str]:
    """Return the calls whose placeholders the failing code held; all of them if it held none."""
    calls = rehearsal.calls
    found: dict[int, None] = {}
    while traceback is not None:
        frame = traceback.tb_frame
        if not own_frame(frame.f_code.co_filename):
            values = list(frame.f_locals.values())
            held = [origin_of(value) for value in values if isinstance(value, Placeholder)]
            inner = dict.fromkeys(number for origin in held for number in origin.numbers)
            found = inner or found  # the innermost frame that holds any
        traceback = traceback.tb_next
    if not found:
        found = dict.fromkeys(n for n, call in calls.items() if call.gave_placeholder)
    return [calls[number].run.name for number in found if number in calls]
