"""Rows that say anything at all, and processes killed or deleting at any moment."""

import os
import pickle
import sqlite3
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

from cellist.caching.store import Found
from tests.caching.faulty import LARGE, check_recovers, filled


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Any) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


COLUMNS = [
    *("key", "raw", "store_time", "expire_time", "access_time", "access_count"),
    *("tag", "size", "mode", "filename", "value"),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_may_say_anything(open_store, results, tmp_path, column):
    mark, victim = tmp_path / "mark", tmp_path / "victim"
    bomb = pickle.dumps(Bomb(mark))
    odd = [None, 0, -1, 3, 4, 2**62, -(2**62), 1.5, float("inf"), "", b"", bomb]
    for value in [*odd, str(victim), "../../victim", "aa/bb/" + "c" * 28 + ".val"]:
        victim.write_text("kept")
        filled(open_store)
        connection = sqlite3.connect(results / "cache.db")
        connection.execute(f"UPDATE OR REPLACE Cache SET {column} = ?", (value,))
        connection.commit()
        connection.close()

        store = open_store()
        for key, expected in {"small": {"a": [1]}, "large": LARGE}.items():
            found = store.get(key)
            if isinstance(found, Found):
                np.testing.assert_equal(found.value, expected)
        for look in (store.entries, partial(store.headers, "notebook.fit"), store.verify):
            look()
        check_recovers(store)
        store.clear()
        store.close()
        assert victim.read_text() == "kept", value
        assert not mark.exists(), value


KILLED = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import diskcache
from cellist.caching.store import Found, ResultStore

place, kind, what = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
HEADER = {"task": "fit", "task_key": "t", "seconds": 2.0}

def values(number):
    return {"old": [number], "small": {"a": [number]}, "large": bytes([number]) * 100_000}

def fill(store, number, *keys):
    for key in keys or values(number):
        assert store.put(key, values(number)[key], HEADER, durable=True) is None

def work(store):
    if what == "put":
        fill(store, 2, "small", "large")
    elif what == "clear":
        store.clear()
    else:
        store.invalidate(key="large")
        store.verify()

def child(at):
    # Runs the work and dies at a moment counted in steps of it; returns the steps of all.
    count = 0
    def step(frame, event, arg):
        nonlocal count
        path = frame.f_code.co_filename
        if "caching" in path or "diskcache" in path:
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
    store = ResultStore(place, kind=kind)
    store.get("old")
    sys.setprofile(step)
    work(store)
    sys.setprofile(None)
    return count

def fork(at):
    shutil.rmtree(place, ignore_errors=True)
    store = ResultStore(place, kind=kind)
    fill(store, 1)
    store.close()
    end, other = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(other, str(child(at)).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(other)
    with os.fdopen(end) as told:
        return told.read()

def check(at):
    told = []
    store = ResultStore(place, kind=kind, on_warning=told.append)
    for key, value in values(1).items():
        found = store.get(key)
        if isinstance(found, Found):
            assert found.value in (value, values(2)[key]), (at, key)
        else:
            assert what != "put", (at, key, found)
    assert len(told) <= (what != "put"), (at, told)
    fill(store, 3)
    assert store.verify() == [], at
    store.close()
    for path in place.rglob("*"):
        os.utime(path, (time.time() - 4000,) * 2)
    (place / "swept").unlink(missing_ok=True)
    store = ResultStore(place, kind=kind)
    assert [store.get(key).value for key in values(3)] == list(values(3).values()), at
    deadline = time.monotonic() + 30
    while list(place.rglob("*.tmp")) or len(list(place.rglob("*.val"))) != (kind == "index"):
        assert time.monotonic() < deadline, (at, list(place.rglob("*")))
        time.sleep(0.005)
    store.close()

steps = int(fork(-1))
assert steps > 100
for at in random.Random(7).sample(range(1, steps), 5):
    assert fork(at) == ""
    check(at)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="only on systems that fork")
@pytest.mark.parametrize("what", ["put", "clear", "invalidate"])
@pytest.mark.parametrize("kind", ["index", "files"])
def test_a_kill_at_any_moment_loses_nothing_else(tmp_path, kind, what):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "results"), kind, what]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


AT_ONCE = """
import random, sys
from pathlib import Path
import numpy as np
from cellist.caching.store import Found, ResultStore
rnd, told = random.Random(int(sys.argv[3])), []
limits = {"budget": 1_500_000, "memory_budget": 400_000}
store = ResultStore(Path(sys.argv[1]), kind=sys.argv[2], on_warning=told.append, **limits)
for _ in range(200):
    number, chance = rnd.randrange(20), rnd.random()
    key, task = f"k{number}", f"t{number % 4}"
    value = np.full(20_000, float(number)) if number % 3 == 0 else {"k": number}
    if chance < 0.4:
        header = {"task": task, "task_key": task, "seconds": 1.0}
        sentence = store.put(key, value, header, durable=rnd.random() < 0.3)
        assert sentence is None or "store is full" in sentence, sentence
    elif chance < 0.85:
        found = store.get(key, in_memory=rnd.random() < 0.3)
        if isinstance(found, Found):
            np.testing.assert_equal(found.value, value)
            assert found.header["task"] == task
    elif chance < 0.9:
        store.invalidate(key=key)
    elif chance < 0.93:
        store.invalidate(task=task)
    elif chance < 0.96:
        store.clear()
    else:
        assert store.verify() == []
store.close()
assert [one for one in told if "used in this session" not in one] == []
"""


@pytest.mark.parametrize("kind", ["index", "files"])
def test_kernels_that_store_delete_and_read_at_once_are_told_of_no_fault(open_store, results, kind):
    running = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE, str(results), kind, str(number)])
        for number in range(3)
    ]
    assert [one.wait(timeout=200) for one in running] == [0, 0, 0]
    assert open_store().verify() == []
