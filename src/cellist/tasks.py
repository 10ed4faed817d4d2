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
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import MethodType
from typing import Any, Concatenate, Literal, Self, TypeVar, Unpack, cast, overload

from cellist.cache_policies import DEFAULT, NO_CACHE, NONE, CacheKeyFnPolicy, CachePolicy
from cellist.calling import submit
from cellist.classmethods import expect_classmethod
from cellist.decorated import Decorated, H, Hook, Member, Nobody, P, Q, R, R_co, take_call_options
from cellist.definitions import (
    bare,
    check_callable,
    check_condition,
    check_run_name,
    check_seconds,
    check_tags,
    check_text,
    is_async_function,
    is_generator_function,
    qualified_name,
    shape_of,
    source_text,
    task_name,
)
from cellist.dependencies import keep_key_options
from cellist.engine.execution import current
from cellist.engine.plan import Plan
from cellist.explaining import Explained
from cellist.futures import PrefectFuture, PrefectFutureList
from cellist.mapping import spread
from cellist.model.annotations import NOT_SET, unmapped
from cellist.model.retries import exponential_backoff
from cellist.model.states import State
from cellist.options import TASK_DEFAULTS, TaskOptions, check_options, complete, spell_out
from cellist.rehearsal import Rehearsal
from cellist.settings import Settings
from cellist.task_plans import keep_options, plan_of_task
from cellist.taskkeys import task_input_hash, task_key_of
from cellist.worker.deferring import Deferring

T = TypeVar("T")
X = TypeVar("X")

_log = logging.getLogger("cellist")


