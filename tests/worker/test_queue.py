"""The queue by itself: order, claims, leases by a fake clock, dead letters, and a bad file."""

import sqlite3
import time

import pytest

import cellist
from cellist.exceptions import ObjectNotFound, QueueError
from cellist.worker.database import VERSION
from cellist.worker.jobs import Ended, Entry
from cellist.worker.losses import Watch
from cellist.worker.queue import Queue

HERE = ("elsewhere", 1, 1.0)
"""A process of another machine: only its counting tells whether it lives."""


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(queue):
    made = Clock()
    queue.watch = Watch(made)
    return made


def put(queue, number, key="t-1", delivery="at_least_once", most=3, needs=()):
    state = ("SCHEDULED", None, None, time.time_ns())
    about = {"run": f"run {number}"}
    ids = f"{number:032x}"
    entry = (ids, key, "t", delivery, most, f"p{number}", b"payload", [state], about, needs)
    queue.add([Entry(*entry)])
    return ids


def worker(queue, tasks=None):
    return queue.enter("w", HERE, tasks or {"t-1": "t"})


def claim(queue, owner, most=10, keys=("t-1",), **more):
    return queue.exchange(owner, keys=keys, most=most, **more)[0]


def end(queue, owner, job):
    """Acknowledge a run; what came too late."""
    states = [*job.states, ("COMPLETED", None, None, time.time_ns())]
    return queue.exchange(owner, ended=[Ended(job, states, {}, b"outcome")])[1]


class TestOrder:
    def test_the_oldest_of_all_its_tasks_first(self, queue):
        for number, key in enumerate(["t-1", "t-2", "t-1", "t-3", "t-2"]):
            put(queue, number, key)
        found = claim(queue, worker(queue), 3, ("t-2", "t-1"))
        assert [int(job.id, 16) for job in found] == [0, 1, 2]
        assert queue.counts()["queued"] == 2

    def test_one_run_goes_to_one_worker(self, queue):
        for number in range(4):
            put(queue, number)
        first, second = claim(queue, worker(queue), 3), claim(queue, worker(queue), 3)
        assert [len(first), len(second)] == [3, 1]

    def test_what_waits_for_another_run_is_not_claimed_before(self, queue):
        owner = worker(queue)
        before = put(queue, 1)
        put(queue, 2, needs=[before, "no run", before])
        (job,) = claim(queue, owner)
        assert job.id == before
        end(queue, owner, job)
        assert len(claim(queue, owner)) == 1

    def test_what_waits_for_a_run_that_is_cancelled_goes_on(self, queue):
        before = put(queue, 1)
        put(queue, 2, needs=[before])
        queue.cancel(before, "no")
        assert len(claim(queue, worker(queue))) == 1


