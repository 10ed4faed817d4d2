"""Prints that become log records of the run that prints, and of nobody else.

There is one `builtins.print` in a process. While a run with `log_prints` goes on, a dispatcher
stands in its place. It looks at the context variable that says which run the printing code is part
of, and passes everything else on: prints of other threads, cells and runs, and prints into files.
"""

import builtins
import functools
import inspect
import io
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from cellist.engine.execution import current
from cellist.runlogs import RunLogger

_lock = threading.RLock()
_users = 0
_plain_print = builtins.print
_busy = threading.local()
"""Whether this thread is logging a print: what a handler prints then is not logged again."""


def print_as_log(*args: Any, **kwargs: Any) -> None:
    """Log what is printed in a run, and print everything else as ever.

    A print is logged if its `file` is absent, `sys.stdout` or `sys.stderr`; trailing white space
    is left out.
    """
    execution = current.get()
    file = kwargs.get("file")
    streams = (None, sys.stdout, sys.stderr)  # compared by identity: a file may compare oddly
    if (
        execution is None
        or not any(file is stream for stream in streams)
        or getattr(_busy, "logging", False)
    ):
        _plain_print(*args, **kwargs)
        return
    buffer = io.StringIO()
    kwargs["file"] = buffer
    _plain_print(*args, **kwargs)
    _busy.logging = True
    try:
        RunLogger(execution.run, {}).info("%s", buffer.getvalue().rstrip(), stacklevel=2)
    finally:
        _busy.logging = False


def _print(*args: Any, **kwargs: Any) -> None:
    """Stand in for `print` while some run logs its prints."""
    execution = current.get()
    if execution is None or not execution.log_prints:
        _plain_print(*args, **kwargs)
    else:
        print_as_log(*args, **kwargs)


@contextmanager
def prints_logged() -> Generator[None]:
    """Log prints of runs that want it; `builtins.print` is put back after the last of them."""
    global _users, _plain_print  # noqa: PLW0603 - there is one builtins.print
    with _lock:
        if not _users:
            _plain_print = builtins.print
            builtins.print = _print
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and builtins.print is _print:
                builtins.print = _plain_print


@contextmanager
def patch_print() -> Generator[None]:
    """Log the prints of the run that goes on here, within a `with` block."""
    execution = current.get()
    if execution is None:
        yield
        return
    before = execution.log_prints
    execution.log_prints = True
    try:
        with prints_logged():
            yield
    finally:
        execution.log_prints = before


def logging_prints(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, which may be a coroutine function, with its prints logged."""
    if inspect.iscoroutinefunction(fn):
        return functools.partial(_await_logged, fn)
    return functools.partial(_call_logged, fn)


def unlogged(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that `logging_prints` was given, others as they are."""
    made: Any = fn
    return made.args[0] if getattr(made, "func", None) in (_call_logged, _await_logged) else fn


def _call_logged(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with prints_logged():
        return fn(*args, **kwargs)


async def _await_logged(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with prints_logged():
        return await fn(*args, **kwargs)


__all__ = ["logging_prints", "patch_print", "print_as_log", "prints_logged", "unlogged"]
