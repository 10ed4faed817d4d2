"""Tasks: plain functions whose runs are recorded, cached, retried and watched.

    @task(retries=3, retry_delay_seconds=[1, 5, 20])
    def fetch(url): ...

    fetch(url)             runs here and returns the value
    fetch.submit(url)      returns a future at once
    fetch.map(urls)        a future for each element
    fetch.fn(url)          the plain function, with nothing of cellist around it

A `Task` is immutable; `with_options` gives a changed copy.
"""

import functools
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast, overload

from cellist import settings
from cellist.cache_policies import DEFAULT, NONE, CacheKeyFnPolicy, CachePolicy
from cellist.calling import call_async, call_here, submit
from cellist.definitions import (
    check_callable,
    check_hooks,
    check_run_name,
    check_seconds,
    check_tags,
    default_name,
    is_async_function,
    is_generator_function,
    naming_for,
    qualified_name,
    shape_of,
    source_text,
)
from cellist.engine.plan import Plan
from cellist.futures import PrefectFuture, PrefectFutureList
from cellist.mapping import spread
from cellist.model.annotations import NOT_SET, unmapped
from cellist.model.reasons import Reason
from cellist.model.retries import check_delays, check_jitter, check_retries, exponential_backoff
from cellist.model.states import State
from cellist.results import CachePlan
from cellist.taskkeys import storage_key_for, task_input_hash, task_key_of

P = ParamSpec("P")
R = TypeVar("R")

_OFF = {
    code: Reason("off", code, f"ran: {text}")
    for code, text in {
        "no_cache": "caching is off (cache_policy=NO_CACHE)",
        "disabled": "caching is off (CELLIST_TASKS_DISABLE_CACHING)",
        "default_off": "caching is off (CELLIST_TASKS_DEFAULT_NO_CACHE)",
        "not_persisted": "caching is off (persist_result=False)",
        "generator": "it is a generator, which is not cached",
    }.items()
}


