"""`retry_condition_fn` decides which failures are worth another attempt."""

import functools
from collections.abc import Sequence
from typing import Any

import cellist
from cellist import State, Task, task
from cellist.cache_policies import NO_CACHE

# %%
asked: list[tuple[str, int, str, str]] = []


def only_timeouts(task: Task, task_run: Any, state: State) -> bool:
    """Look at the exception as the tutorials do."""
    asked.append((task.name, task_run.run_count, task_run.state.name, state.name))
    try:
        state.result()
    except ConnectionError:
        return True
    except LookupError:
        return False
    return False


def run(errors: Sequence[Exception], condition: Any) -> tuple[str, int]:
    """Run a task that raises these one after the other; return its state and its attempts."""
    coming = iter(errors)

    @task(name="picky", retries=3, retry_condition_fn=condition, cache_policy=NO_CACHE)
    def picky() -> str:
        error = next(coming, None)
        if error is not None:
            raise error
        return "done"

    state = picky(return_state=True)
    record = cellist.run(state.state_details.task_run_id)
    return state.name, len(record.attempts)


# %%
print(run([ConnectionError("lost"), ConnectionError("lost")], only_timeouts))
# > ('Completed', 3)
print(asked)
# > [('picky', 1, 'Running', 'Failed'), ('picky', 2, 'Retrying', 'Failed')]
print(run([ConnectionError("lost"), LookupError("gone")], only_timeouts))
# > ('Failed', 2)

# %%
# It is asked only while retries are left.
asked.clear()
print(run([ConnectionError("lost")] * 9, only_timeouts))
# > ('Failed', 4)
assert len(asked) == 3


# %%
# Anything that can be called will do; if it fails itself, there is no retry.
async def later(task: Task, task_run: Any, state: State) -> bool:
    return "lost" in str(state.result(raise_on_failure=False))


class Stubborn:
    def __call__(self, task: Task, task_run: Any, state: State) -> bool:
        return True


def with_word(word: str, task: Task, task_run: Any, state: State) -> bool:
    return word in (state.message or "")


def broken(task: Task, task_run: Any, state: State) -> bool:
    raise KeyError("oh")


failure = [ConnectionError("lost")]
print(run(failure, later), run(failure, Stubborn()))
# > ('Completed', 2) ('Completed', 2)
print(run(failure, functools.partial(with_word, "lost")))
# > ('Completed', 2)
print(run(failure, functools.partial(with_word, "found")), run(failure, broken))
# > ('Failed', 1) ('Failed', 1)
