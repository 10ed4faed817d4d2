"""Calls of flows as the history keeps them, so that another kernel can make them again.

What is kept of an outermost flow run while it has not completed: where its function is found, its
parameters, each pickled by itself, or the text of the cell that it is. Unpickling runs code, so all
of it is signed with the user's secret, and nothing of a foreign one is looked at. Parameters that
cannot be pickled or are large are not kept; which, is said when somebody asks.
"""

import io
import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

from cellist.caching.signing import MAC_SIZE, Signer, user_signer
from cellist.engine.execution import Execution
from cellist.model.ids import as_hex

_LARGEST = 2**20
_LONG = 20_000
"""Elements from which on a list is first looked at by a sample of so many."""
_SAMPLE = 500
_DOMAIN = b"cellist call\n"


class KeptCall(NamedTuple):
    """A call as it was kept: its parameters, and why some of them are missing."""

    module: str
    identity: str
    name: str
    cell: str | None
    parameters: dict[str, Any]
    missing: dict[str, str]


class Keeper:
    """Signs calls and reads those that this user signed."""

    def __init__(self) -> None:
        self._known: Signer | None = None

    @property
    def _signer(self) -> Signer:
        if self._known is None:
            self._known = user_signer()[0]  # the store tells if the secret cannot be kept
        return self._known

    def seal(self, x: Execution, bound: dict[str, Any]) -> bytes:
        """Return the call of a run as it is to be kept. Does not raise for what cannot be."""
        definition = x.definition
        parameters: dict[str, str] = {}
        missing: dict[str, str] = {}
        for name, value in bound.items():
            try:
                parameters[name] = b64encode(pickled(value)).decode("ascii")
            except Exception as error:  # the value's own classes run here
                missing[name] = f"{error}" if isinstance(error, _TooLarge) else _told(error)
        text = json.dumps(
            {
                "run": as_hex(x.run.number),
                "module": getattr(definition.fn, "__module__", ""),
                "identity": definition.identity,
                "name": definition.name,
                "cell": definition.cell_source,
                "parameters": parameters,
                "missing": missing,
            }
        ).encode("ascii")
        return self._signer.sign(_DOMAIN + text) + text

    def open(self, run: str, kept: bytes) -> KeptCall | None:
        """Return the call of a run, by its id in hex; `None` if this user did not sign it."""
        signature, text = kept[:MAC_SIZE], kept[MAC_SIZE:]
        if not self._signer.verify(_DOMAIN + text, signature):
            return None
        told = json.loads(text)
        if told["run"] != run:
            return None
        parameters: dict[str, Any] = {}
        missing: dict[str, str] = told["missing"]
        for name, data in told["parameters"].items():
            try:
                parameters[name] = pickle.loads(b64decode(data))  # noqa: S301 - signed by this user
            except Exception as error:  # such as a class that is not defined here yet
                missing[name] = _told(error)
        return KeptCall(
            told["module"], told["identity"], told["name"], told["cell"], parameters, missing
        )


class _TooLarge(Exception):
    """What is to be kept takes more than is kept."""


class _Limited(io.BytesIO):
    """Takes no more than so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, data: Any, /) -> int:
        self.check(self.tell() + len(data))
        return super().write(data)

    def check(self, size: int) -> None:
        if size > self._most:
            raise _TooLarge(f"it is larger than {self._most / 2**20:g} MB")

    def leaves_in(self, buffer: pickle.PickleBuffer) -> bool:
        """Refuse arrays that are large before they are copied, leave small ones in the pickle."""
        self.check(buffer.raw().nbytes)
        return True


def pickled(value: Any, most: int = _LARGEST) -> bytes:
    """Pickle by reference, which is what another kernel can make sense of.

    Raises what pickling raises, and if it would take more than `most` bytes.
    """
    file = _Limited(most)
    if type(value) in (list, tuple) and len(value) > _LONG:
        file.check(_half_of(value))  # to find out by pickling takes too long
    pickle.Pickler(file, 5, buffer_callback=file.leaves_in).dump(value)
    return file.getvalue()


def _half_of(items: Sequence[Any]) -> int:
    """Return about half the bytes that a long list takes, told by a sample of it."""
    sample = items[:: len(items) // _SAMPLE]
    return len(pickled(sample)) * (len(items) // len(sample)) // 2


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
