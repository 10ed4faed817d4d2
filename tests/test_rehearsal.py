"""A rehearsal notes what a flow calls and what goes from call to call, and runs no task."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import cellist.visualize
from cellist import allow_failure, flow, quote, task, unmapped
from cellist.exceptions import ParameterBindError, ParameterTypeError
from cellist.futures import as_completed, resolve_futures_to_results, wait
from cellist.visualize import MOST_ALIKE, Edge, Node


def never(x=None, y=None, z=None) -> Any:
    raise AssertionError("a task ran while its flow was drawn")


load, clean, store, score = (task(never, name=n) for n in ("load", "clean", "store", "score"))


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Let the warning that comes once in a process have come."""
    monkeypatch.setattr(cellist.visualize, "_warned", True)


def graph(fn, *args, **kwargs):
    """Names with counts, and edges as text: `a-0 > b-0 (x, y)`."""
    drawn = flow(fn).visualize(*args, **kwargs)
    links = [f"{e.source} > {e.target} ({', '.join(e.parameters)})" for e in drawn.edges]
    return [node.label for node in drawn.nodes], links


@dataclass
class Options:
    rows: object
    size: int = 1


PLACES = {  # where in the arguments of `store(x=...)` the result of load-0 may be
    "itself": lambda x: x,
    "list": lambda x: [1, [x]],
    "tuple": lambda x: (x, 2),
    "set": lambda x: {x, 2},
    "dict value": lambda x: {"a": {"b": x}},
    "dict key": lambda x: {x: 1},
    "dataclass": Options,
    "allow_failure": allow_failure,
    "attribute": lambda x: x.text,
    "element": lambda x: x["text"][0],
    "method": lambda x: x.head(3),
    "arithmetic": lambda x: (2 * x + 1) / 3,
    "comparison": lambda x: x[x.price > 10],
    "loop": lambda x: [one.text for one in x],
}


@pytest.mark.parametrize("place", PLACES)
def test_a_result_is_followed_to_wherever_it_is_passed(place):
    def f():
        store(x=PLACES[place](load()))

    assert graph(f) == (["load-0", "store-0"], ["load-0 > store-0 (x)"])


def test_what_is_quoted_is_not_followed():
    assert graph(lambda: store(quote(load()))) == (["load-0", "store-0"], [])


@pytest.mark.parametrize("value", [0, 1, True, None, "", "text", 1.5, b"x"])
def test_an_atom_makes_no_phantom_edge(value):
    given = task(never, name="given", viz_return_value=value)

    def f():
        got = given()
        assert got == value
        assert type(got) is type(value)
        store(value)
        store(got)

    assert graph(f) == (["given-0", "store-0", "store-1"], [])


@pytest.mark.parametrize("value", [[], {}, (), [1, 2], (1, 2), {"a": 1}, Options(1), {1, 2}])
def test_an_object_that_was_given_is_followed_and_tells_calls_apart(value):
    given = task(never, name="given", viz_return_value=value)

    def f():
        a, b = given(), given()
        assert a == b == value
        store(b)

    labels, links = graph(f)
    assert labels == ["given-0", "given-1", "store-0"]
    if value != ():  # there is only one empty tuple
        assert links == ["given-1 > store-0 (x)"]


def test_elements_of_a_given_object_are_followed_and_the_original_is_left_alone():
    rows = [{"n": 1}, {"n": 2}]
    given = task(never, name="given", viz_return_value=rows)

    def f():
        for row in (got := given()):
            store(row)
        got[0]["n"] = 5
        got.append(3)

    assert graph(f)[1] == ["given-0 > store-0 (x)", "given-0 > store-1 (x)"]
    assert given.viz_return_value == rows == [{"n": 1}, {"n": 2}]


def test_the_option_is_kept_replaced_and_read():
    assert load.viz_return_value is None
    falsy = load.with_options(viz_return_value=0)
    assert falsy.viz_return_value == 0
    assert falsy.with_options(name="b").viz_return_value == 0

    def f():
        assert falsy() == 0
        assert load.with_options(viz_return_value=None)() is None
        assert load() is not None

    graph(f)


