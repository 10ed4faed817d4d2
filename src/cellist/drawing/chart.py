"""What is drawn of a flow: the calls it made, and what went from one to another."""

from dataclasses import dataclass

_MOST_TOLD = 20
"""Edges and lone nodes a description in words lists; nobody listens to more."""


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a task or subflow, or many that are alike."""

    name: str
    """`<task name>-<n>`, with n counting the calls of that name from 0; of many, of the first."""
    kind: str = "task"
    """`task` or `flow`."""
    count: int | None = 1
    """How many calls the node stands for; `None` if only a real run could tell."""

    @property
    def label(self) -> str:
        """The name, with the number of calls if that is not one."""
        if self.count == 1:
            return self.name
        return f"{self.name} ×{'?' if self.count is None else f'{self.count:,}'}"


@dataclass(frozen=True, slots=True)
class Edge:
    """A result that goes from one call to another."""

    source: str
    target: str
    parameters: tuple[str, ...] = ()
    """The parameters it is part of, `wait_for` among them."""

    @property
    def is_order(self) -> bool:
        """Whether the target only waits for the source and is given nothing of it."""
        return self.parameters == ("wait_for",)


@dataclass(frozen=True, slots=True)
class Chart:
    """A flow as a graph. Nodes are in the order of their calls, edges in that of their targets."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def sentence(self) -> str:
        """The graph in one sentence, such as "Flow 'crawl': 3 nodes, 2 edges"."""
        return (
            f"Flow {self.name!r}: {_amount(len(self.nodes), 'node')}, "
            f"{_amount(len(self.edges), 'edge')}"
        )

    @property
    def description(self) -> str:
        """The graph in words, for those who do not see it."""
        labels = {node.name: node.label for node in self.nodes}
        told = [f"{labels[one.source]} → {labels[one.target]}" for one in self.edges]
        linked = {name for one in self.edges for name in (one.source, one.target)}
        told += [node.label for node in self.nodes if node.name not in linked]
        more = ["…"] if len(told) > _MOST_TOLD else []
        return "; ".join(told[:_MOST_TOLD] + more)


def _amount(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
