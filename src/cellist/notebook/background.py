"""A cell as a flow in the background: `%%flow --bg`.

The body is executed as a module of its own by an asyncio task on the kernel's loop; so it awaits
between the cells that run meanwhile, the names it assigns are the user's as soon as they are
assigned, and what it prints and shows belongs to its cell, whose context the task has. The cell
itself returns at once. In a terminal no loop runs between two prompts, so there the task runs on
the session's loop, in a thread. Where nobody looks (nbclient, papermill) what comes after a cell
is dropped, so the cell waits for its flow.

One flow of a name, and of a cell, runs at a time: a cell that is run again has lost its output, so
it shows the board of the run that goes on, and says how to start anew.
"""

import ast
import asyncio
import inspect
import linecache
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from types import CodeType
from typing import Any, cast

from IPython import display
from IPython.core.error import UsageError

from cellist.engine.background import Stepper, is_background
from cellist.engine.commands import Err, Ok, Outcome
from cellist.engine.errors import trim
from cellist.engine.execution import current
from cellist.engine.threads import run_in_thread
from cellist.engine.timers import Timer, call_later
from cellist.exceptions import CancelledRun
from cellist.futures import PrefectFuture
from cellist.model.runs import Run
from cellist.notebook.cellflow import CellFlow
from cellist.notebook.cells import Cell, this_cell
from cellist.notebook.kernel import cell_id, has_front_end, in_kernel, kernel_loop
from cellist.notebook.notices import say
from cellist.notebook.options import FlowOptions, parse_flow_line
from cellist.notebook.transform import show_as_written
from cellist.runners.loops import session_loop
from cellist.session import get_session

_BLOCKS_AFTER = 1.0
"""Seconds without an await after which the cell says what keeps the kernel."""
_GRACE = 0.05
_PARENTS = ("parent_header", "shell_parent", "shell_parent_ident")
"""Context variables of ipykernel that say which cell an output belongs to."""

_compile: Any = compile  # whose types know no flags but its own
Body = Callable[[Any], Any]
running: dict[int, "BackgroundFlow"] = {}
"""The flows that run in the background, by the number of their run. They are kept by this alone."""


class FlowFuture(PrefectFuture[Any]):
    """The handle of a flow in the background. Letting go of it does not stop the flow."""

    __slots__ = ("_flow",)

    def __init__(self, flow: "BackgroundFlow") -> None:
        super().__init__(flow.execution.run)
        self._flow = flow
        self.work = flow

    flow_run_id = PrefectFuture.task_run_id

    def needs(self, loop: Any) -> bool:
        """Whether the flow goes on only if the loop does. Raises if it waits for who asks."""
        flow = self._flow
        if loop is flow.loop and flow.stepper.is_inside:
            message = (
                f"Flow {flow.name!r} waits in code that does not await, and goes on only when this "
                f"cell has ended. Use `await` here, or look at its `.state`."
            )
            raise RuntimeError(message)
        return loop is flow.loop

    def __await__(self) -> Generator[Any, Any, Any]:
        with self._stoppable():
            return (yield from super().__await__())

    @contextmanager
    def _stoppable(self) -> Generator[None]:
        """Let the stop button end the wait, but not the flow that is waited for."""
        guard, task = get_session().guard, asyncio.current_task()
        entered = current.get() is None and guard.enter(task)
        try:
            yield
        finally:
            if entered:
                guard.leave(task)


class _InBackground:
    """Carries out the run of a cell that does not wait for it."""

    def __init__(self, flow: "BackgroundFlow") -> None:
        self._flow = flow

    def cancel(self) -> None:
        """Stop the body."""
        self._flow.stop()

    def halt(self, run: Run) -> None:
        """Interrupt the code of a run that the body has called."""
        if not run.is_final:
            self._flow.stepper.interrupt()


