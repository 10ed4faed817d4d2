"""The runs that nothing on the board called: the flow of the cell, or the tasks it called itself.

They decide what the header says. A cell may call ten thousand tasks in a loop, so what is said of
them is kept up to date and not counted again with every frame.
"""

from itertools import islice

from cellist.board.palette import OVER
from cellist.board.rows import Row

STOPPABLE = 50
"""Runs one click on "Cancel all" reaches; the next click reaches the next ones."""


class Roots:
    """Counts, span and running members of the outermost runs."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.only: Row | None = None
        """The one root, if there is one."""
        self.began = 0
        self.ended = 0
        self._live: dict[int, Row] = {}
        self._total = 0

    def add(self, row: Row) -> None:
        """Take in a run that has just been announced; it is counted by the first `move`."""
        row.is_root = True
        self._total += 1
        self.only = row if self._total == 1 else None
        self._live[row.run.number] = row
        began = row.began
        if began and (not self.began or began < self.began):
            self.began = began

    def move(self, row: Row, look: str) -> None:
        """Note that a run looks different now. Called before the row itself is changed."""
        if row.look:
            self.counts[row.look] -= 1
        self.counts[look] = self.counts.get(look, 0) + 1
        if look in OVER:
            self._live.pop(row.run.number, None)
            self.ended = max(self.ended, row.run.entered[-1])

    def stoppable(self) -> list[Row]:
        """Return runs that can be cancelled, not more than one click should reach."""
        live = (row for row in self._live.values() if "cancel" in row.controls())
        return list(islice(live, STOPPABLE))
