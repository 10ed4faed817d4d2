"""The picture of a flow: well-formed SVG for any names, one picture on any page, any theme."""

import re
import time
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.drawing.chart import Chart, Edge, Node
from cellist.drawing.flowchart import MAX_NODES, PLAIN, flowchart_html, flowchart_svg
from tests import chromium

SVG = "{http://www.w3.org/2000/svg}"
SMALL = Chart(
    "crawl",
    (Node("load-0"), Node("clean-0", count=200), Node("sub-0", "flow"), Node("log-0", count=None)),
    (Edge("load-0", "clean-0", ("page",)), Edge("clean-0", "sub-0", ("wait_for",))),
)


def texts(svg):
    return [one.text for one in ET.fromstring(svg).iter(f"{SVG}text")]


@given(st.lists(st.text(max_size=60), unique=True, max_size=8), st.text(max_size=200))
def test_names_of_any_text_give_well_formed_pictures(names, title):
    nodes = tuple(Node(f"{name}-0") for name in names)
    edges = tuple(Edge(nodes[0].name, node.name, ("x",)) for node in nodes[1:])
    svg = flowchart_svg(Chart(title, nodes, edges))
    assert len(texts(svg)) == len(nodes) + 1 + (not nodes)
    html = flowchart_html(Chart(title, nodes, edges))
    assert "<script" not in html
    html.encode()


def test_labels_counts_and_kinds_are_shown():
    svg = flowchart_svg(SMALL)
    assert texts(svg) == ["flow crawl", "load-0", "clean-0 ×200", "sub-0", "log-0 ×?"]
    tree = ET.fromstring(svg)
    told = [one.text for one in tree.iter(f"{SVG}title")]
    assert told[0] == "Flow 'crawl': 4 nodes, 2 edges"
    assert told[1:3] == ["load-0 → clean-0 (page)", "clean-0 → sub-0 (wait_for)"]
    assert "subflow sub-0" in told
    assert tree.get("role") == "img"
    described = tree.find(f"{SVG}desc")
    assert described is not None
    assert described.text == "load-0 → clean-0 ×200; clean-0 ×200 → sub-0; log-0 ×?"
    assert svg.count("stroke-dasharray") == 1  # what only waits
    boxes = [one.get("fill") for one in tree.iter(f"{SVG}rect")]
    assert boxes.count(PLAIN.box) == 1 + 3 + 1 + 3  # many are drawn as a pile


def test_a_flow_that_calls_nothing_says_so():
    assert texts(flowchart_svg(Chart("f", (), ()))) == ["flow f", "It calls no task."]


def test_a_chain_reads_across_until_it_is_wider_than_a_page():
    def size(count):
        nodes = tuple(Node(f"step-{i}") for i in range(count))
        edges = tuple(Edge(a.name, b.name) for a, b in pairwise(nodes))
        tree = ET.fromstring(flowchart_svg(Chart("f", nodes, edges)))
        return float(tree.get("width", 0)), float(tree.get("height", 0))

    assert size(5)[0] > size(5)[1]
    assert size(30)[0] < size(30)[1]


def test_too_many_nodes_are_counted_and_drawn_in_time():
    nodes = tuple(Node(f"step-{i}") for i in range(2000))
    edges = tuple(Edge(a.name, b.name) for a, b in zip(nodes, nodes[7:], strict=False))
    begin = time.thread_time()
    html = flowchart_html(Chart("f", nodes, edges))
    assert time.thread_time() - begin < 2
    assert f"… and {2000 - MAX_NODES:,} more" in html
    assert "<img" not in html  # too large to be there twice; its words stand in for it
    assert "<p>Flow" in html
    assert len(html) < 300_000


def sanitized(html):
    """What an untrusted notebook keeps: no style, no SVG, no empty attribute, but all text."""
    html = re.sub(r"<style>.*?</style>", "", html)
    html = re.sub(r"<div hidden>", "<div>", html)
    return re.sub(r"</?(svg|g|text|rect|path|title|desc)\b[^>]*>", "", html)


DARK = (
    '<body data-jp-theme-light="false" style="background:#111;--jp-layout-color1:#111;'
    '--jp-layout-color2:#424242;--jp-ui-font-color1:#fff;--jp-ui-font-color2:#b8b8b8">'
)
PAGES = {
    "light": ("<body>", lambda html: html, "svg"),
    "dark": (DARK, lambda html: html, "svg"),
    "dark without variables": ('<html theme="dark"><body>', lambda html: html, "svg"),
    "untrusted": ("<body>", sanitized, "img"),
}
SEEN = """() => [...document.querySelectorAll("svg, img, p")]
  .filter((one) => one.checkVisibility()).map((one) => one.localName)"""
COLOURS = """() => {
  const fill = (one) => getComputedStyle(one).fill.match(/[\\d.]+/g).slice(0, 3).map(Number);
  return [fill(document.querySelector("g g rect")), fill(document.querySelector("g g text"))];
}"""


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_one_picture_is_seen_and_can_be_read(page):
    from tests.browser.jupyter import browser_page

    assert chromium.find()
    body, change, seen = PAGES[page]
    with browser_page() as shown:
        shown.set_content(body + change(flowchart_html(SMALL)))
        assert shown.evaluate(SEEN) == [seen]
        assert "load-0" not in shown.inner_text("body") or seen == "svg"
        if seen == "svg":
            box, text = (luminance([c / 255 for c in one]) for one in shown.evaluate(COLOURS))
            brighter, darker = max(box, text), min(box, text)
            assert (brighter + 0.05) / (darker + 0.05) >= 4.5  # AA of the accessibility guidelines
