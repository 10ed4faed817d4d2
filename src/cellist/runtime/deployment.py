"""The deployment a flow run belongs to. There is no server here, so every value is empty."""

from typing import TYPE_CHECKING, Any

from cellist.runtime.facts import Facts, fact

if TYPE_CHECKING:
    id: str | None  # noqa: A001 - the names are Prefect's
    name: str | None
    version: str | None
    parameters: dict[str, Any]
    flow_run_id: str | None

FACTS: Facts = {
    "id": lambda: None,
    "name": lambda: None,
    "version": lambda: None,
    "parameters": dict,
    "flow_run_id": lambda: None,
}


def __getattr__(name: str) -> Any:
    return fact(__name__, FACTS, name)


def __dir__() -> list[str]:
    return list(FACTS)
