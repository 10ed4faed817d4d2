"""The feed and the board: few messages, nothing lost at the end, no fault that reaches a run."""

import logging
import threading
import time

import pytest

from cellist.board import Board, Feed
from cellist.board import live as live_module
from cellist.board.live import Ui
from cellist.model.reasons import Reason
from cellist.model.states import CANCELLING, COMPLETED
from tests.board.fakes import Cell, Screen, Story


class Shown:
    """A board on a screen of its own, attached to a feed."""

    def __init__(
        self, feed, number="1", ui: Ui = "widget", control=lambda action, run: None, usual=None
    ):
        self.cell = Cell(number)
        self.screen = Screen()
        self.board = Board("crawl", control=control, ui=ui, screen=self.screen, usual=usual)
        self.board.show()
        feed.attach(self.cell, self.board)
        self.story = Story(feed.sink, cell=self.cell)

    def last(self, *kinds):
        wanted = kinds or ("patch", "snapshot")
        return [message for message in self.screen.messages if message["kind"] in wanted][-1]

    def say(self, **message):
        assert self.screen.receive is not None
        self.screen.receive(message)


@pytest.fixture
def feed():
    return Feed()


def wait_until(is_true, seconds=60.0):
    limit = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def test_events_reach_the_board_of_their_cell_only(feed):
    one, two = Shown(feed, "1"), Shown(feed, "2")
    one.story.complete(one.story.task("fetch"), 0, 1)
    feed.finish(one.cell)
    feed.finish(two.cell)
    assert "fetch" in one.screen.records[-1]
    assert "fetch" not in two.screen.records[-1]


def test_frames_come_without_anybody_asking(feed):
    shown = Shown(feed)
    run = shown.story.begin(shown.story.task("fetch"), 0)
    wait_until(lambda: shown.screen.messages)
    shown.story.enter(run, 1, COMPLETED)
    wait_until(lambda: shown.screen.messages[-1]["header"]["look"] == "completed")
    feed.finish(shown.cell)


def test_a_flood_is_thinned_to_twenty_frames_a_second(feed):
    shown = Shown(feed)
    begin = time.monotonic()
    made = 0
    while time.monotonic() - begin < 0.7 or made <= 200 or len(shown.screen.messages) < 2:
        shown.story.complete(shown.story.task("fetch"), 0, 1)
        made += 1
        time.sleep(0.0002)
    spent = time.monotonic() - begin
    feed.finish(shown.cell)
    assert len(shown.screen.messages) <= spent * 20 + 3
    assert shown.last()["header"]["counts"] == [["completed", made]]


def test_messages_are_numbered_without_gaps(feed):
    shown = Shown(feed)
    for _ in range(5):
        shown.story.complete(shown.story.task("fetch"), 0, 1)
        shown.board.frame()
        time.sleep(0.06)
    feed.finish(shown.cell)
    numbers = [message["seq"] for message in shown.screen.messages]
    assert numbers == list(range(1, len(numbers) + 1))


def test_finish_leaves_nothing_for_later(feed):
    shown = Shown(feed)
    for _ in range(500):
        shown.story.complete(shown.story.task("fetch"), 0, 1)
    feed.finish(shown.cell)
    assert "500" in shown.screen.records[-1]
    assert shown.last()["header"]["counts"] == [["completed", 500]]
    assert shown.screen.is_retired
    assert shown.board.is_released
    said = len(shown.screen.messages)
    shown.story.complete(shown.story.task("late"), 0, 1)
    time.sleep(0.12)
    assert len(shown.screen.messages) == said


def test_a_run_that_outlives_its_cell_is_followed_to_its_end(feed):
    shown = Shown(feed)
    run = shown.story.begin(shown.story.task("fetch"), 0)
    feed.finish(shown.cell)
    assert not shown.board.is_released
    assert "running" in shown.screen.records[-1]
    shown.story.enter(run, 1, COMPLETED)
    wait_until(lambda: shown.board.is_released)
    assert "running" not in shown.screen.records[-1]


