"""The store on disks and beside processes that fail: full, read-only, gone, killed, at once."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from cellist.caching.store import Found, Missing
from tests.caching.faulty import HEADER, LARGE, check_recovers, filled, only_file


def test_a_directory_deleted_in_mid_session_is_made_again(open_store, results, warnings):
    filled(open_store)
    store = open_store()
    store.get("small")
    shutil.rmtree(results)
    time.sleep(0.3)  # reads trust the directory for a quarter of a second
    assert store.get("large").code == "absent"
    check_recovers(store)
    assert open_store().get("large").value.sum() == LARGE.sum()
    assert len(warnings) == 1


def test_a_directory_exchanged_in_mid_session_is_noticed(open_store, results, tmp_path):
    filled(open_store)
    store = open_store()
    store.get("small")
    results.rename(tmp_path / "elsewhere")
    other = open_store()
    other.put("k", [2], HEADER, durable=True)
    time.sleep(0.3)
    assert store.get("k").value == [2]


def test_a_place_where_no_directory_can_be_made(open_store, tmp_path, warnings):
    (tmp_path / "file").write_text("in the way")
    store = open_store(tmp_path / "file" / "results")
    assert store.get("k").code == "absent"
    assert "cannot be used" in store.put("k", [1], HEADER, durable=True)
    assert store.put("q", [2], HEADER, durable=False) is None
    store.flush()
    assert store.get("k").value == [1]
    assert store.get("q").value == [2]
    assert (store.entries(), store.verify(), store.clear()) == ([], [], 2)
    assert store.stats()["bytes"] == 0
    assert len(warnings) == 1
    assert "CELLIST_HOME" in warnings[0]


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


@pytest.fixture
def sealed_off(mounted):
    """Make a directory read-only, for root as well, and writable again at the end."""
    sealed = []

    def seal_off(directory):
        run("mount", "--bind", directory, directory)
        run("mount", "-o", "remount,bind,ro", directory)
        sealed.append(directory)

    yield seal_off
    for directory in sealed:
        subprocess.run(["umount", "-l", str(directory)], check=False)


def open_again(directory):
    run("umount", "-l", directory)


@pytest.mark.parametrize("kind", ["index", "files"])
def test_a_directory_that_becomes_read_only_and_writable_again(
    open_store, mounted, sealed_off, warnings, kind
):
    results = mounted / "results"
    store = open_store(results, memory_budget=400_000, budget=10**9, kind=kind)
    store.put("before", [1], HEADER, durable=True)
    store.put("large", LARGE, HEADER, durable=True)
    sealed_off(results)
    for number in range(2):
        new = LARGE[: 5000 + number]
        assert "cannot be written" in store.put(f"k{number}", new, HEADER, durable=True)
        store.put(f"q{number}", new, HEADER, durable=False)
        store.flush()
        for key in "kq":
            assert store.get(f"{key}{number}").value.size == new.size, "memory has it"
        np.testing.assert_equal(store.get("large").value, LARGE)
        assert store.get("large").source == "disk"
    assert store.verify() == []
    assert {entry["key"] for entry in store.entries()} == {"before", "large"}
    later = open_store(results, budget=10**9, kind=kind)
    assert later.get("before").value == [1]
    np.testing.assert_equal(later.get("large").value, LARGE)
    assert later.headers("notebook.fit")
    assert later.invalidate(key="large") == 1, "memory forgets it"
    assert len(warnings) == 2, "one a session"
    assert all("kept in memory only" in warning for warning in warnings)
    open_again(results)
    check_recovers(store, "k", [3])
    check_recovers(later, "l", [4])
    assert open_store(results, kind=kind).get("k").value == [3]


@pytest.mark.parametrize("kind", ["index", "files"])
@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_a_read_only_directory_from_the_start_serves_its_results(
    open_store, mounted, sealed_off, warnings, kind, ending
):
    results = mounted / "results"
    filler = FILLER.replace("ENDING", "store.close()" if ending == "closed" else "os._exit(9)")
    subprocess.run([sys.executable, "-c", filler, str(results), kind], check=ending == "closed")
    assert (results / "cache.db-wal").exists() == ((kind, ending) == ("index", "killed"))
    sealed_off(results)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    store = open_store(results, memory_budget=8, kind=kind)
    assert store.get("small").value == {"a": [1]}
    np.testing.assert_equal(store.get("large").value, LARGE)
    assert [entry["key"] for entry in store.entries()] == ["small", "large"]
    assert [header["key"] for header in store.headers("notebook.fit")] == ["large", "small"]
    assert store.stats()["bytes"] > LARGE.nbytes
    assert store.verify() == []
    assert store.get("other").code == "absent"
    assert "cannot be written" in store.put("new", [2], HEADER, durable=True)
    assert len(warnings) == 1
    store.close()
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


FILLER = """
import os, sys
import numpy as np
from pathlib import Path
from cellist.caching.store import ResultStore
store = ResultStore(Path(sys.argv[1]), kind=sys.argv[2], budget=10**9)
header = {"task": "fit", "task_key": "notebook.fit", "seconds": 2.0}
store.put("small", {"a": [1]}, header, durable=True)
store.put("large", np.arange(100_000.0), header, durable=True)
ENDING
"""


def test_a_damaged_result_in_a_read_only_directory_is_a_miss_and_stays(
    open_store, mounted, sealed_off, warnings
):
    results = mounted / "results"
    filled(lambda: open_store(results, budget=10**9))
    path = only_file(results)
    path.write_bytes(path.read_bytes()[:-1])
    sealed_off(results)
    store = open_store(results)
    for _ in range(2):
        assert store.get("large").code == "unreadable"
        store.flush()
    assert [problem["key"] for problem in store.verify()] == ["large"]
    assert path.exists()
    assert len(warnings) == 2


@pytest.mark.parametrize("kind", ["index", "files"])
def test_a_full_disk_costs_nothing_but_the_result(open_store, mounted, warnings, kind):
    store = open_store(mounted / "results", budget=10**9)
    store.put("before", [1], HEADER, durable=True)
    sentence = store.put("large", np.zeros(10**6), HEADER, durable=True)
    assert "full" in sentence
    assert store.get("large").value.size == 10**6, "memory has it"
    assert list(mounted.rglob("*.tmp")) == []
    assert list(mounted.rglob("*.val")) == []
    assert len(list(mounted.rglob("*.cle"))) == (1 if kind == "files" else 0)
    assert len(warnings) == 1
    check_recovers(store, "small", [2])
    for number in range(60):
        store.put(f"k{number}", np.full(12_000, number), HEADER, durable=number % 2 == 0)
    store.flush()
    assert len(warnings) == 1
    reader = open_store(mounted / "results")
    assert reader.get("before").value == [1]
    for number in range(60):
        found = reader.get(f"k{number}")
        assert isinstance(found, Missing) or set(found.value) == {number}


LIMITED = """
import resource, signal, sys
from pathlib import Path
from cellist.caching.store import ResultStore
store = ResultStore(Path(sys.argv[1]))
store.put("before", [1], {}, durable=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
sentence = store.put("large", bytes(2**22), {}, durable=True)
assert "full" in sentence, sentence
assert store.get("large").value == bytes(2**22)
assert store.get("before").value == [1]
assert not list(Path(sys.argv[1]).rglob("*.tmp"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems with limits on file sizes")
def test_a_file_that_may_not_grow_is_cleaned_up(results):
    subprocess.run([sys.executable, "-c", LIMITED, str(results)], check=True, timeout=60)


# ---------------------------------------------------------------- processes

BIG_PUT = """
import sys
from pathlib import Path
from cellist.caching.store import ResultStore
store = ResultStore(Path(sys.argv[1]), kind=sys.argv[2], budget=10**10)
store.put("old", [1], {}, durable=True)
store.put("big", [0], {}, durable=True)
while True:
    store.put("big", bytes(300 * 2**20), {}, durable=True)
"""


def _size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has its name by now
        return 0


@pytest.mark.parametrize("kind", ["index", "files"])
def test_a_kill_in_the_middle_of_a_large_write(open_store, results, kind):
    process = subprocess.Popen([sys.executable, "-c", BIG_PUT, str(results), kind])
    deadline = time.monotonic() + 60
    try:
        while not any(_size_of(path) > 2**20 for path in results.rglob("*.tmp")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (leftover,) = results.rglob("*.tmp")
    store = open_store()
    assert store.get("old").value == [1]
    big = store.get("big")
    assert isinstance(big, Found), "the old value is there until the new one is"
    assert big.value == [0] or big.value == bytes(300 * 2**20)
    check_recovers(store, "big", [2])
    store.close()
    old = time.time() - 4000
    os.utime(leftover, (old, old))
    (results / "swept").unlink(missing_ok=True)
    open_store().get("old")
    while leftover.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(results.rglob("*.val")) == []
    assert len(list(results.rglob("*.cle"))) == (2 if kind == "files" else 0)


SAME_KEY = """
import sys
import numpy as np
from pathlib import Path
from cellist.caching.store import Found, ResultStore
me = int(sys.argv[2])
store = ResultStore(Path(sys.argv[1]), memory_budget=8)
for number in range(40):
    sentence = store.put("k", np.full(50_000, me), {"task_key": "t"}, durable=number % 4 == 0)
    assert sentence is None, sentence
    found = store.get("k")
    assert isinstance(found, Found), found
    assert len(set(found.value.tolist())) == 1, "a torn read"
"""


def test_processes_writing_the_same_key_never_see_half_a_result(open_store, results):
    processes = [
        subprocess.Popen([sys.executable, "-c", SAME_KEY, str(results), str(number)])
        for number in range(3)
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0, 0]
    assert len(set(open_store().get("k").value.tolist())) == 1
    assert len(list(results.rglob("*.val"))) == 1


def test_an_index_locked_by_another_process_is_not_waited_for_without_end(
    open_store, results, monkeypatch, warnings
):
    monkeypatch.setattr("cellist.caching.index._BUSY_SECONDS", 0.1)
    store = open_store()
    store.put("k", [1], HEADER, durable=True)
    other = sqlite3.connect(results / "cache.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "another process" in store.put("l", [2], HEADER, durable=True)
    assert store.get("k").value == [1]
    other.execute("ROLLBACK")
    other.close()
    check_recovers(store, "l", [2])
    assert len(warnings) == 1
