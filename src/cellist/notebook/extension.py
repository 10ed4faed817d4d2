"""What `%load_ext cellist` does, and undoes on unload.

It registers the `%%flow`, `%%task` and `%cellist` magics, what Tab offers after the last, the two
transformers of their cells, and two event handlers: before a cell a token is made that its runs
carry, after it the board is closed.
Nothing is registered on a bare import.
"""

import contextlib
import functools
import sys
from collections.abc import MutableMapping
from typing import Any

from cellist import settings
from cellist.board import Board, Details, Feed, TextBoard
from cellist.board.region import is_terminal
from cellist.engine.execution import current_cell
from cellist.model.runs import Run
from cellist.notebook.again import retry_below
from cellist.notebook.asking import is_attended, show_form
from cellist.notebook.background import start_flow
from cellist.notebook.cellflow import open_flow
from cellist.notebook.cells import Cell
from cellist.notebook.celltask import open_task
from cellist.notebook.chance import forget_seeds, note_seeds, random_states
from cellist.notebook.commands import cellist_magic
from cellist.notebook.completion import KEY, complete
from cellist.notebook.controls import control
from cellist.notebook.kernel import cell_name, kernel_loop, this_task, ui_for
from cellist.notebook.options import flow_magic
from cellist.notebook.reloading import follow_autoreload, leave_autoreload
from cellist.notebook.rerun import offer_to_resume, run_again
from cellist.notebook.showing import ShellFront
from cellist.notebook.task_options import task_magic
from cellist.notebook.tracebacks import restore_tracebacks, shorten_tracebacks
from cellist.notebook.transform import NAMES, WrapBody, replace_first_line
from cellist.session import get_session
from cellist.terminals import show_in_terminal

_MAGICS = (
    ("cell", "flow", flow_magic),
    ("cell", "task", task_magic),
    ("line", "cellist", cellist_magic),
)


