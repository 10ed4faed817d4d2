"""The bar of a run that counts what it does, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from cellist.model.progress import Bar, begin, end
from cellist.model.states import COMPLETED
from tests import chromium
from tests.board.page import FLAGS, Live

pytestmark = pytest.mark.browser


@pytest.fixture
def live() -> Iterator[Any]:
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        page = Live(browser)
        yield page
        assert page.errors == []
        browser.close()


def width_of(live: Any, selector: str) -> float:
    """How wide the bar at the foot of an element is, as a share of the element."""
    return live.page.locator(selector).first.evaluate(
        "(el) => parseFloat(getComputedStyle(el, '::after').width) / el.clientWidth"
    )


def test_node_and_line_have_a_bar_that_grows_and_goes(live):
    story = live.story
    flow = story.begin(story.flow(), 0)
    run = story.begin(story.task("load", flow), 0)
    story.complete(story.task("list", flow), 0, 1)
    bar = Bar(100, "pages")
    begin(run, bar)
    bar.done = 25
    live.answer()
    node = live.page.locator(".cellist-node[data-done]")
    expect(node).to_contain_text("25%")
    assert width_of(live, ".cellist-node[data-done]") == pytest.approx(0.25, abs=0.03)
    live.tab("List")
    line = live.page.locator(".cellist-group-line[data-done]")
    expect(line).to_contain_text("pages: 25 of 100")
    bar.done = 75
    live.board._next_tick = 0.0
    live.deliver()
    expect(line).to_contain_text("pages: 75 of 100")
    assert width_of(live, ".cellist-group-line[data-done]") == pytest.approx(0.75, abs=0.03)
    end(run, bar)
    story.enter(run, 3, COMPLETED)
    live.deliver()
    expect(live.page.locator("[data-done]:visible")).to_have_count(0)
    live.tab("Graph")
    expect(live.page.locator("[data-done]")).to_have_count(0)
