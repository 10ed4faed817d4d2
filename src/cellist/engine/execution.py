"""What is needed to execute one run, and which run is being executed here.

`current` is a context variable, so that it follows awaits, and threads that are started with a
copied context. It is set and restored by value, never by token: a generator may be closed from
another context.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from cellist.engine.commands import Err, Invoke, Outcome, Recorded, Steps
from cellist.engine.plan import Plan
from cellist.engine.promise import Promise
from cellist.model.runs import FlowRun, Run
from cellist.model.states import COMPLETED


class CacheService(Protocol):
    """What the engine needs of the cache. Neither call raises; trouble is a miss."""

    def recall(self, execution: "Execution") -> Any:
        """Return `Ok(value)` if the store has the result of a call like earlier ones.

        `None` says nothing: all else is left to `look_up`. `Err` is what is to end the run.
        """
        ...

    def look_up(self, execution: "Execution") -> Any:
        """Set the run's key and reason; return `Ok(value)` for a hit and `None` for a miss.

        If the key is being computed: a `Flight` to wait for, or the seconds to wait, before it is
        to be called again.
        """
        ...

    def remember(self, execution: "Execution", value: Any, seconds: float) -> None:
        """Store the value under the key found by `look_up`; who waits for it looks again."""
        ...

    def show(self, execution: "Execution", found: Recorded) -> None:
        """Show again what the run showed whose result `look_up` found."""
        ...

    def land(self, execution: "Execution") -> None:
        """Let others compute the key of a run that ended without a result."""
        ...

    def seal(
        self, execution: "Execution", value: Any, seconds: float
    ) -> Callable[[], str | None] | None:
        """Do all of `remember` but the storing, and return what does it later.

        That returns one sentence if the value is not kept. `None`: it is not meant to be kept.
        """
        ...


class LimitService(Protocol):
    """What the life of a run needs of the limits."""

    def permit_for(self, x: "Execution") -> Any:
        """Return what the run has to ask for because of its tags; `None` if nothing."""
        ...

    def ask(self, permit: Any) -> None:
        """Ask for slots. Raises `ConcurrencySlotAcquisitionError` if they can never be had."""
        ...

    def release(self, permit: Any) -> None:
        """Give slots back, or stop waiting for them."""
        ...


class AttemptService(Protocol):
    """What the engine needs to know of a flow's attempts. No call raises."""

    @property
    def is_narrowed(self) -> bool:
        """Whether only one run inside is retried: it runs although others fail the flow."""
        ...

    def recall(self, x: "Execution") -> Any:
        """Return `Ok(value)` if an earlier attempt made this call, with the reason on the run.

        `Held` if the run is to end as it did before.
        """
        ...

    def keep(self, x: "Execution", value: Any) -> None:
        """Keep what a run gave for later attempts."""
        ...

    def failed(self, x: "Execution", error: BaseException) -> None:
        """Note that a run inside the flow failed."""
        ...

    def ended(self, x: "Execution", error: BaseException) -> None:
        """Note that an attempt of a flow run failed."""
        ...

    def close(self, x: "Execution") -> None:
        """Note that a flow run has ended."""
        ...


class Services(Protocol):
    """What the engine needs of the session it runs in."""

    cache: CacheService
    limits: LimitService
    live: dict[int, "Execution"]
    unfinished: Any
    """Where runs that did not complete are kept for a retry by hand."""
    tells_ends: bool
    """Whether somebody wants to read of every task that it has completed."""

    def interrupted(self) -> bool:
        """Whether the present interrupt came from the user's stop button."""
        ...

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        ...

    def log(self, execution: "Execution", level: int, message: str) -> None:
        """Log something about a run."""
        ...

    def tell_carried(self, execution: "Execution", level: int, message: str) -> None:
        """Log what the code of a run logged in another process."""
        ...

    def tell_hook(self, execution: "Execution", hook: Any, state: Any) -> None:
        """Say that a hook is called."""
        ...

    def tell_hook_end(self, execution: "Execution", hook: Any, which: str, outcome: Any) -> None:
        """Say how a hook has ended; one that failed is logged."""
        ...

    def narrate_beginning(self, execution: "Execution") -> None:
        """Say that a flow run begins."""
        ...

    def narrate_end(self, execution: "Execution") -> None:
        """Say in which state a run has ended."""
        ...

    def cancel_children(self, execution: "Execution", only_waiting: bool = False) -> None:
        """Cancel the submitted runs of a flow, or only those that have not started."""
        ...


