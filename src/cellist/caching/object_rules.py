"""The rule for objects in general: the parts that would rebuild them, never pickle's bytes."""

import copyreg
import functools
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any, cast
from weakref import WeakKeyDictionary

from cellist.caching.encoding import node, sequence, text, type_of
from cellist.caching.refusals import Refusal

Rule = Generator[tuple[str, Any], bytes, bytes]

_NEW = copyreg.__newobj__  # type: ignore[attr-defined] - exists on every CPython, not in typeshed
_NEW_EX = copyreg.__newobj_ex__  # type: ignore[attr-defined] - as above
_RECONSTRUCT = copyreg._reconstructor  # type: ignore[attr-defined] - as above
_OPTIONAL = 5
_PANDAS_CACHED = "CachedProperty"
"""The type of pandas' own cached properties, whose values lie together in `_cache`."""

_READS = ("__iter__", "items", "keys")
_HOLDERS: tuple[type[Any], ...] = (OrderedDict, dict, list, tuple, deque)

_derived_of: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def keyed_rule(value: Any, key: Any) -> Rule:
    """Rule of an instance whose type says by itself what it is equal by."""
    kind = yield "", type(value)
    return node("keyed", kind, (yield ".__cellist_key__()", key(value)))


def hashed_rule(value: Any, function: Any) -> Rule:
    """Rule of an instance whose type has a registered hasher."""
    kind = yield "", type(value)
    return node("hashed", kind, (yield ".<hasher>", function(value)))


def subclass_rule(value: Any, handler: Any, own: frozenset[str]) -> Rule:
    """Rule of a user's subclass of a library's data type: the data, the class, what it adds.

    `own` are the attributes in which the library keeps the data.
    """
    result: bytes | Rule = handler(value)  # first, because it may refuse
    kind = yield "", type(value)
    content: bytes = result if isinstance(result, bytes) else (yield from result)
    names: Any = getattr(value, "_metadata", None)  # what pandas carries along in subclasses
    if isinstance(names, list):
        added = {name: getattr(value, name, None) for name in _texts(cast("list[Any]", names))}
    elif hasattr(value, "_mgr"):
        added = {}
    else:
        added = _added(value, own)
    return node("subclass", kind, content, (yield from attributes(added)))


def extended_rule(value: Any, handler: Any, own: frozenset[str]) -> Rule:
    """Rule of a library's data type whose instances take attributes of the user's."""
    result: bytes | Rule = handler(value)
    content: bytes = result if isinstance(result, bytes) else (yield from result)
    added = _added(value, own)
    return node("extended", content, (yield from attributes(added))) if added else content


def _added(value: Any, own: frozenset[str]) -> dict[str, Any]:
    state: dict[str, Any] = getattr(value, "__dict__", {})
    left_out = own | _derived(type_of(value))
    return {name: item for name, item in state.items() if name not in left_out}


def _texts(names: list[Any]) -> list[str]:
    return [name for name in names if isinstance(name, str)]


def set_rule(value: Any) -> Rule:
    """Rule of a subclass of `set` or `frozenset`: `__reduce__` would list it in hash order."""
    kind = yield "", type(value)
    base = set if isinstance(value, set) else frozenset
    content = yield "", base(value)
    state = value.__getstate__()
    return node("set", kind, content, (yield from _state(value, state)))


def object_rule(value: Any) -> Rule:
    """Rule of every other object: type, constructor and arguments, state, items."""
    reduced = _reduce(value)
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or type(value).__module__
        return node("global", text(str(module)), text(reduced))
    function, arguments, state, items, pairs, *setter = (*reduced, *(None,) * _OPTIONAL)[:6]
    tokens = [(yield "", type(value))]
    tokens += yield from _constructor(value, function, arguments)
    if isinstance(value, BaseException):
        state = _state_of_exception(value, state)
    elif state is None:
        state = _dropped(value)
    tokens.append((yield from _state(value, state)))
    tokens.append((yield from _items(items)))
    tokens.append((yield from _pairs(pairs)))
    if setter[0] is not None:
        tokens.append((yield ".__reduce__()[5]", setter[0]))
    if (held := _held(value)) is not None:
        tokens.append((yield "", held))
    return node("object", *tokens)


def _held(value: Any) -> list[Any] | None:
    """Return what a container holds if its class overrules reading it.

    Its reduced form is made by reading it, so it tells only what the class lets others see.
    """
    kind = type_of(value)
    base = next((base for base in _HOLDERS if issubclass(kind, base)), None)
    if base is None or all(
        getattr(kind, name, None) is getattr(base, name, None) for name in _READS
    ):
        return None
    read: Any = getattr(base, "items", base.__iter__)
    return list(read(value))


def _state_of_exception(error: BaseException, state: Any) -> Any:
    """Return an error's attributes with what pickle leaves out, or puts in from Python 3.12 on."""
    if state is not None and type_of(state) is not dict:
        return state
    found: dict[str, Any] = dict(state or {})
    if isinstance(error, AttributeError | NameError):
        found.pop("args", None)  # they are told as what the error is made from
        if error.name is not None:
            found["name"] = error.name
    if error.__cause__ is not None:
        found["__cause__"] = error.__cause__
    return found or None


