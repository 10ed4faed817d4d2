"""A chart as Mermaid text, which JupyterLab, GitHub and many others draw.

A name may be any text. It is used as the id of its node where Mermaid takes it for one word; the
label is always the name itself, with every character that means something to Mermaid, Markdown or
HTML written as an entity.
"""

import re

from cellist.drawing.chart import Chart, Node

_WORD = r"(?a)[A-Za-z]\w*-\d+"
_KEYWORDS = {  # an id that begins with one of these is read as a statement
    "call", "class", "classDef", "click", "default", "direction", "end", "flowchart", "graph",
    "href", "interpolate", "linkStyle", "style", "subgraph",
}  # fmt: skip
_SPECIAL = (
    r"[^\w \-,?×]"  # whatever is no letter or digit, but for a few
    r"|^-"  # a list
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
)


def mermaid(chart: Chart) -> str:
    """Return the chart as the text of a Mermaid flowchart."""
    ids = {node.name: _id(node, number) for number, node in enumerate(chart.nodes)}
    lines = ["flowchart TD"]
    lines += [f"    {ids[node.name]}{_shape(node)}" for node in chart.nodes]
    for edge in chart.edges:
        arrow = "-.->|wait_for|" if edge.is_order else "-->"
        lines.append(f"    {ids[edge.source]} {arrow} {ids[edge.target]}")
    return "\n".join(lines)


def _id(node: Node, number: int) -> str:
    is_word = re.fullmatch(_WORD, node.name) and node.name.partition("-")[0] not in _KEYWORDS
    return node.name if is_word else f"n{number}"


def _shape(node: Node) -> str:
    left, right = ("[[", "]]") if node.kind == "flow" else ("[", "]")
    return f'{left}"{quoted(node.label)}"{right}'


def quoted(text: str) -> str:
    """Return text fit for a label in double quotes: on one line, special characters as entities."""
    return re.sub(_SPECIAL, lambda found: f"#{ord(found[0])};", " ".join(text.split()))
