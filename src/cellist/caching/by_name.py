"""The user's code that another process finds by name, in modules of its own.

Code of a notebook travels with a call. What is found by name in a module does not: the process
has loaded that module, perhaps long ago, and perhaps it was edited since. So a call takes along
where it finds such code and the digest of what is found there here; the process compares before
it runs anything. A module is looked at no further than the code reaches (see `source`).
"""

import sys
import weakref
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache, partial
from importlib import import_module, util
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from cellist.caching.body_imports import MISSING, attribute_of
from cellist.caching.closures import Builder
from cellist.caching.kinds import kind_of
from cellist.caching.nodes import Graph, Node, parts_of
from cellist.caching.packages import (
    Versions,
    distribution_of,
    home_of_module,
    policy_for,
    version_for_key,
)
from cellist.caching.reach import Reference, resolve
from cellist.caching.source import digest_of_own
from cellist.caching.watch import Unchanged, watch
from cellist.model.later import later

if TYPE_CHECKING:
    from importlib import metadata
else:
    metadata = later("importlib.metadata", globals())

Place = tuple[str, tuple[str, ...]]
"""A module and the attributes that lead from it to something."""


_REMEMBERING = type(lru_cache(len))
"""Of functions that remember what they gave: they are sent as what they remember it of."""


class Named(NamedTuple):
    """Something that is found by name, and the digest of what is found."""

    module: str
    path: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        return ".".join((self.module, *self.path))


class Differences(NamedTuple):
    """What is not in this process as it is in another."""

    other: list[str]
    """Other code, or none at all: the call would not do what it does there."""
    unfit: str
    """Why the call's result is not what its key stands for; empty if it is."""


class _Places(NamedTuple):
    unchanged: Unchanged
    packages: tuple[tuple[str, str, str], ...]
    """The libraries that are reached: imported as, installed as, and their versions."""
    sent: tuple[Place, ...]
    """What a function finds by name though it is sent itself."""
    left: tuple[Place, ...]
    """What is left of that if all modules of the user's are sent, too."""


_known: "weakref.WeakKeyDictionary[Any, _Places]" = weakref.WeakKeyDictionary()


class OwnCode:
    """Notes what of a call another process will find by name, while the call is pickled.

    With `by_value` the call takes along the user's modules, as far as it can. `versions` says how
    much of the versions of libraries counts in the call's key.
    """

    def __init__(self, fn: Any, by_value: bool = False, versions: Versions = "minor") -> None:
        self._by_value = by_value
        known = _places_of(fn)
        told = (
            (name, version, policy_for(versions, name, top))
            for top, name, version in known.packages
        )
        self._packages = tuple(one for one in told if one[2] != "off")
        self._places = dict.fromkeys(known.left if by_value else known.sent)

    def see(self, thing: Any) -> None:
        """Take note of a function or class that is pickled."""
        if not self._by_value and (place := place_of(thing)) is not None:
            self._places[place] = None

    @property
    def modules(self) -> list[ModuleType]:
        """The modules that are to be pickled by value."""
        if not self._by_value:
            return []
        return [module for name, module in list(sys.modules.items()) if _is_own(name, module)]

    def check(self) -> Any:
        """Return what another process has to call to get the `Differences`.

        `None` if it finds nothing by name.
        """
        if not (self._places or self._packages):
            return None
        named = tuple(Named(*place, _digest_at(place)) for place in self._places)
        return partial(compare, named, self._packages)


_matched: set[Named] = set()
"""What was the same here when it was first asked for."""


def compare(names: Iterable[Named], packages: Iterable[tuple[str, str, str]]) -> Differences:
    """Return what is not the same in this process as in the one that names it.

    What was the same before was changed by what ran here since, such as a model that a module
    loads when it is first asked for one: that is the code as it is meant, but its result may be
    another one. Of libraries it is said which version is meant, and how much of it counts.
    """
    other: list[str] = []
    unfit: list[str] = []
    for one in names:
        if _digest_at((one.module, one.path)) == one.digest:
            _matched.add(one)
        elif one in _matched:
            unfit.append(f"`{one}` was changed by earlier runs in its worker")
        else:
            other.append(str(one))
    for name, version, counts in packages:
        here = _version_of(name)
        if version_for_key(here, counts) != version_for_key(version, counts):
            unfit.append(f"its worker has {name} {here or '(missing)'} and not {version}")
    return Differences(other, " and ".join(unfit))


