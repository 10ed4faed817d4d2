"""The form of a pause, under the cell that the paused flow was started from."""

import functools
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from cellist.answers import note_answer
from cellist.engine.execution import FlowExecution
from cellist.engine.pausing import FlowPause
from cellist.exceptions import CellistError
from cellist.forms import InvalidInput
from cellist.model.ids import as_hex
from cellist.notebook.cells import Cell
from cellist.notebook.kernel import has_front_end, in_kernel
from cellist.notebook.notices import say

_BLOCKS = (
    "This cell blocks its kernel, so the answer may arrive only when it ends. If it does, "
    "interrupt it, and pause in a %%flow cell or an async flow, by `await pause_flow_run(...)`."
)
_SUSPENDED = "Then run the cell again: it goes on from its cached results."


def is_attended(shell: Any, pause: FlowPause) -> bool | None:
    """Return whether a person sees what the flow asks, `None` in a terminal."""
    cell = pause.flow.run.cell
    if getattr(getattr(cell, "board", None), "ui", None) == "widget":
        return True
    return has_front_end(shell) if in_kernel(shell) else None


def show_form(shell: Any, pause: FlowPause) -> None:
    """Show the form on the board of the flow's cell, or say how to resume where there is none."""
    cell = pause.flow.run.cell
    board = cell.board if isinstance(cell, Cell) else None
    run = pause.flow.run
    if board is None or board.ui != "widget":
        given = "" if pause.wanted is None else ", {...}"
        way = f"`cellist.resume_flow_run({str(run.id)!r}{given})`"
        say(shell, f"Flow `{run.definition.name}` waits for somebody to resume it: {way}.")
        return
    number = as_hex(run.number)
    board.ask(number, form_of(pause, board), functools.partial(_answered, pause))
    pause.on_settled(lambda _: board.stop_asking(number))


def form_of(pause: FlowPause, board: Any) -> dict[str, Any]:
    """Return the form as the page draws it."""
    wanted, run = pause.wanted, pause.flow.run
    notes = [_SUSPENDED] if pause.stops else []
    if _holds_the_kernel(pause.flow, board):
        notes.append(_BLOCKS)
    what = "suspended" if pause.stops else "paused"
    return {
        "key": f"{run.attempts}.{pause.key}",
        "title": f"{run.definition.name} is {what}",
        "asks": wanted.title if wanted is not None and not wanted.is_plain else None,
        "help": wanted.description if wanted is not None else None,
        "fields": wanted.fields() if wanted is not None else [],
        "due": pause.due // 1_000_000 if pause.due else None,
        "notes": notes,
    }


def _holds_the_kernel(flow: FlowExecution, board: Any) -> bool:
    """Whether the pause blocks the kernel's main thread, in a way that keeps clicks from it."""
    if threading.current_thread() is not threading.main_thread() or flow.plan.is_async:
        return False
    is_other_page = "google.colab" in sys.modules or "VSCODE_PID" in os.environ
    return is_other_page or not board.answers_while_blocked


def _answered(pause: FlowPause, texts: Mapping[str, Any]) -> Mapping[str, str]:
    """Take what was filled in, and return what is wrong with it by field."""
    try:
        value = pause.wanted.from_page(texts) if pause.wanted is not None else None
    except InvalidInput as error:
        return error.errors
    except CellistError as error:
        return {"": str(error)}
    if not note_answer(pause, value, "on the board"):
        return {"": "It is answered already, or the flow is over."}
    return {}
