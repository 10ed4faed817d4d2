"""What is given up when results outgrow their budget, also by several kernels at once."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellist.caching import collector, pins
from cellist.caching.listing import Listed, Tag
from cellist.caching.pins import Pins
from cellist.caching.store import Found
from cellist.caching.uses import Uses
from tests.caching.faulty import HEADER

NOW = 1_000_000.0
DAY = 86_400.0


@pytest.fixture(params=["index", "files"])
def kind(request):
    return request.param


def listed(key: str, *, seconds: float = 1.0, size: int = 100_000, unused: float = 0.0) -> Listed:
    tag = Tag("t", "t", seconds, None, "array")
    return Listed(key, tag, NOW - 30 * DAY, NOW - unused, 0, size, None)


def chosen(entries: list[Listed], excess: int, own: Any = (), others: Any = ()) -> list[str]:
    return [entry.key for entry in collector.victims(entries, own, others, excess, NOW)]


@pytest.mark.parametrize(
    ("kept", "given_up"),
    [
        (listed("slow", seconds=100), listed("quick", seconds=0.1)),
        (listed("small", size=10_000), listed("large", size=1_000_000)),
        (listed("new", unused=10), listed("old", unused=10 * DAY)),
        (listed("old, slow", seconds=500, unused=DAY), listed("new, quick", seconds=1)),
    ],
)
def test_what_is_cheap_large_and_unused_goes_first(kept: Listed, given_up: Listed) -> None:
    assert chosen([kept, given_up], 1) == [given_up.key]
    assert chosen([kept, given_up], 10**9) == [given_up.key, kept.key]
    assert chosen([kept, given_up], 0) == []


def test_pins() -> None:
    entries = [
        listed("a", unused=2 * DAY),
        listed("b", unused=DAY / 2),
        listed("c", unused=2 * DAY),
    ]
    assert chosen(entries, 10**9, own={"a"}) == ["c", "b"]
    assert chosen(entries, 10**9, others={"a", "b"}) == ["a", "c"], "others' only for a day"


def test_the_default_budget_is_a_tenth_of_a_small_disk(
    open_store: Any, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = shutil.disk_usage(mounted).total
    store = open_store(mounted / "results")
    assert store.put("k", bytes(total // 12), HEADER, durable=True) is None
    assert "bytes, and the store may have" in store.put(
        "l", bytes(total // 9), HEADER, durable=True
    )
    assert (
        open_store(mounted / "results", budget=total).put(
            "l", bytes(total // 9), HEADER, durable=True
        )
        is None
    )
    usage = type("Usage", (), {"total": 10**15})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert collector.default_budget(mounted) == 10 * 2**30


def test_uses_are_recorded_once_an_hour() -> None:
    uses = Uses()
    assert uses.take({"a": 1}, NOW, everything=False) == {"a": (1, NOW)}
    assert uses.take({"a": 2, "b": 1}, NOW + 100, everything=False) == {"b": (1, NOW + 100)}
    assert bool(uses)
    assert uses.take({}, NOW + 200, everything=False) == {}
    assert uses.take({"a": 1}, NOW + 3700, everything=False) == {"a": (3, NOW + 3700)}
    assert not uses
    assert uses.take({"a": 5}, NOW + 3800, everything=True) == {"a": (5, NOW + 3800)}


def test_reading_alone_is_recorded_by_and_by(open_store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("cellist.caching.writer._IDLE", 0.05)
    open_store().put("k", [1], HEADER, durable=True)
    reader, other = open_store(), open_store()
    reader.get("k")
    deadline = time.monotonic() + 60
    while "k" not in other._shelf._upkeep.pins.of_others() or reader._unsaved._recorded == {}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


KERNEL = """
import sys
import numpy as np
from pathlib import Path
from cellist.caching.store import ResultStore
header = {"task": "fit", "task_key": "t", "seconds": 0.001}
store = ResultStore(Path(sys.argv[1]), kind=sys.argv[2])
for number in range(4):
    store.put(f"k{number}", np.zeros(12_500), header, durable=True)
