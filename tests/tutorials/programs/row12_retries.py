"""Retries: one run, a growing history of states, and delays of all kinds."""

import itertools
from collections.abc import Callable
from typing import Any

import cellist
from cellist import State, flow, runtime, task
from cellist.cache_policies import NO_CACHE
from cellist.tasks import exponential_backoff

# %%
story = " → ".join


def fail_times(times: int) -> Callable[[], str]:
    """Return a function that raises as many times, then returns the number of its attempt."""
    calls = itertools.count(1)

    def body() -> str:
        if next(calls) <= times:
            raise ConnectionError("nobody there")
        return f"attempt {runtime.task_run.run_count}"

    return body


def flaky(times: int, **options: Any) -> State:
    """Run a task that fails so many times, and return its final state."""
    body = fail_times(times)
    return task(body, name="flaky", cache_policy=NO_CACHE, **options)(return_state=True)


def record_of(state: State) -> Any:
    return cellist.run(state.state_details.task_run_id)


def delays(state: State) -> list[str]:
    """Return what the log of a run says about when it is tried again."""
    lines = [line.message for line in record_of(state).logs if " - Retry " in line.message]
    return [line.partition(" will start ")[2] for line in lines]


# %%
# Without a delay.
state = flaky(2, retries=2)
print(state.result())
# > attempt 3
print(story(state.name for state in record_of(state).states))
# > Pending → Running → Retrying → Retrying → Completed
assert len(record_of(state).attempts) == 3

# %%
# With one: the run waits as AwaitingRetry. It is the same run all the time.
state = flaky(2, retries=3, retry_delay_seconds=0.01)
record = record_of(state)
print(story(one.name for one in record.states))
# > Pending → Running → AwaitingRetry → Retrying → AwaitingRetry → Retrying → Completed
print(record.states[2].message)
# > Task run encountered an exception ConnectionError: nobody there
assert list(cellist.runs(name="flaky")["attempts"]) == [3, 3]

# %%
# When the retries are used up, the last exception is the caller's.
state = flaky(9, retries=2)
print(story(one.name for one in record_of(state).states))
# > Pending → Running → Retrying → Retrying → Failed
print(repr(state.result(raise_on_failure=False)))
# > ConnectionError('nobody there')
first, *_, last = [line.message for line in record_of(state).logs if "failed" in line.message]
print(first.replace("exception: ", ""))
# > Task run failed with ConnectionError('nobody there') - Retry 1/2 will start immediately
print(last)
# > Task run failed with exception: ConnectionError('nobody there') - Retries are exhausted


# %%
# Delays: one for all, a list whose last one repeats, a function of the number of retries.
print(delays(flaky(2, retries=2, retry_delay_seconds=0.01)))
# > ['0.01 second(s) from now', '0.01 second(s) from now']
print(delays(flaky(3, retries=3, retry_delay_seconds=[0, 0.02])))
# > ['immediately', '0.02 second(s) from now', '0.02 second(s) from now']
print(delays(flaky(2, retries=2, retry_delay_seconds=lambda n: [n / 100, n / 200])))
# > ['0.02 second(s) from now', '0.01 second(s) from now']
print(delays(flaky(3, retries=3, retry_delay_seconds=exponential_backoff(backoff_factor=0.01))))
# > ['0.01 second(s) from now', '0.02 second(s) from now', '0.04 second(s) from now']
print(exponential_backoff(10)(3))
# > [10, 20, 40]

# %%
# Jitter: each delay is drawn, at most so much longer.
drawn = [
    float(text.split()[0])
    for text in delays(
        flaky(9, retries=8, retry_delay_seconds=0.02, retry_jitter_factor=0.5),
    )
]
assert len(drawn) == 8
assert len(set(drawn)) > 1
assert all(0 < delay <= 0.03 for delay in drawn)


# %%
# A retry in a flow, of a submitted task; what comes after it waits for it.
again = task(fail_times(1), name="again", retries=1, retry_delay_seconds=0.01)


@task
def shout(text: str) -> str:
    return text.upper()


@flow
def crawl() -> str:
    return shout.submit(again.submit()).result()


print(crawl())
# > ATTEMPT 2


# %%
# A failed state that is returned counts as a failure.
outcomes = iter([cellist.states.Failed(message="not today"), "well"])


@task(retries=1, cache_policy=NO_CACHE)
def moody() -> Any:
    return next(outcomes)


print(moody())
# > well
