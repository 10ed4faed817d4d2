"""Whose turn it is across processes: locks that were asked for, and leases by default."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cellist import task
from cellist.cache_policies import INPUTS
from cellist.caching.leases import FileSystemLockManager
from cellist.engine.commands import Ok
from cellist.engine.promise import Latch
from cellist.locking.memory import MemoryLockManager
from cellist.model.isolation import IsolationLevel
from cellist.results import ResultStore
from cellist.session import CellistWarning, Session, use_session
from tests.sessions import WAYS, Recorder, as_task, final_state

SECONDS = 60

PROGRAM = """
import os, sys, time
from pathlib import Path
from cellist import task
from cellist.cache_policies import INPUTS, DEFAULT
from cellist.locking.filesystem import FileSystemLockManager
from cellist.model.isolation import IsolationLevel

log = Path(sys.argv[1])
attempt = FileSystemLockManager.attempt

def noted(self, *arguments, **options):
    other = attempt(self, *arguments, **options)
    if other is not None:
        (log / f"waits-{{os.getpid()}}").touch()
    return other

FileSystemLockManager.attempt = noted
locked = DEFAULT.configure(
    isolation_level=IsolationLevel.SERIALIZABLE,
    lock_manager=FileSystemLockManager(log / "locks"),
)
policies = {{"default": DEFAULT, "locked": locked}}

@task(name="slow", cache_policy=policies["{policy}"], {options})
def slow(n):
    (log / f"ran-{{time.time_ns()}}").touch()
    deadline = time.monotonic() + 60
    while not (log / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return n + 1

(log / f"ready-{{time.time_ns()}}").touch()
while not (log / "start").exists():
    time.sleep(0.002)
state = slow(1, return_state=True)
print(state.name, state.result(), state.why, sep="|")
"""


def begin(program: str, log: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", program, str(log)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def count(log: Path, what: str) -> int:
    return len(list(log.glob(f"{what}-*")))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["default", "locked"])
def test_two_processes_compute_once(tmp_path: Path, policy: str) -> None:
    program = PROGRAM.format(policy=policy, options="")
    processes = [begin(program, tmp_path) for _ in range(3)]
    eventually(lambda: count(tmp_path, "ready") == 3)
    (tmp_path / "start").touch()
    eventually(lambda: count(tmp_path, "ran"))
    eventually(lambda: count(tmp_path, "waits") + count(tmp_path, "ran") >= 3)
    (tmp_path / "go").touch()
    answers = [process.communicate(timeout=SECONDS) for process in processes]
    assert [error for _, error in answers] == [""] * 3
    lines = sorted(line.strip().split("|") for line, _ in answers)
    assert [line[:2] for line in lines] == [["Cached", "2"]] * 2 + [["Completed", "2"]]
    assert count(tmp_path, "ran") == 1
    for line in lines[:2]:
        assert line[2].startswith("reused: computed at the same time by another kernel (process ")


@pytest.mark.slow
def test_a_holder_that_dies_lets_the_next_one_compute(tmp_path: Path) -> None:
    program = PROGRAM.format(policy="default", options="")
    (tmp_path / "start").touch()
    first = begin(program, tmp_path)
    eventually(lambda: count(tmp_path, "ran") == 1)
    second = begin(program, tmp_path)
    eventually(lambda: count(tmp_path, "ready") == 2)
    time.sleep(0.1)
    assert count(tmp_path, "ran") == 1
    first.kill()
    first.communicate()
    eventually(lambda: count(tmp_path, "ran") == 2)
    (tmp_path / "go").touch()
    line, error = second.communicate(timeout=SECONDS)
    assert (line.split("|")[0], error) == ("Completed", "")


# In one process, with leases and locks held by hand


def constant(key: str = "k", **configuration: Any) -> Any:
    policy = INPUTS.from_cache_key_fn(lambda context, parameters: key)
    return policy.configure(**configuration)


@pytest.fixture
def elsewhere(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> FileSystemLockManager:
    """Locks of the session's store as another process would hold them."""
    directory = recorder.session.store.directory
    monkeypatch.setattr("cellist.caching.leases.Lease.is_above", False)
    return FileSystemLockManager(directory)


@pytest.mark.parametrize("way", WAYS)
def test_a_lease_held_elsewhere_is_waited_for(
    way: str, recorder: Recorder, elsewhere: FileSystemLockManager
) -> None:
    calls: list[int] = []

    def work(n: int) -> int:
        calls.append(n)
        return n

    t = as_task(way, work, name="t", cache_policy=constant())
    elsewhere.acquire_lock("k", "other")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(final_state(way, t, 1)))
    thread.start()
    eventually(lambda: recorder.session.cache.flights.up)
    (flight,) = recorder.session.cache.flights.up.values()
    eventually(lambda: flight.pause > 0)
    assert calls == []
    header: Any = {"key": "k", "task": "t", "task_key": "", "created": time.time(), "seconds": 1.0}
    recorder.session.store.put("k", 7, header, durable=True)
    elsewhere.release_lock("k", "other")
    thread.join(SECONDS)
    assert (found[0].name, found[0].result(), calls) == ("Cached", 7, [])
    assert "another kernel (process" in str(found[0].why)


