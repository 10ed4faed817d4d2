"""Loggers that know their run.

`get_run_logger()` inside a task or flow gives a logger whose records go to the run's log, shown on
the board and kept in the history, and to the standard logger `cellist.task_runs` or
`cellist.flow_runs`, where handlers of your own can pick them up. Where there is neither a board nor
a handler, as in a script, they are written to stderr. `CELLIST_LOGGING_LEVEL` (default INFO) says
from which level on; loggers named in `CELLIST_LOGGING_EXTRA_LOGGERS` take part as well.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from cellist import settings
from cellist.engine.execution import current
from cellist.exceptions import MissingContextError
from cellist.model.runs import FlowRun, Run, TaskRun
from cellist.prints import patch_print, print_as_log
from cellist.runlogs import CONSOLE, RUN_LOGGERS, RunLogger

__path__: list[str] = []  # lets `cellist.compat` serve `cellist.logging.loggers`

_null = logging.getLogger("cellist.null")
_null.addHandler(logging.NullHandler())
_null.propagate = False
_null.disabled = True

AnyLogger = logging.LoggerAdapter[logging.Logger]


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger below `cellist`; its records go where those of runs go."""
    settings.refresh()
    if not name:
        return logging.getLogger("cellist")
    logger = logging.getLogger(name if name.startswith("cellist.") else f"cellist.{name}")
    if CONSOLE not in logger.handlers:
        logger.addHandler(CONSOLE)
    return logger


def get_run_logger(context: Any = None, **extra: Any) -> AnyLogger:
    """Return a logger for the present run, or for that of a run context.

    `extra` are fields that its records carry. Raises `MissingContextError` outside runs, except
    within `disable_run_logger()`, where what is logged goes nowhere, and `TypeError` for a context
    that is not of a run.
    """
    run: Run | None = getattr(context, "run", None)
    if run is None and context is not None:
        message = f"`context` must be a FlowRunContext or a TaskRunContext, got {context!r:.60}."
        raise TypeError(message)
    if run is None:
        execution = current.get()
        run = execution.run if execution is not None else None
    if run is not None:
        return RunLogger(run, extra)
    if all(logger.disabled for logger in RUN_LOGGERS.values()):
        return logging.LoggerAdapter(_null, extra)
    message = (
        "There is no active flow or task run context. Use get_logger() outside runs, or call the "
        "function within disable_run_logger()."
    )
    raise MissingContextError(message)


@contextmanager
def disable_run_logger() -> Generator[None]:
    """Log nothing of any run within a `with` block, so that `task.fn()` can be tested by itself."""
    before = [(logger, logger.disabled) for logger in RUN_LOGGERS.values()]
    for logger, _ in before:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in before:
            logger.disabled = disabled


def flow_run_logger(flow_run: FlowRun, flow: Any = None, **extra: Any) -> RunLogger:
    """Return the logger of a flow run, as hooks need it. `extra` are fields of its records."""
    named = {"flow_name": flow.name} if flow is not None else {}
    return RunLogger(flow_run, {**named, **extra})


def task_run_logger(
    task_run: TaskRun, task: Any = None, flow_run: Any = None, flow: Any = None, **extra: Any
) -> RunLogger:
    """Return the logger of a task run, as hooks need it. `extra` are fields of its records."""
    named: dict[str, Any] = {}
    if task is not None:
        named["task_name"] = task.name
    if flow_run is not None:
        named |= {"flow_run_id": str(flow_run.id), "flow_run_name": flow_run.name}
    if flow is not None:
        named["flow_name"] = flow.name
    return RunLogger(task_run, {**named, **extra})


__all__ = [
    "RunLogger",
    "disable_run_logger",
    "flow_run_logger",
    "get_logger",
    "get_run_logger",
    "patch_print",
    "print_as_log",
    "task_run_logger",
]
