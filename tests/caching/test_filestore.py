"""Results in files of their own: what differs from the index, and the same faults survived."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellist.caching import mounts
from cellist.caching.files import file_name
from cellist.caching.store import Found, Missing
from tests.caching.faulty import HEADER, LARGE, check_recovers, filled

KEY = "0123456789abcdef" * 4


@pytest.fixture
def kind():
    return "files"


def files(results: Path) -> list[str]:
    return sorted(path.relative_to(results).as_posix() for path in results.glob("??/*"))


def file_of(results: Path, key: str) -> Path:
    name = file_name(key)
    return results / name[:2] / f"{name}.cle"


def test_each_result_is_one_file_named_by_its_key(open_store, results):
    store = open_store()
    store.put(KEY, [1], HEADER, durable=True)
    store.put("Any key / of a user's", LARGE, HEADER, durable=False)
    store.put("any key / of a user's", [2], HEADER, durable=False)
    store.flush()
    assert f"01/{KEY}.cle" in files(results)
    assert len(files(results)) == 3, "keys that differ in case only are two"
    assert not list(results.rglob("*.db*")), "no SQLite"
    assert open_store().get("any key / of a user's").value == [2]
    assert {entry["key"] for entry in open_store().entries()} == {
        KEY,
        "Any key / of a user's",
        "any key / of a user's",
    }


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"/dev/x / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "TABLE", table)


@pytest.mark.usefixtures("on_nfs")
def test_on_a_network_file_system_files_are_chosen_with_one_warning(open_store, results, warnings):
    store = open_store(kind="auto")
    store.put("k", [1], HEADER, durable=True)
    store.put("l", [2], HEADER, durable=True)
    store.close()
    store.get("other")
    assert len(files(results)) == 2
    assert not (results / "cache.db").exists()
    assert len(warnings) == 1
    assert "nfs4" in warnings[0]
    assert open_store(kind="auto").get("k").value == [1]


@pytest.mark.usefixtures("on_nfs")
def test_the_choice_of_an_index_overrules(open_store, results, warnings):
    open_store(kind="index").put("k", [1], HEADER, durable=True)
    assert (results / "cache.db").exists()
    assert warnings == []


# ---------------------------------------------------------------- faults


def damaged(open_store, results, key="large"):
    filled(open_store)
    return file_of(results, key)


@pytest.mark.parametrize("key", ["small", "large"])
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_a_miss(open_store, results, key, share, bit):
    path = damaged(open_store, results, key)
    whole = path.read_bytes()
    data = bytearray(whole)
    data[int(share * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))
    store = open_store()
    found = store.get(key)
    if isinstance(found, Found):  # the filling between head and payload says nothing
        np.testing.assert_equal(found.value, LARGE if key == "large" else {"a": [1]})
        (position,) = [i for i, (a, b) in enumerate(zip(whole, data, strict=True)) if a != b]
        assert whole[position] == 0
    else:
        assert found.code in {"unreadable", "foreign"}
        assert found.message
        check_recovers(store, key, LARGE if key == "large" else {"a": [1]})
    store.close()


def test_a_file_cut_anywhere_is_a_miss(open_store, results):
    store = open_store()
    filled(open_store)
    for key in ("small", "large"):
        path = file_of(results, key)
        whole = path.read_bytes()
        head = range(min(len(whole), 500))
        for size in [*head, len(whole) // 2, len(whole) - 64, len(whole) - 1]:
            path.write_bytes(whole[:size])
            missing = store.get(key)
            assert isinstance(missing, Missing), size
            assert missing.code in {"unreadable", "foreign"}


def test_files_of_other_keys_are_misses_and_set_aside(open_store, results, warnings):
    filled(open_store)
    small, large = file_of(results, "small"), file_of(results, "large")
    small.write_bytes(large.read_bytes())
    store = open_store()
    missing = store.get("small")
    assert (missing.code, missing.message) == ("unreadable", "it belongs to another key")
    np.testing.assert_equal(store.get("large").value, LARGE)
    store.flush()
    assert not small.exists()
    assert len(list((results / "quarantine").glob("*.cle"))) == 1
    assert len(warnings) == 1
    assert [problem["key"] for problem in store.verify()] == ["small"]
    check_recovers(store, "small", {"a": [1]})
    assert store.verify() == []


def test_what_somebody_else_signed_is_a_miss_and_stays(open_store, results, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "their-secret"))
    open_store().put(KEY, [1], HEADER, durable=True)
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "our-secret"))
    store = open_store()
    assert store.get(KEY).code == "foreign"
    store.flush()
    assert store.headers("notebook.fit") == []
    assert [problem["code"] for problem in store.verify()] == ["foreign"]
    assert file_of(results, KEY).exists(), "it may be of use to whoever wrote it"


def test_links_lead_nowhere(open_store, results, tmp_path):
    filled(open_store)
    outside = tmp_path / "outside"
    outside.mkdir()
    small, large = file_of(results, "small"), file_of(results, "large")
    moved = outside / large.name
    large.rename(moved)
    large.symlink_to(moved)
    folder = small.parent
    folder.rename(outside / "folder")
    folder.symlink_to(outside / "folder")
    orphan = outside / "folder" / f"{'a' * 64}.{'b' * 16}.tmp"
    orphan.write_bytes(b"x")
    old = time.time() - 10_000
    os.utime(orphan, (old, old))
    (results / "swept").unlink(missing_ok=True)
    before = sorted(path.as_posix() for path in outside.rglob("*"))
    store = open_store()
    assert isinstance(store.get("small"), Missing)
    assert store.get("large").code == "unreadable"
    assert store.put("small", {"a": [2]}, HEADER, durable=True) is not None
    assert store.entries() == []
    store.invalidate(key="small")
    store.clear()
    store.flush()
    assert sorted(path.as_posix() for path in outside.rglob("*")) == before


def test_a_result_replaced_while_it_is_read_is_read_again(open_store, results, monkeypatch):
    filled(open_store)
    store, other = open_store(), open_store()
    store.get("nothing")
    place = store._shelf.opened()
    read = place.read

    def slow(key: str) -> Any:
        found = read(key)
        if other is not None:
            other.put("large", LARGE + 1, HEADER, durable=True)
            monkeypatch.setattr(place, "read", read)
        return found

    monkeypatch.setattr(place, "read", slow)
    found = store.get("large")
    np.testing.assert_equal(found.value, LARGE + 1)


def test_what_killed_processes_left_is_swept(open_store, results):
    filled(open_store)
    folder = file_of(results, "large").parent
    leftovers = [folder / f"{'a' * 64}.{name * 16}.tmp" for name in "bc"]
    for leftover in leftovers:
        leftover.write_bytes(b"x" * 100)
    old = time.time() - 4000
    os.utime(leftovers[0], (old, old))
    (results / "swept").unlink(missing_ok=True)
    open_store().get("large")
    deadline = time.monotonic() + 60
    while leftovers[0].exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert leftovers[1].exists(), "it may be about to be renamed"


def test_the_last_use_is_recorded_and_not_at_every_use(open_store, results, monkeypatch):
    filled(open_store)
    path = file_of(results, "large")
    old = time.time() - 10 * 86_400
    os.utime(path, (old, old))
    store = open_store()
    store.get("large")
    store.close()
    used = path.stat().st_mtime
    assert used > time.time() - 100
    entry = {entry["key"]: entry for entry in open_store().entries()}["large"]
    assert entry["last_used"] == pytest.approx(used)
    assert entry["created"] > old, "when it was stored is in the envelope"


def test_headers_are_those_of_the_task_stored_last(open_store):
    store = open_store()
    for number in range(60):
        name = "fit" if number % 3 else "clean"
        header = {**HEADER, "task_key": f"notebook.{name}", "created": 1000.0 + number}
        store.put(f"k{number}", [number], header, durable=False)
    store.flush()
    keys = [header["key"] for header in open_store().headers("notebook.fit")]
    assert keys == [f"k{number}" for number in range(59, -1, -1) if number % 3]


SAME_KEY = """
import sys
import numpy as np
from pathlib import Path
from cellist.caching.store import Found, ResultStore
me = int(sys.argv[2])
store = ResultStore(Path(sys.argv[1]), memory_budget=8, kind="files")
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
    assert len(files(results)) == 1


def test_threads_that_collect_and_read_at_once(open_store):
    store = open_store(budget=200_000, memory_budget=8)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        other = open_store(budget=200_000, memory_budget=8)
        for number in range(15):
            key = f"{seed}-{number}"
            other.put(key, np.full(3000, seed), HEADER, durable=False)
            found = other.get(key)
            if isinstance(found, Found) and set(found.value) != {seed}:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.verify() == []
    assert store.stats()["bytes"] <= 3 * 200_000
