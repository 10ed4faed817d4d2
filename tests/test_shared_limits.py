"""Limits across kernels: two sessions over one directory, and real processes that are killed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import cellist
from cellist import limits, task
from cellist.cache_policies import NO_CACHE
from cellist.caching import limit_tables
from cellist.caching.limit_tables import LimitTable
from cellist.caching.mounts import FILES
from cellist.concurrency import concurrency, rate_limit
from cellist.engine import shared_limits
from cellist.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    ConfigurationError,
)
from cellist.session import CellistWarning
from tests.sessions import Recorder


class Other:
    """Another process with cellist in it, told in lines what to do."""

    def __init__(self, directory: Path) -> None:
        body = """
            import sys, time
            from pathlib import Path
            from cellist import limits
            from cellist.concurrency import concurrency, rate_limit
            from cellist.engine import shared_limits
            from cellist.session import Session, use_session
            shared_limits._HEARTBEAT = 1000.0  # it must be woken
            blocks = {}
            with use_session(Session(directory=Path(sys.argv[1]))):
                print("ready", flush=True)
                for line in sys.stdin:
                    verb, *rest = line.split()
                    if verb == "take":
                        blocks[rest[0]] = block = concurrency(rest[0], occupy=int(rest[1]))
                        block.__enter__()
                    elif verb == "give":
                        blocks.pop(rest[0]).__exit__(None, None, None)
                    elif verb == "pass":
                        rate_limit(rest[0])
                    elif verb == "set":
                        limits.set(rest[0], int(rest[1]), shared=True)
                    print(verb, time.time(), flush=True)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(body), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def waits(self, recorder: Recorder) -> bool:
        """Whether it stands in the queue of a limit."""
        assert recorder.session.directory is not None
        file = recorder.session.directory / limit_tables.FILE
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT pid FROM waiting").fetchall()
        return (self.process.pid,) in found

    def do(self, line: str) -> list[str]:
        self.say(line)
        return self.answer()


@pytest.fixture
def other(recorder: Recorder) -> Generator[Other]:
    directory = recorder.session.directory
    assert directory is not None
    started = Other(directory)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


class Waiter(threading.Thread):
    """Takes a slot in a thread, and tells when it has it."""

    def __init__(self, name: str = "db", occupy: int = 1) -> None:
        super().__init__(daemon=True)
        self._ask = (name, occupy)
        self.let_go = threading.Event()
        self.has = threading.Event()
        self.start()

    def run(self) -> None:
        with concurrency(*self._ask):
            self.has.set()
            self.let_go.wait(100)


def in_use(name: str = "db") -> float:
    return next(one.in_use for one in limits.table() if one.name == name)


def waits(name: str = "db") -> int:
    return next(one.waiting for one in limits.table() if one.name == name)


def until(ready: Any) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_another_kernel_knows_a_shared_limit(recorder: Recorder, other: Other) -> None:
    limits.set("db", 2, shared=True)
    other.do("take db 1")
    (info,) = limits.table()
    assert (info.limit, info.in_use, info.shared) == (2, 1, True)
    assert info.held_by == (f"code outside runs (kernel {other.process.pid})",)
    with concurrency("db"), pytest.raises(AcquireConcurrencySlotTimeoutError) as caught:
        concurrency("db", timeout_seconds=0).__enter__()
    assert f"'db' (2 of 2 in use, by kernel {other.process.pid}, others)" in str(caught.value)
    other.do("give db")
    assert in_use() == 0


