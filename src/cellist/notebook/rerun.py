"""Run cells again: for a retry, and to go on with what a former kernel was at."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from cellist import recovery
from cellist.engine.waiting import run_awaitable, running_loop


def run_again(shell: Any, source: str) -> Any:
    """Run the text of a cell inside the cell that asks, and return the value it shows last.

    Raises what the cell raises.
    """
    if running_loop() is None:  # a terminal between two prompts
        result = shell.run_cell(source)
    else:
        result = run_awaitable(_run(shell, source), None)
    result.raise_error()
    return result.result


async def _run(shell: Any, source: str) -> Any:
    transformed, problem = source, None
    try:
        transformed = shell.transform_cell(source)
    except Exception:
        problem = sys.exc_info()
    return await shell.run_cell_async(
        source, transformed_cell=transformed, preprocessing_exc_tuple=problem
    )


def again(how: Callable[[Any], Any], run: str | None) -> Any:
    """Retry or resume a run for `%cellist`, and return what is to be shown of it."""
    found = recovery.find_again(run, how)
    value = how(run)
    if inspect.iscoroutine(value):
        value = run_awaitable(value, None)
    return None if found.cell is not None else value  # a cell shows its value itself


def offer_to_resume() -> None:
    """Say in one line which flow run stopped with its kernel, if one did."""
    found = recovery.stopped()
    if found:
        sys.stdout.write(f"{found[0].sentence} Go on: %cellist resume {found[0].name}\n")
        if len(found) > 1:
            sys.stdout.write(f"{len(found) - 1} more: %cellist runs\n")
