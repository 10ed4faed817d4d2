"""The views in a real browser: linked, filtered, folded, and all of it without a mouse."""

import time

import pytest
from playwright.sync_api import expect

from cellist.board.live import Board
from cellist.model.reasons import Reason
from cellist.model.states import COMPLETED, FAILED, RUNNING
from tests.board.page import crawl

pytestmark = pytest.mark.browser

RUNS_OF_INK = """
(canvas, y) => {
  const ratio = canvas.width / canvas.clientWidth;
  const line = canvas.getContext("2d").getImageData(0, y * ratio, canvas.width, 1).data;
  const found = [];
  for (let x = 0; x < canvas.width; x += 1) {
    const [r, g, b, a] = line.slice(4 * x, 4 * x + 4);
    const ink = a < 40 ? "" : a < 250 ? "faint" : `${r},${g},${b}`;
    if (found.at(-1)?.[0] === ink) found.at(-1)[1] += 1 / ratio;
    else found.push([ink, 1 / ratio]);
  }
  return found.map(([ink, length]) => [ink, Math.round(length)]);
}
"""
RED, GREEN, VIOLET = "192,52,29", "23,122,82", "116,70,189"


def lanes(live, name):
    return live.page.locator(".cellist-band", has_text=name).locator("canvas")


def ink(live, name, y):
    """Return the stretches of colour along a line of a band, with their lengths in pixels."""
    live.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
    return lanes(live, name).evaluate(RUNS_OF_INK, y)


def inks(stretches):
    return {colour for colour, _ in stretches}


def test_the_timeline_has_a_bar_for_each_attempt_and_dashes_for_each_wait(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    run = live.story.task("fetch", flow, retries=3)
    live.story.wait_for_retry(run, 0, 2, due=4)
    live.story.enter(run, 4, RUNNING, "Retrying")
    live.story.enter(run, 5, COMPLETED)
    live.story.complete(live.story.task("other", flow), 1, 7)
    live.story.enter(flow, 8, COMPLETED)
    live.answer()
    live.tab("Timeline")
    stretches = ink(live, "fetch", 5)
    red = [length for colour, length in stretches if colour == RED]
    green = [length for colour, length in stretches if colour == GREEN]
    whole = lanes(live, "fetch").evaluate("(canvas) => canvas.clientWidth")
    assert sum(red) == pytest.approx(whole * 2 / 8, abs=8), "two of eight seconds, and its cross"
    assert sum(green) == pytest.approx(whole * 1 / 8, abs=4)
    dashed = ink(live, "fetch", 7)
    assert len(dashed) > len(stretches) + 10, "dashes in the middle of the lane"


def test_bars_of_running_runs_grow_without_messages(open_board):
    live = open_board()
    live.story.begin(live.story.task("long", live.story.begin(live.story.flow(), -300)), -300)
    live.answer()
    live.tab("Timeline")

    def length():
        return sum(pixels for colour, pixels in ink(live, "long", 6) if colour)

    before, end = length(), time.monotonic() + 30
    while length() <= before:
        assert time.monotonic() < end, "it does not grow"


def test_a_night_of_waiting_is_folded_and_says_how_long_it_was(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), -3700)
    run = live.story.task("fetch", flow, retries=3)
    live.story.wait_for_retry(run, -3700, -3690, due=-90)
    live.story.enter(run, -90, RUNNING, "Retrying")
    live.story.enter(run, -80, COMPLETED)
    live.story.enter(flow, -80, COMPLETED)
    live.answer()
    live.tab("Timeline")
    assert live.page.locator(".cellist-fold-text").all_inner_texts() == ["+1 h"]
    stretches = ink(live, "fetch", 4)
    lengths = [sum(n for colour, n in stretches if colour == one) for one in (RED, GREEN)]
    whole = lanes(live, "fetch").evaluate("(canvas) => canvas.clientWidth")
    assert min(lengths) > whole / 3, "ten seconds of work are wider than an hour of none"


