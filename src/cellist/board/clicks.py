"""Clicks on a board: checked, handed over, and answered in one sentence.

{action, run}      a command about one run
{action, group}    the same about all runs of a group that are not over
"""

import logging
from collections.abc import Callable
from typing import Any

from cellist.board.palette import OVER
from cellist.board.rows import Row
from cellist.board.view import View
from cellist.board.wording import amount
from cellist.drawing.markup import clipped

LIVE = frozenset({"cancel", "retry_now", "give_up"})
"""What can be asked of a run that is not over."""
ALWAYS = frozenset({"retry_failed"})
"""What can be asked of a run that is."""

Control = Callable[[str, str], str | None]
_log = logging.getLogger("cellist.board")
_GROUP_TEXTS = {
    "cancel": "Asked to stop: {}.",
    "retry_now": "Begins its next attempt now: {}.",
    "give_up": "Not retried: {}.",
}


def answer(message: dict[str, Any], view: View | None, control: Control) -> str:
    """Do what a click asks for and return what to tell the user. Never raises."""
    action, run, group = message.get("action"), message.get("run"), message.get("group")
    if not isinstance(action, str) or action not in LIVE | ALWAYS:
        return "This command is not known."
    if action in ALWAYS:
        return _obey(control, action, run) if isinstance(run, str) else "This run is not known."
    if isinstance(group, int) and view is not None and 0 <= group < len(view.groups):
        return _obey_group(control, action, view, group)
    if not isinstance(run, str) or view is None or view.row_by_hex(run) is None:
        return "This run is over."
    return _obey(control, action, run)


def _obey(control: Control, action: str, run: str) -> str:
    try:
        return control(action, run) or ""
    except Exception as error:
        _log.warning("The command %s failed.", action, exc_info=True)
        return clipped(f"That did not work: {type(error).__name__}: {error}", 300)


def _may(row: Row, action: str) -> bool:
    """Whether a command makes sense for a run; what waits for a retry can be cancelled as well."""
    is_live = row.look not in OVER and row.look != "cancelling"
    return is_live and (action == "cancel" or action in row.controls())


def _obey_group(control: Control, action: str, view: View, group: int) -> str:
    """Do the same with each run of a group that it makes sense for."""
    chosen = view.groups[group]
    rows = [row for row in list(chosen.rows) if _may(row, action)]
    if not rows:
        return f"No run of `{chosen.name}` can do that now."
    for row in rows:
        said = _obey(control, action, row.hex)
        if said.startswith("That did not work"):
            return said
    return _GROUP_TEXTS[action].format(f"{amount(len(rows), 'run')} of `{chosen.name}`")