class TestLeases:
    def test_a_worker_that_counts_keeps_its_runs(self, queue, clock):
        owner = worker(queue)
        put(queue, 1)
        claim(queue, owner)
        for _ in range(10):
            clock.now += 25
            queue.beat(owner)
            assert queue.find_lost(30) == ([], [])

    def test_one_that_was_not_seen_to_count_loses_them(self, queue, clock):
        owner = worker(queue)
        put(queue, 1)
        claim(queue, owner)
        assert queue.find_lost(30) == ([], [])
        clock.now += 31
        ((lost,), owners) = queue.find_lost(30)
        assert owners == [owner]
        assert lost.states[-1][2] == "Worker w went away while it ran. It waits for another worker."
        (job,) = claim(queue, worker(queue))
        assert job.deliveries == 2

    def test_what_it_says_when_it_comes_back_is_not_taken(self, queue, clock):
        owner = worker(queue)
        put(queue, 1)
        (job,) = claim(queue, owner)
        queue.find_lost(30)
        clock.now += 31
        _, owners = queue.find_lost(30)
        queue.forget(owners)
        assert len(end(queue, owner, job)) == 1
        assert queue.beat(owner) is False
        (again,) = claim(queue, worker(queue))
        assert end(queue, owner, again)
        assert queue.counts()["taken"] == 1

    def test_an_older_delivery_to_the_same_worker_is_not_taken(self, queue):
        owner = worker(queue)
        put(queue, 1)
        (job,) = claim(queue, owner)
        queue.release(owner, None, "back", begun=True)
        (again,) = claim(queue, owner)
        assert job.deliveries == again.deliveries == 1  # given back, it was not counted
        assert end(queue, owner, again) == []

    def test_the_wall_clock_does_not_count(self, queue, clock, monkeypatch):
        owner = worker(queue)
        put(queue, 1)
        claim(queue, owner)
        queue.find_lost(30)
        for step in (86_400, -10 * 86_400):
            monkeypatch.setattr(time, "time", lambda step=step: 1.8e9 + step)
            assert queue.find_lost(30) == ([], [])

    def test_until_it_is_forgotten_it_is_found_again(self, queue, clock):
        owner = worker(queue)
        put(queue, 1)
        (job,) = claim(queue, owner)
        end(queue, owner, job)
        queue.find_lost(30)
        clock.now += 31
        for _ in range(2):
            ((found,), owners) = queue.find_lost(30)
            assert (found.status, owners) == ("done", [owner])
        queue.forget(owners)
        assert queue.find_lost(30) == ([], [])

    def test_what_one_that_was_taken_for_dead_claims_meanwhile_is_not_lost(self, queue, clock):
        owner = worker(queue)
        queue.find_lost(30)
        clock.now += 31
        _, owners = queue.find_lost(30)
        put(queue, 1)
        claim(queue, owner)  # it was only slow
        queue.forget(owners)
        assert queue.beat(owner) is True
        clock.now += 31
        _, owners = queue.find_lost(30)
        assert owners == []  # it has counted
        clock.now += 31
        ((lost,), owners) = queue.find_lost(30)
        assert (lost.status, owners) == ("queued", [owner])

    def test_one_that_was_forgotten_claims_nothing(self, queue, clock):
        owner = worker(queue)
        queue.forget([owner])
        run_id = put(queue, 1)
        assert claim(queue, owner) == []
        assert queue.claim_one(owner, run_id) is None
        assert len(claim(queue, worker(queue))) == 1

    @pytest.mark.parametrize("how", ["dies", "leaves"])
    def test_a_run_that_was_to_be_cancelled_is_not_run_again(self, queue, clock, how):
        owner = worker(queue)
        run_id = put(queue, 1)
        claim(queue, owner)
        assert queue.cancel(run_id, "no") == "taken"
        if how == "leaves":
            queue.leave(owner)
        else:
            queue.find_lost(30)
            clock.now += 31
            queue.find_lost(30)
        job = queue.find(run_id)
        assert (job.status, job.states[-1][0]) == ("done", "CANCELLED")
        assert claim(queue, worker(queue)) == []


