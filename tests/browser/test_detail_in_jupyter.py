"""The pane of a run, the cards and their buttons where people use them: in JupyterLab."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import (
    READY,
    Notebook,
    browser_page,
    open_notebook,
    server,
    write_notebook,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

HOSTILE = "<img src=x onerror=alert(1)>"
SETUP = """\
%load_ext cellist
import asyncio, pathlib, time
import pandas as pd
from cellist import get_run_logger, task
from cellist.cache_policies import NO_CACHE

@task
def load(n):
    print("reading", n)
    return pd.DataFrame({"city": ["<b>Oslo"] * n, "temp": range(n)})

@task
def plot(frame):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(4, 2))
    figure.subplots().plot(frame.temp)
    return figure

class Evil:
    def __repr__(self):
        return "<img src=x onerror=alert(1)>"

@task(cache_policy=NO_CACHE, task_run_name="evil <img src=x onerror=alert(1)>")
def evil():
    get_run_logger().warning("<img src=x onerror=alert(1)>")
    return Evil()

@task
def parse(row):
    return int(row["value"])

@task(retries=2, retry_delay_seconds=[600, 600], cache_policy=NO_CACHE)
async def fetch(url):
    if not pathlib.Path("up").exists():
        raise ConnectionError("503 for " + url)
    return url

@task(cache_policy=NO_CACHE)
def nap(seconds):
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)

@task
def part(i):
    if i == 2 and not pathlib.Path("there").exists():
        raise RuntimeError("part 2 is missing")
    return i
