"""The record: facts in a table, small, escaped, and drawable without script or stylesheet."""

import base64
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from cellist.board.record import record_html
from cellist.board.view import View
from cellist.model.reasons import Reason
from cellist.model.runs import ErrorInfo
from cellist.model.states import COMPLETED, FAILED, PENDING, RUNNING
from tests.board.fakes import Story

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\x00\x1b[31m\ud800]]>"
VOID = {"img", "br"}
ALLOWED = {
    "div", "style", "p", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "br", "small",
    "details", "summary", "ul", "li", "pre", "img", "code",
}  # fmt: skip


class Strict(HTMLParser):
    """Checks that tags are balanced and collects them, with their attributes and the text."""

    def __init__(self, html):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def view():
    return View("crawl")


@pytest.fixture
def story(view):
    return Story(view.apply)


def record(view, ident="abc"):
    view.read()
    return record_html(view, ident)


def svg_of(html):
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert found, "the picture is part of the record"
    return base64.b64decode(found[1]).decode()


def crawl(story, fetches):
    flow = story.begin(story.flow(), 0)
    first = story.complete(story.task("read_list", flow), 0, 1)
    for i in range(fetches):
        run = story.task("fetch", flow, upstream=[first], retries=2)
        run.inputs = {"url": f"'https://example.org/page/{i}'"}
        run.why = Reason("miss", "first_run", "never run before")
        if i % 100 == 7:
            story.wait_for_retry(run, 1 + i / 10, 1.5 + i / 10, 3 + i / 10)
            story.enter(run, 3 + i / 10, RUNNING, "Retrying")
            story.enter(run, 4 + i / 10, FAILED, None, "boom")
        else:
            story.complete(run, 1 + i / 10, 1.7 + i / 10)
    story.enter(flow, 200, COMPLETED)
    return flow


def test_the_table_says_task_state_runs_time_and_why(view, story):
    crawl(story, 20)
    html = record(view)
    text = Strict(html).text
    cells = re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", html)
    assert cells[:5] == ["task", "state", "runs", "time", "why"]
    assert "read_list" in text
    assert "TimeoutError: the server is slow" in text
    assert "20 runs" not in cells
    assert "20" in cells
    assert "1 failed, 19 completed" in text
    assert html.index("<table>") < html.index("<details>") < html.index("<img")


def test_it_ties_itself_to_the_widget_and_hides_a_dead_one(view, story):
    crawl(story, 2)
    html = record(view, "f00")
    assert html.startswith('<div data-cellist-static="f00"><style>')
    assert (
        ".jp-OutputArea-child:has(+ .jp-OutputArea-child [data-cellist-static]) > "
        ".jupyter-widgets:not(:has(*)),"
    ) in html


def test_failed_runs_are_told_with_attempts_inputs_and_error(view, story):
    crawl(story, 20)
    text = Strict(record(view)).text
    assert "2 attempts: failed after 499 ms, failed after 1.0 s" in text
    assert "url='https://example.org/page/7'" in text
    assert "why: never run before" in text


def test_of_a_failed_group_and_of_each_unrun_one_it_says_why(view, story):
    flow = story.begin(story.flow(), 0)
    run = story.task("fetch", flow)
    run.why = Reason("miss", "changed", "ran: argument `n`: 1 → 2")
    story.fail(run, 1, 2, "no network")
    for number in range(2):
        unrun = story.task("count", flow)
        unrun.why = Reason("off", "upstream", f"did not run: its input `fetch-{number}` failed")
        story.enter(unrun, 3, PENDING)
        story.enter(unrun, 4, PENDING, "NotReady")
    text = Strict(record(view)).text
    assert "no network; ran: argument n: 1 → 2" in text
    for number in range(2):
        assert f"not run · did not run: its input fetch-{number} failed" in text


def test_a_thousand_runs_fit_in_sixty_kilobytes(view, story):
    crawl(story, 1000)
    html = record(view)
    assert len(html.encode()) < 60_000
    assert "1,000" in html
    assert svg_of(html)


def test_many_groups_and_long_texts_stay_small_too(view, story):
    flow = story.begin(story.flow("f" * 5000), 0)
    for i in range(600):
        run = story.task(f"task {i} " + "long" * 100, flow)
        run.inputs = {"a" * 300: "v" * 100_000}
        run.why = Reason("miss", "changed", "w" * 10_000)
        story.fail(run, i, i + 1, "e" * 100_000)
    html = record(view)
    assert len(html.encode()) < 120_000
    assert "… and 521 more" in Strict(html).text


def test_hostile_texts_are_text(view, story):
    flow = story.begin(story.flow(HOSTILE), 0)
    run = story.begin(story.task(HOSTILE, flow), 1)
    run.name = HOSTILE
    run.inputs = {HOSTILE: HOSTILE}
    run.preview = HOSTILE
    run.why = Reason("miss", "changed", HOSTILE)
    run.error = ErrorInfo(HOSTILE, HOSTILE, HOSTILE)
    run.log(20, HOSTILE)
    story.enter(run, 2, FAILED, HOSTILE, HOSTILE)
    view.title = HOSTILE
    html = record(view, '"><script>')
    parsed = Strict(html)
    assert {tag for tag, _ in parsed.seen} <= ALLOWED
    assert {name for _, attributes in parsed.seen for name in attributes} <= {
        "style", "src", "alt", "data-cellist-static",
    }  # fmt: skip
    assert [tag for tag, _ in parsed.seen].count("img") == 1
    assert "<script>alert(1)</script>" in parsed.text
    assert "\x00" not in html
    assert "\x1b" not in html
    html.encode()
    ET.fromstring(svg_of(html))


def test_the_picture_uses_presentation_attributes_only(view, story):
    crawl(story, 30)
    root = ET.fromstring(svg_of(record(view)))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "rect", "text", "path"}
    names = {name for element in root.iter() for name in element.attrib}
    assert names.isdisjoint({"style", "class", "id", "href", "onload"})
    assert "fetch" in "".join(root.itertext())


def test_the_picture_has_words_for_those_who_cannot_see_it(view, story):
    crawl(story, 3)
    image = next(attributes for tag, attributes in Strict(record(view)).seen if tag == "img")
    assert image["alt"].startswith(
        "Graph and timeline. crawl: completed. 4 task runs: 4 completed."
    )


def test_it_is_the_same_for_the_same_story():
    first, second = View("crawl"), View("crawl")
    crawl(Story(first.apply), 30)
    crawl(Story(second.apply), 30)
    names = re.compile(r"\w+-[0-9a-f]{3}\b")
    assert names.sub("", record(first)) == names.sub("", record(second))


def test_depth_shows_and_does_not_break_lines(view, story):
    crawl(story, 2)
    assert f">{chr(0xA0) * 4}fetch</td>" in record(view)


def test_names_in_reasons_are_code_and_stay_text(view, story):
    run = story.task("t")
    run.why = Reason("miss", "changed", "ran: helper `<b>clean` changed")
    story.complete(run, 1, 2)
    assert "ran: helper <code>&lt;b&gt;clean</code> changed</td>" in record(view)


def test_a_note_stands_below_the_heading(view, story):
    crawl(story, 2)
    view.read()
    html = record_html(view, "x", "<only> a record")
    assert "</p><p><small>&lt;only&gt; a record</small></p><table>" in html


def test_nothing_ran_is_a_line(view):
    assert Strict(record(view)).text.endswith("crawl · ○ pending")
