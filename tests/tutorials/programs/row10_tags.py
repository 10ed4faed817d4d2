"""Tags on tasks and from `tags()`; runs found by their tags."""

import cellist
from cellist import flow, tags, task


# %%
@task(tags=["load"])
def load(table: str) -> str:
    return table


@task(tags=("train", "slow"))
def train(table: str) -> str:
    return table.upper()


@flow
def nightly() -> str:
    table = load("sales")
    with tags("gpu") as inner:
        assert inner == {"gpu", "prod"}
        future = train.submit(table)
        with tags("once"):
            load("stock")
    return future.result()


with tags("prod"):
    assert nightly() == "SALES"
load("alone")


# %%
def tagged(tag: str) -> list[tuple[str, list[str]]]:
    frame = cellist.runs(tag=tag)
    return sorted(
        (name, sorted(found))
        for name, found in zip(frame["definition"], frame["tags"], strict=True)
    )


print(tagged("train"))
# > [('train', ['gpu', 'prod', 'slow', 'train'])]
print(tagged("once"))
# > [('load', ['gpu', 'load', 'once', 'prod'])]
print([name for name, _ in tagged("prod")])
# > ['load', 'load', 'nightly', 'train']
print([found for _, found in tagged("load")])
# > [['gpu', 'load', 'once', 'prod'], ['load'], ['load', 'prod']]
assert tagged("nothing") == []

# %%
# The context manager leaves the task as it is, and ends with its block.
assert load.tags == {"load"}
state = load("later", return_state=True)
assert cellist.run(state.state_details.task_run_id).tags == ["load"]


# %%
# A task that runs inside another has the tags of the place, not those of the other task.
@task(tags=["outer"])
def outer() -> str:
    return str(load("within", return_state=True).state_details.task_run_id)


with tags("place"):
    inside = outer()
assert sorted(cellist.run(inside).tags) == ["load", "place"]
