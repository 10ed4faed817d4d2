"""What a task's cache key is made of.

`DEFAULT` is `INPUTS + TASK_SOURCE`: a result is reused by any later run, in any kernel, as long as
the arguments and everything the code reaches are the same. Policies add up with `+`; an input is
left out with `INPUTS - "name"`. A key keeps its named components, so that a miss can be explained.

`configure` says where keys are recorded and how runs that want the same key are kept apart.

A policy of one's own is a subclass with `compute_key`, or a function through `cache_key_fn`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from cellist.caching.digests import digest_value
from cellist.caching.locks import LockManager
from cellist.caching.packages import Versions, versions_of
from cellist.caching.result_places import place_of
from cellist.configured import adopt, is_plain, plain
from cellist.key_requests import (
    SOURCE,
    Components,
    KeyRequest,
    default_components,
    default_values,
    digested,
    join,
    request_of,
    task_component,
    with_texts,
)
from cellist.model.isolation import IsolationLevel
from cellist.model.reasons import Component

_RECHECKED = {"source", "function", "class", "global", "closure", "default"}


@dataclass
class CachePolicy:
    """What a cache key is made of; the base of all policies. `configure` explains the fields."""

    key_storage: Any = field(default=None, kw_only=True)
    isolation_level: IsolationLevel | None = field(default=None, kw_only=True)
    lock_manager: Any = field(default=None, kw_only=True)
    warns: ClassVar[bool] = True
    """Whether a value without a stable digest is warned of, and not only told in the reason."""

    @classmethod
    def from_cache_key_fn(
        cls, cache_key_fn: Callable[[Any, dict[str, Any]], Any]
    ) -> "CacheKeyFnPolicy":
        """Return a policy whose key is what the function returns."""
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def configure(
        self,
        key_storage: "str | Path | Any" = None,
        lock_manager: Any = None,
        isolation_level: IsolationLevel | None = None,
    ) -> Self:
        """Return a copy with some of these set; `None` leaves one as it is.

        - `key_storage`: a directory or `diskcache.Cache` for the records that lead to results.
          Deleting a record there makes its result be computed again.
        - `isolation_level`: what a run does while another computes the same key; without it, it
          waits and reuses the result.
        - `lock_manager`: whose locks `IsolationLevel.SERIALIZABLE` takes; by default those of the
          result store, which other processes see.

        Raises `TypeError` or `ValueError` for what cannot be used.
        """
        if key_storage is not None:
            place_of(key_storage, "key_storage")
        if lock_manager is not None and not isinstance(lock_manager, LockManager):
            message = f"`lock_manager` must be a lock manager, got {lock_manager!r:.60}."
            raise TypeError(message)
        if isolation_level is not None:
            isolation_level = IsolationLevel(isolation_level)
        copy = object.__new__(type(self))
        for name, value in vars(self).items():
            setattr(copy, name, list(cast("Any", value)) if isinstance(value, list) else value)
        given = {
            "key_storage": key_storage,
            "lock_manager": lock_manager,
            "isolation_level": isolation_level,
        }
        for name, value in given.items():
            if value is not None:
                setattr(copy, name, value)
        return copy

    def compute_key(
        self, task_ctx: Any, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the key for a call, `None` for no caching; override for a policy of your own.

        Without a context (`None`) the task is not in the key.
        """
        del kwargs
        request = request_of(task_ctx, inputs, flow_parameters)
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


