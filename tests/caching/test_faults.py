"""The store under fire: everything that goes wrong is a miss, never wrong and never fatal.

The faults are real ones: processes are killed, files cut short, file systems full or read-only,
databases damaged or made by somebody who means harm.
"""

import os
import pickle
import shutil
import sqlite3
import time
from pathlib import Path

import diskcache
import numpy as np
import pytest

from cellist.caching.store import Found, Missing
from tests.caching.faulty import HEADER, LARGE, check_recovers, filled, only_file

# ---------------------------------------------------------------- payloads


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path):
    path.write_bytes(b"")


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def replace_by_a_directory(path):
    path.unlink()
    path.mkdir()


def replace_by_a_link(path):
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize(
    "damage", [cut, empty, zero, flip, Path.unlink, replace_by_a_directory, replace_by_a_link]
)
def test_a_damaged_payload_is_a_miss_and_is_replaced(open_store, results, warnings, damage):
    filled(open_store)
    damage(only_file(results))
    store = open_store()
    for _ in range(3):
        missing = store.get("large")
        assert isinstance(missing, Missing)
        assert missing.code == "unreadable"
    assert store.get("small").value == {"a": [1]}
    assert len(warnings) == 1
    assert [problem["key"] for problem in store.verify()] == ["large"]
    check_recovers(store)


def change_row(results, query, *values):
    with sqlite3.connect(results / "cache.db") as connection:
        assert connection.execute(query, values).rowcount
    connection.close()


def row(results, key):
    connection = sqlite3.connect(results / "cache.db")
    found = connection.execute("SELECT value, filename FROM Cache WHERE key = ?", (key,)).fetchone()
    connection.close()
    return found


@pytest.mark.parametrize("key", ["small", "large"])
@pytest.mark.parametrize("position", [0, 10, 17, 40, 150, -1])
def test_a_damaged_row_is_a_miss(open_store, results, warnings, key, position):
    filled(open_store)
    blob = bytearray(row(results, key)[0])
    blob[position] ^= 0x21
    change_row(results, "UPDATE Cache SET value = ? WHERE key = ?", bytes(blob), key)
    store = open_store()
    found = store.get(key)
    if isinstance(found, Found):  # the padding of a head says nothing
        assert (key, position) == ("large", -1)
        np.testing.assert_equal(found.value, LARGE)
        return
    assert found.code in {"unreadable", "foreign"}
    assert len(warnings) == 1
    check_recovers(store, key, LARGE if key == "large" else {"a": [1]})


def test_swapped_rows_and_swapped_files_are_misses(open_store, results, warnings):
    filled(open_store)
    store = open_store()
    store.put("other", LARGE + 1, HEADER, durable=True)
    store.close()
    rows = {key: row(results, key) for key in ("large", "other", "small")}
    change_row(results, "UPDATE Cache SET filename = ? WHERE key = 'large'", rows["other"][1])
    change_row(results, "UPDATE Cache SET value = ? WHERE key = 'small'", rows["other"][0])
    store = open_store()
    assert store.get("large").code == "unreadable"
    assert store.get("small").code == "unreadable"
    np.testing.assert_equal(store.get("other").value, LARGE + 1)
    assert len(warnings) == 1


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_the_bomb_works(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "bang")))
    assert (tmp_path / "bang").exists()


@pytest.mark.parametrize("extra", [0, 100_000])
def test_what_somebody_else_signed_is_never_unpickled(
    open_store, tmp_path, warnings, monkeypatch, extra
):
    bang = tmp_path / "bang"
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "their-secret"))
    theirs = open_store()
    theirs.put("k", [Bomb(bang), "x" * extra], HEADER, durable=True)
    theirs.close()
    monkeypatch.setenv("CELLIST_SECRET_DIR", str(tmp_path / "our-secret"))
    store = open_store()
    assert store.get("k").code == "foreign"
    assert store.headers("notebook.fit") == []
    assert store.verify()[0]["code"] == "foreign"
    assert not bang.exists()
    assert len(warnings) == 1
    check_recovers(store, "k", [1])


# ---------------------------------------------------------------- the index


def hostile(results, statement, *values):
    results.mkdir(exist_ok=True)
    cache = diskcache.Cache(str(results))
    cache.close()
    change_row(results, statement, *values)


INSERT = (
    "INSERT INTO Cache(key, raw, store_time, expire_time, access_time, access_count, tag, size,"
    " mode, filename, value) VALUES (?, ?, 1.0, ?, 1.0, 0, 'fit', 10, ?, ?, ?)"
)


def test_pickled_values_of_a_hostile_index_are_never_loaded(
    open_store, results, tmp_path, warnings
):
    bang = tmp_path / "bang"
    stream = pickle.dumps(Bomb(bang))
    hostile(results, INSERT, "k", 1, None, 4, None, stream)
    hostile(results, INSERT, "raw", 1, None, 1, None, stream)
    (results / "evil.val").write_bytes(stream)
    hostile(results, INSERT, "file", 1, None, 4, "evil.val", None)
    store = open_store()
    assert {store.get(key).code for key in ("k", "raw", "file")} == {"foreign"}
    store.verify()
    check_recovers(store, "k", [1])
    assert not bang.exists()
    assert len(warnings) == 1