store.flush()
print("ready", flush=True)
sys.stdin.readline()
"""


def kernel(results: Path, kind: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(results), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("fate", ["lives", "killed"])
def test_what_another_living_kernel_used_stays(
    open_store: Any, results: Path, kind: str, fate: str, warnings: list[str]
) -> None:
    process = kernel(results, kind)
    try:
        if fate == "killed":
            process.kill()
            process.wait()
        store = open_store(budget=600_000, memory_budget=8)
        trouble = [store.put(f"n{n}", np.zeros(12_500), HEADER, durable=True) for n in range(5)]
        left = [n for n in range(4) if isinstance(open_store().get(f"k{n}"), Found)]
        if fate == "lives":
            assert left == [0, 1, 2, 3]
            assert trouble[0] is None
            assert "full" in (trouble[-1] or "")
            assert len(warnings) == 1
        else:
            assert left == [0] or len(left) < 2
            assert trouble == [None] * 5
            assert not list((results / "sessions").glob(f"{process.pid}-*"))
    finally:
        process.kill()
        process.communicate()


def test_an_entry_another_kernel_replaced_is_not_given_up(open_store: Any) -> None:
    store, other = open_store(), open_store()
    store.put("k", [1], HEADER, durable=True)
    store.get("nothing")
    (entry,) = store._shelf.entries()
    time.sleep(0.02)  # or the file's time might be the same
    other.put("k", [2], HEADER, durable=True)
    assert store._shelf.opened().delete([entry]) == 0
    assert open_store().get("k").value == [2]


COLLECTING = """
import sys
import numpy as np
from pathlib import Path
from cellist.caching.store import Found, ResultStore
results, kind, me = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
header = {"task": "fit", "task_key": "t", "seconds": 0.001}
print("ready", flush=True)
sys.stdin.readline()
for session in range(4):  # each forgets what the one before has used
    store = ResultStore(results, kind=kind, budget=1_500_000, memory_budget=8)
    for number in range(6):
        key = f"{me}-{session}-{number}"
        sentence = store.put(key, np.full(12_500, number), header, durable=True)
        assert sentence is None, sentence
        found = store.get(key)
        assert isinstance(found, Found), found
        assert set(found.value.tolist()) == {number}
    store.close()
"""


def test_two_kernels_collect_at_once(open_store: Any, results: Path, kind: str) -> None:
    filler = open_store(budget=10**9)
    for number in range(10):
        filler.put(f"old{number}", np.zeros(12_500), HEADER, durable=True)
    filler.close()
    command = [sys.executable, "-c", COLLECTING, str(results), kind]
    processes = [
        subprocess.Popen([*command, me], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for me in "ab"
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=100)
    assert [process.returncode for process in processes] == [0, 0]
    store = open_store()
    assert store.verify() == []
    assert 700_000 < store.stats()["bytes"] <= 1_700_000, "neither too much nor too little is left"


def test_whose_pins_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Pins(tmp_path), Pins(tmp_path)
    other.tell({"a", "b\n\udcff"})
    other.tell({"a", "c"})
    assert mine.of_others() == {"a", "b\n\udcff", "c"}
    assert other.of_others() == set()
    (path,) = (tmp_path / "sessions").iterdir()
    with path.open("a") as file:
        file.write('"half a li')
    assert "c" in mine.of_others()
    path.unlink()
    other.tell({"d"})
    assert mine.of_others() == {"a", "b\n\udcff", "c", "d"}, "a file somebody deleted is made again"
    other.close()
    assert mine.of_others() == set()
    monkeypatch.setattr(pins, "this_host", lambda: "elsewhere")
    other.tell({"e"})
    monkeypatch.undo()
    assert mine.of_others() == {"e"}
    (path,) = (tmp_path / "sessions").iterdir()
    old = time.time() - 2 * DAY
    os.utime(path, (old, old))
    assert mine.of_others() == set()
    assert not path.exists()