class Carrier(Protocol):
    """What carries a run out: the handle by which it is stopped, from any thread."""

    def cancel(self) -> object:
        """Stop the run, as far as the place it runs in allows."""
        ...

    def halt(self, run: Run) -> object:
        """Stop the code of the run, or of another that it has called and that runs now."""
        ...


class Wakeable(Protocol):
    """What ends the wait of a run early, see `Waker`."""

    def wake(self, word: str) -> None:
        """End the wait; `word` says why."""
        ...


class Execution(Invoke):
    """One run being carried out: its call, its plan, and handles to steer it from outside.

    It is the command to invoke its code, so that none has to be made for each run.
    """

    __slots__ = (
        "__weakref__",
        "asked",
        "began",
        "cache_note",
        "cancelling",
        "carrier",
        "definition",
        "far",
        "flight",
        "flow",
        "given",
        "keeping",
        "log_prints",
        "parent",
        "permit",
        "plan",
        "recalls",
        "run",
        "services",
        "steps",
        "thread",
        "transaction",
        "wait_for",
        "waits",
        "waker",
    )

    def __init__(  # noqa: PLR0915 - flat for speed: the base's fields are set here as well
        self,
        run: Run,
        definition: Any,
        plan: Plan,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parent: "Execution | None",
        flow: "FlowExecution | None",
        services: Any,
        keeping: Any = None,
    ) -> None:
        self.fn: Callable[..., Any] = plan.fn  # those of a command, set without another call
        self.args = args
        self.kwargs = kwargs
        self.timeout = plan.timeout
        self.awaits = plan.is_async
        self.run = run
        self.definition = definition
        self.plan = plan
        self.parent = parent
        self.flow = flow
        self.services = services
        self.waits: list[Promise] | None = None
        """Promises among the inputs and `wait_for`."""
        self.wait_for: Any = None
        self.far: Any = None
        """The pool that calls the code on a cluster, where results stay; see `far`.

        Then `given` has the arguments with their promises, once those were put in place.
        """
        self.began = 0
        """When the present attempt of a cached task was invoked, nanoseconds since the epoch."""
        self.cancelling = False
        """Set once somebody asked to cancel; the engine looks at every step."""
        self.carrier: Carrier | None = None
        """What runs its code now, unless that is the caller's thread."""
        self.waker: Wakeable | None = None
        self.transaction: Any = None
        """The transaction the present attempt is, if there is need of one (`engine.scopes`)."""
        self.permit: Any = None
        """The slots the run holds or waits for because of its tags (`permits.Permit`)."""
        self.cache_note: Any = None
        self.asked = False
        """Whether its code asked which run it is part of, once the key was made."""
        self.flight: Any = None
        """The computation of its key, which others may wait for; see `flights`."""
        self.thread = 0
        """The thread that a wait of the run would block; 0 for a worker, which is not blocked."""
        self.keeping = keeping
        """What is said about the results of runs inside this one; see `persistence`."""
        self.log_prints: bool | None = plan.log_prints
        self.recalls: AttemptService | None = flow.attempts if flow is not None else None
        """What earlier attempts of the flow around this run have done, if it has retries."""
        self.steps: Steps[Outcome] | None = None
        """The steps of a generator that gives its values to a consumer one by one.

        Kept where the session sees them: with a stream that nobody uses any more they would be
        garbage of their own, and the collector may close them before the stream can.
        """

    def settled(self, promise: Promise) -> None:
        """Note that the promise of this submitted run is settled."""
        services = self.services
        services.live.pop(self.run.number, None)
        if self.run.state_type is not COMPLETED:
            services.unfinished.add(self)
            services.narrate_end(self)
        elif services.tells_ends:
            services.narrate_end(self)
        flow = self.flow
        if flow is not None:
            flow.children.discard(promise)
            if promise.outcome.__class__ is Err:
                flow.failures.append(promise)

    def note_failure(self, error: BaseException) -> None:
        """Tell what the flow around this run remembers that the run has failed."""
        flow = self.flow
        if flow is None:
            return
        self.services.unfinished.note(self.run, error)
        memory: Any = flow.attempts or flow.spares
        if memory is not None:
            memory.failed(self, error)

    def is_cancelled_above(self) -> bool:
        """Whether somebody asked a run to stop that this one is part of."""
        above = self.parent
        while above is not None:
            if above.cancelling:
                return True
            above = above.parent
        return False

    def bound(self) -> dict[str, Any]:
        """Return the arguments by parameter name, defaults filled in."""
        return self.plan.bind(self.args, self.kwargs)


