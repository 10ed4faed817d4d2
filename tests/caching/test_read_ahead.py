"""Rows stored one after the other are read along, and never given once they may be wrong."""

from pathlib import Path
from typing import Any

import pytest

from cellist.caching import read_ahead
from cellist.caching.found import Found, Missing
from cellist.caching.index import Index
from cellist.caching.store import ResultStore

KEYS = [f"{number:064x}" for number in range(200)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    store = ResultStore(tmp_path / "results")
    for number, key in enumerate(KEYS):
        store.put(key, [number], {"task": "t", "task_key": "t"}, durable=False)
    store.close()
    return store.directory


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the database."""
    asked: list[str] = []
    original = Index.read_ahead

    def counted(self: Index, key: str) -> Any:
        taken = self._ahead.take
        monkeypatch.setattr(self._ahead, "take", lambda key: taken(key) or asked.append(key))
        try:
            return original(self, key)
        finally:
            monkeypatch.setattr(self._ahead, "take", taken)

    monkeypatch.setattr(Index, "read_ahead", counted)
    return asked


def values(store: ResultStore, keys: list[str]) -> list[Any]:
    found = [store.get(key) for key in keys]
    return [one.value if isinstance(one, Found) else one.code for one in found]


def test_in_order_few_rows_are_asked_for(
    filled: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "_SECONDS", 60.0)  # however slow the machine
    store = ResultStore(filled)
    assert values(store, KEYS) == [[number] for number in range(len(KEYS))]
    assert len(reads) < 10
    store.close()


def test_in_no_order_each_row_is_asked_for(filled: Path, reads: list[str]) -> None:
    store = ResultStore(filled)
    assert values(store, KEYS[::-1]) == [[number] for number in range(len(KEYS))][::-1]
    assert len(reads) == len(KEYS)
    store.close()


def test_what_this_process_changes_counts_at_once(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "_SECONDS", 60.0)
    store = ResultStore(filled)
    values(store, KEYS[:10])
    store.invalidate(key=KEYS[20])
    store.put(KEYS[21], ["new"], {}, durable=True, in_memory=False)
    assert values(store, KEYS[19:23]) == [[19], "absent", ["new"], [22]]
    store.close()


def test_what_others_change_counts_a_moment_later(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "_SECONDS", 60.0)
    store, other = ResultStore(filled), ResultStore(filled)
    values(store, KEYS[:10])
    other.put(KEYS[20], ["new"], {}, durable=True)
    index: Any = store._shelf.opened()
    assert KEYS[20] in index._ahead._rows
    index._ahead._until = 0.0  # the moment has passed
    assert values(store, [KEYS[20]]) == [["new"]]
    other.close()
    store.close()


def test_a_store_without_memory_reads_the_disk_each_time(filled: Path, reads: list[str]) -> None:
    store = ResultStore(filled, memory_budget=0)
    values(store, KEYS[:20])
    assert reads == []  # it never reads ahead
    other = ResultStore(filled)
    other.clear()
    assert all(isinstance(store.get(key), Missing) for key in KEYS[:30])
    other.close()
    store.close()


def test_a_row_read_ahead_is_proven_before_it_is_used(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(filled)
    with index._cache.transact():
        index._cache._sql(
            "UPDATE Cache SET value = (SELECT value FROM Cache WHERE key = ?) WHERE key = ?",
            (KEYS[30], KEYS[20]),
        )
    index.close()
    warned: list[str] = []
    store = ResultStore(filled, on_warning=warned.append)
    found = values(store, KEYS[:40])
    assert found[20] == "unreadable"
    assert found[:20] + found[21:] == [[number] for number in range(40) if number != 20]
    assert len(warned) == 1
    store.close()
