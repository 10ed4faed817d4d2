"""What a piece of code reaches: the parts of functions, classes, modules and wrappers.

A part is a labelled value: a global a function reads, a closure cell, a default, a base class, an
entry of a class. Names are resolved now, when a key is made, and never when a task is decorated.
A dotted name leads through modules to what it means (`helpers.clean` to the function); a module
that is used in any other way escapes, and then its loaded namespace counts, not its file.
Nothing here computes digests; `closures` does, from these parts.
"""

import builtins
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, cast

from cellist.caching.body_imports import (
    MISSING,
    LibraryName,
    attribute_of,
    imported,
    library_of,
)
from cellist.caching.code_text import CodeText
from cellist.caching.packages import home_of_globals, home_of_module
from cellist.caching.syntax import BodyImport, Chain


class Part(NamedTuple):
    """A value that code reaches. `kind` is as in `Component`, or `inner` for mere structure."""

    kind: str
    name: str
    value: Any
    chain: Chain = ()


class Reference(NamedTuple):
    """A name in a function's code: where its root is found, and the attributes behind it."""

    where: str
    root: str
    attributes: Chain
    cell: int = 0
    source: BodyImport | None = None


def plan_of(code: CodeType, known: CodeText, *, annotations: bool) -> tuple[Reference, ...]:
    """Return the names the code of a function refers to, sorted; locals are left out."""
    shape = known.shape
    cells = {name: index for index, name in enumerate(code.co_freevars)}
    imports = {item.bound: item for item in shape.imports if item.bound}
    chains = shape.chains | shape.annotations if annotations else shape.chains
    found: set[Reference] = set()
    used: set[str] = set()
    for chain in chains:
        root, attributes = chain[0], chain[1:]
        used.add(root)
        if root in cells:
            found.add(Reference("cell", root, attributes, cells[root]))
        elif root in known.global_names or (root,) in shape.annotations:
            found.add(Reference("global", root, attributes))
        if root in imports:
            found.add(Reference("import", root, attributes, 0, imports[root]))
    found.update(Reference("cell", name, (), cells[name]) for name in cells if name not in used)
    found.update(Reference("global", name, ()) for name in known.global_names if name not in used)
    found.update(Reference("global", chain[0], chain[1:]) for chain in shape.forced)
    for item in shape.imports:
        if item.bound not in used:  # imported for its effect, or by a constant name
            found.add(Reference("import", item.bound, (), 0, item))
    return tuple(sorted(found, key=_order))


def _order(reference: Reference) -> tuple[Any, ...]:
    source = reference.source
    return (
        reference.where,
        reference.root,
        reference.attributes,
        (source.module, source.attribute or "", source.level) if source else (),
    )


def resolve(function: FunctionType, reference: Reference) -> tuple[Any, Chain]:
    """Return what a reference means now, and the attributes that were followed to it."""
    if reference.where == "global":
        if reference.root in PLACES:  # where a module lies is not what it does
            return LibraryName("builtins", reference.root), reference.attributes
        value = function.__globals__.get(reference.root, MISSING)
        if value is MISSING:
            value = builtins.__dict__.get(reference.root, MISSING)
    elif reference.where == "cell":
        value = cell_value((function.__closure__ or ())[reference.cell])
    else:
        item = cast("BodyImport", reference.source)
        return _resolve_import(item, function.__globals__, reference.attributes)
    return follow(value, reference.attributes)


def _resolve_import(
    item: BodyImport, namespace: Mapping[str, Any], attributes: Chain
) -> tuple[Any, Chain]:
    """Return what an import in a body means, and the attributes that were followed to it.

    What it means of a library is told by the spelling: the key must not depend on whether somebody
    has imported the library already, since at the latest the run does.
    """
    library = library_of(item)
    if library is None or library.module.partition(".")[0] in sys.modules:
        found = follow(imported(item, namespace), attributes)
        is_named = type(found[0]) is LibraryName
        if library is None or (not is_named and _is_of_the_user(found[0])):
            return found
    path = ".".join(filter(None, (library.name, *attributes)))
    return LibraryName(library.module, path), attributes