@dataclass
class Inputs(CachePolicy):
    """The arguments of the call, by name, and which task is called.

    With `shared=True` the task is left out, so that different tasks with the same arguments share
    results.
    """

    exclude: list[str] = field(default_factory=list[str])
    shared: bool = False

    def configure(
        self,
        key_storage: "str | Path | Any" = None,
        lock_manager: Any = None,
        isolation_level: IsolationLevel | None = None,
        *,
        shared: bool | None = None,
    ) -> Self:
        """Return a copy with some of these set; `shared` lets tasks share results."""
        copy = super().configure(key_storage, lock_manager, isolation_level)
        if shared is not None:
            copy.shared = shared
        return copy

    def components(self, request: KeyRequest) -> Components | None:
        """Return one component for each argument, and one for the task; none without arguments."""
        if not request.arguments and (request.is_alone or not request.identity):
            return None
        found = [] if self.shared else [task_component(request)]
        return found + digested("argument", request.counted(self.exclude), reads=request.reads)

    def recheck(self, request: KeyRequest) -> Components:
        """Return the components as they are now of all that can have changed in place."""
        found = [] if self.shared or request.has_source else [task_component(request)]
        counted = request.counted(self.exclude)
        return found + digested("argument", counted, is_again=True, reads=request.reads)

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Add short forms of the arguments as they are now."""
        return with_texts(components, "argument", request.counted(self.exclude))

    def __sub__(self, other: str) -> "Inputs":
        super().__sub__(other)  # which checks it
        return replace(self, exclude=sorted({*self.exclude, other}))


@dataclass
class TaskSource(CachePolicy):
    """The task's code with everything it reaches: helpers, globals, closures, package versions.

    Without `INPUTS` beside it the defaults of the task's parameters count as well.

    `versions` says how much of the version of an installed library counts: "minor" (the default),
    "major", "exact" or "off", or a mapping such as `{"pandas": "exact", "*": "major"}`.
    """

    versions: Versions | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.versions is not None:
            self.versions = versions_of(self.versions)

    def configure(
        self,
        key_storage: "str | Path | Any" = None,
        lock_manager: Any = None,
        isolation_level: IsolationLevel | None = None,
        *,
        versions: str | Mapping[str, str] | None = None,
    ) -> Self:
        """Return a copy with some of these set; `versions` says how much of versions counts."""
        copy = super().configure(key_storage, lock_manager, isolation_level)
        if versions is not None:
            copy.versions = versions_of(versions)
        return copy

    def components(self, request: KeyRequest) -> Components | None:
        """Return the components of the source closure; none if it is not known which task's."""
        if not request.identity:
            return None
        closure = request.closure(self.versions)
        request.met(closure, request.closures)
        found = [Component(*SOURCE, closure.digest)]
        return found if request.has_inputs else found + default_components(request, request.notes)

    def recheck(self, request: KeyRequest) -> Components:
        """Return the code and data of the closure as they are now.

        Packages and modules are left out: an import inside the task brings new ones.
        """
        closure = request.closure(self.versions)
        found = [] if request.has_inputs else default_components(request)
        if closure.digest in request.closures:  # it is what it was when the key was made
            return found
        return found + [one for one in closure.components if one.kind in _RECHECKED]

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Put the parts of the closure in its place."""
        opened = request.opened(components)
        if request.has_inputs:
            return opened
        return with_texts(opened, "default", default_values(request.fn))


class FlowParameters(CachePolicy):
    """The parameters of the enclosing flow run, and which task is called; no key outside a flow."""

    def components(self, request: KeyRequest) -> Components | None:
        """Return one component for each parameter of the flow."""
        if not request.flow_parameters:
            return None
        return [task_component(request), *digested("flow parameter", request.flow_parameters)]

    def describe(self, request: KeyRequest, components: Components) -> Components:
        """Add short forms of the parameters as they are now."""
        return with_texts(components, "flow parameter", request.flow_parameters or {})


class RunId(CachePolicy):
    """The enclosing flow run and which task is called: nothing is shared between flow runs."""

    def components(self, request: KeyRequest) -> Components | None:
        """Return the id of the flow run, of the task run outside flows; none outside runs."""
        owner = request.flow_run_id or request.task_run_id
        if not owner:
            return None
        run = Component("run", "flow run", digest_value(owner), owner)
        return [task_component(request), run]


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


class _None(CachePolicy):
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
    """Several policies together: the key changes when the key of any of them does.

    What the members are configured with is the compound's. Compounds among them give their own
    members, `NO_CACHE` adds nothing, and all `Inputs` become one that leaves out what any does.
    Raises `ValueError` if they are configured differently.
    """

    policies: list[CachePolicy] = field(default_factory=list[CachePolicy])

    def __post_init__(self) -> None:
        members: list[CachePolicy] = []
        for one in self.policies:
            adopt(self, one)
            members += one.policies if isinstance(one, CompoundCachePolicy) else [plain(one)]
        inputs = [one for one in members if isinstance(one, Inputs)]
        self.policies = [one for one in members if not isinstance(one, (Inputs, _None))]
        self._has_inputs = bool(inputs)
        if inputs:
            excluded = sorted({name for one in inputs for name in one.exclude})
            shared = all(one.shared for one in inputs)
            self.policies.append(replace(inputs[0], exclude=excluded, shared=shared))
        self._has_source = any(isinstance(one, TaskSource) for one in self.policies)

    def components(self, request: KeyRequest) -> Components | None:
        """Return the components of all members that have some."""
        found: Components = []
        request.is_alone = False
        request.has_source, request.has_inputs = self._has_source, self._has_inputs
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
    if isinstance(left, _None) or isinstance(right, _None):
        kept, gone = (right, left) if isinstance(left, _None) else (left, right)
        if is_plain(gone):
            return kept
        kept = kept.configure()
        adopt(kept, gone)
        return kept
    return CompoundCachePolicy(policies=[left, right])


INPUTS = Inputs()
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
NO_CACHE = _None()
NONE = _None()
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
