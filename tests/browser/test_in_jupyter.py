"""The board where people see it: JupyterLab and Notebook 7 in a real browser."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import (
    READY,
    Notebook,
    browser_page,
    forget_kernels,
    open_notebook,
    server,
    write_notebook,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

SETUP = """\
%load_ext cellist
import asyncio, pathlib, time
from cellist import task
from cellist.cache_policies import NO_CACHE

seen = pathlib.Path("seen")

@task(retries=2, retry_delay_seconds=[500, 500])
def fetch(url):
    time.sleep(0.1)
    if url == 3 and not seen.exists():
        seen.touch()
        raise ConnectionError("503 for page 3")
    return url

@task
def total(pages):
    return sum(pages)

@task(cache_policy=NO_CACHE)
async def doze(seconds):
    await asyncio.sleep(seconds)

@task(cache_policy=NO_CACHE)
def nap(seconds):
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
"""
DRAW = """\
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(4, 2))
axes.scatter(range(500), [7 * x % 11 for x in range(500)])
plt.show()
time.sleep(0.3)
"""
CELLS = [
    SETUP,
    "%%flow crawl\npages = fetch.map(range(5))\ntotal(pages)",
    "%%flow crawl\npages = fetch.map(range(5))\ntotal(pages)",
    "%%flow sleepy\nawait asyncio.gather(doze(600), doze(601))",
    "%%flow busy\nfuture = nap.submit(600)\nawait future",
    "%%flow bad\nnap.submit('<img src=x onerror=alert(1)>').result()",
    "%%flow cut\nawait doze(600)",
    DRAW,
    *(f"%%task drawn-{number}\n{DRAW}{number}" for number in range(3)),
]
PICTURES = """(index) => window.jupyterapp.shell.currentWidget.content.widgets[index].model
  .sharedModel.getOutputs().map((one) => one.data?.["image/png"]).filter((one) => one)"""
RUN_ONCE = """(index) => {
  const { shell, commands } = window.jupyterapp;
  shell.currentWidget.content.activeCellIndex = index;
  shell.currentWidget.content.deselectAll();
  void commands.execute("notebook:run-cell");
}"""
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"


@pytest.fixture(scope="module", params=["lab", "notebook"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A notebook open in a page, used by the tests below one after the other."""
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "work").mkdir()
    file = directory / "work" / "board.ipynb"
    write_notebook(file, CELLS)
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    with server(request.param, directory) as address, browser_page() as page:
        notebook = open_notebook(page, request.param, address, file)
        notebook.run(0)
        yield notebook, address, request.param, directory
    patch.undo()


def board(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".cellist").first


def left(countdown) -> int:
    """The seconds that a countdown shows."""
    minutes, seconds = re.findall(r"in (\d+) min (\d+) s", countdown.inner_text())[0]
    return 60 * int(minutes) + int(seconds)


def test_the_board_lives_while_the_cell_runs_and_a_click_brings_a_retry_forward(opened) -> None:
    notebook, *_ = opened
    notebook.run(1, wait=False)
    live = board(notebook, 1)
    expect(live).to_be_visible(timeout=20_000)
    expect(live).to_contain_text("waiting to retry")
    expect(live).to_contain_text("running")
    countdown = live.locator(".cellist-next")
    expect(countdown).to_contain_text("attempt 2 of 3")
    begin = time.monotonic()
    first = left(countdown)
    expect(countdown).not_to_contain_text(f"{first % 60:02d} s")
    assert 1 <= first - left(countdown) <= time.monotonic() - begin + 2
    live.get_by_role("button", name="Retry now").click()
    expect(live).to_contain_text("completed")
    expect(notebook.cell(1).locator(".jp-OutputArea-executeResult")).to_contain_text("10")


def test_a_figure_is_drawn_whole_beside_a_live_board(opened) -> None:
    notebook, *_ = opened
    drawn = []
    for index in range(len(CELLS) - 4, len(CELLS)):
        notebook.run(index)
        drawn.append(notebook.page.evaluate(PICTURES, index))
    assert len(drawn[0]) == 1
    assert drawn[1:] == [drawn[0]] * 3


def test_the_second_run_says_what_it_reused(opened) -> None:
    notebook, *_ = opened
    notebook.run(2)
    again = board(notebook, 2)
    expect(again).to_contain_text("6 reused")
    again.get_by_role("tab", name="List").click()
    expect(again).to_contain_text("reused from")


@pytest.mark.parametrize("index", [3, 4], ids=["awaiting", "in a thread"])
def test_the_cancel_button_cancels(opened, index: int) -> None:
    notebook, *_ = opened
    notebook.run(index, wait=False)
    live = board(notebook, index)
    expect(live).to_contain_text("1 running" if index == 4 else "2 running")
    live.get_by_role("button", name="Cancel").first.click()
    expect(live.locator(".cellist-word")).to_have_text("cancelled")
    expect(notebook.cell(index).locator(".jp-OutputArea-output").last).to_contain_text("Cancel")


def test_hostile_text_is_text(opened) -> None:
    notebook, *_ = opened
    notebook.page.on("dialog", lambda dialog: notebook.errors.append(dialog.message))
    notebook.run(5)
    expect(board(notebook, 5)).to_contain_text("failed")
    assert notebook.page.locator("img[src=x]").count() == 0


def test_only_one_form_is_shown_and_nothing_leaves_the_machine(opened) -> None:
    notebook, *_ = opened
    for index in range(1, 6):
        expect(board(notebook, index)).to_be_visible()
        expect(notebook.cell(index).locator("[data-cellist-static] table").first).to_be_hidden()
    assert notebook.outside == []
    assert notebook.errors == []


def test_a_restart_under_a_running_flow_is_told_and_stops_the_clock(opened) -> None:
    notebook, *_ = opened
    notebook.page.evaluate(RUN_ONCE, 6)  # `run` would begin anew what the restart drops
    live = board(notebook, 6)
    expect(live.locator(".cellist-state")).to_contain_text("running")
    notebook.page.evaluate(RESTART)
    expect(live.locator(".cellist-state")).to_contain_text("kernel gone")
    expect(live.locator(".cellist-clock")).to_have_text("")
    expect(live.locator(".cellist-notice")).to_contain_text("%cellist resume goes on")
    expect(board(notebook, 2).locator(".cellist-state")).to_contain_text("completed")
    notebook.page.wait_for_function(READY)
    notebook.run(0)


def test_a_saved_notebook_opened_without_its_kernel_shows_the_record(opened) -> None:
    notebook, address, app, directory = opened
    (directory / "work" / "seen").touch()  # nothing fails from here on
    notebook.run(1)
    saved = notebook.save()
    html = [
        output["data"].get("text/html", "")
        for output in saved.cells[1].outputs
        if output.output_type == "display_data"
    ]
    assert any("data-cellist-static" in text for text in html)
    forget_kernels(notebook.page, Path(directory))
    page = notebook.page.context.browser.new_page(viewport={"width": 1200, "height": 1000})
    fresh = open_notebook(page, app, address, notebook.file)
    record = fresh.cell(1).locator("[data-cellist-static]")
    expect(record).to_be_visible(timeout=20_000)
    expect(record.locator("table").first).to_contain_text("fetch")
    dead = fresh.page.get_by_text("Error displaying widget")
    fresh.page.wait_for_timeout(2_000)  # the widget that is not there gives up after a while
    assert not any(message.is_visible() for message in dead.all())
    assert "model not found" not in fresh.cell(1).inner_text()
    assert fresh.outside == []
    page.close()