def follow(value: Any, attributes: Chain) -> tuple[Any, Chain]:
    """Walk attributes through modules; stop at the first thing that is no module.

    What a library's module holds is that library's, and counts by name: `os.environ` and
    `random.random` are not data of the user's. What the user put there is followed.
    """
    module: ModuleType | None = None
    for position, attribute in enumerate(attributes):
        if type(value) is LibraryName:
            return LibraryName(value.module, ".".join((value.name, *attributes))), attributes
        if not isinstance(value, ModuleType) or attribute == "__dict__":
            return _by_name(module, value, attributes[:position]), attributes[:position]
        module = value
        value = attribute_of(value, attribute)
    return _by_name(module, value, attributes), attributes


def _by_name(module: ModuleType | None, value: Any, attributes: Chain) -> Any:
    if module is None or home_of_module(module.__name__).tracked or _is_of_the_user(value):
        return value
    return LibraryName(module.__name__, attributes[-1])


def _is_of_the_user(value: Any) -> bool:
    if type(value) is FunctionType:
        return home_of_globals(value.__globals__).tracked
    if isinstance(value, ModuleType):
        return home_of_module(value.__name__).tracked
    if isinstance(value, type):
        return home_of_module(value.__module__).tracked
    return is_cellist(value)


def cell_value(cell: Any) -> Any:
    """Return what a closure cell holds now."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def function_extras(function: FunctionType, *, defaults: bool) -> Iterator[Part]:
    """Yield what a function carries besides its code: defaults and attributes."""
    if defaults:
        code = function.__code__
        given = function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
        for name, value in zip(names, given, strict=False):
            yield Part("default", name, value)
        for name, value in sorted((function.__kwdefaults__ or {}).items()):
            yield Part("default", name, value)
    for name, value in sorted(function.__dict__.items()):
        if name not in _FUNCTION_MARKS and not name.startswith("__cellist"):
            yield Part("inner", name, value)


PLACES = frozenset({"__file__", "__path__", "__spec__", "__loader__", "__cached__"})
_FUNCTION_MARKS = frozenset({"__isabstractmethod__", "__signature__", "__no_type_check__"})
_SHELL_NAMES = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open", "display"})


def module_parts(module: ModuleType) -> Iterator[Part]:
    """Yield the loaded namespace of a module that escapes."""
    is_main = module.__name__ == "__main__"
    for name, value in sorted(module.__dict__.items()):
        if name.startswith("__") and name.endswith("__"):
            continue
        if is_main and (name.startswith("_") or name in _SHELL_NAMES):
            continue
        yield Part("global", name, value)


class Wrapper(NamedTuple):
    """A thing that wraps code: what it is, and what it is made of.

    `soft` marks a library's own machinery, where data without a digest is nobody's concern.
    """

    tag: str
    parts: tuple[Part, ...]
    soft: bool = False


def _inner(**parts: Any) -> tuple[Part, ...]:
    return tuple(Part("inner", name, value) for name, value in parts.items())


def _partial(value: Any) -> Wrapper:
    parts = [Part("inner", "func", value.func)]
    parts += [Part("inner", str(i), argument) for i, argument in enumerate(value.args)]
    parts += [Part("inner", name, argument) for name, argument in sorted(value.keywords.items())]
    return Wrapper("partial", tuple(parts))


def _method(value: Any) -> Wrapper:
    return Wrapper("method", _inner(func=value.__func__, self=value.__self__))


def _property(value: Any) -> Wrapper:
    return Wrapper("property", _inner(get=value.fget, set=value.fset, delete=value.fdel))


def _static(value: Any) -> Wrapper:
    return Wrapper(type(value).__name__, _inner(func=value.__func__))


def _cached_property(value: Any) -> Wrapper:
    return Wrapper("cached_property", _inner(func=value.func, name=value.attrname))


def _cached_function(value: Any) -> Wrapper:
    parameters = tuple(sorted(value.cache_parameters().items()))
    return Wrapper("lru_cache", _inner(func=value.__wrapped__, parameters=parameters), soft=True)


def _vectorized(value: Any) -> Wrapper:
    names = ("pyfunc", "otypes", "excluded", "signature", "cache")
    return Wrapper("vectorize", _inner(**{name: getattr(value, name, None) for name in names}))


def _compiled(value: Any) -> Wrapper:
    return Wrapper("compiled", _inner(func=value.py_func), soft=True)


def _validated(value: Any) -> Wrapper:
    """Take pydantic's machinery, which holds whole namespaces, as the function it validates for."""
    return Wrapper("validated", _inner(func=getattr(value, "function", None)), soft=True)


