"""A run as a row: what is written of it, read from the live run in one go.

A row is a list in the order of `database.COLUMNS`; its last element is a document with all that is
shown but not searched for.
"""

from typing import Any

from cellist.model.ids import as_hex
from cellist.model.previews import short
from cellist.model.runs import Run
from cellist.model.states import FINAL

_LONGEST = 10_000
_MOST_INPUTS = 50


def row_of(run: Run, session: int) -> list[Any]:
    """Return the row of a run as it is now."""
    states = list(run.states)
    last = states[-1]
    why = run.why
    is_over = last.type in FINAL
    flow, parent = run.flow, run.parent
    document = {
        "states": [[s.name, s.type.value, _clip(s.message), s.at] for s in states],
        "inputs": inputs_of(run),
        "upstream": {
            name: [as_hex(number) for number in numbers]
            for name, numbers in (run.upstream or {}).items()
        },
        "why": why.as_dict() if why is not None else None,
        "cache_key": run.cache_key,
        "result": run.preview,
        "error": list(run.error) if run.error is not None else None,
        "tags": sorted(run.tags),
        "running": run.running_ns,
        "where": run.where,
        "key": getattr(run.definition, "identity", run.definition.name),
    }
    return [
        as_hex(run.number),
        run.kind,
        run.name,
        run.definition.name,
        as_hex(flow.number) if flow is not None else None,
        as_hex(parent.number) if parent is not None else None,
        session,
        last.name,
        last.type.value,
        states[0].at,
        run.first_running or None,
        last.at if is_over else None,
        run.attempts,
        why.outcome if why is not None else None,
        document,
    ]


def _clip(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else text[:_LONGEST] + "…"


def inputs_of(run: Run) -> dict[str, str] | None:
    """Return short forms of the arguments by name, made once for a run that has started."""
    if run.inputs is None and run.call is not None:
        args, kwargs = run.call
        names = _names(run)
        found: dict[str, str] = {}
        for index, value in enumerate(args[:_MOST_INPUTS]):
            found[names[index] if index < len(names) else f"args[{index}]"] = short(value)
        for name, value in list(kwargs.items())[:_MOST_INPUTS]:
            found[str(name)] = short(value)
        if not run.attempts and not run.is_final:
            return found  # futures among them have no values yet
        run.inputs = found
    return run.inputs


def _names(run: Run) -> tuple[str, ...]:
    plan = getattr(run.definition, "plan", None)
    if not callable(plan):
        return ()
    shape = getattr(plan(), "shape", None)
    return getattr(shape, "names", ())
