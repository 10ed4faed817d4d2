"""What becomes of a click: it is checked, handed over, and answered in one sentence."""

import pytest

from cellist.board.clicks import answer
from cellist.board.view import View
from cellist.model.states import RUNNING
from tests.board.fakes import Story


class Clicked:
    """A view of some runs, and what was asked of them."""

    def __init__(self):
        self.view = View("crawl")
        self.story = Story(self.view.apply)
        self.asked: list[tuple[str, str]] = []
        self.fault: Exception | None = None

    def control(self, action, run):
        if self.fault is not None:
            raise self.fault
        self.asked.append((action, run))
        return f"{action} it is."

    def say(self, **message):
        self.view.read()
        return answer(message, self.view, self.control)


@pytest.fixture
def clicked():
    return Clicked()


def number(run):
    return f"{run.number:032x}"


def test_a_run_is_acted_on(clicked):
    run = clicked.story.begin(clicked.story.task("fetch"), 0)
    assert clicked.say(action="cancel", run=number(run)) == "cancel it is."
    assert clicked.asked == [("cancel", number(run))]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, "This command is not known."),
        ({"action": "explode", "run": "ab"}, "This command is not known."),
        ({"action": ["cancel"], "run": "ab"}, "This command is not known."),
        ({"action": "cancel", "run": "ab" * 16}, "This run is over."),
        ({"action": "cancel", "run": "<b>"}, "This run is over."),
        ({"action": "cancel", "run": 7}, "This run is over."),
        ({"action": "cancel", "group": 99}, "This run is over."),
        ({"action": "cancel", "group": -1}, "This run is over."),
        ({"action": "retry_failed", "run": None}, "This run is not known."),
    ],
)
def test_what_makes_no_sense_is_answered_and_does_nothing(clicked, message, text):
    clicked.story.begin(clicked.story.task("fetch"), 0)
    assert clicked.say(**message) == text
    assert clicked.asked == []


def test_a_group_is_acted_on_where_it_makes_sense(clicked):
    story = clicked.story
    flow = story.begin(story.flow(), 0)
    running = [story.begin(story.task("fetch", flow), 1) for _ in range(2)]
    waiting = story.task("fetch", flow, retries=2)
    story.wait_for_retry(waiting, 1, 2, due=60)
    story.complete(story.task("fetch", flow), 1, 2)
    said = clicked.say(action="retry_now", group=1)
    assert said == "Begins its next attempt now: 1 run of `fetch`."
    assert clicked.asked == [("retry_now", number(waiting))]
    clicked.asked.clear()
    assert clicked.say(action="cancel", group=1) == "Asked to stop: 3 runs of `fetch`."
    assert clicked.asked == [("cancel", number(run)) for run in [*running, waiting]]
    story.enter(waiting, 3, RUNNING)
    assert clicked.say(action="give_up", group=1) == "No run of `fetch` can do that now."


def test_a_fault_is_told_and_ends_there(clicked):
    run = clicked.story.begin(clicked.story.task("fetch"), 0)
    clicked.fault = RuntimeError("<b>" * 1000)
    said = clicked.say(action="cancel", run=number(run))
    assert said.startswith("That did not work: RuntimeError: <b>")
    assert len(said) <= 300


def test_a_run_that_is_over_can_only_be_run_again(clicked):
    run = clicked.story.fail(clicked.story.task("fetch"), 0, 1)
    clicked.view.read()
    message = {"action": "retry_failed", "run": number(run)}
    assert answer(message, None, clicked.control) == "retry_failed it is."
    assert answer({**message, "action": "cancel"}, None, clicked.control) == "This run is over."
