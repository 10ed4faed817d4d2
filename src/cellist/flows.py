"""Flows: functions that call tasks. A flow run owns what it starts and waits for it.

    @flow
    def crawl(urls):
        pages = fetch.map(urls)
        return clean.map(pages)

Parameters are validated and coerced by their annotations. A flow fails if its body raises or if a
run it returns has failed; futures in its return value are replaced by their values.
"""

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Self, TypeVar, Unpack, cast, overload

from cellist.classmethods import expect_classmethod
from cellist.compat import Absent
from cellist.decorated import Decorated, H, Member, Nobody, P, Q, R, R_co
from cellist.definitions import (
    bare,
    check_callable,
    check_run_name,
    check_seconds,
    check_text,
    collecting,
    default_name,
    is_async_function,
    is_generator_function,
    naming_for,
    qualified_name,
    shape_of,
)
from cellist.engine.plan import Plan
from cellist.exceptions import InvalidNameError
from cellist.model.annotations import NOT_SET
from cellist.model.later import later
from cellist.model.reasons import Reason
from cellist.options import FLOW_DEFAULTS, FlowOptions, check_options, complete, spell_out
from cellist.schemas import jsonable, parameter_schema
from cellist.settings import Settings
from cellist.task_plans import delays_of, keep_options, keeping_of
from cellist.task_runners import TaskRunner, ThreadPoolTaskRunner
from cellist.taskkeys import source_digest
from cellist.validation import make_validator, words

if TYPE_CHECKING:
    from cellist import visualize as drawn
else:
    drawn = later("cellist.visualize", globals(), "drawn")

X = TypeVar("X")

_NOT_IN_NAMES = "/%&><"
_FLOW_NOT_CACHED = Reason("off", "flow", "ran: flows are not cached, their tasks are")


