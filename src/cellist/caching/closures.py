"""The graph of what a task's code reaches, and its digest.

Nodes are functions, classes, escaped modules and wrappers of the user's; edges are labelled by the
names that lead from one to the other, or end in the digest of a value or the name of a library's
thing. Nodes are numbered breadth first from the root with the edges of each node in the order of
their labels, and each adds its own digest and its edges to the digest of the whole: cycles and
mutual recursion need no special case, and neither do data that hold functions.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from blake3 import blake3

from cellist.caching import code_text, packages
from cellist.caching.computed_imports import modules_meant, texts_reached
from cellist.caching.declared import UNDEFINED, component_of, told
from cellist.caching.dependencies import Dependency, declares
from cellist.caching.digests import Digester
from cellist.caching.encoding import ATOMS
from cellist.caching.kinds import Kind, kind_of
from cellist.caching.naming import NAMED_FUNCTION, display, name_of_node
from cellist.caching.nodes import Graph, Node, parts_of
from cellist.caching.places import Places
from cellist.caching.reach import MISSING, Part, cell_value, plan_of
from cellist.caching.readers import READERS, SOURCES, readers_in, said_of
from cellist.caching.refusals import told_by, type_name
from cellist.caching.values import Signature, signature_of
from cellist.exceptions import HashError
from cellist.model.reasons import Component


class Builder:
    """Builds one graph.

    `annotations` follows the annotations of every signature, too, `family` every subclass; `reads`
    are names by which other code looks at docstrings and the like of what is reached.
    """

    def __init__(
        self,
        versions: packages.Versions,
        *,
        annotations: bool = False,
        family: bool = False,
        reads: Iterable[str] = (),
    ) -> None:
        self.versions = versions
        self.annotations = annotations
        self.family = family
        self.nodes: list[Node] = []
        self.components: dict[tuple[str, str], Component] = {}
        self.untracked: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.packages: set[str] = set()
        self.reads: set[str] = set(reads)
        self._numbers: dict[tuple[Any, bool], int] = {}
        self._root_scope = ""
        self._places = Places()

    def build(self, role: str, root: Any, depends_on: Sequence[Dependency]) -> Graph:
        """Return the graph that starts at `root`, in the role of a task's `source` or `inner`.

        As `owner` it is not code but has a `scope`, the module whose names need no prefix. Raises
        `HashError` for a value that is depended on and has no stable digest.
        """
        if role == "owner":
            self._root_scope = root.scope
        name = getattr(root, "__name__", None) or type(root).__name__
        start = Node(None, "root", "source", "")
        self.nodes.append(start)
        self._edge(start, Part(role, str(name), root))
        for one in depends_on:
            self._edge(start, Part("extra", one.label, one.value, shown=one.shown))
        position = 1
        while position < len(self.nodes):  # grows while it is walked
            self._expand(self.nodes[position])
            position += 1
            if position == len(self.nodes):
                self._import_computed()
        return self._close()

    def _import_computed(self) -> None:
        """Add the modules that may be meant by imports of names that are computed."""
        asking = [node for node in self.nodes if node.computed]
        every = texts_reached(self.nodes) if asking else frozenset[str]()
        for node in asking:
            modules = modules_meant(node, every)
            if not modules:
                self.untracked[f"what {node.name} imports"] = None
            known = {id(value) for _, value in node.values}
            for module in modules:
                if module is not None and id(module) not in known:
                    self._edge(node, Part("global", module.__name__, module, (module.__name__,)))

    def _expand(self, node: Node) -> None:
        parts = list(parts_of(node, node.thing))
        parts.sort(key=lambda part: (part.kind, part.name))
        for part in parts:
            self._edge(node, part)

    def _edge(self, node: Node, part: Part) -> None:
        label = part.kind if part.kind == "source" else f"{part.kind}:{part.name}"
        node.values.append((label, part.value))
        kind = kind_of(part.value)
        target = self._target(node, part, label, kind)
        node.edges.append((label, target))

    def _target(self, node: Node, part: Part, label: str, kind: Kind) -> str | int:
        what = kind.what
        if what == "data":
            return self._data(node, part, label)
        if what == "library":
            return self._library(node, part, label, kind)
        name = display(node, part, self._root_scope)
        if what == "nothing":
            if part.value is MISSING and node.what == "function":
                self._add("global", name, _NOTHING, UNDEFINED)
            return f"!{kind.name}"
        if what == "opaque":
            if part.kind == "extra":
                raise _undependable(part.value, name)
            self._add("untracked", name, blake3(kind.name.encode()).hexdigest(), kind.name)
            self.untracked[name] = None
            return f"?{kind.name}"
        if what == "task" and not declares(part.value):
            return self._target(node, part._replace(value=kind.inner), label, kind_of(kind.inner))
        number = self._number(node, part, kind, name_of_node(node, part, self._root_scope))
        if part.kind in _NAMING and node.what == "function" and self.nodes[number].name != name:
            self._name_again(part, kind, name)
        return number

    def _name_again(self, part: Part, kind: Kind, name: str) -> None:
        """Add a component that tells what is meant by another name of what has one already.

        Its own would not change if the name came to mean something else that is reached, too.
        """
        meant = str(getattr(part.value, "__qualname__", kind.name))
        if part.kind == "default" or part.name.rpartition(".")[2] != meant.rpartition(".")[2]:
            digest = blake3(meant.encode("utf-8", "surrogatepass")).hexdigest()
            self._add(_COMPONENTS.get(part.kind, "global"), name, digest, meant)

    def _number(self, node: Node, part: Part, kind: Kind, name: str) -> int:
        is_root = part.kind == "source" or (
            # A bound method as a task: its function is the task's own source.
            node.kind == "source" and node.local in _TRANSPARENT and part.name == "func"
        )
        key = (_identity(part.value, kind), is_root)
        found = self._numbers.get(key)
        if found is not None:
            return found
        component = "source" if is_root else NAMED_FUNCTION.get(kind.what, kind.what)
        new = Node(part.value, kind.what, component, name)
        new.annotated = self.annotations or (node.soft and kind.what == "function")
        new.family = self.family
        self._describe(new, kind)
        self._numbers[key] = len(self.nodes)
        self.nodes.append(new)
        return len(self.nodes) - 1

    def _describe(self, node: Node, kind: Kind) -> None:
        thing = node.thing
        if kind.what == "function":
            code = thing.__code__
            known = node.code = code_text.text_of(code, thing.__globals__)
            shape = known.shape
            node.local, node.written, node.text = shape.digest, shape.docs, known.text
            node.scope = str(thing.__globals__.get("__name__", "__main__"))
            node.plan = plan_of(code, known, annotations=node.annotated)
            node.computed = tuple(sorted(q[1:] for q in shape.named if not q[0]))
            self.reads |= shape.reads
            if known.note:
                self.notes[known.note] = None
            if node.kind == "source":
                self._root_scope = node.scope
        elif kind.what == "class":
            node.local = f"class {thing.__qualname__}"
            node.scope = thing.__module__
            node.text = _text_of_class(thing)
        elif kind.what == "module":
            node.local = f"module {thing.__name__}"
            node.scope = thing.__name__
        elif kind.what == "task":
            node.local = "task"
        else:
            node.local = f"wrapper {kind.name}"
            node.soft = kind.inner.soft

    def _data(self, node: Node, part: Part, label: str) -> str | int:
        name = display(node, part, self._root_scope)
        value = self._places.relative(part.value)
        signature = signature_of(value, name, shallow)
        self.reads |= readers_in(value)
        if signature.untracked and part.kind == "extra":
            raise _undependable(part.value, name)
        if value is part.value:
            node.signatures[label] = signature
        for culprit in () if node.soft else signature.untracked:
            self.untracked[culprit] = None
        module = type(part.value).__module__
        home = packages.home_of_module(module)
        if not home.tracked and home.package not in {packages.STDLIB, packages.OWN}:
            self.packages.add(home.package)
        digest = signature.digest.hex()
        kind = _COMPONENTS.get(part.kind, "global")
        if signature.untracked:
            kind = "untracked"
        is_told = part.kind != "inner" or node.what in {"function", "wrapper"}
        if (is_told and not node.soft) or (part.kind != "inner" and not signature.untracked):
            node.told.add(label)
            shown = type(part.value).__name__ if signature.untracked else told(part.value)
            declared = component_of(part.value) if part.kind == "extra" else None
            if declared is not None:
                kind, name, _, shown = declared
            self._add(kind, name, digest, shown)
        if not signature.codes:
            return digest
        return self._holder(node, part, name, signature)

    def _holder(self, node: Node, part: Part, name: str, signature: Signature) -> int:
        """Return the number of the node for a value that holds code."""
        key = (id(part.value), False)
        found = self._numbers.get(key)
        if found is None:
            new = Node(part.value, "value", "value", name)
            new.local = f"value {signature.digest.hex()}"
            new.scope, new.soft = node.scope, node.soft
            new.signatures["codes"] = signature
            found = self._numbers[key] = len(self.nodes)
            self.nodes.append(new)
        return found

    def _library(self, node: Node, part: Part, label: str, kind: Kind) -> str:
        home = packages.home_of_module(kind.module)
        self.reads |= READERS.intersection((kind.name.rpartition(".")[2],))
        if home.package and home.package not in {packages.STDLIB, packages.OWN}:
            self.packages.add(home.package)
        bare = part.kind in {"global", "cell"} and not part.chain and node.what == "function"
        if bare and kind.name != f"builtins.{part.name}":
            node.told.add(label)
            digest = blake3(kind.name.encode()).hexdigest()
            self._add("global", display(node, part, self._root_scope), digest, kind.name)
        return f"@{kind.name}"

    def _add(self, kind: str, name: str, digest: str, text: str) -> None:
        """Add a component; what goes by the same name counts together."""
        known = self.components.get((kind, name))
        if known is not None and known.digest != digest:
            digest = blake3("|".join(sorted((known.digest, digest))).encode()).hexdigest()
            text = max(known.text, text, key=len)
        self.components[kind, name] = Component(kind, name, digest, text)

    def _close(self) -> Graph:
        sources = not SOURCES.isdisjoint(self.reads)
        lines: list[str] = []
        for node in self.nodes:
            local = node.local + said_of(node.what, node.thing, node.written, self.reads)
            if sources:
                local += f"|{len(node.text)}:{node.text}"
            own = [local]
            edges = [f"{len(label)}:{label}={target}" for label, target in node.edges]
            lines.append(f"{len(local)}:{local}[{len(edges)}]")
            lines.extend(edges)
            if node.what not in {"root", "value"}:
                own += self._own_edges(node)
                if node.what != "function":
                    own += [f"{label}>{self._name_of(target)}" for label, target in node.edges]
                digest = blake3("\n".join(own).encode("utf-8", "surrogatepass")).hexdigest()
                self._add(node.kind, node.name, digest, node.text)
        lines.extend(self._versions())
        whole = blake3("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
        return Graph(
            whole,
            tuple(self.components.values()),
            tuple(self.untracked),
            tuple(self.notes),
            tuple(self.nodes),
            frozenset(self.reads),
        )

    def _own_edges(self, node: Node) -> Iterator[str]:
        """Yield what a node reaches that has no component of its own, and so belongs to it.

        A name that means nothing belongs to none: once it does, it has a component.
        """
        for label, target in node.edges:
            if label in node.told or target == "!missing":
                continue
            if isinstance(target, int):
                if self.nodes[target].what == "value":
                    yield f"{label}={self.nodes[target].local}"
            elif label.startswith("inner:") or target[:1] in "@!?":
                yield f"{label}={target}"

    def _name_of(self, target: str | int) -> str:
        """Return the name of a node, nothing for what has a component or is in the digest."""
        return self.nodes[target].name if isinstance(target, int) else ""

    def _versions(self) -> Iterator[str]:
        for top in sorted(self.packages):
            found = packages.distribution_of(top)
            policy = packages.policy_for(self.versions, found.name, top)
            version = packages.version_for_key(found.version, policy)
            line = f"package {found.name} {version}"
            self._add("package", found.name, blake3(line.encode()).hexdigest(), found.version)
            yield line


def _undependable(value: object, name: str) -> HashError:
    """Return the error that tells of a value which is depended on and has no stable digest."""
    try:
        Digester().digest(value, name)
        story, path = f"{name}: a {type_name(value)} has no stable digest", name
    except HashError as error:
        story, path = told_by(error), error.path
    remedy = "Take it out of `depends_on`, or say what its digest is with `@cellist.hasher`."
    return HashError(f"{story}. {remedy}", path)


_COMPONENTS = {"cell": "closure", "default": "default", "extra": "extra", "source": "source"}
_NAMING = frozenset({"global", "cell", "default"})
_NOTHING = blake3(b"missing").hexdigest()
_TRANSPARENT = frozenset({"wrapper method", "wrapper staticmethod", "wrapper classmethod"})


def _identity(value: Any, kind: Kind) -> Any:
    """Return what tells a thing from others. `typing` keeps equal aliases once, for a while."""
    if kind.name == "alias":
        with contextlib.suppress(Exception):  # of what the user annotated with
            return kind.name, value, hash(value)
    return id(value)


def shallow(thing: Any) -> tuple[bytes, bool]:
    """Return what stands for a piece of code in the digest of a value, and whether to follow it."""
    kind = kind_of(thing)
    if kind.what == "function":
        shape = code_text.text_of(thing.__code__, thing.__globals__).shape
        # What closure cells hold tells functions of one text apart, also in the order of a set.
        cells = map(cell_value, thing.__closure__ or ())
        return f"function {shape.digest}".encode() + b"".join(map(_atom, cells)), True
    if kind.what == "class":
        return f"class {thing.__qualname__}".encode(), True
    if kind.what == "module":
        return f"module {thing.__name__}".encode(), True
    if kind.what in {"wrapper", "task"}:
        return f"{kind.what} {kind.name}".encode(), True
    return f"{kind.what} {kind.name}".encode(), False


def _atom(value: object) -> bytes:
    encode = ATOMS.get(type(value))
    return encode(value) if encode else b"?"


def _text_of_class(cls: type[Any]) -> str:
    for entry in vars(cls).values():
        function = getattr(entry, "__func__", getattr(entry, "fget", entry))
        code = getattr(function, "__code__", None)
        if code is not None and getattr(function, "__module__", None) == cls.__module__:
            code_text.text_of(code, function.__globals__)
            return code_text.class_text(code, cls.__name__)
    return ""
