"""The result store when all is well: hits, misses, isolation, batches, budget, lists."""

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from cellist.caching.store import Found, Missing, ResultStore

HEADER: Any = {"task": "fit", "task_key": "notebook.fit", "seconds": 2.0}


@pytest.fixture(params=["index", "files"])
def kind(request):
    """The same with both ways to keep results."""
    return request.param


VALUES = [
    None,
    0,
    "text",
    b"bytes",
    (1, "a"),
    [1, {"a": [2.5]}],
    {1, 2},
    np.arange(5),
    {"w": np.arange(50_000.0)},
    np.zeros((300, 300)),
]


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_a_result_comes_back_in_this_session_and_the_next(open_store, value, durable):
    store = open_store()
    assert store.put("k", value, HEADER, durable=durable) is None
    here = store.get("k")
    store.flush()
    there = open_store().get("k")
    for found, source in ((here, "memory"), (there, "disk")):
        assert isinstance(found, Found)
        assert found.source == source
        np.testing.assert_equal(found.value, value)
        assert type(found.value) is type(value)
        assert found.header.get("task") == "fit"
        assert found.header.get("key") == "k"


def test_an_unknown_key_is_absent(open_store):
    missing = open_store().get("nothing")
    assert isinstance(missing, Missing)
    assert (missing.code, missing.header) == ("absent", None)


@pytest.mark.parametrize("size", [3, 50_000, 3_000_000])
@pytest.mark.parametrize("fresh", [False, True])
def test_changing_a_result_never_changes_the_next(open_store, size, fresh):
    store = open_store()
    store.put("k", {"a": np.zeros(size), "b": [1]}, HEADER, durable=True)
    store = open_store() if fresh else store
    for _ in range(3):
        value = store.get("k").value
        assert value["a"].sum() == 0
        assert value["b"] == [1]
        value["a"][:] = 7
        value["b"].append(2)


@pytest.mark.parametrize("size", [3, 50_000])
def test_changing_a_value_after_put_does_not_reach_the_store(open_store, size):
    store = open_store()
    value, array = {"a": [1]}, np.zeros(size)
    store.put("v", value, HEADER, durable=False)
    store.put("a", array, HEADER, durable=False)
    value["a"].append(2)
    array[:] = 1
    store.flush()
    for reader in (store, open_store()):
        assert reader.get("v").value == {"a": [1]}
        assert reader.get("a").value.sum() == 0


def test_a_durable_result_is_there_without_a_flush(open_store):
    store = open_store()
    store.put("small", 1, HEADER, durable=True)
    store.put("large", np.ones(10**5), HEADER, durable=True)
    other = open_store()
    assert other.get("small").value == 1
    assert other.get("large").value.sum() == 10**5


def test_a_value_too_large_for_memory_goes_straight_to_disk(open_store):
    store = open_store(memory_budget=8 * 10**5)
    store.put("k", np.ones(10**5), HEADER, durable=False)
    assert open_store().get("k").value.sum() == 10**5
    assert store.get("k").source == "disk"


def test_memory_gives_up_what_was_unused_longest_and_disk_still_has_it(open_store):
    store = open_store(memory_budget=50_000)
    for number in range(20):
        store.put(f"k{number}", "x" * 5000, HEADER, durable=False)
    store.flush()
    assert store.get("k19").source == "memory"
    assert store.get("k0").source == "disk"
    assert store.get("k0").source == "memory"


def test_a_new_result_replaces_the_old_one(open_store, tmp_path):
    store = open_store()
    store.put("k", np.zeros(10**5), HEADER, durable=True)
    store.put("k", np.ones(10**5), HEADER, durable=False)
    store.put("k", np.full(10**5, 2.0), HEADER, durable=True)
    store.flush()
    assert store.get("k").value[0] == 2
    assert open_store().get("k").value[0] == 2
    assert len(list((tmp_path / "results").rglob("??/*.*"))) == 1


@pytest.mark.parametrize("fresh", [False, True])
def test_an_expired_result_is_a_miss_that_keeps_its_header(open_store, fresh):
    store = open_store()
    past = time.time() - 1
    store.put("k", [1], {**HEADER, "expires": past}, durable=True)
    store.put("later", [1], {**HEADER, "expires": time.time() + 100}, durable=True)
    store = open_store() if fresh else store
    missing = store.get("k")
    assert isinstance(missing, Missing)
    assert missing.code == "expired"
    assert missing.header is not None
    assert missing.header.get("expires") == past
    assert store.get("later").value == [1]


def test_what_cannot_be_stored_is_one_sentence_and_nothing_is_kept(open_store, warnings):
    store = open_store()
    sentence = store.put("k", {"f": lambda: 1}, HEADER, durable=True)
    assert "`result['f']` is a lambda" in sentence
    assert store.get("k").code == "absent"
    assert warnings == []


def test_a_value_whose_pickling_misbehaves_never_raises(open_store):
    class Nasty:
        def __reduce_ex__(self, protocol):
            raise MemoryError("nasty")

        def __repr__(self):
            raise ValueError("nasty")

    assert "not stored" in open_store().put("k", [Nasty()], HEADER, durable=False)


class Unloadable:
    def __setstate__(self, state):
        raise RuntimeError("no")

    def __getstate__(self):
        return {"a": 1}


def test_a_value_that_cannot_be_restored_is_a_miss(open_store, warnings):
    store = open_store()
    assert store.put("k", Unloadable(), HEADER, durable=True) is None
    missing = open_store().get("k")
    assert missing.code == "unreadable"
    assert "RuntimeError" in missing.message
    assert len(warnings) == 1