class Flow(Decorated[P, R_co]):
    """A function that calls tasks, run as one whole. Made by `@flow`."""

    noun = "flow"
    if not TYPE_CHECKING:  # for a checker they are simply not there
        deploy, adeploy, serve, aserve = Absent(), Absent(), Absent(), Absent()
        to_deployment, ato_deployment, from_source = Absent(), Absent(), Absent()

    @spell_out(FlowOptions, FLOW_DEFAULTS)
    def __init__(self, fn: Callable[P, R_co], **options: Unpack[FlowOptions]) -> None:
        given = complete(options, FLOW_DEFAULTS, "flow")
        self._keep(given)
        self.isstaticmethod = isinstance(fn, staticmethod)
        self.isclassmethod = isinstance(fn, classmethod)
        plain = bare(fn)
        check_callable(plain, "flow")
        self.fn: Callable[P, R_co] = plain
        self.name = _check_name(given["name"], plain)
        owner = f"flow {self.name!r}"
        description = check_text(given["description"], "description", owner)
        self.description = description if description is not None else inspect.getdoc(plain)
        self._version = check_text(given["version"], "version", owner)
        self.isasync = is_async_function(plain)
        self.isgenerator = is_generator_function(plain)
        self.identity = qualified_name(plain)
        self.shape = shape_of(plain, "flow", self.name)
        self.flow_run_name = check_run_name(given["flow_run_name"], "flow_run_name", owner)
        self._keep_retries(owner)
        self.task_runner = _check_runner(given["task_runner"], owner)
        limit = check_seconds(given["timeout_seconds"], "timeout_seconds", owner)
        self.timeout_seconds = limit or None  # 0 is no limit
        self.should_validate_parameters: bool = given["validate_parameters"]
        keep_options(self, given, owner)
        self.log_prints: bool | None = given["log_prints"]
        self._keep_hooks(owner)
        self._validator = make_validator(self.shape.signature, plain, self.name)
        functools.update_wrapper(self, plain, updated=())
        expect_classmethod(self)

    @property
    def version(self) -> str | None:
        """The version given, else a digest of the flow's code and what it reaches."""
        return self._version if self._version is not None else source_digest(self.fn)

    @property
    def key(self) -> str:
        """What identifies the flow across kernels: its name."""
        return self.name

    @spell_out(FlowOptions, dict.fromkeys(FLOW_DEFAULTS, NOT_SET))
    def with_options(self, **options: Unpack[FlowOptions]) -> Self:
        """Return a copy with some options changed; any option of the decorator can be given.

        What is given replaces, also `None`, `0` and empty lists. Raises `TypeError` for a name
        that is not an option.
        """
        return self._changed(options)

    def _make_plan(self, now: Settings) -> Plan:
        retries = now.flows_default_retries if self.own_retries is None else self.own_retries
        default = now.flows_default_retry_delay_seconds
        return Plan(
            collecting(self.fn),
            self.shape,
            is_async=self.isasync,
            is_flow=True,
            retries=retries,
            delays=delays_of(self, retries, self.own_delays, default),
            jitter=self.retry_jitter_factor,
            timeout=self.timeout_seconds,
            hooks=self.hooks(),
            naming=naming_for(self.flow_run_name, "flow_run_name") or (lambda _: words()),
            prepare=self._prepare,
            cache=_FLOW_NOT_CACHED,
            log_prints=self.log_prints,
            generator=self.fn if self.isgenerator else None,
            keeping=keeping_of(self),
        )

    def _prepare(self, x: Any) -> None:
        """Validate and coerce the arguments of a run and note its parameters."""
        bound = x.bound()
        if self.should_validate_parameters and bound:
            validated = self._validator(bound)
            if any(validated[name] is not bound[name] for name in bound):
                x.args, x.kwargs = self.shape.call_of(validated)
            bound = validated
        x.run.parameters = bound
        if x.parent is None and x.services is not None:  # there is none in a rehearsal
            x.services.keep_call(x, bound)

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the flow's parameters."""
        return parameter_schema(self.shape.signature, self.fn)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as JSON knows them.

        A value that JSON cannot hold is replaced by the name of its type in angle brackets.
        """
        return {name: jsonable(value) for name, value in parameters.items()}

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters coerced by the flow's annotations.

        Raises `ParameterTypeError` naming each parameter that does not fit.
        """
        return self._validator(parameters)

    def visualize(self, *args: Any, **kwargs: Any) -> "drawn.Visualization":
        """Draw what the flow would call, and show the picture in a notebook.

        The flow is called with these arguments, but its tasks and subflows do not run: each gives
        its `viz_return_value`, else a placeholder. The rest of its code takes effect as ever.
        Raises what that code raises and what a call with such arguments raises, and
        `FlowVisualizationError` if the code must know the value of a placeholder.
        """
        __tracebackhide__ = True
        return drawn.visualize(self, self._all(args), kwargs).show()

    async def avisualize(self, *args: Any, **kwargs: Any) -> "drawn.Visualization":
        """Do what `visualize` does; an async flow runs on the event loop of the caller."""
        __tracebackhide__ = True
        return (await drawn.avisualize(self, self._all(args), kwargs)).show()

    def generate_mermaid_graph(self, *args: Any, **kwargs: Any) -> "drawn.AwaitableText":
        """Return what `visualize` draws as the text of a Mermaid flowchart.

        The text may be awaited as well, which gives itself.
        """
        __tracebackhide__ = True
        return drawn.AwaitableText(drawn.visualize(self, self._all(args), kwargs).mermaid)

    async def agenerate_mermaid_graph(self, *args: Any, **kwargs: Any) -> str:
        """Do what `generate_mermaid_graph` does, as `avisualize` does."""
        __tracebackhide__ = True
        return (await drawn.avisualize(self, self._all(args), kwargs)).mermaid

    @overload
    def __get__(
        self: "Flow[Concatenate[Nobody, Q], R_co]", instance: object, owner: Any = None
    ) -> "FlowMember[Q, R_co, P]": ...
    @overload
    def __get__(
        self: "Flow[Concatenate[X, Q], R_co]", instance: object, owner: X
    ) -> "Flow[Q, R_co]": ...
    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(
        self: "Flow[Concatenate[X, Q], R_co]", instance: X, owner: Any = None
    ) -> "Flow[Q, R_co]": ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the flow bound to an instance or class, as functions are."""
        return self._reached_through(instance, owner)

    def _bind(self, instance: Any) -> "BoundFlow[..., R_co]":
        return BoundFlow(self, instance)


class FlowMember(Member[Q, R_co, P], Flow[Q, R_co]):
    """For type checkers only, see `Member`."""


class BoundFlow(Flow[P, R_co]):
    """A flow with its first argument, the instance or class it was reached through."""

    def __init__(self, base: Flow[..., R_co], instance: Any) -> None:
        vars(self).update(vars(base))
        self._base = base
        self._instance = instance
        self.__wrapped__ = MethodType(base.fn, instance)  # whose signature is that of a call

    def _add_hook(self, kind: str, fn: H) -> H:
        return self._base._add_hook(kind, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow with the instance as its first argument."""
        __tracebackhide__ = True
        base: Any = self._base
        return base(self._instance, *args, **kwargs)

    def _all(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._instance, *args)

    def _copy(self, options: dict[str, Any]) -> Self:
        return cast("Self", BoundFlow(self._base._copy(options), self._instance))


