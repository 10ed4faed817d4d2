"""`cellist.show`: the board of any run of the history."""

import sys
from functools import partial
from typing import Any

from cellist import settings
from cellist.board.details import Details
from cellist.board.past import show_past
from cellist.exceptions import ObjectNotFound
from cellist.notebook.controls import control
from cellist.notebook.kernel import ui_for
from cellist.session import get_session

_PATIENCE = 5.0
"""Seconds to wait until what happened so far has been written."""


def show(which: Any = None) -> None:
    """Show the board of a run and of all that ran inside it, however long ago it was.

    `which` is a run, a state, a future, an id, the beginning of one, or a name, which means its
    latest run; by default the latest run that no other called. In a notebook the board opens as it
    was left, with the inputs, result, logs and reasons of each run; elsewhere it is text.
    `CELLIST_UI` overrules. Raises `ObjectNotFound` naming near matches.
    """
    session = get_session()
    history = session.history
    history.flush(_PATIENCE)
    record = history.run(_text(which) if which is not None else _latest(history))
    ui = _ui()
    if ui != "off":
        clicks = partial(control, again=_by_hand)
        show_past(history.family(record), ui=ui, control=clicks, details=Details(get_session))


def _by_hand(run: str) -> str:
    """Return how to run again what failed in a past run: its output belongs under a cell."""
    return f"To run again what failed, run this in a cell: %cellist retry {run}"


def _latest(history: Any) -> str:
    """Return the id of the latest run that no other called."""
    rows = history.outermost(1)
    if not rows:
        message = "There is no run to show yet."
        raise ObjectNotFound(message)
    return str(rows[0]["id"])


def _text(which: Any) -> str:
    """Return what tells a run: its id, or a name."""
    details = getattr(which, "state_details", None)
    if details is not None:
        which = details.task_run_id or details.flow_run_id
    known = getattr(which, "task_run_id", None) or getattr(which, "id", None) or which
    return str(known)


def _ui() -> Any:
    """Return how to show it: as the cell that runs now would show its board."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    wanted = settings.refresh().ui
    if shell is not None:
        return ui_for(shell, wanted)
    return "off" if wanted == "off" else "text"


__all__ = ["show"]
