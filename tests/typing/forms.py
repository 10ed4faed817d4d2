"""Every form in which something becomes a task or a flow, and what is kept of its type."""

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Annotated, Any, ParamSpec, TypeVar, assert_type

from cellist import Env, File, Flow, Folder, Task, flow, task
from cellist.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from cellist.task_runners import ThreadPoolTaskRunner
from cellist.tasks import TaskOptions, exponential_backoff

P = ParamSpec("P")
T = TypeVar("T")


@task
def bare(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@task(retries=2, retry_delay_seconds=[1, 5], cache_policy=INPUTS + TASK_SOURCE)
def with_options(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@task(depends_on=[len, File("params.yml"), Env("MODEL")], versions="exact", strict=True)
def with_declarations(path: Annotated[str, File], folder: Folder) -> bytes:
    return path.encode() + str(folder / "a").encode()


@task(versions={"pandas": "exact", "*": "major"}, depends_on=())
def with_versions(url: str) -> str:
    return url


@task()
def with_no_options(url: str) -> bytes:
    return url.encode()


@flow
def bare_flow(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


@flow(name="crawl", task_runner=ThreadPoolTaskRunner)
def flow_with_options(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


def plain(url: str, limit: int = 3) -> bytes:
    return url.encode() * limit


assert_type(bare("a"), bytes)
assert_type(bare("a", limit=2), bytes)
assert_type(with_options("a", 2), bytes)
assert_type(with_no_options(url="a"), bytes)
assert_type(with_declarations("a", Folder("d")), bytes)
assert_type(with_versions("a"), str)
assert_type(bare_flow("a", limit=2), bytes)
assert_type(flow_with_options("a"), bytes)

# As a function.
assert_type(task(plain)("a", 2), bytes)
assert_type(task(plain, retries=1, name="plain")("a"), bytes)
assert_type(task(name="plain")(plain)("a"), bytes)
assert_type(Task(plain)("a"), bytes)
assert_type(Task(fn=plain, name="plain")("a"), bytes)
assert_type(flow(plain)("a", 2), bytes)
assert_type(flow(plain, name="plain")("a"), bytes)
assert_type(flow(name="plain")(plain)("a"), bytes)
assert_type(Flow(plain, name="plain")("a"), bytes)

# The plain function is kept as it is.
assert_type(bare.fn("a", limit=2), bytes)
assert_type(bare_flow.fn("a"), bytes)
function: Callable[[str, int], bytes] = bare.fn
as_callback: Callable[[str], bytes] = bare
names: list[str] = [bare.__name__, bare_flow.__name__, bare.name, bare.task_key]

# Other callables.
assert_type(task(functools.partial(plain, "a"))(limit=2), bytes)
assert_type(task(functools.partial(plain, limit=2), name="twice")("a"), bytes)
assert_type(flow(functools.partial(plain, "a"))(), bytes)
assert_type(task(lambda: 1)(), int)
squared: Task[[int], int] = task(lambda n: n * n)
assert_type(squared(3), int)
assert_type(flow(lambda: "a", name="letter")(), str)
assert_type(task(len)("abc"), int)
assert_type(task(len, name="length")([1, 2]), int)


class Doubled:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, n: int, *, plus: int = 0) -> int:
        return n * self.factor + plus


assert_type(task(Doubled(2))(3, plus=1), int)
assert_type(flow(Doubled(2))(3), int)
assert_type(task(Doubled, cache_policy=NO_CACHE)(3), Doubled)


# Unannotated code is left in peace.
@task
def untyped(x, y=2):
    return [x] * y


@flow(retries=1)
def untyped_flow(*args, **kwargs):
    return len(args) + len(kwargs)


untyped(1, y=3).count(1)
untyped.with_options(name="other")(1)
untyped_flow(1, 2, c=3)
untyped.submit(1).wait()


def dynamic(fn: Any, **options: Any) -> None:
    task(fn, **options)(1, y=2, return_state=True).result()
    task(**options)(fn).submit(1).wait()
    flow(fn, **options)(1, return_state=True).result()


dynamic(untyped.fn, name="other")


# Type variables are solved by each call, as they are of the plain function.
@task
def first(items: Sequence[T]) -> T:
    return items[0]


@task(name="other")
def last(items: Sequence[T], default: T | None = None) -> T:
    return items[-1] if items or default is None else default


@flow
def pair(one: T, other: T) -> list[T]:
    return [one, other]


assert_type(first([1, 2]), int)
assert_type(first(["a"]), str)
assert_type(last(items=[1.5]), float)
assert_type(pair(1, 2), list[int])
assert_type(first.submit([1, 2]).result(), int)


# A decorator of one's own around ours.
def recorded(fn: Callable[P, T]) -> Flow[P, T]:
    return flow(fn, name="recorded")


def retried(retries: int) -> Callable[[Callable[P, T]], Task[P, T]]:
    return task(retries=retries)


@recorded
def one_recorded(n: int, plus: int = 0) -> int:
    return n + plus


@retried(2)
def one_retried(n: int, plus: int = 0) -> int:
    return n + plus


assert_type(one_recorded(1, plus=2), int)
assert_type(one_retried.submit(1, plus=2).result(), int)

# Options that are computed, or come from elsewhere.
DELAYS = [1, 5, 20]
MIXED = [1, 0.5]
SHARED: TaskOptions = {"retries": 3, "tags": {"slow"}}


def note(subject: Any, run: Any, state: Any) -> None:
    del subject, run, state


HOOKS: list[Callable[[Any, Any, Any], None]] = [note]

assert_type(task(plain, **SHARED)("a"), bytes)
assert_type(task(**SHARED)(plain)("a"), bytes)
task(plain, retry_delay_seconds=DELAYS, retries=3)
task(plain, retry_delay_seconds=MIXED, retries=3)
task(plain, retry_delay_seconds=exponential_backoff(2), retries=3)
task(plain, retry_delay_seconds=lambda retries: [1.0] * retries, retries=3)
task(plain, retry_delay_seconds=timedelta(seconds=1), timeout_seconds=timedelta(minutes=1))
task(plain, tags=["a"], cache_expiration=timedelta(days=1), task_run_name="fetch {url}")
task(plain, on_completion=HOOKS, on_failure=[note], on_running=(note,))
task(plain, cache_key_fn=lambda context, parameters: str(parameters), cache_policy=None)
flow(plain, on_completion=HOOKS, on_crashed=[note], flow_run_name=lambda: "name")
flow(plain, task_runner=ThreadPoolTaskRunner(max_workers=2), validate_parameters=False)

# A copy with other options keeps parameters and return type.
assert_type(bare.with_options(retries=0, name=None)("a", limit=2), bytes)
assert_type(bare.with_options(**SHARED)("a"), bytes)
assert_type(bare_flow.with_options(retries=1)("a", limit=2), bytes)
copy: Task[[str, int], bytes] = task(plain).with_options(tags=["a"])
flow_copy: Flow[[str, int], bytes] = flow(plain).with_options(name="a")


# Hooks stay the functions they are.
@bare.on_completion
def completed(subject: Task[..., Any], run: Any, state: Any) -> int:
    del subject, run, state
    return 1


@bare_flow.on_cancellation
def cancelled(subject: Flow[..., Any], run: Any, state: Any) -> int:
    del subject, run, state
    return 1


assert_type(completed(bare, 1, 2), int)
assert_type(cancelled(bare_flow, 1, 2), int)


# Tasks and flows as values.
def run_all(steps: Iterable[Task[..., Any]], everything: Iterable[Flow[..., Any]]) -> None:
    for step in steps:
        step.submit("a").result()
    for one in everything:
        one("a")


run_all([bare, with_options], [bare_flow, flow_with_options])


def twice(step: Task[[str], T]) -> tuple[T, T]:
    return step("a"), step("b")


assert_type(twice(with_no_options), tuple[bytes, bytes])
