"""Lock managers: what all of them do, and what those do that other processes see."""

import asyncio
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cellist.caching import lease_tables, leases
from cellist.caching.lease_tables import DatabaseTable, FileTable
from cellist.caching.leases import FileSystemLockManager
from cellist.locking.filesystem import FileSystemLockManager as FromFilesystem
from cellist.locking.memory import MemoryLockManager
from cellist.locking.protocol import LockManager

HOLD = """
import sys, time
from pathlib import Path
from cellist.locking.filesystem import FileSystemLockManager
manager = FileSystemLockManager(Path(sys.argv[1]), kind=sys.argv[2])
assert manager.acquire_lock("k", "other", acquire_timeout=60)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["memory", "index", "files"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        return MemoryLockManager()
    return FileSystemLockManager(tmp_path / "locks", kind=request.param)


@pytest.fixture(params=["index", "files"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> FileSystemLockManager:
    """Locks that other processes see, kept in one way and the other."""
    return FileSystemLockManager(tmp_path, kind=request.param)


def change(manager: FileSystemLockManager, seconds: float = 0.0, **facts: Any) -> None:
    """Rewrite the leases as if they had been written by others or `seconds` ago."""
    table = manager._table()
    if isinstance(table, FileTable):
        for path in table._directory.iterdir():
            told = json.loads(path.read_text())
            path.write_text(json.dumps({**told, **facts}))
            then = time.time() - seconds
            os.utime(path, (then, then))
        return
    assert isinstance(table, DatabaseTable)
    connection = table._open()
    connection.execute("UPDATE leases SET until = until - ?", (seconds,))
    for name, value in facts.items():
        connection.execute(f"UPDATE leases SET {name} = ?", (value,))


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own: the memory manager is one for the process."""
    return f"key of {request.node.nodeid} / with : odd characters"


def test_protocol(manager: Any) -> None:
    assert isinstance(manager, LockManager)
    assert FromFilesystem is FileSystemLockManager
    assert MemoryLockManager() is MemoryLockManager()


def test_one_holder_at_a_time(manager: Any, key: str) -> None:
    assert not manager.is_locked(key)
    assert manager.acquire_lock(key, "me")
    assert manager.is_locked(key)
    assert manager.is_lock_holder(key, "me")
    assert not manager.is_lock_holder(key, "you")
    assert manager.acquire_lock(key, "me", acquire_timeout=0)  # again
    assert not manager.acquire_lock(key, "you", acquire_timeout=0)
    assert not manager.acquire_lock(key, "you", acquire_timeout=0.02)
    with pytest.raises(ValueError, match="'you'"):
        manager.release_lock(key, "you")
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)
    with pytest.raises(ValueError, match="'me'"):
        manager.release_lock(key, "me")
    assert manager.acquire_lock(key, "you", acquire_timeout=0)
    manager.release_lock(key, "you")


def test_a_waiter_gets_the_lock_when_it_is_released(manager: Any, key: str) -> None:
    manager.acquire_lock(key, "me")
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(manager.acquire_lock(key, "you")))
    thread.start()
    assert not manager.wait_for_lock(key, timeout=0.02)
    assert got == []
    manager.release_lock(key, "me")
    thread.join(60)
    assert got == [True]
    assert manager.is_lock_holder(key, "you")
    manager.release_lock(key, "you")
    assert manager.wait_for_lock(key, timeout=0)


def test_async_twins(manager: Any, key: str) -> None:
    async def main() -> list[Any]:
        assert await manager.aacquire_lock(key, "me")
        assert not await manager.aacquire_lock(key, "you", acquire_timeout=0.02)
        assert not await manager.await_for_lock(key, timeout=0.02)
        waiting = [
            asyncio.create_task(manager.aacquire_lock(key, "you")),
            asyncio.create_task(manager.await_for_lock(key)),
        ]
        await asyncio.sleep(0)
        manager.release_lock(key, "me")
        first = await waiting[0]
        manager.release_lock(key, "you")
        return [first, await waiting[1]]

    assert asyncio.run(main()) == [True, True]


def test_a_hold_ends_by_itself(manager: Any, key: str) -> None:
    assert manager.acquire_lock(key, "me", hold_timeout=0.05)
    assert manager.acquire_lock(key, "you", acquire_timeout=60)
    assert not manager.is_lock_holder(key, "me")
    with pytest.raises(ValueError, match="'me'"):
        manager.release_lock(key, "me")
    manager.release_lock(key, "you")
    assert manager.acquire_lock(key, "me", hold_timeout=0.01)
    assert manager.wait_for_lock(key, timeout=10)


def test_contention(manager: Any, key: str) -> None:
    inside, most, done = [0], [0], []

    def work(number: int) -> None:
        manager.acquire_lock(key, str(number))
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.001)
        inside[0] -= 1
        manager.release_lock(key, str(number))
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most[0], sorted(done)) == (1, list(range(8)))


