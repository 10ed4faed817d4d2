"""Layered layout of a directed graph, for the live board and the static picture alike.

Nodes come in the order they were first seen, so an edge that leads backwards closes a loop and
does not count for the layers. Then the classic steps: longest path gives layers, long edges get
a dummy in each layer they cross, four barycentre sweeps reduce crossings, and a few relaxations
pull nodes to the mean of their neighbours without changing the order.

The result is abstract: `depth` along the flow and `across` it. `place` turns it into pixels for
either direction, so that a wide page reads left to right and a phone from top to bottom.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

Edge = tuple[int, int]
_SWEEPS = 4
_RELAXATIONS = 12
_NODE, _BESIDE_DUMMY, _BETWEEN_DUMMIES = 1.0, 0.6, 0.15
"""Distance across of two nodes, of a node and a long edge passing by, of two long edges."""


class Point(NamedTuple):
    """A place in pixels."""

    x: float
    y: float


Corner = Callable[[int], Point]


class Placed(NamedTuple):
    """A drawn graph: size, top left corner of each node, points each edge passes."""

    width: float
    height: float
    nodes: dict[int, Point]
    edges: dict[Edge, list[Point]]


@dataclass
class Layers:
    """The abstract layout: which layer each node is in, and where across it."""

    depth: dict[int, int] = field(default_factory=dict[int, int])
    across: dict[int, float] = field(default_factory=dict[int, float])
    paths: dict[Edge, list[int]] = field(default_factory=dict[Edge, list[int]])
    """For each edge the nodes and dummies it passes."""
    count: int = 0


def layered(nodes: Sequence[int], edges: Iterable[Edge]) -> Layers:
    """Return layers and order of a graph. `nodes` are in the order of their first appearance."""
    rank = {node: position for position, node in enumerate(nodes)}
    forward = sorted(
        {(a, b) for a, b in edges if a in rank and b in rank and rank[a] < rank[b]},
        key=lambda edge: (rank[edge[0]], rank[edge[1]]),
    )
    found = Layers(depth=_longest_path(nodes, forward, rank))
    found.count = max(found.depth.values(), default=-1) + 1
    links = _with_dummies(found, forward)
    order = _starting_order(found, nodes)
    before, after = _neighbours(links)
    _sweep(order, before, after)
    found.across = _relax(order, before, after)
    return found


def _longest_path(
    nodes: Sequence[int], forward: Sequence[Edge], rank: dict[int, int]
) -> dict[int, int]:
    """Return the layer of each node: one more than the deepest of its sources."""
    depth = dict.fromkeys(nodes, 0)
    for a, b in sorted(forward, key=lambda edge: rank[edge[1]]):
        depth[b] = max(depth[b], depth[a] + 1)
    return depth


def _with_dummies(found: Layers, forward: Sequence[Edge]) -> list[Edge]:
    """Cut edges that cross layers into steps of one layer; return all steps."""
    links: list[Edge] = []
    dummy = -1
    for a, b in forward:
        path = [a]
        for layer in range(found.depth[a] + 1, found.depth[b]):
            found.depth[dummy] = layer
            path.append(dummy)
            dummy -= 1
        path.append(b)
        found.paths[a, b] = path
        links += pairwise(path)
    return links


def _starting_order(found: Layers, nodes: Sequence[int]) -> list[list[int]]:
    """Return the layers filled in order of appearance, dummies last."""
    order: list[list[int]] = [[] for _ in range(found.count)]
    for node in nodes:
        order[found.depth[node]].append(node)
    for node, layer in found.depth.items():
        if node < 0:
            order[layer].append(node)
    return order


def _neighbours(links: Iterable[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for a, b in links:
        after.setdefault(a, []).append(b)
        before.setdefault(b, []).append(a)
    return before, after


def _sweep(
    order: list[list[int]], before: dict[int, list[int]], after: dict[int, list[int]]
) -> None:
    """Sort each layer by the mean place of its neighbours, down and up in turn."""
    place = {node: float(i) for layer in order for i, node in enumerate(layer)}
    for turn in range(_SWEEPS):
        down = turn % 2 == 0
        beside = before if down else after
        for layer in order if down else reversed(order):
            weights = {node: _mean(beside.get(node), place, place[node]) for node in layer}
            layer.sort(key=weights.__getitem__)
            for position, node in enumerate(layer):
                place[node] = float(position)


def _relax(
    order: list[list[int]], before: dict[int, list[int]], after: dict[int, list[int]]
) -> dict[int, float]:
    """Return the middle of each node across: near its neighbours, at a distance from the next."""
    place: dict[int, float] = {}
    for layer in order:
        place |= zip(layer, _spread(layer, [0.0] * len(layer)), strict=True)
    for turn in range(_RELAXATIONS):
        for layer in order if turn % 2 == 0 else reversed(order):
            wanted = [_pulled(node, before, after, place) for node in layer]
            place |= zip(layer, _spread(layer, wanted), strict=True)
    return place


def _pulled(
    node: int, before: dict[int, list[int]], after: dict[int, list[int]], place: dict[int, float]
) -> float:
    """Return where the neighbours pull a node; a long edge pulls itself straight."""
    total = weights = 0.0
    for other in (*before.get(node, ()), *after.get(node, ())):
        weight = 8.0 if node < 0 and other < 0 else 1.0
        total += weight * place[other]
        weights += weight
    return total / weights if weights else place[node]


def _spread(layer: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """Return places close to those wanted, in the same order and far enough apart."""
    gaps = [0.0] + [
        _NODE if a >= 0 and b >= 0 else _BESIDE_DUMMY if a >= 0 or b >= 0 else _BETWEEN_DUMMIES
        for a, b in pairwise(layer)
    ]
    up, down = list(wanted), list(wanted)
    for i in range(1, len(up)):
        up[i] = max(up[i], up[i - 1] + gaps[i])
    for i in range(len(down) - 2, -1, -1):
        down[i] = min(down[i], down[i + 1] - gaps[i + 1])
    return [(a + b) / 2 for a, b in zip(up, down, strict=True)]


def _mean(nodes: Sequence[int] | None, place: dict[int, float], default: float) -> float:
    return sum(place[node] for node in nodes) / len(nodes) if nodes else default


class Measures(NamedTuple):
    """Pixels: size of a node, gap between layers, gap across, margin."""

    width: float = 156
    height: float = 46
    gap: float = 36
    side: float = 16
    margin: float = 10


def place(found: Layers, measures: Measures, *, down: bool) -> Placed:
    """Return pixels for the layers; `down` from top to bottom, else from left to right."""
    m = measures
    along = (m.height if down else m.width) + m.gap
    sideways = (m.width if down else m.height) + m.side

    least = min((found.across[n] - (0.5 if n >= 0 else 0.0) for n in found.across), default=0.0)

    def corner(node: int) -> Point:
        a = found.depth[node] * along + m.margin
        b = (found.across[node] - least - 0.5) * sideways + m.margin + m.side / 2
        return Point(b, a) if down else Point(a, b)

    nodes = {node: corner(node) for node in found.depth if node >= 0}
    edges = {edge: _points(path, corner, m, down=down) for edge, path in found.paths.items()}
    ends = [Point(p.x + m.width, p.y + m.height) for p in nodes.values()]
    ends += [point for points in edges.values() for point in points]
    width = max((p.x for p in ends), default=0) + m.margin
    height = max((p.y for p in ends), default=0) + m.margin
    return Placed(width, height, nodes, edges)


def _points(path: Sequence[int], corner: Corner, m: Measures, *, down: bool) -> list[Point]:
    """Return where an edge leaves a node, passes dummies and enters the next node."""
    first, last = corner(path[0]), corner(path[-1])
    points: list[Point] = []
    if down:
        points.append(Point(first.x + m.width / 2, first.y + m.height))
        for p in map(corner, path[1:-1]):
            points += [Point(p.x + m.width / 2, p.y), Point(p.x + m.width / 2, p.y + m.height)]
        points.append(Point(last.x + m.width / 2, last.y))
    else:
        points.append(Point(first.x + m.width, first.y + m.height / 2))
        for p in map(corner, path[1:-1]):
            points += [Point(p.x, p.y + m.height / 2), Point(p.x + m.width, p.y + m.height / 2)]
        points.append(Point(last.x, last.y + m.height / 2))
    return points


def curve(points: Sequence[Point], *, down: bool) -> str:
    """Return an SVG path through the points: curves between layers, straight lines within."""
    text = f"M{points[0].x:.0f} {points[0].y:.0f}"
    for i in range(1, len(points)):
        a, b = points[i - 1], points[i]
        if i % 2 == 0:  # from one side of a dummy to the other
            text += f"L{b.x:.0f} {b.y:.0f}"
        elif down:
            middle = (a.y + b.y) / 2
            text += f"C{a.x:.0f} {middle:.0f} {b.x:.0f} {middle:.0f} {b.x:.0f} {b.y:.0f}"
        else:
            middle = (a.x + b.x) / 2
            text += f"C{middle:.0f} {a.y:.0f} {middle:.0f} {b.y:.0f} {b.x:.0f} {b.y:.0f}"
    return text
