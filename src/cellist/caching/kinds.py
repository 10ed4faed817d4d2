"""What kind of thing a value is to a source digest: code to follow, a library's, or data."""

import logging
import sys
import types
from typing import Any, NamedTuple

from cellist.caching.encoding import ATOMS
from cellist.caching.packages import OWN, home_of_globals, home_of_module, public_path
from cellist.caching.reach import MISSING, LibraryName, Part, is_cellist
from cellist.caching.wrappers import Wrapper, library_closure, wrapper_of

_DESCRIPTORS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


class Kind(NamedTuple):
    """`what` is data, function, class, module, wrapper, task, library, opaque or nothing.

    `name` is how a library's thing is called and `module` where it lives; `inner` is the wrapper
    or the task's function.
    """

    what: str
    name: str = ""
    module: str = ""
    inner: Any = None


_DATA = Kind("data")


def kind_of(value: object) -> Kind:
    """Return what a value is to a source digest."""
    kind = type(value)
    if kind in ATOMS:
        return _DATA
    if kind is types.FunctionType:
        return _function(value)
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, types.ModuleType):
        return _module(value.__name__)
    if isinstance(value, LibraryName):
        return _library(value.module, value.name)
    if value is MISSING:
        return Kind("nothing", "missing")
    return _object(value, kind)


def _object(value: Any, kind: type[Any]) -> Kind:
    if is_cellist(value):
        return _own(value, kind)
    named = _found_in_library(value, kind)
    if named is not None:
        return named
    wrapper = None if _is_shell(getattr(value, "__self__", value)) else wrapper_of(value)
    if wrapper is not None:
        return Kind("wrapper", wrapper.tag, inner=wrapper)
    if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
        return _builtin(value)
    if isinstance(value, _DESCRIPTORS):
        owner = value.__objclass__
        return _library(owner.__module__, f"{owner.__qualname__}.{value.__name__}")
    label = f"{kind.__module__}.{kind.__qualname__}"
    if label == "os._Environ":  # what the environment holds is declared by Env, or not tracked
        return _library("os", "environ")
    if isinstance(value, logging.Logger):  # a name, and what is said under it is no result
        return _library("logging", "Logger")
    is_opaque = label == "numpy.ufunc" or _is_shell(getattr(value, "__self__", value))
    return Kind("opaque", label) if is_opaque else _DATA


def _is_shell(value: object) -> bool:
    """Whether a value is IPython's shell, which leads to everything in the notebook."""
    return any(one.__qualname__ == "InteractiveShell" for one in type(value).__mro__)


def _own(value: Any, kind: type[Any]) -> Kind:
    function = getattr(value, "fn", None)
    if callable(function):
        return Kind("task", inner=function)
    # File, Env and the like say by a key of their own what they stand for.
    return _DATA if hasattr(kind, "__cellist_key__") else Kind("nothing", kind.__qualname__)


def _function(value: Any) -> Kind:
    home = home_of_globals(value.__globals__)
    if home.tracked:
        return Kind("function")
    if home.package == OWN:
        return Kind("nothing", value.__code__.co_qualname)
    wrapper = library_closure(value)
    if wrapper is not None:
        return Kind("wrapper", wrapper.tag, inner=wrapper)
    return _library(str(value.__globals__["__name__"]), value.__code__.co_qualname)


def _class(value: type[Any]) -> Kind:
    home = home_of_module(value.__module__)
    if home.tracked or _made_at_run_time(value):
        return Kind("class")
    return _library(value.__module__, value.__qualname__)


def _made_at_run_time(value: type[Any]) -> bool:
    """Whether a library made the class for the user: it is not to be found where it says."""
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is value:
        return False
    entries = vars(value)
    return "__dataclass_fields__" in entries or any(
        type(entry) is types.FunctionType and home_of_globals(entry.__globals__).tracked
        for entry in entries.values()
    )


def _module(name: str) -> Kind:
    if home_of_module(name).tracked:
        return Kind("module")
    return _library(name, "")


def _library(module: str, name: str) -> Kind:
    if home_of_module(module).package == OWN:
        return Kind("nothing", name)
    path = public_path(module, name)
    return Kind("library", path.rstrip("."), module)


def _found_in_library(value: Any, kind: type[Any]) -> Kind | None:
    """Tell what a library offers under a name, such as `random.choice`, a bound method there."""
    name = getattr(value, "__name__", None)
    if not isinstance(name, str):
        return None
    owner = getattr(value, "__self__", None)
    for module in (getattr(value, "__module__", None), type(owner).__module__, kind.__module__):
        namespace = getattr(sys.modules.get(module or ""), "__dict__", {})
        if namespace.get(name) is value and not home_of_module(module).tracked:
            return _library(str(module), name)
    return None


def _builtin(value: Any) -> Kind:
    owner = value.__self__
    if owner is None or isinstance(owner, (types.ModuleType, type)):
        return _library(value.__module__ or getattr(owner, "__module__", ""), value.__qualname__)
    parts = (Part("inner", "self", owner), Part("inner", "name", value.__name__))
    return Kind("wrapper", "bound", inner=Wrapper("bound", parts))
