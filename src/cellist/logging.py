"""Loggers that know their run.

`get_run_logger()` inside a task or flow gives a logger whose records go to the run's log, shown on
the board and kept in the history, and to the standard logger `cellist.task_runs` or
`cellist.flow_runs`, where handlers of your own can pick them up.
"""

import builtins
import functools
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager
from typing import Any

from cellist.engine.execution import Execution, current
from cellist.exceptions import MissingContextError


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger bound to a run."""

    def __init__(self, execution: Execution, extra: dict[str, Any]) -> None:
        run = execution.run
        super().__init__(logging.getLogger(f"cellist.{run.kind}_runs"), extra)
        self._run = run

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name logging gives it
        """Whether records of the level are kept: from INFO up, and what the logger itself takes."""
        return level >= logging.INFO or super().isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a record to the run's log and to the standard logger."""
        if not self.isEnabledFor(level):
            return
        text = str(msg) % args if args else str(msg)
        self._run.log(level, text)
        if self.logger.isEnabledFor(level):
            super().log(level, "%s", text, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's name and the extra fields to a record."""
        run = self._run
        given: dict[str, Any] = kwargs.get("extra") or {}
        kwargs["extra"] = {
            "run_name": run.name,
            "run_id": str(run.id),
            **(self.extra or {}),
            **given,
        }
        return msg, kwargs


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger below `cellist`."""
    return logging.getLogger(f"cellist.{name}" if name else "cellist")


def get_run_logger(context: Any = None, **extra: Any) -> RunLogger:
    """Return a logger for the present run. Raises `MissingContextError` outside runs."""
    execution = getattr(context, "_execution", None) or current.get()
    if execution is None:
        message = "There is no active flow or task run context. Use get_logger() outside runs."
        raise MissingContextError(message)
    return RunLogger(execution, extra)


_prints_lock = threading.Lock()
_prints_logged = 0
_plain_print = builtins.print


def _print(*args: Any, **kwargs: Any) -> None:
    """Log what a run with `log_prints` prints, and print everything else as ever."""
    execution = current.get()
    if (
        execution is None
        or not execution.log_prints
        or kwargs.get("file") not in (None, sys.stdout, sys.stderr)
    ):
        _plain_print(*args, **kwargs)
        return
    separator = kwargs.get("sep")
    text = (" " if separator is None else separator).join(map(str, args))
    RunLogger(execution, {}).info("%s", text.rstrip())


@contextmanager
def prints_logged() -> Generator[None]:
    """Log prints of runs that want it; `builtins.print` is put back after the last of them."""
    global _prints_logged, _plain_print  # noqa: PLW0603 - there is one builtins.print
    with _prints_lock:
        if not _prints_logged:
            _plain_print = builtins.print
            builtins.print = _print
        _prints_logged += 1
    try:
        yield
    finally:
        with _prints_lock:
            _prints_logged -= 1
            if not _prints_logged and builtins.print is _print:
                builtins.print = _plain_print


def logging_prints(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which may be a coroutine function, with its prints logged."""
    if inspect.iscoroutinefunction(fn):
        return functools.partial(_await_logged, fn)
    return functools.partial(_call_logged, fn)


def _call_logged(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with prints_logged():
        return fn(*args, **kwargs)


async def _await_logged(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with prints_logged():
        return await fn(*args, **kwargs)


__all__ = ["RunLogger", "get_logger", "get_run_logger"]
