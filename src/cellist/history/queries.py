"""Questions to the history, answered from connections of their own."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellist.exceptions import ObjectNotFound
from cellist.history import database
from cellist.history.decisions import Decision
from cellist.history.frames import comparison, frame_of
from cellist.history.records import RunRecord, ValueSource
from cellist.history.related import Related
from cellist.model.later import later

if TYPE_CHECKING:
    import difflib
else:
    difflib = later("difflib", globals())

MOST_RUNS = 1000
"""How many runs are returned at the most unless more are asked for."""
_NEAR = 5
_LOOKED_AT = 20_000


class Reader(Related):
    """The reading half of the history."""

    values: ValueSource | None = None
    """Who finds the values of runs; without it a record has none."""

    @property
    def target(self) -> tuple[str, bool]:
        """Where to read, and whether it is a URI."""
        raise LookupError

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        target, is_uri = self.target
        if not is_uri and not Path(target).exists():
            return []  # nothing written yet; opening would make an empty file
        try:
            rows = database.read(target, is_uri, sql, tuple(parameters))
        except sqlite3.Error:
            return []  # nothing written yet, or a file that cannot be read: the writer warns
        found = [dict(row) for row in rows]
        for row in found:
            if "doc" in row:
                row.update(json.loads(row.pop("doc")))
        return found

    def runs(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        flow: Any = None,
        state: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        limit: int = MOST_RUNS,
    ) -> list[dict[str, Any]]:
        """Return runs that fit, newest first, as dictionaries.

        `name` is that of a task, flow or run, `flow` a flow run's id or name, `state` a name or
        type of state in any case.
        """
        wanted: list[str] = []
        values: list[Any] = []
        if kind is not None:
            wanted.append("kind = ?")
            values.append(kind)
        if name is not None:
            wanted.append("(definition = ? OR name = ?)")
            values += [name, name]
        if flow is not None:
            wanted.append("flow = ?")
            values.append(self._flow_id(flow))
        if state is not None:
            wanted.append("(upper(state) = ? OR state_type = ?)")
            values += [state.upper(), state.upper()]
        if tag is not None:
            wanted.append("EXISTS (SELECT 1 FROM json_each(doc, '$.tags') t WHERE t.value = ?)")
            values.append(tag)
        if since is not None:
            wanted.append("created >= ?")
            values.append(int(since.timestamp() * 1_000_000_000))
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        sql = f"SELECT * FROM runs {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - made of constants
        return self._read(sql, [*values, limit])

    def _flow_id(self, flow: Any) -> str:
        text = str(getattr(flow, "id", flow)).replace("-", "")
        rows = self._read(
            "SELECT id FROM runs WHERE kind = 'flow' AND (id LIKE ? || '%' OR name = ? "
            "OR definition = ?) ORDER BY id DESC LIMIT 1",
            [text, str(flow), str(flow)],
        )
        return rows[0]["id"] if rows else text

    def frame(self, **filters: Any) -> Any:
        """Return runs that fit as a DataFrame; filters as for `runs`."""
        rows = self.runs(**filters)
        flows = {row["flow"] for row in rows if row["flow"]}
        names: dict[str, str] = {row["id"]: row["name"] for row in rows if row["kind"] == "flow"}
        missing = sorted(flows - set(names))
        if missing:
            marks = json.dumps(missing)
            found = self._read(
                "SELECT id, name FROM runs WHERE id IN (SELECT value FROM json_each(?))", [marks]
            )
            names.update({row["id"]: row["name"] for row in found})
        return frame_of(rows, names)

    def run(self, which: str) -> RunRecord:
        """Return the record of a run by id, the beginning of its id, or the latest by name.

        A name may be that of the run, its task or its flow. Raises `ObjectNotFound`.
        """
        text = which.replace("-", "").lower()
        rows: list[dict[str, Any]] = []
        if text and all(letter in "0123456789abcdef" for letter in text):
            rows = self._read(
                "SELECT * FROM runs WHERE id LIKE ? || '%' ORDER BY id DESC LIMIT 1", [text]
            )
        if not rows:  # a run outside flows has the name of its task, and need not be the latest
            rows = self._read(
                "SELECT * FROM runs WHERE name = ? OR definition = ? ORDER BY id DESC LIMIT 1",
                [which, which],
            )
        if not rows:
            raise ObjectNotFound(self._not_found(which))
        row = rows[0]
        children = self._read("SELECT * FROM runs WHERE flow = ? ORDER BY id", [row["id"]])
        logs = self._read(
            "SELECT at, level, message FROM logs WHERE run = ? ORDER BY at", [row["id"]]
        )
        return RunRecord(row, logs, children, self.values)

    def _not_found(self, which: str) -> str:
        rows = self._read(
            "SELECT DISTINCT definition FROM runs UNION SELECT name FROM runs LIMIT 5000"
        )
        names = [str(next(iter(row.values()))) for row in rows]
        near = difflib.get_close_matches(which, names, _NEAR, 0.5)
        hint = f" Near to it: {', '.join(near)}." if near else " `cellist.runs()` lists all."
        return f"There is no run with the id or name {which!r}.{hint}"

    def call_of(self, run: str) -> bytes | None:
        """Return what was kept of the call of a run, by its id in hex digits."""
        rows = self._read("SELECT call FROM calls WHERE run = ?", [run])
        return rows[0]["call"] if rows else None

    def continued_by(self, run: str) -> str | None:
        """Return the id of the latest run that continues a flow run, by its id in hex digits."""
        rows = self._read(
            "SELECT id FROM runs WHERE kind = 'flow' AND id > ? "
            "AND json_extract(doc, '$.resumed_from') = ? ORDER BY id DESC LIMIT 1",
            [run, run],
        )
        return rows[0]["id"] if rows else None

    def stopped(self, since: int, *, however: bool = False) -> list[dict[str, Any]]:
        """Return the outermost flow runs that went away with their kernel, newest first.

        Only those of which the call was kept, made after `since` in nanoseconds since the epoch,
        that were not resumed and whose flow has not completed since. With `however` also those
        that failed or were cancelled.
        """
        ends = ("Crashed", "CRASHED", "FAILED", "CANCELLED") if however else ("Crashed",)
        marks = ", ".join("?" * len(ends))
        return self._read(
            f"SELECT r.* FROM runs r JOIN calls c ON c.run = r.id WHERE "  # noqa: S608 - only marks
            f"(r.state IN ({marks}) OR r.state_type IN ({marks})) "
            "AND r.created >= ? AND r.parent IS NULL AND NOT EXISTS (SELECT 1 FROM runs later "
            "WHERE later.id > r.id AND later.kind = 'flow' AND later.parent IS NULL AND "
            "(json_extract(later.doc, '$.resumed_from') = r.id OR "
            "(later.definition = r.definition AND later.state_type = 'COMPLETED'))) "
            "ORDER BY r.id DESC",
            [*ends, *ends, since],
        )

    def decisions(self) -> list[Decision]:
        """Return what the user has decided over the cache, newest first."""
        names = ", ".join(Decision._fields)
        rows = self._read(f"SELECT {names} FROM decisions ORDER BY at DESC, rowid DESC")  # noqa: S608 - constants
        return [Decision(**row) for row in rows]

    def durations(
        self, name: str, limit: int = 8, kind: str = "%", reusing: bool | None = None
    ) -> list[float]:
        """Return how long the latest completed runs of a task or flow took, in seconds.

        Those that were reused do not count, nor flow runs in which nothing ran as all was reused.
        `kind` is `task` or `flow`, by default both. `reusing` restricts it to flow runs that
        reused some results, or none: the two do not compare.
        """
        rows = self._read(
            "WITH latest AS (SELECT id, started, ended, "
            "EXISTS (SELECT 1 FROM runs i WHERE i.flow = r.id AND i.state = 'Cached') AS reused "
            "FROM runs r WHERE definition = ?1 AND state = 'Completed' AND kind LIKE ?2 "
            "AND started IS NOT NULL AND ended IS NOT NULL ORDER BY id DESC LIMIT 4 * ?3) "
            "SELECT started, ended FROM latest WHERE (?4 IS NULL OR reused = ?4) "
            "AND (NOT reused OR EXISTS "
            "(SELECT 1 FROM runs i WHERE i.flow = latest.id AND i.state != 'Cached')) "
            "ORDER BY id DESC LIMIT ?3",
            [name, kind, limit, reusing],
        )
        return [(row["ended"] - row["started"]) / 1e9 for row in rows]

    def endings(self, name: str, key: str, before: str) -> list[dict[str, Any]]:
        """Return how the latest runs of a task ended, newest first; `before` the run of an id.

        `key` is the identity of the task. Only the latest runs of all are looked at.
        """
        return self._read(
            "SELECT state_type, ended FROM (SELECT * FROM runs WHERE id < ? ORDER BY id DESC "
            "LIMIT ?) WHERE definition = ? AND kind = 'task' AND ended IS NOT NULL "
            "AND json_extract(doc, '$.key') = ? LIMIT 100",
            [before, _LOOKED_AT, name, key],
        )

    def counts(self, flow: str) -> dict[str, int]:
        """Return how many runs inside a flow run are in which state, by the name of the state."""
        rows = self._read(
            "SELECT state, COUNT(*) AS number FROM runs WHERE flow = ? GROUP BY state "
            "ORDER BY number DESC, state",
            [flow],
        )
        return {row["state"]: row["number"] for row in rows}

    def compare(self, before: str, after: str) -> Any:
        """Return a DataFrame of what differs between two runs. Raises `ObjectNotFound`."""
        return comparison(self.run(before), self.run(after))
