"""A failure in an attempt that its flow has retried does not count as one."""

import pytest

from cellist import flow, task
from cellist.board.view import View
from cellist.cache_policies import NO_CACHE
from cellist.model.events import Event
from tests.sessions import Recorder


@pytest.mark.parametrize("at_once", [True, False])
def test_failures_of_an_earlier_attempt_do_not_count(at_once: bool, recorder: Recorder) -> None:
    left = [2]

    @task(cache_policy=NO_CACHE)
    def work(x: int) -> int:
        if left[0]:
            left[0] -= 1
            raise ValueError(x)
        return x

    @flow
    def inner() -> int:
        return work(1)

    @flow(retries=2)
    def crawl() -> int:
        return inner()

    view = View("crawl")

    def follow(event: Event) -> None:
        view.apply(event)
        if not at_once:
            view.read()

    recorder.session.sinks.append(follow)
    crawl()
    view.read()
    assert {look: n for look, n in view.counts.items() if n} == {"superseded": 2, "completed": 1}
    assert "failed" not in str(view.header()["sentence"])
    group = view.rows[recorder.of("work")[0].number].group
    assert group.look == "completed"


def test_failures_of_the_last_attempt_count(recorder: Recorder) -> None:
    @task(cache_policy=NO_CACHE)
    def work() -> None:
        raise ValueError

    @flow(retries=1)
    def crawl() -> None:
        work()

    crawl(return_state=True)
    view = View("crawl")
    view.apply_all(recorder.events)
    view.read()
    assert {look: n for look, n in view.counts.items() if n} == {"superseded": 1, "failed": 1}
