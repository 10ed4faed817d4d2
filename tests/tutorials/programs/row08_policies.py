"""Cache policies, alone and put together."""
# pyright: reportRedeclaration=false
# A cell is edited and run again.

from cellist import flow, task
from cellist.cache_policies import (
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    RUN_ID,
    TASK_SOURCE,
    CachePolicy,
)


# %%
def ran(policy: CachePolicy | None, *calls: tuple[int, int, int]) -> list[int]:
    """Call a task in one flow run for each call (flow parameter, x, y); say which calls ran it."""
    done: list[int] = []
    call = 0

    def body(x: int, y: int) -> int:
        note()
        return x

    def note() -> None:
        done.append(call)

    counted = task(body, name=f"counted by {policy}", cache_policy=policy)

    @flow
    def once(parameter: int, x: int, y: int) -> int:
        state = counted(x, y, return_state=True)
        assert state.name in {"Completed", "Cached"}
        return state.result()

    for call, (parameter, x, y) in enumerate(calls):  # noqa: B007 - note() reads it
        assert once(parameter, x, y) == x
    return done


# %%
# INPUTS: the same arguments, the same result; whichever flow run it is.
print(ran(INPUTS, (0, 1, 1), (0, 1, 1), (9, 1, 1), (0, 2, 1), (0, 1, 2)))
# > [0, 3, 4]

# %%
# INPUTS - "y": this one does not count.
print(ran(INPUTS - "y", (0, 1, 1), (0, 1, 5), (0, 2, 1)))
# > [0, 2]

# %%
# RUN_ID: nothing is shared between flow runs.
print(ran(RUN_ID, (0, 1, 1), (0, 1, 1)))
# > [0, 1]
print(ran(INPUTS + RUN_ID, (0, 1, 1), (0, 1, 1)))
# > [0, 1]

# %%
# FLOW_PARAMETERS: those of the flow, here all three.
print(ran(FLOW_PARAMETERS, (0, 1, 1), (0, 1, 1), (9, 1, 1)))
# > [0, 2]

# %%
# NO_CACHE and None: always.
print(ran(NO_CACHE, (0, 1, 1), (0, 1, 1)))
# > [0, 1]
print(ran(None, (0, 1, 1), (0, 1, 1)))
# > [0, 1]
assert INPUTS + NO_CACHE == INPUTS


# %%
# TASK_SOURCE: the arguments do not count, the code does.
@task(cache_policy=TASK_SOURCE)
def greet(name: str) -> str:
    print("composing")
    return f"Hello, {name}"


assert greet("Ann") == "Hello, Ann"
assert greet("Bob") == "Hello, Ann"
# > composing
# >+ composing


# %%
# Options and comments are no code; helpers are.
def opening() -> str:
    return "Hello"


@task(cache_policy=INPUTS + TASK_SOURCE)
def welcome(name: str) -> str:
    print("welcoming", name)
    return f"{opening()}, {name}"


assert [welcome(name) for name in ("Ann", "Ann", "Bob")] == ["Hello, Ann"] * 2 + ["Hello, Bob"]
# > welcoming Ann
# >+ welcoming Ann
# > welcoming Bob


# %%
@task(cache_policy=INPUTS + TASK_SOURCE, retries=4, tags=["new"])
def welcome(name: str) -> str:
    print("welcoming", name)
    # the word comes from elsewhere
    return f"{opening()}, {name}"


assert welcome("Ann") == "Hello, Ann"
# >+ welcoming Ann


# %%
def opening() -> str:  # noqa: F811 - the cell was edited
    return "Good morning"


assert welcome("Ann") == "Good morning, Ann"
# > welcoming Ann


# %%
# Without an option it is INPUTS + TASK_SOURCE, for results other than None.
@task
def square(x: int) -> int:
    print("squaring", x)
    return x * x


@task
def say(x: int) -> None:
    print("saying", x)


assert [square(3), square(3), square(4)] == [9, 9, 16]
# > squaring 3
# >+ squaring 3
# > squaring 4
say(1)
say(1)
# > saying 1
# > saying 1
