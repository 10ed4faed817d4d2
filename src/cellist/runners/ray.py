"""Call the code of tasks on a Ray cluster.

Results stay in Ray's object store. What a call says comes by way of an actor of the pool's own, a
mailbox. Code is stopped by ending the worker process it is in, which runs nothing else.
"""

import asyncio
import builtins
import contextlib
import contextvars
import functools
import itertools
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from cellist.engine.threads import run_in_thread
from cellist.model.ids import new_id
from cellist.runners import far_side
from cellist.runners.clusters import ClusterCall, ClusterPool, Facts
from cellist.runners.returns import Kept

_options: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "cellist_ray_options", default=None
)


_NOBODY = ""
"""Whom a message is for that only wakes the one who listens."""
_PATIENCE = 10.0
_BEGUN_AFTER = 0.02
"""Seconds after which a call tells that it has begun: a message costs as much as a short call."""


def ray() -> Any:
    """Return the package. Raises `ImportError` naming what to install."""
    try:
        return import_module("ray")
    except ImportError as error:
        message = f"RayTaskRunner needs the package `ray`: pip install 'cellist[ray]'. ({error})"
        raise ImportError(message) from error


_MOMENT = 1.0
"""Seconds in which processes of Ray may end by themselves."""
_STARTS = 3
_TOO_SLOW = "timed out during startup"


def start(options: dict[str, Any]) -> tuple[Any, Callable[[], object]]:
    """Start Ray on this machine, or connect to one; return its context and what undoes it.

    A busy machine may need longer than Ray waits for its own processes (15 s, and no setting);
    it is started anew then, as it comes up faster once its files are in memory. Ray puts a `print`
    of its own in the place of Python's while it shows progress bars, and leaves it there.
    """
    package = ray()
    plain = builtins.print

    others = _own_processes(package, [])

    def end() -> None:
        started = _own_processes(package, others)
        package.shutdown()
        _end(started)
        bars: Any = sys.modules.get("ray.experimental.tqdm_ray")
        if bars is not None and builtins.print is bars.safe_print:
            builtins.print = plain

    _check_answers(str(options.get("address") or ""))
    for left in reversed(range(_STARTS)):
        try:
            with _quiet():
                return package.init(**options), end
        except Exception as error:  # Ray raises plain ones too
            end()  # what it started before it failed would stay
            if not left or _TOO_SLOW not in str(error):
                raise
    raise AssertionError  # the last start returns or raises


def _own_processes(package: Any, others: list[Any]) -> list[Any]:
    """Return Ray's own processes that this one has started, without others, and those they have.

    Ray ends only its children. Theirs, such as its agents, find out when those are gone, which may
    take a minute; and a start that failed leaves all of them. What tasks have started is theirs.
    """
    found: list[Any] = []
    with contextlib.suppress(Exception):  # it is not for this that a flow should fail
        home = str(Path(package.__file__).parent)
        known = set(others)
        for child in import_module("psutil").Process().children():  # Ray brings it
            if child not in known and _is_of(child, home):
                inner = [one for one in child.children(recursive=True) if _is_of(one, home)]
                found += [child, *inner]
    return found


def _is_of(process: Any, home: str) -> bool:
    try:
        line: list[str] = process.cmdline()
    except Exception:  # it has ended
        return False
    return any(word.startswith((home, "ray::")) for word in line)


def _end(processes: list[Any]) -> None:
    """End processes that have not ended by themselves within a moment."""
    if not processes:
        return
    _, left = import_module("psutil").wait_procs(processes, timeout=_MOMENT)
    for one in left:
        with contextlib.suppress(Exception):  # it has ended by now
            one.kill()


def _check_answers(address: str) -> None:
    """Raise `OSError` if nobody listens at an address: Ray tries for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Leave out Ray's warning that it cannot handle SIGTERM: that is for the kernel to do."""
    log = logging.getLogger("ray._private.worker")

    def keep(record: logging.LogRecord) -> bool:
        return "SIGTERM handler" not in record.getMessage()

    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)


@contextlib.contextmanager
def remote_options(**options: Any) -> Generator[None]:
    """Have tasks that are submitted within the block run with these options of Ray.

    Such as `num_cpus`, `num_gpus`, `memory`, `resources`. Blocks nest; the inner option counts.
    """
    before = _options.get()
    _options.set({**(before or {}), **options})
    try:
        yield
    finally:
        _options.set(before)


class Mailbox:
    """An actor that holds messages of running code until the driver takes them."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._arrived = asyncio.Event()

    async def put(self, message: Sequence[Any]) -> None:
        """Take a message from a worker."""
        self._messages.append(message)
        self._arrived.set()

    async def take(self) -> list[Any]:
        """Give the driver all messages there are, once there are some."""
        await self._arrived.wait()
        self._arrived.clear()
        taken, self._messages = self._messages, []
        return taken


class InOrder:
    """Gives messages back in the order in which their senders have sent them.

    What is asked of an actor that is only starting may begin there in any order.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._early: dict[int, dict[int, Any]] = {}

    def take(self, sender: int, place: int, message: Any) -> Iterator[Any]:
        """Take the message that a sender has sent at a place; yield those whose turn has come."""
        early = self._early.setdefault(sender, {})
        early[place] = message
        while (at := self._next.get(sender, 0)) in early:
            self._next[sender] = at + 1
            yield early.pop(at)
        if not early:
            del self._early[sender]


