"""Start runs: make the execution of a call and have a driver carry it out.

Shared by tasks and flows. The order on the way in is: bind (an error here creates no run), make
the run, announce it as Pending, carry it out. On the way out the caller gets the value, the
user's own exception, or with `return_state` the final state.
"""

import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from cellist import settings
from cellist.carriers import AwaitedRun, ThreadRun
from cellist.engine.commands import Declared, Err, Given, Ok, Outcome
from cellist.engine.drivers import adrive, drive
from cellist.engine.errors import crash_message, trim
from cellist.engine.execution import (
    Execution,
    FlowExecution,
    active_tags,
    current,
    current_cell,
    enclosing_flow,
)
from cellist.engine.inputs import ATOMS, Upstream, find_upstream
from cellist.engine.lineage import check_no_circle, remember_result, upstream_of
from cellist.engine.plan import Plan
from cellist.engine.promise import Promise, outcome_data
from cellist.engine.scheduler import Work
from cellist.engine.scopes import join, scope
from cellist.engine.steps import run_steps
from cellist.engine.waiting import running_loop
from cellist.exceptions import CancelledRun
from cellist.futures import PrefectFuture
from cellist.model.facts import Arguments
from cellist.model.later import later
from cellist.model.runs import FlowRun, TaskRun
from cellist.model.states import CANCELLED, COMPLETED, CRASHED, PENDING, State
from cellist.persistence import inherit
from cellist.prints import logging_prints
from cellist.rehearsal import Rehearsal
from cellist.runlogs import ends_are_asked_for, narrate_end
from cellist.runners.loops import LoopWork, loop_for
from cellist.task_runners import TaskRunner, ThreadPoolTaskRunner

if TYPE_CHECKING:
    import asyncio

    from cellist import flow_memory, session
    from cellist.engine import stopping
else:
    asyncio = later("asyncio", globals())
    flow_memory = later("cellist.flow_memory", globals())
    stopping = later("cellist.engine.stopping", globals())
    session = later("cellist.session", globals())


def new_execution(  # noqa: C901 - flat for speed: every call passes here
    definition: Any,
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any = None,
    origins: Sequence[Upstream] = (),
    make_run: Callable[..., Any] = TaskRun,
) -> Execution:
    """Make the execution of a call inside the present context, and its run, in Pending.

    `origins` are runs that the arguments came from and that they no longer show. `make_run` makes
    the run of a task that is known already. That the arguments fit was checked by the caller:
    a call that does not fit makes no run.
    """
    parent = current.get()
    if parent is None:
        services: session.Session = session.get_session()
        services.tells_ends = ends_are_asked_for()
        flow = above = keeping = None
        cell = current_cell.get()
    else:
        services = parent.services
        flow = parent if isinstance(parent, FlowExecution) else parent.flow
        above = parent.run
        keeping = parent.keeping
        cell = above.cell
    tags = active_tags.get()
    tags = plan.tags | tags if tags else plan.tags
    flow_run: Any = flow.run if flow is not None else None
    run_class, execution_class = (FlowRun, FlowExecution) if plan.is_flow else (make_run, Execution)
    run = run_class(definition, above, flow_run, services.sinks, tags, cell)
    if keeping is not None or plan.keeping is not None:
        plan, keeping = inherit(plan, keeping)
    keywords = kwargs or _NO_KEYWORDS
    x = execution_class(run, definition, plan, args, keywords, parent, flow, services, keeping)
    if plan.log_prints is None:
        asked = settings.active().logging_log_prints if parent is None else parent.log_prints
        x.log_prints = asked
    if x.log_prints or plan.is_flow:
        _equip(x)
    if plan.transacts or scope.get() is not None:
        join(x)
    run.call = Arguments(args, kwargs) if kwargs else args
    for value in args:
        if value.__class__ not in ATOMS:
            _note_inputs(x, wait_for, origins)
            break
    else:
        if kwargs or wait_for is not None or origins:
            _note_inputs(x, wait_for, origins)
    services.live[run.number] = x
    if parent is None:
        _show_root(x)
    run.enter(PENDING)
    return x


_NO_KEYWORDS: dict[str, Any] = {}
"""What all runs without keywords keep of them; nobody changes it."""


def _equip(x: Execution) -> None:
    """Give a run what most have no need of: a function that logs what it prints, a memory."""
    if x.log_prints:
        x.fn = logging_prints(x.fn)
    if isinstance(x, FlowExecution):
        flow_memory.inherit(x)


