"""Which event loops the workers of this process run on."""

import asyncio
from weakref import WeakKeyDictionary

_serving: "WeakKeyDictionary[asyncio.AbstractEventLoop, int]" = WeakKeyDictionary()


def begin_serving(loop: asyncio.AbstractEventLoop) -> None:
    """Note that a worker runs on the loop."""
    _serving[loop] = _serving.get(loop, 0) + 1


def end_serving(loop: asyncio.AbstractEventLoop) -> None:
    """Note that it has ended."""
    _serving[loop] = _serving.get(loop, 1) - 1


def serves_on(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a worker runs on the loop, so that it has to go on for runs to end."""
    return _serving.get(loop, 0) > 0
