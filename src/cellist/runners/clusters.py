"""Call the code of tasks on a cluster; states, cache and history stay here.

A call is sent when its inputs are final, so the cluster never has a task that waits for another.
While it runs its worker sends messages: that it has begun, what it logs and writes, and in the
end what the engine has to know about the result, which itself stays on the cluster. Messages and
the end may come by different ways, so the last message says how many there were.
"""

import pickle
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cellist.engine.commands import Crash, Elsewhere, Err, Invoke, Ok, Outcome
from cellist.engine.errors import one_line
from cellist.engine.far import WAITS_FOR_WORKER, FarCall, far_value_of
from cellist.engine.inputs import resolve
from cellist.engine.scheduler import Work
from cellist.engine.threads import run_in_thread
from cellist.engine.timers import call_later
from cellist.exceptions import CancelledRun, CellistError, CrashedRun, SerializationError
from cellist.model.ids import as_hex, new_id
from cellist.model.references import Reference
from cellist.runners.far_side import NEAR
from cellist.runners.loops_told import Mirror
from cellist.runners.parcels import Packing, note_facts
from cellist.runners.processes import write
from cellist.runners.returns import first_line, open_answer
from cellist.runners.threads import ThreadPool

_PATIENCE = 30.0
"""Seconds in which messages may come that were sent before the end of their call.

As long as it may take until who passes them on has started, on a busy machine; they are lost only
with a process that dies."""


@dataclass(frozen=True)
class Facts:
    """What a worker says of a call that has ended well."""

    small: bytes | None
    """The value itself, if it is small."""
    preview: str | None
    is_special: bool
    asked: bool
    unfit: str
    """Why it is not what the key of the call stands for."""


class ClusterCall(FarCall):
    """A call on a cluster, and what is heard of it."""

    __slots__ = ("_ending", "_heard", "_lock", "_loops", "context", "pool", "task")

    def __init__(self, pool: "ClusterPool", work: Work, command: Invoke) -> None:
        super().__init__(work.x, command, as_hex(new_id()))
        self.pool = pool
        self.context = work.context
        self.task: Any = None
        """The cluster's handle of the call, where that is not the handle of its result."""
        self._lock = threading.Lock()
        self._heard = 0
        self._ending: tuple[int, Outcome] | None = None
        self._loops = Mirror(work.x.run)

    def end(self) -> None:
        """Have the cluster stop the code."""
        self.pool.stop(self)

    def hear(self, message: Sequence[Any]) -> None:
        """Take a message of the code, in the order they were sent."""
        kind, *rest = message
        if kind == "begin":
            if self.begun is not None:
                text = f"The cluster runs it once more, on {rest[0]}: its worker went away."
                self.x.services.log(self.x, 30, text)
            self.begin(rest[0])
        else:
            self.context.copy().run(self._show, kind, rest)
        with self._lock:
            self._heard += 1
            ending = self._ending
            complete = ending is not None and self._heard >= ending[0]
        if complete and ending is not None:
            self.settle(ending[1])

    def _show(self, kind: str, rest: Sequence[Any]) -> None:
        if kind == "log":
            self.x.services.tell_carried(self.x, *rest)
        elif kind == "loops":
            self._loops.hear(*rest)
        else:
            write(*rest)

    def ended(self, outcome: Outcome, told: int = 0) -> None:
        """Settle when all `told` messages have come, or when they do not."""
        with self._lock:
            self._ending = (told, outcome)
            complete = self._heard >= told
        if complete:
            self.settle(outcome)
        else:
            call_later(_PATIENCE, lambda: self.settle(outcome))

    def succeeded(self, facts: Facts, told: int) -> None:
        """Take the end of code that went well."""
        note_facts(self.x, facts.asked, facts.unfit)
        if facts.small is not None:
            self.ended(Ok(pickle.loads(facts.small)), told)  # noqa: S301 - our own worker made it
            return
        reference = Reference(self.handle, self.pool, facts.preview, self.pool.fetch)
        self.pool.keep(reference)
        self.ended(Elsewhere(reference, facts.is_special), told)

    def failed(self, answer: bytes, told: int) -> None:
        """Take the end of code that raised something."""
        try:
            open_answer(answer)[1].throw()
        except BaseException as error:
            self._raised(error, told)

    def _raised(self, error: BaseException, told: int) -> None:
        try:
            if not self.pool.came_back(self, error):
                self.ended(Err(error), told)
        except CrashedRun as refusal:
            self.ended(Crash(refusal), told)

    def unsend(self) -> None:
        """Be as if the call had not been sent yet."""
        self._let_go_of_number()
        self.number = as_hex(new_id())
        with self._lock:
            self._heard = 0
        self.begun = self.handle = self.task = None

    def lost(self, why: str) -> None:
        """Note that whoever ran the code went away, or that it was cancelled."""
        name = self.x.definition.name
        if self.x.cancelling:
            self.ended(Err(CancelledRun(f"Task `{name}` was cancelled on the cluster.")))
        else:
            self.ended(Crash(CrashedRun(f"The worker running task `{name}` went away: {why}")))

    def refused(self, error: BaseException) -> None:
        """Note that the cluster could not carry the call out at all."""
        message = (
            f"Task `{self.x.definition.name}` could not be carried out on the cluster: "
            f"{type(error).__name__}: {one_line(error)}. Its workers need the same versions of "
            "Python, of cellist and of what the task uses."
        )
        self.ended(Crash(CrashedRun(message)))

    def _let_go(self) -> None:
        super()._let_go()
        self._let_go_of_number()

    def _let_go_of_number(self) -> None:
        self.pool.calls.pop(self.number, None)
        NEAR.pop(self.number, None)


