"""The present run as plain data, so that code in another process knows what it is part of.

    with ProcessPoolExecutor() as pool:
        pool.map(with_context(work), items)

What arrives there are records: the names, ids, tags, parameters and states of the runs around the
code at the moment it was sent. Tasks called there become runs of that process, children of the
run they came from.
"""

import contextvars
import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from weakref import WeakKeyDictionary

from cellist import settings
from cellist.cache_policies import TaskSource
from cellist.engine.execution import (
    Execution,
    FlowExecution,
    active_tags,
    current,
    enclosing_flow,
)
from cellist.engine.plan import Plan, Shape
from cellist.engine.streams import consume, is_generator
from cellist.model.events import LogWritten, RunUpdated
from cellist.model.later import later
from cellist.model.runs import FlowRun, TaskRun
from cellist.model.states import StateType
from cellist.prints import unlogged
from cellist.runlogs import only_recorded
from cellist.tqdm_loops import watch as watch_tqdm

if TYPE_CHECKING:
    import asyncio

    from cellist import session
    from cellist.caching import by_name
    from cellist.runners import loops_told
    from cellist.runners.parcels import Tell
else:
    asyncio = later("asyncio", globals())
    by_name = later("cellist.caching.by_name", globals())
    loops_told = later("cellist.runners.loops_told", globals())
    session = later("cellist.session", globals())

P = ParamSpec("P")
R = TypeVar("R")


def serialize_context() -> dict[str, Any]:
    """Return the run that goes on here, its tags and settings, as data that can be pickled."""
    chain = _chain(current.get())
    described = [_describe(execution) for execution in chain]
    seen: set[str] = set()
    for entry, execution in zip(reversed(described), reversed(chain), strict=True):
        if entry["kind"] not in seen:  # the nearest flow and the nearest task are asked for most
            seen.add(entry["kind"])
            entry["definition"] = _pickled(execution.definition)
            entry["parameters"] = _pickled(_parameters_of(execution))
    return {
        "runs": described,
        "tags": sorted(active_tags.get()),
        "settings": dict(settings.overrides()),
    }


def _chain(execution: Execution | None) -> list[Execution]:
    """Return the executions from the outermost to this one."""
    chain: list[Execution] = []
    while execution is not None:
        chain.insert(0, execution)
        execution = execution.parent
    return chain


def _describe(execution: Execution) -> dict[str, Any]:
    run, definition = execution.run, execution.definition
    return {
        "kind": run.kind,
        "number": run.number,
        "name": run.name,
        "about": {
            "name": definition.name,
            "version": definition.version,
            "key": _key_of(definition),
        },
        "tags": sorted(run.tags),
        "entered": run.entered,
        "log_prints": execution.log_prints,
    }


_keys: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()


def _key_of(definition: Any) -> str:
    """Return a task's key, or a flow's, as it was when first asked for: it costs a digest."""
    key = _keys.get(definition)
    if key is None:
        key = _keys[definition] = definition.key
    return key


def _parameters_of(execution: Execution) -> dict[str, Any]:
    run = execution.run
    return run.parameters if isinstance(run, FlowRun) else execution.bound()


def _pickled(value: Any) -> bytes | None:
    """Return a value pickled as notebooks need it, `None` if it cannot be."""
    try:
        return import_module("cloudpickle").dumps(value)
    except Exception:
        return None


def _unpickled(data: bytes | None, default: Any) -> Any:
    return default if data is None else import_module("cloudpickle").loads(data)


class Known:
    """What is known of a task or flow that stayed in the process it came from."""

    log_prints = None
    persist_result = None
    task_runner: Any = None

    def __init__(self, name: str, version: str | None, key: str) -> None:
        self.name = name
        self.version = version
        self.key = key


class CarriedTask(Execution):
    """A task run that is being carried out in another process."""

    __slots__ = ("parameters",)

    def bound(self) -> dict[str, Any]:
        """Return the arguments by parameter name, defaults filled in."""
        if self.parameters is None:
            shape = Shape(inspect.signature(unlogged(self.fn)))
            self.parameters: dict[str, Any] | None = shape.bind(self.args, self.kwargs)
        return self.parameters


class CarriedFlow(FlowExecution):
    """A flow run that is being carried out in another process."""

    __slots__ = ()
    is_detached = True


_NOWHERE = Plan(lambda: None, Shape(inspect.signature(lambda: None)))


def _revive(entry: dict[str, Any], parent: Execution | None, sinks: list[Any]) -> Execution:
    """Return an execution that answers what is asked of the run it describes."""
    definition = _unpickled(entry.get("definition"), None) or Known(**entry["about"])
    parameters = _unpickled(entry.get("parameters"), None)
    flow = enclosing_flow(parent)
    is_flow = entry["kind"] == "flow"
    run_class, execution_class = (FlowRun, CarriedFlow) if is_flow else (TaskRun, CarriedTask)
    above = parent.run if parent is not None else None
    tags = frozenset(entry["tags"])
    run = run_class(definition, above, flow.flow_run if flow else None, sinks, tags)
    run.number, run.name, run.entered = entry["number"], entry["name"], entry["entered"]
    run.state_type = StateType(run.entered[-4]) if run.entered else None
    x = execution_class(run, definition, _NOWHERE, (), {}, parent, flow, session.get_session())
    x.log_prints = entry["log_prints"]
    if isinstance(run, FlowRun):
        run.parameters = parameters or {}
    else:
        cast("CarriedTask", x).parameters = parameters
    return x


