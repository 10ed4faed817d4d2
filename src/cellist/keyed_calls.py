"""The cache key of a run's call: in mind from an earlier call like it, or made anew.

Who finds a result under a key needs little more than the key; what is made for a miss, such as the
request that its policy describes the key by, is made when it is asked for.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cellist.caching.digests import digest_value
from cellist.engine.execution import Execution
from cellist.key_requests import KeyRequest, RunRequest, join, key_of, part_of_key
from cellist.known_keys import KnownKeys, Standing, call_of
from cellist.model.previews import short
from cellist.model.reasons import Component
from cellist.persistence import CachePlan


class Made(NamedTuple):
    """A key, `None` for no caching, and what it is made of."""

    key: str | None
    components: list[Component]


class Keyed:
    """A call with its key. `key` is `None` if the policy gave none."""

    __slots__ = ("_components", "_known", "_plan", "_request", "_x", "key", "packages")

    def __init__(
        self,
        x: Execution,
        plan: CachePlan,
        key: str | None,
        known: Standing | None,
        request: KeyRequest | None = None,
        components: list[Component] | None = None,
    ) -> None:
        self.key = key
        self._components = components
        self._x = x
        self._plan = plan
        self._known = known
        self._request = request
        told: Any = known if known is not None else request
        self.packages: Sequence[tuple[str, str]] = told.packages
        """The installed libraries that the key is made from, with their exact versions."""

    @property
    def components(self) -> list[Component]:
        """What the key is made of."""
        found = self._components
        if found is None:
            assert self._known is not None
            found = self._components = [*self._known.fixed, *_told(self._x, self._known)]
        return found

    @property
    def is_plain(self) -> bool:
        """Whether nothing can change the arguments, and the rest of the key is known code."""
        return self._known is not None

    @property
    def notes(self) -> Sequence[str]:
        """What is to be said of the call whatever comes of it."""
        told: Any = self._request or self._known
        return told.notes

    @property
    def closures(self) -> dict[str, Sequence[Component]]:
        """The parts of each closure of the task's code in the key, by its digest.

        Those the key was made from: what is known of the task may be newer when its run ends.
        """
        told: Any = self._known or self._request
        return told.closures

    @property
    def request(self) -> KeyRequest:
        """The call as the policy sees it."""
        request = self._request
        if request is None:
            assert self._known is not None
            request = self._request = _prepared(self._x, self._plan, self._known)
        return request

    @property
    def described(self) -> list[Component] | None:
        """The components as the policy describes them, `None` if it is to be asked."""
        known = self._known
        if known is None:
            return None
        return [*known.opened, *self.components[len(known.fixed) :]]


def _prepared(x: Execution, plan: CachePlan, known: Standing) -> KeyRequest:
    """Return a request as it is once a policy of inputs and source has made a key of it."""
    request = RunRequest(x, plan.fn, plan.identity, plan.terms)
    request.is_alone = False
    request.has_source = request.has_inputs = True
    request.met(known.kept.closure, request.closures)
    return request


def in_mind(x: Execution, plan: CachePlan) -> tuple[str, Standing] | None:
    """Return the key of a run's call if its arguments are plain and its code is in mind.

    Nothing is digested but plain arguments, and data that the code reads and that may have changed.
    """
    keys = _keys_of(x, plan)
    if keys is None:
        return None
    call = call_of(x.bound().values(), named=True) if x.kwargs else call_of(x.args)
    known = keys.standing(plan.fn) if call is not None else None
    if call is None or known is None:
        return None
    key = known.made.get(call)
    if key is None:
        arguments = x.bound()
        if call_of(arguments.values()) is None:  # a default is not plain
            return None
        parts = [
            part_of_key("argument", name, digest_value(value, name))
            for name, value in arguments.items()
            if name not in known.exclude
        ]
        key = key_of(parts + known.parts)
        keys.keep(known, call, key)
    return key, known


def _told(x: Execution, known: Standing) -> list[Component]:
    """Return the plain arguments as components, described already."""
    return [
        Component("argument", name, digest_value(value, name), short(value))
        for name, value in x.bound().items()
        if name not in known.exclude
    ]


def keyed(x: Execution, plan: CachePlan) -> Keyed:
    """Return the call of a run with its key.

    Raises `HashError` for an argument without a stable digest, and what functions of the user do.
    """
    told = in_mind(x, plan)
    if told is not None:
        return Keyed(x, plan, *told)
    request = RunRequest(x, plan.fn, plan.identity, plan.terms)
    made = _make(plan, request)
    keys = _keys_of(x, plan)
    if keys is not None and call_of(request.arguments.values()) is not None:
        call = call_of(request.arguments.values(), named=True) if x.kwargs else call_of(x.args)
        if call is not None and made.key is not None:
            keys.add(plan.fn, call, request, made.key, made.components)
    return Keyed(x, plan, made.key, None, request, made.components)


def _keys_of(x: Execution, plan: CachePlan) -> KnownKeys | None:
    """Return the keys in mind, `None` once other defaults may fill the same calls."""
    return None if x.plan.shape.is_renewed else plan.keys


def _make(plan: CachePlan, request: KeyRequest) -> Made:
    if plan.storage_key is not None:
        key = plan.storage_key(request)
        return Made(key, [Component("policy", "result_storage_key", key, key)])
    components = plan.policy.components(request)
    if not components:
        return Made(None, [])
    if request.raw_key is not None and plan.version is None:
        return Made(request.raw_key, components)
    if plan.version is not None:
        told: Any = Component("version", "version", digest_value(plan.version), plan.version)
        components = [*components, told]
    return Made(join(components), components)


__all__ = ["Keyed", "in_mind", "keyed"]
