"""The layered layout: edges point on, nothing overlaps, loops and long edges are survived."""

import itertools
import time

from hypothesis import given
from hypothesis import strategies as st

from cellist.drawing.layout import Measures, curve, layered, place

M = Measures()


def overlaps(placed):
    return [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(placed.nodes.items(), 2)
        if abs(p.x - q.x) < M.width - 1 and abs(p.y - q.y) < M.height - 1
    ]


def test_a_chain_is_a_straight_line():
    layers = layered([1, 2, 3], [(1, 2), (2, 3)])
    placed = place(layers, M, down=False)
    assert [placed.nodes[node].y for node in (1, 2, 3)] == [placed.nodes[1].y] * 3
    assert placed.nodes[1].x < placed.nodes[2].x < placed.nodes[3].x


def test_a_parent_stands_in_the_middle_of_its_children():
    placed = place(layered([1, 2, 3], [(1, 2), (1, 3)]), M, down=False)
    middle = (placed.nodes[2].y + placed.nodes[3].y) / 2
    assert abs(placed.nodes[1].y - middle) < 1


def test_two_parallel_lines_do_not_cross():
    layers = layered([1, 2, 3, 4], [(1, 4), (2, 3)])
    assert (layers.across[1] < layers.across[2]) == (layers.across[4] < layers.across[3])


def test_an_edge_that_closes_a_loop_does_not_count():
    layers = layered([1, 2, 3], [(1, 2), (2, 3), (3, 1), (2, 2)])
    assert [layers.depth[node] for node in (1, 2, 3)] == [0, 1, 2]
    assert set(layers.paths) == {(1, 2), (2, 3)}


def test_a_long_edge_goes_around_the_nodes_it_passes():
    edges = [(1, 2), (2, 3), (3, 4), (1, 4)]
    placed = place(layered([1, 2, 3, 4], edges), M, down=False)
    for point in placed.edges[1, 4][1:-1]:
        for node in (2, 3):
            corner = placed.nodes[node]
            inside = corner.x < point.x < corner.x + M.width
            assert not (inside and corner.y < point.y < corner.y + M.height)


def test_the_other_direction_reads_down():
    placed = place(layered([1, 2], [(1, 2)]), M, down=True)
    assert placed.nodes[1].y < placed.nodes[2].y
    assert placed.nodes[1].x == placed.nodes[2].x


def test_nothing_is_a_drawing_too():
    placed = place(layered([], []), M, down=False)
    assert (placed.nodes, placed.edges) == ({}, {})


def test_a_curve_starts_and_ends_at_the_nodes():
    placed = place(layered([1, 2], [(1, 2)]), M, down=False)
    path = curve(placed.edges[1, 2], down=False)
    a, b = placed.nodes[1], placed.nodes[2]
    assert path.startswith(f"M{a.x + M.width:.0f} {a.y + M.height / 2:.0f}C")
    assert path.endswith(f" {b.x:.0f} {b.y + M.height / 2:.0f}")


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40))
def test_any_graph_is_drawn_without_overlap_and_within_its_frame(edges):
    nodes = list(range(15))
    layers = layered(nodes, edges)
    for down in (False, True):
        placed = place(layers, M, down=down)
        assert overlaps(placed) == []
        for (a, b), points in placed.edges.items():
            assert layers.depth[a] < layers.depth[b]
            assert all(0 <= p.x <= placed.width and 0 <= p.y <= placed.height for p in points)
        assert all(p.x >= 0 and p.y >= 0 for p in placed.nodes.values())


def test_three_hundred_nodes_take_less_than_a_blink():
    nodes = list(range(300))
    edges = [(i // 2, i) for i in nodes[1:]] + [(i, i + 7) for i in range(0, 290, 3)]
    begin = time.thread_time()
    place(layered(nodes, edges), M, down=False)
    assert time.thread_time() - begin < 0.5
