"""What is kept of a run's result: sealed under the key of the call, unless that would be wrong.

A result is stored under the key that was computed before the run; if an argument, or the code or
data the task reads, is not what it was, it is not stored at all. Nothing here raises: what cannot
be kept is one sentence on the run and one warning.
"""

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cellist import sentinel, settings
from cellist.cache_notes import Note
from cellist.caching.declared import is_declared
from cellist.caching.envelope import Header
from cellist.caching.found import Told
from cellist.caching.memory import Entry
from cellist.caching.reasons import also
from cellist.caching.serializers import Serializer, serializer_of
from cellist.engine.errors import one_line
from cellist.engine.execution import Execution
from cellist.engine.flights import KEPT, NOT_KEPT, Flights
from cellist.exceptions import HashError
from cellist.model.ids import as_hex
from cellist.model.previews import short
from cellist.persistence import CachePlan
from cellist.refreshed import compared, is_refreshed
from cellist.replaying import Owner, Replay

_NO_RESULT = "returns None, which is not kept by default"
_READONLY = "its result is not kept (CELLIST_CACHE=readonly)"
_RUN_READ = "it asked which run it is part of, so the result is not kept by default"
DURABLE_AFTER = 0.05
"""Seconds of work after which a result is on disk before Completed is announced."""

_NOT_STORED = r"^the result is not stored( on disk)?: "
"""How a store begins what is said here in other words."""

_Sealed = Entry | str | None
"""A result ready for the store, one sentence why it cannot be kept, or nothing to be kept."""


