"""What code in a run may ask about it; users get this from `cellist.context`."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

from cellist.engine.execution import (
    Execution,
    FlowExecution,
    active_tags,
    current_for_user,
    enclosing_flow,
)
from cellist.exceptions import MissingContextError
from cellist.model.reasons import Reason
from cellist.model.runs import FlowRun, Run, TaskRun


class RunContext:
    """A view of the run that goes on; it holds nothing of its own."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    @property
    def execution(self) -> Execution:
        """What carries the run out; for cellist's own use."""
        return self._execution

    @property
    def run(self) -> Run:
        """The record of the run, of a flow or of a task."""
        return self._execution.run

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of the call by name, defaults filled in."""
        return self._execution.bound()

    @property
    def start_time(self) -> datetime | None:
        """When the run was made."""
        return self._execution.run.created

    @property
    def log_prints(self) -> bool:
        """Whether prints go to the run's log."""
        return bool(self._execution.log_prints)

    @property
    def persist_result(self) -> bool | None:
        """Whether the result is kept; of a flow, `None` where each of its tasks decides."""
        return not isinstance(self._execution.plan.cache, Reason)

    @property
    def result_store(self) -> Any:
        """Where results are kept; `None` in a rehearsal, which keeps none."""
        return getattr(self._execution.services, "store", None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._execution.run.name!r})"


class TaskRunContext(RunContext):
    """The task run that goes on."""

    @classmethod
    def of(cls, execution: Execution) -> "TaskRunContext":
        """Return the context of an execution."""
        return cls(execution)

    @classmethod
    def get(cls) -> "TaskRunContext | None":
        """Return the context of the enclosing task run, `None` outside tasks."""
        execution = current_for_user()
        while isinstance(execution, FlowExecution):  # a flow may be called by a task
            execution = execution.parent
        return cls(execution) if execution is not None else None

    @property
    def task(self) -> Any:
        """The task."""
        return self._execution.definition

    @property
    def task_run(self) -> TaskRun:
        """The record of the run."""
        return cast("TaskRun", self._execution.run)


class FlowRunContext(RunContext):
    """The flow run that goes on."""

    @classmethod
    def get(cls) -> "FlowRunContext | None":
        """Return the context of the enclosing flow run, `None` outside flows."""
        flow = enclosing_flow(current_for_user())
        return cls(flow) if flow is not None else None

    @property
    def flow(self) -> Any:
        """The flow."""
        return self._execution.definition

    @property
    def flow_run(self) -> FlowRun:
        """The record of the run."""
        return cast("FlowRun", self._execution.run)

    @property
    def parameters(self) -> dict[str, Any]:
        """The flow's parameters after validation."""
        return self.flow_run.parameters

    @property
    def task_runner(self) -> Any:
        """The task runner submitted tasks go to."""
        execution = cast("FlowExecution", self._execution)
        return execution.runner or execution.definition.task_runner

    @property
    def persist_result(self) -> bool | None:
        """Whether tasks of the flow keep their results; `None` where each decides."""
        return self._execution.definition.persist_result

    @property
    def detached(self) -> bool:
        """Whether the flow runs elsewhere, and this is what another process knows of it."""
        return cast("FlowExecution", self._execution).is_detached


EngineContext = FlowRunContext


def get_run_context() -> TaskRunContext | FlowRunContext:
    """Return the context of the innermost run. Raises `MissingContextError` outside runs."""
    execution = current_for_user()
    if execution is None:
        message = (
            "No run context available. You are not in a flow or task run: "
            "call this from inside a function decorated with @task or @flow."
        )
        raise MissingContextError(message)
    if isinstance(execution, FlowExecution):
        return FlowRunContext(execution)
    return TaskRunContext(execution)


class TagsContext:
    """The tags that runs started here get."""

    def __init__(self, current_tags: frozenset[str]) -> None:
        self.current_tags = set(current_tags)

    @classmethod
    def get(cls) -> "TagsContext":
        """Return the tags in force; never `None`."""
        return cls(active_tags.get())


@contextmanager
def tags(*new_tags: str) -> Generator[set[str]]:
    """Give all runs started within the `with` block these tags besides their own.

    Blocks nest; yields the tags in force inside.
    """
    before = active_tags.get()
    now = before | frozenset(new_tags)
    active_tags.set(now)
    try:
        yield set(now)
    finally:
        active_tags.set(before)


__all__ = [
    "EngineContext",
    "FlowRunContext",
    "RunContext",
    "TagsContext",
    "TaskRunContext",
    "get_run_context",
    "tags",
]