def test_pickled_keys_of_a_hostile_index_are_never_loaded(open_store, results, tmp_path):
    bang = tmp_path / "bang"
    hostile(results, INSERT, pickle.dumps(Bomb(bang)), 0, None, 2, None, b"x")
    store = open_store()
    store.put("k", [1], HEADER, durable=True)
    assert [entry["key"] for entry in store.entries()] == ["k"]
    assert store.verify() == []
    assert store.headers("fit") == []
    store.invalidate(task="fit")
    store.clear()
    assert not bang.exists()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_hostile_index_cannot_have_files_deleted_or_read(open_store, results, tmp_path, absolute):
    victim = tmp_path / "precious.txt"
    victim.write_text("precious")
    name = str(victim) if absolute else "../precious.txt"
    hostile(results, INSERT, "k", 1, 1.0, 2, name, b"")
    hostile(results, INSERT, "k2", 1, None, 2, name, b"")
    store = open_store()
    assert isinstance(store.get("k2"), Missing)
    store.put("k", [1], HEADER, durable=True)
    store.put("k2", LARGE, HEADER, durable=True)
    store.put("k3", [1], HEADER, durable=True)
    store.invalidate(key="k2")
    store.clear()
    assert victim.read_text() == "precious"


def test_links_in_a_hostile_directory_lead_nowhere(open_store, results, tmp_path):
    filled(open_store)
    path = only_file(results)
    outside = tmp_path / "outside"
    path.parent.parent.rename(outside)
    path.parent.parent.symlink_to(outside)
    orphan = outside / path.parent.name / f"{'a' * 28}.val"
    orphan.write_bytes(b"somebody's")
    old = time.time() - 10_000
    os.utime(orphan, (old, old))
    (results / "swept").unlink(missing_ok=True)
    before = sorted(outside.rglob("*"))
    store = open_store()
    assert store.get("large").code == "unreadable"
    store._shelf._upkeep._sweep(store._shelf.opened())
    store.flush()
    store.invalidate(key="large")
    store.put("large", LARGE, HEADER, durable=True)
    store.clear()
    with pytest.raises(NotADirectoryError):
        store._shelf.opened().disk._folders.make(path.relative_to(results).as_posix()[:5])
    assert sorted(outside.rglob("*")) == before


def test_a_link_instead_of_the_quarantine_or_the_sessions_leads_nowhere(
    open_store, results, tmp_path
):
    filled(open_store)
    cut(only_file(results))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "1.txt").write_text('{"host": "h", "pid": 1, "started": 0}')
    for name in ("quarantine", "sessions"):
        shutil.rmtree(results / name, ignore_errors=True)
        (results / name).symlink_to(outside)
    store = open_store(budget=10**6)
    assert store.get("large").code == "unreadable"
    for number in range(3):
        store.put(f"k{number}", LARGE[:60_000], HEADER, durable=True)
    store.flush()
    store.verify()
    assert [path.name for path in outside.iterdir()] == ["1.txt"]
    check_recovers(open_store())


def test_whole_files_that_a_killed_process_left_without_a_row_are_taken_in(open_store, results):
    filled(open_store)
    old = time.time() - 100
    os.utime(only_file(results), (old, old))
    change_row(results, "DELETE FROM Cache WHERE key = 'large'")
    (results / "swept").unlink(missing_ok=True)
    store = open_store()
    deadline = time.monotonic() + 60
    while isinstance(store.get("large"), Missing):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    np.testing.assert_equal(store.get("large").value, LARGE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cull_limit", 10),
        ("size_limit", 1),
        ("eviction_policy", "least-recently-used"),
        ("statistics", 1),
        ("disk_min_file_size", 2**40),
        ("disk_pickle_protocol", "x"),
        ("disk_nonsense", 1),
        ("eviction_policy", "nonsense"),
        ("_directory", "/nonexistent"),
        ("get", "not callable"),
        ("sqlite_journal_mode", "delete"),
    ],
)
def test_settings_in_the_index_do_not_steer_the_store(open_store, results, name, value):
    hostile(results, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", name, value)
    store = open_store()
    for number in range(30):
        assert store.put(f"k{number}", {"n": [number]}, HEADER, durable=True) is None
    check_recovers(store)
    reader = open_store()
    assert all(reader.get(f"k{number}").value == {"n": [number]} for number in range(30))


def truncate_db(path):
    path.write_bytes(path.read_bytes()[:5000])


def garbage(path):
    path.write_bytes(os.urandom(20_000))


def damage_a_page(path):
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(bytes(data))


DAMAGES = [truncate_db, zero, garbage, empty, damage_a_page, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_replaced_and_filled_from_the_files(
    open_store, results, warnings, damage
):
    filled(open_store)
    old = time.time() - 100
    os.utime(only_file(results), (old, old))
    damage(results / "cache.db")
    store = open_store()
    store.get("small")
    deadline = time.monotonic() + 60
    while isinstance(store.get("large"), Missing) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = store.get("large")
    assert isinstance(found, Found)
    np.testing.assert_equal(found.value, LARGE)
    assert len(warnings) <= 1
    check_recovers(store, "small", {"a": [1]})
    check_recovers(store, "new", [2])


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_index_damaged_while_open_does_not_stop_the_session(
    open_store, results, warnings, damage
):
    filled(open_store)
    store = open_store()
    store.get("small")
    damage(results / "cache.db")
    for number in range(5):
        store.put(f"k{number}", {"n": [number]}, HEADER, durable=number % 2 == 0)
        found = store.get("large")
        assert isinstance(found, Missing) or found.value.tolist() == LARGE.tolist()
    store.flush()
    store.entries()
    store.stats()
    assert all(store.get(f"k{number}").value == {"n": [number]} for number in range(5))
    assert len(warnings) == 1
    store.close()
    later = open_store()
    check_recovers(later, "after", [1])
