"""The enclosing flow run: `from cellist.runtime import flow_run`, then `flow_run.name`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cellist.context import FlowRunContext
from cellist.model.runs import FlowRun, Run
from cellist.runtime.facts import Facts, fact

if TYPE_CHECKING:
    id: str | None  # noqa: A001 - the names are Prefect's
    name: str | None
    flow_name: str | None
    flow_version: str | None
    tags: list[str]
    parameters: dict[str, Any]
    run_count: int
    scheduled_start_time: datetime
    parent_flow_run_id: str | None
    root_flow_run_id: str | None
    parent_deployment_id: str | None
    api_url: str | None
    ui_url: str | None
    job_variables: dict[str, Any] | None


def _run() -> FlowRun | None:
    context = FlowRunContext.get()
    return context.flow_run if context is not None else None


def _start() -> datetime:
    run = _run()
    return (run.expected_start_time if run is not None else None) or datetime.now(UTC)


def _above(run: Run | None) -> Run | None:
    """Return the flow run that a run belongs to, seen from a subflow also through its task."""
    return run.flow if run is not None else None


def _root() -> Run | None:
    run: Run | None = _run()
    while (above := _above(run)) is not None:
        run = above
    return run


def _id_of(run: Run | None) -> str | None:
    return str(run.id) if run is not None else None


FACTS: Facts = {
    "id": lambda: _id_of(_run()),
    "name": lambda: run.name if (run := _run()) else None,
    "flow_name": lambda: run.definition.name if (run := _run()) else None,
    "flow_version": lambda: run.flow_version if (run := _run()) else None,
    "tags": lambda: sorted(run.tags) if (run := _run()) else [],
    "parameters": lambda: dict(run.parameters) if (run := _run()) else {},
    "run_count": lambda: run.run_count if (run := _run()) else 0,
    "scheduled_start_time": _start,
    "parent_flow_run_id": lambda: _id_of(_above(_run())),
    "root_flow_run_id": lambda: _id_of(_root()),
    "parent_deployment_id": lambda: None,
    "api_url": lambda: None,
    "ui_url": lambda: None,
    "job_variables": lambda: None,
}
"""Deployments, URLs and job variables belong to a server, so they are always `None` here."""


def __getattr__(name: str) -> Any:
    return fact(__name__, FACTS, name)


def __dir__() -> list[str]:
    return list(FACTS)