def test_direct_submitted_and_awaited_calls_are_alike():
    fetch = task(coroutine, name="fetch")

    @flow
    async def f():
        a = await fetch(1)
        b, c = await asyncio.gather(fetch(a), fetch(2))
        d = clean.submit(b, wait_for=[c])
        store.submit(await d, y=[d])
        score(d.result(), y=d.state, z=clean(d, return_state=True))

    drawn = f.visualize()
    assert [node.name for node in drawn.nodes] == [
        "fetch-0", "fetch-1", "fetch-2", "clean-0", "store-0", "clean-1", "score-0",
    ]  # fmt: skip
    assert drawn.edges == [
        Edge("fetch-0", "fetch-1", ("x",)),
        Edge("fetch-1", "clean-0", ("x",)),
        Edge("fetch-2", "clean-0", ("wait_for",)),
        Edge("clean-0", "store-0", ("x", "y")),
        Edge("clean-0", "clean-1", ("x",)),
        Edge("clean-0", "score-0", ("x", "y")),
        Edge("clean-1", "score-0", ("z",)),
    ]
    assert asyncio.run(f.avisualize()).edges == drawn.edges


async def coroutine(x=None):
    never()


def test_futures_of_calls_that_did_not_run_can_be_waited_for():
    def f():
        a, b = load.submit(), load.submit()
        a.wait()
        assert a.done()
        assert a.state.is_completed()
        assert wait([a, b]).not_done == set()
        assert set(as_completed([a, b])) == {a, b}
        rung = []
        a.add_done_callback(rung.append)
        assert rung == [a]
        clean(resolve_futures_to_results({"a": a}))

    assert graph(f)[1] == ["load-0 > clean-0 (x)"]


def test_an_async_flow_is_drawn_from_a_running_loop_as_well():
    fetch = task(coroutine, name="fetch")

    @flow
    async def f():
        await asyncio.sleep(0)
        await asyncio.gather(fetch(1), fetch(2))

    async def in_a_cell():
        drawn = await f.visualize()
        assert await f.generate_mermaid_graph() == drawn.mermaid
        assert await f.agenerate_mermaid_graph() == drawn.mermaid
        return (await f.avisualize()).nodes, drawn.nodes

    there, here = asyncio.run(in_a_cell())
    assert here == there == [Node("fetch-0"), Node("fetch-1")]


MAPS = {
    "few": (lambda: clean.map(range(3)), ["clean-0", "clean-1", "clean-2"], []),
    "many": (lambda: clean.map(range(MOST_ALIKE + 1)), ["clean-0 ×11"], []),
    "none": (lambda: clean.map([]), [], []),
    "unknown": (
        lambda: clean.map(load()),
        ["load-0", "clean-0 ×?"],
        ["load-0 > clean-0 (x)"],
    ),
    "unknown, from a future": (
        lambda: clean.map(load.submit()),
        ["load-0", "clean-0 ×?"],
        ["load-0 > clean-0 (x)"],
    ),
    "unknown, mapped again": (
        lambda: score.map(clean.map(load())),
        ["load-0", "clean-0 ×?", "score-0 ×?"],
        ["load-0 > clean-0 (x)", "clean-0 > score-0 (x)"],
    ),
    "unknown, results mapped again": (
        lambda: score.map(clean.map(load()).result()),
        ["load-0", "clean-0 ×?", "score-0 ×?"],
        ["load-0 > clean-0 (x)", "clean-0 > score-0 (x)"],
    ),
    "unknown beside known": (
        lambda: clean.map(load(), [1, 2]),
        ["load-0", "clean-0", "clean-1"],
        ["load-0 > clean-0 (x)", "load-0 > clean-1 (x)"],
    ),
    "unmapped": (
        lambda: clean.map([1, 2], unmapped(load())),
        ["load-0", "clean-0", "clean-1"],
        ["load-0 > clean-0 (y)", "load-0 > clean-1 (y)"],
    ),
    "element by element": (
        lambda: score.map(clean.map([1, 2])),
        ["clean-0", "clean-1", "score-0", "score-1"],
        ["clean-0 > score-0 (x)", "clean-1 > score-1 (x)"],
    ),
    "wait_for": (
        lambda: clean.map([1, 2], wait_for=[load.submit()]),
        ["load-0", "clean-0", "clean-1"],
        ["load-0 > clean-0 (wait_for)", "load-0 > clean-1 (wait_for)"],
    ),
    "given atoms": (
        lambda: clean.map(load.with_options(viz_return_value=[1, 2])()),
        ["load-0", "clean-0", "clean-1"],
        ["load-0 > clean-0 (x)", "load-0 > clean-1 (x)"],
    ),
    "given, from a future": (
        lambda: clean.map(load.with_options(viz_return_value=["a"]).submit()),
        ["load-0", "clean-0"],
        ["load-0 > clean-0 (x)"],
    ),
    "gathered": (
        lambda: store(clean.map(range(20)).result()),
        ["clean-0 ×20", "store-0"],
        ["clean-0 > store-0 (x)"],
    ),
}


