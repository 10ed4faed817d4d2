"""What a flow would reuse and what it would run, and why, found out before it runs.

The flow's own code runs, and that of its subflows, in a `rehearsal`; tasks do not. A task whose
key is known and whose result is stored gives that result, so what follows from it is exact. One
that would run gives its `viz_return_value`, else a placeholder, and what depends on it waits.
"""

from collections.abc import Awaitable, Sequence
from statistics import median
from typing import Any, cast

from cellist.engine.inputs import resolve, value_of
from cellist.engine.waiting import run_awaitable
from cellist.exceptions import FlowVisualizationError
from cellist.explaining import foresee, why_always
from cellist.flows import Flow
from cellist.model.reasons import Reason
from cellist.model.runs import Run
from cellist.model.states import COMPLETED
from cellist.persistence import inherit
from cellist.placeholders import REMEDY
from cellist.plans import REUSED, RUNS, UNKNOWN, WAITS, Plan, PlannedCall
from cellist.rehearsal import Call, Rehearsal, value_to_draw_with
from cellist.session import Session, get_session
from cellist.staging import Stage

_PATIENCE = 20.0
"""Seconds to wait until what happened so far is in the history, on a busy machine, too."""
_MOST_NAMED = 3
_FLOW_UNOPENED = Reason(
    "off", "flow", "would run: it is a generator, and what its tasks would do is not told"
)


def plan(flow: Any, *args: Any, **kwargs: Any) -> Plan:
    """Return which tasks of a flow called so would be reused and which would run, and why.

    The code of the flow and of its subflows runs, so what it does besides calling tasks takes
    effect; its tasks do not run, and nothing is stored or recorded. How long a task will take is
    the median of its latest runs in the history. Where the code needs the value of a task that
    did not run, such as in an `if`, the plan ends and says so in `stopped`; a `viz_return_value`
    of the task takes it further.

    Raises what that code raises, what a call with such arguments raises, and `TypeError` if
    `flow` is not a flow.
    """
    __tracebackhide__ = True
    if not isinstance(flow, Flow):
        message = (
            f"plan() takes a flow and its arguments, not {flow!r:.80}. Make the function a flow "
            f"with @flow; for a single task there is cellist.why(task, ...)."
        )
        raise TypeError(message)
    asked = cast("Any", flow)  # of whatever signature
    planner = _Planner(get_session())
    stage = Stage(asked, asked._all(args), kwargs, planner)
    stopped = ""
    try:
        with stage:
            given = stage.begin()
            if asked.isasync:
                run_awaitable(given, None)
    except Exception as error:
        stopped = _stopped_by(stage, error)
        if not stopped:
            raise
    return Plan(asked.name, planner.calls_of(stage.rehearsal), stopped)


def _stopped_by(stage: Stage, error: Exception) -> str:
    """Return how a placeholder kept a flow's code from going on, empty if none can have done so."""
    flow = f"the code of flow `{stage.rehearsal.definition.name}`"
    told = next(iter(str(error).splitlines()), "")
    if isinstance(error, FlowVisualizationError):
        return f"{flow} needs a value that no task has given yet: {told}"
    names = stage.culprits(error)
    if not names:
        return ""
    return (
        f"{flow} stopped with {type(error).__name__}: {told}. {_listed(names)} gave a placeholder, "
        f"for it would run first; if the code needs a value there, give the task one to go on "
        f"with: {REMEDY}."
    )


def _listed(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names[:_MOST_NAMED]]
    if len(names) > _MOST_NAMED:
        shown.append(f"{len(names) - _MOST_NAMED} more")
    *others, last = shown
    return f"{', '.join(others)} and {last}" if others else last


