"""The static picture: graph above, timeline below, as one SVG.

Rules (what GitHub, nbviewer and Jupyter's sanitizer leave alone): presentation attributes only;
no style, class, id, script or foreignObject; used as an `<img>` with a data URI. The paper is
drawn, so the picture reads on light and on dark pages. Bars of one look are one path, so a
thousand runs take a few kilobytes.
"""

from collections.abc import Sequence
from typing import Any

from cellist.board.folds import WIDTH as FOLD
from cellist.board.folds import Fold, Scale
from cellist.board.graph import graph_of
from cellist.board.groups import Group
from cellist.board.palette import LOOKS, MUTED, OVER, PAPER, RULE, TEXT, TROUBLE
from cellist.board.rows import Row
from cellist.board.view import View
from cellist.board.wording import duration, ordered
from cellist.drawing.markup import clipped, escaped

WIDTH = 860
MAX_GROUPS = 60
"""Groups the timeline draws."""
MAX_GRAPH_NODES = 80
"""Above this the graph is left out of the record: it would be unreadable and large."""

_LABEL = 190
_FONT = 'font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif"'
_DASHES = {"data": "", "call": ' stroke-dasharray="5 4"', "order": ' stroke-dasharray="1 4"'}


def picture(view: View) -> str | None:
    """Return the picture as SVG; `None` if there is nothing to draw."""
    if not view.groups:
        return None
    parts: list[str] = []
    y = 0.0
    nodes = view.drawn()
    if 1 < len(nodes) <= MAX_GRAPH_NODES:
        graph, y = _graph(view, nodes)
        parts.append(graph)
    timeline, height = _timeline(view, nodes[:MAX_GROUPS], y)
    parts.append(timeline)
    y += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" '
        f'width="{WIDTH}" height="{y:.0f}" {_FONT} font-size="12">'
        f'<rect width="{WIDTH}" height="{y:.0f}" rx="6" fill="{PAPER}"/>'
        + "".join(parts)
        + "</svg>"
    )


def _graph(view: View, nodes: Sequence[Group]) -> tuple[str, float]:
    """Return the graph, scaled to the width of the picture, and its height."""
    both = graph_of(view.groups)
    wide, tall = both["wide"], both["tall"]
    drawn = wide if wide["w"] * 0.7 <= WIDTH or wide["w"] <= tall["w"] else tall
    scale = min(1.0, (WIDTH - 8) / drawn["w"])
    by_id = {group.id: group for group in nodes}
    left = (WIDTH - drawn["w"] * scale) / 2 if drawn is tall else 4
    parts = [f'<g transform="translate({left:.0f} 4) scale({scale:.3f})">']
    for _, _, kind, path in drawn["edges"]:
        parts.append(
            f'<path d="{path}" fill="none" stroke="#9aa4b2" stroke-width="1.5"{_DASHES[kind]}/>'
        )
    width, height = both["node"]
    for node, x, y in drawn["nodes"]:
        parts.append(_node(by_id[node], x, y, width, height))
    parts.append("</g>")
    return "".join(parts), drawn["h"] * scale + 8


def _node(group: Group, x: float, y: float, width: float, height: float) -> str:
    look = LOOKS[group.look]
    text = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" '
        f'fill="#f6f8fa" stroke="{look.ink}" stroke-width="1.5"/>'
        f'<text x="{x + 10}" y="{y + 19}" fill="{TEXT}" font-weight="600">'
        f"{escaped(clipped(group.name, 21))}</text>"
        f'<text x="{x + 10}" y="{y + 35}" fill="{look.ink}" font-size="11">'
        f"{look.icon} {escaped(clipped(group.detail(), 24))}</text>"
    )
    return text + _shares(group, x, y + height - 4, width)


def _shares(group: Group, x: float, y: float, width: float) -> str:
    """Return the strip at the foot of a node: how many of its runs are in which state."""
    if group.total < 2:
        return ""
    text, at = "", x + 8
    for key, number in ordered(group.counts):
        part = (width - 16) * number / group.total
        text += (
            f'<rect x="{at:.1f}" y="{y}" width="{part:.1f}" height="3" fill="{LOOKS[key].ink}"/>'
        )
        at += part
    return text


