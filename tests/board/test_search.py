"""The search of the list reaches runs that the page was never told of."""

import time

import pytest

from cellist.board.live import Board
from cellist.board.search import Search
from cellist.board.view import WANTED_LIMIT
from cellist.model.states import FAILED
from tests.board.fakes import Screen, Story

RUNS = 3_000


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def board(screen):
    board = Board("crawl", control=lambda *_: None, ui="widget", screen=screen)
    board.show()
    return board


@pytest.fixture
def runs(board, screen):
    story = Story(lambda event: board.apply((event,)))
    flow = story.begin(story.flow(), 0)
    runs = []
    for place in range(RUNS):
        run = story.task("fetch", flow)
        run.inputs = {"url": f"'https://example.org/{place}'"}
        run.tags = frozenset({"odd"} if place % 2 else ())
        runs.append(story.complete(run, 1, 2))
    board.frame()
    screen.messages.clear()
    return runs


def found(board, screen, **message):
    """Ask; return how many fit and the names of the runs that were sent."""
    board._receive({"kind": "find", "token": 7, **message})
    limit = time.monotonic() + 60
    while not screen.of_kind("found"):
        assert time.monotonic() < limit, "no answer"
        time.sleep(0.005)
    (answer,) = screen.of_kind("found")
    names = [row["name"] for patch in screen.of_kind("patch") for row in patch.get("rows", ())]
    screen.messages.clear()
    assert answer["token"] == 7
    return answer["fit"], names


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ({"text": "example.org/2987'"}, 2_987),
        ({"text": "FETCH  org/2987'", "looks": ["completed"], "tags": ["odd", "even"]}, 2_987),
    ],
    ids=["an input", "all at once, in capitals"],
)
def test_a_run_that_is_only_counted_is_found(board, screen, runs, message, place):
    assert found(board, screen, **message) == (1, [runs[place].name])
    assert found(board, screen, **message) == (1, []), "it is listed now"


def test_many_are_counted_and_some_of_them_sent(board, screen, runs):
    fit, names = found(board, screen, text="org/2")
    assert fit == 1 + 10 + 100 + 1_000
    assert names == [run.name for run in runs[2_000 : 2_000 + WANTED_LIMIT - 111]]


@pytest.mark.parametrize(
    "message",
    [
        {"text": "no such thing"},
        {"looks": ["failed"]},
        {"tags": ["unheard of"]},
        {"text": "fetch", "looks": ["completed"], "tags": ["even"]},
    ],
)
def test_what_does_not_fit_is_not_found(board, screen, runs, message):
    assert found(board, screen, **message) == (0, [])


def test_what_makes_no_sense_is_left_out():
    asked = Search.asked({"text": {"a": 1}, "looks": "failed", "tags": [1, None, "eu"]})
    assert asked == Search((), frozenset(), frozenset({"eu"}))


def test_a_failure_is_found_by_its_error(board, screen, runs):
    story = Story(lambda event: board.apply((event,)))
    run = story.fail(story.task("store", runs[0].flow), 3, 4, "disk is full")
    board.frame()
    screen.messages.clear()
    assert found(board, screen, text="disk full", looks=[FAILED.value.lower()])[0] == 1
    assert run.error is not None


def test_a_board_that_is_closed_has_no_more_to_say(board, screen, runs):
    board.close()
    screen.messages.clear()
    board._find({"kind": "find", "token": 7, "text": "fetch"})
    assert screen.messages == []