@cache
def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return distribution_of(distribution).version


def _digest_at(place: Place) -> str:
    """Return the digest of what is found at a place here, and if there is nothing, why."""
    module, path = place
    try:
        found: Any = import_module(module)
        for name in path:
            found = attribute_of(found, name)
            if found is MISSING:
                return "missing"
        return digest_of_own(found)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def place_of(thing: Any) -> Place | None:
    """Return where a function, class or the like is found by name in a module of the user's."""
    module = getattr(thing, "__module__", None)
    qualified = getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualified, str):
        return None
    found: Any = sys.modules.get(module)
    if not _is_own(module, found):
        return None
    path = tuple(qualified.split("."))
    for name in path:
        found = getattr(found, name, None)
    return (module, path) if found is thing else None


def _is_own(name: str, module: Any) -> bool:
    """Whether a loaded module is the user's, and no notebook or script: those are always sent."""
    return (
        name not in {"__main__", "__mp_main__"}
        and isinstance(module, ModuleType)
        and home_of_module(name).tracked
    )


def _places_of(fn: Any) -> _Places:
    try:
        known = _known.get(fn)
        if known is not None and known.unchanged(fn, ()):
            return known
        builder = Builder("off")
        graph = builder.build("source", fn, ())
        found = ((top, distribution_of(top)) for top in sorted(builder.packages))
        packages = tuple((top, one.name, one.version) for top, one in found)
        places = _Places(watch(graph), packages, tuple(_sent(graph)), tuple(_left(graph)))
        _known[fn] = places
    except Exception:  # it takes no weak reference, or has no digest: then it has no key either
        return _NOTHING
    return places


def _never(_thing: object, _others: object) -> bool:
    return False


_NOTHING = _Places(_never, (), (), ())


def _sent(graph: Graph) -> Iterator[Place]:
    """Yield what is found by name by the code that is sent: the root, and what it leads to."""
    nodes = {id(node.thing): node for node in graph.nodes[1:]}
    waiting = (
        [graph.nodes[1]] if len(graph.nodes) > 1 and not place_of(graph.nodes[1].thing) else []
    )
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield from _of_references(node, sent=True)
        for part in parts_of(node, node.thing):
            kind = kind_of(part.value)
            thing = kind.inner if kind.what == "task" else part.value
            place = place_of(thing)
            if place is not None:
                yield place
            elif id(thing) in nodes and not isinstance(thing, ModuleType):
                waiting.append(nodes[id(thing)])


def _left(graph: Graph) -> Iterator[Place]:
    """Yield what is found by name even if functions, classes and modules are sent."""
    for node in graph.nodes[1:]:
        yield from _of_references(node, sent=False)
        is_sent = isinstance(node.thing, _REMEMBERING)
        if node.what == "wrapper" and not is_sent and (place := place_of(node.thing)) is not None:
            yield place


def _of_references(node: Node, *, sent: bool) -> Iterator[Place]:
    """Yield what the names of a function find by way of modules; if not `sent`, of imports only."""
    if node.what != "function":
        return
    for reference in node.plan:
        value, followed = resolve(node.thing, reference)
        root = _root_of(node.thing, reference)
        if root is not None and (sent or reference.where == "import"):
            name, path = root
            if home_of_module(name).tracked and kind_of(value).what not in {"library", "nothing"}:
                yield name, (*path, *followed)


def _root_of(function: FunctionType, reference: Reference) -> Place | None:
    """Return the module a reference begins at, and what an import takes from it."""
    if reference.where == "import":
        item = reference.source
        assert item is not None  # references of this kind have one
        name = item.module
        if item.level:
            package = str(function.__globals__.get("__package__") or "")
            name = util.resolve_name("." * item.level + name, package)
        if item.top:
            return name.partition(".")[0], ()
        return name, (item.attribute,) if item.attribute else ()
    value = resolve(function, reference._replace(attributes=()))[0]
    if reference.where == "module" or not isinstance(value, ModuleType):
        return None
    return value.__name__, ()
