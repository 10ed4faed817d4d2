"""`cellist.progress`: what loops count for the run they are in, and what it costs."""

import asyncio
import threading
import time

import pytest

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.model.events import RunUpdated
from tests.sessions import WAYS, as_task, outcome


def glances(run):
    return run.progress.look(run.attempts) if run.progress is not None else []


@pytest.mark.parametrize("way", WAYS)
def test_a_run_knows_how_far_its_loop_is(way, recorder):
    seen = []

    def work():
        for number in cellist.progress(range(5), description="numbers"):
            seen.append(glances(recorder.runs[0])[0].done)
            assert number == seen[-1]

    outcome(way, as_task(way, work))
    assert seen == [0, 1, 2, 3, 4]
    (last,) = glances(recorder.runs[0])
    assert (last.description, last.done, last.total, last.is_over) == ("numbers", 5, 5, True)


def test_there_is_one_event_for_a_million_items(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        return sum(1 for _ in cellist.progress(range(1_000_000)))

    assert work() == 1_000_000
    assert sum(isinstance(event, RunUpdated) and event.what == "progress"
               for event in recorder.events) == 1  # fmt: skip


def test_a_generator_has_no_total(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        return list(cellist.progress(number for number in range(3)))

    assert work() == [0, 1, 2]
    (last,) = glances(recorder.one("work"))
    assert (last.done, last.total, last.share) == (3, None, None)


def test_nested_loops_are_both_shown(recorder):
    seen = []

    @task(cache_policy=NO_CACHE)
    def work():
        for _ in cellist.progress(range(2), description="outer"):
            for _ in cellist.progress(range(3), description="inner"):
                shown = [one.description for one in glances(recorder.one("work"))]
                seen.append(shown)

    work()
    assert seen == [["outer", "inner"]] * 6


def test_the_tasks_of_a_flow_count_each_for_itself_and_the_flow_too(recorder):
    @task(cache_policy=NO_CACHE)
    def work(number):
        for _ in cellist.progress(range(number)):
            pass

    @flow
    def whole():
        for future in cellist.progress(work.map([1, 2, 3]).copy()):
            future.wait()

    whole()
    assert sorted(glances(run)[0].done for run in recorder.of("work")) == [1, 2, 3]
    assert glances(recorder.one("whole"))[0].done == 3


def test_async_loops_count(recorder):
    async def numbers():
        for number in range(4):
            await asyncio.sleep(0)
            yield number

    @task(cache_policy=NO_CACHE)
    async def work():
        return [number async for number in cellist.progress(numbers(), total=4)]

    assert asyncio.run(work()) == [0, 1, 2, 3]
    assert glances(recorder.one("work"))[0].done == 4


def test_a_loop_left_early_is_over_where_it_was(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        for number in cellist.progress(range(10)):
            if number == 4:
                break

    work()
    (last,) = glances(recorder.one("work"))
    assert (last.done, last.is_over) == (4, True)


def test_a_retry_begins_anew(recorder):
    seen = []

    @task(retries=1, cache_policy=NO_CACHE)
    def work():
        run = recorder.one("work")
        for number in cellist.progress(range(10)):
            seen.append([one.done for one in glances(run)])
            if number == 2 and run.attempts == 1:
                raise ValueError

    work()
    assert seen == [[0], [1], [2], *([number] for number in range(10))]


def test_updates_from_several_threads_all_count(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        with cellist.progress(total=40_000, unit="B") as bar:
            threads = [
                threading.Thread(target=lambda: [bar.update() for _ in range(10_000)])
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            bar.description = "all"
            return bar.done

    assert work() == 40_000
    (last,) = glances(recorder.one("work"))
    assert (last.description, last.unit, last.share) == ("all", "B", 1.0)


def test_outside_runs_nothing_stands_between():
    numbers = [1, 2, 3]
    assert type(iter(cellist.progress(numbers))) is type(iter(numbers))
    assert len(cellist.progress(numbers)) == 3
    with cellist.progress(total=2) as bar:
        bar.update(2)
    assert bar.done == 2


def test_what_cannot_be_iterated_over_is_refused():
    with pytest.raises(TypeError, match="given a int, which cannot be iterated over"):
        cellist.progress(3)  # pyright: ignore[reportCallIssue, reportArgumentType] - the mistake


def test_a_broken_length_is_no_length(recorder):
    class Odd:
        def __len__(self):
            raise RuntimeError

        def __iter__(self):
            return iter([1])

    @task(cache_policy=NO_CACHE)
    def work():
        return [number for number in cellist.progress(Odd())]  # noqa: C416 - list() asks for it

    assert work() == [1]


def test_a_task_that_counts_is_cached_like_another(recorder):
    @task
    def work(number):
        return sum(cellist.progress(range(number)))

    assert work(4) == work(4) == 6
    assert [run.state_name for run in recorder.of("work")] == ["Completed", "Cached"]


def test_an_item_costs_less_than_a_microsecond(recorder):
    items = range(200_000)

    @task(cache_policy=NO_CACHE)
    def work(loop):
        begin = time.thread_time()
        for _ in loop(items):
            pass
        return (time.thread_time() - begin) / len(items)

    plain = min(work(iter) for _ in range(3))
    ours = min(work(cellist.progress) for _ in range(3))
    assert ours - plain < 1e-6
