"""Wait for what other threads and processes see to."""

import asyncio
import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds, at most so long."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


async def auntil(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait on the event loop until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - other threads see to it
            await asyncio.sleep(0.002)
