"""The record where its notebook is opened again, and where the live board cannot be.

Saved notebooks come from a headless run that made a widget all the same, with and without the
state of its widgets, so they are what a colleague gets: not trusted until somebody says so.
"""

import os
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.browser.jupyter import (
    READY,
    Notebook,
    browser_page,
    open_notebook,
    server,
    write_notebook,
)

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(400)]

SETUP = """\
%load_ext cellist
import asyncio, pathlib
from cellist import task
from cellist.cache_policies import NO_CACHE

@task(cache_policy=NO_CACHE)
def fetch(n):
    return n

@task(cache_policy=NO_CACHE)
async def doze(until):
    while not pathlib.Path(until).exists():
        await asyncio.sleep(0.05)
"""
CRAWL = "%%flow crawl\nsum(fetch.map(range(5)).result())"
TRUST = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  for (const cell of panel.content.widgets) cell.model.trusted = true;
}"""
RESTART = """async () => {
  await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart();
}"""
DEAD = re.compile("Error displaying widget|model not found|javascript error", re.IGNORECASE)


@pytest.fixture(scope="module", params=["lab", "notebook"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A server with saved notebooks, and a browser."""
    app = request.param
    directory = tmp_path_factory.mktemp(app)
    (directory / "work").mkdir()
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    _save(directory / "work" / "state.ipynb", state=True)
    _save(directory / "work" / "bare.ipynb", state=False)
    for name in ("blocked", "reload"):
        cells = [SETUP, CRAWL, f"%%flow doze\nawait doze('{name}')"]
        write_notebook(directory / "work" / f"{name}.ipynb", cells)
    theme = "dark" if app == "lab" else "light"
    with server(app, directory, theme) as address, browser_page() as page:
        yield app, address, directory / "work", page
    patch.undo()


def _save(file: Path, *, state: bool) -> None:
    """Save a notebook that was run with widgets."""
    write_notebook(file, [SETUP, CRAWL])
    notebook = nbformat.read(file, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLIST_UI", "widget")
        nbclient.NotebookClient(notebook, timeout=100, store_widget_state=state).execute()
    nbformat.write(notebook, file)


@pytest.fixture
def open_(place):
    """Open a notebook in a page of its own."""
    app, address, work, first = place
    pages: list[Page] = []

    def start(name: str, *, blocked: bool = False) -> Notebook:
        context = first.context.browser.new_context(viewport={"width": 1200, "height": 900})
        page = context.new_page()
        pages.append(page)
        if blocked:
            page.route("**/anywidget/**", lambda route: route.abort())
        return open_notebook(page, app, address, work / f"{name}.ipynb")

    yield start
    for page in pages:
        page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
        page.context.close()


def expect_record(notebook: Notebook, name: str) -> None:
    """The record and nothing dead beside it."""
    cell = notebook.cell(1)
    table = cell.locator("table").first
    expect(table).to_be_visible(timeout=20_000)
    expect(table).to_contain_text("fetch")
    expect(cell.locator("img").first).to_be_visible()
    notebook.page.wait_for_timeout(2_000)  # a widget that is not there gives up after a while
    assert not any(one.is_visible() for one in cell.get_by_text(DEAD).all())
    assert notebook.errors == []
    _keep(notebook.page, name)


def _keep(page: Page, name: str) -> None:
    """Keep a picture for those who ask for pictures."""
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=f"{directory}/{name}.png")


@pytest.mark.parametrize("name", ["state", "bare"])
def test_a_saved_notebook_shows_the_record_trusted_or_not_and_after_a_restart(
    place, open_, name
) -> None:
    app = place[0]
    notebook = open_(name)
    expect(notebook.cell(1)).to_contain_text("The live board of these runs was here")
    expect_record(notebook, f"{app}-{name}-untrusted")
    notebook.page.evaluate(TRUST)
    expect(notebook.cell(1)).not_to_contain_text("The live board of these runs was here")
    expect_record(notebook, f"{app}-{name}-trusted")
    notebook.page.evaluate(RESTART)
    notebook.page.wait_for_function(READY)
    expect_record(notebook, f"{app}-{name}-restarted")
    assert notebook.outside == []


def test_without_the_script_of_the_widget_the_record_stands_in_and_says_so(place, open_) -> None:
    notebook = open_("blocked", blocked=True)
    notebook.run(0)
    notebook.run(2, wait=False)
    cell: Any = notebook.cell(2)
    expect(cell.get_by_text("So far: written every few seconds")).to_be_visible(timeout=20_000)
    expect(cell.locator("table").first).to_contain_text("doze")
    _keep(notebook.page, f"{place[0]}-no-script")
    (place[2] / "blocked").touch()
    expect(cell.get_by_text("So far")).to_have_count(0)
    assert not any(one.is_visible() for one in cell.get_by_text(DEAD).all())


def test_a_page_that_is_reloaded_in_mid_run_goes_on(place, open_) -> None:
    notebook = open_("reload")
    notebook.run(0)
    notebook.save()
    notebook.run(2, wait=False)
    board = notebook.cell(2).locator(".cellist").first
    expect(board).to_contain_text("1 running")
    notebook.save()
    notebook.page.reload()
    notebook.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    again = notebook.cell(2)
    expect(again).to_contain_text("doze")
    (place[2] / "reload").touch()
    expect(again.locator(".cellist, [data-cellist-static]").first).to_contain_text("completed")
    assert not any(one.is_visible() for one in again.get_by_text(DEAD).all())
    _keep(notebook.page, f"{place[0]}-reloaded")
