"""The screen in Jupyter: two outputs in the right order, updates from any thread, no leak."""

import contextvars
import json
import threading
from typing import Any
from unittest.mock import Mock

import IPython.display
import pytest
from jupyter_client.session import json_packer

from cellist.board import widget
from cellist.board.live import Board
from cellist.model.states import COMPLETED
from tests.board.fakes import Story

CELL = contextvars.ContextVar("cell", default="none")


@pytest.fixture
def published(monkeypatch):
    """What was displayed: data, options, and the cell of the context it was displayed in."""
    found = []

    def publish(data, **how):
        found.append((data, how, CELL.get()))

    monkeypatch.setattr(IPython.display, "publish_display_data", publish)
    return found


@pytest.fixture
def board(published):
    made = Board("crawl", control=lambda action, run: None, ui="widget")
    token = CELL.set("A")
    made.show()
    CELL.reset(token)
    return made


def test_the_widget_comes_first_and_the_record_under_its_own_id(board, published):
    (first, how_first, _), (second, how_second, _) = published
    assert set(first) == {widget._WIDGET_VIEW, "text/plain"}
    assert first[widget._WIDGET_VIEW]["model_id"]
    assert how_first == {}
    assert set(second) == {"text/html", "text/plain"}
    assert f'data-cellist-static="{board.ident}"' in second["text/html"]
    assert second["text/plain"] == "crawl: pending."
    assert how_second == {"transient": {"display_id": f"cellist-{board.ident}"}}


def test_showing_twice_shows_once(board, published):
    board.show()
    assert len(published) == 2


def test_the_record_is_updated_in_the_cell_it_belongs_to_also_from_a_thread(board, published):
    story = Story(lambda event: board.apply((event,)))
    story.complete(story.task("fetch"), 0, 1)
    thread = threading.Thread(target=board.close)
    thread.start()
    thread.join()
    data, how, cell = published[-1]
    assert cell == "A"
    assert how == {"transient": {"display_id": f"cellist-{board.ident}"}, "update": True}
    assert "fetch" in data["text/html"]
    assert data["text/plain"] == "crawl: completed. 1 task run: 1 completed. It took 1.0 s."


def test_messages_of_the_page_reach_the_board(board, monkeypatch):
    screen = board._screen
    sent = []
    monkeypatch.setattr(screen._widget, "send", sent.append)
    screen._widget._msg_callbacks(screen._widget, {"kind": "hello"}, [])
    assert [message["kind"] for message in sent] == ["snapshot"]


def test_messages_of_the_page_are_no_cells(board, monkeypatch):
    """Their end would close the figures of the cell beside which they come."""
    shell = Mock()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    sent = []
    monkeypatch.setattr(board._screen._widget, "send", sent.append)
    data = {"method": "custom", "content": {"kind": "hello"}}
    board._screen._widget.comm.handle_msg({"content": {"data": data}, "buffers": []})
    assert [message["kind"] for message in sent] == ["snapshot"]
    shell.events.trigger.assert_not_called()


@pytest.mark.parametrize("half", [chr(0xD800), chr(0xDCFF)])
def test_text_that_is_no_valid_unicode_does_not_end_the_board(published, monkeypatch, half):
    board = Board(f"crawl {half}", control=lambda action, run: None, ui="widget")
    board.show()
    screen: Any = board._screen
    sent = []
    monkeypatch.setattr(screen._widget, "send", lambda one: sent.append(json_packer(one)))
    story = Story(lambda event: board.apply((event,)))
    story.fail(story.task(f"read {half}"), 0, 1, f"no file {half}")
    board.frame()
    board.close()
    assert all(json.loads(one.decode("utf-8", "replace")) for one in sent)
    assert sent
    data, _, _ = published[-1]
    assert data["text/plain"].startswith("crawl \ufffd: failed.")
    assert data["text/html"].encode()


def test_where_a_page_has_no_widgets_a_line_says_what_was_there(board, published):
    assert published[0][0]["text/plain"] == widget.IN_ITS_PLACE


def test_a_record_says_while_runs_go_on_that_it_is_written_now_and_then(board, published):
    story = Story(lambda event: board.apply((event,)))
    run = story.begin(story.task("fetch"), 0)
    board.frame(final=True)
    assert "So far: written every few seconds" in published[-1][0]["text/html"]
    story.enter(run, 2, COMPLETED)
    board.close()
    assert "So far" not in published[-1][0]["text/html"]


def test_without_its_widget_the_board_is_its_record_and_says_why(published, monkeypatch):
    def missing():
        raise ModuleNotFoundError("No module named 'anywidget'")

    monkeypatch.setattr(widget, "_widget_class", missing)
    made = Board("crawl", control=lambda action, run: None, ui="widget")
    made.show()
    story = Story(lambda event: made.apply((event,)))
    story.complete(story.task("fetch"), 0, 1)
    made.close()
    assert [set(data) for data, _, _ in published] == [{"text/html", "text/plain"}] * 2
    assert (
        "<small>No live board, only this record: its widget could not be made "
        "(ModuleNotFoundError: No module named &#x27;anywidget&#x27;). "
        "`pip install -U anywidget ipywidgets` may help.</small>"
    ) in published[-1][0]["text/html"]


def test_html_boards_make_no_widget(published):
    Board("crawl", control=lambda action, run: None, ui="html").show()
    assert [set(data) for data, _, _ in published] == [{"text/html", "text/plain"}]


def test_only_the_latest_boards_stay_to_be_asked(published, monkeypatch):
    monkeypatch.setattr(widget, "KEPT", 2)
    monkeypatch.setattr(widget, "_retired", widget.deque())
    boards = [Board("crawl", control=lambda action, run: None, ui="widget") for _ in range(4)]
    for board in boards:
        board.show()
        story = Story(lambda event, board=board: board.apply((event,)))
        story.enter(story.begin(story.task("fetch"), 0), 1, COMPLETED)
        board.close()
    screens: list[Any] = [board._screen for board in boards]
    assert [screen._widget is None for screen in screens] == [True, True, False, False]
    assert published[-1][0]["text/plain"].startswith("crawl: completed.")