def _show_root(x: Execution) -> None:
    """Have a run that no run called shown."""
    try:
        x.services.on_root_run(x.run.cell, x.run)
    except Exception as error:
        x.services.warn(f"cellist could not show its board: {type(error).__name__}: {error}")


def _note_inputs(x: Execution, wait_for: Any, origins: Sequence[Upstream]) -> None:
    """Find the promises and states among the inputs, and where plain results came from."""
    named = x.plan.shape.named(x.args, x.kwargs)
    found, treated = find_upstream([*named, ("wait_for", wait_for)])
    if treated:
        x.wait_for = wait_for
        x.waits = [one.source for one in found if isinstance(one.source, Promise)]
        check_no_circle(x)
    x.run.upstream = upstream_of(x, named, [*found, *origins])


def submit(
    definition: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any = None,
    runner: Any = None,
    origins: Sequence[Upstream] = (),
) -> PrefectFuture[Any]:
    """Start a run and return its future at once.

    Coroutine functions run on the event loop, others in the pool of `runner`, by default that of
    the enclosing flow, outside flows one that the session keeps.
    """
    parent = current.get()
    if parent is None:
        settings.refresh()
    elif type(parent) is Rehearsal:
        return parent.submit(definition, args, kwargs, wait_for)
    if settings.active().tasks_require_flow_for_submit and enclosing_flow(parent) is None:
        raise RuntimeError(_NO_FLOW.format(definition.name))
    plan = definition.plan()
    plan.shape.check(args, kwargs)
    return begin(new_execution(definition, plan, args, kwargs, wait_for, origins), runner)


def begin(x: Execution, runner: Any = None) -> PrefectFuture[Any]:
    """Start an execution where submitted runs are carried out, and return its future."""
    future: PrefectFuture[Any] = PrefectFuture(x.run)  # `PrefectFuture[Any](…)` takes much longer
    future.execution = x
    if not x.services.watchdog.is_on:
        x.services.watchdog.begin()
    flow = x.flow
    if flow is not None:
        flow.children.add(future)
    try:
        _start(x, future, runner)
    except BaseException as error:
        if not x.run.is_final:
            x.run.enter(CRASHED, None, crash_message(error))
        future.settle(Err(error))  # nobody may wait for what never began
        raise
    return future


_NO_FLOW = (
    "Task {!r} cannot be submitted outside a flow, because the setting "
    "tasks_require_flow_for_submit is on. Submit it from a flow, call it directly, or use .delay() "
    "to have a worker run it."
)


def _start(x: Execution, future: PrefectFuture[Any], runner: Any) -> None:
    """Hand a submitted run to the loop or the pool that carries it out."""
    chosen: TaskRunner = runner or _runner_of(x.flow, x.services)
    if x.plan.is_async and not chosen.takes_coroutines:
        x.run.where = "event loop"
        elsewhere = flow_loop(x.flow)
        here = running_loop()
        LoopWork(x, future, here or loop_for(elsewhere)).begin(is_here=here is not None)
        return
    pool = chosen.pool
    x.run.where = chosen.name
    x.far = pool if pool.is_far else None
    pool.start(Work(x, future, pool))


_runner_lock = threading.Lock()


def _runner_of(flow: FlowExecution | None, services: "session.Session") -> TaskRunner:
    """Return the runner of a flow run, or the session's."""
    if flow is None or flow.definition.task_runner is None:  # a flow of another process
        runner = services.pools.get("default")
        if runner is None:
            runner = services.pools["default"] = ThreadPoolTaskRunner()
        return runner
    if flow.runner is None:
        with _runner_lock:
            if flow.runner is None:
                flow.runner = flow.definition.task_runner.duplicate()
    return flow.runner


def flow_loop(flow: FlowExecution | None) -> Any:
    """Return the loop submitted coroutines of a flow should run on, as far as it is known."""
    if flow is None:
        return session.get_session().main_loop
    if flow.loop is None:
        outer = enclosing_flow(flow.parent)
        flow.loop = running_loop() or (flow_loop(outer) if outer else flow.services.main_loop)
    return flow.loop


