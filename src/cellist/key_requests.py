"""One call that needs a cache key, and what keys are made of: named components."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from blake3 import blake3

from cellist import settings
from cellist.caching.declared import told
from cellist.caching.digests import digest_value
from cellist.caching.encoding import ATOMS
from cellist.caching.packages import Versions, versions_of
from cellist.caching.source import SourceClosure, closure_of, code_in, digest_for
from cellist.captured import captured
from cellist.exceptions import HashError
from cellist.model.ids import as_hex
from cellist.model.reasons import Component
from cellist.run_contexts import TaskRunContext

Components = list[Component]
SOURCE, DEPENDED = ("source", "closure"), ("extra", "depends_on")
"""Kind and name of what stands in a key for the task's code, and for what it depends on."""
_KEY_VERSION = "cellist-key 2"


class Terms(NamedTuple):
    """What a task says about its keys besides the policy."""

    versions: Versions | None = None
    """How much of the versions of libraries counts; `None` is as the policy or the setting says."""
    strict: bool = False
    """Whether what has no stable digest keeps a call from running."""
    counted: Mapping[str, Callable[[Any], Any]] = MappingProxyType({})
    """What stands for an argument in the key, by parameter, where that is not itself."""
    rest: str | None = None
    """The parameter that takes keywords of any name."""


PLAIN = Terms()


@dataclass(slots=True, eq=False, repr=False)
class KeyRequest:
    """One call that needs a key: what it calls, with what, inside which run."""

    fn: Callable[..., Any]
    identity: str
    """What the task is called across kernels: its qualified name; empty if no task is known."""
    arguments: dict[str, Any]
    flow_parameters: dict[str, Any] | None
    flow_run_id: str | None
    task_run_id: str
    make_context: Callable[[], Any]
    """Makes the `TaskRunContext` that functions of the user get."""
    closures: dict[str, Sequence[Component]] = field(default_factory=dict[str, Sequence[Component]])
    """The parts of each closure of the task's code in the key, by its digest."""
    depended: dict[str, Sequence[Component]] = field(default_factory=dict[str, Sequence[Component]])
    """The parts of what the task is said to depend on, by its digest."""
    notes: list[str] = field(default_factory=list[str])
    has_inputs: bool = False
    """Whether the arguments of the call are in the key, and so the defaults among them."""
    has_source: bool = False
    """Whether the code of the task is in the key."""
    is_alone: bool = True
    """Whether one policy makes the whole key."""
    raw_key: str | None = None
    """A key given by a function of the user, used as it is."""
    terms: Terms = PLAIN
    packages: tuple[tuple[str, str], ...] = ()
    """The installed libraries that the key is made from, with their exact versions."""
    reads: frozenset[str] = frozenset()
    """By which names the task's code looks at docstrings and the like."""

    def met(self, closure: SourceClosure, kept: dict[str, Sequence[Component]]) -> None:
        """Take note, in `closures` or `depended`, of what the key is made from."""
        self.notes.extend(notes_of(closure))
        kept[closure.digest] = closure.components
        if closure.packages:
            self.packages += closure.packages
        if closure.reads:
            self.reads |= closure.reads

    def versions(self, of_policy: Any = None) -> Versions:
        """Return how much of versions counts: as the task says, else the policy, else a setting."""
        said = self.terms.versions or of_policy or settings.active().tasks_versions
        return said if said.__class__ is str else versions_of(said)

    def closure(self, of_policy: Any = None) -> SourceClosure:
        """Return the closure of the task's code as it is now. Raises `HashError` if strict."""
        versions = self.versions(of_policy)
        return closure_of(self.fn, versions=versions, strict=self.terms.strict)

    def opened(self, components: Components) -> Components:
        """Return the components with the parts of each closure in its place."""
        found: Components = []
        for one in components:
            kept = {SOURCE: self.closures, DEPENDED: self.depended}.get(one[:2])
            parts = None if kept is None else kept.get(one.digest)
            found.extend((one,) if parts is None else parts)
        return found

    def counted(self, exclude: Sequence[str]) -> dict[str, Any]:
        """Return what stands for the arguments in a key, without those that are left out."""
        if not exclude and self.terms is PLAIN:
            return self.arguments
        counted, rest, excluded = self.terms.counted, self.terms.rest, frozenset(exclude)
        found: dict[str, Any] = {}
        for name, value in self.arguments.items():
            if name in excluded:
                continue
            kept = value
            if name == rest and not excluded.isdisjoint(value):
                kept = {key: item for key, item in value.items() if key not in excluded}
            found[name] = counted[name](kept) if name in counted else kept
        return found


def notes_of(closure: SourceClosure) -> list[str]:
    """Return what is to be said of each key that is made from a closure."""
    if not closure.untracked:
        return list(closure.notes)
    return [*closure.notes, f"not tracked: {', '.join(closure.untracked)}"]