class BackgroundFlow(CellFlow):
    """The flow run of a cell that does not wait for it."""

    outlives_cell = True

    def __init__(self, shell: Any, options: FlowOptions, body: Body, *, waited: bool) -> None:
        super().__init__(options)
        self.name = self.definition.name
        self.shell = shell
        self.cell: Cell = this_cell()
        self.cell_id = cell_id(shell)
        self.context = copy_context()
        self.loop = self._loop
        self.stepper = Stepper(self._loop)
        self.since = time.time()
        self.shows_value = False
        self._body = body
        self._waited = waited
        self._said = False
        self._watch: Timer | None = None
        self.future = FlowFuture(self)
        self.execution.carrier = _InBackground(self)
        running[self.execution.run.number] = self
        if options.output:
            self.cell.namespace[options.output] = self.future
        if not waited:
            self._look_later()

    async def carry(self) -> Outcome:
        """Carry the flow out, show what it gave or raised, and settle its handle."""
        outcome: Outcome
        try:
            await self.advance(None)
            async for _ in self:
                async with self:
                    await self._attempt()
            outcome = Ok(self.value)
        except BaseException as error:
            outcome = self._outcome if isinstance(self._outcome, Err) else Err(error)
        finally:
            if self._watch is not None:
                self._watch.cancel()
            running.pop(self.execution.run.number, None)
        with suppress(Exception):  # a fault in showing it must not take the result away
            self._show(outcome)
        self.future.settle(outcome)
        return outcome

    async def _attempt(self) -> None:
        value = self._body(self.cell.namespace)
        self.value = await self.stepper.steps(value) if inspect.iscoroutine(value) else value

    def ended(self, value: Any) -> None:
        """Take the flow's result; the variable of `-o` holds the handle."""
        self.value = value

    def _show(self, outcome: Outcome) -> None:
        """Show under the cell what a cell shows: the value of its last expression, the error."""
        if isinstance(outcome, Ok):
            if self.shows_value and self.value is not None:
                cast("Any", display).display(self.value)  # IPython does not say its types
        elif not self._waited and not isinstance(outcome.error, CancelledRun):
            error = trim(outcome.error)
            lines = self.shell.InteractiveTB.structured_traceback(
                type(error), error, error.__traceback__
            )
            self.shell._showtraceback(type(error), error, lines)

    def cancel(self) -> None:
        """Cancel the flow, as its handle does."""
        self.execution.services.cancel(self.execution)

    def stop(self) -> None:
        """Cancel the body at its next await, or interrupt it if it does not await."""
        self._loop.call_soon_threadsafe(self._cancel_task)
        call_later(_GRACE, self._insist)

    def _cancel_task(self) -> None:
        if self._wants_body:
            self._task.cancel()

    def _insist(self) -> None:
        """Interrupt a body that blocks, whose time is up or that was cancelled."""
        if self._wants_body:
            self.stepper.interrupt()

    def _as_the_run_sees_it(self, error: BaseException | None) -> BaseException:
        if self.stepper.was_stopped:
            self.execution.services.guard.interrupted = True
        return super()._as_the_run_sees_it(error)

    def _is_stop(self, error: BaseException | None) -> bool:
        """Never: the stop button is for the cell in front."""
        del error
        return False

    def _look_later(self) -> None:
        self._watch = call_later(_BLOCKS_AFTER, lambda: run_in_thread(self._look))

    def _look(self) -> None:
        """Say once if the body keeps the kernel from running cells."""
        began = self.stepper.began
        if began and time.monotonic() - began > _BLOCKS_AFTER and self.stepper.is_blocking():
            self.context.copy().run(say, self.shell, _BLOCKS.format(self.name))
        elif self.is_open:
            self._look_later()

    def move_here(self) -> None:
        """Have what comes from now on appear under the cell that is being executed."""
        for variable, value in copy_context().items():
            if variable.name in _PARENTS:
                with suppress(RuntimeError):  # it waits in code that does not await
                    self.context.run(variable.set, value)
        if self.cell.board is not None:
            self.cell.board.show_again()


_BLOCKS = (
    "Flow `{}` runs code in the background that does not await, so other cells wait for it. Submit "
    "tasks (`my_task.submit(…)`) instead of calling them, and `await` what they give. `cancel` on "
    "the board, or the stop button, ends it."
)