def finish(x: Execution) -> None:
    """Take a finished execution out of the table of live ones, and close what a flow owned."""
    x.services.live.pop(x.run.number, None)
    is_complete = x.run.state_type is COMPLETED
    if not is_complete:
        x.services.unfinished.add(x)
    elif x.parent is None:
        x.services.unfinished.completed(x.run)
    if isinstance(x, FlowExecution):
        if x.runner is not None:
            x.runner.close()
            x.runner = None
        unseen = [
            promise
            for promise in x.failures
            if not promise.observed and promise.run.state_type is not CANCELLED
        ]
        if unseen and is_complete:
            names = ", ".join(sorted({promise.run.name for promise in unseen})[:_MOST_NAMED])
            x.services.log(x, 30, f"{len(unseen)} failed run(s) nobody looked at: {names}")
        if x.results is not None:
            x.services.values.adopt(x.results)
            x.results = None
        if x.attempts is not None:
            x.attempts.close(x)
        narrate_end(x)
        return
    if not is_complete or x.services.tells_ends:
        narrate_end(x)


_MOST_NAMED = 5


def carry_out(x: Execution) -> Outcome:
    """Carry an execution out in the calling thread."""
    guarded = False
    if x.parent is None:
        guarded = x.services.guard.enter()
        if not guarded:
            x.carrier = ThreadRun(x)
    current.set(x)
    try:
        return drive(run_steps(x), x)
    except stopping.CodeStopped as stop:  # which came when the code of the run had just ended
        if not x.cancelling or isinstance(stop, stopping.ScopeTimeout):
            raise
        return Err(CancelledRun(f"{x.plan.noun} run {x.run.name!r} was cancelled."))
    finally:
        current.set(x.parent)
        x.carrier = None
        finish(x)
        if guarded:
            x.services.guard.leave()


def settle(x: Execution, outcome: Outcome, return_state: bool = False) -> Any:
    """Return what a direct caller gets for an outcome: the value, or raise the user's error."""
    __tracebackhide__ = True
    if return_state:
        return final_state(x, outcome)
    if isinstance(outcome, Err):
        raise trim(outcome.error)
    value = outcome.value
    if x.flow is not None and value.__class__ not in ATOMS:
        remember_result(x.flow, value, x.run)
    return value


def final_state(x: Execution, outcome: Outcome) -> State:
    """Return the final state with its value. Interrupts are raised, those of other runs are not."""
    if (
        isinstance(outcome, Err)
        and not isinstance(outcome, Declared)
        and not isinstance(outcome.error, Exception)
    ):
        raise outcome.error
    data = outcome_data(outcome)
    if x.flow is not None and not isinstance(outcome, (Err, Given)) and data.__class__ not in ATOMS:
        remember_result(x.flow, data, x.run)
    return x.run.public_state(data)


def call_here(
    definition: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any,
    return_state: bool,
) -> Any:
    """Call sync code as a run in the calling thread."""
    __tracebackhide__ = True
    parent = current.get()
    if parent is None:
        settings.refresh()
    elif type(parent) is Rehearsal:
        return parent.call(definition, args, kwargs, wait_for, return_state)
    plan = definition.plan()
    plan.shape.check(args, kwargs)
    x = new_execution(definition, plan, args, kwargs, wait_for)
    outcome = carry_out(x)
    if isinstance(outcome, Ok) and not return_state:
        value: Any = outcome.value
        if value.__class__ in ATOMS:
            return value
    return settle(x, outcome, return_state)


def call_async(
    definition: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any,
    return_state: bool,
) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that calls async code as a run. Arguments that do not fit raise now."""
    parent = current.get()
    if parent is None:
        settings.refresh()
    elif type(parent) is Rehearsal:
        return parent.call(definition, args, kwargs, wait_for, return_state)
    plan = definition.plan()
    plan.shape.check(args, kwargs)
    return _run_async(definition, plan, args, kwargs, wait_for, return_state)


async def _run_async(
    definition: Any,
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any,
    return_state: bool,
) -> Any:
    """Carry a run out on the running loop and return what its caller gets."""
    __tracebackhide__ = True
    x = new_execution(definition, plan, args, kwargs, wait_for)
    task = asyncio.current_task()
    assert task is not None  # a coroutine is always run by one
    awaited = AwaitedRun(x, task)
    guarded = (x.parent is None or plan.is_flow) and x.services.guard.enter(task)
    if isinstance(x, FlowExecution):
        x.loop = task.get_loop()
    current.set(x)
    try:
        outcome = await adrive(run_steps(x), x)
    finally:
        current.set(x.parent)
        x.carrier = None
        if awaited.cancels:
            awaited.take_back()
        finish(x)
        if guarded:
            x.services.guard.leave(task)
    if isinstance(outcome, Ok) and not return_state:
        value: Any = outcome.value
        if value.__class__ in ATOMS:
            return value
    return settle(x, outcome, return_state)
