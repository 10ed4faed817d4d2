"""What is known of the present run: `runtime.flow_run.name`, `runtime.task_run.run_count`.

Outside runs the values are empty: `None`, `[]`, `{}` or 0.
"""

from datetime import UTC, datetime
from typing import Any

from cellist.context import FlowRunContext, TaskRunContext


class _FlowRun:
    """Facts about the enclosing flow run."""

    @property
    def _context(self) -> FlowRunContext | None:
        return FlowRunContext.get()

    @property
    def id(self) -> str | None:
        """The id as text."""
        context = self._context
        return str(context.flow_run.id) if context else None

    @property
    def name(self) -> str | None:
        """The name of the run."""
        context = self._context
        return context.flow_run.name if context else None

    @property
    def flow_name(self) -> str | None:
        """The name of the flow."""
        context = self._context
        return context.flow.name if context else None

    @property
    def flow_version(self) -> str | None:
        """The version of the flow."""
        context = self._context
        return context.flow.version if context else None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters after validation."""
        context = self._context
        return dict(context.flow_run.parameters) if context else {}

    @property
    def tags(self) -> list[str]:
        """The tags of the run."""
        context = self._context
        return sorted(context.flow_run.tags) if context else []

    @property
    def run_count(self) -> int:
        """The number of the attempt, from 1."""
        context = self._context
        return context.flow_run.run_count if context else 0

    @property
    def scheduled_start_time(self) -> datetime:
        """When the run was to start; now outside runs."""
        context = self._context
        return (context.flow_run.created if context else None) or datetime.now(UTC)


class _TaskRun:
    """Facts about the present task run."""

    @property
    def _context(self) -> TaskRunContext | None:
        return TaskRunContext.get()

    @property
    def id(self) -> str | None:
        """The id as text."""
        context = self._context
        return str(context.task_run.id) if context else None

    @property
    def name(self) -> str | None:
        """The name of the run."""
        context = self._context
        return context.task_run.name if context else None

    @property
    def task_name(self) -> str | None:
        """The name of the task."""
        context = self._context
        return context.task.name if context else None

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments by name."""
        context = self._context
        return context.parameters if context else {}

    @property
    def tags(self) -> list[str]:
        """The tags of the run."""
        context = self._context
        return sorted(context.task_run.tags) if context else []

    @property
    def run_count(self) -> int:
        """The number of the attempt, from 1."""
        context = self._context
        return context.task_run.run_count if context else 0


flow_run = _FlowRun()
task_run = _TaskRun()

__all__ = ["flow_run", "task_run"]