def _check_name(name: Any, fn: Any) -> str:
    if name is not None and not isinstance(name, str):
        message = (
            f"Expected string for flow parameter 'name'; got {type(name).__name__} instead. "
            f"Perhaps you meant to call it? e.g. '@flow(name=get_flow_run_name())'"
        )
        raise TypeError(message)
    if not name:
        name = default_name(fn).replace("_", "-")
        return "unknown-lambda" if name == "<lambda>" else name
    bad = [letter for letter in _NOT_IN_NAMES if letter in name]
    if bad:
        message = f"Flow name {name!r} contains characters that are not allowed: {' '.join(bad)}"
        raise InvalidNameError(message)
    return name


def _check_runner(runner: Any, owner: str) -> TaskRunner:
    if runner is None:
        return ThreadPoolTaskRunner()
    made = runner() if isinstance(runner, type) else runner
    if not isinstance(made, TaskRunner):
        message = (
            f"`task_runner` of {owner} must be a task runner such as ThreadPoolTaskRunner(), from "
            f"cellist.task_runners, got {made!r:.60}."
        )
        raise TypeError(message)
    return made


@overload
def flow(__fn: Callable[P, R], /, **options: Unpack[FlowOptions]) -> Flow[P, R]: ...
@overload
def flow(**options: Unpack[FlowOptions]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
@spell_out(FlowOptions, FLOW_DEFAULTS)
def flow(__fn: Any = None, /, **options: Any) -> Any:
    """Make a function a flow. Use bare, with options, or as a function: `flow(fn, retries=2)`.

    - `name` (default: the function's, with `-` for `_`), `description`, `version`.
    - `flow_run_name`: template over the parameters, or a function; default two words.
    - `retries`, `retry_delay_seconds`, `retry_jitter_factor`, `timeout_seconds`.
    - `task_runner`: where submitted tasks run, an instance or a class.
    - `persist_result`, `result_storage`, `result_serializer`, `cache_result_in_memory`: for the
      tasks and flows called inside that do not say so themselves.
    - `validate_parameters`: coerce arguments by their annotations (on by default).
    - `on_running`, `on_completion`, `on_failure`, `on_cancellation`, `on_crashed`: lists of hooks
      called with (flow, flow_run, state).

    Raises `TypeError`, `ValueError` or `InvalidNameError` for options that cannot be used.
    """
    check_options(options, "flow")
    if __fn is None:
        return functools.partial(flow, **options)
    return Flow(__fn, **options)


__all__ = ["Flow", "flow"]
