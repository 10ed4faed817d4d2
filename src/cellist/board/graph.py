"""Which groups are nodes of the drawn graph, and what leads from one to another.

Three kinds of edge, from strong to weak: `data` (a result went from one to the other), `call`
(one was called from within the other) and `order` (nothing says so, but one began when the other
was over). A weaker edge is drawn only where no stronger one arrives, so a flow of plain calls
still reads as the sequence it was.
"""

from collections.abc import Sequence
from typing import Any

from cellist.board.groups import Group
from cellist.drawing.layout import Edge, Measures, Placed, curve, layered, place

MAX_NODES = 500
"""Groups drawn; the list has the others. Beyond this nobody can read the picture anyway."""

_LOOK_BACK = 8
_MEASURES = Measures(width=176)


def find_order(group: Group, siblings: Sequence[Group]) -> int | None:
    """Return the sibling that was over when the group began, the one that ended last."""
    begin = group.rows[0].began
    best: tuple[int, int] | None = None
    for sibling in siblings[-_LOOK_BACK:]:
        last = 0
        for row in sibling.rows:
            if row.began >= begin:
                break
            if not row.ended or row.ended > begin:
                last = 0
                break
            last = max(last, row.ended)
        if last and (best is None or last >= best[0]):
            best = last, sibling.id
    return None if best is None else best[1]


def hidden_root(groups: Sequence[Group]) -> Group | None:
    """Return the flow that holds everything: the frame of the picture and not a node of it."""
    roots = [group for group in groups if group.parent is None]
    if len(roots) == 1 and roots[0].kind == "flow" and len(groups) > 1:
        return roots[0]
    return None


def drawn_groups(groups: Sequence[Group]) -> list[Group]:
    """Return the groups that are nodes of the picture."""
    root = hidden_root(groups)
    return [group for group in groups if group is not root][:MAX_NODES]


def edges_of(groups: Sequence[Group]) -> dict[Edge, str]:
    """Return the edges between these groups with their kinds."""
    known = {group.id for group in groups}
    found: dict[Edge, str] = {}
    for group in groups:
        sources = [source for source in group.sources if source in known and source != group.id]
        if sources:
            found |= {(source, group.id): "data" for source in sources}
        elif group.after is not None and group.after in known:
            found[group.after, group.id] = "order"
        elif group.parent is not None and group.parent.id in known:
            found[group.parent.id, group.id] = "call"
    return found


def graph_of(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the drawn graph in both directions, as the front end gets it."""
    nodes = drawn_groups(groups)
    edges = edges_of(nodes)
    layers = layered([group.id for group in nodes], edges)
    left_out = len(groups) - len(nodes) - (hidden_root(groups) is not None)
    return {
        "wide": _drawn(place(layers, _MEASURES, down=False), edges, down=False),
        "tall": _drawn(place(layers, _MEASURES._replace(gap=20), down=True), edges, down=True),
        "node": [_MEASURES.width, _MEASURES.height],
        "more": f"… and {left_out:,} more in the list" if left_out > 0 else None,
    }


def _drawn(placed: Placed, edges: dict[Edge, str], *, down: bool) -> dict[str, Any]:
    return {
        "w": round(placed.width),
        "h": round(placed.height),
        "nodes": [[node, round(p.x), round(p.y)] for node, p in placed.nodes.items()],
        "edges": [
            [edge[0], edge[1], edges[edge], curve(points, down=down)]
            for edge, points in placed.edges.items()
        ],
    }
