"""Limit pieces of async code: what is awaited until it is their turn."""

from collections.abc import Iterable

from cellist.concurrency.slots import Request, concurrency
from cellist.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError


async def rate_limit(
    names: str | Iterable[str] | None,
    occupy: int = 1,
    timeout_seconds: float | None = None,
    strict: bool = False,
) -> None:
    """Wait until each of the limits lets `occupy` more through.

    Raises `AcquireConcurrencySlotTimeoutError` after `timeout_seconds`, and
    `ConcurrencySlotAcquisitionError` if a limit has no rate, has fewer slots than `occupy`, or with
    `strict` does not exist.
    """
    await Request(names, occupy, timeout_seconds, strict).apass_rate()


__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "concurrency",
    "rate_limit",
]
