"""Runs as DataFrames. pandas is imported when one is asked for."""

import importlib
from collections.abc import Sequence
from typing import Any

from cellist.history.decisions import Decision
from cellist.history.records import RunRecord
from cellist.history.rows import storable

COLUMNS = (
    "id",
    "name",
    "kind",
    "definition",
    "flow_run",
    "state",
    "state_type",
    "start",
    "end",
    "duration",
    "attempts",
    "reused",
    "why",
    "saved",
    "tags",
    "error",
)


def frame_of(rows: list[dict[str, Any]], flow_names: dict[str, str]) -> Any:
    """Return one line per run: times in UTC, durations and savings in seconds."""
    pd = _pandas()
    table = [_line(row, flow_names) for row in rows]
    kind: Any = importlib.import_module("cellist.history.runs_frame").RunsFrame  # needs pandas
    frame = kind(table, columns=pd.Index(COLUMNS))
    for name in ("start", "end"):
        moments = pd.to_datetime(frame[name], unit="ns", utc=True)
        frame[name] = moments.astype("datetime64[ns, UTC]")
    for name in ("duration", "saved"):
        frame[name] = frame[name].astype("float64")
    frame["attempts"] = frame["attempts"].astype("int64")
    frame["reused"] = frame["reused"].astype("bool")
    return frame


def decisions_frame(decisions: Sequence[Decision]) -> Any:
    """Return one line per decision of the user over the cache, times in UTC."""
    pd = _pandas()
    frame = pd.DataFrame(decisions, columns=pd.Index(Decision._fields))
    moments = pd.to_datetime(frame.pop("at"), unit="ns", utc=True)
    frame.insert(0, "time", moments.astype("datetime64[ns, UTC]"))
    frame["results"] = frame["results"].astype("int64")
    return frame


def _pandas() -> Any:
    """Return pandas, untyped: its types are only partly known."""
    return importlib.import_module("pandas")


def _line(row: dict[str, Any], flow_names: dict[str, str]) -> list[Any]:
    why: dict[str, Any] = row.get("why") or {}
    error = row.get("error")
    started, ended = row["started"], row["ended"]
    flow = row["flow"]
    return [
        row["id"],
        row["name"],
        row["kind"],
        row["definition"],
        flow_names.get(flow, flow) if flow else None,
        row["state"],
        row["state_type"],
        started,
        ended,
        (ended - started) / 1e9 if started and ended else None,
        row["attempts"],
        row["outcome"] == "hit",
        why.get("sentence"),
        why.get("saved"),
        row.get("tags") or [],
        storable(f"{error[0]}: {error[1]}") if error else None,  # Arrow takes no lone surrogate
    ]


def comparison(before: RunRecord, after: RunRecord) -> Any:
    """Return the facts in which two runs differ, one line each."""
    pd = _pandas()
    left, right = before.facts(), after.facts()
    lines = [
        [fact, left.get(fact), right.get(fact)]
        for fact in dict.fromkeys([*left, *right])
        if left.get(fact) != right.get(fact)
    ]
    return pd.DataFrame(lines, columns=pd.Index(["fact", before.name, after.name]))
