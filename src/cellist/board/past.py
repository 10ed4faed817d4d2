"""A board of runs that are over: what the history knows, made into what a board draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from cellist.board.clicks import Control
from cellist.board.live import Board, Screen, Telling, Ui
from cellist.board.summary import summary_lines
from cellist.board.view import View
from cellist.model.events import RunUpdated
from cellist.model.facts import ErrorInfo
from cellist.model.reasons import Reason
from cellist.model.runs import FlowRun, Run, TaskRun
from cellist.model.states import StateType

_WIDTH = 140
Row = dict[str, Any]


@dataclass
class PastDefinition:
    """What is known of the task or flow of a past run."""

    name: str
    key: str
    version: str | None = None


def past_runs(rows: Sequence[Row]) -> list[Run]:
    """Return the runs that rows of the history tell of, in the order of their ids."""
    definitions: dict[tuple[str, str], PastDefinition] = {}
    found: dict[str, Run] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        key = str(row.get("key") or row["definition"])
        definition = definitions.setdefault(
            (row["definition"], key), PastDefinition(row["definition"], key)
        )
        found[row["id"]] = _run(row, definition, found)
    return list(found.values())


def _run(row: Row, definition: PastDefinition, found: dict[str, Run]) -> Run:
    kind = FlowRun if row["kind"] == "flow" else TaskRun
    parent, flow = found.get(row["parent"] or ""), found.get(row["flow"] or "")
    run = kind(definition, parent, cast("Any", flow), (), frozenset(row.get("tags") or ()))
    run.number = int(row["id"], 16)
    run.name = row["name"]
    states: list[list[Any]] = row.get("states") or []
    run.entered = tuple(
        value for name, of_type, message, at in states for value in (of_type, name, message, at)
    )
    run.state_type = StateType(states[-1][1]) if states else None
    run.inputs, run.preview, run.where = row.get("inputs"), row.get("result"), row.get("where")
    run.cache_key = row.get("cache_key")
    run.why = Reason.from_dict(row["why"]) if row.get("why") else None
    run.error = ErrorInfo(*row["error"][:3]) if row.get("error") else None
    upstream: dict[str, list[str]] = row.get("upstream") or {}
    run.upstream = {
        name: tuple(int(number, 16) for number in numbers) for name, numbers in upstream.items()
    } or None
    return run


def show_past(
    rows: Sequence[Row],
    *,
    ui: Ui,
    control: Control,
    details: Telling | None = None,
    screen: Screen | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Show the board of a past run, given its rows and those inside it; as text by `say`."""
    runs = past_runs(rows)
    root = runs[0]
    title = (
        root.name if root.name == root.definition.name else f"{root.definition.name}: {root.name}"
    )
    events = [RunUpdated(run, "shown") for run in runs]
    if ui == "text":
        view = View(title)
        view.apply_all(events)
        say("\n".join(summary_lines(view, _WIDTH)))
        return
    board = Board(title, control=control, ui=ui, details=details, screen=screen)
    board.apply(events)
    board.note(_when(root))
    board.show()
    board.close()


def _when(root: Run) -> str:
    """Return when the run took place, and whether this is all of it."""
    begun = root.created
    moment = f"Began {begun:%Y-%m-%d %H:%M:%S} UTC." if begun else ""
    if root.is_final:
        return moment
    return f"{moment} It had not ended at {datetime.now(UTC):%H:%M:%S} UTC, as shown here."
