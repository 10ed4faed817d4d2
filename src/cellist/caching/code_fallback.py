"""Digests of functions, classes and modules for as long as `caching.source` is not imported.

Tracked code (`__main__` and modules that are not installed) is told by its bytecode, constants,
defaults, closure and, for classes, its members; everything else by its name. Right within one
Python version and for the thing itself: what a function reaches through its globals is for
`caching.source` to follow.
"""

import functools
import sys
import sysconfig
import types
from typing import TYPE_CHECKING, Any

from cellist.caching.encoding import digest_of, node, text

if TYPE_CHECKING:
    from cellist.caching.digests import Digester

_SKIPPED = frozenset(
    (
        *("__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__firstlineno__"),
        *("__static_attributes__", "__annotations__", "__match_args__", "__slotnames__"),
        *("__abstractmethods__", "_abc_impl"),
    )
)


@functools.cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_tracked(module: str | None) -> bool:
    if module == "__main__":
        return True
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    return isinstance(file, str) and not file.startswith(_installed())


def code_digest(thing: object, digester: "Digester") -> bytes:
    """Return bytes that identify a function, class, module or anything callable made of them."""
    parts = _parts(thing)
    tokens = [text(type(thing).__qualname__)]
    for name, part in parts.items():
        tokens.append(text(name))
        tokens.append(digester.token(part, f".{name}"))
    return digest_of(node("code", *tokens))


def _parts(thing: Any) -> dict[str, Any]:
    if isinstance(thing, types.FunctionType):
        return _function(thing)
    if isinstance(thing, type):
        return _class(thing)
    if isinstance(thing, types.ModuleType):
        return {"name": thing.__name__}
    if isinstance(thing, functools.partial | functools.partialmethod):
        return {"func": thing.func, "args": thing.args, "keywords": dict(thing.keywords)}
    if isinstance(thing, types.MethodType):
        return {"func": thing.__func__, "self": thing.__self__}
    if isinstance(thing, property):
        return {"fget": thing.fget, "fset": thing.fset, "fdel": thing.fdel}
    wrapped = getattr(thing, "__wrapped__", None) or getattr(thing, "func", None)
    if wrapped is not None:
        return {"wrapped": wrapped}
    owner = getattr(thing, "__self__", None)
    named: dict[str, Any] = {
        "module": str(getattr(thing, "__module__", None)),
        "name": _name(thing),
    }
    if owner is not None and not isinstance(owner, types.ModuleType):
        named["self"] = owner
    return named


def _name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", ""))


def _function(thing: types.FunctionType) -> dict[str, Any]:
    if not _is_tracked(thing.__module__) and "<locals>" not in thing.__qualname__:
        return {"module": thing.__module__, "name": thing.__qualname__}
    cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
    return {
        "code": _code(thing.__code__),
        "defaults": thing.__defaults__,
        "kwdefaults": thing.__kwdefaults__,
        "closure": cells,
    }


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - reading is the test
    except ValueError:
        return False
    return True


def _code(code: types.CodeType) -> tuple[Any, ...]:
    constants = [_code(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_flags


def _class(thing: type) -> dict[str, Any]:
    named: dict[str, Any] = {"module": thing.__module__, "name": thing.__qualname__}
    if not _is_tracked(thing.__module__):
        return named
    for name, member in sorted(vars(thing).items()):
        if name not in _SKIPPED and not isinstance(
            member, types.GetSetDescriptorType | types.MemberDescriptorType
        ):
            named[f"member {name}"] = member
    return {**named, "bases": thing.__bases__, "metaclass": type(thing)}
