"""What the cache keeps in mind of a call between its look-up and the end of its run."""

from typing import Any, NamedTuple

from cellist.caching.found import Found, Missing
from cellist.caching.stores import AnyStore
from cellist.engine.flights import Flight
from cellist.keyed_calls import Keyed
from cellist.recording import Recorder


class Asked(NamedTuple):
    """A call that the store was asked for already, and what it gave."""

    call: Keyed
    landings: int
    """How many flights had landed before."""
    found: Found | Missing


class Note:
    """What `look_up` found out about a call, for when it is asked again and for `remember`."""

    __slots__ = (
        "call",
        "components",
        "differs",
        "found",
        "ident",
        "is_alone",
        "is_compared",
        "key",
        "recorder",
        "seen",
        "store",
        "unfit",
        "waited",
    )

    def __init__(self, key: str, ident: Any, call: Keyed, store: AnyStore) -> None:
        self.key = key
        self.ident = ident
        """What tells the key from the same one in another store."""
        self.call = call
        self.components = call.components
        """What is stored beside the result, with texts once it is known to be a miss."""
        self.store = store
        self.found: Missing | None = None
        """What the last look at the store gave; `None` to look again."""
        self.differs = False
        """Whether another run of the same call is known to have given something else."""
        self.is_compared = False
        """Whether a refreshed run was compared already, with the result it is to replace."""
        self.is_alone = False
        """Whether the call computes for itself, whoever else does."""
        self.recorder: Recorder | None = None
        """Notes what the run shows, if that is to be kept with its result."""
        self.seen: Any = None
        """What the sentinel has seen of the run that computes the result."""
        self.unfit = ""
        """Why what another process gave is not what the key stands for."""
        self.waited: Flight | str = ""
        """The flight the call waited for, or which other process."""

    def look_again(self) -> None:
        """Have the store asked once more; a miss that it gave before is not counted twice."""
        if self.found is not None:
            self.store.recount()
            self.found = None
