"""What a task's cache key is made of.

`DEFAULT` is `INPUTS + TASK_SOURCE`: a result is reused by any later run, in any kernel, as long as
the arguments and everything the code reaches are the same. Policies add up with `+`; an input is
left out with `INPUTS - "name"`. A key keeps its named components, so that a miss can be explained.

A policy of one's own is a subclass with `compute_key`, or a function through `cache_key_fn`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, cast

from blake3 import blake3

from cellist.caching.digests import digest_value
from cellist.caching.source import SourceClosure, closure_of
from cellist.model.previews import short
from cellist.model.reasons import Component

Components = list[Component]
_RECHECKED = {"source", "function", "class", "global", "closure", "default"}
_KEY_VERSION = "cellist-key 2"


@dataclass(slots=True)
class KeyRequest:
    """One call that needs a key: what it calls, with what, inside which run."""

    fn: Callable[..., Any]
    identity: str
    """What the task is called across kernels: its qualified name."""
    arguments: dict[str, Any]
    flow_parameters: dict[str, Any] | None
    flow_run_id: str | None
    task_run_id: str
    make_context: Callable[[], Any]
    """Makes the `TaskRunContext` that functions of the user get."""
    closures: dict[str, Sequence[Component]] = field(default_factory=dict[str, Sequence[Component]])
    """The parts of each source closure met, by its digest."""
    notes: list[str] = field(default_factory=list[str])
    has_source: bool = False
    """Whether the code of the task is in the key."""
    is_alone: bool = True
    """Whether one policy makes the whole key."""
    raw_key: str | None = None
    """A key given by a function of the user, used as it is."""


@dataclass
class CachePolicy:
    """What a cache key is made of; the base of all policies."""

    @classmethod
    def from_cache_key_fn(
        cls, cache_key_fn: Callable[[Any, dict[str, Any]], Any]
    ) -> "CacheKeyFnPolicy":
        """Return a policy whose key is what the function returns."""
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the key for a call, `None` for no caching; override for a policy of your own."""
        del kwargs
        request = KeyRequest(
            fn=getattr(task_ctx.task, "fn", task_ctx.task),
            identity=getattr(task_ctx.task, "identity", getattr(task_ctx.task, "name", "task")),
            arguments=inputs,
            flow_parameters=flow_parameters or None,
            flow_run_id=_hex(getattr(task_ctx.task_run, "flow_run_id", None)),
            task_run_id=_hex(getattr(task_ctx.task_run, "id", None)) or "",
            make_context=lambda: task_ctx,
        )
        components = self.components(request)
        if request.raw_key is not None:
            return request.raw_key
        return join(components) if components else None

    def components(self, request: KeyRequest) -> Components | None:
        """Return the named parts of the key, `None` for no caching."""
        key = self.compute_key(
            request.make_context(), request.arguments, request.flow_parameters or {}
        )
        if key is None:
            return None
        return [Component("policy", type(self).__name__, digest_value(str(key)), str(key))]

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Return components with the texts and parts that explain a miss; a hit needs none.

        `components` are those this policy gave for the request. Nothing is digested again.
        """
        del request
        return components

    def recheck(self, request: KeyRequest) -> Components:
        """Return the components as they are after the run; functions of the user are not called."""
        del request
        return []

    def __add__(self, other: "CachePolicy") -> "CachePolicy":
        if not isinstance(cast("Any", other), CachePolicy):
            return NotImplemented
        return _sum(self, other)

    def __sub__(self, other: str) -> "CachePolicy":
        if not isinstance(cast("Any", other), str):
            message = f"Can only subtract the name of a parameter from a policy, not {other!r}."
            raise TypeError(message)
        return self


def _hex(number: Any) -> str | None:
    return number.hex if number is not None else None


def join(components: Iterable[Component]) -> str:
    """Return the key that stands for named components: 64 hex digits."""
    parts = sorted(
        f"{len(kind)}:{kind}{len(name)}:{name}{len(digest)}:{digest}"
        for kind, name, digest, _ in components
    )  # the lengths tell where each part ends, so that no two keys read the same
    parts.append(_KEY_VERSION)
    return blake3("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _with_texts(components: Components, kind: str, values: dict[str, Any]) -> Components:
    return [
        Component(kind, one.name, one.digest, short(values[one.name]))
        if one.kind == kind and one.name in values
        else one
        for one in components
    ]


@lru_cache(maxsize=1024)
def _named_task(identity: str) -> Component:
    return Component("task", "task", digest_value(identity))


def _task_component(request: KeyRequest) -> Component:
    """Return what tells one task from another.

    With the source in the key a name is enough. Without it the module counts, what a partial has
    bound, and the text of a lambda, since all lambdas have one name.
    """
    if request.has_source:
        return _named_task(request.identity)
    parts = [request.identity]
    fn: Any = request.fn
    while isinstance(fn, partial):
        parts.append(digest_value((fn.args, tuple(fn.keywords.items())), "partial"))
        fn = fn.func
    module = getattr(fn, "__module__", None)
    if module not in (None, "__main__"):
        parts.append(str(module))
    if "<lambda>" in request.identity:
        own = [one.digest for one in closure_of(fn).components if one.kind == "source"]
        parts.extend(own)
    return _named_task("|".join(parts))


@dataclass
class Inputs(CachePolicy):
    """The arguments of the call, by name, and which task is called.

    With `shared=True` the task is left out, so that different tasks with the same arguments share
    results.
    """

    exclude: list[str] = field(default_factory=list[str])
    shared: bool = False

    def configure(self, *, shared: bool) -> "Inputs":
        """Return a copy that shares results between tasks, or one that does not."""
        return replace(self, shared=shared)

    def components(self, request: KeyRequest) -> Components | None:
        """Return one component for each argument, and one for the task; none without arguments."""
        if not request.arguments and request.is_alone:
            return None
        found = [] if self.shared else [_task_component(request)]
        for name, value in request.arguments.items():
            if name not in self.exclude:
                found.append(Component("argument", name, digest_value(value, name)))
        return found

    def recheck(self, request: KeyRequest) -> Components:
        """Return the components as they are now."""
        return self.components(request) or []

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Add short forms of the arguments as they are now."""
        return _with_texts(components, "argument", request.arguments)

    def __sub__(self, other: str) -> "Inputs":
        if not isinstance(cast("Any", other), str):
            message = f"Can only subtract the name of a parameter from a policy, not {other!r}."
            raise TypeError(message)
        return replace(self, exclude=sorted({*self.exclude, other}))


