"""Whether everybody can use the board: axe, forced colours, calm, any width, no jumps."""

import time

import pytest
from playwright.sync_api import expect

from cellist.model.states import COMPLETED
from tests.board import frontend
from tests.board.page import crawl

pytestmark = pytest.mark.browser

AXE = """
async () => {
  const found = await axe.run(document.getElementById("widget"), {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  });
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) =>
    `${node.html.slice(0, 150)} (${node.failureSummary})`).join("; ")}`);
}
"""
SHIFTS = """
() => {
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shift += entry.value;
  }).observe({ type: "layout-shift" });
}
"""


def views(live):
    """Yield after each view was opened, the list with a run open and with a filter."""
    for name in ("Overview", "Graph", "Timeline"):
        tab = live.page.get_by_role("tab", name=name)
        if tab.is_visible():
            tab.click()
            yield name
    live.tab("List")
    live.page.locator(".cellist-group-line", has_text="fetch").click()
    live.page.locator(".cellist-run-line").first.click()
    yield "List"
    live.page.get_by_role("button", name="#net").click()
    live.page.locator(".cellist-group-line").first.hover()
    yield "filtered list"


@pytest.mark.parametrize("width", [360, 1000, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(open_board, dark, width):
    live = open_board(width=width, dark=dark)
    flow, _ = crawl(live.story)
    run = live.story.task("tagged", flow)
    run.tags = frozenset({"net"})
    live.story.begin(run, 8)
    live.answer()
    live.page.evaluate(frontend.axe())
    for name in views(live):
        assert live.page.evaluate(AXE) == [], name


def test_axe_finds_nothing_on_a_lone_run(open_board):
    live = open_board()
    live.story.fail(live.story.task("slow"), 0, 1, "no")
    live.answer()
    live.page.evaluate(frontend.axe())
    assert live.page.evaluate(AXE) == []
    live.page.locator(".cellist-fold").click()
    assert live.page.evaluate(AXE) == []


def test_axe_finds_what_is_wrong(open_board):
    live = open_board()
    crawl(live.story)
    live.answer()
    live.page.evaluate(frontend.axe())
    live.page.locator(".cellist-title").evaluate("(el) => { el.style.color = '#ddd'; }")
    assert "color-contrast" in "".join(live.page.evaluate(AXE))


@pytest.mark.parametrize("name", ["Graph", "Timeline", "List"])
def test_nothing_shifts_while_it_runs(open_board, capsys, name):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    live.answer()
    live.page.evaluate("() => document.body.append('What stands below the board.')")
    live.tab(name)
    live.page.wait_for_timeout(600)  # what follows a click within half a second does not count
    live.page.evaluate(SHIFTS)
    runs = []
    for i in range(40):
        run = live.story.task(f"task {i // 8}", flow, upstream=runs[-1:], retries=3)
        runs.append(run)
        if i % 10 == 5:
            live.story.wait_for_retry(run, i / 5, i / 5 + 0.1, due=20)
        else:
            live.story.complete(run, i / 5, i / 5 + 0.1)
        live.deliver()
    live.story.enter(flow, 9, COMPLETED)
    live.deliver()
    live.page.wait_for_timeout(100)
    shift = live.page.evaluate("() => window.shift")
    with capsys.disabled():
        print(f"\n  layout shift of 40 updates, {name}: {shift:.4f}", end="")
    assert shift < 0.02, "a tenth is called good for a whole page"


def test_forced_colours_are_the_systems(open_board):
    live = open_board(forced_colors="active")
    crawl(live.story)
    live.answer()
    board = live.page.locator(".cellist")
    system = live.page.evaluate(
        """() => {
          const probe = document.body.appendChild(document.createElement("i"));
          probe.style.cssText = "color: CanvasText; background-color: Canvas";
          const style = getComputedStyle(probe);
          return [style.color, style.backgroundColor];
        }"""
    )
    found = board.evaluate(
        "(el) => [getComputedStyle(el).color, getComputedStyle(el).backgroundColor]"
    )
    assert found == system
    live.tab("Timeline")
    drawn = live.page.locator(".cellist-band canvas").first.evaluate(
        """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
          .some((value) => value > 0)"""
    )
    assert drawn, "what is on a canvas has a colour there, too"


def test_canvases_follow_a_change_of_theme(open_board):
    live = open_board()
    run = live.story.task("fetch", live.story.begin(live.story.flow(), 0))
    live.story.complete(run, 0, 5)
    live.answer()
    live.tab("Timeline")
    colour = """() => {
      const canvas = [...document.querySelectorAll(".cellist-band")]
        .find((band) => band.textContent.includes("fetch")).querySelector("canvas");
      return [...canvas.getContext("2d").getImageData(8, 8, 1, 1).data].slice(0, 3).join();
    }"""
    live.page.wait_for_function(f"() => ({colour})() === '23,122,82'")
    live.page.evaluate("() => document.body.setAttribute('data-jp-theme-light', 'false')")
    live.page.wait_for_function(f"() => ({colour})() === '82,201,148'")


def test_who_asks_for_calm_gets_no_animation_and_clocks_by_the_second(open_board):
    live = open_board(reduced_motion="reduce")
    crawl(live.story)
    live.answer()
    assert live.page.evaluate("() => document.getAnimations().length") == 0
    assert live.page.locator(".cellist-place").first.evaluate(
        "(el) => getComputedStyle(el).transitionDuration"
    ) in ("0s", "")
    texts, seconds = live.page.evaluate(
        """async () => {
          const seen = new Set(), begin = performance.now();
          for (let i = 0; i < 20; i += 1) {
            seen.add(document.querySelector(".cellist-clock").textContent);
            await new Promise((done) => setTimeout(done, 100));
          }
          return [seen.size, (performance.now() - begin) / 1000];
        }"""
    )
    assert texts <= seconds + 2


@pytest.mark.parametrize("width", [360, 600, 1000, 1400, 2000])
def test_every_width_is_used_without_scrolling_sideways(open_board, width):
    live = open_board(width=width)
    flow, _ = crawl(live.story)
    for i in range(4):
        live.story.begin(live.story.task(f"a_task_with_rather_a_long_name_{i}", flow), 7)
    live.answer()
    live.page.evaluate("() => document.body.style.margin = 0")
    for name in ("Overview", "Timeline", "List"):
        tab = live.page.get_by_role("tab", name=name)
        if not tab.is_visible():
            continue
        tab.click()
        assert live.page.evaluate("() => document.documentElement.scrollWidth") <= width
        for panel in live.page.locator(".cellist-panel:visible").all():
            if panel.get_attribute("data-view") != "Graph":
                assert panel.evaluate("(el) => el.scrollWidth - el.clientWidth") <= 0, name
    box = live.page.locator(".cellist").bounding_box()
    assert box["width"] == width


def test_announcements_are_polite_and_rare(open_board):
    live = open_board()
    flow = live.story.begin(live.story.flow(), 0)
    live.answer()
    spoken = live.page.locator("div.cellist-spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    live.page.evaluate(
        """() => {
          window.said = [];
          const spoken = document.querySelector("div.cellist-spoken");
          new MutationObserver(() => window.said.push(spoken.textContent))
            .observe(spoken, { childList: true, characterData: true, subtree: true });
        }"""
    )
    begin = time.monotonic()
    for i in range(20):
        live.story.complete(live.story.task("fetch", flow), i / 4, i / 4 + 0.1)
        live.deliver()
    said = live.page.evaluate("() => window.said")
    assert len(said) <= 1 + (time.monotonic() - begin) / 10, "not oftener than every ten seconds"
    live.story.enter(flow, 9, COMPLETED)
    live.deliver()
    expect(spoken).to_have_text("crawl: completed. 20 task runs: 20 completed. It took 9.0 s.")
