"""Whether what a digest was made from is still the same, asked cheaply.

A watch remembers each thing a closure reached and what each of its names meant: code by weak
reference, so that a watch keeps nothing alive, small immutable data by identity, all other data
by digest, which is taken again each time because data can change in place.
"""

import builtins
import weakref
from collections.abc import Callable, Sequence
from marshal import dumps as marshalled
from typing import Any, NamedTuple, cast

from cellist.caching.additions import watched_types
from cellist.caching.closures import shallow
from cellist.caching.encoding import ATOMS
from cellist.caching.kinds import kind_of
from cellist.caching.nodes import Graph, Node, parts_of
from cellist.caching.reach import MISSING, PLACES, LibraryName, Reference, label_of, resolve
from cellist.caching.readers import READERS, said_of
from cellist.caching.values import Signature, signature_of
from cellist.caching.wrappers import Wrapper

Check = Callable[[Any], bool]
Unchanged = Callable[[Any, Sequence[object]], bool]
_BUILTINS = vars(builtins)
_SMALL = 4096
_FEW = 64
_MARSHALLED = frozenset({int, float, complex, bool, str, type(None)})
_WITHOUT_REFERENCES = 2
"""The version of marshal's format in which equal values have equal bytes, shared or not."""


def watch(graph: Graph) -> Unchanged:
    """Return a function that tells whether nothing a graph was made from has changed.

    It takes the root the graph started at and what else the root was said to depend on.
    """
    functions = [_watched_function(node) for node in graph.nodes[1:] if node.what == "function"]
    checks = [_watch_node(node) for node in graph.nodes[1:] if node.what not in _UNWATCHED]
    checks += _watch_sayings(graph)
    start = graph.nodes[0]
    root, *others = [hold(value, start.signatures.get(label)) for label, value in start.values]
    types = watched_types()

    def unchanged(value: Any, depends_on: Sequence[object]) -> bool:
        if not root(value) or len(depends_on) != len(others) or not types():
            return False
        for function in functions:
            if not _is_same(function):
                return False
        for check in checks:
            if not check():
                return False
        return not others or all(
            check(value) for check, value in zip(others, depends_on, strict=True)
        )

    return unchanged


_UNWATCHED = frozenset({"function", "value"})
"""Functions are checked apart. Who owns a value checks it; the code in it has a node."""


def hold(
    value: object, signature: Signature | None = None, above: frozenset[int] = frozenset()
) -> Check:
    """Return a check whether another value is, or equals, this one.

    `above` are the ids of what is being held and led here: an object may hold its own methods.
    """
    if id(value) in above:
        return _always
    kind = type(value)
    if value is MISSING or value is None or kind is bool:
        return lambda other: other is value
    if kind in ATOMS and (kind not in {str, bytes, int} or _is_small(value)):
        return _same_atom(value, kind)
    if kind is LibraryName:
        return lambda other: type(other) is kind and other == value
    what = kind_of(value).what
    if what == "wrapper":
        held = _hold_wrapper(value, above | {id(value)})
        if held is not None:
            return held
    elif what != "data":
        try:
            reference = weakref.ref(value)
        except TypeError:
            return lambda other: other is value  # a library's own builtin
        return lambda other: reference() is other
    return _same_signature(value, signature, above | {id(value)})


def _always(_other: object) -> bool:
    return True


def _is_small(value: Any) -> bool:
    return (value.bit_length() >> 3 if type(value) is int else len(value)) <= _SMALL


def _same_atom(value: Any, kind: type[Any]) -> Check:
    if kind in {float, complex}:  # equal is not the same: 0.0 and -0.0
        text = repr(value)
        return lambda other: other is value or (type(other) is kind and repr(other) == text)
    return lambda other: other is value or (type(other) is kind and other == value)


def _same_signature(value: Any, signature: Signature | None, above: frozenset[int]) -> Check:
    digest, codes, *_ = signature or signature_of(value, "value", shallow)
    labels = [label for label, _ in codes]
    held = [hold(code, None, above) for _, code in codes]
    plain = marshalled(value, _WITHOUT_REFERENCES) if _is_plain(value) else None

    def same(other: Any) -> bool:
        if plain is not None:
            try:
                if marshalled(other, _WITHOUT_REFERENCES) == plain:
                    return True
            except ValueError:
                pass
        now = signature_of(other, "value", shallow)
        return (
            now.digest == digest
            and [label for label, _ in now.codes] == labels
            and all(check(code) for check, (_, code) in zip(held, now.codes, strict=True))
        )

    return same


def _is_plain(value: object, depth: int = 3) -> bool:
    """Whether a value is a small container of numbers and texts, to be compared as marshalled.

    Bytes are not: marshal does not tell them from other buffers, such as arrays. Sets neither:
    it writes them in no order of their own.
    """
    kind = type(value)
    if kind in _MARSHALLED:
        return kind is not str or _is_small(value)
    if not depth or kind not in {list, tuple, dict}:
        return False
    items = cast("Sequence[object]", value)
    if kind is dict:
        pairs = cast("dict[object, object]", value)
        items = [*pairs, *pairs.values()]
    return len(items) <= _FEW and all(_is_plain(item, depth - 1) for item in items)


