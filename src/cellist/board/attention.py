"""The runs that may need somebody: those that wait for a retry, and those that failed."""

from typing import Any

from cellist.board.palette import TROUBLE
from cellist.board.rows import Row, milliseconds
from cellist.board.wording import error_line, next_attempt_text
from cellist.drawing.markup import clipped
from cellist.history.rows import inputs_of, parameters_of
from cellist.model.ids import as_hex
from cellist.model.runs import Run
from cellist.model.states import COMPLETED

NEEDY = TROUBLE | {"waiting"}
"""Looks of runs that are known here; other changes need not be told."""

_NAME, _CALL = 60, 40


class Attention:
    """Knows which runs wait for a retry and which failed for good."""

    def __init__(self) -> None:
        self._waiting: dict[int, Row] = {}
        self._failed: dict[int, Row] = {}
        self._failed_flows: dict[int, Row] = {}

    def move(self, row: Row, look: str) -> None:
        """Note that a run looks different now, or was `NEEDY`; the row itself is changed later."""
        number = row.run.number
        if look == "waiting":
            self._waiting[number] = row
        elif row.look == "waiting":
            self._waiting.pop(number, None)
        failed = self._failed_flows if row.run.kind == "flow" else self._failed
        if look in TROUBLE:
            failed[number] = row
        elif row.look in TROUBLE:
            failed.pop(number, None)

    def next_retry(self) -> dict[str, Any] | None:
        """Return the retry that comes first."""
        due = [(row.run.due, row) for row in self._waiting.values() if row.run.due]
        if not due:
            return None
        at, row = min(due, key=lambda pair: pair[0])
        return {
            "due": milliseconds(at),
            "name": _called(row.run),
            "run": row.hex,
            "attempt": next_attempt_text(row.run),
            "error": error_line(row.run),
            "more": f"and {len(due) - 1:,} more" if len(due) > 1 else None,
        }

    def failure(self, *, is_over: bool) -> dict[str, Any] | None:
        """Return what failed last, and what can be done about it once all `is_over`.

        A flow counts only if no task of it failed: then it failed by itself.
        """
        failed = self._failed or (self._failed_flows if is_over else {})
        if not failed:
            return None
        row = next(reversed(failed.values()))
        run, count = row.run, len(failed)
        name = _called(run)
        return {
            "run": row.hex,
            "name": name,
            "text": f"{name} failed" if count == 1 else f"{count:,} runs failed, last {name}",
            "error": error_line(run),
            "retry": _unfinished(run) if is_over else None,
            "inputs": bool(run.inputs or run.call),
            "trace": run.error is not None,
        }


def _called(run: Run) -> str:
    """Return the name of a run and what it was called with, which tells it from those beside it."""
    name = clipped(run.name, _NAME)
    inputs = inputs_of(run, parameters_of(run)) or {}
    shown = ", ".join(f"{parameter}={value}" for parameter, value in inputs.items())
    return f"{name} ({clipped(shown, _CALL)})" if shown else name


def _unfinished(run: Run) -> str | None:
    """Return the id of what would run again to mend a failed run: its outermost flow, or itself.

    `None` if that has completed all the same.
    """
    while run.flow is not None:
        run = run.flow
    return as_hex(run.number) if run.state_type is not COMPLETED else None