@pytest.mark.parametrize("end", ["close", "a final frame"])
def test_what_was_put_off_is_said_at_the_end(monkeypatch, end):
    monkeypatch.setattr(live_module, "FACTS_EVERY", 1000.0)
    screen = Screen()
    board = Board("crawl", control=lambda action, run: None, ui="widget", screen=screen)
    board.show()
    assert screen.receive is not None
    screen.receive({"kind": "hello"})  # from now on there are patches only
    story = Story(lambda event: board.apply([event]))
    for seconds in (1, 2, 3):
        run = story.task("fetch")
        run.why = Reason("miss", "first", "ran: nothing kept yet")
        story.complete(run, 0, seconds)
        board.frame()  # the facts of the second and the third are put off
    assert not board.active
    if end == "close":
        board.close()
    else:
        board.frame(final=True)
    whys = [
        group["why"]
        for message in screen.of_kind("patch")
        for group in message.get("groups", ())
        if "why" in group
    ]
    assert whys == ["ran: nothing kept yet", "ran: nothing kept yet (×3)"]


def test_finish_of_an_unknown_cell_is_nothing(feed):
    feed.finish(Cell("never seen"))


def test_the_sink_is_cheap_and_keeps_nothing_without_a_board(feed):
    story = Story(feed.sink, cell=Cell("1"))
    story.complete(story.task("fetch"), 0, 1)
    assert not feed._queue
    shown = Shown(feed)
    run = shown.story.task("fetch")
    with feed._lock:
        begin = time.thread_time()
        for _ in range(10_000):
            feed.sink(run)
        spent = time.thread_time() - begin
        feed._queue.clear()
    assert spent / 10_000 < 2e-6
    feed.finish(shown.cell)


def test_the_thread_sleeps_when_nothing_happens(feed):
    shown = Shown(feed)
    shown.story.complete(shown.story.task("fetch"), 0, 1)
    wait_until(lambda: shown.screen.messages)
    turns = 0
    turn = feed._turn

    def counted():
        nonlocal turns
        turns += 1
        return turn()

    feed._turn = counted
    time.sleep(0.5)
    assert turns <= 3, "one for the snapshot that is due, none for the passing of time"
    feed.finish(shown.cell)


def test_snapshots_come_unasked_until_a_page_says_hello(feed):
    shown = Shown(feed)
    shown.story.begin(shown.story.task("fetch"), 0)
    wait_until(lambda: shown.screen.of_kind("snapshot"))
    assert shown.last("snapshot")["groups"][0]["name"] == "fetch"
    feed.finish(shown.cell)


def test_hello_is_answered_with_everything_also_when_all_is_over(feed):
    shown = Shown(feed)
    shown.story.complete(shown.story.task("fetch"), 0, 1)
    feed._drain()
    shown.say(kind="hello")
    assert shown.last("snapshot")["rows"][0]["look"] == "completed"
    assert "closed" not in shown.last("snapshot")
    feed.finish(shown.cell)
    shown.say(kind="resync")
    assert shown.last("snapshot")["closed"] is True
    assert shown.last("snapshot")["rows"][0]["look"] == "completed"


def test_a_click_is_handed_over_and_answered(feed):
    clicks = []

    def control(action, run):
        clicks.append((action, run))
        return "Cancel requested."

    shown = Shown(feed, control=control)
    run = shown.story.begin(shown.story.task("fetch"), 0)
    feed._drain()
    shown.board.frame()
    number = f"{run.number:032x}"
    shown.say(kind="command", action="cancel", run=number, token="t1")
    assert clicks == [("cancel", number)]
    assert shown.last("reply") == {"kind": "reply", "token": "t1", "text": "Cancel requested."}
    shown.story.enter(run, 1, CANCELLING)
    feed.finish(shown.cell)


@pytest.mark.parametrize(
    "command",
    [
        {"action": "delete", "run": "0" * 32},
        {"action": "cancel", "run": "0" * 32},
        {"action": "cancel", "run": "<script>"},
        {"action": "cancel", "run": None},
        {"action": ["cancel"], "run": {}},
        {},
    ],
)
def test_a_command_that_makes_no_sense_is_refused(feed, command):
    shown = Shown(feed, control=lambda action, run: pytest.fail("must not be called"))
    shown.say(kind="command", token="t", **command)
    assert shown.last("reply")["text"]
    shown.say(kind="unheard of")
    feed.finish(shown.cell)


def test_a_command_that_fails_says_so(feed, caplog):
    def control(action, run):
        raise RuntimeError("no such run")

    shown = Shown(feed, control=control)
    run = shown.story.begin(shown.story.task("fetch"), 0)
    feed._drain()
    shown.board.frame()
    with caplog.at_level(logging.WARNING, "cellist.board"):
        shown.say(kind="command", action="cancel", run=f"{run.number:032x}", token=1)
    assert shown.last("reply")["text"] == "That did not work: RuntimeError: no such run"
    feed.finish(shown.cell)


