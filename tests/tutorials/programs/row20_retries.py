"""Retries of flows and tasks; the story their states tell."""

import cellist
from cellist import flow, runtime, task
from cellist.cache_policies import NO_CACHE

# %%
story = " → ".join


def states_of(name: str) -> str:
    return story(state.name for state in cellist.run(name).states)


class Calls:
    """Counts what ran; no part of what a task's code says."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __cellist_key__(self) -> str:
        return "calls"

    def note(self, what: str) -> int:
        self.seen.append(what)
        return self.seen.count(what)


calls = Calls()


# %%
# A task with retries.
@task(retries=2, retry_delay_seconds=0)
def fails_once() -> str:
    if calls.note("fails_once") < 2:
        print("Fail!")
        raise ValueError("try again")
    return "here at last"


@flow
def test_retries() -> str:
    return fails_once()


print(test_retries())
# > Fail!
# > here at last
print(states_of("fails_once"))
# > Pending → Running → Retrying → Completed


# %%
# The call of a flow that fails raises; its state is there for who asks.
@task(retries=1, retry_delay_seconds=0.01)
def never_works() -> None:
    raise ValueError("no luck")


@flow
def hopeless() -> None:
    never_works()


try:
    hopeless()
except ValueError as error:
    print("raised:", error)
# > raised: no luck
state = hopeless(return_state=True)
print(state.type.value, type(state.result(raise_on_failure=False)).__name__)
# > FAILED ValueError
print(states_of("never_works"))
# > Pending → Running → AwaitingRetry → Retrying → Failed


# %%
# Retries of a flow: the body runs again, in the same run.
@flow(retries=2, retry_delay_seconds=0.01)
def stubborn() -> int:
    if calls.note("stubborn") < 3:
        raise ConnectionError("not yet")
    return runtime.flow_run.run_count


print(stubborn())
# > 3
print(states_of("stubborn"))
# > Pending → Running → AwaitingRetry → Running → AwaitingRetry → Running → Completed
assert len(cellist.runs(kind="flow", name="stubborn")) == 1


# %%
# They cover the tasks in it and the flows called by it. What has completed is not done again.
@task
def kept(x: int) -> int:
    calls.note("kept")
    return x


@task(cache_policy=NO_CACHE)
def also_kept(x: int) -> int:
    calls.note("also_kept")
    return x


@task(cache_policy=NO_CACHE)
def unreliable() -> str:
    if calls.note("unreliable") < 2:
        raise ConnectionError("lost")
    return "found"


@flow
def child() -> str:
    calls.note("child")
    return unreliable()


@flow(retries=1)
def parent() -> tuple[int, str]:
    return kept(1) + also_kept(2), child()


print(parent())
# > (3, 'found')
print([calls.seen.count(what) for what in ("kept", "also_kept", "child", "unreliable")])
# > [1, 1, 2, 2]
print(states_of("parent"))
# > Pending → Running → AwaitingRetry → Running → Completed
runs = cellist.runs(flow="parent", kind="task", name="kept")
print(sorted(runs["state"]))
# > ['Cached', 'Completed']
children = cellist.runs(kind="flow", name="child")
print(sorted(children["state"]))
# > ['Completed', 'Failed']


# %%
# A submitted task that fails fails the flow that returns it, and the flow is tried again.
@flow(retries=1)
def returns_futures() -> list:
    return [unreliable_too.submit(), also_kept.submit(5)]


@task(cache_policy=NO_CACHE)
def unreliable_too() -> str:
    if calls.note("unreliable_too") < 2:
        raise ConnectionError("lost")
    return "found"


print(returns_futures())
# > ['found', 5]
print(states_of("returns-futures"))
# > Pending → Running → AwaitingRetry → Running → Completed


# %%
# Each has its own: the task's retries first, then those of the flow.
@task(retries=1, cache_policy=NO_CACHE)
def two_tries() -> None:
    calls.note("two_tries")
    raise ValueError("never")


@flow(retries=1)
def two_by_two() -> None:
    two_tries()


print(two_by_two(return_state=True).name, calls.seen.count("two_tries"))
# > Failed 4
