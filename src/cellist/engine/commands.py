"""The contract between the life of a run and what carries it out.

A generator of steps yields one of five commands whenever something takes time, and is *sent* the
outcome, `Ok(value)` or `Err(error)`. Nothing is ever thrown into it: throwing has holes (a
`StopIteration` cannot be thrown into a generator), and a value that says whether it is a result
or an error is seen by the type checker.

    Invoke   call the user's code; the only command that may leave the process
    Offload  call a blocking function of ours (digest, disk)
    Wait     until all the given promises are final
    Sleep    until a moment, or until somebody wakes the run
    Hand     give a value to who iterates over the run of a generator, until the next is asked for

What the steps return in the end is the outcome of the whole run. They never raise a user's
error; `Err` carries it to the caller, who raises it.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from cellist.model.references import Reference


class Ok:
    """Something ended with a value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Ok({self.value!r})"


class Err:
    """Something ended with an exception."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"Err({self.error!r})"


class Elsewhere(Ok):
    """Something ended with a value that stays where it is, such as on a cluster."""

    __slots__ = ("is_special", "reference")

    def __init__(self, reference: Reference, is_special: bool = False) -> None:
        self.reference = reference
        self.is_special = is_special
        """Whether the value is a state or the like, and so decides how the run ends."""

    @property
    def value(self) -> Any:
        """The value, fetched when first asked for."""
        return self.reference.value

    def of(self, home: Any) -> bool:
        """Whether the value is kept by this pool."""
        return self.reference.home is home

    def __repr__(self) -> str:
        return f"Elsewhere({self.reference!r})"


class Crash(Err):
    """What ran the code went away with it, such as its process: the run ends, without a retry."""

    __slots__ = ()


class Held(Err):
    """A run is not to be carried out, but to end as it did before; `message` is of that state."""

    __slots__ = ("message",)

    def __init__(self, error: BaseException, message: str) -> None:
        super().__init__(error)
        self.message = message


class WentAway(Exception):
    """Raised by what calls user code when that went away with what ran it; see `Crash`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Given(Ok):
    """User code chose the final state itself. `value` is what a caller gets, `data` the state's."""

    __slots__ = ("data",)

    def __init__(self, value: Any, data: Any) -> None:
        super().__init__(value)
        self.data = data


class Declared(Err):
    """A flow's code chose how the run ends: a caller gets the error, `data` is the state's."""

    __slots__ = ("data",)

    def __init__(self, error: BaseException, data: Any) -> None:
        super().__init__(error)
        self.data = data


class Recorded(Ok):
    """The result of an earlier run that showed something; `shown` is what (see `caching.shown`)."""

    __slots__ = ("created", "shown")

    def __init__(self, value: Any, shown: Any, created: float) -> None:
        super().__init__(value)
        self.shown = shown
        self.created = created


Outcome = Ok | Err

NOTHING = Ok(None)


def stop_in(outcome: Outcome) -> BaseException | None:
    """Return what is to stop the run if that came instead of an outcome: an interrupt, a cancel."""
    if isinstance(outcome, Err) and not isinstance(outcome.error, Exception):
        return outcome.error
    return None


class Invoke:
    """Call user code. `timeout` is in seconds; `awaits` says that the result must be awaited."""

    __slots__ = ("args", "awaits", "fn", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        timeout: float | None = None,
        awaits: bool = False,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.timeout = timeout
        self.awaits = awaits


class Offload:
    """Call a blocking function of ours with one argument or more; it must not touch user code."""

    __slots__ = ("args", "fn")

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        self.fn = fn
        self.args = args


class Wait:
    """Wait until all promises are final. The outcome carries no value."""

    __slots__ = ("promises",)

    def __init__(self, promises: Sequence[Any]) -> None:
        self.promises = promises


class Sleep:
    """Wait for some seconds. `Ok("woken")` when the run was woken before, else `Ok(None)`."""

    __slots__ = ("seconds", "waker")

    def __init__(self, seconds: float, waker: "Waker") -> None:
        self.seconds = seconds
        self.waker = waker


class Waker:
    """Ends a sleep early. `wake` may be called from any thread, before or during the sleep."""

    __slots__ = ("_callback", "word")

    def __init__(self) -> None:
        self.word: str | None = None
        self._callback: Callable[[], object] | None = None

    def wake(self, word: str) -> None:
        """End the sleep; `word` says why: retry_now, give_up or cancel."""
        self.word = word
        callback = self._callback
        if callback is not None:
            callback()

    def listen(self, callback: Callable[[], object] | None) -> None:
        """Set what `wake` calls; it is called at once if the run was woken already."""
        self._callback = callback
        if callback is not None and self.word is not None:
            callback()


class Hand:
    """Give a value to the consumer of a generator.

    The outcome is `Ok` of what the consumer sent, or `Err` of what it threw in; `GeneratorExit`
    says that it wants no more.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


NOBODY_ITERATES = Err(RuntimeError("A run hands over a value, but nobody iterates over it."))

Command = Invoke | Offload | Wait | Sleep | Hand

T = TypeVar("T")
Steps = Generator[Command, Outcome, T]


def offload(fn: Callable[..., Any], *args: Any) -> Steps[Any]:
    """Ask for a blocking call of ours and return its value; its error is raised here."""
    outcome = yield Offload(fn, *args)
    if isinstance(outcome, Err):
        raise outcome.error
    return outcome.value
