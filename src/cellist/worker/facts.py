"""What is known of a run that has ended besides its states, as plain data."""

from typing import Any

from cellist.model.deferred import MirrorRun
from cellist.model.facts import ErrorInfo
from cellist.model.reasons import Reason


def facts_of(run: Any) -> dict[str, Any]:
    """Return what is known of a run that has ended."""
    return {
        "why": run.why.as_dict() if run.why is not None else None,
        "preview": run.preview,
        "error": list(run.error) if run.error is not None else None,
        "where": run.where,
        "cache_key": run.cache_key,
        "name": run.name,
    }


def take_facts(run: MirrorRun, facts: dict[str, Any]) -> None:
    """Tell a mirror what is known of the end of its run."""
    if facts.get("why"):
        run.why = Reason.from_dict(facts["why"])
    if facts.get("error"):
        run.error = ErrorInfo(*facts["error"])
    run.preview, run.where = facts.get("preview"), facts.get("where")
    run.cache_key = facts.get("cache_key")
    if facts.get("name"):
        run.name = facts["name"]