def test_a_loop_that_was_closed_keeps_no_lock_from_being_released(key: str) -> None:
    manager = MemoryLockManager()
    manager.acquire_lock(key, "me")

    async def give_up() -> None:
        waiting = asyncio.create_task(manager.aacquire_lock(key, "you"))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(give_up())
    manager.release_lock(key, "me")
    assert not manager.is_locked(key)


def holding_process(manager: FileSystemLockManager) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(manager.lock_files_directory), manager._kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_of_a_dead_process_is_free_at_once(shared: FileSystemLockManager) -> None:
    manager = shared
    process = holding_process(manager)
    try:
        assert manager.is_locked("k")
        assert not manager.acquire_lock("k", "me", acquire_timeout=0.02)
        lease = manager.lease_of("k")
        assert lease is not None
        assert (lease.holder, lease.pid, lease.is_above) == ("other", process.pid, False)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert manager.acquire_lock("k", "me", acquire_timeout=leases._TTL / 2)
    assert manager.is_lock_holder("k", "me")


def test_a_process_with_the_id_of_a_dead_one_holds_nothing(shared: FileSystemLockManager) -> None:
    shared.acquire_lock("k", "me")
    change(shared, started=1.0)
    assert not shared.is_locked("k")
    assert shared.acquire_lock("k", "you", acquire_timeout=0)
    assert shared.is_lock_holder("k", "you")


def test_the_lease_of_another_machine_counts_until_its_end(shared: FileSystemLockManager) -> None:
    shared.acquire_lock("k", "me")
    change(shared, seconds=leases._TTL / 2, host="elsewhere", pid=1, holder="other")
    assert not shared.acquire_lock("k", "you", acquire_timeout=0)
    change(shared, seconds=leases._TTL + 1)
    assert shared.acquire_lock("k", "you", acquire_timeout=0)


def test_leases_of_a_living_process_are_renewed(tmp_path: Path) -> None:
    manager = FileSystemLockManager(tmp_path)
    manager.acquire_lock("k", "me")
    manager.acquire_lock("short", "me", hold_timeout=1000)
    table: Any = manager._table()
    connection = table._connection
    connection.execute("UPDATE leases SET until = ?", (time.time() + 10,))
    assert manager.renew()
    until = dict(connection.execute("SELECT key, until FROM leases").fetchall())
    assert until["k"] > time.time() + leases._TTL / 2
    assert until["short"] < time.time() + 11
    manager.release_lock("k", "me")
    assert not manager.renew()


def test_a_lease_taken_as_the_renewing_thread_ends_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_TTL", 0.3)
    manager = FileSystemLockManager(tmp_path)
    manager.acquire_lock("first", "me")
    renew = manager.renew
    looked, ended = threading.Event(), threading.Event()

    def late() -> bool:
        found = renew()
        if not found and not looked.is_set():  # nothing is held: the thread is about to end
            looked.set()
            assert ended.wait(60)
        return found

    monkeypatch.setattr(manager, "renew", late)
    manager.release_lock("first", "me")
    assert looked.wait(60)
    monkeypatch.setattr(leases, "_TTL", 30.0)
    manager.acquire_lock("second", "me")
    monkeypatch.setattr(leases, "_TTL", 0.3)
    table: Any = manager._table()
    connection = table._connection
    connection.execute("UPDATE leases SET until = ?", (time.time() + 1000,))
    ended.set()
    deadline = time.monotonic() + 60
    while (lease := manager.lease_of("second")) and lease.until > time.time() + 100:
        assert time.monotonic() < deadline, "nobody renews it"
        time.sleep(0.01)
    manager.release_lock("second", "me")


