"""A pause asks under its cell, where people see it: fill in, be told what is wrong, submit."""

import pytest
from playwright.sync_api import expect

from tests.board import frontend
from tests.board.test_access_in_browser import AXE
from tests.browser.jupyter import Notebook, browser_page, open_notebook, server, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

SETUP = """\
%load_ext cellist
import asyncio, datetime, enum, time
import cellist
from typing import Literal
from pydantic import Field, field_validator
from cellist import flow, pause_flow_run, resume_flow_run, suspend_flow_run, task
from cellist.cache_policies import NO_CACHE
from cellist.input import RunInput

class Channel(enum.Enum):
    MAIL = "mail"
    CHAT = "chat"

class Approval(RunInput):
    '''The checks are green. Publish the report?'''
    approve: bool = Field(False, description="Publish it now")
    reviewer: str = Field(description="Who has looked at it")
    copies: int = Field(3, ge=1, le=9, description="How many to print, 1 to 9")
    share: float | None = None
    channel: Channel = Channel.MAIL
    size: Literal["small", "large"]
    on: datetime.date = Field(title="Publication date")
    tags: list[str] = Field(["weekly"], description="Labels")

    @field_validator("reviewer")
    @classmethod
    def known(cls, value):
        if value == "nobody":
            raise ValueError("is not on the team")
        return value

@task(cache_policy=NO_CACHE)
def check(n):
    time.sleep(0.1)
    return n
"""
CELLS = [
    SETUP,
    "%%flow publish\nchecks = check.map(range(8))\nanswer = await pause_flow_run(Approval)\nanswer",
    "@flow\ndef blocking():\n    return pause_flow_run(wait_for_input=int)\nblocking()",
    "%%flow plain\npause_flow_run()\n'went on'",
    "%%flow later --bg -o later\nanswer = await pause_flow_run(wait_for_input=str)\nanswer",
    "resume_flow_run('later', 'from another cell')",
    "await later",
    "%%flow held\nawait pause_flow_run()",
    "%%flow stopped\nsuspend_flow_run(wait_for_input=int)",
]


@pytest.fixture(scope="module", params=["lab", "notebook"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A notebook open in a page, used by the tests below one after the other."""
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "work").mkdir()
    file = directory / "work" / "forms.ipynb"
    write_notebook(file, CELLS)
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    with server(request.param, directory) as address, browser_page() as page:
        notebook = open_notebook(page, request.param, address, file)
        notebook.run(0)
        yield notebook
    patch.undo()


def form(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".cellist-form")


def result(notebook: Notebook, index: int):
    return notebook.cell(index).locator(".jp-OutputArea-executeResult")


def test_what_does_not_fit_is_told_beside_its_field(opened: Notebook) -> None:
    opened.run(1, wait=False)
    asked = form(opened, 1)
    expect(asked).to_be_visible(timeout=20_000)
    expect(asked).to_contain_text("publish is paused")
    expect(asked).to_contain_text("The checks are green.")
    expect(asked.get_by_label("Copies")).to_have_value("3")
    asked.get_by_label("Reviewer").fill("nobody")
    asked.get_by_label("Copies").fill("12")
    asked.get_by_label("Tags").fill('["weekly", ')
    asked.get_by_role("button", name="Resume").click()
    expect(asked.locator(".is-json-field .cellist-field-error")).to_contain_text("not JSON")
    expect(asked.get_by_label("Tags")).to_be_focused()
    asked.get_by_label("Tags").fill('["weekly", "q4"]')
    asked.get_by_role("button", name="Resume").click()
    expect(asked.locator(".cellist-field", has_text="Reviewer")).to_contain_text(
        "is not on the team"
    )
    expect(asked.get_by_label("Reviewer")).to_have_attribute("aria-invalid", "true")
    expect(asked.locator(".cellist-field", has_text="Copies")).to_contain_text(
        "less than or equal to 9"
    )
    expect(asked.locator(".cellist-field", has_text="Size")).to_contain_text("Field required")
    expect(asked.locator(".is-json-field .cellist-field-error")).to_have_text("")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_axe_finds_nothing_in_a_form_with_errors(opened: Notebook, theme: str) -> None:
    page = opened.page
    expect(form(opened, 1).locator(".cellist-field-error:not(:empty)")).to_have_count(4)
    page.evaluate(
        "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    dark = "false" if theme.endswith("Dark") else "true"
    page.wait_for_function(
        "(dark) => document.body.getAttribute('data-jp-theme-light') === dark", arg=dark
    )
    page.mouse.move(0, 0)
    page.evaluate(frontend.axe())
    form(opened, 1).evaluate("(el) => { el.closest('.cellist').parentElement.id = 'widget'; }")
    assert page.evaluate(AXE) == []


def test_the_answer_reaches_the_flow_by_keyboard_alone(opened: Notebook) -> None:
    asked = form(opened, 1)
    asked.get_by_label("Approve").press("Space")
    asked.get_by_label("Reviewer").fill("Ada")
    asked.get_by_label("Copies").fill("4")
    asked.get_by_label("Size").select_option("large")
    asked.get_by_label("Publication date").fill("2026-11-26")
    asked.get_by_label("Reviewer").press("Enter")
    expect(asked).to_have_count(0)
    shown = result(opened, 1)
    expect(shown).to_contain_text("approve=True, reviewer='Ada', copies=4, share=None")
    expect(shown).to_contain_text("tags=['weekly', 'q4']")


def test_a_sync_flow_that_blocks_its_cell_is_answered_too(opened: Notebook) -> None:
    opened.run(2, wait=False)
    asked = form(opened, 2)
    asked.get_by_label("Value").fill("42")
    asked.get_by_role("button", name="Resume").click()
    expect(result(opened, 2)).to_contain_text("42")


def test_a_pause_without_input_has_only_a_button(opened: Notebook) -> None:
    opened.run(3, wait=False)
    asked = form(opened, 3)
    expect(asked.locator("input")).to_have_count(0)
    asked.get_by_role("button", name="Resume").click()
    expect(result(opened, 3)).to_contain_text("went on")


def test_another_cell_answers_a_flow_in_the_background(opened: Notebook) -> None:
    opened.run(4)
    expect(form(opened, 4)).to_be_visible(timeout=20_000)
    opened.run(5)
    expect(form(opened, 4)).to_have_count(0)
    opened.run(6)
    expect(result(opened, 6)).to_contain_text("from another cell")


def test_stop_ends_a_pause(opened: Notebook) -> None:
    opened.run(7, wait=False)
    expect(form(opened, 7)).to_be_visible(timeout=20_000)
    opened.page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    expect(opened.cell(7)).to_contain_text("KeyboardInterrupt")
    expect(form(opened, 7)).to_have_count(0)
    expect(opened.cell(7).locator(".cellist-word")).to_have_text("cancelled")


def test_a_suspended_flow_goes_on_when_its_cell_is_run_again(opened: Notebook) -> None:
    opened.run(8)
    expect(opened.cell(8)).to_contain_text("PausedRun")
    asked = form(opened, 8)
    expect(asked).to_contain_text("run the cell again")
    asked.get_by_label("Value").fill("7")
    asked.get_by_role("button", name="Resume").click()
    expect(asked).to_have_count(0)
    opened.run(8)
    expect(result(opened, 8)).to_contain_text("7")
    assert opened.errors == []
