"""Mermaid text: names of any kind, read back as Mermaid reads them."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellist.drawing.chart import Chart, Edge, Node
from cellist.drawing.mermaid import mermaid

ID = r"(?:[A-Za-z]\w*-\d+|n\d+)"
TEXT = r'"((?:[^\x00-\x1f"#&<>`*\[\](){}|\\;]|#\d+;)*)"'
NODE = re.compile(rf"    ({ID})(?:\[{TEXT}\]|\[\[{TEXT}\]\])", re.ASCII)
EDGE = re.compile(rf"    ({ID}) (-->|-\.->\|wait_for\|) ({ID})", re.ASCII)


def parsed(text):
    """Return labels and edges by label, or fail where Mermaid would."""
    first, *lines = text.split("\n")
    assert first == "flowchart TD"
    labels, edges = {}, []
    for line in lines:
        if node := NODE.fullmatch(line):
            assert node[1] not in labels
            label = node[2] if node[2] is not None else node[3]
            labels[node[1]] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label)
        else:
            edge = EDGE.fullmatch(line)
            assert edge, line
            edges.append((labels[edge[1]], edge[2], labels[edge[3]]))
    return list(labels.values()), edges


def one_line(text):
    return " ".join(text.split())


@given(st.lists(st.text(), unique=True, max_size=6), st.sampled_from(["task", "flow"]))
def test_names_of_any_text_are_read_back(names, kind):
    nodes = tuple(Node(f"{name}-0", kind) for name in names)
    edges = tuple(
        Edge(a.name, b.name, ("wait_for",) if a.name < b.name else ("x",))
        for a, b in pairwise(nodes)
    )
    text = mermaid(Chart("f", nodes, edges))
    labels, found = parsed(text)
    assert labels == [one_line(node.name) for node in nodes]
    arrows = {True: "-.->|wait_for|", False: "-->"}
    assert found == [
        (one_line(edge.source), arrows[edge.is_order], one_line(edge.target)) for edge in edges
    ]
    text.encode()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("fetch-0", 'fetch-0["fetch-0"]'),
        ("my_task-12", 'my_task-12["my_task-12"]'),
        ("end-0", 'n0["end-0"]'),
        ("class-0", 'n0["class-0"]'),
        ("endless-0", 'endless-0["endless-0"]'),
        ("a b-0", 'n0["a b-0"]'),
        ('a "b"-0', 'n0["a #34;b#34;-0"]'),
        ("1. step-0", 'n0["1#46; step-0"]'),
        ("- step-0", 'n0["#45; step-0"]'),
        ("__init__-0", 'n0["#95;#95;init#95;#95;-0"]'),
        ("<lambda>-0", 'n0["#60;lambda#62;-0"]'),
        ("a\nb-0", 'n0["a b-0"]'),
        ("été-0", 'n0["été-0"]'),
    ],
)
def test_a_name_is_its_own_id_where_mermaid_takes_it(name, line):
    assert mermaid(Chart("f", (Node(name),), ())) == f"flowchart TD\n    {line}"