def _hold_wrapper(value: object, above: frozenset[int]) -> Check | None:
    """Hold a property, static method and the like by what it wraps: they take no weak reference."""
    try:
        reference = weakref.ref(value)
    except TypeError:
        reference = None
    if reference is not None and type(value).__name__ != "method":
        return lambda other: reference() is other
    made = _wrapper(value)
    if made is None:
        return None
    kind = type(value)
    held = [(part.name, hold(part.value, None, above)) for part in made.parts]

    def same(other: Any) -> bool:
        now = _wrapper(other) if type(other) is kind else None
        return (
            now is not None
            and len(now.parts) == len(held)
            and all(
                part.name == name and check(part.value)
                for part, (name, check) in zip(now.parts, held, strict=True)
            )
        )

    return same


def _wrapper(value: object) -> Wrapper | None:
    made = kind_of(value).inner
    return made if isinstance(made, Wrapper) else None


def _watch_node(node: Node) -> Callable[[], bool]:
    held = {label: hold(value, node.signatures.get(label)) for label, value in node.values}
    try:
        reference = weakref.ref(node.thing)
    except TypeError:
        # A property or a bound method: whoever holds it compares what it is made of.
        return lambda: True
    slim = _slim(node)

    def unchanged() -> bool:
        thing = reference()
        if thing is None:
            return False
        count = 0
        for part in parts_of(slim, thing):
            check = held.get(f"{part.kind}:{part.name}")
            if check is None or not check(part.value):
                return False
            count += 1
        return count == len(held)

    return unchanged


def _watch_sayings(graph: Graph) -> list[Callable[[], bool]]:
    """Watch docstrings and names where they are read: they can be set without other code."""
    if READERS.isdisjoint(graph.reads):
        return []
    nodes = (one for one in graph.nodes if one.what in {"function", "class", "module"})
    return [_watch_saying(one, graph.reads) for one in nodes]


def _watch_saying(node: Node, reads: frozenset[str]) -> Callable[[], bool]:
    what, written, reference = node.what, node.written, weakref.ref(node.thing)
    said = said_of(what, node.thing, written, reads)

    def unchanged() -> bool:
        thing = reference()
        return thing is not None and said_of(what, thing, written, reads) == said

    return unchanged


def _slim(node: Node) -> Node:
    """Return a node that says how to list parts, without what it was made from.

    It stays that way: threads check the same closure at the same moment.
    """
    slim = Node(None, node.what, node.kind, "")
    slim.plan = node.plan
    slim.family = node.family
    return slim


class _WatchedFunction(NamedTuple):
    """A function and its code, weakly, and what its names and extras must mean."""

    function: "weakref.ref[Any]"
    code: "weakref.ref[Any]"
    names: list[tuple[str, Check]]
    resolved: list[tuple[Reference, Check]]
    extras: Check | None
    """`None` if there must be none."""


def _is_same(held: _WatchedFunction) -> bool:
    """Whether a function is there with the same code, and all it refers to."""
    function, code, names, resolved, extras = held
    here = function()
    if here is None or here.__code__ is not code():
        return False
    namespace = here.__globals__
    for name, check in names:
        value = namespace.get(name, MISSING)
        if not check(_BUILTINS.get(name, MISSING) if value is MISSING else value):
            return False
    for item, check in resolved:
        if not check(resolve(here, item)[0]):
            return False
    if extras is not None:
        return extras(here)
    return not (here.__defaults__ or here.__kwdefaults__ or here.__dict__)


def _watched_function(node: Node) -> _WatchedFunction:
    function = node.thing
    return _WatchedFunction(
        weakref.ref(function),
        weakref.ref(function.__code__),
        *_hold_names(node),
        _hold_extras(node),
    )


def _hold_names(node: Node) -> tuple[list[tuple[str, Check]], list[tuple[Reference, Check]]]:
    """Hold what a function's names mean; plain globals, the most frequent, go without detours."""
    function = node.thing
    values = dict(node.values)
    names: list[tuple[str, Check]] = []
    others: list[tuple[Reference, Check]] = []
    for item in node.plan:
        value, followed = resolve(function, item)
        kind = "cell" if item.where == "cell" else "global"
        label = f"{kind}:{label_of(item, followed)}"
        check = hold(values.get(label, value), node.signatures.get(label))
        if followed or item.where != "global" or item.root in PLACES:
            others.append((item, check))
        else:
            names.append((item.root, check))
    return names, others


def _hold_extras(node: Node) -> Check | None:
    """Hold the defaults and attributes of a function, `None` if it has none.

    The root's own defaults do not count.
    """
    is_root = node.kind == "source"
    given = None if is_root else node.thing.__defaults__
    held = [hold(value) for value in given or ()]
    named = {} if is_root else dict(node.thing.__kwdefaults__ or {})
    keywords = {name: hold(value) for name, value in named.items()}
    attributes = {name: hold(value) for name, value in node.thing.__dict__.items()}
    if not (held or keywords or attributes):
        return _has_no_attributes if is_root else None

    def unchanged(function: Any) -> bool:
        if not is_root:
            now = function.__defaults__ or ()
            if len(now) != len(held) or not all(
                check(value) for check, value in zip(held, now, strict=True)
            ):
                return False
            if not _same_mapping(function.__kwdefaults__ or {}, keywords):
                return False
        state = function.__dict__
        return not (state or attributes) or _same_mapping(state, attributes)

    return unchanged


def _has_no_attributes(function: Any) -> bool:
    return not function.__dict__


def _same_mapping(now: dict[str, Any], held: dict[str, Check]) -> bool:
    return now.keys() == held.keys() and all(held[name](value) for name, value in now.items())