def request_of(
    context: Any, inputs: dict[str, Any] | None, flow_parameters: dict[str, Any] | None
) -> KeyRequest:
    """Return the request for a call that a `TaskRunContext` tells of, `None` for no task's."""
    task: Any = getattr(context, "task", None)
    run = getattr(context, "task_run", None)
    return KeyRequest(
        fn=getattr(task, "fn", task),
        identity="" if task is None else getattr(task, "identity", getattr(task, "name", "task")),
        arguments=inputs or {},
        flow_parameters=flow_parameters or None,
        flow_run_id=_hex(getattr(run, "flow_run_id", None)),
        task_run_id=_hex(getattr(run, "id", None)) or "",
        make_context=lambda: context,
    )


def _hex(number: Any) -> str | None:
    return number.hex if number is not None else None


class RunRequest(KeyRequest):
    """The request of a run: what few policies ask for is looked up when they do."""

    __slots__ = ("_x",)

    def __init__(self, x: Any, fn: Callable[..., Any], identity: str, terms: Terms) -> None:
        self._x = x
        self.fn = fn
        self.identity = identity
        self.arguments = x.bound()
        self.closures = {}
        self.depended = {}
        self.notes = []
        self.has_inputs = False
        self.has_source = False
        self.is_alone = True
        self.raw_key = None
        self.terms = terms
        self.packages = ()
        self.reads = frozenset()

    @property
    def flow_parameters(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleVariableOverride] - nobody assigns it
        """The parameters of the flow around the run."""
        flow = self._x.flow
        return None if flow is None else flow.flow_run.parameters

    @property
    def flow_run_id(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride] - nobody assigns it
        """The id of the flow run around the run."""
        flow = self._x.flow
        return None if flow is None else as_hex(flow.run.number)

    @property
    def task_run_id(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - nobody assigns it
        """The id of the run."""
        return as_hex(self._x.run.number)

    def make_context(self) -> TaskRunContext:
        """Return what functions of the user get."""
        return TaskRunContext.of(self._x)


def parts_of_key(components: Iterable[Component]) -> list[str]:
    """Return what named components are in a key.

    The lengths tell where each part ends, so that no two keys read the same.
    """
    return [part_of_key(kind, name, digest) for kind, name, digest, _ in components]


def part_of_key(kind: str, name: str, digest: str) -> str:
    """Return what a named component is in a key."""
    return f"{_named(kind, name)}{len(digest)}:{digest}"


def join(components: Iterable[Component]) -> str:
    """Return the key that stands for named components: 64 hex digits."""
    return key_of(parts_of_key(components))


def key_of(parts: list[str]) -> str:
    """Return the key of components by what they are in it. The list is sorted, and then longer."""
    parts.sort()
    parts.append(_KEY_VERSION)
    return blake3("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=1024)
def _named(kind: str, name: str) -> str:
    return f"{len(kind)}:{kind}{len(name)}:{name}"


def digested(
    kind: str,
    values: dict[str, Any],
    *,
    is_again: bool = False,
    reads: frozenset[str] = frozenset(),
) -> Components:
    """Return one component for each value. Raises `HashError`.

    `is_again` leaves out what cannot have changed since: atoms. `reads` is by which names the code
    that gets the values looks at docstrings and the like.
    """
    return [
        Component(
            kind, name, digest_for(value, name, reads) if reads else digest_value(value, name)
        )
        for name, value in values.items()
        if not (is_again and type(value) in ATOMS)
    ]


def with_texts(components: Components, kind: str, values: dict[str, Any]) -> Components:
    """Return the components with short forms of the values of one kind, and the code in them."""
    return [
        Component(kind, one.name, one.digest, told(values[one.name], code_in(values[one.name])))
        if one.kind == kind and one.name in values
        else one
        for one in components
    ]


@lru_cache(maxsize=1024)
def _named_task(identity: str) -> Component:
    return Component("task", "task", digest_value(identity))


def task_component(request: KeyRequest) -> Component:
    """Return what tells one task from another.

    With the source in the key a name is enough. Without it that counts which tells functions of one
    name apart. Raises `HashError` for a partial.
    """
    if request.has_source or not request.identity:
        return _named_task(request.identity)
    return _named_task("|".join((request.identity, *captured(request.fn))))


def default_values(fn: Any) -> dict[str, Any]:
    """Return the defaults of a task's function by parameter."""
    while isinstance(fn, partial):
        fn = fn.func
    fn = getattr(fn, "__func__", fn)
    code = getattr(fn, "__code__", None)
    if code is None:
        return {}
    given = fn.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    return {**dict(zip(names, given, strict=True)), **(fn.__kwdefaults__ or {})}


def default_components(request: KeyRequest, notes: list[str] | None = None) -> Components:
    """Return the task's own defaults; those without a digest count by type, and are noted.

    Raises `HashError` if the task is strict.
    """
    found: Components = []
    for name, value in default_values(request.fn).items():
        try:
            digest = digest_value(value, name)
        except HashError:
            if request.terms.strict:
                raise
            digest = digest_value(type(value).__qualname__)
            if notes is not None:
                notes.append(f"not tracked: default of `{name}`")
        found.append(Component("default", name, digest))
    return found
