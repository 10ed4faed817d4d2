"""How the earlier runs of a task ended of which no result is kept: here, or before this session.

The history is asked when somebody reads the reason, once for each task.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from cellist.caching.reasons import Tried
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.model.states import FINAL, StateType

Ending = Callable[[], Tried | None]


class EarlierRuns:
    """What is known of tasks of which nothing is kept; `owner` has the history."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._here: dict[str, Run] = {}
        """The last run of a task in this session, by the task's identity."""
        self._ended: dict[str, StateType] = {}
        """How the last one ended that others have followed: those may still go on, side by side."""
        self._before: dict[str, Tried | None] = {}
        """How those ended that the history knows."""

    def of(self, identity: str, name: str, run: Run | None) -> Ending:
        """Return what tells how the last run of a task ended.

        `run` is one that begins now, and is the last one from now on.
        """
        former = self._here.get(identity)
        if run is not None:
            self._here[identity] = run
        ended = former.state_type if former is not None else None
        if ended is not None and ended in FINAL:
            self._ended[identity] = ended
        if identity in self._ended:
            return partial(Tried, self._ended[identity])
        return partial(self._recorded, identity, name, run.number if run is not None else None)

    def _recorded(self, identity: str, name: str, number: int | None) -> Tried | None:
        if identity not in self._before:
            history: Any = getattr(self._owner, "history", None)
            before = as_hex(number) if number is not None else "g"  # above all ids
            rows: list[Any] = history.endings(name, identity, before) if history else []
            completed = [row for row in rows if row["state_type"] == "COMPLETED"]
            self._before[identity] = next(map(_tried, completed or rows), None)
        return self._before[identity]


def _tried(row: dict[str, Any]) -> Tried:
    return Tried(StateType(row["state_type"]), row["ended"] / 1e9)


__all__ = ["EarlierRuns", "Ending"]