def test_a_board_that_breaks_is_one_warning_and_no_other_harm(feed, caplog, monkeypatch):
    broken, sound = Shown(feed, "1"), Shown(feed, "2")
    monkeypatch.setattr(broken.screen, "send", lambda message: 1 / 0)
    with caplog.at_level(logging.WARNING, "cellist.board"):
        for _ in range(3):
            broken.story.complete(broken.story.task("fetch"), 0, 1)
            sound.story.complete(sound.story.task("fetch"), 0, 1)
            time.sleep(0.08)
        feed.finish(broken.cell)
        feed.finish(sound.cell)
    assert [record.name for record in caplog.records] == ["cellist.board"]
    assert sound.last()["header"]["counts"] == [["completed", 3]]


def test_the_record_is_written_seldom_while_runs_go_on_and_once_at_the_end(feed, monkeypatch):
    monkeypatch.setattr(live_module, "RECORD_EVERY", 0.2)
    shown = Shown(feed)
    begin = time.monotonic()
    while time.monotonic() - begin < 0.5 or len(shown.screen.records) < 2:
        shown.story.complete(shown.story.task("fetch"), 0, 1)
        time.sleep(0.01)
    assert len(shown.screen.records) <= 3 + (time.monotonic() - begin) / 0.2
    written = len(shown.screen.records)
    feed.finish(shown.cell)
    assert len(shown.screen.records) == written + 1


def test_a_record_that_is_due_is_written_though_nothing_more_happens(feed, monkeypatch):
    monkeypatch.setattr(live_module, "RECORD_EVERY", 0.1)
    shown = Shown(feed)
    run = shown.story.task("first")
    shown.story.begin(run, 0)
    wait_until(lambda: "first" in shown.screen.records[-1])
    shown.story.complete(shown.story.task("second"), 0, 1)
    wait_until(lambda: "second" in shown.screen.records[-1])
    feed.finish(shown.cell)


def test_the_history_is_asked_once_on_the_thread_of_the_feed(feed):
    asked = []

    def usual(*, reusing):
        asked.append((threading.current_thread().name, reusing))
        return [240.0, 300.0, 360.0]

    shown = Shown(feed, usual=usual)
    shown.story.begin(shown.story.flow(), 0)
    wait_until(lambda: shown.screen.messages)
    feed.finish(shown.cell)
    assert asked == [("cellist-board", False)]
    assert shown.screen.messages[0]["header"]["usual"] == "usually 4–6 min, last 3 runs"


def test_a_run_that_reuses_results_is_compared_with_such_runs():
    screen = Screen()
    board = Board(
        "crawl",
        control=lambda *_: None,
        ui="widget",
        screen=screen,
        usual=lambda *, reusing: [20.0, 30.0] if reusing else [240.0, 360.0],
    )
    board.show()
    story = Story(lambda event: board.apply((event,)))
    flow = story.begin(story.flow(), 0)
    board.frame()
    assert screen.messages[-1]["header"]["usual"] == "usually 4–6 min, last 2 runs"
    run = story.task("load", flow)
    run.why = Reason("hit", "reused", "same inputs, same source", saved=200.0)
    story.complete(run, 1, 1.01, "Cached")
    board.frame()  # reads that it was reused
    story.begin(story.task("train", flow), 2)
    board.frame()
    assert screen.messages[-1]["header"]["usual"] == "usually 20–30 s, last 2 runs"


def test_a_cell_that_is_over_at_once_asks_no_history():
    def usual(*, reusing):
        raise AssertionError("nobody may wait for this")

    board = Board("crawl", control=lambda *_: None, ui="widget", screen=Screen(), usual=usual)
    board.show()
    board.frame(final=True)


def test_html_boards_send_no_messages(feed):
    shown = Shown(feed, ui="html")
    shown.story.complete(shown.story.task("fetch"), 0, 1)
    feed.finish(shown.cell)
    assert shown.screen.receive is None
    assert shown.screen.messages == []
    assert "fetch" in shown.screen.records[-1]


def test_text_boards_show_nothing(feed):
    shown = Shown(feed, ui="text")
    shown.story.complete(shown.story.task("fetch"), 0, 1)
    feed.finish(shown.cell)
    assert shown.screen.records == []
    assert shown.screen.messages == []


def test_events_may_come_from_many_threads(feed):
    shown = Shown(feed)

    def work():
        for _ in range(200):
            shown.story.complete(shown.story.task("fetch"), 0, 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feed.finish(shown.cell)
    assert shown.last()["header"]["counts"] == [["completed", 1600]]
