"""Which run is going on here: run contexts, and the `tags` context manager."""

import contextvars
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from cellist.engine.execution import (
    Execution,
    FlowExecution,
    active_tags,
    current,
    enclosing_flow,
)
from cellist.exceptions import MissingContextError
from cellist.model.runs import FlowRun, TaskRun

P = ParamSpec("P")
R = TypeVar("R")


class RunContext:
    """A view of the run that goes on; it holds nothing of its own."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

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


class TaskRunContext(RunContext):
    """The task run that goes on."""

    @classmethod
    def of(cls, execution: Execution) -> "TaskRunContext":
        """Return the context of an execution."""
        return cls(execution)

    @classmethod
    def get(cls) -> "TaskRunContext | None":
        """Return the task run context of the code that asks, `None` outside tasks."""
        execution = current.get()
        if execution is None or isinstance(execution, FlowExecution):
            return None
        return cls(execution)

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
        flow = enclosing_flow(current.get())
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
        return self._execution.definition.task_runner


EngineContext = FlowRunContext


def get_run_context() -> TaskRunContext | FlowRunContext:
    """Return the context of the innermost run. Raises `MissingContextError` outside runs."""
    execution = current.get()
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


def with_context(fn: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the present run, for threads you start yourself."""
    context = contextvars.copy_context()

    @wraps(fn)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(fn, *args, **kwargs)

    return wrapper


__all__ = [
    "EngineContext",
    "FlowRunContext",
    "RunContext",
    "TagsContext",
    "TaskRunContext",
    "get_run_context",
    "tags",
    "with_context",
]