def test_a_waiting_run_can_be_cancelled(
    recorder: Recorder, elsewhere: FileSystemLockManager
) -> None:
    t = task(lambda n: n, name="t", cache_policy=constant())
    elsewhere.acquire_lock("k", "other")
    future = t.submit(1)
    eventually(lambda: recorder.session.cache.flights.up)
    future.cancel()
    assert future.wait(SECONDS) is None
    assert future.state.name == "Cancelled"
    assert recorder.session.cache.flights.up == {}
    elsewhere.release_lock("k", "other")


def test_who_holds_a_lease_does_not_wait_for_another(
    recorder: Recorder, elsewhere: FileSystemLockManager
) -> None:
    elsewhere.acquire_lock("inner", "other")
    inner = task(lambda n: n, name="inner", cache_policy=constant("inner"))
    outer = task(lambda n: inner(n + 0), name="outer", cache_policy=constant("outer"))
    assert outer(5) == 5  # the other process may be waiting for `outer`
    assert elsewhere.is_lock_holder("inner", "other")
    assert not elsewhere.is_locked("outer")


def test_the_process_that_started_this_one_is_not_waited_for(recorder: Recorder) -> None:
    locks = recorder.session.stores.locks_of(recorder.session.store)
    locks.acquire_lock("k", "the run that called us")
    assert task(lambda n: n, name="t", cache_policy=constant())(5) == 5


