"""The pane of one run and the cards, alone in a real browser, fed by a real session."""

import time

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from cellist import flow, task
from cellist.board.details import Details
from cellist.cache_policies import NO_CACHE
from cellist.model.states import FAILED, RUNNING
from cellist.session import get_session
from tests.board import frontend
from tests.board.test_access_in_browser import AXE
from tests.sessions import Recorder

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"


@task
def load(n):
    return pd.DataFrame({"a": range(n), "b": [HOSTILE] * n})


@task
def draw(frame):
    return np.random.default_rng(1).random((len(frame), 64))


@task(cache_policy=NO_CACHE)
def parse(frame, row):
    return int(frame["b"][row])


@flow
def crawl():
    frame = load(100)
    draw(frame)
    parse.with_options(task_run_name=f"parse {HOSTILE}")(frame, 7, return_state=True)


@pytest.fixture
def open_crawl(open_board, recorder: Recorder):
    """Return what opens the board of a flow that has run, whose details can be asked for."""

    def start(**options):
        crawl()
        shown = open_board(**options)
        shown.board._details = Details(get_session)
        shown.board.apply(recorder.events)
        shown.hello()
        return shown

    return start


@pytest.fixture
def live(open_crawl):
    return open_crawl()


def answer(live, last="values"):
    """Let the board answer, which it does on a thread of its own."""
    before = len(live.delivered)
    live.answer()
    end = time.monotonic() + 30
    while not any(last in one for one in [*live.delivered[before:], *live.screen.messages]):
        assert time.monotonic() < end, live.screen.messages
        time.sleep(0.01)
    live.deliver()


def open_run(live, name):
    live.tab("List")
    live.page.locator(".cellist-group-line", has_text=name).first.click()
    return live.page.locator(".cellist-pane")


def test_a_run_opens_to_what_the_page_knows_and_then_to_all(live):
    pane = open_run(live, "load")
    expect(pane).to_be_visible()
    assert "n" in pane.locator(".cellist-value").first.inner_text()
    answer(live)
    table = pane.locator(".cellist-table")
    assert table.locator("thead th").all_inner_texts()[0].startswith("a")
    assert table.locator("tbody tr").count() == 10
    assert HOSTILE in table.inner_text()
    assert "… 90 more rows" in pane.inner_text()
    assert live.page.locator("#widget img").count() == 0


def test_pictures_are_shown(live):
    pane = open_run(live, "draw")
    answer(live)
    picture = pane.get_by_role("img", name="thumbnail of the array, 64 by 100")
    expect(picture).to_be_visible()
    assert picture.evaluate("(img) => img.decode().then(() => img.naturalWidth)") == 64


def test_a_failure_shows_its_frames_and_the_lines(live):
    pane = open_run(live, "parse")
    answer(live)
    frame = pane.locator(".cellist-frames .is-own").last
    assert "in parse" in frame.inner_text()
    assert 'return int(frame["b"][row])' in frame.inner_text()
    assert HOSTILE in pane.locator(".cellist-pane-title").inner_text()
    assert live.page.locator("#widget img").count() == 0


def test_links_lead_to_other_runs_and_back_and_escape_to_where_one_was(live):
    pane = open_run(live, "draw")
    answer(live)
    pane.get_by_role("button", name="load").first.click()
    answer(live)
    assert "load" in pane.locator(".cellist-pane-title").inner_text()
    pane.get_by_role("button", name="Back to the run before").click()
    answer(live)
    assert "draw" in pane.locator(".cellist-pane-title").inner_text()
    focused = "() => document.activeElement.className"
    assert live.page.evaluate(focused) == "cellist-pane-title"
    live.page.keyboard.press("Escape")
    expect(pane).to_be_hidden()
    assert "draw" in live.page.evaluate("() => document.activeElement.textContent")


def test_code_is_copied_and_runs(live):
    live.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pane = open_run(live, "load")
    answer(live)
    pane.get_by_role("button", name="Copy code: Result").click()
    expect(pane.get_by_role("button", name="Copy code: Result")).to_have_text("Copied")
    pane.get_by_text("Load in a cell").last.click()
    code = pane.locator(".cellist-load[open] pre").inner_text()
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert isinstance(namespace["result"], pd.DataFrame)