class Interrupting:
    """A connection whose user presses stop while it waits for its transaction."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.pressed = False

    def execute(self, statement: str, *args: Any) -> Any:
        found = self.real.execute(statement, *args)
        if statement.startswith("BEGIN") and not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_an_interrupt_leaves_no_transaction_open(tmp_path: Path) -> None:
    manager, other = FileSystemLockManager(tmp_path), FileSystemLockManager(tmp_path)
    assert other.acquire_lock("k", "other")
    assert not manager.acquire_lock("k", "me", acquire_timeout=0)
    table: Any = manager._table()
    table._connection = Interrupting(table._connection)
    with pytest.raises(KeyboardInterrupt):
        manager.acquire_lock("k", "me", acquire_timeout=0)
    assert not manager.acquire_lock("k", "me", acquire_timeout=0)
    other.release_lock("k", "other")
    assert manager.acquire_lock("k", "me", acquire_timeout=0)
    manager.release_lock("k", "me")


def test_a_directory_that_was_deleted_is_made_again(shared: FileSystemLockManager) -> None:
    manager = shared
    manager.acquire_lock("k", "me")
    shutil.rmtree(manager.lock_files_directory)
    assert not manager.is_locked("k")
    assert manager.acquire_lock("k", "you", acquire_timeout=0)
    manager.release_lock("k", "you")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # 3.12 warns of threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork")
def test_a_forked_child_holds_nothing_and_can_lock(shared: FileSystemLockManager) -> None:
    manager = shared
    manager.acquire_lock("k", "me")

    def child(found: Any) -> None:
        found.put(manager.renew())
        found.put(manager.acquire_lock("k", "child", acquire_timeout=0))
        found.put(manager.acquire_lock("other", "child", acquire_timeout=0))
        lease = manager.lease_of("k")
        found.put(lease is not None and lease.is_above)

    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()
    process = context.Process(target=child, args=(found,))
    process.start()
    answers = [found.get() for _ in range(4)]
    process.join(60)
    assert answers == [False, False, True, True]
    assert manager.is_lock_holder("k", "me")


# ---------------------------------------------------------------- leases in files


@pytest.fixture
def filed(tmp_path: Path) -> FileSystemLockManager:
    return FileSystemLockManager(tmp_path, kind="files")


def lease_files(tmp_path: Path) -> list[str]:
    return [path.suffix for path in (tmp_path / "leases").iterdir()]


def test_files_are_renewed_by_being_touched(filed: FileSystemLockManager, tmp_path: Path) -> None:
    filed.acquire_lock("k", "me")
    filed.acquire_lock("short", "me", hold_timeout=100)
    change(filed, seconds=20)
    assert filed.renew()
    untils = {key: lease.until for key in ("k", "short") if (lease := filed.lease_of(key))}
    assert untils["k"] == pytest.approx(time.time() + leases._TTL, abs=15)
    assert untils["short"] == pytest.approx(time.time() + 80, abs=15)
    filed.release_lock("k", "me")
    filed.release_lock("short", "me")
    assert lease_files(tmp_path) == [], "nothing is left behind"
    assert not list(tmp_path.rglob("*.sqlite*"))


def test_where_there_are_no_links_files_are_created_exclusively(
    filed: FileSystemLockManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(lease_tables.os, "link", refuse)
    assert filed.acquire_lock("k", "me", acquire_timeout=0)
    assert not filed.acquire_lock("k", "you", acquire_timeout=0)
    filed.release_lock("k", "me")
    assert filed.acquire_lock("k", "you", acquire_timeout=0)
    assert lease_files(tmp_path) == [".lease"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder": 1}', '{"until": "x"}'])
def test_a_file_without_sense_is_one_that_is_being_written(
    filed: FileSystemLockManager, tmp_path: Path, text: str
) -> None:
    filed.acquire_lock("k", "me")
    (path,) = (tmp_path / "leases").iterdir()
    path.write_text(text)
    assert not filed.acquire_lock("k", "you", acquire_timeout=0)
    old = time.time() - lease_tables._WRITING_SECONDS - 5
    os.utime(path, (old, old))
    assert filed.acquire_lock("k", "you", acquire_timeout=0)


def test_the_clock_of_the_server_counts(
    filed: FileSystemLockManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed.acquire_lock("k", "me")
    change(filed, host="elsewhere")
    real = time.time
    wrong = FileSystemLockManager(filed.lock_files_directory, kind="files")
    monkeypatch.setattr(lease_tables.time, "time", lambda: real() + 3600)  # this machine's is wrong
    assert not wrong.acquire_lock("k", "you", acquire_timeout=0)


def test_a_lease_somebody_took_meanwhile_is_given_back(
    filed: FileSystemLockManager, tmp_path: Path
) -> None:
    filed.acquire_lock("k", "old")
    table = filed._table()
    assert isinstance(table, FileTable)
    old = table.see("k")
    assert old is not None
    filed.release_lock("k", "old")
    filed.acquire_lock("k", "new")
    assert not table._remove(table._path("k"), old)
    assert filed.is_lock_holder("k", "new")
    assert lease_files(tmp_path) == [".lease"]


TAKE_OVER = """
import sys
from pathlib import Path
from cellist.locking.filesystem import FileSystemLockManager
manager = FileSystemLockManager(Path(sys.argv[1]), kind="files")
manager.is_locked("k")
print("ready", flush=True)
sys.stdin.readline()
print(manager.acquire_lock("k", sys.argv[2], acquire_timeout=0), flush=True)
sys.stdin.readline()
"""


def test_of_many_that_take_over_a_dead_holders_lease_one_has_it(
    filed: FileSystemLockManager, tmp_path: Path
) -> None:
    holder = holding_process(filed)
    holder.kill()
    holder.communicate()
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    answers: list[str] = []
    for word in ("ready", ""):
        for taker in takers:
            assert taker.stdout is not None
            line = taker.stdout.readline().strip()
            answers += [line] if word != "ready" else []
        for taker in takers:
            assert taker.stdin is not None
            taker.stdin.write("go\n")
            taker.stdin.flush()
    for taker in takers:
        taker.communicate(timeout=30)
    assert sorted(answers) == ["False", "False", "False", "True"]
