"""What wraps code: partials, methods, properties, cached functions, aliases, and what they hold.

Libraries keep a user's function in a cell, in an attribute or out of Python's sight; here each
kind of wrapper says what it is made of, so that `closures` can follow the parts.
"""

import functools
import gc
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, cast

from cellist.caching.body_imports import MISSING
from cellist.caching.code_text import text_of
from cellist.caching.reach import Part, cell_value, function_extras


class Wrapper(NamedTuple):
    """A thing that wraps code: what it is, and what it is made of.

    `soft` marks a library's own machinery, where data without a digest is nobody's concern.
    """

    tag: str
    parts: tuple[Part, ...]
    soft: bool = False


def _inner(**parts: Any) -> tuple[Part, ...]:
    return tuple(Part("inner", name, value) for name, value in parts.items())


_VAR_KEYWORDS = 0x08
"""`inspect.CO_VARKEYWORDS`, a flag of code."""


def _partial(value: Any) -> Wrapper:
    parts = [Part("inner", "func", value.func)]
    parts += [Part("inner", str(i), argument) for i, argument in enumerate(value.args)]
    parts += [Part("inner", name, argument) for name, argument in sorted(value.keywords.items())]
    code = getattr(value.func, "__code__", None)
    if len(value.keywords) > 1 and (code is None or code.co_flags & _VAR_KEYWORDS):
        parts.append(Part("inner", "<order>", tuple(value.keywords)))
    extras = sorted(getattr(value, "__dict__", {}).items())
    extras = [one for one in extras if one[0] not in {"func", "args", "keywords"}]  # partialmethod
    parts += [Part("inner", f".{name}", item) for name, item in extras if not name.startswith("__")]
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


def _adapter(value: Any) -> Wrapper:
    """Take pydantic's adapter as the type: what it made of that says where in memory models lie."""
    return Wrapper("adapter", _inner(type=value._type, config=value._config), soft=True)


def _dispatch_method(value: Any) -> Wrapper:
    return Wrapper("singledispatchmethod", _inner(func=value.func, dispatcher=value.dispatcher))


def _compared(value: Any) -> Wrapper:
    """Take what `cmp_to_key` made as its function, which only the garbage collector is told of."""
    return Wrapper("cmp_to_key", _inner(func=python_function_of(value)))


def python_function_of(value: Any) -> FunctionType | None:
    """Return the function that an object written in C calls, `None` if it calls none."""
    found = (one for one in gc.get_referents(value) if type(one) is FunctionType)
    return next(found, None)


def _universal(value: Any) -> Wrapper | None:
    """Take what `np.frompyfunc` made as the user's function; other ufuncs call none."""
    function = python_function_of(value)
    if function is None:
        return None
    return Wrapper("frompyfunc", _inner(func=function, nin=value.nin, nout=value.nout))


def _code(value: Any) -> Wrapper:
    return Wrapper(f"code {text_of(value, {}).shape.digest}", ())


def _variable(value: Any) -> Wrapper:
    try:
        return Wrapper("context variable", _inner(name=value.name, value=value.get()))
    except LookupError:
        return Wrapper("context variable", _inner(name=value.name))


def _alias(value: Any) -> Wrapper:
    origin = typing.get_origin(value) or type(value).__name__
    origin = typing.Union if origin is types.UnionType else origin  # `A | B` is the same
    arguments = tuple(Part("inner", f"{i}", a) for i, a in enumerate(typing.get_args(value)))
    return Wrapper("alias", (Part("inner", "origin", origin), *arguments))


def _form(value: Any) -> Wrapper:
    return Wrapper("form", _inner(name=value._name))


def _named(value: Any) -> Wrapper:
    names = ("__name__", "__supertype__", "__value__", "__bound__", "__forward_arg__")
    found = {name: getattr(value, name) for name in names if getattr(value, name, None) is not None}
    if constraints := getattr(value, "__constraints__", ()):
        found["__constraints__"] = constraints
    return Wrapper(type(value).__name__, _inner(**found), soft=True)


_WRAPPERS: dict[str, Any] = {
    "functools.partial": _partial,
    "functools.partialmethod": _partial,
    "functools.cached_property": _cached_property,
    "functools._lru_cache_wrapper": _cached_function,
    "functools.singledispatchmethod": _dispatch_method,
    "functools.KeyWrapper": _compared,
    "builtins.code": _code,
    "builtins.method": _method,
    "builtins.property": _property,
    "builtins.staticmethod": _static,
    "builtins.classmethod": _static,
    "numpy.ufunc": _universal,
    "numpy.vectorize": _vectorized,
    "_contextvars.ContextVar": _variable,
    "pydantic._internal._validate_call.ValidateCallWrapper": _validated,
    "pydantic.type_adapter.TypeAdapter": _adapter,
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
    make, base = _maker_of(kind)
    made: Wrapper | None = None if make is None else make(value)
    if made is None or base is kind:
        return made
    # A subclass: what wraps is its class, too, and what the user keeps in it.
    added = (Part("inner", name, item) for name, item in _state_of(value))
    return made._replace(parts=(*made.parts, Part("inner", "type", kind), *added))


@functools.cache
def _maker_of(kind: type[Any]) -> tuple[Any, type[Any]]:
    """Return what makes a wrapper of instances of a type, and the base it is made for."""
    for base in kind.__mro__:
        make = _WRAPPERS.get(f"{base.__module__}.{base.__qualname__}")
        if make is not None:
            return make, base
    return None, kind


_KEPT_BY_BASES = frozenset({"func", "attrname", "lock", "dispatcher", "pyfunc", "otypes"})


def _state_of(value: Any) -> list[tuple[str, Any]]:
    state: dict[str, Any] = getattr(value, "__dict__", None) or {}
    return sorted(
        (name, item)
        for name, item in state.items()
        if not name.startswith("__") and name not in _KEPT_BY_BASES
    )


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
