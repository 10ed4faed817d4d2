"""Any function becomes a task: plain, async, lambda; with or without options."""

import asyncio
import functools

from cellist import flow, task


# %%
@task
def double(x: int) -> int:
    """Multiply by two."""
    return 2 * x


@task(name="triple it")
def triple(x: int) -> int:
    return 3 * x


@task
async def negate(x: int) -> int:
    await asyncio.sleep(0)
    return -x


halve = task(lambda x: x / 2, name="halve")
add_ten = task(functools.partial(lambda a, b: a + b, 10), name="add ten")

# %%
assert double(4) == 8
assert triple(4) == 12
assert halve(4) == 2
assert add_ten(4) == 14
assert double.fn(4) == 8  # the function itself, with nothing around it
assert (double.name, triple.name) == ("double", "triple it")
assert double.__name__ == "double"
assert double.__doc__ == "Multiply by two."
assert (double.isasync, negate.isasync) == (False, True)


# %%
@flow
def arithmetic(x: int) -> int:
    print("in a flow:", double(x), triple(x))
    return negate.submit(halve(x)).result()


assert arithmetic(6) == -3
# > in a flow: 12 18


# %%
@flow
async def arithmetic_async(x: int) -> int:
    return await negate(double(x))  # sync tasks are called, async tasks awaited


# %%
assert asyncio.run(negate(1)) == -1
assert asyncio.run(arithmetic_async(2)) == -4
