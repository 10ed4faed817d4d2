"""What tests of transactions use: tasks whose hooks write down what happens, and a store."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from cellist import Transaction
from cellist.caching.store import Found
from cellist.model.annotations import NOT_SET
from cellist.transactions import (
    transaction,
)
from tests.sessions import Recorder, as_task

ROLLED_BACK = ["Pending", "Running", "Completed", "RolledBack"]
COMPLETED = ["Pending", "Running", "Completed"]


class Boom(Exception):
    """What tests raise."""


@contextmanager
def undone(**options: Any) -> Generator[Transaction]:
    """A transaction whose block ends with an exception."""
    with pytest.raises(Boom), transaction(**options) as txn:  # noqa: PT012 - the block is the matter
        yield txn
        raise Boom


class Memo:
    """A store of records, as `store=` takes them; remembers what it was asked."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self.broken = False

    def exists(self, key: str) -> bool:
        return key in self.records

    def read(self, key: str) -> Any:
        return self.records[key]

    def write(self, obj: Any, *, key: str) -> None:
        if self.broken:
            raise OSError("disk full")
        self.records[key] = obj


def keyed(name: str) -> dict[str, Any]:
    """Options that cache by the arguments, also if there are none."""
    return {"cache_key_fn": lambda context, parameters: f"{name} {parameters}"}


class Diary:
    """Makes tasks whose hooks write down what happens."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.lines: list[str] = []

    def task(self, way: str = "drive", name: str = "work", **options: Any) -> Any:
        def work(n: int = 0) -> list[int]:
            self.lines.append(f"run {name}")
            return [n]

        options = {**keyed(name), "cache_policy": NOT_SET, **options}
        return self.hooked(as_task(way, work, name=name, **options), name)

    def hooked(self, t: Any, name: str) -> Any:
        t.on_commit(lambda txn: self.lines.append(f"commit {name}"))
        t.on_rollback(lambda txn: self.lines.append(f"undo {name}"))
        return t

    def stored(self, name: str = "work") -> bool:
        key = self.recorder.of(name)[-1].cache_key
        assert key is not None
        return isinstance(self.recorder.session.store.get(key), Found)
