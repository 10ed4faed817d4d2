"""What the user adds to types of libraries: accessors of frames, and methods put on a class.

Code that says `df.geo.center()` names nothing of the user's, and yet calls the class that is
registered as `geo`. So an attribute counts if a type that is known to be extended has something
of the user's under its name, whatever the code uses it on.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cellist.caching.bytecode import nested
from cellist.caching.packages import home_of_globals, home_of_module

_EXTENDED = {
    "pandas": ("DataFrame", "Series", "Index"),
    "polars": ("DataFrame", "LazyFrame", "Series", "Expr"),
    "xarray": ("Dataset", "DataArray"),
    "pathlib": ("Path",),
}
"""Types that users extend."""


def additions_in(code: CodeType) -> Iterator[tuple[str, str]]:
    """Yield type and name of what the user added, as far as code has attributes of that name."""
    added = _added_names(tuple([len(entries) for _, entries in _types()]))
    if added:
        names = {name for one in (code, *nested(code)) for name in one.co_names}
        for kind, entries in _types():
            yield from ((kind, one) for one in names & added if _is_added(entries.get(one)))


@lru_cache(maxsize=4)
def _added_names(_extents: tuple[int, ...]) -> frozenset[str]:
    """Return the names of all that users added to types of these extents, which only grow."""
    return frozenset(
        name for _, entries in _types() for name, entry in entries.items() if _is_added(entry)
    )


def addition(kind: str, name: str, default: Any) -> Any:
    """Return what a type of a library has under a name: of an accessor, its class."""
    library, _, name_of_type = kind.rpartition(".")
    entries = _entries(library, name_of_type)
    return default if entries is None or name not in entries else _added(entries[name])


def watched_types() -> Callable[[], bool]:
    """Return a check whether since now nobody has put more into the types, or loaded others."""
    held = [(entries, len(entries)) for _, entries in _types()]
    absent = [library for library in _EXTENDED if library not in sys.modules]
    loaded = sys.modules

    def unchanged() -> bool:
        for entries, count in held:
            if len(entries) != count:
                return False
        return loaded.keys().isdisjoint(absent)

    return unchanged


def _types() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for library in _EXTENDED:
        if library in sys.modules:
            yield from _types_of(sys.modules[library])


@cache
def _types_of(library: ModuleType) -> Sequence[tuple[str, Mapping[str, Any]]]:
    name = library.__name__
    found = [(f"{name}.{one}", _entries(name, one)) for one in _EXTENDED[name]]
    return [(kind, entries) for kind, entries in found if entries is not None]


def _entries(library: str, name: str) -> Mapping[str, Any] | None:
    kind: Any = vars(sys.modules[library]).get(name) if library in sys.modules else None
    return vars(kind) if isinstance(kind, type) else None


def _added(entry: Any) -> Any:
    """Return the class behind an accessor of pandas, polars or xarray; else the entry itself."""
    found = (getattr(entry, name, None) for name in ("_accessor", "_ns"))
    return next((one for one in found if isinstance(one, type)), entry)


def _is_added(entry: Any) -> bool:
    value: Any = entry
    if type(entry) is not FunctionType:  # as most are
        value = _added(entry)
        value = getattr(value, "__func__", getattr(value, "fget", value))
    if type(value) is FunctionType:
        return home_of_globals(value.__globals__).tracked
    return isinstance(value, type) and home_of_module(value.__module__).tracked