class TestDeadLetters:
    def lose(self, queue, clock):
        queue.find_lost(30)
        clock.now += 31
        lost, owners = queue.find_lost(30)
        queue.forget(owners)
        return lost

    @pytest.mark.parametrize(
        ("delivery", "most", "times", "says"),
        [
            ("at_most_once", 5, 1, "delivered at most once"),
            ("at_least_once", 1, 1, "delivery 1 of 1"),
            ("at_least_once", 3, 3, "delivery 3 of 3"),
        ],
    )
    def test_after_so_many_deliveries(self, queue, clock, delivery, most, times, says):
        put(queue, 1, delivery=delivery, most=most)
        for _ in range(times):
            assert claim(queue, worker(queue))
            lost = self.lose(queue, clock)
        assert lost[-1].status == "dead"
        assert says in lost[-1].states[-1][2]
        assert claim(queue, worker(queue)) == []

    def test_are_listed_and_queued_again(self, queue):
        owner = worker(queue)
        run_id = put(queue, 1)
        (job,) = claim(queue, owner)
        queue.bury(owner, job, "it cannot be read")
        frame = cellist.queue.dead()
        assert list(frame["why"]) == ["it cannot be read"]
        assert "1 dead" in repr(cellist.queue)
        (future,) = cellist.queue.requeue()
        assert future.task_run_id.hex == run_id
        assert future.state.is_scheduled()
        assert claim(queue, owner)[0].deliveries == 1
        assert queue.payload("p1") == b"payload"

    def test_only_dead_letters_are(self, queue):
        run_id = put(queue, 1)
        with pytest.raises(ObjectNotFound, match="is no dead letter"):
            cellist.queue.requeue(run_id)
        assert cellist.queue.remove(run_id) == 0

    def test_a_run_of_another_worker_is_not_made_one(self, queue):
        first, second = worker(queue), worker(queue)
        run_id = put(queue, 1)
        put(queue, 2, needs=[run_id])
        (job,) = claim(queue, first)
        queue.release(first, None, "back", begun=False)
        claim(queue, second)
        assert queue.bury(first, job, "no") is None
        assert queue.find(run_id).status == "taken"
        assert claim(queue, second) == []

    def test_are_removed(self, queue):
        owner = worker(queue)
        put(queue, 1)
        queue.bury(owner, claim(queue, owner)[0], "no")
        assert cellist.queue.remove() == 1
        assert sum(queue.counts().values()) == 0
        assert queue.payload("p1") is None


class TestTheFile:
    def test_a_damaged_one_is_moved_aside_and_named(self, queue):
        put(queue, 1)
        path = queue.path
        queue.close()
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(b"no database" * 1000)
        with pytest.raises(QueueError, match=r"is damaged .* moved to queue\.sqlite\.corrupt-"):
            put(queue, 2)
        put(queue, 3)
        assert queue.counts()["queued"] == 1

    def test_one_of_a_newer_version_is_left_alone(self, queue):
        put(queue, 1)
        queue.close()
        with sqlite3.connect(queue.path) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.close()
        with pytest.raises(QueueError, match="newer version of cellist"):
            put(queue, 2)

    def test_one_that_was_deleted_is_made_again(self, queue):
        put(queue, 1)
        for part in queue.path.parent.glob("queue.sqlite*"):
            part.unlink()
        put(queue, 2)
        assert queue.counts()["queued"] == 1

    def test_a_full_disk_loses_nothing_that_was_queued(self, queue):
        owner = worker(queue)
        for number in range(3):
            put(queue, number)
        (job, *_) = claim(queue, owner)
        with queue.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
        ended = Ended(job, job.states, {}, b"x" * 100_000)
        with pytest.raises(QueueError, match="full"):
            queue.exchange(owner, ended=[ended])
        with pytest.raises(QueueError, match="full"):
            queue.add(
                [Entry("9" * 32, "t-1", "t", "at_least_once", 1, "p", b"x" * 100_000, [], {})]
            )
        assert queue.counts() == {"queued": 0, "taken": 3, "done": 0, "dead": 0}
        with queue.reading() as connection:
            connection.execute("PRAGMA max_page_count = 1000000")
        assert queue.exchange(owner, ended=[ended])[1] == []
        assert queue.counts()["done"] == 1

    def test_what_ended_long_ago_is_forgotten(self, queue, monkeypatch):
        owner = worker(queue)
        put(queue, 1)
        end(queue, owner, claim(queue, owner)[0])
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 8 * 86_400)
        worker(queue)
        assert sum(queue.counts().values()) == 0


def test_another_connection_sees_that_something_changed(queue):
    other = Queue(queue.path)
    other.has_changed()
    assert other.has_changed() is False
    put(queue, 1)
    assert other.has_changed() is True
    assert other.has_changed() is False
    other.close()
