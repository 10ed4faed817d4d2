"""Parsing of Python source for all of cellist: one text at a time, and one kind of error.

Several threads ask for keys and hints at once, and Python 3.11 cannot build two trees at once: it
raises `SystemError` (cpython 106905). IPython parses cells, too, and knows no lock of ours, so a
parse that fails like this is tried again.
"""

import ast
import os
from threading import RLock
from typing import Literal, overload

_TRIES = 5


@overload
def parse(source: str) -> ast.Module: ...
@overload
def parse(source: str, mode: Literal["eval"]) -> ast.Expression: ...
def parse(source: str, mode: str = "exec") -> ast.AST:
    """Return the tree of a source text. Raises `SyntaxError` for all that cannot be parsed.

    That is also what is nested too deeply and what holds characters that source cannot.
    """
    with _lock:
        for _ in range(_TRIES):
            try:
                return ast.parse(source, mode=mode)
            except SystemError:
                continue
            except (ValueError, RecursionError, MemoryError) as error:
                message = f"it cannot be parsed ({type(error).__name__}: {error})"
                raise SyntaxError(message) from None
    message = "it could not be parsed while other threads parse"
    raise SyntaxError(message)


_lock = RLock()


def _after_fork() -> None:
    """Give a forked child a lock of its own: the thread that held it is not there."""
    global _lock  # noqa: PLW0603 - one lock for the process
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
