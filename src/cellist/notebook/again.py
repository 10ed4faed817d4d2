"""Run again what failed, on a click under the cell it failed in.

What runs is a cell's worth of code, in the context of that cell: its output and its board appear
below what stands there. A `%%flow` cell runs again as it was run, in the background; a flow that
a cell called is retried with its arguments. Either way what has completed is reused.
"""

import asyncio
import re
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from cellist.notebook.cells import Cell
from cellist.recovery import find_again
from cellist.session import get_session
from cellist.unfinished import Continued, continuing

_FLOW = re.compile(r"%%flow\b")
_BUSY = "A cell is running. What failed can run again when that has ended."
_NO_LOOP = "Run the cell again: what has completed is reused, only what failed runs."
_running: set[asyncio.Task[None]] = set()


def retry_below(shell: Any, is_busy: Callable[[], bool], cell: Cell, number: str) -> str:
    """Start to run again what failed in a run, by its id, and return what to tell the user.

    May be called on any thread. `is_busy` says whether a cell is being executed. Raises
    `ObjectNotFound` if what it takes is not to be had.
    """
    loop = get_session().main_loop
    if loop is None:
        return _NO_LOOP
    if is_busy():
        return _BUSY
    found = find_again(number)
    context = cell.context.copy()
    if found.cell is not None:
        context.run(continuing.set, Continued(None, found.run_id, found.attempts, found.only))
    code = code_for(found.cell, number)
    loop.call_soon_threadsafe(partial(_start, shell, is_busy, code, loop, context))
    return "What failed runs again, below; what has completed is reused."


def code_for(source: str | None, number: str) -> str:
    """Return the code that runs again what failed in a run, which was a cell with this source."""
    if source is None:
        return f'__import__("cellist").retry("{number}")'
    text = source.lstrip()
    line, newline, body = text.partition("\n")
    if not _FLOW.match(line) or "--bg" in line.split():
        return text
    return f"{line.rstrip()} --bg{newline}{body}"


def _start(
    shell: Any,
    is_busy: Callable[[], bool],
    code: str,
    loop: asyncio.AbstractEventLoop,
    context: Context,
) -> None:
    if not is_busy():
        task = loop.create_task(_run(shell, code), context=context)
        _running.add(task)
        task.add_done_callback(_running.discard)


async def _run(shell: Any, code: str) -> None:
    """Execute a cell as the kernel does; errors are shown under it."""
    transformed = shell.transform_cell(code)
    result = None
    try:
        result = await shell.run_cell_async(code, store_history=False, transformed_cell=transformed)
    finally:
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