"""
WEATHER = """\
%%flow weather
frame = load(300)
figure = plot(frame)
odd = evil()
parse({"value": "thirteen"}, return_state=True)
len(frame)"""
CELLS = [
    SETUP,
    WEATHER,
    "# the code that was copied",
    "%%flow crawl\nawait fetch.submit('a')",
    "%%flow crawl2\nawait fetch.submit('b')",
    "%%flow one\nnap.submit(600).result()",
    "%%flow some\nfutures = nap.map([601, 602, 603])\nfutures.wait()",
    "%%flow all\nnap.submit(604).result()",
    "%%flow shaky\nsum(part.map(range(4)).result())",
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory):
    """A notebook open in a page, used by the tests below one after the other."""
    directory = tmp_path_factory.mktemp("lab")
    (directory / "work").mkdir()
    file = directory / "work" / "detail.ipynb"
    write_notebook(file, CELLS)
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    with server("lab", directory) as address, browser_page() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened = open_notebook(page, "lab", address, file)
        page.on("dialog", lambda dialog: opened.errors.append(dialog.message))
        opened.run(0)
        yield opened
        assert opened.outside == []
        assert opened.errors == []
    patch.undo()


def work(notebook: Notebook) -> Path:
    return notebook.file.parent


def start(notebook: Notebook, index: int) -> None:
    """Run a cell and do not wait; but before, since an error takes queued cells with it."""
    notebook.page.wait_for_function(READY)
    notebook.run(index, wait=False)


def board(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".cellist").first


def open_run(notebook: Notebook, index: int, name: str):
    live = board(notebook, index)
    live.get_by_role("tab", name="List").click()
    live.locator(".cellist-group-line", has_text=name).first.click()
    pane = live.locator(".cellist-pane")
    expect(pane).to_be_visible()
    return pane


def test_a_frame_is_a_table_and_its_code_runs_in_a_new_cell(notebook: Notebook) -> None:
    notebook.run(1)
    expect(board(notebook, 1)).to_contain_text("completed")
    pane = open_run(notebook, 1, "load")
    table = pane.locator(".cellist-table")
    expect(table).to_contain_text("<b>Oslo")
    expect(table.locator("tbody tr")).to_have_count(10)
    expect(pane).to_contain_text("reading 300")
    pane.get_by_role("button", name="Copy code: Result").click()
    expect(pane.get_by_role("button", name="Copy code: Result")).to_have_text("Copied")
    code = notebook.page.evaluate("() => navigator.clipboard.readText()")
    cell = "window.jupyterapp.shell.currentWidget.content.widgets[2].model.sharedModel"
    notebook.page.evaluate(f"(code) => {cell}.setSource(code)", f"{code}\nresult.shape")
    notebook.run(2)
    expect(notebook.cell(2).locator(".jp-OutputArea-output").last).to_contain_text("(300, 2)")


def test_a_figure_is_drawn_and_a_link_leads_to_where_its_data_came_from(notebook: Notebook) -> None:
    pane = open_run(notebook, 1, "plot")
    picture = pane.get_by_role("img", name="figure")
    expect(picture).to_be_visible(timeout=20_000)
    assert picture.evaluate("(img) => img.decode().then(() => img.naturalWidth)") > 200
    pane.locator(".cellist-link", has_text="load").first.click()
    expect(pane.locator(".cellist-pane-title")).to_contain_text("load")
    expect(pane.locator(".cellist-table")).to_be_visible(timeout=20_000)


def test_hostile_names_logs_and_reprs_are_text(notebook: Notebook) -> None:
    pane = open_run(notebook, 1, "evil")
    expect(pane.locator(".cellist-logs")).to_contain_text(HOSTILE)
    expect(pane.locator(".cellist-pane-title")).to_contain_text(f"evil {HOSTILE}")
    expect(pane.locator(".cellist-value pre")).to_have_text(HOSTILE)
    assert notebook.page.locator("img[src=x]").count() == 0


def test_a_failure_leads_to_its_lines_and_its_inputs(notebook: Notebook) -> None:
    card = board(notebook, 1).locator(".cellist-card")
    expect(card).to_contain_text("ValueError: invalid literal")
    card.get_by_role("button", name="Traceback").click()
    pane = board(notebook, 1).locator(".cellist-pane")
    frame = pane.locator(".cellist-frames .is-own").last
    expect(frame).to_contain_text("Cell In[1], line ")
    expect(frame).to_contain_text('return int(row["value"])')
    expect(frame).to_be_focused()
    card.get_by_role("button", name="Load the inputs").click()
    expect(pane.locator(".cellist-load[open] pre")).to_contain_text('row = run.load("row")')
    notebook.page.keyboard.press("Escape")
    expect(pane).to_be_hidden()
    assert notebook.cell(1).locator(".cm-content").is_visible(), "Escape did not reach Lab"


def test_a_retry_is_brought_forward_from_the_pane(notebook: Notebook) -> None:
    start(notebook, 3)
    live = board(notebook, 3)
    card = live.locator(".cellist-card")
    expect(card).to_contain_text("attempt 2 of 3 in 9 min")
    expect(card).to_contain_text("ConnectionError: 503 for a")
    card.get_by_role("button", name="Details").click()
    pane = live.locator(".cellist-pane")
    expect(pane.locator(".cellist-frames")).to_contain_text("raise ConnectionError")
    (work(notebook) / "up").touch()
    pane.get_by_role("button", name="Retry now").click()
    expect(live.locator(".cellist-notice")).to_contain_text("tries again now")
    expect(live.locator(".cellist-word")).to_have_text("completed")
    expect(pane.locator(".cellist-states")).to_contain_text("attempt 2")


def test_a_retry_is_given_up(notebook: Notebook) -> None:
    (work(notebook) / "up").unlink()
    start(notebook, 4)
    live = board(notebook, 4)
    expect(live.locator(".cellist-card")).to_contain_text("attempt 2 of 3")
    live.locator(".cellist-card").get_by_role("button", name="Give up").click()
    expect(live.locator(".cellist-word")).to_have_text("failed")
    expect(live.locator(".cellist-card")).to_contain_text("ConnectionError: 503 for b")


def test_a_run_is_cancelled_while_a_sync_body_blocks_the_kernel(notebook: Notebook) -> None:
    start(notebook, 5)
    live = board(notebook, 5)
    expect(live).to_contain_text("1 running")
    pane = open_run(notebook, 5, "nap")
    expect(pane.locator(".cellist-states")).to_contain_text("running")
    pane.get_by_role("button", name="Cancel").click()
    expect(live.locator(".cellist-notice")).to_contain_text("asked to stop")
    expect(pane.locator(".cellist-pane-title")).to_contain_text("cancelled")


def test_a_group_is_cancelled(notebook: Notebook) -> None:
    start(notebook, 6)
    live = board(notebook, 6)
    expect(live).to_contain_text("3 running")
    live.get_by_role("tab", name="List").click()
    live.get_by_role("button", name="Cancel: all runs of nap").click()
    expect(live.locator(".cellist-notice")).to_have_text("Asked to stop: 3 runs of nap.")
    expect(live.locator(".cellist-counts")).to_contain_text("3 cancelled")


def test_a_flow_is_cancelled(notebook: Notebook) -> None:
    start(notebook, 7)
    live = board(notebook, 7)
    expect(live).to_contain_text("1 running")
    live.locator(".cellist-first").get_by_role("button", name="Cancel").click()
    expect(live.locator(".cellist-word")).to_have_text("cancelled")


def test_what_failed_runs_again_below_and_reuses_the_rest(notebook: Notebook) -> None:
    notebook.run(8)
    first = board(notebook, 8)
    expect(first.locator(".cellist-card")).to_contain_text("part 2 is missing")
    (work(notebook) / "there").touch()
    first.get_by_role("button", name="Retry failed").click()
    expect(first.locator(".cellist-notice")).to_contain_text("runs again")
    second = notebook.cell(8).locator(".cellist").nth(1)
    expect(second).to_contain_text("1 completed")
    expect(second).to_contain_text("3 reused")