async def start_flow(
    shell: Any, bodies: dict[int, list[ast.stmt]], line: str, where: Callable[[], None], number: int
) -> FlowFuture:
    """Start the flow of a `%%flow --bg` cell. Called by the transformed cell's only line."""
    file = where.__code__.co_filename
    show_as_written(file, f"%%flow {line}".rstrip())
    options = parse_flow_line(line)
    this_cell().quiet = this_cell().quiet or options.quiet
    _check_free(shell, options)
    body, shows_value = _compiled(shell, bodies[number], file)
    loop = kernel_loop(shell) if in_kernel(shell) else session_loop()
    if in_kernel(shell) and not has_front_end(shell):
        say(shell, _WAITS)
        flow = BackgroundFlow(shell, options, body, waited=True)
        flow.shows_value = shows_value
        outcome = await flow.carry()
        if isinstance(outcome, Err):
            raise trim(outcome.error)
        return flow.future
    begun: asyncio.Future[BackgroundFlow] = asyncio.get_running_loop().create_future()
    context = copy_context()
    context.run(is_background.set, True)

    def answer(how: Callable[[Any], None], what: Any) -> None:
        if not begun.done():  # the cell may have been stopped
            how(what)

    async def carry() -> None:
        tell = partial(begun.get_loop().call_soon_threadsafe, answer)
        try:
            flow = BackgroundFlow(shell, options, body, waited=False)
        except BaseException as error:
            tell(begun.set_exception, error)
            return
        flow.context = context
        flow.shows_value = shows_value
        tell(begun.set_result, flow)
        await flow.carry()

    def start() -> None:
        task = loop.create_task(carry(), context=context)
        task.add_done_callback(_told)

    loop.call_soon_threadsafe(start)
    flow = await begun
    if flow.cell.board is None and not flow.cell.quiet:
        say(shell, _STARTED.format(name=flow.name))
    return flow.future


_WAITS = (
    "`--bg`: nobody looks at this notebook while it runs, and what comes after a cell would be "
    "lost, so this cell waits for its flow."
)
_STARTED = (
    "Flow `{name}` runs in the background. `%cellist status` tells how far it is, "
    "`%cellist cancel {name}` stops it."
)


def _told(task: asyncio.Task[None]) -> None:
    """Take note of how the task ended: all is told by the flow."""
    if not task.cancelled():
        task.exception()


def _check_free(shell: Any, options: FlowOptions) -> None:
    """Raise `UsageError` if a flow of this cell or of this name still runs, and show its board."""
    cell = cell_id(shell)
    for flow in list(running.values()):
        if flow.name == options.name or (cell is not None and flow.cell_id == cell):
            flow.move_here()
            since = time.strftime("%H:%M:%S", time.localtime(flow.since))
            message = (
                f"%%flow --bg: flow {flow.name!r} still runs, since {since}; nothing was started, "
                f"and its board is shown here again. To start anew, cancel it first: "
                f"%cellist cancel {flow.name}"
            )
            raise UsageError(message)


def _compiled(shell: Any, statements: list[ast.stmt], file: str) -> tuple[Body, bool]:
    """Return the body as a function of the namespace, and whether its last value is shown.

    The function gives the value of the last expression, or a coroutine that does.
    """
    interactivity = shell.ast_node_interactivity
    last = statements[-1] if statements else None
    value = last if isinstance(last, ast.Expr) and interactivity.startswith("last") else None
    module = ast.Module(statements[:-1] if value is not None else statements, [])
    steps = [_code(shell, module, file, "exec")]
    if value is not None:
        steps.append(_code(shell, ast.Expression(value.value), file, "eval"))

    async def body(namespace: Any) -> Any:
        given = None
        for code in steps:
            given = eval(code, namespace)  # noqa: S307 - the user's cell
            if code.co_flags & inspect.CO_COROUTINE:
                given = await given
        return given

    source = "".join(linecache.getlines(file)).rstrip()
    return body, value is not None and not source.endswith(";")


def _code(shell: Any, tree: ast.mod, file: str, mode: str) -> CodeType:
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    whole = ast.fix_missing_locations(tree)
    return _compile(whole, file, mode, flags, dont_inherit=True)


__all__ = ["BackgroundFlow", "FlowFuture", "running", "start_flow"]
