"""The options of tasks and flows: their names, types and meaning, each in one place.

`@task`, `Task` and `Task.with_options` take `TaskOptions`, `@flow`, `Flow` and `Flow.with_options`
take `FlowOptions`. Type checkers and editors read them as `**options: Unpack[TaskOptions]`;
`spell_out` puts the same into the signatures that help and completion read in a live kernel.
A new option is a line here, and a default below if that is not `None`.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from cellist.cache_policies import CachePolicy
from cellist.caching.serializers import Serializer
from cellist.model.annotations import NOT_SET, NotSet
from cellist.model.later import later
from cellist.results import ResultStore
from cellist.task_runners import TaskRunner

if TYPE_CHECKING:
    import difflib
else:
    difflib = later("difflib", globals())

Fn = TypeVar("Fn", bound=Callable[..., Any])

Hooks = Iterable[Callable[..., Any]]
ResultStorage = str | Path | ResultStore | Any  # diskcache, whose Cache it may be, has no types
Delays = float | timedelta | list[int] | list[float] | list[timedelta] | Callable[[int], Any]


class TaskOptions(TypedDict, total=False):
    """What `@task` and `Task.with_options` accept by keyword."""

    name: str | None
    """What records and the board call the task; default the function's name."""
    description: str | None
    """Default the docstring."""
    tags: Iterable[str] | None
    """Labels that every run gets."""
    version: str | None
    """Recorded with every run, and part of the cache key: a new one makes old results invalid."""
    cache_policy: CachePolicy | type[NotSet] | None
    """What makes two runs the same, such as `INPUTS + TASK_SOURCE`; `None` turns caching off."""
    cache_key_fn: Callable[[Any, dict[str, Any]], Any] | None
    """`(context, parameters)` to a key, or to `None` for a run that is not cached."""
    depends_on: list[Any] | tuple[Any, ...] | None
    """What counts besides arguments and code: functions, classes, modules, values, declarations."""
    versions: str | Mapping[str, str] | None
    """How much of a library's version counts: "minor", "major", "exact", "off", or by library."""
    strict: bool | None
    """Whether what has no stable digest raises `HashError` before the task runs."""
    cache_expiration: timedelta | float | None
    """How long a result may be reused, in seconds; default for ever."""
    task_run_name: str | Callable[..., str] | None
    """Name of each run: a template over the parameters, such as `"fetch {url}"`, or a function."""
    retries: int | None
    """Attempts after the first."""
    retry_delay_seconds: Delays | None
    """Wait before a retry: a number, a list, or a function from the number of retries to one."""
    retry_jitter_factor: float | None
    """Spreads the waits, up to `delay * (1 + factor)`."""
    persist_result: bool | None
    """`False` keeps nothing of the result, so there is no caching either."""
    result_storage: ResultStorage | None
    """Where results lie: a directory, a `diskcache.Cache` or a `ResultStore`."""
    result_serializer: str | Serializer | type[Serializer] | None
    """What results become: a serializer or its name, such as "json"; default exact formats."""
    cache_result_in_memory: bool
    """Whether results also stay in memory for the next one who asks."""
    result_storage_key: str | None
    """Template of a key that replaces the cache policy, such as `"{parameters[x]}"`."""
    timeout_seconds: float | timedelta | None
    """Limit for each attempt."""
    log_prints: bool | None
    """Whether prints go to the log of the run; default as the flow around it."""
    refresh_cache: bool | None
    """Run even if there is a result, and replace it."""
    replay: bool | None
    """Whether a reused result shows again what its run printed; default as `CELLIST_REPLAY`."""
    on_completion: Hooks | None
    """Called with (task, task_run, state) when a run has completed."""
    on_failure: Hooks | None
    """Called with (task, task_run, state) when a run has failed for good."""
    on_cancellation: Hooks | None
    """Called with (task, task_run, state) when a run was cancelled."""
    on_crashed: Hooks | None
    """Called with (task, task_run, state) when a run has crashed."""
    on_running: Hooks | None
    """Called with (task, task_run, state) at the start of each attempt."""
    on_commit: Hooks | None
    """Called with the transaction of a run before its result is stored."""
    on_rollback: Hooks | None
    """Called with the transaction of a run to undo what it did, those of the last run first."""
    retry_condition_fn: Callable[..., Any] | None
    """`(task, task_run, state)` to whether a failed attempt is tried again."""
    viz_return_value: Any
    """What a call gives while `flow.visualize()` draws a flow; default a placeholder."""


