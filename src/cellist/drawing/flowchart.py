"""A chart as SVG, and as HTML that follows the theme of the page.

The HTML holds the picture twice. The first is SVG in the page itself, in the page's colours, and
it stands in a hidden element that a style shows. A page that does not trust the notebook drops
styles and SVG but keeps what is written in it. There the first one stays hidden, by an attribute
that has a value because sanitizers drop empty ones, and the second one is seen, an `<img>` with
its own paper. So a saved notebook shows one picture wherever it is opened.
"""

import unicodedata
from typing import NamedTuple

from cellist.drawing.chart import Chart, Edge, Node
from cellist.drawing.layout import Layers, Measures, Placed, Point, curve, layered, place
from cellist.drawing.markup import clipped, data_uri, escaped

MAX_NODES = 300
"""Nodes drawn. Beyond this nobody can read the picture anyway."""

_PAGE = 900
"""Pixels: a picture no wider is drawn from left to right, as one reads."""
_IMAGE_LIMIT = 60_000
"""Characters of SVG; a larger picture is not put into the notebook a second time."""
_LONGEST_LABEL = 40
_HEAD = 30
_FONT = 'font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif"'


class Colours(NamedTuple):
    """Colours of a picture, as SVG takes them."""

    paper: str
    box: str
    text: str
    quiet: str
    flow: str


PLAIN = Colours("#ffffff", "#f3f5f7", "#24292f", "#57606a", "#0b68b4")
_DARK = Colours("#16191d", "#22272e", "#e6e9ed", "#a3acb8", "#63b5f7")
_THEMED = Colours(*(f"var(--cellist-{name})" for name in Colours._fields))
_PAGES = {  # the variables of JupyterLab and Notebook, and of VS Code
    "paper": ("--jp-layout-color1", "--vscode-editor-background"),
    "box": ("--jp-layout-color2", "--vscode-editorWidget-background"),
    "text": ("--jp-ui-font-color1", "--vscode-editor-foreground"),
    "quiet": ("--jp-ui-font-color2", "--vscode-descriptionForeground"),
}


def _variables(colours: Colours) -> str:
    """Return the colours as variables: those of the page where it has them."""
    parts: list[str] = []
    for name, colour in zip(Colours._fields, colours, strict=True):
        value = colour
        for variable in reversed(_PAGES.get(name, ())):
            value = f"var({variable},{value})"
        parts.append(f"--cellist-{name}:{value}")
    return ";".join(parts)


_STYLE = (
    f".cellist-flow{{{_variables(PLAIN)};overflow-x:auto}}"
    '[data-jp-theme-light="false"] .cellist-flow,body.vscode-dark .cellist-flow,'
    f'html[theme="dark"] .cellist-flow{{{_variables(_DARK)}}}'
    ".cellist-flow>[hidden]{display:block!important}"
    ".cellist-flow>:not([hidden]){display:none}"
)


def flowchart_html(chart: Chart) -> str:
    """Return the chart as HTML in the colours of the page."""
    image = flowchart_svg(chart)
    words = escaped(f"{chart.sentence}. {chart.description}")
    plain = f"<p>{words}</p>"
    if len(image) <= _IMAGE_LIMIT:
        plain = f'<img alt="{words}" src="{data_uri(image)}">'
    return (
        f'<style>{_STYLE}</style><div class="cellist-flow"><div hidden="hidden">'
        f"{flowchart_svg(chart, _THEMED)}</div>{plain}</div>"
    )


def flowchart_svg(chart: Chart, colours: Colours = PLAIN) -> str:
    """Return the chart as SVG, by default on white paper."""
    drawn = chart.nodes[:MAX_NODES]
    number = {node.name: i for i, node in enumerate(drawn)}
    edges = {
        (number[edge.source], number[edge.target]): edge
        for edge in chart.edges
        if edge.source in number and edge.target in number
    }
    placed, measures, down = _placed(layered(range(len(drawn)), edges), drawn)
    parts = [_line(edges[ends], points, colours, down) for ends, points in placed.edges.items()]
    parts += [_box(drawn[i], corner, measures, colours) for i, corner in placed.nodes.items()]
    return _sheet(chart, colours, placed, parts)