class FlowExecution(Execution):
    """A flow run being carried out: it also owns children, a runner and a memory of results."""

    __slots__ = (
        "attempts",
        "children",
        "failures",
        "loop",
        "pauses",
        "results",
        "runner",
        "spares",
    )
    is_detached = False
    """Whether the flow runs in another process, and this is what is known of it here."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.children: set[Promise] = set()
        """Submitted runs that are not final."""
        self.failures: list[Promise] = []
        """Submitted runs that failed; those nobody looked at are reported at the end."""
        self.runner: Any = None
        self.loop: Any = None
        """The event loop on which submitted coroutine functions run."""
        self.results: Any = None
        """Which run a result object came from; made when first needed."""
        self.pauses: Any = None
        """What the run has paused for, and the answers (`pausing.Pauses`); made when needed."""
        self.attempts: AttemptService | None = None
        """What this flow's attempts have done so far, or those of a flow around it."""
        self.spares: Any = None
        """What a retry by hand may reuse, where nobody minds attempts."""

    def note_failure(self, error: BaseException) -> None:
        """Tell also what the flow itself remembers, which may be retried by hand."""
        super().note_failure(error)
        memory: Any = self.attempts or self.spares
        if memory is not None:
            memory.ended(self, error)

    @property
    def flow_run(self) -> FlowRun:
        """The run, known to be a flow run."""
        assert isinstance(self.run, FlowRun)
        return self.run


current: ContextVar[Execution | None] = ContextVar("cellist_execution", default=None)
active_tags: ContextVar[frozenset[str]] = ContextVar("cellist_tags", default=frozenset())
current_cell: ContextVar[Any] = ContextVar("cellist_cell", default=None)


def current_for_user() -> Execution | None:
    """Return the present execution to user code that asks which run it is part of."""
    execution = current.get()
    note_asked(execution)
    return execution


def note_asked(execution: Execution | None) -> None:
    """Note that the code of an execution asked about its run: the result may hold for it only.

    The same then goes for the tasks it is part of.
    """
    while execution is not None:
        execution.asked = True
        execution = execution.parent


def enclosing_flow(execution: Execution | None) -> FlowExecution | None:
    """Return the flow execution a call made inside `execution` belongs to."""
    if execution is None or isinstance(execution, FlowExecution):
        return execution
    return execution.flow


def check_not_inside(promise: Promise) -> None:
    """Raise `ValueError` if the run executed here is that of the promise or is part of it.

    To wait for it would be to wait for ever.
    """
    above = current.get()
    while above is not None:
        if above.run.number == promise.run.number:
            message = (
                f"Run {promise.run.name!r} would wait for its own future, itself or in a run that "
                f"is part of it, and never end."
            )
            raise ValueError(message)
        above = above.parent
