"""The present task run: `from cellist.runtime import task_run`, then `task_run.run_count`."""

from typing import TYPE_CHECKING, Any

from cellist.context import TaskRunContext
from cellist.runtime.facts import Facts, fact

if TYPE_CHECKING:
    id: str | None  # noqa: A001 - the names are Prefect's
    name: str | None
    task_name: str | None
    tags: list[str]
    parameters: dict[str, Any]
    run_count: int
    api_url: str | None
    ui_url: str | None

_here = TaskRunContext.get

FACTS: Facts = {
    "id": lambda: str(context.task_run.id) if (context := _here()) else None,
    "name": lambda: context.task_run.name if (context := _here()) else None,
    "task_name": lambda: context.task.name if (context := _here()) else None,
    "tags": lambda: sorted(context.task_run.tags) if (context := _here()) else [],
    "parameters": lambda: dict(context.parameters) if (context := _here()) else {},
    "run_count": lambda: context.task_run.run_count if (context := _here()) else 0,
    "api_url": lambda: None,
    "ui_url": lambda: None,
}


def __getattr__(name: str) -> Any:
    return fact(__name__, FACTS, name)


def __dir__() -> list[str]:
    return list(FACTS)
