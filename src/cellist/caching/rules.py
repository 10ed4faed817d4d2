"""Which rule takes a value apart, and the rules for containers and for objects in general.

A rule gets the value and returns a token, or is a generator: it yields `(step, child)`, is sent
the child's token and returns the token of the whole. `step` is the piece of the path to the
child. Rules are found by exact type, then by the names of the type and its bases (so that no
library is imported to be recognised), then by what the type is a kind of.

Objects without a rule are what `__reduce_ex__` says they are: the type, and the parts that would
rebuild them, each digested as a value. State whose keys are the instance's own attributes is
sorted by name, because the order in which attributes were set is an accident; a state of another
making keeps its order. Values that `functools.cached_property` left in an instance are not part
of it: they follow from the rest, and reading one would otherwise look like a mutation.
"""

import functools
import types
from collections.abc import Callable, Generator, Iterator
from io import BytesIO, StringIO
from typing import Any, cast
from weakref import WeakKeyDictionary

from cellist.caching import (
    array_digests,
    arrow_digests,
    frame_digests,
    model_digests,
    stdlib_digests,
)
from cellist.caching.encoding import ATOMS, FLAT, NEST, QUICK, close, mapping, sequence, type_of
from cellist.caching.object_rules import (
    extended_rule,
    hashed_rule,
    keyed_rule,
    object_rule,
    set_rule,
    subclass_rule,
)
from cellist.caching.refusals import Refusal, step_of

Rule = Generator[tuple[str, Any], bytes, bytes]
Handler = Callable[[Any], "bytes | Rule"]

CODE_TYPES: tuple[type, ...] = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    type,
    property,
    staticmethod,
    classmethod,
    functools.partial,
    functools.partialmethod,
    functools.singledispatchmethod,
    functools.cached_property,
    types.CodeType,
    cast("type[Any]", type(functools.cmp_to_key(cast("Any", max)))),
    type(functools.lru_cache(lambda: None)),
)
"""Types whose instances, and those of their subclasses, are code and go to the hook."""

_ITERATOR: type[Any] = Iterator
_SETS: tuple[type, ...] = (set, frozenset)

_hashers: dict[str, Callable[[Any], Any]] = {}
_typed_hashers: WeakKeyDictionary[type, Callable[[Any], Any]] = WeakKeyDictionary()
_resolved: WeakKeyDictionary[type, "Handler | None"] = WeakKeyDictionary()


def register(kind: type | str, function: Callable[[Any], Any]) -> None:
    """Let `function` say what instances of a type, or of a type of this name, are equal by."""
    if isinstance(kind, str):
        _hashers[kind] = function
    else:
        _typed_hashers[kind] = function
    _resolved.clear()


def start(value: Any, code: Handler) -> "tuple[bytes | Rule, bool]":
    """Return a value's token, or the rule that is to give it.

    The second part tells whether the value is told by a key of the user's making, which must
    not contain the value itself. `code` is the rule for functions, classes and modules.
    """
    kind = type_of(value)
    flat = FLAT.get(kind)
    if flat is not None:
        token = flat(value, NEST) if len(value) > QUICK else None
        return token or _CONTAINERS[kind](value), False
    key = getattr(kind, "__cellist_key__", None)
    if key is not None:
        return keyed_rule(value, key), True
    if _hashers or _typed_hashers:
        function = _registered(kind)
        if function is not None:
            return hashed_rule(value, function), True
    try:
        handler = _resolved[kind]
    except KeyError:
        handler = _resolved[kind] = _resolve(kind)
    return (handler or code)(value), False


def _registered(kind: type) -> Callable[[Any], Any] | None:
    for base in kind.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        function = _typed_hashers.get(base) or _hashers.get(name)
        if function is not None:
            return function
    return None