class Task(Generic[P, R]):
    """A function whose runs are recorded, cached, retried and watched. Made by `@task`."""

    def __init__(
        self,
        fn: Callable[P, R],
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_policy: Any = NOT_SET,
        cache_key_fn: Callable[[Any, dict[str, Any]], Any] | None = None,
        cache_expiration: timedelta | float | None = None,
        task_run_name: Any = None,
        retries: int | None = None,
        retry_delay_seconds: Any = None,
        retry_jitter_factor: float | None = None,
        persist_result: Any = NOT_SET,
        result_storage: Any = None,
        result_serializer: Any = None,
        result_storage_key: str | None = None,
        cache_result_in_memory: bool = True,
        timeout_seconds: float | timedelta | None = None,
        log_prints: bool | None = False,
        refresh_cache: bool | None = None,
        on_completion: Any = None,
        on_failure: Any = None,
        on_running: Any = None,
        on_rollback: Any = None,
        on_commit: Any = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        viz_return_value: Any = None,
    ) -> None:
        options = {key: value for key, value in locals().items() if key not in ("self", "fn")}
        self.isstaticmethod = isinstance(fn, staticmethod)
        self.isclassmethod = isinstance(fn, classmethod)
        plain: Any = fn.__func__ if isinstance(fn, (staticmethod, classmethod)) else fn
        check_callable(plain, "task")
        self._options = options
        self.fn: Callable[P, R] = plain
        owner = f"task {name or default_name(plain)!r}"
        self.name: str = name or default_name(plain)
        self.description = description if description is not None else plain.__doc__
        self._tags = check_tags(tags, owner)
        self.version = version
        self.isasync = is_async_function(plain)
        self.isgenerator = is_generator_function(plain)
        self.identity = qualified_name(plain)
        self._shape = shape_of(plain, "task")
        self._init_retries(owner)
        self._init_cache(owner)
        self.timeout_seconds = check_seconds(timeout_seconds, "timeout_seconds", owner)
        self.task_run_name = check_run_name(task_run_name, "task_run_name", owner)
        self.log_prints = log_prints
        self.viz_return_value = viz_return_value
        self._hooks = {
            kind: check_hooks(options[kind], kind, owner)
            for kind in ("on_running", "on_completion", "on_failure", "on_rollback", "on_commit")
        }
        self._plan: Plan | None = None
        self._plan_settings: Any = None
        functools.update_wrapper(self, plain, updated=())

    def _init_retries(self, owner: str) -> None:
        given = self._options
        retries = given["retries"]
        self.retries = None if retries is None else check_retries(retries, owner)
        delays = given["retry_delay_seconds"]
        self.retry_delay_seconds = (
            None if delays is None else check_delays(delays, self.retries or 0, owner)
        )
        self.retry_jitter_factor = check_jitter(given["retry_jitter_factor"], owner)
        self.retry_condition_fn = given["retry_condition_fn"]
        if self.retry_condition_fn is not None and not callable(self.retry_condition_fn):
            kind = type(self.retry_condition_fn).__name__
            message = f"Expected `retry_condition_fn` of {owner} to be callable, got {kind}."
            raise TypeError(message)

    def _init_cache(self, owner: str) -> None:
        given = self._options
        policy = given["cache_policy"]
        if not (policy is NOT_SET or policy is None or isinstance(policy, CachePolicy)):
            message = (
                f"`cache_policy` of {owner} must be a cache policy such as INPUTS + TASK_SOURCE, "
                f"or None, got {policy!r:.60}."
            )
            raise TypeError(message)
        self.cache_key_fn = given["cache_key_fn"]
        if self.cache_key_fn is not None:
            policy = CacheKeyFnPolicy(cache_key_fn=self.cache_key_fn)
        self._explicit_policy = policy is not NOT_SET
        self.cache_policy: CachePolicy | None = DEFAULT if policy is NOT_SET else policy
        self.cache_expiration = given["cache_expiration"]
        self._expiration = check_seconds(given["cache_expiration"], "cache_expiration", owner)
        self.refresh_cache = given["refresh_cache"]
        persist = given["persist_result"]
        self.persist_result = None if persist is NOT_SET else persist
        self.result_storage = given["result_storage"]
        self.result_serializer = given["result_serializer"]
        self.result_storage_key = given["result_storage_key"]
        self.cache_result_in_memory = given["cache_result_in_memory"]

    @property
    def tags(self) -> set[str]:
        """The tags every run of the task gets."""
        return set(self._tags)

    @property
    def key(self) -> str:
        """What identifies the task across kernels: its qualified name and a digest of its code."""
        return task_key_of(self)

    @property
    def task_key(self) -> str:
        """What identifies the task across kernels: its qualified name and a digest of its code."""
        return task_key_of(self)

    @property
    def source_code(self) -> str | None:
        """The source text of the function, as far as it is known."""
        return source_text(self.fn)

    @property
    def on_completion_hooks(self) -> list[Callable[..., Any]]:
        """Called with (task, task_run, state) when a run has completed."""
        return self._hooks["on_completion"]

    @property
    def on_failure_hooks(self) -> list[Callable[..., Any]]:
        """Called with (task, task_run, state) when a run has failed for good."""
        return self._hooks["on_failure"]

    @property
    def on_running_hooks(self) -> list[Callable[..., Any]]:
        """Called with (task, task_run, state) at the start of each attempt."""
        return self._hooks["on_running"]

    def on_completion(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Add a hook for completed runs; usable as a decorator."""
        return self._add_hook("on_completion", fn)

    def on_failure(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Add a hook for failed runs; usable as a decorator."""
        return self._add_hook("on_failure", fn)

    def on_running(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Add a hook for the start of each attempt; usable as a decorator."""
        return self._add_hook("on_running", fn)

    def _add_hook(self, kind: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        self._hooks[kind].extend(check_hooks([fn], kind, f"task {self.name!r}"))
        self._plan = None
        return fn

    def plan(self) -> Plan:
        """Return the resolved options; made anew when options or settings have changed."""
        now = settings.active()
        if self._plan is None or self._plan_settings is not now:
            self._plan = self._make_plan(now)
            self._plan_settings = now
        return self._plan

    def _make_plan(self, now: settings.Settings) -> Plan:
        retries = now.tasks_default_retries if self.retries is None else self.retries
        delays = self.retry_delay_seconds
        if delays is None:
            delays = now.tasks_default_retry_delay_seconds
        elif callable(self._options["retry_delay_seconds"]) and self.retries is None:
            delays = check_delays(self._options["retry_delay_seconds"], retries, self.name)
        hooks = {kind: tuple(hooks) for kind, hooks in self._hooks.items() if hooks}
        return Plan(
            self.fn,
            self._shape,
            is_async=self.isasync,
            retries=retries,
            delays=delays,
            jitter=self.retry_jitter_factor,
            condition=self.retry_condition_fn,
            timeout=self.timeout_seconds,
            hooks=hooks,
            naming=naming_for(self.task_run_name, "task_run_name"),
            cache=self._cache_plan(now),
            tags=self._tags,
            log_prints=self.log_prints,
        )

    def _cache_plan(self, now: settings.Settings) -> CachePlan | Reason:
        if now.tasks_disable_caching:
            return _OFF["disabled"]
        if self.isgenerator:
            return _OFF["generator"]
        if self.persist_result is False:
            return _OFF["not_persisted"]
        if not self._explicit_policy and now.tasks_default_no_cache:
            return _OFF["default_off"]
        policy = self.cache_policy
        storage_key = storage_key_for(self.result_storage_key)
        if storage_key is None and (policy is None or policy == NONE):
            return _OFF["no_cache"]
        refresh = self.refresh_cache
        return CachePlan(
            self.fn,
            self.identity,
            policy or NONE,
            explicit=self._explicit_policy or storage_key is not None,
            expiration=self._expiration,
            refresh=now.tasks_refresh_cache if refresh is None else refresh,
            storage_key=storage_key,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task here; a coroutine function gives an awaitable.

        `return_state=True` gives the final state instead of the value; `wait_for=` takes futures
        that must complete first. Raises the user's own exception, `ParameterBindError` before any
        run exists if the arguments do not fit, and `UpstreamTaskError` if an input failed.
        """
        __tracebackhide__ = True
        return_state, wait_for = _take(kwargs)
        if self.isasync:
            return cast("R", call_async(self, args, kwargs, wait_for, return_state))
        return call_here(self, args, kwargs, wait_for, return_state)

    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[R]: ...
    @overload
    def submit(self, *args: Any, **kwargs: Any) -> PrefectFuture[R]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Start a run and return its future at once.

        Futures among the arguments are waited for without holding a thread. `wait_for=` takes
        more of them. With `return_state=True` the call waits and returns the final state.
        """
        return_state, wait_for = _take(kwargs)
        future = submit(self, args, kwargs, wait_for)
        if return_state:
            future.wait()
            return future.state
        return future

    def map(self, *args: Any, **kwargs: Any) -> PrefectFutureList | list[State]:
        """Start a run for each element of the iterable arguments and return their futures.

        `unmapped(x)` passes the same value to every run, and so do strings and other values that
        cannot be iterated. Raises `MappingMissingIterable` and `MappingLengthMismatch`.
        """
        return_state, wait_for = _take(kwargs)
        futures = self._map(args, kwargs, wait_for, None)
        if return_state:
            futures.wait()
            return futures.state
        return futures

    def _map(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, runner: Any
    ) -> PrefectFutureList:
        runs, upstream = spread(self._shape, args, kwargs, self.name)
        if upstream:
            wait_for = [*upstream, wait_for] if wait_for is not None else upstream
        futures = PrefectFutureList()
        for parameters in runs:
            call_args, call_kwargs = self._shape.call_of(parameters)
            futures.append(submit(self, call_args, call_kwargs, wait_for, runner))
        return futures

    def submit_to(
        self, runner: Any, parameters: dict[str, Any], wait_for: Any
    ) -> PrefectFuture[Any]:
        """Start a run on a task runner, with parameters by name."""
        args, kwargs = self._shape.call_of(parameters)
        return submit(self, args, kwargs, wait_for, runner)

    def map_to(self, runner: Any, parameters: dict[str, Any], wait_for: Any) -> PrefectFutureList:
        """Start a run for each element on a task runner, with parameters by name."""
        args, kwargs = self._shape.call_of(parameters)
        return self._map(args, kwargs, wait_for, runner)

    def with_options(self, **options: Any) -> Self:
        """Return a copy with some options changed; any option of `@task` can be given.

        What is given replaces, also `None`, `0` and empty lists. Raises `TypeError` for a name
        that is not an option.
        """
        unknown = [name for name in options if name not in self._options]
        if unknown:
            message = (
                f"with_options() of task {self.name!r} got {', '.join(map(repr, unknown))}; "
                f"the options are {', '.join(sorted(self._options))}."
            )
            raise TypeError(message)
        given = {key: value for key, value in self._options.items()}
        for kind, hooks in self._hooks.items():
            given[kind] = list(hooks)
        given.update({key: value for key, value in options.items() if value is not NOT_SET})
        fn: Any = self.fn
        if self.isstaticmethod:
            fn = staticmethod(fn)
        return type(self)(fn, **given)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return the task bound to an instance or class, as functions are."""
        if self.isstaticmethod:
            return self
        if self.isclassmethod:
            return BoundTask(self, owner if owner is not None else type(instance))
        if instance is None:
            return self
        return BoundTask(self, instance)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


class BoundTask(Task[P, R]):
    """A task with its first argument, the instance or class it was reached through."""

    def __init__(self, base: Task[Any, R], instance: Any) -> None:
        self.__dict__.update(base.__dict__)
        self._base = base
        self._instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Run the task with the instance as its first argument."""
        __tracebackhide__ = True
        return self._base(self._instance, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submit the task with the instance as its first argument."""
        return self._base.submit(self._instance, *args, **kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Map the task with the instance as the first argument of every run."""
        return self._base.map(unmapped(self._instance), *args, **kwargs)

    def with_options(self, **options: Any) -> Self:
        """Return a bound copy with some options changed."""
        return cast("Self", BoundTask(self._base.with_options(**options), self._instance))


def _take(kwargs: Any) -> tuple[bool, Any]:
    """Take the two keywords that are cellist's own out of a call's keywords."""
    if not kwargs:
        return False, None
    return kwargs.pop("return_state", False), kwargs.pop("wait_for", None)


@overload
def task(__fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    __fn: None = None,
    /,
    *,
    name: str | None = ...,
    description: str | None = ...,
    tags: Iterable[str] | None = ...,
    version: str | None = ...,
    cache_policy: CachePolicy | None = ...,
    cache_key_fn: Callable[[Any, dict[str, Any]], Any] | None = ...,
    cache_expiration: timedelta | float | None = ...,
    task_run_name: str | Callable[..., str] | None = ...,
    retries: int | None = ...,
    retry_delay_seconds: float | list[float] | Callable[[int], list[float]] | None = ...,
    retry_jitter_factor: float | None = ...,
    persist_result: bool | None = ...,
    result_storage: Any = ...,
    result_serializer: Any = ...,
    result_storage_key: str | None = ...,
    cache_result_in_memory: bool = ...,
    timeout_seconds: float | timedelta | None = ...,
    log_prints: bool | None = ...,
    refresh_cache: bool | None = ...,
    on_completion: list[Callable[..., Any]] | None = ...,
    on_failure: list[Callable[..., Any]] | None = ...,
    on_running: list[Callable[..., Any]] | None = ...,
    on_rollback: list[Callable[..., Any]] | None = ...,
    on_commit: list[Callable[..., Any]] | None = ...,
    retry_condition_fn: Callable[..., Any] | None = ...,
    viz_return_value: Any = ...,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
@overload
def task(__fn: Callable[P, R], /, **options: Any) -> Task[P, R]: ...
def task(__fn: Any = None, /, **options: Any) -> Any:
    """Make a function a task. Use bare, with options, or as a function: `task(fn, retries=2)`.

    The options and what they mean:

    - `name`, `description` (default: the docstring), `tags`, `version`: what records show.
    - `retries`, `retry_delay_seconds` (number, list or function of the number of retries),
      `retry_jitter_factor`, `retry_condition_fn(task, task_run, state)`.
    - `timeout_seconds`: limit for each attempt.
    - `cache_policy`, `cache_key_fn(context, parameters)`, `cache_expiration`, `refresh_cache`.
    - `task_run_name`: template over the parameters, or a function.
    - `on_running`, `on_completion`, `on_failure`: lists of hooks `(task, task_run, state)`.
    - `log_prints`: whether prints go to the run's log.

    Raises `TypeError` or `ValueError` for an option that cannot be used, naming it, and
    `ReservedArgumentError` for a parameter called `return_state` or `wait_for`.
    """
    options.setdefault("log_prints", None)
    if __fn is None:
        return functools.partial(task, **options)
    return Task(__fn, **options)


__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]
