"""A flow in the background, where people see it: its board goes on while other cells run."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.jupyter import Notebook, browser_page, open_notebook, server, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """\
%load_ext cellist
import asyncio, time
from itertools import count
from cellist import task
from cellist.cache_policies import NO_CACHE

@task(cache_policy=NO_CACHE)
async def step(n):
    await asyncio.sleep(0.2)
    return n

@task(cache_policy=NO_CACHE)
def nap(seconds):
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
    return seconds

over = asyncio.Event()
"""
CELLS = [
    SETUP,
    "%%flow crawl --bg -o crawl\nfor n in count():\n    await step(n)\n    print('done', n)",
    "6 * 7",
    "time.sleep(1.5)",
    "print('asleep')\ntime.sleep(600)",
    "%%flow waits --bg -o waits\nnap.map([600, 601]).result()",
    "%%flow short --bg\nawait over.wait()\n1 / 0",
    "%cellist status",
    "over.set()",
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    """A notebook open in JupyterLab, used by the tests below one after the other."""
    directory = tmp_path_factory.mktemp("lab")
    (directory / "work").mkdir()
    file = directory / "work" / "background.ipynb"
    write_notebook(file, CELLS)
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    with server("lab", directory) as address, browser_page() as page:
        notebook = open_notebook(page, "lab", address, file)
        notebook.run(0)
        yield notebook
    patch.undo()


def board(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".cellist").first


def completed(notebook: Notebook, index: int) -> int:
    found = re.search(r"(\d+) completed", board(notebook, index).inner_text())
    return int(found[1]) if found else 0


def wait_for_more(notebook: Notebook, index: int, before: int) -> None:
    """Wait until two more steps have completed: at least, as a slow page may skip a number."""
    deadline = time.monotonic() + 60
    while completed(notebook, index) < before + 2:
        assert time.monotonic() < deadline, board(notebook, index).inner_text()
        notebook.page.wait_for_timeout(50)


def result(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".jp-OutputArea-executeResult")


def test_the_board_goes_on_while_other_cells_run_and_prints_stay_with_it(opened: Notebook) -> None:
    opened.run(1)  # to its end, which comes at once
    expect(board(opened, 1)).to_contain_text("running")
    opened.run(2)
    expect(result(opened, 2)).to_contain_text("42")
    wait_for_more(opened, 1, 0)
    before = completed(opened, 1)
    opened.run(3)  # blocks the kernel, and with it the flow, but not the board
    expect(board(opened, 1)).to_contain_text("running")
    wait_for_more(opened, 1, before)
    expect(opened.cell(1).locator(".jp-OutputArea-output", has_text="done 1")).to_be_visible()
    assert "done" not in opened.cell(2).locator(".jp-OutputArea").inner_text()


def test_stop_of_another_cell_leaves_it_alone(opened: Notebook) -> None:
    opened.run(4, wait=False)
    expect(opened.cell(4)).to_contain_text("asleep\n")
    opened.page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    expect(opened.cell(4)).to_contain_text("KeyboardInterrupt")
    before = completed(opened, 1)
    wait_for_more(opened, 1, before)


def test_the_cancel_button_concerns_its_flow(opened: Notebook) -> None:
    opened.run(5)
    other = board(opened, 5)
    expect(other).to_contain_text("2 running")
    opened.run(7)
    expect(opened.cell(7)).to_contain_text("flow waits")
    other.get_by_role("button", name="Cancel").first.click()
    expect(other.locator(".cellist-word")).to_have_text("cancelled")
    expect(board(opened, 1).locator(".cellist-word")).to_have_text("running")
    board(opened, 1).get_by_role("button", name="Cancel").first.click()
    expect(board(opened, 1).locator(".cellist-word")).to_have_text("cancelled")


def test_a_cell_run_again_shows_the_flow_that_goes_on(opened: Notebook) -> None:
    opened.run(6)
    expect(board(opened, 6)).to_contain_text("running")
    opened.run(6)
    expect(opened.cell(6)).to_contain_text("still runs, since")
    expect(board(opened, 6)).to_contain_text("running")
    opened.run(8)
    expect(board(opened, 6).locator(".cellist-word")).to_have_text("failed")
    expect(opened.cell(6)).to_contain_text("ZeroDivisionError")
    assert opened.errors == []
