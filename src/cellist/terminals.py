"""Whether a flow of a plain script is shown on its terminal, and by whom."""

import sys
from importlib import import_module
from typing import Any

from cellist import settings
from cellist.model.runs import Run


def show_in_terminal(session: Any, cell: Any, run: Run) -> None:
    """Show a flow of a script where somebody looks at it, or where text was asked for.

    By name, because boards are above this layer and a script without a terminal needs none.
    """
    if cell is None and run.kind == "flow" and _wants_text(settings.active().ui):
        import_module("cellist.board.scripts").show(session, run)


def _wants_text(ui: str) -> bool:
    if ui in ("text", "off"):
        return ui == "text"
    try:
        return sys.stderr.isatty() and sys.stdout.isatty()
    except Exception:  # closed, or streams of the user's own making
        return False


__all__ = ["show_in_terminal"]