@dataclass
class TaskSource(CachePolicy):
    """The task's code with everything it reaches: helpers, globals, closures, package versions."""

    versions: str = "minor"

    def components(self, request: KeyRequest) -> Components | None:
        """Return the components of the source closure."""
        closure: SourceClosure = closure_of(request.fn, versions=self.versions)
        request.notes.extend(closure.notes)
        if closure.untracked:
            request.notes.append(f"not tracked: {', '.join(closure.untracked)}")
        request.closures[closure.digest] = closure.components
        return [Component("source", "closure", closure.digest)]

    def recheck(self, request: KeyRequest) -> Components:
        """Return the code and data of the closure as they are now.

        Packages and modules are left out: an import inside the task brings new ones.
        """
        closure = closure_of(request.fn, versions=self.versions)
        return [one for one in closure.components if one.kind in _RECHECKED]

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Put the parts of the closure in its place."""
        found: Components = []
        for one in components:
            is_closure = one.kind == "source" and one.name == "closure"
            parts = request.closures.get(one.digest) if is_closure else None
            found.extend((one,) if parts is None else parts)
        return found


@dataclass
class FlowParameters(CachePolicy):
    """The parameters of the enclosing flow run, and which task is called; no key outside a flow."""

    def components(self, request: KeyRequest) -> Components | None:
        """Return one component for each parameter of the flow."""
        if not request.flow_parameters:
            return None
        found = [_task_component(request)]
        for name, value in request.flow_parameters.items():
            found.append(Component("flow parameter", name, digest_value(value, name)))
        return found

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Add short forms of the parameters as they are now."""
        return _with_texts(components, "flow parameter", request.flow_parameters or {})


