"""Which runs are drawn one by one: the first ones of each group, and those that need attention."""

from cellist.board.rows import Row

ROW_LIMIT = 1000
"""Runs listed one by one on a board, those that need attention not counted."""
GROUP_LIMIT = 400
"""The same for one group."""
NOTABLE_LIMIT = 500
"""Runs that failed or wait for a retry are listed too, up to this many."""

_NOTABLE = frozenset({"failed", "crashed", "waiting", "paused", "cancelling"})


class Listed:
    """Takes runs until there are enough. Once taken a run stays, so that nothing jumps."""

    def __init__(self) -> None:
        self._plain = 0
        self._notable = 0

    def take(self, row: Row) -> bool:
        """Have a run drawn by itself if there is room, and tell whether there is."""
        group = row.group
        if not row.index or (self._plain < ROW_LIMIT and group.sent < GROUP_LIMIT):
            self._plain += 1
        elif row.look in _NOTABLE and self._notable < NOTABLE_LIMIT:
            self._notable += 1
        else:
            return False
        row.sent = True
        group.sent += 1
        return True