def test_the_columns_of_runs_stand_under_those_of_their_group(open_board):
    live = open_board(width=1300)
    crawl(live.story)
    live.answer()
    live.tab("List")
    group = live.page.locator(".cellist-group", has_text="fetch").last
    group.locator(".cellist-group-line").click()
    expect(group.locator(".cellist-run-line").first).to_be_visible()
    for column in ("state", "took", "why"):
        above, below = (
            group.locator(f"{line} .cellist-cell-{column}").first.bounding_box()
            for line in (".cellist-group-line", ".cellist-run-line")
        )
        assert abs(above["x"] - below["x"]) < 1, column


def test_a_group_of_thousands_shows_its_pace(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    for i in range(2_000):
        run = live.story.begin(live.story.task("fetch", flow), i / 250)
        live.story.enter(run, i / 250 + 0.5, FAILED if i % 100 == 50 else COMPLETED)
    live.answer()
    live.tab("Timeline")
    assert {RED, GREEN} <= inks(ink(live, "fetch", 39)) | inks(ink(live, "fetch", 41))
    counted = live.board._view.groups[1].as_dict()["pace"]["parts"]
    assert sum(number for _, _, number in counted) == 2_000


def test_what_is_pointed_at_is_marked_in_the_other_view_and_told_in_one_line(open_board):
    live = open_board(width=1400)
    crawl(live.story)
    live.answer()
    assert live.page.locator(".cellist-node").first.is_visible()
    assert live.page.locator(".cellist-band").first.is_visible(), "both, on a wide page"
    live.page.locator(".cellist-node", has_text="fetch").hover()
    marked = live.page.locator("[data-marked]")
    expect(live.page.locator(".cellist-band[data-marked]")).to_contain_text("fetch")
    readout = live.page.locator(".cellist-readout")
    expect(readout).to_contain_text("fetch: 1 failed, 1 waiting to retry, 20 completed")
    assert live.page.locator(".cellist-edge[data-marked]").count() == 1
    lanes(live, "read_list").hover(position={"x": 3, "y": 7})
    expect(live.page.locator(".cellist-place[data-marked]")).to_contain_text("read_list")
    expect(readout).to_contain_text("reused")
    live.page.mouse.move(0, 0)
    expect(marked).to_have_count(0)
    expect(readout).to_be_hidden()


def test_a_click_on_a_bar_opens_its_run_and_escape_leads_back(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.tab("Timeline")
    band = lanes(live, "read_list")
    band.click(position={"x": 3, "y": 7})
    title = live.page.locator(".cellist-pane-title")
    expect(title).to_be_focused()
    assert "read_list" in title.inner_text()
    live.page.keyboard.press("Escape")
    expect(title).to_be_hidden()
    assert live.page.get_by_role("tab", name="Timeline").get_attribute("aria-selected") == "true"
    expect(live.page.locator(".cellist-band-name", has_text="read_list")).to_be_focused()


def test_the_graph_obeys_the_keyboard(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    assert live.page.locator(".cellist-node[tabindex='0']").count() == 1, "one tab stop"
    live.page.locator(".cellist-node[tabindex='0']").focus()
    live.page.keyboard.press("ArrowRight")
    expect(live.page.locator(".cellist-node", has_text="fetch")).to_be_focused()
    assert live.page.locator(".cellist-node[tabindex='0']").count() == 1
    live.page.keyboard.press("Enter")
    expect(live.page.locator(".cellist-group-line", has_text="fetch")).to_be_focused()
    live.page.keyboard.press("Escape")
    live.page.keyboard.press("Escape")
    expect(live.page.locator(".cellist-node", has_text="fetch")).to_be_focused()


def test_the_timeline_obeys_the_keyboard_and_tells_each_bar(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.tab("Timeline")
    live.page.locator(".cellist-band-name[tabindex='0']").focus()
    live.page.keyboard.press("End")
    expect(live.page.locator(".cellist-band-name", has_text="fetch")).to_be_focused()
    readout = live.page.locator(".cellist-readout")
    live.page.keyboard.press("ArrowRight")
    first = readout.inner_text()
    assert "completed" in first
    assert readout.get_attribute("aria-live") == "polite"
    live.page.keyboard.press("ArrowLeft")
    assert readout.inner_text() == first, "there is none before the first"
    for _ in range(25):
        live.page.keyboard.press("ArrowRight")
    last = readout.inner_text()
    assert last != first
    live.page.keyboard.press("Enter")
    opened = live.page.locator(".cellist-pane-title")
    expect(opened).to_be_focused()
    assert opened.locator(".cellist-pane-name").inner_text() in last


def test_the_list_and_its_grid_obey_the_keyboard(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.tab("List")
    live.page.locator(".cellist-group-line[tabindex='0']").focus()
    live.page.keyboard.press("ArrowDown")
    live.page.keyboard.press("ArrowDown")
    live.page.keyboard.press("ArrowRight")
    group = live.page.locator(".cellist-group-line", has_text="fetch")
    assert group.get_attribute("aria-expanded") == "true"
    live.page.keyboard.press("ArrowDown")
    focused = live.page.locator(".cellist-run-line").first
    expect(focused).to_be_focused()
    live.page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-expanded", "true")
    live.page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "false")
    grid = live.page.locator("canvas.cellist-grid:visible")
    grid.focus()
    live.page.keyboard.press("End")
    assert "waiting to retry" in (grid.locator("[role=option]").text_content() or "")
    live.page.keyboard.press("Enter")
    expect(live.page.locator(".cellist-pane-title")).to_be_focused()
    assert "waiting" in live.page.locator(".cellist-run-line[aria-expanded=true]").inner_text()


def test_search_and_switches_choose_runs(open_board):
    live = open_board()
    flow, _ = crawl(live.story)
    for i, tags in enumerate([{"eu"}, {"us"}, {"us", "slow"}]):
        run = live.story.task("load", flow)
        run.tags = frozenset(tags)
        run.inputs = {"url": f"'https://example.org/{i}'"}
        live.story.complete(run, 8, 9)
    live.answer()
    live.tab("List")
    found, rows = (
        live.page.locator(".cellist-found"),
        live.page.locator(".cellist-run-line:visible"),
    )
    search = live.page.get_by_role("searchbox", name="Search runs")
    search.fill("no such PAGE")
    assert rows.count() == 1
    assert found.inner_text() == "1 of 27 runs"
    assert live.page.locator(".cellist-group").count() == 1
    search.fill("example.org/2")
    assert rows.count() == 1
    search.press("Escape")
    assert live.page.locator(".cellist-group").count() == 4
    live.page.get_by_role("button", name="#us").click()
    assert found.inner_text() == "2 of 27 runs"
    live.page.get_by_role("button", name="✕ failed 1").click()
    assert live.page.get_by_text("No run fits.").is_visible()
    live.page.get_by_role("button", name="#us").click()
    assert rows.count() == 1
    assert rows.locator(".cellist-cell-state").inner_text() == "✕ failed"


def test_search_finds_a_run_that_was_only_counted(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    runs = [live.story.complete(live.story.task("fetch", flow), 1, 2) for _ in range(3_000)]
    runs[2_500].inputs = {"url": "'https://example.org/needle'"}
    live.answer()
    live.tab("List")
    live.page.get_by_role("searchbox", name="Search runs").fill("needle")
    expect(live.page.get_by_text("Looking at all runs…")).to_be_visible()
    live.page.wait_for_function("() => window.sent.some(({ kind }) => kind === 'find')")
    for message in live.page.evaluate("() => window.sent.splice(0)"):
        live.board._find(message)
    live.deliver()
    row = live.page.locator(".cellist-run-line:visible")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(runs[2_500].name)
    expect(live.page.locator(".cellist-found")).to_have_text("1 of 3,001 runs")
    live.page.get_by_role("searchbox", name="Search runs").fill("no such thing")
    live.page.wait_for_function("() => window.sent.some(({ text }) => text === 'no such thing')")
    for message in live.page.evaluate("() => window.sent.splice(0)"):
        live.board._find(message)
    live.deliver()
    expect(live.page.get_by_text("No run fits.")).to_be_visible()


def test_a_count_above_lists_the_runs_it_counts(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.locator(".cellist-chip", has_text="1 failed").click()
    assert live.page.locator(".cellist-run-line:visible").count() == 1
    switch = live.page.locator(".cellist-switch", has_text="failed")
    assert switch.get_attribute("aria-pressed") == "true"


def test_opening_a_run_that_the_filter_hides_lifts_the_filter(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.locator(".cellist-chip", has_text="1 reused").click()
    live.tab("Graph")
    live.page.locator(".cellist-node", has_text="fetch").click()
    expect(live.page.locator(".cellist-run-line:focus, .cellist-group-line:focus")).to_be_visible()
    assert live.page.locator(".cellist-switch[aria-pressed=true]").count() == 0


def test_a_cell_of_the_grid_opens_a_run_that_was_only_counted(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    for _ in range(3_000):
        live.story.complete(live.story.task("fetch", flow), 1, 2)
    live.answer()
    live.tab("List")
    live.page.locator(".cellist-group-line", has_text="fetch").click()
    grid = live.page.locator("canvas.cellist-grid:visible")
    grid.focus()
    live.page.keyboard.press("End")
    live.page.keyboard.press("Enter")
    asked = [one for one in live.page.evaluate("() => window.sent") if one["kind"] == "want"]
    assert asked == [{"kind": "want", "group": 1, "first": 2999, "number": 1}]
    live.answer()
    expect(live.page.locator(".cellist-pane-title")).to_be_focused()
    more = live.page.get_by_role("button", name="Show more of 3,000")
    before = live.page.locator(".cellist-run-line").count()
    for _ in range(3):
        more.click()
        live.answer()
    assert live.page.locator(".cellist-run-line").count() > before
    assert len(live.board._view.groups[1].rows) == 3_000


def test_the_header_says_how_long_it_usually_takes(open_board):
    live = open_board()
    live.board = Board(
        "crawl",
        control=live.click,
        ui="widget",
        screen=live.screen,
        usual=lambda *, reusing: [240.0, 250.0, 350.0, 360.0],
    )
    live.board.show()
    flow = live.story.begin(live.story.flow(), 0)
    live.story.begin(live.story.task("fetch", flow), 1)
    live.deliver()
    assert live.page.locator(".cellist-usual").inner_text() == "usually 4–6 min, last 4 runs"


def test_the_table_for_screen_readers_says_it_all(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    table = live.page.get_by_role("table")
    assert table.locator("caption").text_content().startswith("crawl: running. 23 task runs")
    lines = [line.split("\t") for line in table.inner_text().splitlines()]
    assert ["read_list", "reused", "reused · 999 ms", "999 ms", "same inputs, same source"] in lines
    failed = [line for line in lines if line[1:2] == ["failed"]]
    assert failed[0][-1] == "ValueError: no such page"


def test_views_of_an_output_drawn_anew_go_to_sleep_and_wake(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.evaluate(
        """() => {
          window.old = document.getElementById("widget");
          const next = document.createElement("div");
          next.id = "widget";
          window.old.replaceWith(next);
          window.again(next);
        }"""
    )
    assert live.page.evaluate("() => window.listening()") == 1, "the view that is gone is asleep"
    live.answer()
    assert live.page.locator(".cellist").count() == 1
    live.page.evaluate("() => document.body.append(window.old)")
    live.page.wait_for_function("() => window.listening() === 2")
    live.answer()
    assert live.page.locator(".cellist").count() == 2, "it was only out of sight"


def test_a_result_that_was_reused_is_a_diamond(open_board):
    live = open_board()
    run = live.story.task("fetch", live.story.begin(live.story.flow(), 0))
    run.why = Reason("hit", "reused", "same inputs", saved=3.0)
    live.story.complete(run, 0, 0.001, "Cached")
    live.answer()
    live.tab("Timeline")
    assert VIOLET in inks(ink(live, "fetch", 7))
