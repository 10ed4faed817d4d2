"""Limits: how many runs or pieces of code may be at something at a time, or begin it per second.

Who wants slots asks for a `Permit`: of several limits it gets all or none, so nobody waits while
holding half of what it needs. Permits are granted in the order in which they were asked for: when
one is first in the queue of every limit it needs and each has room. The oldest one is first
everywhere it stands, so however many limits somebody needs, others do not keep them from it.

Code that already holds slots waits for room, not for its turn: whoever is ahead of it may be
waiting for what it holds, and both would wait for ever.

The table is that of one process. Limits in it that other kernels share (`shared_limits`) are asked
for in the same way; `serve` is called when something has changed elsewhere.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cellist.engine.commands import NOTHING, Err
from cellist.engine.execution import Execution
from cellist.engine.permits import Limit, Permit, Slots
from cellist.engine.shared_limits import SharedLimit, SharedLimits
from cellist.engine.timers import Timer, call_later
from cellist.exceptions import ConcurrencySlotAcquisitionError


class LimitInfo(NamedTuple):
    """One limit as it stands: `in_use` of `limit` slots are taken, by `held_by`."""

    name: str
    limit: int
    per_second: float | None
    in_use: float
    waiting: int
    held_by: tuple[str, ...]
    shared: bool = False


class Limits:
    """The limits of this process and who holds and awaits their slots."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], object]], Timer] = call_later,
        shared: SharedLimits | None = None,
    ) -> None:
        self._named: dict[str, Limit] = {}
        self._lock = threading.RLock()
        """Held for what is decided about the limits of this process alone."""
        self._abroad = threading.RLock()
        """Held for what is decided about shared limits, which may take as long as a file is busy.

        For what concerns both kinds it is taken first, then the other.
        """
        self._mixed: dict[Permit, None] = {}
        """Permits of limits of both kinds: while there are any, both locks are held for all."""
        self._granted: dict[Permit, None] = {}
        self._learnt: Any = None
        """What other kernels' limits were when they were last looked at."""
        self._decided = 0
        """How often a limit was made, changed or taken away here: a look from before is old."""
        self._clock = clock
        self._later = later
        self.shared: SharedLimits | None = None
        if shared is not None:
            self.share_through(shared)

    @contextmanager
    def _holding(self, limits: Iterable[Limit]) -> Generator[None]:
        """Let nobody else decide about these limits: who needs others does not wait meanwhile."""
        kinds = {isinstance(one, SharedLimit) for one in limits}
        if len(kinds) < 2:
            with self._abroad if True in kinds else self._lock:
                if not self._mixed:  # nor can there be any now: to ask for one takes both
                    yield
                    return
        with self._abroad, self._lock:
            yield

    def share_through(self, shared: SharedLimits) -> None:
        """Share limits with the other kernels that look at the same place."""
        self.shared = shared
        shared.serve = self._serve_shared

    def set(
        self, name: str, most: int, per_second: float = 0.0, shared: bool | None = None
    ) -> None:
        """Make or change a limit. Who waits for more than it has now is refused.

        `shared` says whether other kernels know it; `None` leaves that as it is. Raises `OSError`
        or `sqlite3.Error` if it cannot be shared.
        """
        if shared is None:
            shared = any(isinstance(one, SharedLimit) for one in self.find([name])[0])
        if shared:
            if self.shared is None:
                message = "there is no folder for records"
                raise OSError(message)
            self.shared.define(name, most, per_second)
        self._change(name, most, per_second, shared)

    def _change(
        self, name: str, most: float, per_second: float, shared: bool, since: int | None = None
    ) -> None:
        """Make or change a limit, unless more was `_decided` since this was read elsewhere."""
        with self._abroad, self._lock:
            if not self._is_decided(since):
                return
            limit = self._named.get(name)
            if limit is None or isinstance(limit, SharedLimit) is not shared:
                limit = self._replace(name, shared)
            limit.change(most, per_second)
            refused = [permit for permit in limit.queue if limit.problem(permit.count)]
            self._leave(refused)
            self._serve([limit, *(one for permit in refused for one in permit.limits)])
        for permit in refused:
            permit.settle(Err(ConcurrencySlotAcquisitionError(limit.problem(permit.count))))
        self._tell()

    def _is_decided(self, since: int | None) -> bool:
        """Whether something stands: what is decided here, or was read after all that was."""
        if since is None:
            self._decided += 1
        return since is None or since == self._decided

    def _replace(self, name: str, shared: bool) -> Limit:
        """Put a limit in place of none, or of one of the other kind, whose holders go on."""
        before = self._named.get(name)
        hub = self.shared
        limit = self._named[name] = (
            Limit(name, self._clock)
            if not shared or hub is None
            else SharedLimit(name, self._clock, hub)
        )
        if before is not None:
            before.change(float("inf"), 0.0)
            self._serve([before])
        return limit

    def remove(self, name: str) -> bool:
        """Take a limit away, and let go on who waits for it; `False` if there is none.

        Raises `OSError` or `sqlite3.Error` if it is shared and cannot be taken away.
        """
        known = self.find([name])[0]
        if known and isinstance(known[0], SharedLimit):
            known[0].hub.remove(name)
        return self._forget(name) or bool(known)  # who listens may have learnt of it first

    def _forget(self, name: str, since: int | None = None) -> bool:
        with self._abroad, self._lock:
            limit = self._named.pop(name, None) if self._is_decided(since) else None
            if limit is None:
                return False
            limit.change(float("inf"), 0.0)
            self._serve([limit])
        self._tell()
        return True

    def find(self, names: Iterable[str]) -> tuple[list[Limit], list[str]]:
        """Return the limits of these names, and the names without one."""
        self._learn()
        found = {name: self._named.get(name) for name in names}
        known = [limit for limit in found.values() if limit is not None]
        return known, [name for name, limit in found.items() if limit is None]

    def _learn(self) -> None:
        """Learn what limits other kernels have made, changed or taken away."""
        hub = self.shared
        if hub is None or not (hub.exists() or self._named):
            return
        since = self._decided
        known = hub.known()
        if known is None or known is self._learnt:
            return
        self._learnt = known
        for name, (most, per_second) in known.items():
            now = self._named.get(name)
            if now is None or (
                isinstance(now, SharedLimit) and (now.most, now.per_second) != (most, per_second)
            ):
                self._change(name, most, per_second, shared=True, since=since)
        for name, limit in list(self._named.items()):
            if isinstance(limit, SharedLimit) and name not in known:
                self._forget(name, since)
        if since != self._decided:
            self._learnt = None  # to be looked at again

    def _serve_shared(self, limits: Iterable[Limit]) -> None:
        self._learn()
        self.serve(limits)

    def permit_for(self, x: Execution) -> Permit | None:
        """Return what a task run has to ask for because of its tags; `None` if nothing."""
        if x.plan.is_flow or not (self._named or (self.shared and self.shared.exists())):
            return None
        limits = self.find(f"tag:{tag}" for tag in sorted(x.run.tags))[0]
        return Permit(self, limits, 1, x, is_tagged=True) if limits else None

    def ask(self, permit: Permit, for_ever: bool = True) -> None:
        """Ask for a permit; it is settled at once if it can be granted at once.

        Raises `ConcurrencySlotAcquisitionError` if it never can be, or, where the wait has no
        other end (`for_ever`), if the code would wait for itself.
        """
        with self._holding(permit.limits):
            for limit in permit.limits:
                problem = limit.problem(permit.count)
                if problem is None and for_ever and permit.waits_for_itself(limit):
                    problem = (
                        f"All {limit.most:g} slot(s) of limit {limit.name!r} are held by the code "
                        f"around the one that asks, in {permit.who!r}, which would wait for "
                        "itself. Ask once, raise the limit, or give a `timeout_seconds`."
                    )
                if problem is not None:
                    raise ConcurrencySlotAcquisitionError(problem)
            if len({isinstance(limit, SharedLimit) for limit in permit.limits}) > 1:
                self._mixed[permit] = None
            ahead = [len(limit.queue) for limit in permit.limits]
            for limit in permit.limits:
                limit.queue[permit] = None
            if not self._grant(permit):
                permit.note = _sentence(permit, ahead)
                for limit in permit.limits:
                    self._arm(limit)
        self._tell()

    def withdraw(self, permit: Permit) -> bool:
        """Stop waiting; `False` if the permit was granted or refused a moment ago."""
        with self._holding(permit.limits):
            waits = any(permit in limit.queue for limit in permit.limits)
            self._leave([permit])
            self._serve(permit.limits)
            self._forget_mixed(permit)
        self._tell()
        return waits

    def release(self, permit: Permit) -> None:
        """Give the slots of a permit back, or stop waiting for them; twice is as good as once."""
        try:
            self._release(permit)
        except BaseException:
            self._release(permit)  # an interrupt came in the middle
            raise

    def _release(self, permit: Permit) -> None:
        with self._holding(permit.limits):
            self._leave([permit])
            for limit in permit.limits:
                if limit not in permit.holds:  # an interrupt came between the two
                    limit.unreserve(permit)
            returned = [
                (limit, slots)
                for limit, slots in permit.holds.items()
                if limit.give_back(permit, slots)
            ]
            self._serve(permit.limits, returned)
            permit.holds = {}
            self._forget_mixed(permit)
        self._tell()

    def _forget_mixed(self, permit: Permit) -> None:
        if not permit.holds:
            self._mixed.pop(permit, None)

    def serve(self, limits: Iterable[Limit]) -> None:
        """Look whether somebody can go on: time has passed, or something changed elsewhere."""
        found = list(limits)
        with self._holding(found):
            self._serve(found)
        self._tell()

    def _serve(self, limits: Iterable[Limit], returned: Iterable[tuple[Limit, Slots]] = ()) -> None:
        """Grant what can be granted now that something about these limits has changed.

        `returned` are slots of outer runs that an inner run has used and another may use now.
        """
        todo: list[Limit] = list(limits)
        for limit, slots in returned:
            for permit in limit.queue:
                if slots.users[-1] in permit.around and (others := self._grant(permit)):
                    todo += others
                    break
        while todo:
            limit = todo.pop()
            while limit.queue and (others := self._grant(next(iter(limit.queue)))):
                todo += others
            if limit.queue and limit.has_room(1):  # the first one waits for more, or for another
                for permit in [one for one in limit.queue if one.is_nested()]:
                    todo += self._grant(permit)
            self._arm(limit)

    def _grant(self, permit: Permit) -> Sequence[Limit]:
        """Grant a permit if it can have all it asks for, and return where others may be first."""
        if not all(permit.can_have(limit) for limit in permit.limits) or not _reserve(permit):
            return ()
        for limit in permit.limits:
            if limit not in permit.holds:
                limit.take(permit)
        self._granted[permit] = None
        self._leave([permit])
        return permit.limits

    def _leave(self, permits: Iterable[Permit]) -> None:
        for permit in permits:
            for limit in permit.limits:
                limit.queue.pop(permit, None)

    def _tell(self) -> None:
        """Wake up whose permit was granted, with the lock free."""
        while self._granted:
            for permit in list(self._granted):
                permit.settle(NOTHING)  # telling twice does nothing
                self._granted.pop(permit, None)

    def _arm(self, limit: Limit) -> None:
        """Look again when time has freed what the first in line asks for."""
        if limit.timer is not None:
            limit.timer.cancel()
            limit.timer = None
        if isinstance(limit, SharedLimit) and not limit.per_second:
            if limit.queue:
                limit.hub.watch(limit)
            else:
                limit.hub.unwatch(limit)
        if not limit.queue or not limit.per_second:
            return
        seconds = limit.seconds_until(next(iter(limit.queue)).count)
        limit.timer = self._later(seconds, lambda: self.serve([limit])) if seconds else None

    def is_blocked_on(self, permit: Permit, loop: Any) -> bool:
        """Whether a holder of the slots, or somebody earlier in line, is code on the loop."""
        with self._holding(permit.limits):
            for limit in permit.limits:
                users = [user for slots in limit.slots for user in slots.users]
                queue = [] if limit.per_second else list(limit.queue)
                earlier = queue[: queue.index(permit)] if permit in queue else []
                if any(one.loop is loop for one in [*users, *earlier]):
                    return True
        return False

    def table(self) -> list[LimitInfo]:
        """Return all limits as they stand, by name."""
        self._learn()
        found: list[LimitInfo] = []
        for _, limit in sorted(self._named.items()):
            with self._holding([limit]):
                found.append(
                    LimitInfo(
                        limit.name,
                        int(limit.most),
                        limit.per_second or None,
                        round(limit.in_use(), 3),
                        len(limit.queue),
                        limit.holders(),
                        isinstance(limit, SharedLimit),
                    )
                )
        return found


def _reserve(permit: Permit) -> bool:
    """Make sure of the slots of all limits, or of none."""
    reserved: list[Limit] = []
    for limit in sorted(permit.limits, key=lambda limit: limit.name):  # so that none waits in turn
        if limit not in permit.holds:
            if not limit.reserve(permit):
                for one in reserved:
                    one.unreserve(permit)
                return False
            reserved.append(limit)
    return True


def _sentence(permit: Permit, ahead: list[int]) -> str:
    """Return what a permit waits for: which limits, how many slots in use, how many come first."""
    parts: list[str] = []
    for limit, before in zip(permit.limits, ahead, strict=True):
        if before or isinstance(limit, SharedLimit) or not limit.has_room(permit.count):
            text = f"{limit.name!r} ({limit.use()}"
            parts.append(text + (f", {before} ahead)" if before else ")"))
    return f"Waiting for a slot of limit {' and of limit '.join(parts)}."
