"""What a function or a wrapper carries along: cells, defaults, receivers, arguments of partials.

Two functions of one text that carry different data are different values. What they read by global
names is their surroundings, and so are the attributes of a class.
"""

from collections.abc import Iterator

from cellist.caching.digests import Digester
from cellist.caching.nodes import Graph, Node
from cellist.caching.refusals import told_by, type_name
from cellist.exceptions import HashError


def refusal_of(graph: Graph) -> tuple[str, str] | None:
    """Return the path to what the root of a graph carries without a digest, and what is said of it.

    `None` if all that it carries has one.
    """
    waiting, seen = [0], {0}
    while waiting:
        node = graph.nodes[waiting.pop()]
        values = dict(node.values)
        for label in _carried(node):
            signature = node.signatures.get(label)
            if signature is None or signature.whole:
                continue
            if signature.untracked or not label.startswith("default:"):  # where marks are usual
                return _refused(values[label], _name(node, label))
        for label, target in node.edges:
            surroundings = node.what in {"function", "module"} and label.startswith("global:")
            if isinstance(target, int) and target not in seen and not surroundings:
                seen.add(target)
                waiting.append(target)
    return None


def _carried(node: Node) -> Iterator[str]:
    """Yield the labels of the data that a node carries."""
    if node.soft or node.what == "module":
        return
    for label, _ in node.values:
        if not label.startswith("global:"):
            yield label


def _name(node: Node, label: str) -> str:
    return f"{node.name}.{label.partition(':')[2]}".lstrip(".")


def _refused(value: object, name: str) -> tuple[str, str]:
    try:
        Digester(code=_nothing).digest(value, name)
    except HashError as error:
        return error.path, told_by(error)
    return name, f"{name}: a {type_name(value)} has no stable digest"


def _nothing(_thing: object, _digester: Digester) -> bytes:
    return b""
