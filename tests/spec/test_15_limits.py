"""SPEC 15: limits on how many runs of a tag go on at once (Q26, Q27)."""

import threading
import time
from typing import Any

import pytest

import cellist
from cellist import flow, limits, tags, task
from cellist.cache_policies import NO_CACHE


class Gauge:
    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def task(
        self, seconds: float = 0.02, together: threading.Barrier | None = None, **options: Any
    ) -> Any:
        @task(cache_policy=NO_CACHE, **options)
        def t(i: int = 0) -> int:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            if together is not None:
                together.wait()
            time.sleep(seconds)
            with self.lock:
                self.now -= 1
            return i

        return t


class TestTags:
    @pytest.mark.parametrize("limit", [1, 2])
    def test_no_more_than_the_limit(self, limit: int) -> None:
        limits.set("tag:db", limit)
        gauge = Gauge()

        @flow
        def f() -> Any:
            together = threading.Barrier(limit, timeout=60)
            return gauge.task(together=together, tags=["db"]).map(range(6)).result()

        assert f() == list(range(6))
        assert gauge.most == limit

    def test_wakes_at_once(self) -> None:
        limits.set("tag:db", 1)
        began = time.monotonic()
        Gauge().task(0.01, tags=["db"]).map(range(10)).result()
        assert time.monotonic() - began < 25  # each would wait 30 s, were it not woken

    def test_tags_of_the_context_count(self) -> None:
        limits.set("tag:db", 1)
        gauge = Gauge()
        with tags("db"):
            gauge.task().map(range(3)).result()
        assert gauge.most == 1

    def test_tags_without_a_limit_are_free(self) -> None:
        gauge = Gauge()
        barrier = threading.Barrier(3, timeout=60)

        @task(tags=["free"], cache_policy=NO_CACHE)
        def t(i: int) -> None:
            barrier.wait()

        t.map(range(3)).result()
        assert gauge.most == 0

    def test_all_tags_or_wait(self) -> None:
        limits.set("tag:a", 1)
        limits.set("tag:b", 3)
        gauge = Gauge()
        gauge.task(tags=["a", "b"]).map(range(4)).result()
        assert gauge.most == 1

    def test_slots_come_back_after_failures(self) -> None:
        limits.set("tag:db", 1)

        @task(tags=["db"], cache_policy=NO_CACHE)
        def bad(i: int) -> None:
            raise ValueError

        futures = bad.map(range(3))
        futures.wait(timeout=60)
        assert all(future.state.is_failed() for future in futures)

    def test_waiting_holds_no_thread(self) -> None:
        limits.set("tag:db", 1)
        gate = threading.Event()

        @task(tags=["db"], cache_policy=NO_CACHE)
        def held(i: int) -> None:
            assert gate.wait(60)

        @task(cache_policy=NO_CACHE)
        def opener() -> None:
            gate.set()

        @flow(task_runner=cellist.task_runners.ThreadPoolTaskRunner(max_workers=2))
        def f() -> None:
            held.map(range(3))
            opener.submit()

        f()
