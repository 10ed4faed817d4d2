"""Defaults for retries from settings; what the decorator says counts more."""

import os

import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.settings import (
    PREFECT_TASKS_DEFAULT_RETRIES,
    PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS,
    temporary_settings,
)


# %%
@task(cache_policy=NO_CACHE)
def silent() -> None:
    raise ValueError


@task(cache_policy=NO_CACHE, retries=0)
def never_again() -> None:
    raise ValueError


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=0)
def once_more() -> None:
    raise ValueError


@flow
def careless() -> None:
    raise ValueError


def attempts(one) -> tuple[int, int]:
    """Return how often it was tried, and how often it waited in between."""
    details = one(return_state=True).state_details
    record = cellist.run(details.task_run_id or details.flow_run_id)
    waits = [state for state in record.states if state.name == "AwaitingRetry"]
    return len(record.attempts), len(waits)


# %%
print([attempts(one) for one in (silent, never_again, once_more, careless)])
# > [(1, 0), (1, 0), (2, 0), (1, 0)]

# %%
# The settings are read when a task runs, not when it is defined.
with temporary_settings(
    {PREFECT_TASKS_DEFAULT_RETRIES: 2, PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS: 0.01}
):
    print([attempts(one) for one in (silent, never_again, once_more, careless)])
# > [(3, 2), (1, 0), (2, 0), (1, 0)]

# %%
# From the environment, a list of delays and flows too.
os.environ["PREFECT_TASKS_DEFAULT_RETRIES"] = "3"
os.environ["PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS"] = "0.01,0,0.01"
os.environ["CELLIST_FLOWS_DEFAULT_RETRIES"] = "1"
try:
    print([attempts(one) for one in (silent, never_again, once_more, careless)])
    # > [(4, 2), (1, 0), (2, 0), (2, 1)]
finally:
    del os.environ["PREFECT_TASKS_DEFAULT_RETRIES"]
    del os.environ["PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS"]
    del os.environ["CELLIST_FLOWS_DEFAULT_RETRIES"]
print(attempts(silent))
# > (1, 0)
