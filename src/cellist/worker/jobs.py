"""What the queue of deferred runs holds, as values."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from cellist.model.runs import Entry as StateRow
from cellist.worker.database import DEAD, DONE

AT_LEAST_ONCE, AT_MOST_ONCE = DELIVERIES = ("at_least_once", "at_most_once")


class Entry(NamedTuple):
    """A run to be queued."""

    id: str
    key: str
    task: str
    delivery: str
    most: int
    """How often it may be delivered."""
    parameters: str
    payload: bytes
    states: Sequence[StateRow]
    about: dict[str, Any]
    needs: Sequence[str] = ()


class Job(NamedTuple):
    """A run as the queue knows it."""

    seq: int
    id: str
    key: str
    task: str
    status: str
    delivery: str
    most: int
    deliveries: int
    parameters: str
    states: list[StateRow]
    about: dict[str, Any]
    facts: dict[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether nobody will carry it out any more."""
        return self.status in (DONE, DEAD)

    @property
    def upstream(self) -> dict[str, tuple[int, ...]]:
        """The runs that it comes from, by parameter."""
        links: dict[str, list[str]] = self.about.get("upstream") or {}
        return {name: tuple(int(one, 16) for one in ids) for name, ids in links.items()}


class Ended(NamedTuple):
    """The end of a run, as its worker reports it."""

    job: Job
    states: list[StateRow]
    facts: dict[str, Any]
    outcome: bytes


COLUMNS = ", ".join(Job._fields)


def job_of(row: Any) -> Job:
    """Return the run that a row of `COLUMNS` tells of."""
    found: dict[str, Any] = dict(zip(Job._fields, row, strict=True))
    for name in ("states", "about", "facts"):
        found[name] = json.loads(found[name] or "{}")
    return Job(**found)


def as_json(value: Any) -> str:
    """Return plain data as text: as ASCII, since SQLite takes no half of a surrogate pair."""
    return json.dumps(value, separators=(",", ":"), default=str)
