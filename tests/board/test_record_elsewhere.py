"""The record where others read it: behind sanitisers, on a page of nbconvert, on paper.

A notebook runs headless here with everything a record can hold, and is then converted as people
convert theirs. What GitHub's and nbviewer's own machines do cannot be called from a test; the rules
they publish can be applied.
"""

import base64
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import bleach
import nbclient
import nbformat
import pytest
from nbconvert import HTMLExporter
from nbconvert.preprocessors.sanitize import SanitizeHTML
from playwright.sync_api import Page, expect, sync_playwright
from pypdf import PdfReader

from cellist.board.record import record_html
from cellist.board.view import View
from tests import chromium
from tests.board.fakes import Story
from tests.board.page import FLAGS
from tests.board.test_record import crawl, svg_of

CELLS = [
    """\
%load_ext cellist
import cellist
from cellist import task
from cellist.cache_policies import NO_CACHE

@task(retries=1)
def fetch(page):
    if page == 3:
        raise ConnectionError("503 <b>Service</b> Unavailable")
    return page

@task(cache_policy=NO_CACHE)
def count(pages):
    return sum(cellist.progress(pages, description="pages"))
""",
    "%%flow crawl\ncount(fetch.map(range(3)).result())",
    "%%flow crawl\ncount(fetch.map(range(3)).result())",
    "%%flow broken\nfetch.map(range(6)).wait()\nfetch(3)",
]
GITHUB = {  # the elements of GitHub's published allow list for user content that a record needs
    "div", "p", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "br", "small", "details",
    "summary", "ul", "li", "pre", "img", "code",
}  # fmt: skip
GITHUB_ATTRIBUTES = {"img": ["src", "alt", "width", "height"], "*": ["align", "open"]}


def executed(directory: Path, ui: str, *, state: bool):
    """Run the notebook headless, with or without keeping the state of widgets in it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    patch = pytest.MonkeyPatch()
    patch.setenv("CELLIST_UI", ui)
    patch.setenv("CELLIST_HOME", str(directory / "home"))
    patch.setenv("CELLIST_SECRET_DIR", str(directory / "secret"))
    with patch.context():
        nbclient.NotebookClient(
            notebook,
            timeout=100,
            allow_errors=True,
            store_widget_state=state,
            resources={"metadata": {"path": str(directory)}},
        ).execute()
    patch.undo()
    return notebook


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """Three ways to save it: a record alone, with a widget, with a widget and its state."""
    kinds = {"html": ("html", False), "widget": ("widget", False), "state": ("widget", True)}
    return {
        name: executed(tmp_path_factory.mktemp(name), ui, state=state)
        for name, (ui, state) in kinds.items()
    }


@pytest.fixture(scope="module")
def page():
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        yield browser.new_page(viewport={"width": 1100, "height": 1400})
        browser.close()


def records(notebook) -> list[str]:
    return [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.outputs
        if "data-cellist-static" in output.get("data", {}).get("text/html", "")
    ]


class Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data


def without_style(html: str) -> str:
    """GitHub drops a style element with what is in it, as it does for those of DataFrames."""
    return re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


@pytest.mark.kernel
def test_github_s_rules_leave_all_facts_and_the_picture(notebooks):
    html = records(notebooks["html"])[-1]
    kept = bleach.clean(
        without_style(html), GITHUB, GITHUB_ATTRIBUTES, protocols={"data", "https"}, strip=True
    )
    for fact in ("broken", "failed", "ConnectionError", "fetch", "2 attempts", "why", "page"):
        assert fact in Text(kept).text
    assert Text(kept).text == Text(without_style(html)).text, "sanitising takes no word away"
    assert kept.count("<details>") >= 2
    assert svg_of(kept) == svg_of(html)


@pytest.mark.kernel
def test_a_sanitiser_that_takes_away_tables_leaves_the_words_apart(notebooks):
    exporter = HTMLExporter()
    exporter.register_preprocessor(SanitizeHTML(strip=True), enabled=True)
    body, _ = exporter.from_notebook_node(notebooks["html"])
    words = " ".join(Text(body).text.split())
    assert "task state runs time why crawl ✓ completed 1 " in words
    assert "ConnectionError: 503 <b>Service</b> Unavailable" in words


@pytest.mark.kernel
def test_pictures_use_presentation_attributes_only(notebooks):
    for html in records(notebooks["html"]):
        svg = svg_of(html)
        assert not re.search(r"<(style|script|foreignObject)|\b(style|class|id|on\w+|href)=", svg)


@pytest.mark.kernel
@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["html", "widget", "state"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_of_nbconvert_shows_the_record_without_a_network(
    notebooks, page: Page, tmp_path, kind, dark
):
    file = tmp_path / "page.html"
    exporter = HTMLExporter(theme="dark" if dark else "light", embed_images=True)
    file.write_text(exporter.from_notebook_node(notebooks[kind])[0], "utf-8")
    page.route(re.compile("^https?://"), lambda route: route.abort())
    page.goto(file.as_uri())
    shown = page.locator("[data-cellist-static]")
    expect(shown).to_have_count(3)
    for index in range(3):
        expect(shown.nth(index).locator("table").first).to_be_visible()
        picture = shown.nth(index).locator("img")
        expect(picture).to_be_visible()
        assert picture.evaluate("(img) => img.naturalWidth") == 860, "the picture could be drawn"
    expect(shown.nth(2)).to_contain_text("503 <b>Service</b> Unavailable")
    shown.nth(2).locator("summary", has_text="fetch").first.click()
    expect(shown.nth(2).locator("summary", has_text="2 attempts").or_(
        shown.nth(2).get_by_text("fetch-").first)).to_be_visible()  # fmt: skip
    assert page.get_by_text("Error displaying widget").count() == 0
    _keep(page, f"nbconvert-{kind}-{'dark' if dark else 'light'}")


@pytest.mark.kernel
@pytest.mark.browser
@pytest.mark.slow
def test_it_prints(notebooks, page: Page, tmp_path):
    file, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    file.write_text(HTMLExporter().from_notebook_node(notebooks["html"])[0], "utf-8")
    page.route(re.compile("^https?://"), lambda route: route.abort())
    page.goto(file.as_uri())
    page.pdf(path=paper, format="A4", print_background=True)
    assert paper.read_bytes().startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 1 < pages < 12
    text = " ".join(sheet.extract_text() for sheet in PdfReader(paper).pages)
    for fact in ("broken", "failed", "ConnectionError: 503", "reused", "never run before"):
        assert fact in " ".join(text.split())


def _keep(page: Page, name: str) -> None:
    """Keep a picture for those who ask for pictures."""
    directory = os.environ.get("SCREENSHOTS")
    if directory:
        page.screenshot(path=f"{directory}/{name}.png", full_page=True)


def test_a_thousand_runs_take_less_than_sixty_kilobytes(capsys):
    view = View("crawl")
    crawl(Story(view.apply), 1000)
    view.read()
    html = record_html(view, "abc")
    size = len(html.encode())
    picture = len(base64.b64encode(svg_of(html).encode()))
    with capsys.disabled():
        print(f"\nrecord of 1,000 runs: {size:,} bytes, of which the picture {picture:,}")
    assert size < 60_000
