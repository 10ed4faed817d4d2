"""The source component of a cache key: the code a task reaches, as it is loaded now.

`closure_of` gives it, for a function, lambda, partial, method or callable object. What counts, and
what does not, is said in the modules it is made of: `syntax` (a definition's own text), `code_text`
(is the text what runs?), `reach` and `class_parts` (what code refers to), `packages` (installed
libraries count by version), `values` (data that code reads), `closures` (the graph of it all).

A closure is kept per function, weakly, and given again as long as `watch` finds that nothing it
was made from has changed.

Importing this module teaches `digests` to digest code inside values by the same rules.
"""

import os
import weakref
from collections.abc import Iterable, Sequence
from itertools import islice
from threading import RLock
from typing import Any, NamedTuple, cast

from cellist.caching.carried import refusal_of
from cellist.caching.closures import Builder, shallow
from cellist.caching.dependencies import Dependency, arranged
from cellist.caching.digests import Digester, hasher, set_code_digest
from cellist.caching.encoding import ATOMS
from cellist.caching.kinds import kind_of
from cellist.caching.nodes import Graph
from cellist.caching.packages import Versions, versions_of
from cellist.caching.readers import ANNOTATIONS, READERS, SUBCLASSES
from cellist.caching.watch import Unchanged, watch
from cellist.exceptions import HashError
from cellist.model.reasons import Component


class SourceClosure(NamedTuple):
    """What a task's code amounts to.

    `digest` is hex. `components` are its named parts, for saying what changed. `untracked` names
    what is reached but has no stable digest, so that a change of it goes unseen. `notes` say what
    a user should know, such as a file that changed on disk and was not reloaded.
    """

    digest: str
    components: tuple[Component, ...]
    untracked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    """The installed libraries that are reached, with their exact versions."""
    refusal: tuple[str, str] | None = None
    """What a value of this closure carries along without a digest, and what there is to say of it:
    no part of a value may go unseen, unlike the surroundings of a task."""
    reads: frozenset[str] = frozenset()
    """By which names the code looks at docstrings, annotations or sources: those of functions and
    classes among the arguments count then, too."""


class Kept(NamedTuple):
    """A closure, and what tells whether nothing it was made from has changed."""

    closure: SourceClosure
    unchanged: Unchanged
    versions: Versions


_entries: "weakref.WeakKeyDictionary[Any, Kept]" = weakref.WeakKeyDictionary()
"""Closures of callables as tasks, whose own defaults do not count: bound arguments hold them."""
_owners: "weakref.WeakKeyDictionary[Any, Kept]" = weakref.WeakKeyDictionary()
"""Closures of what tasks depend on."""
_things: "dict[frozenset[str], weakref.WeakKeyDictionary[Any, Kept]]" = {}
"""Closures of functions and classes met in values, whose defaults do count, by what is read."""
_own: "weakref.WeakKeyDictionary[Any, Kept]" = weakref.WeakKeyDictionary()
"""Closures of what is the user's, where versions of libraries do not count."""


def closure_of(
    fn: Any,
    *,
    versions: Versions = "minor",
    depends_on: Sequence[object] = (),
    strict: bool = False,
) -> SourceClosure:
    """Return the source closure of a callable, all names resolved as they are now.

    `versions` says how much of an installed library's version counts: `minor`, `major`, `exact`
    or `off`, or one of these for some libraries (`packages.versions_of`). `depends_on` are
    functions, classes, modules or values that count besides what is found. With `strict`, anything
    that has no stable digest raises `HashError` with its name; what is depended on always does.
    Raises `ValueError` for an unknown `versions`.
    """
    others = arranged(depends_on) if depends_on else ()
    closure = _known(_entries, fn, versions, others)
    if closure is None:
        closure = _closure(_entries, "source", fn, versions, others)
    return _checked(closure) if strict else closure


def kept_closure(fn: Any) -> Kept | None:
    """Return the closure of a callable as it was last found, `None` if it is not kept."""
    try:
        return _entries.get(fn)
    except TypeError:  # unhashable, or takes no weak reference
        return None


class Owner:
    """Stands for a task that depends on something, where the task's own code does not count.

    `scope` is the module of the task: what is reached in it needs no prefix.
    """

    __slots__ = ("__weakref__", "scope")

    def __init__(self, scope: str) -> None:
        self.scope = scope


def closure_of_dependencies(
    owner: Owner,
    depends_on: Sequence[object],
    *,
    versions: Versions = "minor",
    strict: bool = False,
) -> SourceClosure:
    """Return the closure of what a task is said to depend on, all of it as it is now.

    It is kept for the owner. Raises as `closure_of` does.
    """
    closure = _closure(_owners, "owner", owner, versions, arranged(depends_on))
    return _checked(closure) if strict else closure


def digest_of_own(thing: Any) -> str:
    """Return the digest of the user's code in a thing of any kind, whatever library versions."""
    return _closure(_own, "inner", thing, "off", ()).digest


