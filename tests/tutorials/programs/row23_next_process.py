"""Cached results outlive the process: run the program again, and they are there."""

from datetime import timedelta

from cellist import flow, task
from cellist.cache_policies import INPUTS
from cellist.tasks import task_input_hash

# %%
RATE = 1.25


def convert(amount: float) -> float:
    return amount * RATE


@task
def by_default(amount: float) -> float:
    print("converting", amount)
    return convert(amount)


@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(hours=1))
def by_hash(names: list[str]) -> dict[str, set[str]]:
    print("sorting", names)
    return {name: set(name) for name in names}


@task(cache_policy=INPUTS)
def by_inputs(names: set[str]) -> list[str]:
    print("listing")
    return sorted(names)


@task(cache_key_fn=lambda context, parameters: sum(parameters["numbers"]))
def by_sum(numbers: list[int]) -> int:
    print("adding", numbers)
    return sum(numbers)


@task(persist_result=False)
def forgetful(x: int) -> int:
    print("forgetting", x)
    return x


# %%
@flow
def everything() -> list[str]:
    states = [
        by_default(4.0, return_state=True),
        by_hash(["ann", "bob"], return_state=True),
        by_inputs({"ann", "bob", "cy"}, return_state=True),
        by_sum([2, 2], return_state=True),
        forgetful(1, return_state=True),
    ]
    first, second, third, fourth, fifth = [state.result() for state in states]
    assert first == 5.0
    assert second == {"ann": {"a", "n"}, "bob": {"b", "o"}}
    assert third == ["ann", "bob", "cy"]
    assert (fourth, fifth) == (4, 1)
    return [state.name for state in states]


print(everything())
# > converting 4.0
# > sorting ['ann', 'bob']
# > listing
# > adding [2, 2]
# > forgetting 1
# > ['Completed', 'Completed', 'Completed', 'Completed', 'Completed']
# >> forgetting 1
# >> ['Cached', 'Cached', 'Cached', 'Cached', 'Completed']

# %%
# What a submitted async task gave, too.


@task
async def later(x: int) -> int:
    print("later", x)
    return x


@flow
def submitted() -> str:
    future = later.submit(3)
    assert future.result() == 3
    return future.state.name


print(submitted())
# > later 3
# > Completed
# >> Cached
