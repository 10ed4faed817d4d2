"""Ask for slots of named limits and hold them for a block of code."""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from cellist.engine.commands import Err
from cellist.engine.execution import Execution, current
from cellist.engine.permits import Permit, held
from cellist.engine.threads import place_released
from cellist.engine.waiting import settled, wait_all
from cellist.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from cellist.session import Session, get_session


class Request:
    """What is asked of which limits, and how long to wait for it."""

    def __init__(
        self,
        names: str | Iterable[str],
        occupy: int = 1,
        timeout: float | None = None,
        strict: bool = False,
        patient: bool = True,
    ) -> None:
        self.names = [names] if isinstance(names, str) else list(names)
        if not all(isinstance(name, str) for name in self.names):  # pyright: ignore[reportUnnecessaryIsInstance] - users may not check types
            message = f"The names of limits must be text, got {self.names!r}."
            raise TypeError(message)
        if isinstance(occupy, bool) or not isinstance(occupy, int) or occupy < 1:  # pyright: ignore[reportUnnecessaryIsInstance] - likewise
            message = f"`occupy` must be a whole number >= 1, got {occupy!r}."
            raise ValueError(message) if isinstance(occupy, int) else TypeError(message)  # pyright: ignore[reportUnnecessaryIsInstance] - likewise
        if timeout is not None and not timeout >= 0:
            message = f"`timeout_seconds` must be >= 0 or None, got {timeout!r}."
            raise ValueError(message)
        self.occupy = occupy
        self.timeout = timeout
        self.strict = strict
        self.patient = patient

    def acquire(self) -> Permit | None:
        """Block until the slots are there; `None` if nothing limits them."""
        x = current.get()
        permit = self._permit(x)
        if permit is None:
            return None
        try:
            if self._must_wait(permit, x):
                with place_released():
                    wait_all([permit], self.timeout)
                self._check(permit)
        except BaseException:
            permit.table.release(permit)
            raise
        return permit

    async def aacquire(self) -> Permit | None:
        """Await the slots; `None` if nothing limits them."""
        x = current.get()
        permit = self._permit(x)
        if permit is None:
            return None
        try:
            if self._must_wait(permit, x):
                with _stoppable(x):
                    await self._settled(permit)
                self._check(permit)
        except BaseException:
            permit.table.release(permit)
            raise
        return permit

    def pass_rate(self) -> None:
        """Block until the rates let this through."""
        self._check_rates()
        _let_go(self.acquire())

    async def apass_rate(self) -> None:
        """Wait until the rates let this through."""
        self._check_rates()
        _let_go(await self.aacquire())

    def _check_rates(self) -> None:
        for limit in _session().limits.find(self.names)[0]:
            if not limit.per_second:
                message = (
                    f"Limit {limit.name!r} has no rate, so nothing would give its slots back. "
                    f"Set one with `cellist.limits.set_rate({limit.name!r}, per_second=...)`."
                )
                raise ConcurrencySlotAcquisitionError(message)

    def _permit(self, x: Execution | None) -> Permit | None:
        """Return what is to be asked for; warn of limits that do not exist, or raise if strict."""
        session = _session()
        known, unknown = session.limits.find(self.names)
        if unknown and self.strict:
            names = ", ".join(map(repr, unknown))
            message = f"There is no limit {names}. {_remedy(unknown[0])}"
            raise ConcurrencySlotAcquisitionError(message)
        for name in unknown:
            session.warn(f"There is no limit {name!r}, so it limits nothing. {_remedy(name)}")
        return Permit(session.limits, known, self.occupy, x) if known else None

    def _must_wait(self, permit: Permit, x: Execution | None) -> bool:
        """Ask for the slots; whether they have to be waited for."""
        permit.table.ask(permit, for_ever=self.timeout is None)
        if permit.outcome is not None:
            return False
        if not self.patient:
            message = f"No slot is free, and `max_retries` is 0. {permit.note}"
            raise ConcurrencySlotAcquisitionError(message)
        if x is not None and not all(limit.per_second for limit in permit.limits):
            x.services.log(x, _INFO, permit.note)
        return True

    async def _settled(self, permit: Permit) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                await settled(permit)
        except TimeoutError:
            pass  # `_check` sees that the permit is not settled

    def _check(self, permit: Permit) -> None:
        """Raise unless the slots were granted."""
        if permit.outcome is None and permit.table.withdraw(permit):
            message = f"No slot became free within {self.timeout} second(s). {permit.note}"
            raise AcquireConcurrencySlotTimeoutError(message)
        if isinstance(permit.outcome, Err):
            raise permit.outcome.error


_INFO = 20


def _session() -> Session:
    x = current.get()
    return x.services if x is not None else get_session()


def _remedy(name: str) -> str:
    return f"Make one with `cellist.limits.set({name!r}, 1)`."


def _let_go(permit: Permit | None) -> None:
    """Drop what passed a rate: time gives the slots back."""
    if permit is not None:
        permit.table.release(permit)  # a limit that lost its rate meanwhile is held


@contextmanager
def _stoppable(x: Execution | None) -> Generator[None]:
    """Let the stop button end an await where no run around it does."""
    guard, task = _session().guard, asyncio.current_task()
    entered = x is None and guard.enter(task)
    try:
        yield
    finally:
        if entered:
            guard.leave(task)


class Concurrency:
    """Holds slots for the length of a `with` or `async with` block. Made by `concurrency`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._held: list[Permit | None] = []

    def _keep(self, permit: Permit | None) -> None:
        self._held.append(permit)
        if permit is not None:
            held.set((*held.get(), permit))

    def _give_back(self) -> None:
        permit = self._held.pop()
        if permit is not None:
            held.set(tuple(one for one in held.get() if one is not permit))
            permit.table.release(permit)

    def __enter__(self) -> None:
        self._keep(self._request.acquire())

    def __exit__(self, *_: object) -> None:
        self._give_back()

    async def __aenter__(self) -> None:
        self._keep(await self._request.aacquire())

    async def __aexit__(self, *_: object) -> None:
        self._give_back()


def concurrency(
    names: str | Iterable[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,
    strict: bool = False,
    holder: Any = None,
    raise_on_lease_renewal_failure: bool | None = None,
) -> Concurrency:
    """Hold `occupy` slots of each of the limits for a `with` or `async with` block.

    All are taken at once or none, in the order in which they were asked for. A waiting block in a
    task that runs in a thread gives its place in the pool to other work. Names without a limit
    limit nothing; that is warned of once.

    `max_retries=0` means not to wait at all; other numbers mean nothing here, because waiting is
    not polling. Within a kernel slots are not leased, so `lease_duration`, `holder` and
    `raise_on_lease_renewal_failure` are accepted and mean nothing.

    Entering raises `AcquireConcurrencySlotTimeoutError` (a `TimeoutError`) after
    `timeout_seconds`, and `ConcurrencySlotAcquisitionError` if the slots can never be had: `occupy`
    is more than a limit has, the block would wait for slots held by a block around it, or with
    `strict` a limit does not exist.
    """
    del lease_duration, holder, raise_on_lease_renewal_failure
    return Concurrency(Request(names, occupy, timeout_seconds, strict, patient=max_retries != 0))


__all__ = ["Concurrency", "Request", "concurrency"]
