"""User code called for the sake of a look: in a thread of its own, stopped when it takes too long.

A `__repr__` may raise, sleep, loop or print a gigabyte. Whoever opens a run must get an answer all
the same, and the kernel must not be busy with it afterwards.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from cellist.engine.threads import borrow

T = TypeVar("T")


def within(seconds: float, fn: Callable[[], T]) -> T:
    """Return what a function returns or raise what it raises.

    Raises `TimeoutError` after `seconds`; the function is then asked to stop. Code in C that does
    not return is left to its thread.
    """
    done = threading.Event()
    returned: list[T] = []
    raised: list[BaseException] = []
    worker = borrow()

    def call() -> None:
        try:
            returned.append(worker.call(done, fn, (), {}))
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    worker.run(call)
    if not done.wait(seconds):
        worker.stop(done)
        message = f"it took longer than {seconds:g} s"
        raise TimeoutError(message)
    if raised:
        raise raised[0]
    return returned[0]
