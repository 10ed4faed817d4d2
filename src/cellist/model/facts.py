"""What a run tells about itself as values of their own."""

from typing import Any, NamedTuple, Protocol
from uuid import UUID


class Definition(Protocol):
    """What a run needs to know of the task or flow it executes."""

    name: str
    version: str | None

    @property
    def key(self) -> str:
        """What identifies the definition across kernels."""
        ...


class Arguments(NamedTuple):
    """The arguments of a run some of which were given by name."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, call: "tuple[Any, ...] | Arguments | None") -> "Arguments":
        """Return what a run keeps of its arguments as both kinds; `None` if they were dropped."""
        return call if isinstance(call, cls) else cls(call or (), {})


class RunInput(NamedTuple):
    """One upstream run a parameter came from."""

    input_type: str
    id: UUID


class RunPolicy(NamedTuple):
    """How a run is retried; delays in seconds."""

    retries: int
    retry_delay: float | list[float]
    retry_jitter_factor: float | None


class ErrorInfo(NamedTuple):
    """An exception as text: no object is kept alive by the record of a failure."""

    type: str
    message: str
    traceback: str


def policy_of(definition: Any) -> RunPolicy:
    """Return how the runs of a definition are retried, by its options and the settings of now."""
    plan = getattr(definition, "plan", None)
    if plan is None:
        return RunPolicy(0, 0.0, None)
    now = plan()
    return RunPolicy(now.retries, now.delays, now.jitter)