def test_a_value_larger_than_the_budget_is_refused(open_store):
    store = open_store(budget=10_000)
    assert "10,000" in store.put("k", b"x" * 10_001, HEADER, durable=False)
    assert store.get("k").code == "absent"


def test_many_threads_may_use_one_store(open_store):
    store = open_store(memory_budget=20_000)
    wrong = []

    def work(seed):
        for number in range(60):
            key = f"k{(number * 7 + seed) % 30}"
            store.put(key, {"key": key, "x": "y" * 300}, HEADER, durable=number % 20 == 0)
            found = store.get(key)
            if not isinstance(found, Found) or found.value["key"] != key:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    store.flush()
    assert len(open_store().entries()) == 30


PUT = """
import sys
from pathlib import Path
from cellist.caching.store import ResultStore
store = ResultStore(Path(sys.argv[1]), kind=sys.argv[2])
store.get("nothing")
store.put("k", {"who": 1}, {"task": "t"}, durable=False)
"""


def test_a_process_that_ends_normally_has_written_everything(open_store, tmp_path, kind):
    directory = str(tmp_path / "results")
    subprocess.run([sys.executable, "-c", PUT, directory, kind], check=True, timeout=60)
    assert open_store().get("k").value == {"who": 1}


def test_an_idle_store_holds_no_thread(open_store, monkeypatch):
    monkeypatch.setattr("cellist.caching.writer._IDLE", 0.05)
    before = set(threading.enumerate())
    store = open_store()
    store.put("k", 1, HEADER, durable=False)
    store.flush()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    store.put("again", 2, HEADER, durable=False)
    store.flush()
    assert open_store().get("again").value == 2


def child_work(store, connection):
    store.put("child", [2], HEADER, durable=True)
    connection.send([store.get("parent").value, store.get("child").value])
    connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems that fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_can_read_and_write_while_the_parent_writes(open_store):
    store = open_store()
    store.put("parent", [1], HEADER, durable=True)
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            store.put(f"busy{number % 50}", [number], HEADER, durable=True)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        context = multiprocessing.get_context("fork")
        for _ in range(3):
            mine, theirs = context.Pipe()
            child = context.Process(target=child_work, args=(store, theirs))
            child.start()
            assert mine.poll(30), "the child hangs"
            assert mine.recv() == [[1], [2]]
            child.join(60)
            assert child.exitcode == 0
    finally:
        stop.set()
        writer.join()
    assert open_store().get("child").value == [2]


def test_making_a_store_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_HOME", str(tmp_path / "new"))
    store = ResultStore()
    assert store.directory == tmp_path / "new" / "results"
    assert not (tmp_path / "new").exists()


def test_the_default_place_is_private(tmp_path, monkeypatch):
    monkeypatch.delenv("CELLIST_HOME")
    monkeypatch.chdir(tmp_path)
    store = ResultStore()
    store.put("k", 1, HEADER, durable=True)
    home = tmp_path / ".cellist"
    assert home.stat().st_mode & 0o077 == 0
    assert (home / ".gitignore").read_text() == "*\n"
    assert (home / "results" / "cache.db").exists()
    assert [path.name for path in (tmp_path / "cellist-secret").iterdir()] == ["secret"]
    store.close()


def test_a_durable_result_is_never_overwritten_by_an_older_one_on_its_way(open_store, monkeypatch):
    store = open_store()
    started, go = threading.Event(), threading.Event()
    commit = store._shelf.commit

    def slow(entries, *, durable):
        if not durable:
            started.set()
            go.wait(60)
        return commit(entries, durable=durable)

    monkeypatch.setattr(store._shelf, "commit", slow)
    store.put("k", ["old"], HEADER, durable=False)
    assert started.wait(60)
    newer = threading.Thread(
        target=store.put, args=("k", ["new"], HEADER), kwargs={"durable": True}
    )
    newer.start()
    go.set()
    newer.join(60)
    store.flush()
    assert open_store().get("k").value == ["new"]


def test_an_interrupted_wait_neither_raises_elsewhere_nor_stores_the_callers_bytes(
    open_store, monkeypatch
):
    store = open_store(memory_budget=8)
    array = np.zeros(50_000)
    written = threading.Event()
    write = store._shelf._write

    def slow(index, entries, *, durable):
        written.wait(60)
        return write(index, entries, durable=durable)

    monkeypatch.setattr(store._shelf, "_write", slow)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            store.put("k", array, HEADER, durable=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    array[:] = 1
    written.set()
    store.flush()
    assert isinstance(open_store().get("k"), Missing)
    assert store.put("k", array, HEADER, durable=True) is None
    assert open_store().get("k").value.sum() == 50_000


def test_results_are_written_even_when_no_thread_can_be_started(open_store, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    store = open_store()
    store.get("nothing")
    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        assert store.put("a", [1], HEADER, durable=False) is None
        assert store.put("b", [2], HEADER, durable=True) is None
        store.flush(60)
    assert open_store().get("a").value == [1]
    assert open_store().get("b").value == [2]


def test_odd_keys_and_headers_harm_nobody(open_store, kind):
    store = open_store()
    odd: Any = {"user": {(1, 2): 3, "x": object()}, "seconds": None, "task": "a\nb"}
    assert store.put("odd header", [1], odd, durable=True) is None
    sentence = store.put("\ud800", [1], HEADER, durable=True)
    assert sentence is None if kind == "files" else "not stored" in sentence
    assert store.get("\ud800").value == [1]
    assert isinstance(store.get("other \ud800"), Missing)
    assert store.put("after", [2], HEADER, durable=True) is None
    reader = open_store()
    assert reader.get("odd header").value == [1]
    assert reader.get("after").value == [2]
