"""What is kept of a run's result, where and as what: the options, and what runs inside inherit.

A task's own option counts first, then the setting, then the task and the flow around it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from cellist.cache_policies import CachePolicy
from cellist.caching.result_places import Place
from cellist.caching.serializers import Serializer
from cellist.engine.plan import Plan
from cellist.key_requests import PLAIN, Terms
from cellist.known_keys import KnownKeys
from cellist.model.isolation import IsolationLevel
from cellist.model.reasons import Reason
from cellist.returning import gives_result


class Storage(NamedTuple):
    """Where results are kept, as a `result_storage` says. `place` is `None` for the project's."""

    place: Place | None = None
    key_place: Place | None = None
    """Where the records lie that lead to results, if not with them."""
    serializer: Serializer | None = None
    lock_manager: Any = None
    in_memory: bool = True


class Keeping(NamedTuple):
    """What a task or flow says about the results of what runs inside it; `None` is nothing."""

    persist: bool | None = None
    storage: Storage | None = None
    serializer: Serializer | None = None
    in_memory: bool = True
    mode: str | None = None
    """`off` or `refresh` if a cell overrules how its tasks cache."""
    persist_by: str = ""
    """Who said `persist`, for the reason."""

    def over(self, above: "Keeping | None") -> "Keeping":
        """Return this with its gaps filled by what is said further out."""
        if above is None or above == self:
            return self
        return Keeping(
            above.persist if self.persist is None else self.persist,
            above.storage if self.storage is None else self.storage,
            self.serializer or above.serializer,
            self.in_memory and above.in_memory,
            self.mode or above.mode,
            above.persist_by if self.persist is None else self.persist_by,
        )


class CachePlan:
    """How one task caches: its policy and options, resolved."""

    __slots__ = (
        "_gives",
        "expiration",
        "explicit",
        "fn",
        "identity",
        "in_memory",
        "isolation",
        "key_place",
        "keys",
        "lock_manager",
        "persist",
        "policy",
        "readonly",
        "refresh",
        "replay",
        "serializer",
        "storage",
        "storage_key",
        "terms",
        "version",
    )

    def __init__(
        self,
        fn: Callable[..., Any],
        identity: str,
        policy: CachePolicy,
        *,
        explicit: bool,
        expiration: float | None,
        refresh: bool,
        storage_key: Callable[[Any], str] | None = None,
        persist: bool | None = None,
        storage: Storage | None = None,
        serializer: Serializer | None = None,
        in_memory: bool = True,
        key_place: Place | None = None,
        isolation: IsolationLevel | None = None,
        lock_manager: Any = None,
        version: str | None = None,
        readonly: bool = False,
        terms: Terms = PLAIN,
        replay: bool | None = None,
    ) -> None:
        self.fn = fn
        self.identity = identity
        self.policy = policy
        self.explicit = explicit
        """Whether the user chose the policy; only then is `None` kept as a result."""
        self.expiration = expiration
        """Seconds a result stays valid."""
        self.refresh = refresh
        self.storage_key = storage_key
        self.persist = persist
        """Whether the task itself, or the setting, says that results are kept."""
        self.storage = storage
        """Where results lie; `None` is where those of the run around are, or the project's."""
        self.serializer = serializer
        self.in_memory = in_memory
        self.key_place = key_place
        """The `key_storage` of the policy."""
        self.isolation = isolation
        self.lock_manager = lock_manager
        self.version = version
        """Part of the key, so that a new one makes old results invalid."""
        self.terms = terms

        self.readonly = readonly
        """Whether results are looked up but not kept."""
        self.replay = replay
        """Whether what a run shows is shown again on a hit; `None` is as the setting says."""
        self._gives: tuple[Any, bool] | None = None
        self.keys = KnownKeys.of(policy, terms, version) if storage_key is None else None
        """The keys of earlier calls, if they can be known."""

    @property
    def gives_result(self) -> bool:
        """Whether the function may return something other than `None`."""
        code = getattr(self.fn, "__code__", None)
        told = self._gives
        if told is None or told[0] is not code or code is None:  # code is dear to look up by
            told = self._gives = code, gives_result(self.fn)
        return told[1]

    @property
    def is_special(self) -> bool:
        """Whether results lie elsewhere than in the project's store, or are not to be looked up."""
        return self.refresh or self.storage is not None or self.key_place is not None

    def changed(self, **changes: Any) -> "CachePlan":
        """Return this plan with some options replaced."""
        copy = object.__new__(CachePlan)
        for name in CachePlan.__slots__:
            setattr(copy, name, changes.get(name, getattr(self, name)))
        return copy


_OFF = Reason("off", "no_cache", "ran: the flow was started without cache")


def inherit(plan: Plan, above: Keeping | None) -> tuple[Plan, Keeping | None]:
    """Return the plan under what is said around the run, and what holds for runs inside it."""
    if plan.inherited is not None and plan.inherited[0] == above:
        return plan.inherited[1:]
    keeping: Keeping | None = plan.keeping
    inside = above if keeping is None else keeping.over(above)
    resolved = plan
    if above is not None and isinstance(plan.cache, CachePlan):
        cache = _under(plan.cache, above)
        if cache is not plan.cache:
            resolved = plan.with_cache(cache)
    plan.inherited = (above, resolved, inside)
    return resolved, inside


def _under(cache: CachePlan, above: Keeping) -> CachePlan | Reason:
    if above.mode == "off":
        return _OFF
    if cache.persist is None and above.persist is False:
        sentence = f"ran: caching is off (persist_result=False of {above.persist_by})"
        return Reason("off", "not_persisted", sentence)
    changes: dict[str, Any] = {}
    if above.mode == "refresh":
        changes["refresh"] = True
    if cache.storage is None and above.storage is not None:
        changes["storage"] = above.storage
    if cache.serializer is None and above.serializer is not None:
        changes["serializer"] = above.serializer
    if not above.in_memory:
        changes["in_memory"] = False
    return cache.changed(**changes) if changes else cache
