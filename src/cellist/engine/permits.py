"""What is asked for and held of limits: slots, in permits of several limits at once.

A task run that needs a slot of a limit of which the run around it holds one may use that very slot,
one inner run at a time: the outer run mostly waits for the inner one. So no more slots are in use
than the limit has, and a tag that inner runs inherit locks nobody out.

What is in use is looked up in `Limit.slots`, not counted up and down, so that giving back twice
does nothing and an interrupt in the middle loses no slot.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from cellist.engine.execution import Execution
from cellist.engine.promise import Latch
from cellist.engine.timers import Timer
from cellist.engine.waiting import running_loop
from cellist.model.later import later

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = later("asyncio", globals())

_ROUNDING = 1e-9
_LEASE = 60.0

held: ContextVar[tuple["Permit", ...]] = ContextVar("cellist_held", default=())
"""Permits of the `with concurrency(...)` blocks around the code, also of those around its run."""


class Slots:
    """Slots in use: who took them, then, one inside the other, the runs that use them meanwhile."""

    __slots__ = ("count", "owner", "users")

    def __init__(self, permit: "Permit") -> None:
        self.count = permit.count
        self.owner = permit
        self.users = [permit]


class Limit:
    """One limit and who waits for it. With `per_second` its slots come back by time alone."""

    __slots__ = ("_at", "_clock", "_level", "most", "name", "per_second", "queue", "slots", "timer")

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.most: float = 0
        self.per_second = 0.0
        self.queue: OrderedDict[Permit, None] = OrderedDict()
        self.slots: dict[Slots, int] = {}
        self.timer: Timer | None = None
        """Looks again when time has freed what the first in the queue needs."""
        self._clock = clock
        self._level = 0.0
        self._at = 0.0

    def change(self, most: float, per_second: float) -> None:
        """Set how many slots there are, and how many come back per second."""
        self._level = self.in_use()
        self._at = self._clock()
        self.most = most
        self.per_second = per_second

    def in_use(self) -> float:
        """Return how many slots are taken at this moment."""
        if not self.per_second:
            return sum(self.slots.values())
        return max(0.0, self._level - (self._clock() - self._at) * self.per_second)

    def use(self) -> str:
        """Return how much is in use, in words."""
        return f"{self.in_use():.3g} of {self.most:g} in use"

    def holders(self) -> tuple[str, ...]:
        """Return who has slots."""
        return tuple(slots.users[0].who for slots in self.slots)

    def reserve(self, permit: "Permit") -> bool:
        """Make sure of the slots a permit is about to take; whether it can have them."""
        del permit
        return True

    def unreserve(self, permit: "Permit") -> None:
        """Give back what was reserved for a permit that cannot have all it asks for."""

    def has_room(self, count: int) -> bool:
        """Whether so many slots are free."""
        return self.in_use() + count <= self.most + _ROUNDING

    def seconds_until(self, count: int) -> float:
        """Return when time alone will have freed so many slots."""
        return max(0.0, self.in_use() + count - self.most) / self.per_second

    def take(self, permit: "Permit") -> None:
        """Take slots for a permit, or let it use those of an outer run."""
        if self.per_second:
            self._level = self.in_use() + permit.count
            self._at = self._clock()
            return
        lent = permit.lender(self)
        slots = permit.holds[self] = lent or Slots(permit)  # first, or an interrupt might lose them
        if lent is not None:
            lent.users.append(permit)
        else:
            self.slots[slots] = permit.count

    def give_back(self, permit: "Permit", slots: Slots) -> bool:
        """End a permit's use of slots; whether somebody goes on using them."""
        if permit in slots.users:
            slots.users.remove(permit)
        if not slots.users:
            self.slots.pop(slots, None)
        return bool(slots.users)

    def problem(self, count: int) -> str | None:
        """Return why so many slots can never be had, `None` if they can."""
        if count <= self.most:
            return None
        remedy = (
            f"Raise it with `cellist.limits.set({self.name!r}, {count})` or take it away with "
            f"`cellist.limits.remove({self.name!r})`."
        )
        if not self.most:
            return f"Limit {self.name!r} is 0, which lets nothing run. {remedy}"
        return f"Limit {self.name!r} has {self.most:g} slot(s), {count} were asked for. {remedy}"