@dataclass
class RunId(CachePolicy):
    """The enclosing flow run and which task is called: nothing is shared between flow runs."""

    def components(self, request: KeyRequest) -> Components | None:
        """Return the id of the flow run, of the task run outside flows."""
        owner = request.flow_run_id or request.task_run_id
        run = Component("run", "flow run", digest_value(owner), owner)
        return [_task_component(request), run]


@dataclass
class CacheKeyFnPolicy(CachePolicy):
    """The key is what a function of (context, parameters) returns; `None` is no caching."""

    cache_key_fn: Callable[[Any, dict[str, Any]], Any] | None = None

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the key as text."""
        del flow_parameters, kwargs
        key = self.cache_key_fn(task_ctx, inputs) if self.cache_key_fn is not None else None
        return None if key is None else str(key)

    def components(self, request: KeyRequest) -> Components | None:
        """Return the key as one component; alone, it is used as it is."""
        key = self.compute_key(request.make_context(), request.arguments, {})
        if key is None:
            return None
        request.raw_key = key
        return [Component("policy", "cache_key_fn", digest_value(key), key)]


@dataclass
class _NoCache(CachePolicy):
    """No caching; adds nothing to other policies."""

    def components(self, request: KeyRequest) -> Components | None:
        """Return `None`."""
        del request
        return None

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Return `None`."""
        del task_ctx, inputs, flow_parameters, kwargs
        return None


@dataclass
class CompoundCachePolicy(CachePolicy):
    """Several policies together: the key changes when the key of any of them does."""

    policies: list[CachePolicy] = field(default_factory=list[CachePolicy])

    def components(self, request: KeyRequest) -> Components | None:
        """Return the components of all members that have some."""
        found: Components = []
        request.is_alone = False
        request.has_source = any(isinstance(one, TaskSource) for one in self.policies)
        for policy in self.policies:
            found.extend(policy.components(request) or ())
        request.raw_key = None
        return found or None

    def recheck(self, request: KeyRequest) -> Components:
        """Return the components of all members that can be had again."""
        return [one for policy in self.policies for one in policy.recheck(request)]

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Let each member describe what it gave."""
        for policy in self.policies:
            components = policy.describe(request, components)
        return components

    def __sub__(self, other: str) -> "CachePolicy":
        return replace(self, policies=[policy - other for policy in self.policies])


def _sum(left: CachePolicy, right: CachePolicy) -> CachePolicy:
    if isinstance(left, _NoCache) or isinstance(right, _NoCache):
        return right if isinstance(left, _NoCache) else left
    members = [
        member
        for one in (left, right)
        for member in (one.policies if isinstance(one, CompoundCachePolicy) else [one])
    ]
    inputs = [member for member in members if isinstance(member, Inputs)]
    others = [member for member in members if not isinstance(member, Inputs)]
    merged: list[CachePolicy] = others
    if inputs:
        excluded = sorted({name for one in inputs for name in one.exclude})
        shared = all(one.shared for one in inputs)
        merged = [*others, replace(inputs[0], exclude=excluded, shared=shared)]
    return CompoundCachePolicy(policies=merged)


INPUTS = Inputs()
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
NO_CACHE = _NoCache()
NONE = _NoCache()
DEFAULT = INPUTS + TASK_SOURCE

__all__ = [
    "DEFAULT",
    "FLOW_PARAMETERS",
    "INPUTS",
    "NONE",
    "NO_CACHE",
    "RUN_ID",
    "TASK_SOURCE",
    "CacheKeyFnPolicy",
    "CachePolicy",
    "CompoundCachePolicy",
    "FlowParameters",
    "Inputs",
    "RunId",
    "TaskSource",
]