def test_quick_tasks_take_no_lease(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    attempt = FileSystemLockManager.attempt

    def counting(self: Any, key: str, holder: str, hold_timeout: float | None = None) -> Any:
        taken.append(key)
        return attempt(self, key, holder, hold_timeout)

    monkeypatch.setattr(FileSystemLockManager, "attempt", counting)
    t = task(lambda n: n, name="t", cache_policy=INPUTS)
    t(1)
    assert len(taken) == 1  # nothing is known of it yet
    t(2)
    t(3)
    assert len(taken) == 1
    slow = task(lambda n: time.sleep(0.06) or n, name="s", cache_policy=INPUTS)
    slow.fn.__qualname__ = "slow"
    slow = slow.with_options()
    slow(1)
    slow(2)
    assert len(taken) == 3


@pytest.mark.parametrize("manager", ["default", "memory", "filesystem"])
def test_serializable(recorder: Recorder, tmp_path: Path, manager: str) -> None:
    given = {
        "default": None,
        "memory": MemoryLockManager(),
        "filesystem": FileSystemLockManager(tmp_path / "locks"),
    }[manager]
    calls: list[int] = []
    inside, go = threading.Event(), threading.Event()

    def work(n: int) -> int:
        calls.append(n)
        inside.set()
        assert go.wait(SECONDS)
        return n

    level = IsolationLevel.SERIALIZABLE
    policy = constant(f"key {manager}", isolation_level=level, lock_manager=given)
    t = task(work, name="t", cache_policy=policy)
    store = ResultStore(lock_manager=given)
    futures = [t.submit(1) for _ in range(4)]
    assert inside.wait(SECONDS)
    assert store.is_locked(f"key {manager}")
    go.set()
    assert [future.result(timeout=SECONDS) for future in futures] == [1] * 4
    names = sorted(future.state.name for future in futures)
    assert names == ["Cached"] * 3 + ["Completed"]
    assert len(calls) == 1
    assert not store.is_locked(f"key {manager}")
    with use_session(Session(recorder.session.directory)):  # it was on disk before the release
        assert t(1, return_state=True).name == "Cached"


def test_serializable_waits_for_a_lock_taken_by_hand(recorder: Recorder) -> None:
    policy = constant(isolation_level=IsolationLevel.SERIALIZABLE)
    t = task(lambda n: n, name="t", cache_policy=policy)
    store = ResultStore()
    store.acquire_lock("k", holder="by hand")
    future = t.submit(1)
    eventually(lambda: recorder.session.cache.flights.up)
    (flight,) = recorder.session.cache.flights.up.values()
    eventually(lambda: flight.pause > 0)
    store.write("by hand", key="k", holder="by hand")
    store.release_lock("k", "by hand")
    assert future.result(timeout=SECONDS) == "by hand"


def test_recursion_with_a_lock_held(recorder: Recorder) -> None:
    policy = constant(isolation_level=IsolationLevel.SERIALIZABLE)

    def work(n: int) -> int:
        return n if n == 0 else t(n - 1)

    t = task(work, name="t", cache_policy=policy)
    assert t(3) == 0


@pytest.mark.parametrize("fault", ["acquire_lock", "release_lock"])
def test_a_broken_lock_manager_is_one_warning(recorder: Recorder, fault: str) -> None:
    class Broken(MemoryLockManager):
        def __new__(cls) -> Any:
            return object.__new__(cls)

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise OSError("no locks today")

    setattr(Broken, fault, broken)
    policy = constant("broken", isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=Broken())
    t = task(lambda n: n, name="t", cache_policy=policy, refresh_cache=True)
    with pytest.warns(CellistWarning, match="no locks today"):
        assert t(1) == 1
    if fault == "acquire_lock":
        assert t(2) == 2  # said once


def test_leases_that_cannot_be_taken_are_one_warning(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("read-only")

    monkeypatch.setattr(FileSystemLockManager, "attempt", broken)
    with pytest.warns(CellistWarning, match="read-only"):
        assert task(lambda n: n, name="t", cache_policy=INPUTS)(1) == 1


def test_who_waits_here_with_a_lease_stops_when_the_holder_waits_abroad(
    recorder: Recorder, elsewhere: FileSystemLockManager
) -> None:
    """The other process holds `inner` and may be waiting for `outer`, whose lease we have."""
    elsewhere.acquire_lock("inner", "other")
    looked = threading.Event()
    go = threading.Event()
    inner = task(lambda n: n, name="inner", cache_policy=constant("inner"))

    def work(n: int) -> int:
        looked.set()
        assert go.wait(SECONDS)
        return inner(n)

    outer = task(work, name="outer", cache_policy=constant("outer"))
    nested = outer.submit(5)
    assert looked.wait(SECONDS)
    top = inner.submit(6)  # holds no lease, so it waits for the other process
    eventually(lambda: any(f.pause for f in recorder.session.cache.flights.up.values()))
    go.set()
    assert nested.result(timeout=SECONDS) == 5
    elsewhere.release_lock("inner", "other")
    assert top.result(timeout=SECONDS) in {5, 6}


def test_those_that_wait_already_are_told(recorder: Recorder) -> None:
    flights = recorder.session.cache.flights
    inside, go = threading.Event(), threading.Event()

    def slow(n: int) -> int:
        if n:
            inside.set()
            assert go.wait(SECONDS)
        return n

    inner = task(slow, name="inner", cache_policy=constant("inner"))
    outer = task(lambda n: inner(0), name="outer", cache_policy=constant("outer"))
    top = inner.submit(1)
    assert inside.wait(SECONDS)
    nested = outer.submit(1)
    (flight,) = [one for one in list(flights.up.values()) if one.ident == "inner"]
    eventually(lambda: flight.tickets)
    flights.turn_abroad(flight)
    assert nested.result(timeout=SECONDS) == 0
    go.set()
    assert top.result(timeout=SECONDS) == 1


@pytest.mark.parametrize("method", ["attempt", "release_lock"])
def test_an_interrupt_as_a_lock_is_taken_or_given_back_keeps_nobody_waiting(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The lock is taken, or given back, but the interrupt is raised before anything is noted."""
    done = getattr(FileSystemLockManager, method)
    pressed: list[bool] = []

    def interrupted(self: Any, *args: Any) -> Any:
        found = done(self, *args)
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(FileSystemLockManager, method, interrupted)

    @task(cache_policy=INPUTS)
    def work(n: int) -> int:
        return n

    with pytest.raises(KeyboardInterrupt):
        work(1)
    assert recorder.session.cache.flights.up == {}
    assert recorder.session.stores.locks_of(recorder.session.store)._held == set()
    assert work.submit(1).result(timeout=SECONDS) == 1


@pytest.mark.parametrize("method", ["leave", "land"])
def test_an_interrupt_as_a_flight_ends_keeps_nobody_waiting(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Its run has left it already, or it is not in the air any more, but nobody was told."""
    flights = recorder.session.cache.flights
    done = getattr(flights, method)
    pressed: list[bool] = []

    def interrupted(*args: Any) -> Any:
        found = done(*args)
        if not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(flights, method, interrupted)

    @task(cache_policy=INPUTS)
    def work(n: int) -> int:
        return n

    with pytest.raises(KeyboardInterrupt):
        work(1)
    assert flights.up == {}
    assert recorder.session.stores.locks_of(recorder.session.store)._held == set()
    assert work.submit(1).result(timeout=SECONDS) == 1


def test_an_interrupt_as_waiters_are_woken_keeps_none_of_them_waiting() -> None:
    latch, woken = Latch(), threading.Event()

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    latch.on_settled(interrupted)
    latch.on_settled(lambda _: woken.set())
    with pytest.raises(KeyboardInterrupt):
        latch.settle(Ok(1))
    assert woken.is_set()