@pytest.fixture
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits here must be woken: it does not look by itself."""
    monkeypatch.setattr(shared_limits, "_HEARTBEAT", 1000.0)


@pytest.mark.usefixtures("no_heartbeat")
def test_a_waiter_is_woken_when_another_kernel_gives_back(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    for _ in range(5):
        other.do("take db 1")
        waiter = Waiter()
        until(waits)
        other.do("give db")
        assert waiter.has.wait(60)
        waiter.let_go.set()
        waiter.join()


def test_another_kernel_is_woken_too(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    waiter = Waiter()
    assert waiter.has.wait(60)
    other.say("take db 1")
    until(lambda: other.waits(recorder))
    waiter.let_go.set()
    assert other.answer()
    assert in_use() == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX is there a kill -9")
@pytest.mark.usefixtures("no_heartbeat")
def test_slots_of_a_killed_kernel_are_free_at_once(recorder: Recorder, other: Other) -> None:
    limits.set("db", 2, shared=True)
    other.do("take db 2")
    earlier = Waiter()  # whose listener lingers
    until(waits)
    other.do("give db")
    earlier.let_go.set()
    earlier.join()
    other.do("take db 2")
    waiter = Waiter()
    until(waits)
    os.kill(other.process.pid, signal.SIGKILL)
    assert waiter.has.wait(50)  # its lease lasts longer
    waiter.let_go.set()
    waiter.join()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX are processes stopped")
def test_a_waiter_that_is_killed_does_not_keep_its_turn(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    first = Waiter()
    assert first.has.wait(60)
    other.say("take db 1")
    until(lambda: other.waits(recorder))
    second = Waiter()
    until(waits)
    os.kill(other.process.pid, signal.SIGKILL)
    other.process.wait()
    first.let_go.set()
    assert second.has.wait(60)
    second.let_go.set()
    second.join()


def test_kernels_take_turns(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    first = Waiter()
    assert first.has.wait(60)
    other.say("take db 1")
    until(lambda: other.waits(recorder))
    more = [Waiter() for _ in range(5)]
    until(lambda: waits() == 5)
    first.let_go.set()
    other.answer()  # before the five here
    assert not any(one.has.is_set() for one in more)
    other.do("give db")
    for _ in more:
        until(lambda: any(one.has.is_set() and not one.let_go.is_set() for one in more))
        for one in more:
            if one.has.is_set():
                one.let_go.set()
    for one in more:
        one.join(60)


def test_a_raised_limit_wakes_other_kernels(recorder: Recorder, other: Other) -> None:
    other.do("set db 1")
    other.do("take db 1")
    waiter = Waiter()
    until(waits)
    other.do("set db 2")
    assert waiter.has.wait(60)
    waiter.let_go.set()
    waiter.join()


def test_a_removed_limit_lets_everybody_go_on(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    other.do("take db 1")
    waiter = Waiter()
    until(waits)
    limits.remove("db")
    assert waiter.has.wait(60)
    waiter.let_go.set()
    assert limits.table() == []
    other.do("give db")


def test_rates_count_in_all_kernels(recorder: Recorder, other: Other) -> None:
    limits.set_rate("api", per_second=4, shared=True)
    other.do("pass api")
    begin = time.monotonic()
    rate_limit("api")
    rate_limit("api")
    assert time.monotonic() - begin > 0.3


def test_a_tagged_run_waits_and_says_for_whom(recorder: Recorder, other: Other) -> None:
    limits.set_tag("db", 1, shared=True)
    other.do("take tag:db 1")

    @task(tags=["db"], cache_policy=NO_CACHE)
    def query() -> int:
        return 1

    future = query.submit()
    until(lambda: recorder.of("query") and future.state.name == "AwaitingConcurrencySlot")
    assert future.state.message == (
        f"Waiting for a slot of limit 'tag:db' (1 of 1 in use, by kernel {other.process.pid})."
    )
    other.do("give tag:db")
    assert future.result(timeout=60) == 1
    assert in_use("tag:db") == 0


def test_two_limits_are_taken_together(recorder: Recorder, other: Other) -> None:
    limits.set("a", 1, shared=True)
    limits.set("b", 1, shared=True)
    other.do("take b 1")
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        concurrency(["b", "a"], timeout_seconds=0).__enter__()
    assert in_use("a") == 0  # what it had to let go again
    other.do("give b")
    with concurrency(["b", "a"]):
        assert (in_use("a"), in_use("b")) == (1, 1)
    assert (in_use("a"), in_use("b")) == (0, 0)


def test_an_inner_run_uses_the_slot_of_the_outer_one(recorder: Recorder) -> None:
    limits.set_tag("db", 1, shared=True)

    @task(tags=["db"], cache_policy=NO_CACHE)
    def inner() -> float:
        return in_use("tag:db")

    @task(tags=["db"], cache_policy=NO_CACHE)
    def outer() -> float:
        return inner()

    assert outer() == 1
    assert in_use("tag:db") == 0


def test_a_limit_of_the_kernels_own_counts_instead(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1)
    other.do("set db 1")
    other.do("take db 1")
    with concurrency("db"):
        assert limits.table()[0].shared is False
    limits.set("db", 3, shared=True)
    assert in_use() == 1


def test_a_folder_that_cannot_be_used_is_told(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = recorder.session.limits.shared
    assert shared is not None
    blocked = recorder.session.directory
    assert blocked is not None
    blocked.parent.joinpath("file").write_text("in the way")
    monkeypatch.setattr(shared._table, "path", blocked.parent / "file" / "limits.sqlite")
    with pytest.raises(ConfigurationError, match="Limit 'db' cannot be shared"):
        limits.set("db", 1, shared=True)
    limits.set("db", 1)
    with concurrency("db"):
        assert in_use() == 1


def lose(recorder: Recorder) -> None:
    """Let the leases of this kernel be taken away, as after it has slept for too long."""
    shared = recorder.session.limits.shared
    assert shared is not None
    with sqlite3.connect(shared.bells.with_name("limits.sqlite")) as connection:
        connection.execute("DELETE FROM slots")
    connection.close()
    shared.renew()


def test_a_lost_lease_is_warned_of(recorder: Recorder) -> None:
    limits.set("db", 1, shared=True)
    with concurrency("db"), pytest.warns(CellistWarning, match=r"lost its slot\(s\) of limit 'db'"):
        lose(recorder)


def test_a_lost_lease_ends_the_block_if_asked_to(recorder: Recorder) -> None:
    limits.set("db", 1, shared=True)
    thread = threading.Timer(0.1, lose, [recorder])
    thread.start()

    def work() -> None:
        with concurrency("db", strict=True):
            for _ in range(6000):
                time.sleep(0.01)

    with pytest.raises(ConcurrencySlotAcquisitionError, match="lost its slot"):
        work()
    thread.join()

    async def main() -> None:
        thread = threading.Timer(0.1, lose, [recorder])
        thread.start()
        async with concurrency("db", raise_on_lease_renewal_failure=True):
            await asyncio.sleep(60)
            raise AssertionError

    with pytest.raises(ConcurrencySlotAcquisitionError, match="lost its slot"):
        asyncio.run(main())


def test_leases_are_renewed_while_they_are_held(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    directory = recorder.session.directory
    assert directory is not None

    def lasts() -> float:
        with closing(sqlite3.connect(directory / limit_tables.FILE)) as connection:
            return connection.execute("SELECT until FROM slots").fetchone()[0]

    with concurrency("db", lease_duration=5):
        first = lasts()
        until(lambda: lasts() > first)
        with pytest.raises(AcquireConcurrencySlotTimeoutError):
            concurrency("db", timeout_seconds=0).__enter__()
        assert in_use() == 1


def test_a_full_disk_means_limits_of_this_kernel_with_one_warning(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.set("db", 1, shared=True)

    def full(*_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(LimitTable, "take", full)
        block = concurrency("db")
        with pytest.warns(CellistWarning, match="hold within each of them"):
            block.__enter__()
        with pytest.raises(AcquireConcurrencySlotTimeoutError):  # and no other warning
            concurrency("db", timeout_seconds=0.05).__enter__()
        block.__exit__(None, None, None)
    with concurrency("db"):
        assert in_use() == 1


def test_a_table_that_is_busy_lets_nobody_through(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.set("db", 1, shared=True)

    def busy(*_: Any) -> Any:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with concurrency("db"), monkeypatch.context() as patch:
        patch.setattr(LimitTable, "take", busy)
        with pytest.raises(AcquireConcurrencySlotTimeoutError):
            concurrency("db", timeout_seconds=0.05).__enter__()
    with concurrency("db", timeout_seconds=5):
        assert in_use() == 1


@pytest.mark.parametrize("what", ["take", "give"])
def test_who_needs_only_local_slots_does_not_wait_for_the_table(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    limits.set("abroad", 1, shared=True)
    limits.set("here", 1)
    real, begun, go = getattr(LimitTable, what), threading.Event(), threading.Event()

    def slow(self: LimitTable, *args: Any) -> Any:
        with self._lock:  # as while SQLite is busy
            begun.set()
            assert go.wait(60)
            return real(self, *args)

    def both() -> None:
        with concurrency("abroad"):
            pass

    @task(tags=["here"], cache_policy=NO_CACHE)
    def work() -> int:
        return 1

    limits.set_tag("here", 1)
    monkeypatch.setattr(LimitTable, what, slow)
    waiting = threading.Thread(target=both)
    waiting.start()
    assert begun.wait(60)
    done: list[int] = []

    def local() -> None:
        with concurrency("here"):
            done.append(work())

    other = threading.Thread(target=local)
    other.start()
    other.join(60)
    ended = not other.is_alive()
    go.set()
    waiting.join(60)
    other.join(60)
    assert ended
    assert done == [1]
    assert in_use("abroad") == 0


def test_a_mixed_permit_takes_both_and_gives_both_back(recorder: Recorder) -> None:
    limits.set("abroad", 1, shared=True)
    limits.set("here", 1)
    taken: list[int] = []

    def one(number: int) -> None:
        names = ["here", "abroad"] if number % 3 == 0 else ["here"] if number % 3 == 1 else "abroad"
        for _ in range(5):
            with concurrency(names, timeout_seconds=30):
                taken.append(number)

    threads = [threading.Thread(target=one, args=[number]) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == sorted(5 * list(range(9)))
    assert (in_use("abroad"), in_use("here")) == (0, 0)


def test_a_waiting_run_is_cancelled_at_once_and_loses_its_turn(
    recorder: Recorder, other: Other
) -> None:
    limits.set_tag("db", 1, shared=True)
    other.do("take tag:db 1")

    @task(tags=["db"], cache_policy=NO_CACHE)
    def query() -> int:
        raise AssertionError

    future = query.submit()
    until(lambda: waits("tag:db") == 1)
    cellist.cancel(query)
    future.wait(timeout=60)
    assert future.state.is_cancelled()
    assert waits("tag:db") == 0
    other.do("give tag:db")
    other.do("take tag:db 1")  # nobody is before it


def test_async_code_waits_for_another_kernel(recorder: Recorder, other: Other) -> None:
    limits.set("db", 1, shared=True)
    other.do("take db 1")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, other.say, "give db")
        async with concurrency("db"):
            return in_use()

    assert asyncio.run(main()) == 1
    assert in_use() == 0


def test_a_table_that_could_not_be_written_can_be_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_tables, "_BUSY_SECONDS", 0.05)
    table = LimitTable(tmp_path, FILES)  # as on a network: who writes waits for who reads
    table.define("db", 1, 0.0)
    reader = sqlite3.connect(table.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM limits").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        table.define("db", 2, 0.0)
    reader.close()
    assert table.limits() == {"db": (1, 0)}
    table.define("db", 3, 0.0)
    assert table.limits() == {"db": (3, 0)}
    table.close()


@pytest.mark.parametrize("what", ["made", "changed", "removed"])
def test_what_is_decided_while_another_thread_looks_stands(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever looked before does not put back what was read then."""
    limits.set("other", 1, shared=True)
    if what != "made":
        limits.set("db", 1, shared=True)
    hub: Any = recorder.session.limits.shared
    known = hub.known

    def late() -> Any:
        before = dict(known())
        monkeypatch.setattr(hub, "known", known)
        if what == "removed":
            limits.remove("db")
        else:
            limits.set("db", 5, shared=True)
        return before

    monkeypatch.setattr(hub, "known", late)
    expected = {"other": 1} if what == "removed" else {"db": 5, "other": 1}
    for _ in range(2):
        assert {one.name: one.limit for one in limits.table()} == expected