class Table(Protocol):
    """Where permits are asked for: the limits of this process, or one day of several."""

    def ask(self, permit: "Permit", for_ever: bool = True) -> None:
        """Ask for a permit; it is settled at once if it can be granted at once."""
        ...

    def withdraw(self, permit: "Permit") -> bool:
        """Stop waiting; `False` if the permit was granted or refused a moment ago."""
        ...

    def release(self, permit: "Permit") -> None:
        """Give the slots of a permit back, or stop waiting for them."""
        ...

    def is_blocked_on(self, permit: "Permit", loop: Any) -> bool:
        """Whether a holder of the slots, or somebody earlier in line, is code on the loop."""
        ...


class Permit(Latch):
    """Slots of several limits that somebody asks for, then holds. Settled when granted or refused.

    The permit of a task run for its tags, `is_tagged`, may use slots of such permits around it.
    """

    __slots__ = (
        "around",
        "count",
        "holds",
        "is_tagged",
        "lease",
        "limits",
        "loop",
        "note",
        "on_lost",
        "place",
        "run",
        "table",
    )

    def __init__(
        self,
        table: "Table",
        limits: Sequence[Limit],
        count: int,
        asks: Execution | None,
        is_tagged: bool = False,
    ) -> None:
        super().__init__()
        self.table = table
        self.limits = limits
        self.count = count
        self.is_tagged = is_tagged
        self.run = asks.run if asks is not None else None
        self.around = _held_around(asks.parent if is_tagged and asks is not None else asks)
        """Permits held around the code that asks."""
        self.holds: dict[Limit, Slots] = {}
        self.note = ""
        """What it waits for, in one sentence."""
        self.lease = _LEASE
        """Seconds for which slots that other kernels see are held without being renewed."""
        self.on_lost: Callable[[str], bool] | None = None
        """Called if they are lost; whether that was told."""
        self.loop = running_loop()
        self.place = (threading.get_ident(), asyncio.current_task() if self.loop else None)

    @property
    def who(self) -> str:
        """The name of the run that asks."""
        return self.run.name if self.run is not None else "code outside runs"

    def is_nested(self) -> bool:
        """Whether code around the one that asks holds slots, of whatever limit."""
        return any(one in slots.users for one in self.around for slots in list(one.holds.values()))

    def lender(self, limit: Limit) -> Slots | None:
        """Return slots of an outer run that this one may use, because no other inner run does."""
        for one in self.around if self.is_tagged else ():
            slots = one.holds.get(limit)
            if slots is not None and one.is_tagged and slots.users[-1:] == [one]:
                return slots
        return None

    def can_have(self, limit: Limit) -> bool:
        """Whether it can be given slots of one limit at this moment."""
        if limit in self.holds or self.lender(limit) is not None:
            return True
        in_turn = next(iter(limit.queue)) is self or self.is_nested()
        return in_turn and limit.has_room(self.count)

    def waits_for_itself(self, limit: Limit) -> bool:
        """Whether what is missing is held by code that goes on only when this wait is over."""
        own: set[Slots] = set()
        for one in self.around:
            slots = one.holds.get(limit)
            if slots is None:
                continue
            if one.is_tagged and self.is_tagged:
                return False  # they can be used when it is this one's turn
            if one.run is self.run if one.is_tagged else one.place == self.place:
                own.add(slots)
        return limit.most - sum(slots.count for slots in own) < self.count

    def needs(self, loop: Any) -> bool:
        """Whether somebody who holds the slots, or comes before, goes on only if the loop does."""
        return self.table.is_blocked_on(self, loop)


def _held_around(x: Execution | None) -> tuple[Permit, ...]:
    found = list(held.get())
    while x is not None:
        if x.permit is not None:
            found.append(x.permit)
        x = x.parent
    return tuple(found)