class ClusterPool(ThreadPool, ABC):
    """A thread pool whose user code is called on a cluster.

    The cluster is started or reached when the first call is to be made: a flow whose results are
    all reused does without.
    """

    is_far = True
    cluster = "the cluster"
    """What the cluster is called, for who waits for it."""

    def __init__(self, passage: Any) -> None:
        super().__init__()
        self._gate = threading.Lock()
        self._arrived = threading.Event()
        self._is_joining = self._is_joined = self._is_closed = False
        self._fault: BaseException | None = None
        self._waiting: list[ClusterCall] = []
        self._packing = Packing(passage)
        self.calls: dict[str, ClusterCall] = {}
        self._kept: weakref.WeakSet[Reference] = weakref.WeakSet()

    def launch(self, command: Invoke, work: Work) -> FarCall:
        """Send user code to the cluster."""
        call = work.call = ClusterCall(self, work, command)
        if self._is_joined or not self._awaits_cluster(call):
            self._go(call)
        return call

    def _awaits_cluster(self, call: "ClusterCall") -> bool:
        """Have a call wait until the cluster is there; `False` if it is, or cannot be had."""
        with self._gate:
            if self._arrived.is_set():
                return False
            call.waits = f"waits for {self.cluster} to start"
            self._waiting.append(call)
            begins, self._is_joining = not self._is_joining, True
        if begins:  # in the context of the flow, whose log tells where the cluster is
            run_in_thread(partial(call.context.copy().run, self._join))
        return True

    def require(self) -> None:
        """Wait until the cluster is there, starting it if need be. Raises what `join` does."""
        with self._gate:
            begins, self._is_joining = not self._is_joining, True
        if begins:
            self._join()
        self._arrived.wait()
        if self._fault is not None:
            raise self._fault

    def _join(self) -> None:
        """Start or reach the cluster, and send what waits for it."""
        try:
            self.join()
        except BaseException as error:
            self._fault = error
        with self._gate:
            self._is_joined = self._fault is None
            waiting, self._waiting = self._waiting, []
            is_left = self._is_closed and self._is_joined
            self._arrived.set()
        for call in waiting:
            call.waits = WAITS_FOR_WORKER
            call.context.copy().run(self._go, call)
        if is_left:
            self.leave()

    def _go(self, call: "ClusterCall") -> None:
        """Send a call, or end it if there is no cluster to send it to."""
        if self._fault is None:
            self.dispatch(call)
        elif isinstance(self._fault, Exception):
            call.settle(Crash(self._fault))
        else:
            call.settle(Err(self._fault))

    @abstractmethod
    def join(self) -> None:
        """Start or reach the cluster. Raises `ImportError` or `ConfigurationError`."""

    @abstractmethod
    def leave(self) -> None:
        """Leave the cluster, and end it if it was started."""

    def dispatch(self, call: "ClusterCall") -> None:
        """Pack a call and send it."""
        x = call.x
        args, kwargs = x.args, x.kwargs
        try:
            if x.waits is not None:
                take = far_value_of(self)
                args = tuple(resolve(value, take) for value in x.given[0])
                kwargs = {name: resolve(value, take) for name, value in x.given[1].items()}
            packed = self._packing.pack(x, call.command.fn, (args, kwargs))
            if call.outcome is not None:
                return  # it was cancelled meanwhile
            self.calls[call.number] = call
            NEAR[call.number] = call.context
            self.send(call, *packed)
            if call.is_stopped:
                self.stop(call)
        except SerializationError as error:
            call.settle(Err(error))
        except Exception as error:
            message = f"Task `{x.definition.name}` could not be sent to the cluster: {error}"
            call.settle(Crash(CrashedRun(message)))

    def came_back(self, call: "ClusterCall", error: BaseException) -> bool:
        """Whether a call was not carried out for its code, and is sent once more with that."""
        if not self._packing.learn(call.x, error):
            return False
        call.unsend()
        context = call.context.copy()
        run_in_thread(lambda: context.run(self.dispatch, call))  # this thread is the cluster's
        return True

    @abstractmethod
    def send(self, call: ClusterCall, parcel: bytes, handles: Sequence[Any]) -> None:
        """Give a call to the cluster, and see to it that its end is heard of."""

    @abstractmethod
    def stop(self, call: ClusterCall) -> None:
        """Stop the code of a call, as far as the cluster can. Must not block."""

    @abstractmethod
    def load(self, handle: Any) -> Any:
        """Fetch a value; may raise anything."""

    def fetch(self, handle: Any) -> Any:
        """Fetch a value. Raises `CrashedRun` if it is gone, `SerializationError` if unreadable."""
        try:
            return self.load(handle)
        except SerializationError:
            raise
        except Exception as error:
            message = (
                f"A result that was kept on the cluster could not be fetched: {first_line(error)}"
            )
            raise CrashedRun(message) from error

    def keep(self, reference: Reference) -> None:
        """Remember what is to be fetched before the cluster is left."""
        self._kept.add(reference)

    def hear(self, number: str, message: Sequence[Any]) -> None:
        """Pass a message on to its call."""
        call = self.calls.get(number)
        if call is not None:
            call.hear(message)

    def close(self) -> None:
        """Leave the cluster with what somebody here may still ask for."""
        with self._gate:
            self._is_closed = True
            if not self._is_joined:
                return  # it is not there, or is left as soon as it is
        for reference in list(self._kept):
            try:
                _ = reference.value
            except CellistError:
                continue  # said to who asks for it
        for call in list(self.calls.values()):
            call.lost("the cluster was left")
        self.leave()