def test_the_card_of_a_failure_leads_to_inputs_and_traceback(live):
    card = live.page.locator(".cellist-card")
    assert "failed" in card.inner_text()
    assert "ValueError: invalid literal" in card.inner_text()
    card.get_by_role("button", name="Load the inputs").click()
    answer(live)
    pane = live.page.locator(".cellist-pane")
    expect(pane.locator(".cellist-load[open] pre")).to_contain_text('row = run.load("row")')
    expect(pane.get_by_role("button", name="Copy code: Inputs")).to_be_focused()
    card.get_by_role("button", name="Traceback").click()  # which is here already
    live.page.wait_for_function("() => document.activeElement.textContent.includes('int(frame')")


def test_a_kernel_that_is_busy_is_told_of(live):
    pane = open_run(live, "load")
    note = pane.locator("p[role=status]")
    expect(note).to_have_text("The kernel is busy in a cell; more is shown here when it is free.")
    answer(live)
    expect(note).to_have_text("")


def test_a_run_that_nobody_knows_is_said_to_be_unknown(live):
    open_run(live, "load")
    live.page.evaluate("() => { window.sent.at(-1).run = 'ab'.repeat(16); }")
    answer(live, "problem")
    note = live.page.locator(".cellist-pane p[role=status]")
    expect(note).to_contain_text("There is no run with the id")


def test_a_group_is_cancelled_with_one_click(open_board):
    live = open_board()
    whole = live.story.begin(live.story.flow(), 0)
    runs = [live.story.begin(live.story.task("fetch", whole), 1) for _ in range(5)]
    live.story.complete(live.story.task("fetch", whole), 1, 2)
    live.answer()
    live.tab("List")
    live.page.get_by_role("button", name="Cancel: all runs of fetch").click()
    live.answer()
    assert live.clicks == [("cancel", f"{run.number:032x}") for run in runs]
    notice = live.page.locator(".cellist-notice")
    expect(notice).to_have_text("Asked to stop: 5 runs of fetch.")
    assert live.page.locator(".cellist-notice code").inner_text() == "fetch"


def test_the_card_of_a_retry_counts_down_and_leads_to_its_run(open_board):
    live = open_board()
    whole = live.story.begin(live.story.flow(), 0)
    for due in (200, 125):
        run = live.story.task("fetch", whole, retries=3)
        live.story.wait_for_retry(run, 1, 2, due=due)
    live.answer()
    card = live.page.locator(".cellist-card")
    assert f"{run.name} failed; attempt 2 of 4 in 1 min" in card.inner_text()
    assert "TimeoutError: the server is slow" in card.inner_text()
    assert "and 1 more" in card.inner_text()
    card.get_by_role("button", name="Details").click()
    assert run.name in live.page.locator(".cellist-pane-title").inner_text()
    live.page.locator(".cellist-pane").get_by_role("button", name="Give up").click()
    live.answer()
    assert live.clicks == [("give_up", f"{run.number:032x}")]
    live.story.enter(run, 3, RUNNING, "Retrying")
    live.deliver()
    assert "and 1 more" not in card.inner_text()
    expect(live.page.locator(".cellist-pane .cellist-buttons")).to_have_text("Cancel")


def test_the_card_of_a_failed_flow_offers_to_run_it_again(open_board):
    live = open_board()
    whole = live.story.begin(live.story.flow(), 0)
    live.story.fail(live.story.task("fetch", whole), 1, 2, "no such page")
    live.answer()
    card = live.page.locator(".cellist-card")
    assert card.get_by_role("button", name="Retry failed").count() == 0, "it still goes on"
    live.story.enter(whole, 3, FAILED)
    live.board.close()
    live.deliver()
    card.get_by_role("button", name="Retry failed").click()
    live.answer()
    assert live.clicks == [("retry_failed", f"{whole.number:032x}")]


@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_in_the_pane(open_crawl, dark, width):
    live = open_crawl(width=width, dark=dark)
    live.page.evaluate(frontend.axe())
    for name in ("load", "draw", "parse"):
        open_run(live, name)
        answer(live)
        assert live.page.evaluate(AXE) == [], name
        assert live.page.evaluate("() => document.documentElement.scrollWidth") <= width