@pytest.mark.parametrize("case", MAPS)
def test_maps(case):
    call, labels, links = MAPS[case]
    assert graph(call) == (labels, links)


def test_the_future_list_of_a_map_is_as_long_as_its_input():
    def f():
        assert len(clean.map(range(30))) == 30
        assert len(clean.map(range(30)).result()) == 30

    graph(f)


def test_a_loop_of_many_like_calls_is_one_node_and_a_chain_is_not():
    def loop():
        page = load()
        for number in range(15):
            clean(page, number)

    def chain():
        value = load()
        for _ in range(15):
            value = clean(value)

    assert graph(loop) == (["load-0", "clean-0 ×15"], ["load-0 > clean-0 (x)"])
    assert len(graph(chain)[0]) == 16


def test_generator_tasks_give_a_placeholder_or_the_values_given():
    @task
    def pages():
        yield never()

    @task
    async def more():
        yield never()

    @flow
    async def f():
        for page in pages():
            clean(page)
        async for page in more():
            clean(page)
        clean.map(pages())
        for page in pages.with_options(viz_return_value=[{"a": 1}, {"a": 2}])():
            score(page)
        store(pages.submit().result(), y=pages())

    drawn = f.visualize()
    assert [node.label for node in drawn.nodes] == [
        "pages-0", "clean-0", "more-0", "clean-1", "pages-1", "clean-2 ×?", "pages-2", "score-0",
        "score-1", "pages-3", "pages-4", "store-0",
    ]  # fmt: skip
    assert {(e.source, e.target) for e in drawn.edges} == {
        ("pages-0", "clean-0"), ("more-0", "clean-1"), ("pages-1", "clean-2"),
        ("pages-2", "score-0"), ("pages-2", "score-1"), ("pages-3", "store-0"),
        ("pages-4", "store-0"),
    }  # fmt: skip


def test_a_subflow_is_one_node_and_is_not_entered():
    @flow
    def inner(rows):
        never()

    @flow
    async def ainner(rows):
        never()

    @flow
    async def outer():
        a = inner(load())
        store(await ainner(rows=a))

    drawn = outer.visualize()
    assert [(node.name, node.kind) for node in drawn.nodes] == [
        ("load-0", "task"), ("inner-0", "flow"), ("ainner-0", "flow"), ("store-0", "task"),
    ]  # fmt: skip
    assert len(drawn.edges) == 3


def test_methods_and_generator_flows_are_drawn():
    class Crawler:
        @task
        def fetch(self, url):
            never()

        @flow
        def crawl(self, n: int):
            assert isinstance(self, Crawler)
            for page in self.fetch.map(range(n)):
                yield clean(page)

    drawn = Crawler().crawl.visualize("2")
    assert [node.name for node in drawn.nodes] == ["fetch-0", "fetch-1", "clean-0", "clean-1"]
    assert Crawler().crawl.generate_mermaid_graph(n=2) == drawn.mermaid


def test_arguments_are_bound_resolved_and_validated_as_in_a_call(recorder):
    @flow
    def f(n: int, label: str = "x"):
        assert (n, label) == (5, "x")

    assert f.visualize("5").nodes == []
    assert f.visualize(task(lambda: 5).submit()).nodes == []
    with pytest.raises(ParameterBindError, match="missing a required argument"):
        f.visualize()
    with pytest.raises(ParameterTypeError, match="n: "):
        f.visualize("five")
    with pytest.raises(ParameterBindError):
        flow(lambda: load(*range(4))).visualize()
