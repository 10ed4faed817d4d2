"""What a store holds and lets go: headers, lists, counts, invalidation, the budget."""

from typing import Any

import numpy as np
import pytest

from cellist.caching.store import Found, Missing

HEADER: Any = {"task": "fit", "task_key": "notebook.fit", "seconds": 2.0}


@pytest.fixture(params=["index", "files"])
def kind(request):
    """The same with both ways to keep results."""
    return request.param


def test_headers_of_a_task_come_newest_first_also_from_disk(open_store):
    store = open_store()
    for number in range(60):
        header = {**HEADER, "created": 1000.0 + number, "components": [["argument", "n", "d", "1"]]}
        store.put(f"k{number}", number, header, durable=False)
    store.put("other", 1, {**HEADER, "task_key": "notebook.fitter"}, durable=False)
    assert [h["key"] for h in store.headers("notebook.fit")][:2] == ["k59", "k58"]
    store.flush()
    headers = open_store().headers("notebook.fit")
    assert len(headers) == 50
    assert {header["task_key"] for header in headers} == {"notebook.fit"}
    assert headers[0]["components"] == [["argument", "n", "d", "1"]]
    assert open_store().headers("unknown") == []


def test_entries_tell_what_is_there(open_store, kind):
    store = open_store()
    store.put("a", [1], {**HEADER, "expires": 5e9}, durable=False)
    store.put("b", np.zeros(10**5), {**HEADER, "task": "clean"}, durable=True)
    store.get("a")
    store.flush()
    entries = {entry["key"]: entry for entry in open_store().entries()}
    assert set(entries) == {"a", "b"}
    assert entries["a"]["task"] == "fit"
    assert entries["a"]["expires"] == 5e9
    assert entries["a"]["hits"] == (1 if kind == "index" else None)
    assert entries["a"]["seconds"] == 2.0
    assert entries["b"]["format"] == "array"
    assert entries["b"]["size"] > 8 * 10**5


def test_stats_count(open_store):
    store = open_store()
    store.put("a", 1, HEADER, durable=True)
    store.get("a")
    store.get("a")
    store.get("b")
    stats = store.stats()
    assert (stats["hits"], stats["misses"], stats["stored"]) == (2, 1, 1)
    assert stats["seconds_saved"] == 4.0
    assert stats["bytes"] > 0
    assert stats["warnings"] == []


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize(
    ("choice", "gone"),
    [
        ({"key": "a"}, {"a"}),
        ({"task": "fit"}, {"a", "b"}),
        ({"task": "notebook.clean"}, {"c"}),
        ({"task": "unknown"}, set()),
        ({}, set()),
    ],
)
def test_invalidate(open_store, choice, gone, flushed):
    store = open_store()
    store.put("a", [1], HEADER, durable=False)
    store.put("b", np.zeros(10**5), HEADER, durable=False)
    store.put("c", 3, {"task": "clean", "task_key": "notebook.clean"}, durable=False)
    if flushed:
        store.flush()
    assert store.invalidate(**choice) == len(gone)
    store.flush()
    for reader in (store, open_store()):
        assert {key for key in "abc" if isinstance(reader.get(key), Missing)} == gone


def test_clear_leaves_nothing_behind(open_store, tmp_path):
    store = open_store()
    store.put("a", [1], HEADER, durable=False)
    store.put("b", np.zeros(10**5), HEADER, durable=True)
    assert store.clear() == 2
    store.flush()
    assert store.get("a").code == "absent"
    assert store.headers("notebook.fit") == []
    assert list((tmp_path / "results").rglob("??/*.*")) == []


def test_a_closed_store_opens_again(open_store):
    store = open_store()
    store.put("a", [1], HEADER, durable=False)
    store.close()
    assert open_store().get("a").value == [1]
    assert store.get("a").value == [1]
    store.put("b", 2, HEADER, durable=True)
    assert open_store().get("b").value == 2


def test_the_collector_gives_up_what_is_cheap_large_and_unused(open_store):
    store = open_store(budget=10**9)
    for number in range(10):
        header = {**HEADER, "seconds": 100.0 if number == 0 else 0.001}
        store.put(f"old{number}", np.zeros(12_500), header, durable=True)
    store.close()  # or what it has used would be pinned
    later = open_store(budget=600_000, memory_budget=8)
    assert later.get("old1").source == "disk"  # pinned by being used
    later.put("new", np.zeros(12_500), HEADER, durable=True)
    reader = open_store()
    assert reader.get("old0").value.size, "what took long to compute stays"
    assert reader.get("old1").value.size, "what this session used stays"
    assert later.stats()["bytes"] <= 600_000


def test_a_session_that_needs_more_than_the_budget_says_so_once(open_store, warnings):
    store = open_store(budget=300_000)
    sentences = [store.put(f"k{n}", np.zeros(12_500), HEADER, durable=True) for n in range(8)]
    assert sentences[0] is None
    assert "full" in sentences[-1]
    assert len(warnings) == 1
    assert all(isinstance(store.get(f"k{n}"), Found) for n in range(8)), "memory keeps them"
