"""The line that tells what goes on, and what took long."""

import pytest

from cellist.board.glance import at_a_glance
from cellist.board.view import View
from cellist.model.progress import Bar, begin
from cellist.model.reasons import Change, Reason
from cellist.model.states import COMPLETED
from tests.board.fakes import Story


@pytest.fixture
def view():
    return View("crawl")


@pytest.fixture
def story(view):
    return Story(view.apply)


def told(view):
    return view.snapshot()["header"]["note"]


def test_what_goes_on_is_named_with_how_many(view, story):
    flow = story.begin(story.flow(), 0)
    assert told(view) is None, "the flow itself is in the title"
    for name, number in (("embed", 3), ("vocabulary", 1)):
        for _ in range(number):
            story.begin(story.task(name, flow), 1)
    story.complete(story.task("fetch", flow), 0, 1)
    assert told(view) == "now: embed ×3, vocabulary"
    for name in ("a", "b", "c", "d"):
        story.begin(story.task(name, flow), 1)
    assert told(view) == "now: embed ×3, vocabulary, a, b and 2 other tasks"


def test_how_far_loops_are_is_told_of_all_runs_of_a_group(view, story):
    flow = story.begin(story.flow(), 0)
    for done in (20, 60):
        run = story.begin(story.task("embed", flow), 1)
        bar = Bar(100)
        begin(run, bar)
        bar.done = done
    story.begin(story.task("vocabulary", flow), 1)
    assert told(view) == "now: embed ×2 (20–60%), vocabulary"


def test_at_the_end_the_longest_are_named_and_not_the_short_ones(view, story):
    flow = story.begin(story.flow(), 0)
    for name, seconds in (("fetch", 8), ("clean", 0.5), ("embed", 3)):
        story.complete(story.task(name, flow), 1, 1 + seconds)
    story.enter(flow, 12, COMPLETED)
    assert told(view) == "longest: fetch 8.0 s, embed 3.0 s"


def test_what_was_quick_or_alone_needs_no_such_line(view, story):
    flow = story.begin(story.flow(), 0)
    story.complete(story.task("fetch", flow), 0, 5)
    story.enter(flow, 6, COMPLETED)
    assert told(view) is None
    assert at_a_glance([], [], is_over=True) is None


def test_where_all_was_reused_it_says_so(view, story):
    flow = story.begin(story.flow(), 0)
    for name in ("fetch", "clean"):
        story.complete(story.task(name, flow), 0, 0, "Cached")
    story.enter(flow, 1, COMPLETED)
    assert told(view) == "nothing had to run"


def ran(name: str, before: str, after: str) -> Reason:
    change = Change("argument", name, before, after, f"argument `{name}`: {before} → {after}")
    return Reason("miss", "changed", f"ran: {change.summary}", (change,))


def test_where_some_was_reused_it_says_what_had_to_run_first_and_why(view, story):
    flow = story.begin(story.flow(), 0)
    for name, why in (("load", None), ("clean", ran("n", "1", "2")), ("sum", ran("x", "3", "4"))):
        run = story.task(name, flow)
        run.why = why or Reason("hit", "reused", "reused from 14:02, saved 2.0 s", saved=2.0)
        story.complete(run, 0, 1, None if why else "Cached")
    story.enter(flow, 5, COMPLETED)
    assert told(view) == "clean ran: argument `n`: 1 → 2"


def test_reasons_that_differ_in_values_only_are_one_and_what_ran_comes_first(view, story):
    flow = story.begin(story.flow(), 0)
    hit = Reason("hit", "reused", "reused from 14:02, saved 2.0 s", saved=2.0)
    for n in range(5):
        run = story.task("clean", flow)
        run.why = hit if n < 3 else ran("n", str(n), str(n + 1))
        story.complete(run, 0, 1, "Cached" if n < 3 else None)
    view.read()
    group = next(one for one in view.groups if one.name == "clean")
    assert group.why == "ran: argument `n` changed (×2); reused, saved 6.0 s (×3)"
    assert group.ran_because == "ran: argument `n` changed (×2)"