class _Planner:
    """Decides what calls give while a flow is planned, and keeps what it found out about each."""

    def __init__(self, session: Session) -> None:
        session.history.flush(_PATIENCE)
        self._history = session.history
        self._times: dict[tuple[str, str], tuple[float | None, int]] = {}
        self._rows: dict[int, PlannedCall] = {}
        self._makers: dict[Any, str] = {}
        """By key the call in this plan that would compute it."""

    def calls_of(self, rehearsal: Rehearsal) -> list[PlannedCall]:
        """Return what was found out, in the order of the calls."""
        return [self._rows[number] for number in rehearsal.calls]

    def answer(
        self, rehearsal: Rehearsal, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Find out what would come of a call, and give the stored value if there is one."""
        definition: Any = call.run.definition
        call.value = value_to_draw_with(definition)
        if definition.noun == "flow":
            return self._note(call, UNKNOWN, _FLOW_UNOPENED)
        blockers = self._blockers(call)
        if blockers or call.is_many:
            return self._note(call, *self._waiting(rehearsal, call, blockers))
        seen = foresee(definition, args, kwargs)
        if seen.found is not None:
            call.value, call.is_own = seen.found.value, True
            return self._note(call, REUSED, seen.reason)
        maker = self._makers.get(seen.ident) if seen.ident is not None else None
        if maker is not None:
            sentence = f"would be reused: `{maker}` computes it first"
            return self._note(call, REUSED, Reason("hit", "shared", sentence))
        if seen.ident is not None:
            self._makers[seen.ident] = call.run.name
        waits = seen.reason.code == "waits"
        return self._note(call, WAITS if waits else RUNS, seen.reason)

    def _blockers(self, call: Call) -> list[str]:
        """Return the calls whose values a call needs and which are not known."""
        found: list[str] = []
        for number, names in call.sources.items():
            source = self._rows.get(number)
            if source is not None and not source.is_known and set(names) != {"wait_for"}:
                found.append(source.name)
        return found

    def _waiting(
        self, rehearsal: Rehearsal, call: Call, blockers: list[str]
    ) -> tuple[str, Reason, tuple[str, ...]]:
        """Return the verdict on a call whose key is not known yet."""
        definition: Any = call.run.definition
        always = why_always(inherit(definition.plan(), rehearsal.keeping)[0].cache)
        if always is not None:
            return RUNS, always, tuple(blockers)
        shown = _listed(blockers)
        who = f"{shown} gives what it" if len(blockers) == 1 else "they give what they"
        sentence = (
            f"would run: waits for {shown}, which would run "
            f"(may still be reused if {who} gave before)"
        )
        return WAITS, Reason("miss", "waits", sentence), tuple(blockers)

    def _note(
        self, call: Call, verdict: str, reason: Reason, waits_for: tuple[str, ...] = ()
    ) -> None:
        run = call.run
        name, kind = run.definition.name, run.kind
        seconds, runs = (None, 0) if verdict == REUSED else self._expected(name, kind)
        is_known = verdict == REUSED and not call.gave_placeholder and call.is_own
        self._rows[run.number] = PlannedCall(
            run.name,
            name,
            run.flow.definition.name if run.flow is not None else None,
            verdict,
            reason,
            seconds,
            runs,
            waits_for,
            call.is_many,
            is_known,
            not is_known and not call.gave_placeholder,
            "" if call.is_many else _given(run),
        )

    def _expected(self, name: str, kind: str) -> tuple[float | None, int]:
        """Return how long a run will take, if that is known, and from how many runs."""
        found = self._times.get((name, kind))
        if found is None:
            times = self._history.durations(name, kind=kind)
            found = median(times) if times else None, len(times)
            self._times[name, kind] = found
        return found

    def play(
        self,
        rehearsal: Rehearsal,
        flow: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        return_state: bool,
    ) -> Any:
        """Run the code of a subflow, too; return what the call gives, of an async one awaitable."""
        stage = Stage(flow, args, kwargs, self, rehearsal)
        if flow.isasync:
            return self._play_async(stage, args, kwargs, wait_for, return_state)
        try:
            with stage:
                given = stage.begin()
        except Exception as error:
            return self._unopened(stage, error, (args, kwargs, wait_for), return_state)
        return _ended(stage, given, return_state)

    async def _play_async(
        self,
        stage: Stage,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any,
        return_state: bool,
    ) -> Any:
        try:
            with stage:
                pending: Awaitable[Any] = stage.begin()
                given = await pending
        except Exception as error:
            return self._unopened(stage, error, (args, kwargs, wait_for), return_state)
        return _ended(stage, given, return_state)

    def _unopened(
        self, stage: Stage, error: Exception, call: tuple[Any, ...], return_state: bool
    ) -> Any:
        """Give a placeholder for a subflow whose code could not be run to its end."""
        stopped = _stopped_by(stage, error)
        if not stopped:
            raise error
        rehearsal = stage.rehearsal
        outer: Any = rehearsal.parent
        run = outer.noted(rehearsal.definition, *call)
        told = Reason("off", "stopped", f"would run: {stopped}")
        self._rows[run.number] = self._rows[run.number]._replace(reason=told)
        return outer.given(run, return_state)


def _ended(stage: Stage, given: Any, return_state: bool) -> Any:
    """Return what a subflow gives: its value with those of futures in it, or its final state."""
    value = resolve(given, value_of)
    run = stage.rehearsal.run
    run.enter(COMPLETED)
    return run.public_state(value) if return_state else value


def _given(run: Run) -> str:
    """Return what a call is given, without what other calls give it."""
    return ", ".join(f"{name}={text}" for name, text in (run.inputs or {}).items())


__all__ = ["Plan", "PlannedCall", "plan"]
