"""Errors of cellist's own as IPython shows them: the user's frames, without what is inside.

IPython asks an exception that has `_render_traceback_` for its traceback. Errors of cellist are
raised deep in it, where the frames tell a user nothing that the message does not.
"""

from typing import Any

from cellist.engine.errors import trim
from cellist.exceptions import CellistError

_HOOK = "_render_traceback_"


def shorten_tracebacks(shell: Any) -> None:
    """Have a shell show errors of cellist without cellist's frames."""

    def render(error: BaseException) -> list[str]:
        tb = trim(error).__traceback__
        return shell.InteractiveTB.structured_traceback(type(error), error, tb, tb_offset=1)

    setattr(CellistError, _HOOK, render)


def restore_tracebacks() -> None:
    """Have errors of cellist shown like all others again."""
    if _HOOK in vars(CellistError):
        delattr(CellistError, _HOOK)
