"""The retry of one run inside a flow, such as one mapped item.

The flow is called again, and of what did not complete in it only that run is carried out, with what
depends on it. The others end at once as they ended before, so that the flow sees what it saw then.

Which run of the one flow run is which of the other is told by its place: the how manieth run of
its task it was in the run that called it. One whose arguments look different is another one, and
runs.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from cellist.engine.commands import Held
from cellist.engine.execution import Execution
from cellist.exceptions import CancelledRun, CrashedRun, FailedRun, ObjectNotFound
from cellist.history.rows import inputs_of, parameters_of
from cellist.model.events import Event, Sink, StateChanged
from cellist.model.reasons import Reason
from cellist.model.runs import Run

Place = tuple[tuple[str, str, int], ...]
"""From the outermost run inwards: what was called and the how manieth such call it was."""
_ERRORS = {"FAILED": FailedRun, "CRASHED": CrashedRun, "CANCELLED": CancelledRun}
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


class _Placed(NamedTuple):
    place: Place
    is_last: bool
    """Whether it was part of the last attempts of the runs around it."""
    row: dict[str, Any]


class Narrowed:
    """Which runs a retry leaves as they were; `error_of` returns what such a run raised, if known.

    It listens to what becomes of the flow run to learn the place of each run inside it.
    """

    def __init__(
        self, name: str, left: dict[Place, dict[str, Any]], error_of: Callable[[int], Any]
    ) -> None:
        self.name = name
        """The name of the run that is retried."""
        self._left = left
        self._error_of = error_of
        self._places: dict[int, Place] = {}
        self._counts: dict[tuple[int, int, str, str], int] = {}
        self._sinks: list[Sink] = []

    def begin(self, run: Run) -> None:
        """Take a flow run for the one that is retried."""
        self._places[run.number] = ()
        self._sinks = cast("list[Sink]", run.sinks)
        self._sinks.append(self._listen)

    def end(self) -> None:
        """Note that it has ended."""
        self._sinks.remove(self._listen)

    def _listen(self, event: Event) -> None:
        """Learn the place of a run when it begins."""
        if event.__class__ is not StateChanged or event[1] != 0:
            return
        run = event.run
        above = self._places.get(run.parent.number) if run.parent is not None else None
        if above is None or run.parent is None:
            return
        call = (run.kind, run.definition.name)
        where = (run.parent.number, run.parent.attempts, *call)
        index = self._counts[where] = self._counts.get(where, -1) + 1
        self._places[run.number] = (*above, (*call, index))

    def end_of(self, x: Execution) -> Held | None:
        """Return how a run ends that is not to be carried out, and say so in its reason."""
        row = self._left.get(self._places.get(x.run.number, ()))
        if row is None or _look(inputs_of(x.run, parameters_of(x.run))) != _look(row.get("inputs")):
            return None
        message = row["states"][-1][2] or ""
        error = self._error_of(int(row["id"], 16)) or _ERRORS[row["state_type"]](message)
        error.add_note(f"`{row['name']}` was not run again: only `{self.name}` was.")
        sentence = f"did not run again: only `{self.name}` was to be retried"
        x.run.why = Reason("off", "left", sentence)
        return Held(error, message)


def _look(inputs: dict[str, str] | None) -> dict[str, str]:
    return {name: _ADDRESS.sub("", text) for name, text in (inputs or {}).items()}


def narrowed(
    chosen: str,
    family: Sequence[dict[str, Any]],
    latest: Sequence[dict[str, Any]],
    error_of: Callable[[int], Any],
) -> Narrowed | None:
    """Return what a retry of the run with the id `chosen` leaves as it was, `None` if nothing.

    `family` are the rows of its flow run and all inside, `latest` those of the last retry of that.
    Raises `ObjectNotFound` if it has completed.
    """
    known = {one.row["id"]: one for one in _placed(family)}
    if chosen not in known:
        return None
    goal, row = known[chosen].place, known[chosen].row
    placed = _placed(latest)
    now = next((one.row for one in placed if one.place == goal and one.is_last), row)
    if "COMPLETED" in (row["state_type"], now["state_type"]):
        message = (
            f"Run {row['name']!r} has completed, so there is nothing to run again. What failed in "
            f"`{placed[0].row['name']}`, which it is part of, runs by a retry of that."
        )
        raise ObjectNotFound(message)
    free: set[str] = set()
    if not any(state[1] == "RUNNING" for state in row["states"]):
        _add_sources(placed, goal, free)  # it cannot run without
    left: dict[Place, dict[str, Any]] = {}
    for place, is_last, one in placed:  # the oldest first, so sources come before what uses them
        is_on_way = place == goal[: len(place)] or place[: len(goal)] == goal
        if is_on_way or one["id"] in free or free.intersection(_sources(one)):
            if place[: len(goal)] == goal or one["id"] in free or not is_on_way:
                free.add(one["id"])
        elif is_last and one["state_type"] in _ERRORS:
            left[place] = one
    return Narrowed(row["name"], left, error_of)


def _sources(row: dict[str, Any]) -> Iterable[str]:
    upstream: dict[str, list[str]] = row.get("upstream") or {}
    return (number for numbers in upstream.values() for number in numbers)


def _add_sources(placed: list[_Placed], goal: Place, free: set[str]) -> None:
    """Add the ids of what the run at a place comes from, near and far."""
    wanted = {one.row["id"] for one in placed if one.place == goal}
    for one in reversed(placed):
        if one.row["id"] in wanted:
            wanted.update(_sources(one.row))
            if one.row["state_type"] != "COMPLETED":
                free.add(one.row["id"])


def _placed(rows: Sequence[dict[str, Any]]) -> list[_Placed]:
    """Return the rows of a flow run and of all inside it, the oldest first, with their places."""
    found: dict[str, _Placed] = {}
    counts: dict[tuple[str, int, str, str], int] = {}
    for row in rows:
        above = found.get(row["parent"])
        if above is None:
            found[row["id"]] = _Placed((), not found, row)
            continue
        attempt = _attempt_at(above.row, row["created"])
        call = (row["kind"], row["definition"])
        where = (row["parent"], attempt, *call)
        index = counts[where] = counts.get(where, -1) + 1
        is_last = above.is_last and attempt == above.row["attempts"]
        found[row["id"]] = _Placed((*above.place, (*call, index)), is_last, row)
    return list(found.values())


def _attempt_at(row: dict[str, Any], at: int) -> int:
    """Return at which attempt a run was at some time."""
    states: list[Any] = row["states"]
    return sum(
        kind == "RUNNING" and when <= at and (index == 0 or states[index - 1][1] != "PAUSED")
        for index, (_, kind, _, when) in enumerate(states)
    )


__all__ = ["Narrowed", "Place", "narrowed"]
