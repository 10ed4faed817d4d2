"""The cache as the engine sees it: look a call up, remember its result, and say why.

Neither `look_up` nor `remember` ever raises: whatever goes wrong with the cache is a miss, or a
result that is not kept, with the reason on the run and one warning. A result is stored under the
key that was computed before the run; if an argument was changed in place meanwhile it is not
stored at all.
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Protocol

from cellist.cache_policies import CachePolicy, KeyRequest, join
from cellist.caching.envelope import Header
from cellist.caching.memory import Entry
from cellist.caching.reasons import clock_time, explain, seconds_text
from cellist.caching.store import Found, Missing, ResultStore
from cellist.engine.commands import Ok
from cellist.engine.errors import one_line
from cellist.engine.execution import Execution
from cellist.exceptions import HashError
from cellist.model.ids import as_hex
from cellist.model.reasons import Component, Reason
from cellist.run_contexts import TaskRunContext

_RUN_READ = "it asked which run it is part of, so the result is not kept by default"
_DURABLE_AFTER = 0.05
"""Seconds of work after which a result is on disk before Completed is announced."""

_Sealed = Entry | str | None
"""A result ready for the store, one sentence why it cannot be kept, or nothing to be kept."""


class Owner(Protocol):
    """What the cache needs of its session."""

    warned: set[str]

    def warn(self, message: str) -> None:
        """Warn once."""
        ...


class CachePlan:
    """How one task caches: its policy and options, resolved."""

    __slots__ = ("expiration", "explicit", "fn", "identity", "policy", "refresh", "storage_key")

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

    def refreshing(self) -> "CachePlan":
        """Return this plan with the look-up left out."""
        return CachePlan(
            self.fn,
            self.identity,
            self.policy,
            explicit=self.explicit,
            expiration=self.expiration,
            refresh=True,
            storage_key=self.storage_key,
        )


class Note:
    """What `look_up` found out and `remember` needs."""

    __slots__ = ("components", "digests", "key", "request")

    def __init__(
        self,
        key: str,
        components: list[Component],
        request: KeyRequest,
        digests: dict[tuple[str, str], str],
    ) -> None:
        self.key = key
        self.components = components
        """What is stored beside the result, with texts."""
        self.digests = digests
        """What the key was made of, by kind and name."""
        self.request = request


class Cache:
    """Looks calls up in a result store and remembers their results."""

    def __init__(self, store: ResultStore, owner: Owner) -> None:
        self.store = store
        self.owner = owner

    def look_up(self, x: Execution) -> Ok | None:
        """Return a reusable result, or `None`; either way the run says why."""
        plan: CachePlan = x.plan.cache
        run = x.run
        try:
            request = self._request(x, plan)
            key, components = self._key(plan, request)
        except HashError as error:
            run.why = self._unstable(plan, error)
            return None
        except Exception as error:
            run.why = self._broken(plan, error)
            return None
        if key is None:
            run.why = Reason("off", "no_key", "ran: the cache policy gave no key for this call")
            return None
        run.cache_key = key
        found = None if plan.refresh else self._get(key)
        if isinstance(found, Found):
            run.why = _reused(found, request)
            return Ok(found.value)
        try:
            components = plan.policy.describe(request, components)
        except Exception:
            request.notes.append("a fault kept its cache policy from describing the key")
        digests = {(one.kind, one.name): one.digest for one in components}
        x.cache_note = Note(key, components, request, digests)
        x.asked = False  # by functions that name the run or make its key
        run.why = self._miss(plan, components, found, request)
        return None

    def remember(self, x: Execution, value: Any, seconds: float) -> None:
        """Store a result under the key of the call, unless that would be wrong."""
        self._keep(x, self._seal(x, value, seconds, at_once=True), seconds)

    def seal(self, x: Execution, value: Any, seconds: float) -> Callable[[], str | None] | None:
        """Do all of `remember` but the storing, and return what does it later.

        That returns one sentence if the result is not kept. `None`: it is not meant to be kept.
        """
        sealed = self._seal(x, value, seconds, at_once=False)
        return None if sealed is None else partial(self._keep, x, sealed, seconds)

    def _seal(self, x: Execution, value: Any, seconds: float, *, at_once: bool) -> _Sealed:
        """Serialise a result, or return one sentence why that fails; `None` if that is right."""
        note: Note | None = x.cache_note
        plan: CachePlan = x.plan.cache
        if note is None:
            return None
        x.cache_note = None
        run = x.run
        if value is None and not plan.explicit:
            run.why = _also(run.why, "no_result", "returns None, which is not kept by default")
            return None
        if x.asked and not plan.explicit:
            run.why = _also(run.why, "run_read", _RUN_READ)
            return None
        try:
            if self._changed(plan, note):
                culprit = self._culprit(plan, note)
                run.why = _also(
                    run.why, "mutated", f"{culprit} was changed in place, so the result is not kept"
                )
                return None
            header = self._header(x, plan, note, seconds)
            return self.store.seal(note.key, value, header, at_once=at_once)
        except Exception as error:
            return f"{type(error).__name__}: {one_line(error)}"

    def _keep(self, x: Execution, sealed: _Sealed, seconds: float) -> str | None:
        """Store what was sealed; return one sentence if it is not kept."""
        try:
            problem = (
                self.store.keep(sealed, durable=seconds >= _DURABLE_AFTER)
                if isinstance(sealed, Entry)
                else sealed
            )
        except Exception as error:
            problem = f"{type(error).__name__}: {one_line(error)}"
        if problem is not None:
            run = x.run
            run.why = _also(run.why, "not_kept", f"its result is not kept: {problem}")
            self.owner.warn(f"The result of task `{x.definition.name}` is not kept: {problem}")
        return problem

    def _request(self, x: Execution, plan: CachePlan) -> KeyRequest:
        flow = x.flow
        return KeyRequest(
            fn=plan.fn,
            identity=plan.identity,
            arguments=x.bound(),
            flow_parameters=flow.flow_run.parameters if flow is not None else None,
            flow_run_id=as_hex(flow.run.number) if flow is not None else None,
            task_run_id=as_hex(x.run.number),
            make_context=lambda: TaskRunContext.of(x),
        )

    def _key(self, plan: CachePlan, request: KeyRequest) -> tuple[str | None, list[Component]]:
        if plan.storage_key is not None:
            key = plan.storage_key(request)
            return key, [Component("policy", "result_storage_key", key, key)]
        components = plan.policy.components(request)
        if not components:
            return None, []
        return request.raw_key or join(components), components

    def _get(self, key: str) -> Found | Missing:
        try:
            return self.store.get(key)
        except Exception as error:
            return Missing("unreadable", f"{type(error).__name__}: {one_line(error)}", None)

    def _miss(
        self,
        plan: CachePlan,
        components: list[Component],
        found: Missing | None,
        request: KeyRequest,
    ) -> Reason:
        if found is None:
            return Reason("miss", "refreshed", "ran: a refresh was asked for")
        if found.code == "expired":
            when = (found.header or {}).get("expires") or 0.0
            ago = seconds_text(max(0.0, time.time() - when))
            return Reason("miss", "expired", f"ran: its result expired {ago} ago")
        notes = tuple(request.notes)
        if found.code in {"unreadable", "foreign"}:
            return Reason("miss", found.code, f"ran: {found.message}", notes=notes)
        try:
            return explain(components, self.store.known(plan.identity), notes)
        except Exception:
            return explain(components, [], notes)

    def _changed(self, plan: CachePlan, note: Note) -> bool:
        """Whether an argument, or code or data the task reads, is not what the key says any more.

        The run may have changed an argument in place; a cell may have been edited meanwhile.
        """
        if plan.storage_key is not None:
            return False
        try:
            now = plan.policy.recheck(note.request)
        except Exception:
            return True
        before = note.digests
        return any(before.get((one.kind, one.name), one.digest) != one.digest for one in now)

    def _culprit(self, plan: CachePlan, note: Note) -> str:
        before = {(one.kind, one.name): one.digest for one in note.components}
        try:
            after = plan.policy.recheck(note.request)
            after = plan.policy.describe(note.request, after)
        except HashError as error:
            return f"`{error.path}`"
        changed = [
            one.label for one in after if before.get((one.kind, one.name), one.digest) != one.digest
        ]
        return " and ".join(changed) or "something the task reads"

    def _header(self, x: Execution, plan: CachePlan, note: Note, seconds: float) -> Header:
        now = time.time()
        return {
            "key": note.key,
            "task": x.definition.name,
            "task_key": plan.identity,
            "created": now,
            "seconds": seconds,
            "expires": now + plan.expiration if plan.expiration is not None else None,
            "components": note.components,
            "run_id": as_hex(x.run.number),
        }

    def _unstable(self, plan: CachePlan, error: HashError) -> Reason:
        self.owner.warn(f"Task `{plan.identity}` is not cached: {error}")
        name = f"`{error.path}` has" if error.path else "an argument has"
        return Reason("off", "unstable", f"ran: {name} no stable digest", notes=(str(error),))

    def _broken(self, plan: CachePlan, error: Exception) -> Reason:
        text = f"{type(error).__name__}: {one_line(error)}"
        self.owner.warn(f"Task `{plan.identity}` is not cached: computing its key failed: {text}")
        return Reason("off", "key_error", f"ran: computing the cache key failed ({text})")


def _reused(found: Found, request: KeyRequest) -> Reason:
    header = found.header
    created = header.get("created") or 0.0
    saved = header.get("seconds") or 0.0
    sentence = f"reused from {_told(int(created) // 60, int(time.time()) // 60)}"
    sentence += f", saved {seconds_text(saved)}"
    return Reason("hit", "reused", sentence, (), created, saved, tuple(request.notes))


@lru_cache(maxsize=256)
def _told(minute: int, now: int) -> str:
    """Return a minute since the epoch as people say it; asked again with each minute of `now`."""
    del now
    return clock_time(datetime.fromtimestamp(minute * 60).astimezone())


def _also(reason: Reason | None, code: str, text: str) -> Reason:
    """Return a miss with one more thing to say about it."""
    if reason is None:
        return Reason("miss", code, f"ran: {text}")
    return Reason(
        reason.outcome,
        code,
        f"{reason.sentence}; {text}",
        reason.changes,
        reason.recorded_at,
        reason.saved,
        reason.notes,
    )
