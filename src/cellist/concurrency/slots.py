"""Ask for slots of named limits and hold them for a block of code."""

import asyncio
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from cellist.engine.commands import Err
from cellist.engine.execution import Execution, current
from cellist.engine.permits import Permit, held
from cellist.engine.stopping import CodeStopped
from cellist.engine.threads import place_released, stop_code_in
from cellist.engine.waiting import settled, wait_all
from cellist.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from cellist.session import Session, get_session


class Request:
    """What is asked of which limits, and how long to wait for it."""

    def __init__(
        self,
        names: str | Iterable[str] | None,
        occupy: int = 1,
        timeout: float | None = None,
        strict: bool = False,
        patient: bool = True,
        lease: float | None = None,
    ) -> None:
        self.names = [names] if isinstance(names, str) else list(names or ())
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
        if lease is not None and not lease > 0:
            message = f"`lease_duration` must be > 0, got {lease!r}."
            raise ValueError(message)
        self.lease = lease

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
        if not known:
            return None
        permit = Permit(session.limits, known, self.occupy, x)
        if self.lease is not None:
            permit.lease = self.lease
        return permit

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


class Block:
    """One entering of a `Concurrency`: what it holds, and how it is ended if that is lost."""

    def __init__(self, permit: Permit | None, is_async: bool) -> None:
        self.permit = permit
        self._ident = threading.get_ident()
        self._task = asyncio.current_task() if is_async else None
        self._lock = threading.Lock()
        self._is_open = True
        self.lost = ""
        """What is to be told if the slots were lost meanwhile."""

    def end(self, message: str) -> bool:
        """Stop the code in the block, from another thread, as far as that can be done."""
        with self._lock:
            if not self._is_open:
                return False
            self.lost = message
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
            else:
                stop_code_in(self._ident)
        return True

    def close(self) -> None:
        """End the block. Raises `ConcurrencySlotAcquisitionError` if its slots were lost."""
        try:
            with self._lock:
                self._is_open = False
        except CodeStopped:
            self._is_open = False
        if not self.lost:
            return
        if self._task is not None and self._task.cancelling():
            self._task.uncancel()
        raise ConcurrencySlotAcquisitionError(self.lost) from None


class Concurrency:
    """Holds slots for the length of a `with` or `async with` block. Made by `concurrency`."""

    def __init__(self, request: Request, ends_if_lost: bool = False) -> None:
        self._request = request
        self._ends_if_lost = ends_if_lost
        self._held: list[Block] = []

    def _keep(self, permit: Permit | None, is_async: bool) -> None:
        block = Block(permit, is_async)
        self._held.append(block)
        if permit is not None:
            if self._ends_if_lost:
                permit.on_lost = block.end
            held.set((*held.get(), permit))

    def _give_back(self) -> None:
        block = self._held.pop()
        permit = block.permit
        if permit is not None:
            held.set(tuple(one for one in held.get() if one is not permit))
            permit.table.release(permit)
        block.close()

    def __enter__(self) -> None:
        self._keep(self._request.acquire(), is_async=False)

    def __exit__(self, *_: object) -> None:
        self._give_back()

    async def __aenter__(self) -> None:
        self._keep(await self._request.aacquire(), is_async=True)

    async def __aexit__(self, *_: object) -> None:
        self._give_back()


def concurrency(
    names: str | Iterable[str] | None,
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
    not polling, and `holder` means nothing: the run that asks is what is shown.

    Slots of a limit that kernels share (`limits.set(..., shared=True)`) are leases of
    `lease_duration` seconds, renewed in the background while the kernel lives. If a lease is lost,
    as after the machine has slept, that is warned of; with `raise_on_lease_renewal_failure`, by
    default as `strict`, the block is stopped where its code can be, and raises
    `ConcurrencySlotAcquisitionError`.

    Entering raises `AcquireConcurrencySlotTimeoutError` (a `TimeoutError`) after
    `timeout_seconds`, and `ConcurrencySlotAcquisitionError` if the slots can never be had: `occupy`
    is more than a limit has, the block would wait for slots held by a block around it, or with
    `strict` a limit does not exist.
    """
    del holder
    patient = max_retries != 0
    request = Request(names, occupy, timeout_seconds, strict, patient, lease_duration)
    ends = raise_on_lease_renewal_failure
    return Concurrency(request, ends_if_lost=strict if ends is None else ends)


__all__ = ["Concurrency", "Request", "concurrency"]
