"""The ES module alone in a real browser: a stub of anywidget's model, and messages from a board.

What is drawn, what ticks, what a click sends, what a dropped message leads to. JupyterLab and
Notebook are driven elsewhere; here a mistake shows in seconds and without a server.
"""

import re

import pytest
from playwright.sync_api import expect

from cellist.board.record import record_html
from cellist.board.view import View
from cellist.model.reasons import Change, Reason
from cellist.model.states import COMPLETED, RUNNING
from tests.board.fakes import Story
from tests.board.page import crawl

pytestmark = pytest.mark.browser


def test_nothing_is_shown_before_there_is_something_to_show(open_board):
    live = open_board()
    assert {one["kind"] for one in live.page.evaluate("() => window.sent")} == {"hello"}
    assert live.page.locator(".cellist").count() == 0


def test_the_graph_shows_groups_with_state_in_words(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    nodes = live.page.locator(".cellist-node")
    assert nodes.all_inner_texts() == [
        "read_list\n◆ reused · 999 ms",
        "fetch\n↻ 21 of 22 · 1 failed",
    ]
    label = nodes.nth(1).get_attribute("aria-description")
    assert label == "fetch: 1 failed, 1 waiting to retry, 20 completed"
    assert live.page.locator(".cellist-edge").count() == 1
    header = live.page.locator(".cellist-header").inner_text()
    assert "running" in header
    assert "✕ 1 failed" in header
    assert "reuse saved 3.0 s" in header


def test_patches_move_the_picture_on(open_board):
    live = open_board()
    flow, _ = crawl(live.story)
    live.answer()
    live.story.complete(live.story.task("clean", flow), 8, 9)
    live.deliver()
    assert live.page.locator(".cellist-node").nth(2).inner_text() == "clean\n✓ completed · 999 ms"
    assert "✓ 21 completed" in live.page.locator(".cellist-counts").inner_text()


def test_a_gap_asks_once_for_a_snapshot_and_mends(open_board):
    live = open_board()
    flow, _ = crawl(live.story)
    live.answer()
    live.page.evaluate("() => window.sent.splice(0)")  # a slow page says hello twice
    for name in ("lost", "two", "three"):
        live.story.complete(live.story.task(name, flow), 8, 9)
        live.board.frame()
    live.screen.messages.pop(0)
    live.deliver()
    assert live.page.evaluate("() => window.sent") == [{"kind": "resync"}]
    assert "lost" not in live.page.locator(".cellist-nodes").inner_text()
    live.answer()
    assert "lost" in live.page.locator(".cellist-nodes").inner_text()


def test_clock_and_countdown_tick_without_messages(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    clock, upcoming = live.page.locator(".cellist-clock"), live.page.locator(".cellist-next")
    first, countdown = clock.inner_text(), upcoming.inner_text()
    assert "failed; attempt 2 of 4 in " in countdown
    expect(clock).not_to_have_text(first)
    expect(upcoming).not_to_have_text(countdown)


def test_clocks_follow_the_kernel_not_the_page(open_board):
    live = open_board()
    crawl(live.story)
    live.board.frame()
    snapshot = live.screen.messages[-1]
    snapshot["now"] += 3_600_000
    live.deliver()
    expect(live.page.locator(".cellist-clock")).to_have_text(re.compile("^1 h 0[0-2] min$"))


def test_a_click_is_sent_told_to_wait_and_answered(open_board):
    live = open_board()
    flow, _ = crawl(live.story)
    live.answer()
    live.page.clock.install()
    top = live.page.locator(".cellist-tabs").bounding_box()
    button = live.page.locator(".cellist-line .cellist-button", has_text="Cancel")
    button.click()
    button.click(force=True)
    live.page.clock.run_for(500)
    notice = live.page.locator(".cellist-notice")
    expect(notice).to_have_text(
        "“Cancel”: the kernel is busy in a cell; this happens when it is free."
    )
    assert len(live.page.evaluate("() => window.sent")) == 1, "one click, one command"
    live.answer()
    assert live.clicks == [("cancel", f"{flow.number:032x}")]
    expect(notice).to_have_text("cancel was asked for.")
    assert live.page.locator(".cellist-tabs").bounding_box() == top, "nothing moves for an answer"
    live.page.clock.run_for(13_000)
    expect(notice).to_have_text("")


def test_a_waiting_retry_can_be_hurried_or_given_up(open_board):
    live = open_board()
    _, waiting = crawl(live.story)
    live.answer()
    live.page.get_by_role("button", name=f"Retry now: {waiting.name}").click()
    live.page.get_by_role("button", name=f"Give up: {waiting.name}").click()
    live.answer()
    number = f"{waiting.number:032x}"
    assert live.clicks == [("retry_now", number), ("give_up", number)]


def test_the_list_opens_to_runs_and_details(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.tab("List")
    group = live.page.locator(".cellist-group-line", has_text="fetch")
    assert group.get_attribute("aria-expanded") == "false"
    group.click()
    rows = live.page.locator(".cellist-run-line")
    assert rows.count() == 22
    assert "failed" in rows.nth(0).inner_text(), "what needs attention comes first"
    rows.nth(0).click()
    detail = live.page.locator(".cellist-detail").inner_text()
    assert "ValueError: no such page" in detail
    assert "Traceback" in detail


def test_a_node_leads_to_its_runs(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.locator(".cellist-node", has_text="fetch").click()
    expect(live.page.get_by_role("tab", name="List")).to_have_attribute("aria-selected", "true")
    assert live.page.locator(".cellist-run-line").count() == 22
    focused = live.page.evaluate("() => document.activeElement.textContent")
    assert "fetch" in focused


def test_tabs_obey_the_keyboard(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.get_by_role("tab", name="Graph").focus()
    live.page.keyboard.press("ArrowRight")
    expect(live.page.get_by_role("tab", name="Timeline")).to_be_focused()
    live.page.keyboard.press("End")
    expect(live.page.get_by_role("tabpanel", name="List")).to_be_visible()
    live.page.keyboard.press("ArrowRight")
    expect(live.page.get_by_role("tab", name="Graph")).to_have_attribute("aria-selected", "true")


def test_updates_move_nothing_below_the_board(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    live.answer()
    before = live.page.locator(".cellist").bounding_box()
    tabs = live.page.locator(".cellist-tabs").bounding_box()
    crawl(live.story)
    for i in range(30):
        live.story.complete(live.story.task(f"task {i}", flow), 1, 2)
    live.deliver()
    assert live.page.locator(".cellist").bounding_box() == before
    assert live.page.locator(".cellist-tabs").bounding_box() == tabs


@pytest.mark.parametrize("name", ["Graph", "Timeline", "List"])
def test_a_phone_needs_no_sideways_scrolling_of_the_board(open_board, name):
    live = open_board(width=360)
    crawl(live.story)
    live.answer()
    live.tab(name)
    assert live.page.evaluate("() => document.documentElement.scrollWidth") <= 360
    if name != "Graph":
        live.page.locator(".cellist-panel:visible").evaluate("(panel) => panel.scrollWidth")
        overflow = live.page.locator(".cellist-panel:visible").evaluate(
            "(panel) => panel.scrollWidth - panel.clientWidth"
        )
        assert overflow <= 0


def test_hostile_names_are_text(open_board):
    live = open_board()
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    run = live.story.task(hostile)
    run.inputs = {hostile: hostile}
    run.why = Reason("miss", "changed", hostile)
    run.log(20, hostile)
    live.story.fail(run, 1, 2, hostile)
    live.answer()
    live.page.locator(".cellist-fold").click()
    for name in ("Graph", "Timeline", "List"):
        live.tab(name)
    assert live.page.locator("#widget script, #widget img").count() == 0
    assert hostile in (live.page.locator(".cellist-detail").text_content() or "")


def test_the_record_hides_while_the_board_lives_and_comes_back(open_board):
    view = View("crawl")
    story = Story(view.apply)
    story.complete(story.task("fetch"), 0, 1)
    view.read()
    live = open_board()
    record = record_html(view, live.screen.ident)
    live.page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", record)
    shown = live.page.locator("[data-cellist-static]")
    assert shown.is_visible(), "there is no live board yet"
    live.story.complete(live.story.task("fetch"), 0, 1)
    live.answer()
    assert not shown.is_visible()
    live.page.evaluate("() => window.cleanup()")
    assert shown.is_visible()
    assert live.page.evaluate("() => window.listening()") == 0
    assert live.page.locator(".cellist").count() == 0


def test_a_board_that_is_over_offers_no_buttons(open_board):
    live = open_board()
    flow, waiting = crawl(live.story)
    live.answer()
    live.story.enter(waiting, 8, RUNNING, "Retrying")
    live.story.enter(waiting, 8.5, COMPLETED)
    live.story.enter(flow, 9, COMPLETED)
    live.board.close()
    live.deliver()
    buttons = live.page.locator(".cellist-header .cellist-button")
    assert buttons.all_inner_texts() == ["Traceback"]
    assert live.page.locator(".cellist-clock").inner_text() == "9.0 s"
    assert live.page.locator("div.cellist-spoken").inner_text().startswith("crawl: completed.")


def test_a_run_in_the_list_shows_what_it_was_called_with(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    for city, more in (("berlin", {"rows": "5"}), ("bonn", {})):
        run = live.story.task("load", flow)
        run.inputs = {"path": f"'data/{city}.csv'", **more}
        live.story.complete(run, 1, 2)
    live.answer()
    live.page.get_by_role("tab", name="List").click()
    live.page.locator(".cellist-group-line", has_text="load").click()
    names = live.page.locator(".cellist-run-line .cellist-cell-name i").all_inner_texts()
    assert names == ["path='data/berlin.csv', rows=5", "'data/bonn.csv'"], "a lone value"


def test_a_kernel_that_is_gone_stops_the_clocks_and_is_told_of(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    assert "running" in live.page.locator(".cellist-state").inner_text()
    live.page.evaluate("() => window.loseKernel()")
    expect(live.page.locator(".cellist-state")).to_have_text("⊗kernel gone")
    notice = live.page.locator(".cellist-notice")
    assert "now:" not in live.page.locator(".cellist-header").inner_text()
    expect(notice).to_contain_text("The kernel was restarted or has ended.")
    expect(notice.locator("code")).to_have_text("%cellist resume")
    assert live.page.locator(".cellist-clock").inner_text() == ""
    assert live.page.get_by_role("button", name=re.compile("Cancel|Retry now|Give up")).count() == 0
    assert live.errors == []


def test_a_board_that_is_over_minds_no_kernel_that_is_gone(open_board):
    live = open_board()
    flow, waiting = crawl(live.story)
    live.story.complete(waiting, 8, 9)
    live.story.enter(flow, 10, COMPLETED)
    live.answer()
    live.page.evaluate("() => window.loseKernel()")
    live.deliver()
    assert "completed" in live.page.locator(".cellist-state").inner_text()
    assert live.page.locator(".cellist-notice").inner_text() == ""


def test_dark_pages_get_dark_colours(open_board):
    live = open_board(dark=True)
    crawl(live.story)
    live.answer()
    colour = "(el) => getComputedStyle(el).color"
    assert live.page.locator(".cellist-state").evaluate(colour) == "rgb(99, 181, 247)"
    background = live.page.locator(".cellist").evaluate(
        "(el) => getComputedStyle(el).backgroundColor"
    )
    assert background == "rgb(22, 25, 29)"


def test_a_lone_run_is_two_lines_until_more_is_asked_for(open_board):
    live = open_board()
    run = live.story.task("slow")
    change = Change(
        "function", "clean", "def clean():\n    return 1", "def clean():\n    return 2", ""
    )
    run.why = Reason("miss", "changed", "ran: helper `clean` changed", (change,), notes=("a hint",))
    live.story.complete(run, 0, 1)
    live.answer()
    board, fold = live.page.locator(".cellist"), live.page.locator(".cellist-fold")
    assert live.page.locator(".cellist-why").inner_text() == "ran: helper `clean` changed"
    assert live.page.locator(".cellist-tabs").is_hidden()
    assert board.bounding_box()["height"] < 80
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"
    detail = live.page.locator(".cellist-detail")
    assert "a hint" in detail.inner_text()
    assert live.page.locator(".cellist-diff .is-completed").inner_text() == "+    return 2\n"
    fold.click()
    assert detail.is_hidden()
    flow = live.story.begin(live.story.flow(), 2)
    live.story.complete(live.story.task("more", flow), 3, 4)
    live.deliver()
    assert live.page.locator(".cellist-tabs").is_visible()
    assert fold.is_hidden()