def _placed(layers: Layers, nodes: tuple[Node, ...]) -> tuple[Placed, Measures, bool]:
    """Return the graph from left to right if that fits a page, else the narrower way."""
    longest = max((_columns(clipped(node.label, _LONGEST_LABEL)) for node in nodes), default=0)
    measures = Measures(width=max(longest * 7.4 + 28, 96), height=36, gap=40, side=18, margin=14)
    wide = place(layers, measures, down=False)
    tall = place(layers, measures, down=True)
    down = wide.width > _PAGE and tall.width < wide.width
    return (tall if down else wide), measures, down


def _columns(text: str) -> int:
    """Return how wide a text is, in letters; some scripts take two for one."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _sheet(chart: Chart, colours: Colours, placed: Placed, parts: list[str]) -> str:
    title = f"flow {clipped(chart.name, 2 * _LONGEST_LABEL)}"
    note = ""
    if not chart.nodes:
        note = "It calls no task."
    elif len(chart.nodes) > MAX_NODES:
        note = f"… and {len(chart.nodes) - MAX_NODES:,} more"
    width = max(placed.width + 6, 7.4 * _columns(title) + 28, 160)
    height = placed.height + _HEAD + 6 + (24 if note else 0)
    if note:
        note = f'<text x="14" y="{height - 12:.0f}" fill="{colours.quiet}">{note}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" {_FONT} font-size="13">'
        f"<title>{escaped(chart.sentence)}</title><desc>{escaped(chart.description)}</desc>"
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="6" fill="{colours.paper}"/>'
        f'<text x="14" y="22" fill="{colours.quiet}">{escaped(title)}</text>'
        f'<g transform="translate(0 {_HEAD})">{"".join(parts)}</g>{note}</svg>'
    )


def _line(edge: Edge, points: list[Point], colours: Colours, down: bool) -> str:
    """Return an edge with its arrow head, dashed where nothing but the order goes along it."""
    x, y = points[-1]
    head = "l-4 -7h8z" if down else "l-7 -4v8z"
    dashes = ' stroke-dasharray="4 4"' if edge.is_order else ""
    through = f" ({', '.join(edge.parameters)})" if edge.parameters else ""
    told = escaped(clipped(f"{edge.source} → {edge.target}{through}", 200))
    return (
        f'<g><title>{told}</title><path d="{curve(points, down=down)}" fill="none" '
        f'stroke="{colours.quiet}" stroke-width="1.4"{dashes}/>'
        f'<path d="M{x:.0f} {y:.0f}{head}" fill="{colours.quiet}"/></g>'
    )


def _box(node: Node, corner: Point, measures: Measures, colours: Colours) -> str:
    """Return a node: a box, a pile of them for many calls, with side bars for a subflow."""
    x, y = corner
    width, height = measures.width, measures.height
    is_flow = node.kind == "flow"
    border = f'stroke="{colours.flow if is_flow else colours.quiet}" stroke-width="1.3"'
    look = f'width="{width:.0f}" height="{height:.0f}" rx="5" fill="{colours.box}" {border}'
    pile = (6, 3, 0) if node.count != 1 else (0,)
    text = "".join(f'<rect x="{x + by:.0f}" y="{y + by:.0f}" {look}/>' for by in pile)
    if is_flow:
        bars = f"M{x + 7:.0f} {y:.0f}v{height:.0f}M{x + width - 7:.0f} {y:.0f}v{height:.0f}"
        text += f'<path d="{bars}" {border}/>'
    noun = "subflow" if is_flow else "task"
    return (
        f"<g><title>{noun} {escaped(clipped(node.label, 200))}</title>{text}"
        f'<text x="{x + width / 2:.0f}" y="{y + height / 2 + 4.5:.1f}" text-anchor="middle" '
        f'fill="{colours.text}">{escaped(clipped(node.label, _LONGEST_LABEL))}</text></g>'
    )
