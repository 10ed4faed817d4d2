"""Draw a flow without running its tasks: what `Flow.visualize` gives.

The flow's own code runs, in a `rehearsal`; the calls it made become a `Chart`, which `drawing`
turns into Mermaid text and SVG. Both live below the root modules, so that a script which never
loads a board can draw. More than `MOST_ALIKE` calls of one task with the same inputs upstream are
one node with a count: the picture of a map over ten thousand pages is still one to look at.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from cellist import settings
from cellist.drawing.chart import Chart, Edge, Node
from cellist.drawing.flowchart import flowchart_html, flowchart_svg
from cellist.drawing.mermaid import mermaid
from cellist.engine.waiting import run_awaitable
from cellist.rehearsal import Call
from cellist.staging import Stage

MOST_ALIKE = 10
"""Calls of one task with the same upstream tasks that are drawn one by one."""

_warned = False
_WARNING = (
    "visualize() runs the code of the flow itself: what is not in a function decorated with @task "
    "or @flow takes effect as in a real run. Tasks and subflows do not run."
)


class AwaitableText(str):
    """Text that can also be awaited, as Prefect's users do in a notebook."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, str]:
        yield from ()
        return str(self)


class Visualization:
    """The graph of a flow, shown as a picture where a notebook displays it.

    May be awaited as well, which gives itself.
    """

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._shown_in: object = None

    @property
    def nodes(self) -> list[Node]:
        """The calls of tasks and subflows in order: `name`, `kind`, `count` and `label` of each."""
        return list(self._chart.nodes)

    @property
    def edges(self) -> list[Edge]:
        """What goes from call to call: `source` and `target` by name, `parameters` of the target.

        An edge whose only parameter is `wait_for` carries no value.
        """
        return list(self._chart.edges)

    @property
    def mermaid(self) -> str:
        """The graph as the text of a Mermaid flowchart."""
        return mermaid(self._chart)

    def save(self, path: "str | Path") -> Path:
        """Write the picture to `.svg` or `.html`, or the Mermaid text to `.mmd` or `.md`.

        Returns the path. Raises `ValueError` for other endings and `OSError` as writing does.
        """
        target = Path(path)
        writers = {
            ".svg": lambda: flowchart_svg(self._chart),
            ".html": lambda: f"<!doctype html><meta charset=utf-8>{self._repr_html_()}",
            ".mmd": lambda: f"{self.mermaid}\n",
            ".md": lambda: f"```mermaid\n{self.mermaid}\n```\n",
        }
        write = writers.get(target.suffix.lower())
        if write is None:
            message = f"A graph is saved as {', '.join(writers)}; {target.name!r} has another end."
            raise ValueError(message)
        target.write_text(write(), encoding="utf-8")
        return target

    def _repr_svg_(self) -> str:
        return flowchart_svg(self._chart)

    def _repr_html_(self) -> str:
        return flowchart_html(self._chart)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "text/html": self._repr_html_(),
            "image/svg+xml": self._repr_svg_(),
            "text/plain": repr(self),
        }

    def show(self) -> Self:
        """Show the picture under the cell at once; where there is no notebook nothing happens."""
        cell = _cell()
        if cell is not None:
            _publish(self._repr_mimebundle_())
            self._shown_in = cell
        return self

    def _ipython_display_(self) -> None:
        """Show the picture, but not twice where a cell ends with the call that showed it."""
        shown, self._shown_in = self._shown_in, None
        if shown is None or shown != _cell():
            _publish(self._repr_mimebundle_())

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from ()
        return self

    def __repr__(self) -> str:
        return f"<{self._chart.sentence}>"


def _cell() -> object:
    """Return what tells the cell being executed, `None` outside notebooks or with the UI off."""
    ipython: Any = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None or settings.active().ui in ("off", "text"):
        return None
    return shell.execution_count


def _publish(bundle: dict[str, str]) -> None:
    display: Any = import_module("IPython.display")  # only partly typed
    display.display(bundle, raw=True)


def _warn() -> None:
    """Warn once that the code of a flow runs."""
    global _warned  # noqa: PLW0603 - once in a process
    if not _warned:
        _warned = True
        warnings.warn(_WARNING, stacklevel=4)


def visualize(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Visualization:
    """Return the graph of a flow called with these arguments."""
    __tracebackhide__ = True
    _warn()
    with Stage(flow, args, kwargs) as stage:
        given = stage.begin()
        if flow.isasync:
            run_awaitable(given, None)
    return Visualization(chart_of(flow.name, list(stage.rehearsal.calls.values())))


async def avisualize(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Visualization:
    """Return the graph of a flow called with these arguments; async code runs on this loop."""
    __tracebackhide__ = True
    _warn()
    with Stage(flow, args, kwargs) as stage:
        given = stage.begin()
        if flow.isasync:
            await given
    return Visualization(chart_of(flow.name, list(stage.rehearsal.calls.values())))


def chart_of(name: str, calls: list[Call]) -> Chart:
    """Return calls as a chart, those that are alike as one node if there are many."""
    kinds = _kinds(calls)
    sizes = Counter(kinds.values())
    first: dict[int, str] = {}
    node_of: dict[int, str] = {}
    nodes: list[Node] = []
    for call in calls:
        kind = kinds[call.run.number]
        size = sizes[kind] if sizes[kind] > MOST_ALIKE else 1
        if size == 1 or kind not in first:
            first[kind] = call.run.name
            count = None if call.is_many else size
            nodes.append(Node(call.run.name, call.run.kind, count))
        node_of[call.run.number] = first[kind]
    return Chart(name, tuple(nodes), _edges(calls, node_of))


def _kinds(calls: list[Call]) -> dict[int, int]:
    """Return for each run a number that it shares with those alike: same task, alike upstream."""
    found: dict[Any, int] = {}
    kinds: dict[int, int] = {}
    for call in calls:
        upstream = frozenset(kinds[number] for number in call.sources)
        key = (call.run.kind, call.run.definition.name, upstream, call.is_many)
        kinds[call.run.number] = found.setdefault(key, len(found))
    return kinds


def _edges(calls: list[Call], node_of: dict[int, str]) -> tuple[Edge, ...]:
    """Return the edges between nodes, each once, with the parameters of all it stands for."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for call in calls:
        for number in call.sources:
            ends = node_of[number], node_of[call.run.number]
            found.setdefault(ends, {}).update(call.sources[number])
    place = {name: i for i, name in enumerate(dict.fromkeys(node_of.values()))}
    ordered = sorted(found, key=lambda ends: (place[ends[1]], place[ends[0]]))
    return tuple(Edge(*ends, tuple(found[ends])) for ends in ordered)


__all__ = ["AwaitableText", "Edge", "Node", "Visualization"]