def _timeline(view: View, groups: Sequence[Group], top: float) -> tuple[str, float]:
    """Return a band of lanes for each group, with a time axis, and the height of all."""
    rows = [row for group in groups for row in group.rows if row.sent and row.lane is not None]
    begin = min((row.run.first_running for row in rows), default=0) // 1_000_000
    end = max((_last(row, view) for row in rows), default=begin)
    scale = Scale(begin, end, view.gaps(), _LABEL, WIDTH - _LABEL - 16)
    y = top + 10
    parts: list[str] = []
    for group in groups:
        if not group.lanes:
            continue
        height = max(20, len(group.lanes) * group.pitch + 8)
        parts.append(
            f'<text x="10" y="{y + 13:.0f}" fill="{TEXT}">{escaped(clipped(group.name, 26))}</text>'
            f'<path d="M{_LABEL} {y + height - 2:.0f}H{WIDTH - 12}" stroke="{RULE}" '
            'stroke-width="0.5"/>'
        )
        parts += _bars(group, view, scale, y + 2)
        y += height
    parts += [_fold(fold, top + 10, y) for fold in scale.folds]
    parts.append(
        f'<text x="{_LABEL}" y="{y + 12:.0f}" fill="{MUTED}" font-size="11">0</text>'
        f'<text x="{WIDTH - 12}" y="{y + 12:.0f}" fill="{MUTED}" font-size="11" '
        f'text-anchor="end">{duration(max(end - begin, 1) / 1000)}</text>'
    )
    return ("".join(parts), y + 20 - top) if rows else ("", 0.0)


def _fold(fold: Fold, top: float, foot: float) -> str:
    """Return where time is folded: two edges, and below them how long it was."""
    edges = "".join(f"M{x:.0f} {top:.0f}V{foot:.0f}" for x in (fold.x, fold.x + FOLD))
    return (
        f'<path d="{edges}" stroke="{MUTED}" stroke-width="0.7" stroke-dasharray="2 3"/>'
        f'<text x="{fold.x + FOLD / 2:.0f}" y="{foot + 12:.0f}" fill="{MUTED}" font-size="11" '
        f'font-style="italic" text-anchor="middle">{fold.text}</text>'
    )


def _last(row: Row, view: View) -> int:
    """Return the last time in milliseconds that is known of a run; of the board while it runs."""
    if row.look in OVER and row.run.states:
        return row.run.states[-1].at // 1_000_000
    return view.latest // 1_000_000


def _bars(group: Group, view: View, scale: Scale, top: float) -> list[str]:
    """Return the bars of a group, one path for each look and shade."""
    paths: dict[tuple[str, bool], list[str]] = {}
    thick = min(group.pitch - 1, 11)
    for row in group.rows:
        if not row.sent or row.lane is None:
            continue
        y = top + row.lane * group.pitch
        for look, start, end in row.bars():
            x = scale.x(start)
            width = max(1.5, scale.x(end or _last(row, view)) - x)
            line = (
                f"M{x:.0f} {y + thick / 2:.1f}h{width:.0f}"
                if look == "waiting"
                else f"M{x:.1f} {y:.0f}h{width:.1f}v{thick}h-{width:.1f}z"
            )
            paths.setdefault((look, row.shade), []).append(line)
    return [_path(look, shade, "".join(parts)) for (look, shade), parts in paths.items()]


def _path(look: str, shade: bool, path: str) -> str:
    ink = LOOKS[look].ink
    if look == "waiting":
        return (
            f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="2" stroke-dasharray="3 3"/>'
        )
    faded = ' opacity=".78"' if shade and look not in TROUBLE else ""
    return f'<path d="{path}" fill="{ink}"{faded}/>'


def alternative(view: View) -> str:
    """Return what the picture shows, in words."""
    header: dict[str, Any] = view.header()
    return f"Graph and timeline. {header['sentence']}"
