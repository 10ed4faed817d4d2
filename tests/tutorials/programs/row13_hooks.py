"""Hooks on running, completion and failure."""

import functools
from typing import Any

import cellist
from cellist import get_run_logger, task
from cellist.cache_policies import INPUTS

# %%
heard: list[str] = []


def started(task: Any, task_run: Any, state: Any) -> None:
    heard.append(f"{task_run.name} {state.name}")


def finished(task: Any, task_run: Any, state: Any) -> None:
    heard.append(f"{task.name} gave {state.result()} ({state.name})")


async def failed(task: Any, task_run: Any, state: Any) -> None:
    heard.append(f"{task.name} failed: {state.result(raise_on_failure=False)}")


def clumsy(task: Any, task_run: Any, state: Any) -> None:
    raise RuntimeError("a hook of little use")


def logs(task: Any, task_run: Any, state: Any) -> None:
    get_run_logger().info("a hook has the logger of the run")


def tells(whom: str, task: Any, task_run: Any, state: Any) -> None:
    heard.append(f"told {whom}")


# %%
@task(
    cache_policy=INPUTS,
    retries=1,
    on_running=[started],
    on_completion=[clumsy, finished, logs, functools.partial(tells, "Ann")],
    on_failure=[failed],
)
def divide(a: int, b: int) -> float:
    return a / b


@divide.on_failure
def also(task: Any, task_run: Any, state: Any) -> None:
    heard.append(f"{state.type.value}, {task_run.run_count} attempts")


def what_was_heard() -> list[str]:
    told = heard.copy()
    heard.clear()
    return told


# %%
# In order; one that raises keeps neither the run nor the next hook from going on.
divide(6, 3)
print(what_was_heard())
# > ['divide Running', 'divide gave 2.0 (Completed)', 'told Ann']
record = cellist.run("divide")
assert record.state == "Completed"
assert "a hook has the logger of the run" in [line.message for line in record.logs]
assert any("clumsy" in line.message for line in record.logs)

# %%
# A cached result is a completion.
divide(6, 3)
print(what_was_heard()[-2:])
# > ['divide gave 2.0 (Cached)', 'told Ann']

# %%
# `on_running` for each attempt, `on_failure` once.
divide(1, 0, return_state=True)
print(*what_was_heard(), sep="\n")
# > divide Running
# > divide Retrying
# > divide failed: division by zero
# > FAILED, 2 attempts
