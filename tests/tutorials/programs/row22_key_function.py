"""A key function of one's own: inputs that are alike share a result."""

from typing import Any

import cellist
from cellist import flow, task

# %%
keys: list[Any] = []


def by_sum(context: Any, parameters: dict[str, Any]) -> int:
    """Return an int; it is used as text."""
    print(parameters)
    keys.append(context.task.name)
    return sum(parameters["numbers"])


@task(cache_key_fn=by_sum)
def add(numbers: list[int], unused: str = "default") -> int:
    print("adding", numbers)
    return sum(numbers)


@flow
def sums(numbers: list[int]) -> int:
    return add(numbers)


# %%
print(sums([2, 2]))
# > {'numbers': [2, 2], 'unused': 'default'}
# > adding [2, 2]
# > 4

# %%
# [1, 3] has the same sum; the key function runs on every call, the task does not.
print(sums([1, 3]))
# > {'numbers': [1, 3], 'unused': 'default'}
# >+ adding [2, 2]
# > 4

# %%
print(sums([2, 3]))
# > {'numbers': [2, 3], 'unused': 'default'}
# > adding [2, 3]
# > 5
print(list(cellist.runs(name="add")["state"]))
# > ['Completed', 'Cached', 'Completed']
assert keys == ["add"] * 3

# %%
# The key is the text of what was returned.
state = add([4, 0], return_state=True)
# > {'numbers': [4, 0], 'unused': 'default'}
# >+ adding [2, 2]
print(state.name, repr(state.state_details.cache_key))
# > Cached '4'


# %%
# None means: not this time.
@task(cache_key_fn=lambda context, parameters: parameters["key"])
def sometimes(key: str | None) -> str:
    print("working")
    return "done"


for key in ("a", "a", None, None):
    sometimes(key)
# > working
# >+ working
# > working
# > working


# %%
# A key function that fails costs nothing but the cache.
def broken(context: Any, parameters: dict[str, Any]) -> str:
    raise LookupError("no key")


@task(cache_key_fn=broken)
def carries_on(x: int) -> int:
    return x


import warnings  # noqa: E402 - where a notebook needs it

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert carries_on(1) == carries_on(1) == 1
print([str(one.message) for one in caught])
# > ['Task `carries_on` is not cached: computing its key failed: LookupError: no key']