def code_in(value: Any) -> Sequence[Component]:
    """Return the parts of the user's code that a value carries, as far as it is quickly seen.

    That is a function or class, an instance of one, and such things first in a list or dict.
    """
    kind = cast("type[Any]", type(value))
    if kind in ATOMS:
        return ()
    if kind in {list, tuple, dict}:
        items: Iterable[Any] = value.values() if kind is dict else value
        return [part for item in islice(items, _MOST_ITEMS) for part in _code_of(item)]
    return _code_of(value)


def _code_of(value: Any) -> Sequence[Component]:
    kind = cast("type[Any]", type(value))
    if kind in ATOMS:
        return ()
    what = kind_of(value).what
    if what == "data" and kind_of(kind).what == "class":
        value = kind
    elif what not in {"function", "class", "wrapper"}:
        return ()
    entries = _things.setdefault(frozenset(), weakref.WeakKeyDictionary())
    return _closure(entries, "inner", value, "minor", ()).components


_MOST_ITEMS = 20


def _checked(closure: SourceClosure) -> SourceClosure:
    if closure.untracked:
        name = closure.untracked[0]
        message = (
            f"`{name}` has no stable digest, so a change of it would go unseen. Either make it "
            "where it is used, or say what its digest is with `@cellist.hasher`, or be not strict."
        )
        raise HashError(message, name)
    return closure


def _closure(
    entries: "weakref.WeakKeyDictionary[Any, Kept]",
    role: str,
    thing: Any,
    versions: Versions,
    depends_on: Sequence[Dependency],
    reads: frozenset[str] = frozenset(),
) -> SourceClosure:
    closure = _known(entries, thing, versions, depends_on)
    if closure is not None:
        return closure
    versions_of(versions)
    with _building:
        closure = _known(entries, thing, versions, depends_on)  # another thread may have built it
        if closure is not None:
            return closure
        graph = _graph(role, thing, versions, depends_on, reads)
        found = [(one.name, one.text) for one in graph.components if one.kind == "package"]
        refusal = refusal_of(graph) if role == "inner" else None
        closure = SourceClosure(
            graph.digest,
            graph.components,
            graph.untracked,
            graph.notes,
            tuple(found),
            refusal,
            graph.reads & READERS,
        )
        try:
            entries[thing] = Kept(closure, watch(graph), versions)
        except TypeError:  # such as a bound method of an unhashable object: found anew each time
            pass
    return closure


_building = RLock()
"""Held while a closure is built: many threads may ask for the same one at the same moment."""


def _known(
    entries: "weakref.WeakKeyDictionary[Any, Kept]",
    thing: Any,
    versions: Versions,
    depends_on: Sequence[Dependency],
) -> SourceClosure | None:
    try:
        entry = entries.get(thing)
    except TypeError:  # unhashable, or takes no weak reference
        return None
    if (
        entry is not None
        and entry.versions == versions
        and entry.unchanged(thing, [one.value for one in depends_on])
    ):
        return entry.closure
    return None


def _after_fork() -> None:
    """Give a forked child a lock of its own: the thread that held it is not there."""
    global _building  # noqa: PLW0603 - one lock for the process
    _building = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _graph(
    role: str,
    thing: Any,
    versions: Versions,
    depends_on: Sequence[Dependency],
    reads: frozenset[str],
) -> Graph:
    """Build the graph, anew as long as what is reached asks for more of the rest to count."""
    annotations = family = False
    while True:
        builder = Builder(versions, annotations=annotations, family=family, reads=reads)
        graph = builder.build(role, thing, depends_on)
        asked = (
            annotations or not ANNOTATIONS.isdisjoint(graph.reads),
            family or not SUBCLASSES.isdisjoint(graph.reads),
        )
        if asked == (annotations, family):
            return graph
        annotations, family = asked


def digest_for(value: object, name: str, reads: frozenset[str]) -> str:
    """Return the digest of a value for code that looks at docstrings and the like.

    `reads` is what its closure says. Raises `HashError`.
    """

    def code(thing: object, digester: Digester) -> bytes:
        return _code_digest(thing, digester, reads)

    return Digester(code).digest(value, name)


def _code_digest(thing: object, _digester: Digester, reads: frozenset[str] = frozenset()) -> bytes:
    """Identify a function, class or module inside a value; the hook of `digests`.

    What a task's own code reaches may be untracked, and is then listed. An argument may not be
    keyed in part: data that it carries along must have a digest.
    """
    token, follow = shallow(thing)
    if not follow:
        return token
    entries = _things.get(reads)
    if entries is None:
        entries = _things.setdefault(reads, weakref.WeakKeyDictionary())
    closure = _closure(entries, "inner", thing, "minor", (), reads)
    if closure.refusal is not None:
        path, story = closure.refusal
        raise HashError(story, path)
    return bytes.fromhex(closure.digest)


def _own_function(task: Any) -> Any:
    return task.fn


set_code_digest(_code_digest)
for _name in ("cellist.tasks.Task", "cellist.flows.Flow"):
    hasher(_name)(_own_function)  # a task in a list of tasks counts as its function
