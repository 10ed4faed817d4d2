"""How far loops are: what is counted, how fast, and what is left."""

import threading

import pytest

from cellist.model.progress import Bar, Bars, begin
from cellist.model.runs import TaskRun
from tests.board.fakes import Definition


@pytest.mark.parametrize(
    ("done", "total", "share"),
    [(0, 10, 0.0), (5, 10, 0.5), (10, 10, 1.0), (11, 10, None), (5, None, None), (0, 0, None)],
)
def test_a_share_is_known_only_where_the_whole_is(done, total, share):
    bar = Bar(total)
    bar.done = done
    assert bar.look().share == share


def test_rate_and_time_left_follow_the_last_seconds():
    bar = Bar(1000)
    begin = bar.began
    for second in range(1, 61):
        bar.done = second * 10
        bar.look(begin + second)
    assert bar.look(begin + 60).rate == pytest.approx(10, rel=0.1)
    for second in range(61, 101):
        bar.done += 1
        slow = bar.look(begin + second)
    assert slow.rate == pytest.approx(1, rel=0.1)
    assert slow.left == pytest.approx(1000 - bar.done, rel=0.1)


def test_a_loop_that_has_not_moved_has_no_rate():
    bar = Bar(10)
    glance = bar.look(bar.began + 5)
    assert (glance.rate, glance.left, glance.elapsed) == (None, None, 5)


def test_a_loop_that_is_over_has_its_mean_rate_and_nothing_left():
    bar = Bar(10)
    bar.done = 4
    bar.began -= 2
    bar.end()
    glance = bar.look(bar.began + 1000)
    assert glance.rate == pytest.approx(2, rel=0.1)
    assert glance.left is None
    assert glance.is_over


def test_inner_loops_come_and_go_and_the_outermost_stays():
    bars = Bars()
    outer, first, second = Bar(3, "outer"), Bar(5, "first"), Bar(5, "second")
    bars.begin(outer, 1)
    bars.begin(first, 1)
    assert [one.description for one in bars.look(1)] == ["outer", "first"]
    bars.end(first)
    bars.begin(second, 1)
    assert [one.description for one in bars.look(1)] == ["outer", "second"]
    bars.end(second)
    bars.end(outer)
    assert [one.description for one in bars.look(1)] == ["outer"]


def test_a_new_attempt_begins_with_none():
    bars = Bars()
    bars.begin(Bar(3, "left open by an error"), 1)
    assert bars.look(2) == []
    bars.begin(Bar(3, "again"), 2)
    assert [one.description for one in bars.look(2)] == ["again"]


def test_a_run_tells_once_however_many_loops_it_has():
    events = []
    run = TaskRun(Definition("t"), None, None, [events.append], frozenset())
    threads = [
        threading.Thread(target=lambda: [begin(run, Bar(1)) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.what for event in events] == ["progress"]
    assert len(run.progress.look(0)) <= 20
