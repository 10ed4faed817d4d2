"""How far loops are, on the board and in the record."""

import pytest

from cellist.board.live import Board
from cellist.board.progress import meter, words
from cellist.board.record import record_html
from cellist.board.view import View
from cellist.model.progress import Bar, Glance, begin, end
from cellist.model.states import COMPLETED, FAILED
from tests.board.fakes import Screen, Story


@pytest.mark.parametrize(
    ("glance", "text"),
    [
        (Glance("", "", 420, 1000, 12.0, 48.3, 35, False), "420 of 1,000 · 12/s · 48 s left"),
        (Glance("pages", "", 420, None, 12.0, None, 35, False), "pages: 420 · 12/s"),
        (Glance("", "files", 0, 10, None, None, 1, False), "0 of 10 files"),
        (Glance("", "", 3, 4, 0.4, 2.5, 7, False), "3 of 4 · 2.5 s each · 2.5 s left"),
        (Glance("", "", 3, 4, 400, 0.01, 7, False), "3 of 4 · 400/s · 1.0 s left"),
        (Glance("", "B", 12_340_000, 45e6, 3.4e6, 9.6, 4, False),
         "12.3 MB of 45.0 MB · 3.4 MB/s · 9.6 s left"),
        (Glance("", "", 1000, 1000, 333.3, None, 3, True), "1,000 · 333/s"),
        (Glance("", "", 12, 10, 3.0, None, 4, False), "12 · 3.0/s"),
        (Glance("d" * 90, "", 1, None, None, None, 1, False), "d" * 39 + "…: 1"),
    ],
)  # fmt: skip
def test_words(glance, text):
    assert words(glance) == text


def test_a_meter_of_characters():
    assert [meter(share) for share in (None, 0.0, 0.42, 1.0)] == [
        "", "░" * 10, "████░░░░░░", "",
    ]  # fmt: skip


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def board(screen):
    board = Board("load", control=lambda *_: None, ui="widget", screen=screen)
    board.show()
    assert screen.receive is not None
    board.frame()
    screen.receive({"kind": "hello"})
    screen.messages.clear()
    return board


def counted(board, total=100):
    story = Story(lambda event: board.apply([event]))
    run = story.begin(story.task("load"), 0)
    bar = Bar(total, "pages")
    begin(run, bar)
    return story, run, bar


def test_rows_nodes_and_header_say_how_far_a_run_is(board, screen):
    _, _, bar = counted(board)
    bar.done = 25
    board.frame(final=True)
    patch = screen.messages[-1]
    share, text = patch["rows"][0]["doing"]
    assert share == 0.25
    assert text.startswith("pages: 25 of 100")
    assert patch["rows"][0]["node"].startswith("25%")
    assert patch["header"]["why"] == text


def test_the_board_looks_again_though_nothing_happens(board, screen, monkeypatch):
    _, _, bar = counted(board)
    board.frame(final=True)
    board.frame()
    bar.done = 50
    assert 0 < board.due_in() <= 0.25
    count = len(screen.messages)
    board.frame()
    assert len(screen.messages) == count, "not before it is time"
    monkeypatch.setattr("cellist.board.live.TICK", 0.0)
    board._next_tick = 0.0
    board.frame()
    assert screen.messages[-1]["rows"][0]["doing"][0] == 0.5


def test_a_run_that_is_over_is_not_looked_at_any_more(board, screen):
    story, run, bar = counted(board)
    bar.done = 100
    end(run, bar)
    story.enter(run, 2, COMPLETED)
    board.frame(final=True)
    row = screen.messages[-1]["rows"][0]
    assert "doing" not in row
    assert row["progress"][0][0] == 1.0
    assert board.due_in() > 1, "only a new snapshot for pages that come late"


def test_many_counting_runs_cost_a_bounded_frame():
    view = View("many")
    story = Story(view.apply)
    for _ in range(500):
        begin(story.begin(story.task("load"), 0), Bar(10))
    view.changes()
    view.tick()
    assert len(view.changes()["rows"]) == 100


def test_the_record_says_how_far_a_run_came():
    view = View("load")
    story = Story(view.apply)
    run = story.begin(story.task("load"), 0)
    bar = Bar(100, "<pages>")
    bar.done = 30
    begin(run, bar)
    view.read()
    assert "███░░░░░░░ &lt;pages&gt;: 30 of 100" in record_html(view, "x")
    story.enter(run, 2, FAILED)
    view.read()
    html = record_html(view, "x")
    assert html.count("███░░░░░░░ &lt;pages&gt;: 30 of 100") == 2, "in the table and with the run"
    assert " left<" not in html
