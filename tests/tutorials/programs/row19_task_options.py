"""Name, description and tags, given as a list, of a task; what its flow shows of it."""

import cellist
from cellist import flow, task


# %%
@task(name="My first task", description="Says hello.", tags=["tutorial", "tag-test"])
def hello() -> str:
    return "Hello"


@task(tags=["tutorial"])
def world() -> str:
    """Say the other word."""
    return "world"


@flow(name="My first flow", version=None)
def greet() -> str:
    return f"{hello()}, {world()}!"


print(greet())
# > Hello, world!

# %%
print(hello.name, "|", hello.description, "|", sorted(hello.tags))
# > My first task | Says hello. | ['tag-test', 'tutorial']
print(world.name, "|", world.description)
# > world | Say the other word.

# %%
# Inside a flow a run is named after its task, with something to tell it from others.
frame = cellist.runs(kind="task", flow="My first flow").set_index("definition")
first = frame.loc["My first task"]
assert first["name"].startswith("My first task-")
assert sorted(first["tags"]) == ["tag-test", "tutorial"]
assert first["state"] == "Completed"
assert list(cellist.runs(tag="tag-test")["definition"]) == ["My first task"]
assert cellist.runs(kind="flow")["definition"].tolist() == ["My first flow"]