@functools.cache
def _mailbox(name: str) -> Any:
    """Return the mailbox of a pool; a moment after it was made Ray may not know its name yet."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ray().get_actor(name)
        except ValueError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def carry_out_on_ray(
    mailbox: str, number: str, after: float, parcel: bytes, *values: Any
) -> tuple[Any, Any]:
    """Carry a call out in a worker of Ray; return what to know about the result, and the result.

    A result that is among what to know of it is not returned once more.
    """
    sender, places = new_id(), itertools.count()

    def send(message: tuple[Any, ...]) -> None:
        _mailbox(mailbox).put.remote((number, sender, next(places), message))

    try:
        place = far_side.place()
        value, facts, told = far_side.carry_out(parcel, number, values, place, send, after)
    except far_side.CallFailed as error:
        return ("failed", error.answer, error.told), None
    return ("end", *facts, told), Kept(value) if facts[0] is None else None


@functools.cache
def _remote(kind: Any) -> Any:
    """Return what Ray calls a remote function, or an actor class, of ours."""
    return ray().remote(kind)


class RayPool(ClusterPool):
    """Sends user code to the workers of the Ray this process is connected to.

    `connect` connects it, and returns what to call in the end.
    """

    cluster = "the Ray cluster"

    def __init__(self, passage: Any, connect: Callable[[], Callable[[], object]]) -> None:
        super().__init__(passage)
        self._connect = connect
        self._ray: Any = None
        self._mailbox: Any = None
        self._name = f"cellist-{new_id():x}"
        self._functions: dict[str, Any] = {}
        self._is_left = False
        self._order = InOrder()

    def join(self) -> None:
        """Connect this process, and listen to what workers say."""
        self._at_close = self._connect()
        self._ray = ray()
        options = {"name": self._name, "num_cpus": 0, "max_concurrency": 1000}
        self._mailbox = _remote(Mailbox).options(**options).remote()
        self._listener = threading.Thread(target=self._listen, name="cellist-ray-mail", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Pass messages on until the mailbox is gone."""
        while True:
            try:
                messages = self._ray.get(self._mailbox.take.remote())
            except Exception:
                if not self._is_left:
                    for call in list(self.calls.values()):
                        call.lost("Ray's mailbox of this flow is gone")
                return
            for number, sender, place, message in messages:
                for one in self._order.take(sender, place, message):
                    self.hear(number, one)
            if not self.calls:
                self._order = InOrder()
            if self._is_left:
                return

    def send(self, call: ClusterCall, parcel: bytes, handles: Sequence[Any]) -> None:
        """Submit a call as a task of Ray."""
        after = _BEGUN_AFTER if call.command.timeout is None else 0.0
        facts, call.handle = self._function(call.x.definition.name).remote(
            self._name, call.number, after, parcel, *handles
        )
        call.task = facts
        facts.future().add_done_callback(functools.partial(self._done, call))

    def _function(self, name: str) -> Any:
        """Return what to call for a task: it has the task's name and the options in force here."""
        own = _options.get()
        bound = self._functions.get(name) if own is None else None
        if bound is None:
            options = {"max_retries": 0, **(own or {}), "num_returns": 2}
            bound = _remote(carry_out_on_ray).options(name=name, **options)
            if own is None:
                self._functions[name] = bound
        return bound

    def _done(self, call: ClusterCall, future: Any) -> None:
        """Take the end of a task of Ray, in a thread of Ray's."""
        error = future.exception()
        if error is None:
            kind, *facts, told = future.result()
            if kind == "failed":
                call.failed(facts[0], told)
            else:
                call.succeeded(Facts(*facts), told)
        elif type(error).__name__ in _GONE:
            call.lost(type(error).__name__)
        else:
            call.refused(error)

    def stop(self, call: ClusterCall) -> None:
        """End the process that the code is in, or take the task back if it waits."""

        def end() -> None:
            with contextlib.suppress(Exception):  # it may have ended, or Ray may be gone
                self._ray.cancel(call.task, force=True)

        if call.task is not None:
            run_in_thread(end)
        else:
            call.lost("it was not sent yet")

    def load(self, handle: Any) -> Any:
        """Fetch a result from the object store."""
        return self._ray.get(handle).value

    def leave(self) -> None:
        """Stop listening, and shut Ray down if it was started for this."""
        self._is_left = True
        with contextlib.suppress(Exception):
            self._mailbox.put.remote((_NOBODY, 0, 0, ("closed",)))
            self._listener.join(_PATIENCE)  # Ray ends the process if it is asked after a shutdown
            self._ray.kill(self._mailbox)
        self._at_close()


_GONE = {
    "WorkerCrashedError",
    "NodeDiedError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "LocalRayletDiedError",
    "RayActorError",
    "TaskCancelledError",
    "TaskUnschedulableError",
}
"""Names of Ray's errors which say that a worker went away, or that a task was taken back."""