def _dispatch_method(value: Any) -> Wrapper:
    return Wrapper("singledispatchmethod", _inner(func=value.func, dispatcher=value.dispatcher))


def _alias(value: Any) -> Wrapper:
    origin = typing.get_origin(value) or type(value).__name__
    arguments = tuple(Part("inner", f"{i}", a) for i, a in enumerate(typing.get_args(value)))
    return Wrapper("alias", (Part("inner", "origin", origin), *arguments))


def _form(value: Any) -> Wrapper:
    return Wrapper("form", _inner(name=value._name))


def _named(value: Any) -> Wrapper:
    names = ("__name__", "__supertype__", "__value__", "__bound__", "__forward_arg__")
    found = {name: getattr(value, name) for name in names if getattr(value, name, None) is not None}
    return Wrapper(type(value).__name__, _inner(**found), soft=True)


_WRAPPERS: dict[str, Any] = {
    "functools.partial": _partial,
    "functools.partialmethod": _partial,
    "functools.cached_property": _cached_property,
    "functools._lru_cache_wrapper": _cached_function,
    "functools.singledispatchmethod": _dispatch_method,
    "builtins.method": _method,
    "builtins.property": _property,
    "builtins.staticmethod": _static,
    "builtins.classmethod": _static,
    "numpy.vectorize": _vectorized,
    "pydantic._internal._validate_call.ValidateCallWrapper": _validated,
    "numba.core.registry.CPUDispatcher": _compiled,
    "types.GenericAlias": _alias,
    "types.UnionType": _alias,
    "typing._GenericAlias": _alias,
    "typing._UnionGenericAlias": _alias,
    "typing._LiteralGenericAlias": _alias,
    "typing._CallableGenericAlias": _alias,
    "typing._AnnotatedAlias": _alias,
    "collections.abc._CallableGenericAlias": _alias,
    "typing.Union": _alias,
    "typing.TypeVar": _named,
    "typing.ParamSpec": _named,
    "typing.TypeVarTuple": _named,
    "typing.TypeAliasType": _named,
    "typing.NewType": _named,
    "typing.ForwardRef": _named,
    "typing._SpecialForm": _form,
}


def wrapper_of(value: object) -> Wrapper | None:
    """Return what a partial, method, property, cached function, alias and so on is made of."""
    kind = type(value)
    make = _WRAPPERS.get(f"{kind.__module__}.{kind.__qualname__}")
    return None if make is None else make(value)


def library_closure(function: FunctionType) -> Wrapper | None:
    """Return the parts of a function that a library made at run time, None for a plain one.

    `singledispatch`, `contextmanager` and decorators of libraries keep the user's code in cells.
    A function that is found under its own name in its module is the library's own.
    """
    code = function.__code__
    found: Any = sys.modules.get(str(function.__globals__.get("__name__")))
    for name in code.co_qualname.split("."):
        found = MISSING if name == "<locals>" else getattr(found, name, MISSING)
    if (
        getattr(found, "__code__", None) is code
        or getattr(getattr(found, "__wrapped__", None), "__code__", None) is code
    ):
        return None
    registry = getattr(function, "registry", None)
    if isinstance(registry, Mapping) and hasattr(function, "dispatch"):
        parts = list(_registered(cast("Mapping[Any, Any]", registry)))
    else:
        cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
        parts = [Part("inner", name, cell_value(cell)) for name, cell in cells]
        parts += list(function_extras(function, defaults=True))
    return Wrapper(f"made by {code.co_qualname}", tuple(parts), soft=True)


def _registered(registry: Mapping[Any, Any]) -> Iterable[Part]:
    for kind, implementation in sorted(registry.items(), key=lambda item: _type_name(item[0])):
        yield Part("inner", f"{_type_name(kind)}", implementation)
        yield Part("inner", f"{_type_name(kind)} type", kind)


def _type_name(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"


def is_function(value: Any) -> bool:
    """Whether the value is a function written in Python, and no proxy of one."""
    return type(value) is types.FunctionType


def is_cellist(value: Any) -> bool:
    """Whether the value is a thing of cellist's own: it counts as nothing, or as its function."""
    module = type(value).__module__
    return module == "cellist" or module.startswith("cellist.")
