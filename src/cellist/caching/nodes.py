"""The nodes of the graph of what code reaches, and the parts each of them has now."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from cellist.caching import code_text
from cellist.caching.class_parts import class_parts
from cellist.caching.dependencies import arranged
from cellist.caching.kinds import kind_of
from cellist.caching.reach import (
    Part,
    Reference,
    function_extras,
    label_of,
    module_parts,
    resolve,
)
from cellist.caching.tree_parts import Chain
from cellist.caching.values import Signature
from cellist.caching.wrappers import Wrapper
from cellist.model.reasons import Component


class Node:
    """One thing of the user's that is reached: a function, class, module, wrapper or value."""

    __slots__ = (
        "annotated",
        "code",
        "computed",
        "edges",
        "family",
        "kind",
        "local",
        "name",
        "plan",
        "scope",
        "signatures",
        "soft",
        "text",
        "thing",
        "told",
        "values",
        "what",
        "written",
    )

    def __init__(self, thing: Any, what: str, kind: str, name: str) -> None:
        self.thing = thing
        self.what = what
        self.kind = kind
        self.name = name
        self.local = ""
        self.text = ""
        self.scope = ""
        """Module the thing's globals are those of; names of the root's need no prefix."""
        self.soft = False
        self.annotated = False
        self.family = False
        """Whether the subclasses of a class count."""
        self.written: tuple[str, ...] = ()
        """Docstrings in the text; they count if something reachable reads docstrings."""
        self.code: code_text.CodeText | None = None
        self.computed: tuple[Chain, ...] = ()
        """What the names of modules are computed from that a function imports."""
        self.plan: tuple[Reference, ...] = ()
        self.edges: list[tuple[str, str | int]] = []
        self.values: list[tuple[str, Any]] = []
        self.signatures: dict[str, Signature] = {}
        self.told: set[str] = set()
        """Labels of edges whose value has a component of its own."""


class Graph(NamedTuple):
    """What was found: the digest of the whole, its parts, and the nodes for later checks."""

    digest: str
    components: tuple[Component, ...]
    untracked: tuple[str, ...]
    notes: tuple[str, ...]
    nodes: tuple[Node, ...]
    reads: frozenset[str]


def parts_of(node: Node, thing: Any) -> Iterator[Part]:
    """Yield what the thing of a node reaches now."""
    if node.what == "function":
        for reference in node.plan:
            value, followed = resolve(thing, reference)
            kind = "cell" if reference.where == "cell" else "global"
            yield Part(kind, label_of(reference, followed), value, followed)
        yield from function_extras(thing, defaults=node.kind != "source")
    elif node.what == "class":
        yield from class_parts(thing, family=node.family)
    elif node.what == "module":
        yield from module_parts(thing)
    elif node.what == "wrapper":
        wrapper: Wrapper = kind_of(thing).inner
        yield from wrapper.parts
    elif node.what == "task":
        yield from _parts_of_task(thing)
    else:
        for label, code in node.signatures["codes"].codes:
            yield Part("inner", label, code)


def _parts_of_task(task: Any) -> Iterator[Part]:
    """Yield the function of a task, and what the task is said to depend on besides."""
    yield Part("inner", "func", kind_of(task).inner)
    if task.version is not None:
        yield Part("global", "version", task.version)
    for one in arranged(task.depends_on):
        yield Part("extra", one.label, one.value, shown=one.shown)