class Keeper:
    """Keeps the results of runs; `land` tells who waits for one whether it is kept."""

    def __init__(
        self,
        flights: Flights,
        land: Callable[[Execution, str], None],
        owner: Owner,
        replay: Replay,
    ) -> None:
        self.flights = flights
        self.owner = owner
        self.replay = replay
        self._land = land

    def remember(self, x: Execution, value: Any, seconds: float) -> None:
        """Store a result under the key of the call, unless that would be wrong."""
        note: Note | None = x.cache_note
        sealed = self._seal(x, value, seconds, at_once=True)
        if note is not None and sealed is not None:
            self._keep(x, note, sealed, seconds)

    def seal(self, x: Execution, value: Any, seconds: float) -> Callable[[], str | None] | None:
        """Do all of `remember` but the storing, and return what does it later.

        That returns one sentence if the result is not kept. `None`: it is not meant to be kept.
        """
        note: Note | None = x.cache_note
        sealed = self._seal(x, value, seconds, at_once=False)
        if note is None or sealed is None:
            return None
        return partial(self._keep, x, note, sealed, seconds)

    def _seal(self, x: Execution, value: Any, seconds: float, *, at_once: bool) -> _Sealed:
        """Serialise a result, or return one sentence why that fails; `None` if that is right."""
        note: Note | None = x.cache_note
        plan: CachePlan = x.plan.cache
        if note is None:
            return None
        hints = sentinel.tell(x, note)
        run = x.run
        shown = self.replay.end(x, note) if note.recorder is not None else None
        x.cache_note = None
        if plan.readonly:
            run.why = also(run.why, "readonly", _READONLY)
            self._settle(x, is_kept=False)
            return None
        if not plan.explicit and (value is None or x.asked):
            code, text = ("no_result", _NO_RESULT) if value is None else ("run_read", _RUN_READ)
            run.why = also(run.why, code, text)
            self._settle(x, is_kept=False)
            return None
        try:
            if note.unfit or self._changed(plan, note):
                culprit = note.unfit or self._culprit(plan, note)
                what = f"{culprit}, so the result is not kept"
                run.why = also(run.why, "mutated", what)
                self._settle(x, is_kept=False)
                return None
            sealed = note.store.seal(
                note.key,
                value,
                self._header(x, plan, note, value, seconds, hints),
                at_once=at_once,
                serializer=plan.serializer or _default_serializer(),
                shown=shown,
            )
            if isinstance(sealed, Entry) and is_refreshed(plan, note):
                run.why = compared(run.why, note, sealed)
            return sealed
        except Exception as error:
            return f"{type(error).__name__}: {one_line(error)}"

    def _keep(self, x: Execution, note: Note, sealed: Entry | str, seconds: float) -> str | None:
        """Store what was sealed; return one sentence if it is not kept."""
        plan: CachePlan = x.plan.cache
        is_locked = x.flight is not None and x.flight.lock is not None
        try:
            problem = (
                note.store.keep(
                    sealed,
                    durable=seconds >= DURABLE_AFTER,
                    visible=is_locked or plan.isolation is not None,  # to who comes next
                    in_memory=plan.in_memory,
                )
                if isinstance(sealed, Entry)
                else sealed
            )
        except Exception as error:
            problem = f"{type(error).__name__}: {one_line(error)}"
        if problem is not None:
            said = re.sub(_NOT_STORED, "", problem)
            run = x.run
            run.why = also(run.why, "not_kept", f"its result is not kept: {said}")
            message = f"The result of task `{x.definition.name}` is not kept: {said}"
            if not isinstance(problem, Told):
                self.owner.warn(message, once=("not kept", plan.identity, x.definition.name))
        self._settle(x, is_kept=problem is None)
        return problem

    def _settle(self, x: Execution, *, is_kept: bool) -> None:
        """Tell who waits for the run's result whether it is kept."""
        solo, identity = self.flights.solo, x.plan.cache.identity
        if is_kept:
            solo.discard(identity)
        else:
            solo.add(identity)
        self._land(x, KEPT if is_kept else NOT_KEPT)

    def _changed(self, plan: CachePlan, note: Note) -> bool:
        """Whether an argument, or code or data the task reads, is not what the key says any more.

        The run may have changed an argument in place; a cell may have been edited meanwhile.
        """
        if plan.storage_key is not None:
            return False
        try:
            call = note.call
            if call.is_plain and plan.keys and plan.keys.stands(plan.fn, call.closures):
                return False
            now = plan.policy.recheck(call.request)
        except Exception:
            return True
        before = {(one.kind, one.name): one.digest for one in note.components}
        return any(before.get((one.kind, one.name), one.digest) != one.digest for one in now)

    def _culprit(self, plan: CachePlan, note: Note) -> str:
        """Return what is not what it was, and how it came about as far as that is known."""
        before = {(one.kind, one.name): one.digest for one in note.components}
        try:
            after = plan.policy.recheck(note.call.request)
            after = plan.policy.describe(note.call.request, after)
        except HashError as error:
            return f"`{error.path}` was changed in place"
        changed = [
            one for one in after if before.get((one.kind, one.name), one.digest) != one.digest
        ]
        what = " and ".join([one.label for one in changed]) or "something the task reads"
        is_outside = bool(changed) and all(map(is_declared, changed))
        was = "were" if len(changed) > 1 else "was"
        return f"{what} changed during the run" if is_outside else f"{what} {was} changed in place"

    def _header(
        self,
        x: Execution,
        plan: CachePlan,
        note: Note,
        value: Any,
        seconds: float,
        hints: list[str],
    ) -> Header:
        now = time.time()
        run = x.run
        run.preview = short(value)
        header: Header = {
            "key": note.key,
            "task": x.definition.name,
            "task_key": plan.identity,
            "created": now,
            "began": x.began / 1_000_000_000,
            "seconds": seconds,
            "expires": now + plan.expiration if plan.expiration is not None else None,
            "components": note.components,
            "run_id": as_hex(run.number),
            "preview": run.preview,
            "sources": list(note.call.closures),
        }
        if hints:
            header["hints"] = hints
        if note.differs:
            header["differs"] = True
        return header


def _default_serializer() -> Serializer | None:
    name = settings.active().results_default_serializer
    return None if name is None else serializer_of(name)
