"""What a deferred run is called with and what it gives, as signed bytes.

Unpickling runs code, so nothing is unpickled that this user has not signed (`caching.signing`).
The signature covers what the bytes are for, so that those of one run cannot be put in the place
of another's.
"""

from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from cellist.caching.pickles import explain
from cellist.caching.signing import MAC_SIZE, Signer, user_signer
from cellist.engine.commands import Err, Given, Ok, Outcome
from cellist.engine.errors import one_line
from cellist.exceptions import CrashedRun, SerializationError
from cellist.model.states import NO_DATA
from cellist.runners.returns import answer, open_answer
from cellist.session import Session, get_session

_HEAD = b"cellist: deferred run, version 1\n"


class Unsigned(SerializationError):
    """Bytes in the queue were not written by this user, or were changed since."""


_signers: "WeakKeyDictionary[Session, Signer]" = WeakKeyDictionary()


def _signed(purpose: str, body: bytes) -> tuple[Signer, bytes]:
    session = get_session()
    signer = _signers.get(session)
    if signer is None:
        signer = _signers[session] = user_signer()[0]
    return signer, _HEAD + purpose.encode() + b"\n" + body


def seal(purpose: str, body: bytes) -> bytes:
    """Return the bytes with a signature in front; `purpose` says what they are for."""
    signer, signed = _signed(purpose, body)
    return signer.sign(signed) + body


def unseal(purpose: str, sealed: bytes) -> bytes:
    """Return the bytes without their signature. Raises `Unsigned` if it does not fit."""
    mac, body = sealed[:MAC_SIZE], sealed[MAC_SIZE:]
    signer, signed = _signed(purpose, body)
    if not signer.verify(signed, mac):
        message = (
            "it was not signed by this user's secret, or not for this run, so it is not read. "
            "Producer and worker must have the same CELLIST_SECRET_DIR."
        )
        raise Unsigned(message)
    return body


def parameters_of(identifier: str, run_id: str, key: str) -> str:
    """Return the purpose of what a run is called with."""
    return f"parameters {identifier} {run_id} {key}"


def outcome_of(run_id: str) -> str:
    """Return the purpose of what a run gave."""
    return f"outcome {run_id}"


def pack_parameters(task: str, parameters: dict[str, Any], data: dict[str, Any]) -> bytes:
    """Return what a run is called with as bytes: `data` holds the parameters among other things.

    Raises `SerializationError` naming the task, the parameter and the remedy.
    """
    try:
        return import_module("cloudpickle").dumps(data)
    except Exception as error:
        raise SerializationError(_complaint(task, parameters, error)) from None


def load(body: bytes) -> Any:
    """Return what was pickled; classes that are here already stay as they are."""
    return open_answer(body)


def _complaint(task: str, parameters: dict[str, Any], error: Exception) -> str:
    cloudpickle: Any = import_module("cloudpickle")
    for name, value in parameters.items():
        try:
            cloudpickle.dumps(value)
        except Exception as fault:
            what = explain(value, fault).replace("`result", f"`{name}").removeprefix("it ")
            where = "" if what.startswith("`") else f"`{name}` "
            return (
                f"Parameter `{name}` of task `{task}` cannot be sent to a worker: {where}{what}. "
                "Pass what it can be made from, such as a path or an address."
            )
    return f"Task `{task}` cannot be handed to a worker: {one_line(error)}."


def pack_outcome(task: str, outcome: Outcome) -> bytes:
    """Return what a run gave as bytes. What cannot be pickled is told in a sentence instead."""
    if isinstance(outcome, Err):
        return b"E" + answer(False, outcome.error)
    given = isinstance(outcome, Given)
    value = (outcome.value, outcome.data) if isinstance(outcome, Given) else outcome.value
    try:
        return (b"G" if given else b"O") + import_module("cloudpickle").dumps(value)
    except Exception as error:
        text = f"The result of task `{task}` cannot be sent from its worker: {one_line(error)}."
        return b"M" + text.encode("utf-8", "replace")


def open_outcome(body: bytes) -> tuple[Outcome, str | None]:
    """Return what a run gave and, if its value is not to be had, why.

    The outcome then has no data.
    """
    kind, rest = body[:1], body[1:]
    if kind == b"M":
        return Given(None, NO_DATA), rest.decode()
    value = load(rest)
    if kind == b"G":
        return Given(*value), None
    if kind == b"O":
        return Ok(value), None
    error: BaseException = CrashedRun("it left no exception")
    try:
        value[1].throw()
    except BaseException as raised:
        error = raised
    return Err(error), None
