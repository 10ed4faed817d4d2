"""Flows of a plain script: lines at the foot of its terminal, and a summary when one is over.

The session calls `show` by name when a flow begins outside cells, and only where text is wanted,
so that a script without a terminal never loads a board.
"""

import sys
from typing import Any

from cellist.board.feed import Feed
from cellist.board.region import is_terminal
from cellist.board.terminal import TextBoard
from cellist.model.events import Event
from cellist.model.runs import Run
from cellist.model.states import FINAL

_feed = Feed()
_live: dict[int, "Script"] = {}


class Script:
    """One flow of a script; what its runs carry in place of a cell."""

    shows_logs = False

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def id(self) -> str:
        """What tells it from others."""
        return f"script-{self.number}"


def show(session: Any, run: Run) -> None:
    """Show a flow that begins: its runs carry a token, its end writes the summary."""
    for sink in (_feed.sink, _note_end):
        if sink not in session.sinks:
            session.sinks.append(sink)
    token = Script(run.number)
    run.cell = token
    _live[run.number] = token
    board = TextBoard(run.definition.name, lambda: sys.stderr, is_live=is_terminal(sys.stderr))
    _feed.attach(token, board)


def _note_end(event: Event) -> None:
    """Write the summary of a flow that is over before its caller goes on."""
    token = _live.get(event.run.number) if _live else None
    if token is not None and event.run.state_type in FINAL:
        del _live[event.run.number]
        _feed.finish(token)