def _dropped(value: Any) -> Any:
    """Return attributes that the way a base class is reduced does not know of.

    A subclass of `datetime` may have attributes, which pickle forgets but the user reads. What
    else a class says itself of how it is reduced, or a base of its own package does, is the
    author's word.
    """
    kind = type_of(value)
    state: Any = getattr(value, "__dict__", None)
    if type_of(state) is not dict or not state or kind in copyreg.dispatch_table:
        return None
    for base in kind.__mro__:
        if "__reduce_ex__" in vars(base) or "__reduce__" in vars(base):
            foreign = base is not object and _package(base) != _package(kind)
            return cast("dict[str, Any]", state) if foreign else None
    return None


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _reduce(value: Any) -> Any:
    kind = type_of(value)
    reducer = copyreg.dispatch_table.get(kind)
    reduced: Any = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    if type_of(reduced) not in (tuple, str):
        message = f"`__reduce_ex__` returned {type(reduced).__name__}"
        raise TypeError(message)
    return reduced


def _constructor(value: Any, function: Any, arguments: Any) -> Generator[Any, bytes, list[bytes]]:
    """Tokens of how the object is made; the usual ways need no mention of the function."""
    named: dict[str, Any] = {}
    kind = type_of(value)
    if function is _NEW:
        cls, *rest = arguments
    elif function is _NEW_EX:
        cls, rest, named = arguments
    elif function is _RECONSTRUCT:
        cls, *rest = arguments
    elif function is kind:
        cls, rest = kind, arguments
    else:
        cls, rest = None, arguments
        if not callable(function):
            raise Refusal("says it is made by something that cannot be called")
    tokens: list[bytes] = []
    if cls is not kind:
        tokens.append((yield ".__reduce__()[0]", cls if cls is not None else function))
    single = len(rest) == 1
    for index, argument in enumerate(rest):
        step = f"[{index}]" if isinstance(value, tuple) else f".args[{index}]"
        step = "" if single and isinstance(value, type(argument)) else step
        tokens.append((yield step, argument))
    tokens.append((yield from attributes(named)))
    return tokens


@functools.cache
def _nothing() -> bytes:
    return node("nothing")


def attributes(state: dict[str, Any]) -> Rule:
    """Token of attributes in the order of their names."""
    if not state:
        return _nothing()
    names = sorted(state)
    tokens: list[bytes] = []
    for name in names:
        tokens.append(text(name))
        tokens.append((yield f".{name}", state[name]))
    return node("attributes", *tokens)


def _state(value: Any, state: Any) -> Rule:
    if state is None:
        return _nothing()
    found = _attributes_of(value, state)
    derived = _derived(type_of(value))
    if found is None:
        return node("state", (yield ".__getstate__()", _without(state, derived)))
    kept = {name: item for name, item in found.items() if name not in derived}
    if "__wrapped__" in kept:
        kept = {name: item for name, item in kept.items() if not _is_copied(name, item, kept)}
    return (yield from attributes(kept))


def _is_copied(name: str, item: Any, state: dict[str, Any]) -> bool:
    """Whether `functools.update_wrapper` put an attribute there: what it wraps tells of it."""
    if name not in functools.WRAPPER_ASSIGNMENTS:
        return False
    try:
        return bool(item == getattr(state["__wrapped__"], name, None))
    except Exception:  # of what the user annotated with
        return False


def _without(state: Any, derived: frozenset[str]) -> Any:
    """Return a state of another making, such as pydantic's, without derived attributes."""
    if not derived or type_of(state) is not dict or type_of(state.get("__dict__")) is not dict:
        return state
    inner: dict[Any, Any] = state["__dict__"]
    return {**state, "__dict__": {name: inner[name] for name in inner if name not in derived}}


def _attributes_of(value: Any, state: Any) -> dict[str, Any] | None:
    """Return the attributes a state consists of, `None` if it is of another making."""
    plain, slots = state, cast("dict[Any, Any]", {})
    if type_of(state) is tuple and _is_pair_with_slots(state):
        plain, slots = cast("tuple[Any, dict[Any, Any]]", state)
    if plain is not None and type(plain) is not dict:
        return None
    if type(value).__getstate__ is not object.__getstate__:
        # Reading `__dict__` may create it, which a state might mention: only now.
        own: Any = getattr(value, "__dict__", None)
        if slots or type(own) is not dict or plain is None:
            return None
        kind = type_of(value)
        others = cast("set[Any]", plain.keys() - own.keys())
        # The name of a property may come to be an attribute, once the state is set.
        if not all(type(name) is str and _is_property(kind, name) for name in others):
            return None
    merged: dict[Any, Any] = {**(plain or {}), **slots}
    return merged if all(type(name) is str for name in merged) else None


def _is_property(kind: type, name: str) -> bool:
    return not name.startswith("__") and hasattr(kind, name)


def _is_pair_with_slots(state: tuple[Any, ...]) -> bool:
    return len(state) == 2 and type(state[1]) is dict


def _derived(kind: type) -> frozenset[str]:
    """Names under which a type keeps values computed from the others."""
    found = _derived_of.get(kind)
    if found is None:
        found = _derived_of[kind] = frozenset(_names_of_derived(kind))
    return found


def _names_of_derived(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, functools.cached_property):
                yield name
            elif _package(made := type_of(member)) == "pandas" and made.__name__ == _PANDAS_CACHED:
                yield "_cache"
    if hasattr(kind, "__attrs_attrs__"):
        yield "_attrs_cached_hash"


def _items(items: Iterable[Any] | None) -> Rule:
    if items is None:
        return _nothing()
    values = list(items)
    flat = sequence(b"l", values)
    if flat is not None:
        return flat
    tokens: list[bytes] = []
    for index, item in enumerate(values):
        tokens.append((yield f"[{index}]", item))
    return node("items", *tokens)


def _pairs(pairs: Iterable[tuple[Any, Any]] | None) -> Rule:
    if pairs is None:
        return _nothing()
    listed = list(pairs)
    unique = dict(listed)
    # A mapping of several values per key lists a key more than once.
    return node("pairs", (yield "", unique if len(unique) == len(listed) else listed))