def revive(data: Mapping[str, Any]) -> Execution | None:
    """Return the execution that `serialize_context` described, or `None` outside runs.

    It and those around it are records: nothing that is called on their behalf is waited for here.
    """
    innermost: Execution | None = None
    for entry in data["runs"]:
        innermost = _revive(entry, innermost, [])
    return innermost


@contextmanager
def hydrated_context(serialized_context: Mapping[str, Any] | None = None) -> Generator[None]:
    """Be inside the run that `serialize_context` described, within a `with` block.

    Runs submitted to its flow are waited for at the end.
    """
    if not serialized_context:
        yield
        return
    with _inside(serialized_context, []):
        yield


@contextmanager
def _inside(data: Mapping[str, Any], sinks: list[Any]) -> Generator[Execution | None]:
    before, tags_before = current.get(), active_tags.get()
    innermost: Execution | None = None
    for entry in data["runs"]:
        innermost = _revive(entry, innermost, sinks)
    current.set(innermost)
    active_tags.set(frozenset(data["tags"]))
    changed = data["settings"]
    same = changed == settings.overrides()  # else the whole environment is read twice
    try:
        with nullcontext() if same else settings.temporary_settings(changed):
            yield innermost
            _finish(enclosing_flow(innermost))
    finally:
        current.set(before)
        active_tags.set(tags_before)


def _finish(flow: FlowExecution | None) -> None:
    if flow is None:
        return
    for child in list(flow.children):
        child.block()
    if flow.runner is not None:
        flow.runner.close()


class Passage:
    """Calls a function in another process as part of the run it belongs to, and brings logs back.

    It is pickled together with the call. The call's arguments are the run's parameters, so those
    are not sent twice; parameters of the flow stay where they are.
    """

    def __init__(self, execution: Execution) -> None:
        self._data = {
            "runs": [_describe(one) for one in _chain(execution)],
            "tags": sorted(active_tags.get()),
            "settings": dict(settings.overrides()),
        }

    @staticmethod
    def code_of(execution: Execution, is_sent_along: bool) -> "by_name.OwnCode":
        """Return what takes note of the user's code that another process is left to find."""
        return by_name.OwnCode(
            execution.definition.fn, is_sent_along, _versions_in_key_of(execution)
        )

    @staticmethod
    def prepare() -> None:
        """Make what the first call in a process would make."""
        session.get_session()
        watch_tqdm()

    def call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], tell: "Tell"
    ) -> tuple[bool, Any, bool]:
        """Return whether the call went well, its value or exception, and whether it asked.

        That is, which run it is part of. What it logs is told while it runs.
        """

        def pass_on(event: Any) -> None:
            if isinstance(event, LogWritten):
                tell(("log", event.level, event.message))
            elif isinstance(event, RunUpdated) and event.run is own and event.what == "progress":
                loops.begin()

        with _inside(self._data, [pass_on]) as execution:
            own: Any = execution.run if execution is not None else None
            loops = loops_told.Teller(own, tell)
            if isinstance(execution, CarriedTask):
                execution.fn, execution.args, execution.kwargs = fn, args, kwargs
            with only_recorded():
                try:
                    fine, value = True, _completed(fn(*args, **kwargs))
                except BaseException as error:
                    fine, value = False, error
                finally:
                    loops.end()
            return fine, value, execution is not None and execution.asked

    @staticmethod
    def call_at_home(
        fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[bool, Any, bool]:
        """Return what `call` does, in the process that the run belongs to."""
        try:
            return True, _completed(fn(*args, **kwargs)), False
        except BaseException as error:
            return False, error, False


def _versions_in_key_of(execution: Execution) -> Any:
    """Return how much of the versions of libraries counts in the key of a run."""
    note = execution.cache_note
    if note is None:
        return "off"
    policy: Any = execution.plan.cache.policy
    members: list[Any] = getattr(policy, "policies", [policy])
    for one in members:
        if isinstance(one, TaskSource):
            return note.call.request.versions(one.versions)
    return "off"


def _completed(value: Any) -> Any:
    """Return what a call gave, with what only this process can do done: awaited, exhausted."""
    if is_generator(value):
        command = consume(value, None)
        value = command.fn(*command.args)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


class _InContext:
    """A function with the run it belongs to; pickled, it takes a record of the run along."""

    def __init__(self, fn: Callable[..., Any], carried: dict[str, Any] | None = None) -> None:
        self._fn = fn
        self._carried = carried
        """What came with the function from another process."""
        self._context = contextvars.copy_context() if carried is None else None
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(self._fn):
            return self._await(args, kwargs)
        if self._context is not None:
            return self._context.copy().run(self._fn, *args, **kwargs)
        with hydrated_context(self._carried):
            return self._fn(*args, **kwargs)

    async def _await(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._context is not None:
            loop = asyncio.get_running_loop()
            return await loop.create_task(self._fn(*args, **kwargs), context=self._context.copy())
        with hydrated_context(self._carried):
            return await self._fn(*args, **kwargs)

    def __reduce__(self) -> Any:
        here = self._context
        carried = self._carried if here is None else here.copy().run(serialize_context)
        return _InContext, (self._fn, carried)


def with_context(fn: Callable[P, R]) -> Callable[P, R]:
    """Return the function bound to the present run, for threads and processes you start yourself.

    In another process it finds a record of the run: `get_run_context()`, `runtime`, loggers and
    tags work, and tasks it calls are children of the run. `fn` must be picklable for that.
    """
    return cast("Callable[P, R]", _InContext(fn))


__all__ = ["hydrated_context", "serialize_context", "with_context"]
