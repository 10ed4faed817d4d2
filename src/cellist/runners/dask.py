"""Call the code of tasks on a Dask cluster.

Results stay on the workers as the results of Dask tasks. What a call says comes as events of a
topic of the pool's own. A thread of a worker cannot be ended, so code there is stopped as in our
own threads: by an exception that blocking calls in C do not notice.
"""

import contextlib
import functools
import pickle
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from cellist.engine.commands import Crash, Err, Ok
from cellist.engine.execution import note_asked
from cellist.engine.threads import run_in_thread
from cellist.exceptions import CrashedRun, SerializationError
from cellist.runners import far_side
from cellist.runners.clusters import ClusterCall, ClusterPool, Facts
from cellist.runners.returns import Kept, Missed


def distributed() -> Any:
    """Return the package. Raises `ImportError` naming what to install."""
    try:
        return import_module("distributed")
    except ImportError as error:
        message = (
            "DaskTaskRunner needs the package `distributed`: pip install 'cellist[dask]'. "
            f"({error})"
        )
        raise ImportError(message) from error


_LARGE = 1_000_000
"""Bytes from which a call goes to a worker directly, and not by way of the scheduler."""


def carry_out_on_dask(topic: str, number: str, parcel: bytes, *values: Any) -> Any:
    """Carry a call out on a worker of Dask."""
    worker: Any = distributed().get_worker()

    def send(message: tuple[Any, ...]) -> None:
        # as bytes: Dask cannot send all text there is, and would lose its connection over it
        worker.log_event(topic, [number, pickle.dumps(message)])

    try:
        value, facts, told = far_side.carry_out(parcel, number, values, worker.address, send)
    except far_side.CallFailed as error:
        # returned, since Dask would write what is raised to the worker's log with all it holds
        send(("failed", error.answer, error.told))
        return error
    send(("end", *facts, told))
    return Kept(value)


class DaskPool(ClusterPool):
    """Sends user code to the workers of a Dask client, which it closes at the end.

    `connect` gives the client, and what to call in the end.
    """

    cluster = "the Dask cluster"

    def __init__(
        self, passage: Any, connect: Callable[[], tuple[Any, Callable[[], object]]]
    ) -> None:
        super().__init__(passage)
        self._connect = connect
        self._client: Any = None
        self._at_close: Callable[[], object] = int
        self._topic = ""
        self._facts: dict[str, tuple[Facts, int]] = {}
        self._revoked: set[str] = set()
        """Calls that were to be stopped, of which it may yet be heard that they have begun."""

    @property
    def client(self) -> Any:
        """The client, made when first needed. Raises `ConfigurationError` if it cannot be."""
        self.require()
        return self._client

    def join(self) -> None:
        """Make the client, and listen to what workers say."""
        self._client, self._at_close = self._connect()
        self._topic = f"cellist-{self._client.id}-{id(self):x}"
        self._client.subscribe_topic(self._topic, self._receive)

    def send(self, call: ClusterCall, parcel: bytes, handles: Sequence[Any]) -> None:
        """Submit a call as a task of Dask."""
        name = call.x.definition.name
        sent = self.client.scatter(parcel, hash=False) if len(parcel) > _LARGE else parcel
        key = f"{name.replace(' ', '_')}-{call.number}"  # Dask groups tasks by what is before the -
        call.handle = self.client.submit(  # in the `dask.annotate` blocks of who submitted the task
            carry_out_on_dask, self._topic, call.number, sent, *handles, key=key, pure=False
        )
        call.handle.add_done_callback(functools.partial(self._done, call, call.number))

    def _receive(self, event: tuple[float, Sequence[Any]]) -> None:
        """Take a message from a worker, in the client's thread."""
        number, message = event[1][0], pickle.loads(event[1][1])  # noqa: S301 - of our own worker
        if message[0] == "end":
            *facts, told = message[1:]
            self._facts[number] = (Facts(*facts), told)
            self._succeed(number)
        elif message[0] == "failed":
            call = self.calls.get(number)
            if call is not None:
                call.failed(*message[1:])
        else:
            self.hear(number, message)
            if message[0] == "begin" and number in self._revoked:
                self._stop_code(number, message[1])  # Dask lets go on what has begun

    def _done(self, call: ClusterCall, number: str, future: Any) -> None:
        """Take the end of a task of Dask, in a thread of the client's."""
        if call.number != number:
            return  # it was sent once more
        if future.status == "finished":
            call.handle = future
            if number in self._facts:
                self._succeed(number)
            elif number in self.calls:  # the message that says how it ended was lost
                run_in_thread(functools.partial(self._look_up, call, future))
        elif future.status == "error":
            self._failed(call, future.exception())
        else:
            call.lost(f"Dask says {future.status}")

    def _look_up(self, call: ClusterCall, future: Any) -> None:
        """Take from what Dask keeps how a call has ended."""
        try:
            value = self.fetch(future)
        except SerializationError as error:
            call.ended(Err(error))
        except CrashedRun as error:
            call.ended(Crash(error))
        else:
            if isinstance(value, far_side.CallFailed):
                call.failed(value.answer, 0)
            else:
                note_asked(call.x)  # for all that is known
                call.ended(Ok(value))

    def _succeed(self, number: str) -> None:
        call = self.calls.get(number)
        if call is None:
            self._facts.pop(number, None)
        elif call.handle is not None and number in self._facts:
            call.succeeded(*self._facts.pop(number))

    def _failed(self, call: ClusterCall, error: BaseException) -> None:
        if type(error).__name__ == "KilledWorker":
            call.lost("it was killed, ran out of memory or lost its connection")
        else:
            call.refused(error)

    def stop(self, call: ClusterCall) -> None:
        """Take the task back if it waits, else ask its code to stop."""
        future = call.handle

        def take_back() -> None:
            with contextlib.suppress(Exception):  # the cluster may be gone
                future.cancel()

        self._revoked.add(call.number)  # before the look at `begun`, which changes on a thread
        if call.begun is not None:
            self._stop_code(call.number, call.begun)
        elif future is None:
            call.lost("it was not sent yet")
        else:
            run_in_thread(take_back)

    def _stop_code(self, number: str, address: str) -> None:
        def ask() -> None:
            with contextlib.suppress(Exception):  # the cluster may be gone
                self.client.run(far_side.stop, number, workers=[address])

        run_in_thread(ask)

    def load(self, handle: Any) -> Any:
        """Fetch a result from the worker that has it."""
        kept: Any = handle.result()
        return kept.value if isinstance(kept, Kept | Missed) else kept

    def leave(self) -> None:
        """Close the client, and what was started for it."""
        with contextlib.suppress(Exception):
            self.client.unsubscribe_topic(self._topic)
        self._at_close()
