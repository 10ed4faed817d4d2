"""What an import inside a body gives: found without importing libraries that are not loaded yet."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from cellist.caching.packages import home_of_module, home_of_path
from cellist.caching.tree_parts import BodyImport


class _Missing:
    """Stands for a name that means nothing at present."""


MISSING: Any = _Missing()


class LibraryName(NamedTuple):
    """Something of a library that need not be imported to be named."""

    module: str
    name: str = ""


_FACTS = frozenset({f"cellist.runtime.{name}" for name in ("deployment", "flow_run", "task_run")})
"""Modules whose attributes tell about the run of whoever asks: that is no data of the code's."""


def attribute_of(module: ModuleType, name: str) -> Any:
    """Return what a module holds under a name, submodules included."""
    value = module.__dict__.get(name, MISSING)
    if value is MISSING and module.__name__ not in _FACTS:
        try:
            value = getattr(module, name)  # made on demand by the module's __getattr__
        except Exception:
            value = sys.modules.get(f"{module.__name__}.{name}", MISSING)
    return value


def imported(item: BodyImport, namespace: Mapping[str, Any]) -> Any:
    """Return what an import in a function's body gives, importing the user's own modules.

    The function would import them anyhow, and only the loaded module says what will run.
    """
    name = item.module
    if item.level:
        package = namespace.get("__package__") or namespace.get("__name__", "").rpartition(".")[0]
        try:
            name = importlib.util.resolve_name("." * item.level + item.module, package)
        except (ImportError, ValueError):
            return MISSING
    module = _module(name)
    if module is None:
        return MISSING
    if isinstance(module, LibraryName):
        return LibraryName(module.module, item.attribute or "")
    if item.attribute is not None:
        value = attribute_of(module, item.attribute)
        if value is MISSING:
            value = _module(f"{name}.{item.attribute}") or MISSING
        return value
    return sys.modules.get(name.partition(".")[0], module) if item.top else module


def _module(name: str) -> "ModuleType | LibraryName | None":
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    top = name.partition(".")[0]
    try:
        tracked = is_tracked(top)
        if tracked is None:
            return None
        return importlib.import_module(name) if tracked else LibraryName(name)
    except Exception:  # a module of the user's that cannot be imported: the run will tell
        return None


def library_of(item: BodyImport) -> LibraryName | None:
    """Return what an import takes from a library, by its spelling, `None` of the user's."""
    top = item.module.partition(".")[0]
    if item.level or not top or is_tracked(top) is not False:
        return None
    return LibraryName(top if item.top else item.module, item.attribute or "")


def is_tracked(top: str) -> bool | None:
    """Whether a top-level module is the user's, loaded or not; `None` if there is none."""
    if top in sys.modules:
        return home_of_module(top).tracked
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    path = spec.origin if spec.has_location else None
    found = next(iter(spec.submodule_search_locations or ()), None)
    return home_of_path(top, path or found).tracked