class Task(Decorated[P, R_co], Explained, Deferring):
    """A function whose runs are recorded, cached, retried and watched. Made by `@task`."""

    noun = "task"
    hook_kinds = (*Decorated.hook_kinds, "on_commit", "on_rollback")
    ismethod = False

    @spell_out(TaskOptions, {**TASK_DEFAULTS, "log_prints": False})
    def __init__(self, fn: Callable[P, R_co], **options: Unpack[TaskOptions]) -> None:
        options.setdefault("log_prints", False)
        given = complete(options, TASK_DEFAULTS, "task")
        self._keep(given)
        self.isstaticmethod = isinstance(fn, staticmethod)
        self.isclassmethod = isinstance(fn, classmethod)
        plain = bare(fn)
        check_callable(plain, "task")
        self.fn: Callable[P, R_co] = plain
        self.name: str = task_name(given["name"], plain)
        owner = f"task {self.name!r}"
        description = check_text(given["description"], "description", owner)
        self.description = description if description is not None else inspect.getdoc(plain)
        self._tags = check_tags(given["tags"], owner)
        self.version = check_text(given["version"], "version", owner)
        self.isasync = is_async_function(plain)
        self.isgenerator = is_generator_function(plain)
        self.identity = qualified_name(plain)
        self.shape = shape_of(plain, "task", self.name)
        self._keep_retries(owner)
        self.retry_condition_fn = check_condition(given["retry_condition_fn"], owner)
        self._init_cache(owner)
        limit = check_seconds(given["timeout_seconds"], "timeout_seconds", owner)
        self.timeout_seconds = limit or None  # 0 is no limit
        self.task_run_name = check_run_name(given["task_run_name"], "task_run_name", owner)
        self.log_prints: bool | None = given["log_prints"]
        viz = given["viz_return_value"]
        self.viz_return_value = None if viz is NOT_SET else viz
        self._keep_hooks(owner)
        functools.update_wrapper(self, plain, updated=())
        expect_classmethod(self)

    def _init_cache(self, owner: str) -> None:
        given = self.options
        policy = given["cache_policy"]
        if not (policy is NOT_SET or policy is None or isinstance(policy, CachePolicy)):
            message = (
                f"`cache_policy` of {owner} must be a cache policy such as INPUTS + TASK_SOURCE, "
                f"or None, got {policy!r:.60}."
            )
            raise TypeError(message)
        self.cache_key_fn = given["cache_key_fn"]
        if self.cache_key_fn is not None:
            if isinstance(policy, CachePolicy):
                _log.warning(
                    "Both `cache_policy` and `cache_key_fn` are set on %s; the latter wins.", owner
                )
            policy = CacheKeyFnPolicy(cache_key_fn=self.cache_key_fn)
        self.explicit_policy = policy is not NOT_SET
        """Whether the user chose the policy."""
        self.cache_policy: CachePolicy | None = DEFAULT if policy is NOT_SET else policy
        keep_key_options(self, given, owner)
        self.cache_expiration = given["cache_expiration"]
        self.expiration = check_seconds(given["cache_expiration"], "cache_expiration", owner)
        self.refresh_cache, self.replay = given["refresh_cache"], given["replay"]
        self._init_storage(owner, isinstance(policy, CachePolicy) and policy != NONE)

    def _init_storage(self, owner: str, has_policy: bool) -> None:
        self.result_storage_key = self.options["result_storage_key"]
        keep_options(self, self.options, owner)
        if self.persist_result is None and (has_policy or self.result_storage_key is not None):
            self.persist_result = True  # who says how to cache wants it
        if self.persist_result is False:
            if has_policy:
                _log.warning("`persist_result=False` turns off the `cache_policy` of %s.", owner)
            self.cache_policy = NO_CACHE
        elif self.result_storage_key is not None:
            self.cache_policy = None  # the storage key is the key

    @property
    def tags(self) -> set[str]:
        """The tags every run of the task gets."""
        return set(self._tags)

    @property
    def key(self) -> str:
        """What identifies the task across kernels: its qualified name and a digest of its code."""
        return task_key_of(self)

    task_key = key

    @property
    def source_code(self) -> str | None:
        """The source text of the function, as far as it is known."""
        return source_text(self.fn)

    def on_commit(self, fn: H) -> H:
        """Add a hook for runs that are committed; usable as a decorator."""
        return self._add_hook("on_commit", fn)

    def on_rollback(self, fn: H) -> H:
        """Add a hook that undoes what a run did; usable as a decorator."""
        return self._add_hook("on_rollback", fn)

    @property
    def on_commit_hooks(self) -> list[Hook]:
        """Called with the transaction of a run, before its result is stored."""
        return self._hooks["on_commit"]

    @property
    def on_rollback_hooks(self) -> list[Hook]:
        """Called with the transaction of a run in reverse order, to undo what it did."""
        return self._hooks["on_rollback"]

    @spell_out(TaskOptions, dict.fromkeys(TASK_DEFAULTS, NOT_SET))
    def with_options(self, **options: Unpack[TaskOptions]) -> Self:
        """Return a copy with some options changed; any option of the decorator can be given.

        What is given replaces, also `None`, `0` and empty lists. Raises `TypeError` for a name
        that is not an option.
        """
        return self._changed(options)

    def _make_plan(self, now: Settings) -> Plan:
        return plan_of_task(self, now)

    @overload
    def submit(  # pyright: ignore[reportOverlappingOverload] - the first that fits counts
        self, *args: object, return_state: Literal[True], **kwargs: object
    ) -> State: ...
    @overload
    def submit(
        self: "Task[..., Awaitable[T]]", *args: object, **kwargs: object
    ) -> PrefectFuture[T]: ...
    @overload
    def submit(
        self: "Task[..., Generator[T, Any, Any]]", *args: object, **kwargs: object
    ) -> PrefectFuture[list[T]]: ...
    @overload
    def submit(
        self: "Task[..., AsyncIterator[T]]", *args: object, **kwargs: object
    ) -> PrefectFuture[list[T]]: ...
    @overload
    def submit(
        self: "Task[..., Iterator[Any]]", *args: object, **kwargs: object
    ) -> PrefectFuture[Any]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[R_co]: ...
    @overload
    def submit(self, *args: object, **kwargs: object) -> PrefectFuture[R_co]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Start a run and return its future at once.

        Futures among the arguments are waited for without holding a thread. `wait_for=` takes
        more of them. With `return_state=True` the call waits and returns the final state.
        """
        return_state, wait_for = take_call_options(kwargs) if kwargs else (False, None)
        future = submit(self, args, kwargs, wait_for)
        if return_state:
            future.wait()
            return future.state
        return future

    @overload
    def map(  # pyright: ignore[reportOverlappingOverload] - the first that fits counts
        self, *args: object, return_state: Literal[True], **kwargs: object
    ) -> list[State]: ...
    @overload
    def map(
        self: "Task[..., Awaitable[T]]", *args: object, **kwargs: object
    ) -> PrefectFutureList[T]: ...
    @overload
    def map(
        self: "Task[..., Generator[T, Any, Any]]", *args: object, **kwargs: object
    ) -> PrefectFutureList[list[T]]: ...
    @overload
    def map(
        self: "Task[..., AsyncIterator[T]]", *args: object, **kwargs: object
    ) -> PrefectFutureList[list[T]]: ...
    @overload
    def map(
        self: "Task[..., Iterator[Any]]", *args: object, **kwargs: object
    ) -> PrefectFutureList[Any]: ...
    @overload
    def map(self, *args: object, **kwargs: object) -> PrefectFutureList[R_co]: ...
    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Start a run for each element of the iterable arguments and return their futures.

        `unmapped(x)` passes the same value to every run, and so do strings and other values that
        cannot be iterated. With `deferred=True` a worker carries them out, see `delay`. Raises
        `MappingMissingIterable` and `MappingLengthMismatch`.
        """
        return_state, wait_for = take_call_options(kwargs)
        futures = self._map(args, kwargs, wait_for, None)
        if return_state:
            futures.wait()
            return futures.state
        return futures

    def _map(self, args: Any, kwargs: Any, wait_for: Any, runner: Any) -> PrefectFutureList[Any]:
        deferred = "deferred" not in self.shape.names and kwargs.pop("deferred", False)
        parent = current.get()
        if type(parent) is Rehearsal:
            return parent.map(self, args, kwargs, wait_for)
        runs, origins = spread(self.shape, args, kwargs, self.name)
        calls = map(self.shape.call_of, runs)
        if deferred:
            return PrefectFutureList(self._defer(calls, wait_for, origins))
        return PrefectFutureList(submit(self, *one, wait_for, runner, origins) for one in calls)

    def submit_to(
        self, runner: Any, parameters: dict[str, Any], wait_for: Any
    ) -> PrefectFuture[Any]:
        """Start a run on a task runner, with parameters by name."""
        args, kwargs = self.shape.call_of(parameters)
        return submit(self, args, kwargs, wait_for, runner)

    def map_to(
        self, runner: Any, parameters: dict[str, Any], wait_for: Any
    ) -> PrefectFutureList[Any]:
        """Start a run for each element on a task runner, with parameters by name."""
        args, kwargs = self.shape.call_of(parameters)
        return self._map(args, kwargs, wait_for, runner)

    @overload
    def __get__(
        self: "Task[Concatenate[Nobody, Q], R_co]", instance: object, owner: Any = None
    ) -> "TaskMember[Q, R_co, P]": ...
    @overload
    def __get__(
        self: "Task[Concatenate[X, Q], R_co]", instance: object, owner: X
    ) -> "Task[Q, R_co]": ...
    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(
        self: "Task[Concatenate[X, Q], R_co]", instance: X, owner: Any = None
    ) -> "Task[Q, R_co]": ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the task bound to an instance or class, as functions are."""
        return self._reached_through(instance, owner)

    def _bind(self, instance: Any) -> "BoundTask[..., R_co]":
        return BoundTask(self, instance)


class TaskMember(Member[Q, R_co, P], Task[Q, R_co]):
    """For type checkers only, see `Member`."""


class BoundTask(Task[P, R_co]):
    """A task with its first argument, the instance or class it was reached through."""

    def __init__(self, base: Task[..., R_co], instance: Any) -> None:
        vars(self).update(vars(base))
        self._base = base
        self._instance = instance
        self.__wrapped__ = MethodType(base.fn, instance)  # whose signature is that of a call
        self.ismethod = not base.isclassmethod

    def _add_hook(self, kind: str, fn: H) -> H:
        return self._base._add_hook(kind, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task with the instance as its first argument."""
        __tracebackhide__ = True
        base: Any = self._base
        return base(self._instance, *args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Submit the task with the instance as its first argument."""
        base: Any = self._base
        return base.submit(self._instance, *args, **kwargs)

    def _all(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._instance, *args)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Map the task with the instance as the first argument of every run."""
        base: Any = self._base
        return base.map(unmapped(self._instance), *args, **kwargs)

    def submit_to(
        self, runner: Any, parameters: dict[str, Any], wait_for: Any
    ) -> PrefectFuture[Any]:
        """Start a run on a task runner, with the other parameters by name."""
        first = self.shape.names[0]
        return self._base.submit_to(runner, {first: self._instance, **parameters}, wait_for)

    def map_to(
        self, runner: Any, parameters: dict[str, Any], wait_for: Any
    ) -> PrefectFutureList[Any]:
        """Start a run for each element on a task runner, with the other parameters by name."""
        first = self.shape.names[0]
        mapped = {first: unmapped(self._instance), **parameters}
        return self._base.map_to(runner, mapped, wait_for)

    def _copy(self, options: dict[str, Any]) -> Self:
        return cast("Self", BoundTask(self._base._copy(options), self._instance))


@overload
def task(__fn: Callable[P, R], /, **options: Unpack[TaskOptions]) -> Task[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
@spell_out(TaskOptions, TASK_DEFAULTS)
def task(__fn: Any = None, /, **options: Any) -> Any:
    """Make a function a task. Use bare, with options, or as a function: `task(fn, retries=2)`.

    The options and what they mean:

    - `name`, `description` (default: the docstring), `tags`, `version`: what records show.
    - `retries`, `retry_delay_seconds` (number, list or function of the number of retries),
      `retry_jitter_factor`, `retry_condition_fn(task, task_run, state)`.
    - `timeout_seconds`: limit for each attempt.
    - `cache_policy`, `cache_key_fn(context, parameters)`, `cache_expiration`, `refresh_cache`.
    - `depends_on` (a list), `versions`, `strict`: what else counts, see `cellist.declarations`.
    - `persist_result`: whether results are kept at all. `result_storage`: where, a directory, a
      `diskcache.Cache` or a `ResultStore`. `result_serializer`: as what, such as "json".
      `result_storage_key`: the key, a template over `parameters`, `flow_run` and `task_run`.
      `cache_result_in_memory`: whether they stay in memory too.
    - `task_run_name`: template over the parameters, or a function.
    - `on_running`, `on_completion`, `on_failure`, `on_cancellation`, `on_crashed`: lists of hooks
      `(task, task_run, state)`.
    - `on_commit`, `on_rollback`: lists of hooks `(transaction)`, see `cellist.transactions`.
    - `log_prints`: whether prints go to the run's log. `replay`: whether a hit shows them again.
    - `viz_return_value`: what a call gives while `flow.visualize()` draws a flow.

    Raises `TypeError` or `ValueError` for an option that cannot be used, naming it, and
    `ReservedArgumentError` for a parameter called `return_state` or `wait_for`.
    """
    options.setdefault("log_prints", None)
    check_options(options, "task")
    if __fn is None:
        return functools.partial(task, **options)
    return Task(__fn, **options)


__all__ = ["Task", "TaskOptions", "exponential_backoff", "task", "task_input_hash"]
