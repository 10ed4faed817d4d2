"""Failures that no longer count: of runs that a flow made in an attempt that it has retried."""

from collections.abc import Iterable, Iterator

from cellist.board.palette import TROUBLE
from cellist.board.rows import Row
from cellist.model.runs import Run
from cellist.model.states import RUNNING

LOOK = "superseded"


def retried(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of flows that have begun another attempt since they were last looked at."""
    found: list[Row] = []
    for row in rows:
        if row.run.attempts > row.attempt and row.run.kind == "flow":
            row.attempt = row.run.attempts
            if row.attempt > 1:
                found.append(row)
    return found


def superseded(flow: Run, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of runs that failed inside a flow before its present attempt."""
    since = max(state.at for state in flow.states if state.type is RUNNING)
    for row in rows:
        if row.look in TROUBLE and row.began < since and _is_inside(row.run, flow):
            yield row


def _is_inside(run: Run, flow: Run) -> bool:
    above = run.flow
    while above is not None and above is not flow:
        above = above.flow
    return above is flow