class FlowOptions(TypedDict, total=False):
    """What `@flow` and `Flow.with_options` accept by keyword."""

    name: str | None
    """What records and the board call the flow; default the function's name, `-` for `_`."""
    version: str | None
    """Recorded with every run; default a digest of the code."""
    flow_run_name: str | Callable[..., str] | None
    """Name of each run: a template over the parameters, or a function; default two words."""
    retries: int | None
    """Attempts after the first."""
    retry_delay_seconds: Delays | None
    """Wait before a retry: a number, a list, or a function from the number of retries to one."""
    task_runner: TaskRunner | type[TaskRunner] | None
    """Where submitted tasks run; default threads."""
    description: str | None
    """Default the docstring."""
    timeout_seconds: float | timedelta | None
    """Limit for each attempt."""
    validate_parameters: bool
    """Whether arguments are checked and coerced by their annotations."""
    persist_result: bool | None
    """The default for the tasks of the flow."""
    result_storage: ResultStorage | None
    """Where results of tasks and flows inside lie that do not say so themselves."""
    result_serializer: str | Serializer | type[Serializer] | None
    """What those results become."""
    cache_result_in_memory: bool
    """Whether those results also stay in memory."""
    log_prints: bool | None
    """Whether prints go to the log of the run; default as the flow around it."""
    on_completion: Hooks | None
    """Called with (flow, flow_run, state) when a run has completed."""
    on_failure: Hooks | None
    """Called with (flow, flow_run, state) when a run has failed for good."""
    on_cancellation: Hooks | None
    """Called with (flow, flow_run, state) when a run was cancelled."""
    on_crashed: Hooks | None
    """Called with (flow, flow_run, state) when a run has crashed."""
    on_running: Hooks | None
    """Called with (flow, flow_run, state) at the start of each attempt."""
    retry_jitter_factor: float | None
    """Spreads the waits, up to `delay * (1 + factor)`."""


TASK_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(inspect.get_annotations(TaskOptions)),
    "cache_policy": NOT_SET,
    "persist_result": NOT_SET,
    "viz_return_value": NOT_SET,
    "cache_result_in_memory": True,
}
FLOW_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(inspect.get_annotations(FlowOptions)),
    "persist_result": NOT_SET,
    "cache_result_in_memory": True,
    "validate_parameters": True,
}


def check_options(options: Iterable[str], noun: str, where: str = "") -> None:
    """Raise `TypeError` naming options that a task or flow does not have, and those it has.

    `where` is what was given them, by default the decorator.
    """
    known, others, other = TASK_DEFAULTS, FLOW_DEFAULTS, "flow"
    if noun == "flow":
        known, others, other = FLOW_DEFAULTS, TASK_DEFAULTS, "task"
    unknown = [name for name in options if name not in known]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if unknown[0] in others:
        hint = f" It is one of @{other}."
    names = ", ".join(map(repr, unknown))
    listed = ", ".join(sorted(known))
    message = f"{where or f'@{noun}'} has no option {names}.{hint} Its options are {listed}."
    raise TypeError(message)


def complete(options: Mapping[str, Any], defaults: dict[str, Any], noun: str) -> dict[str, Any]:
    """Return options with the defaults of those not given. Raises `TypeError` for unknown ones."""
    check_options(options, noun)
    return {**defaults, **options}


def spell_out(kind: type, defaults: Mapping[str, Any]) -> Callable[[Fn], Fn]:
    """Make a decorator that lists the options one by one in a signature with `**options`."""

    def spelled(fn: Fn) -> Fn:
        signature = inspect.signature(fn)
        listed = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hint
            )
            for name, hint in inspect.get_annotations(kind).items()
        ]
        others = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        fn.__dict__["__signature__"] = signature.replace(parameters=[*others, *listed])
        return fn

    return spelled


__all__ = ["FlowOptions", "TaskOptions"]
