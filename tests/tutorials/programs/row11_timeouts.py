"""A task that takes too long ends in TimedOut, which is a failure."""

import asyncio
import threading
import time

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE

# %%
release = threading.Event()
heard: list[str] = []


def note(task: object, task_run: object, state: cellist.State) -> None:
    heard.append(f"{state.name} is {state.type.value}")


@task(timeout_seconds=0.2, on_failure=[note], cache_policy=NO_CACHE)
def sleepy() -> str:
    time.sleep(30)
    return "awake"


@task(timeout_seconds=0.2, on_failure=[note], cache_policy=NO_CACHE)
def stuck() -> str:
    release.wait(30)
    return "free"


@task(timeout_seconds=0.2, on_failure=[note], cache_policy=NO_CACHE)
async def dreamy() -> str:
    await asyncio.sleep(30)
    return "awake"


# %%
# Called directly, the code itself is stopped.
began = time.monotonic()
try:
    sleepy()
except TimeoutError as error:
    print(error)
# > Scope timed out after 0.2 second(s).
assert time.monotonic() - began < 15
assert heard == ["TimedOut is FAILED"]

# %%
state = sleepy(return_state=True)
print(state.name, state.is_failed(), state.is_final(), state.is_completed())
# > TimedOut True True False
print(state.message)
# > Task run exceeded timeout of 0.2 second(s)
assert isinstance(state.result(raise_on_failure=False), TimeoutError)


# %%
# Submitted, whoever waits is free in time, whatever the thread does.
@flow
def wait_for_both() -> list[str]:
    futures = [stuck.submit(), dreamy.submit()]
    return [type(future.result(raise_on_failure=False)).__name__ for future in futures]


try:
    print(wait_for_both())
finally:
    release.set()
# > ['TaskRunTimeoutError', 'TaskRunTimeoutError']
assert time.monotonic() - began < 25


# %%
# A failure nobody catches fails the flow.
@flow
def doomed() -> None:
    sleepy()


print(doomed(return_state=True).type.value)
# > FAILED


# %%
# The limit is for each attempt.
tries: list[int] = []


@task(timeout_seconds=0.2, retries=1, cache_policy=NO_CACHE)
def better_later() -> str:
    tries.append(1)
    if len(tries) == 1:
        time.sleep(30)
    return "done"


print(better_later())
# > done
(run_id,) = cellist.runs(name="better_later")["id"]
print(" → ".join(state.name for state in cellist.run(run_id).states))
# > Pending → Running → Retrying → Completed


# %%
# A TimeoutError of one's own counts the same; a limit that is kept does nothing; 0 is no limit.
@task(timeout_seconds=20)
def impatient() -> None:
    raise TimeoutError("the other side did not answer")


print(impatient(return_state=True).name)
# > TimedOut


@task(timeout_seconds=0)
def unlimited() -> int:
    return 1


assert unlimited() == 1
assert sleepy.with_options(timeout_seconds=20).timeout_seconds == 20.0