def _name(kind: type) -> str:
    return f"{_package(kind)}.{kind.__qualname__}"


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _resolve(kind: type) -> Handler | None:
    """Return the handler of a type, or `None` for code."""
    handler = _EXACT.get(_name(kind))
    if handler is not None:
        return handler
    if issubclass(kind, CODE_TYPES):
        return None
    for base in kind.__mro__ if kind not in (BytesIO, StringIO) else ():
        handler = _BASES.get(_name(base))
        if handler is not None:
            return _inherited(kind, base, handler)
    if issubclass(kind, _SETS):
        return set_rule
    if _is_iterator(kind):
        return _iterator
    return object_rule


def _inherited(kind: type, base: type, handler: Handler) -> Handler:
    """Return the handler of a type for one derived from it."""
    own = array_digests.OWN_ATTRIBUTES.get(_name(base), frozenset[str]())
    if _package(base) in _LIBRARIES and _package(kind) != _package(base):
        return functools.partial(subclass_rule, handler=handler, own=own)
    if _name(base) in _EXTENSIBLE:
        return functools.partial(extended_rule, handler=handler, own=own)
    return handler


def _is_iterator(kind: type) -> bool:
    """Whether reading an instance uses it up; what `__next__` in Python uses up is its state."""
    if kind in (BytesIO, StringIO) or _own_next(kind):
        return False
    return issubclass(kind, _ITERATOR)


def _own_next(kind: type) -> bool:
    """Whether `__next__` is Python code: then what it consumes is in the object's attributes."""
    return isinstance(getattr(kind, "__next__", None), types.FunctionType)


def _iterator(_value: Any) -> bytes:
    message = "is used up by whoever reads it; pass a list"
    raise Refusal(message)


def _list(value: Any) -> Rule:
    return _sequence(b"l", value)


def _tuple(value: Any) -> Rule:
    return _sequence(b"t", value)


def _sequence(tag: bytes, values: Any) -> Rule:
    """Rule of a list or tuple with something other than atoms in it."""
    tokens: list[bytes] = []
    for index, value in enumerate(values):
        encode = ATOMS.get(type_of(value))
        tokens.append(encode(value) if encode else (yield f"[{index}]", value))
    return close(tag, tokens)


def _set(value: Any) -> Rule:
    return _members(b"S", value)


def _frozenset(value: Any) -> Rule:
    return _members(b"Z", value)


def _members(tag: bytes, values: Any) -> Rule:
    """Rule of a set: the order of its members' tokens is the order of the set."""
    tokens: list[bytes] = []
    for value in values:
        token = yield "{...}", value
        tokens.append(token)
    return close(tag, sorted(tokens))


def _dict(value: Any) -> Rule:
    """Rule of a dict, whose order counts."""
    listed = list(value)
    keys = sequence(b"l", listed)
    if keys is None:
        tokens: list[bytes] = []
        for key in listed:
            token = yield ".<key>", key
            tokens.append(token)
        keys = close(b"l", tokens)
    items = list(value.values())
    values = sequence(b"l", items)
    if values is None:
        tokens = []
        for key, item in zip(listed, items, strict=True):
            encode = ATOMS.get(type_of(item))
            tokens.append(encode(item) if encode else (yield step_of(key), item))
        values = close(b"l", tokens)
    return mapping(keys, values)


_CONTAINERS: dict[type, Handler] = {
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _frozenset,
}
_TABLES = (stdlib_digests, array_digests, arrow_digests, frame_digests, model_digests)
_EXACT: dict[str, Handler] = {k: v for table in _TABLES for k, v in table.EXACT.items()}
_BASES: dict[str, Handler] = {k: v for table in _TABLES for k, v in table.BASES.items()}
_LIBRARIES = frozenset(("numpy", "pandas", "scipy", "PIL", "torch", "pyarrow", "pathlib"))
"""Libraries of data whose types users subclass."""
_EXTENSIBLE = frozenset(("scipy._spbase",))
"""Types whose instances have a `__dict__` that users may set attributes in, and pickle keeps."""
