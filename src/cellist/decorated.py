"""What a task and a flow are once they are made: options, hooks, and the plan made of them.

The options are those the user gave, unset ones left out of account until a run starts, so that a
copy with other options is made from what was said and not from what was concluded.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    overload,
)

from cellist import settings
from cellist.caching.serializers import Serializer
from cellist.calling import call_async, call_here
from cellist.definitions import check_hooks
from cellist.engine.plan import Plan, Shape
from cellist.futures import Later, PrefectFuture
from cellist.model.annotations import NOT_SET
from cellist.model.display import mimebundle
from cellist.model.retries import Delays, check_delays, check_jitter, check_retries
from cellist.model.states import State
from cellist.options import check_options
from cellist.persistence import Storage
from cellist.streaming import call_stream

if TYPE_CHECKING:
    from cellist.flows import Flow

Hook = Callable[..., Any]
H = TypeVar("H", bound=Hook)
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Decorated(ABC, Generic[P, R_co]):
    """The base of `Task` and `Flow`."""

    noun: ClassVar[str]
    hook_kinds: ClassVar[tuple[str, ...]] = (
        "on_running",
        "on_completion",
        "on_failure",
        "on_cancellation",
        "on_crashed",
    )
    name: str
    fn: Any
    __name__: str
    shape: Shape
    """The signature of the function."""
    isasync: bool
    isgenerator: bool
    persist_result: bool | None
    """Whether results are kept: as given, or as follows from the other options."""
    result_storage: Any
    stored_in: Storage | None
    """What `result_storage` comes to."""
    result_serializer: Any
    serializer: Serializer | None
    """What `result_serializer` comes to."""
    cache_result_in_memory: bool
    isstaticmethod: bool
    isclassmethod: bool
    cell_source: str | None = None
    """The text of the notebook cell that this stands for, magic and all."""

    def _keep(self, options: dict[str, Any]) -> None:
        """Keep the options as given, without hooks, which may be added to later."""
        self.options = options
        self._plan: Plan | None = None
        self._plan_settings: Any = None

    def _keep_retries(self, owner: str) -> None:
        given = self.options
        retries, delays = given["retries"], given["retry_delay_seconds"]
        self.own_retries = None if retries is None else check_retries(retries, owner)
        """The number given; `None` where a setting decides."""
        self.own_delays = (
            None if delays is None else check_delays(delays, self.own_retries or 0, owner)
        )
        self.retry_jitter_factor = check_jitter(given["retry_jitter_factor"], owner)

    @property
    def retries(self) -> int:
        """How many attempts may follow the first: as given, else as the settings say now."""
        return self.plan().retries

    @property
    def retry_delay_seconds(self) -> Delays:
        """How long to wait before a retry: as given, else as the settings say now."""
        return self.plan().delays

    def _keep_hooks(self, owner: str) -> None:
        self._hooks = {
            kind: check_hooks(self.options[kind], kind, owner) for kind in self.hook_kinds
        }

    def _add_hook(self, kind: str, fn: H) -> H:
        self._hooks[kind].extend(check_hooks([fn], kind, f"{self.noun} {self.name!r}"))
        self._plan = None
        return fn

    def on_running(self, fn: H) -> H:
        """Add a hook for the start of each attempt; usable as a decorator."""
        return self._add_hook("on_running", fn)

    def on_completion(self, fn: H) -> H:
        """Add a hook for completed runs; usable as a decorator."""
        return self._add_hook("on_completion", fn)

    def on_failure(self, fn: H) -> H:
        """Add a hook for failed runs; usable as a decorator."""
        return self._add_hook("on_failure", fn)

    def on_cancellation(self, fn: H) -> H:
        """Add a hook for cancelled runs; usable as a decorator."""
        return self._add_hook("on_cancellation", fn)

    def on_crashed(self, fn: H) -> H:
        """Add a hook for runs that were ended from outside; usable as a decorator."""
        return self._add_hook("on_crashed", fn)

    @property
    def on_running_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) at the start of each attempt."""
        return self._hooks["on_running"]

    @property
    def on_completion_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run has completed."""
        return self._hooks["on_completion"]

    @property
    def on_failure_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run has failed for good."""
        return self._hooks["on_failure"]

    @property
    def on_cancellation_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run was cancelled."""
        return self._hooks["on_cancellation"]

    @property
    def on_crashed_hooks(self) -> list[Hook]:
        """Called with (definition, run, state) when a run has crashed."""
        return self._hooks["on_crashed"]

    def hooks(self) -> dict[str, tuple[Hook, ...]]:
        """Return the hooks of each kind that has some."""
        return {kind: tuple(hooks) for kind, hooks in self._hooks.items() if hooks}

    def plan(self) -> Plan:
        """Return the resolved options; made anew when options or settings have changed."""
        now = settings.active()
        plan = self._plan
        if plan is None or self._plan_settings is not now:
            plan = self._plan = self._make_plan(now)
            self._plan_settings = now
        return plan

    def plan_under(self, now: settings.Settings) -> Plan:
        """Return the options resolved under settings that are not those in force here."""
        return self._make_plan(now)

    @abstractmethod
    def _make_plan(self, now: settings.Settings) -> Plan:
        """Resolve the options under these settings."""

    def _options_with(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with some replaced. Raises `TypeError` for an unknown name."""
        check_options(changes, self.noun, f"with_options() of {self.noun} {self.name!r}")
        given = {**self.options, **{kind: list(hooks) for kind, hooks in self._hooks.items()}}
        given.update({key: value for key, value in changes.items() if value is not NOT_SET})
        return given

    def _copy(self, options: dict[str, Any]) -> Self:
        """Return one like this with other options, all of them given."""
        make: Any = type(self)  # a subclass, which takes the function and its own options
        kind = staticmethod if self.isstaticmethod else classmethod if self.isclassmethod else None
        return make(kind(self.fn) if kind is not None else self.fn, **options)

    def _changed(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some options changed, which is what `with_options` does."""
        return self._copy(self._options_with(changes))

    # The first overload that fits counts. The state comes first; then what no signature allows:
    # futures in place of values, and options of the call. In the end the function's own signature,
    # which is the one that checkers quote when an argument does not fit.
    @overload
    def __call__(
        self: "Decorated[..., PrefectFuture[Any]]",
        *args: object,
        return_state: Literal[True],
        **kwargs: object,
    ) -> State: ...
    @overload
    def __call__(
        self: "Decorated[..., Awaitable[Any]]",
        *args: object,
        return_state: Literal[True],
        **kwargs: object,
    ) -> Coroutine[Any, Any, State]: ...
    @overload
    def __call__(self, *args: object, return_state: Literal[True], **kwargs: object) -> State: ...
    @overload
    def __call__(self, first: Later, /, *args: object, **kwargs: object) -> R_co: ...
    @overload
    def __call__(
        self, first: object, second: Later, /, *args: object, **kwargs: object
    ) -> R_co: ...
    @overload
    def __call__(self, *args: object, return_state: Literal[False], **kwargs: object) -> R_co: ...
    @overload
    def __call__(self, *args: object, return_state: bool, **kwargs: object) -> Any: ...
    @overload
    def __call__(self, *args: object, wait_for: Any, **kwargs: object) -> R_co: ...
    @overload
    def __call__(self: "Flow[..., PrefectFuture[T]]", *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    def __call__(
        self: "Flow[..., list[PrefectFuture[T]]]", *args: P.args, **kwargs: P.kwargs
    ) -> list[T]: ...
    @overload
    def __call__(
        self: "Flow[..., Awaitable[PrefectFuture[T]]]", *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self: "Flow[..., Awaitable[list[PrefectFuture[T]]]]", *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def __call__(self: "Member[..., R_co, Q]", *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here; a coroutine function gives an awaitable.

        `return_state=True` gives the final state instead of the value; `wait_for=` takes futures
        that must complete first. Raises the user's own exception, for a flow also that of a failed
        run it returned; before any run exists `ParameterBindError` if the arguments do not fit, for
        a flow `ParameterTypeError` if they are of other types; and `UpstreamTaskError` if an input
        failed.
        """
        __tracebackhide__ = True
        return_state, wait_for = take_call_options(kwargs) if kwargs else (False, None)
        if self.isgenerator:
            return call_stream(self, args, kwargs, wait_for, return_state)
        if self.isasync:
            return call_async(self, args, kwargs, wait_for, return_state)
        return call_here(self, args, kwargs, wait_for, return_state)

    def _reached_through(self, instance: Any, owner: Any) -> Any:
        """Return what an attribute of a class is for an instance, or for the class."""
        if self.isstaticmethod:
            return self
        if self.isclassmethod:
            return self._bind(owner if owner is not None else type(instance))
        return self if instance is None else self._bind(instance)

    def _all(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the positional arguments of the function for those of a call."""
        return args

    @abstractmethod
    def _bind(self, instance: Any) -> Any:
        """Return one that gets the instance as its first argument."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return mimebundle(self)


class Member(Decorated[Q, R_co], Generic[Q, R_co, P]):
    """For type checkers only: a method whose kind they cannot tell, so both ways to call it fit.

    Its arguments are those of `P`, the function's own, or of `Q`, which lacks the first.
    """


class Nobody:
    """For type checkers only: what no method takes as its first parameter.

    pyright turns `Concatenate[Nobody, Q]` down, unless that parameter takes anything, and goes on
    to compare it with the class. mypy, which does not compare, takes every method to be a `Member`.
    """


def take_call_options(kwargs: Any) -> tuple[bool, Any]:
    """Take the two keywords that are cellist's own out of a call's keywords."""
    if not kwargs:
        return False, None
    return kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
