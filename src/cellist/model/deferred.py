"""Runs that wait in the queue of deferred runs until a worker carries them out.

Two processes know such a run: the one that queued it has a mirror, the worker has the run itself.
Both have the same id. The queue, and not the life of either process, says whether it is lost.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from cellist.model.events import StateChanged, publish
from cellist.model.ids import as_hex
from cellist.model.runs import Entry, TaskRun
from cellist.model.states import FINAL, NO_DATA, State, StateType


class DeferredRun(TaskRun):
    """A task run that was queued by `delay`, as it is carried out by a worker."""

    __slots__ = ("parameters_id",)
    recorded_as = 0  # of no process: the queue knows when the run is lost

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parameters_id: UUID | None = None

    def public_state(self, data: Any = NO_DATA, state: State | None = None) -> State:
        """Return a state as a user gets it; while it is scheduled it tells of the parameters."""
        copy = super().public_state(data, state)
        if copy.is_scheduled() and copy.name == "Scheduled":  # not AwaitingRetry
            copy.state_details.deferred = True
            copy.state_details.task_parameters_id = self.parameters_id
        return copy

    def seed(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take over the states that the run has had elsewhere, without publishing them."""
        for kind, name, message, at in rows:
            self.state_type = StateType(kind)
            self.entered = (*self.entered, kind, name, message, at)

    def rows(self) -> list[Entry]:
        """Return the states as plain data."""
        return list(self.entries())


class MirrorRun(DeferredRun):
    """What is known of a deferred run where it is not carried out."""

    __slots__ = ()
    recorded_as = -1  # of no process, and never in place of what the worker has written

    def publish(self) -> None:
        """Announce the run by its present state."""
        publish(StateChanged(self, sum(1 for _ in self.entries()) - 1))

    def adopt(self, rows: Sequence[Sequence[Any]], *, final: bool) -> None:
        """Take over what became of the run elsewhere and publish it.

        A final state is adopted only if `final` says that the facts about the end are known.
        """
        for row in rows[sum(1 for _ in self.entries()) :]:
            if StateType(row[0]) in FINAL and not final:
                return
            self.seed([row])
            self.publish()


def hex_of(run_id: Any) -> str:
    """Return the id of a run as 32 hex digits. Takes a `UUID`, its text, a run, a future.

    Raises `ValueError` for what is none.
    """
    found = getattr(run_id, "task_run_id", None) or getattr(run_id, "id", run_id)
    if isinstance(found, int):
        return as_hex(found)
    return UUID(str(found)).hex
