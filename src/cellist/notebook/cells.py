"""One execution of a cell: its token, its title, and whether it wants a board."""

import itertools
from collections.abc import MutableMapping
from contextvars import ContextVar, copy_context
from typing import Any

from cellist.engine.execution import current_cell

_numbers = itertools.count(1)


class Cell:
    """One execution of a cell. Runs carry it, so that a board gathers what the cell started."""

    def __init__(self, count: int | None, namespace: MutableMapping[str, Any]) -> None:
        self.number = next(_numbers)
        self.count = count
        self.namespace = namespace
        self.opened: Any = None
        """The run that the cell itself is, if it is one."""
        self.source: str | None = None
        """Its text, once that is known."""
        self.quiet = False
        self.board: Any = None
        self.around: dict[str, Any] = {}
        """Names of the flow or task cell that runs this one, if any."""
        self.context = copy_context()
        self.set_variables: dict[ContextVar[Any], Any] = {}
        """Context variables that its code set: a cell that awaits has a context of its own."""
        self.random: Any = None
        """The states of the random generators before it, if it may seed them."""
        self.runs: list[Any] = []
        """Runs that have no parent, in the order they started."""

    @property
    def id(self) -> str:
        """What tells this execution from others."""
        return f"cell-{self.number}"

    @property
    def shows_logs(self) -> bool:
        """Whether what runs of the cell log is shown on a board, or to be shown nowhere."""
        return self.quiet or getattr(self.board, "shows_logs", False)

    @property
    def title(self) -> str:
        """What the cell is called where it has no other name."""
        return f"cell-{self.count}" if self.count is not None else "cell"


def this_cell() -> Cell:
    """Return the cell that is being executed here; a nameless one outside cells."""
    cell = current_cell.get()
    return cell if isinstance(cell, Cell) else Cell(None, {})
