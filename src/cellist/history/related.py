"""Questions about one run and the runs it has to do with, answered without reading all of them."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from cellist.exceptions import ObjectNotFound
from cellist.history.records import RunRecord, ValueSource

MOST_LOGS = 500
MOST_FAMILY = 20_000
_FIELDS = "id, name, kind, state, state_type"


class Link(NamedTuple):
    """A run as it is named beside another one."""

    id: str
    name: str
    kind: str
    state: str
    type: str


class Related:
    """The part of the history that a look at one run needs."""

    values: ValueSource | None

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return what a query finds."""
        del sql, parameters
        raise LookupError

    def record(self, number: str) -> RunRecord:
        """Return the record of the run with this id, its latest logs, and no children.

        Raises `ObjectNotFound`.
        """
        rows = self._read("SELECT * FROM runs WHERE id = ?", [number])
        if not rows:
            message = f"There is no run with the id {number!r} in the history."
            raise ObjectNotFound(message)
        logs = self._read(
            "SELECT at, level, message FROM logs WHERE run = ? ORDER BY at DESC LIMIT ?",
            [number, MOST_LOGS],
        )
        return RunRecord(rows[0], logs[::-1], [], self.values)

    def links(self, numbers: Sequence[str]) -> list[Link]:
        """Return runs by their ids, in this order; those that are not known are left out."""
        rows = self._read(
            f"SELECT {_FIELDS} FROM runs WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - constants
            [json.dumps(list(numbers))],
        )
        known = {row["id"]: _link(row) for row in rows}
        return [known[number] for number in numbers if number in known]

    def downstream(self, record: RunRecord, limit: int) -> list[Link]:
        """Return runs of the same session that took the result of a run, or waited for it."""
        rows = self._read(
            f"SELECT {_FIELDS} FROM runs WHERE flow IS ? AND id > ? AND instr(doc, ?) "  # noqa: S608 - constants
            "AND session = (SELECT session FROM runs WHERE id = ?) ORDER BY id LIMIT ?",
            [record.flow, record.id, f'"{record.id}"', record.id, limit],
        )
        return [_link(row) for row in rows]

    def inside(self, record: RunRecord, limit: int) -> list[Link]:
        """Return runs that were started by a run, its failures first."""
        rows = self._read(
            f"SELECT {_FIELDS} FROM runs WHERE {_owner(record)} = ? "  # noqa: S608 - constants
            "ORDER BY state_type NOT IN ('FAILED', 'CRASHED'), id LIMIT ?",
            [record.id, limit],
        )
        return [_link(row) for row in rows]

    def count_inside(self, record: RunRecord) -> int:
        """Return how many runs were started by a run."""
        rows = self._read(f"SELECT COUNT(*) AS n FROM runs WHERE {_owner(record)} = ?", [record.id])  # noqa: S608 - constants
        return int(rows[0]["n"]) if rows else 0

    def outermost(self, limit: int) -> list[dict[str, Any]]:
        """Return the latest runs that no other called, newest first."""
        return self._read(
            "SELECT * FROM runs WHERE parent IS NULL AND flow IS NULL ORDER BY id DESC LIMIT ?",
            [limit],
        )

    def family(self, record: RunRecord, limit: int = MOST_FAMILY) -> list[dict[str, Any]]:
        """Return a run and all that ran inside it, whole, the oldest first."""
        inside = "r.flow = tree.id"  # with an index; what tasks called outside flows has none
        if record.kind != "flow":
            inside = (
                "r.parent = tree.id AND r.id > tree.id "
                "AND r.session = (SELECT session FROM runs WHERE id = tree.id)"
            )
        return self._read(
            "WITH RECURSIVE tree (id) AS (SELECT ? UNION "  # noqa: S608 - constants
            f"SELECT r.id FROM runs r JOIN tree ON {inside}) "
            "SELECT * FROM runs WHERE id IN (SELECT id FROM tree) ORDER BY id LIMIT ?",
            [record.id, limit],
        )


def _owner(record: RunRecord) -> str:
    """Return the column that names what runs are part of; only that of flows has an index."""
    return "flow" if record.kind == "flow" else "parent"


def _link(row: dict[str, Any]) -> Link:
    return Link(row["id"], row["name"], row["kind"], row["state"], row["state_type"])