class Extension:
    """What is registered with one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.feed = Feed()
        self.details = Details(get_session, functools.partial(cell_name, shell))
        self.wrapper = WrapBody()
        self.front = ShellFront(shell)
        self.openers = {
            "open_flow": open_flow,
            "start_flow": functools.partial(start_flow, shell, self.wrapper.bodies),
            "open_task": functools.partial(open_task, shell, self.wrapper.bodies),
        }
        """What the first lines of cells call, as attributes of the shell."""
        self._cells: list[Cell] = []
        """Cells that are being executed: one, or more where a cell runs others."""

    def register(self) -> None:
        """Register everything with the shell."""
        shell = self.shell
        forget_seeds()
        for kind, name, function in _MAGICS:
            shell.register_magic_function(function, magic_kind=kind, magic_name=name)
        shell.set_hook("complete_command", complete, str_key=KEY)
        shell.input_transformers_cleanup.append(replace_first_line)
        shell.ast_transformers.append(self.wrapper)
        for name, opener in self.openers.items():
            setattr(shell, name, opener)
        shell.events.register("pre_run_cell", self.before_cell)
        shell.events.register("post_run_cell", self.after_cell)
        session = get_session()
        session.main_loop = kernel_loop(shell)
        session.sinks.append(self.feed.sink)
        session.on_root_run = self.on_run
        session.desk.show = functools.partial(show_form, shell)
        session.desk.is_attended = functools.partial(is_attended, shell)
        session.front = self.front
        session.run_cell = functools.partial(run_again, shell)
        cell = Cell(shell.execution_count, shell.user_ns)
        current_cell.set(cell)
        self._cells.append(cell)

    def unregister(self) -> None:
        """Undo `register`."""
        shell = self.shell
        for kind, name, function in _MAGICS:
            table = shell.magics_manager.magics[kind]
            if table.get(name) is function:
                del table[name]
        shell.strdispatchers["complete_command"].strs.pop(KEY, None)
        for handlers, handler in (
            (shell.input_transformers_cleanup, replace_first_line),
            (shell.ast_transformers, self.wrapper),
        ):
            if handler in handlers:
                handlers.remove(handler)
        for event, handler in (
            ("pre_run_cell", self.before_cell),
            ("post_run_cell", self.after_cell),
        ):
            with contextlib.suppress(ValueError):  # not registered any more
                shell.events.unregister(event, handler)
        for name, opener in self.openers.items():
            if getattr(shell, name, None) is opener:
                delattr(shell, name)
        leave_autoreload()
        session = get_session()
        if self.feed.sink in session.sinks:
            session.sinks.remove(self.feed.sink)
        session.on_root_run = functools.partial(show_in_terminal, session)
        session.desk.show = session.desk.is_attended = None
        session.front = session.run_cell = None
        self.front.rest()
        current_cell.set(None)

    def before_cell(self, info: Any) -> None:
        """Make the token that the runs of the coming cell carry."""
        follow_autoreload()
        self.wrapper.interactivity = self.shell.ast_node_interactivity
        cell = Cell(self.shell.execution_count, self.shell.user_ns)
        _forget_names(cell.namespace)  # of a cell whose end was not told
        cell.source = getattr(info, "raw_cell", None)
        if "seed" in (cell.source or ""):
            cell.random = random_states()
        cell.around = {name: cell.namespace[name] for name in NAMES if name in cell.namespace}
        self._cells.append(cell)
        current_cell.set(cell)
        session = get_session()
        session.unfinished.epoch += 1
        session.guard.begin_cell(this_task())

    def after_cell(self, result: Any) -> None:
        """Close the board of the cell that has ended.

        ipykernel calls this in another context than the cell's own if the cell awaited, so the
        context variable does not tell which cell it was.
        """
        del result
        if not self._cells:
            return  # the cell that loaded the extension
        self.front.rest(list(get_session().live.values()))
        cell = self._cells.pop()
        if cell.opened is not None:
            cell.opened.abandon()
        _forget_names(cell.namespace)
        cell.namespace.update(cell.around)
        if cell.random is not None:
            note_seeds(cell.random)
        for variable, value in cell.set_variables.items():
            variable.set(value)  # as in a cell that does not await
        if cell.board is not None:
            self.feed.finish(cell)
        if self._cells:  # this cell was run by another one, which goes on
            current_cell.set(self._cells[-1])

    def on_run(self, cell: Any, run: Run) -> None:
        """Show the board of a cell when its first run starts that no other called."""
        if not isinstance(cell, Cell):
            return
        cell.runs.append(run)
        if cell.board is not None or len(cell.runs) > 1 or cell.quiet:
            return
        board = self._board_for(cell, run)
        if board is not None:
            cell.board = board
            self.feed.attach(cell, board)
            board.show()

    def _board_for(self, cell: Cell, run: Run) -> Board | TextBoard | None:
        """Return the board of a cell that starts with this run, if there is to be one."""
        wanted = settings.active().ui
        ui = ui_for(self.shell, wanted)
        name, history = run.definition.name, get_session().history
        if ui in ("widget", "html"):
            usual = functools.partial(_usual, history, name, run.kind)
            again = functools.partial(retry_below, self.shell, lambda: bool(self._cells), cell)
            act = functools.partial(control, again=again)
            return Board(name, control=act, ui=ui, usual=usual, details=self.details)
        looked_at = is_terminal(sys.stdout) and is_terminal(sys.stderr)
        if ui == "off" or not (looked_at or wanted == "text"):
            return None
        return TextBoard(name, lambda: sys.stdout, is_live=looked_at)


def _usual(history: Any, name: str, kind: str, reusing: bool) -> list[float]:
    """Return how long the latest runs took, in seconds, the one that has just ended with them."""
    history.flush(_PATIENCE)
    return history.durations(name, kind=kind, reusing=reusing)


_PATIENCE = 1.0  # seconds; nobody waits for the thread that asks


def _forget_names(namespace: MutableMapping[str, Any]) -> None:
    """Remove the names that carried a run, if it is over: what a flow gave must not live on."""
    if not any(getattr(namespace.get(name), "is_open", False) for name in NAMES):
        for name in NAMES:
            namespace.pop(name, None)


_loaded: dict[int, Extension] = {}


def load(shell: Any) -> None:
    """Register with a shell; loading twice is loading once."""
    if id(shell) not in _loaded:
        settings.refresh()  # a setting that cannot be used is told before anything is registered
        extension = Extension(shell)
        extension.register()
        shorten_tracebacks(shell)
        _loaded[id(shell)] = extension
        if ui_for(shell, settings.active().ui) != "off":
            offer_to_resume()


def unload(shell: Any) -> None:
    """Undo what loading did."""
    extension = _loaded.pop(id(shell), None)
    if extension is not None:
        extension.unregister()
        restore_tracebacks()
