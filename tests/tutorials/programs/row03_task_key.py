"""The key of a task: its qualified name and its code; not its place, its tags or its options."""
# pyright: reportRedeclaration=false
# A cell is edited and run again.

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from cellist import task
from cellist.context import TaskRunContext


# %%
@task(name="Greet", tags=["polite"], retries=3)
def greet(name: str) -> str:
    return f"Hello, {name}!"


key = greet.task_key
assert key.startswith("greet-")


# %%
# The same function further down, with other options, has the same key.
# A comment does not count either.
@task(name="Salute", version="2")
def greet(name: str) -> str:
    # a word of welcome
    return f"Hello, {name}!"


assert greet.task_key == key
assert greet.with_options(tags=["rude"]).task_key == key


# %%
# Other code has another key, and so has the same code under another name.
@task
def greet(name: str) -> str:
    return f"Goodbye, {name}!"


@task
def welcome(name: str) -> str:
    return f"Hello, {name}!"


assert greet.task_key != key
assert welcome.task_key != key


# %%
class Crowd:
    @task
    def cheer(self) -> str:
        context = TaskRunContext.get()
        assert context is not None
        return context.task_run.task_key


assert Crowd().cheer() == Crowd.cheer.task_key
assert Crowd.cheer.task_key.startswith("cheer-")

# %%
# A module that moves its task down keeps the key.
SOURCE = "from cellist import task\n{gap}@task\ndef tidy(x):\n    return x\n"
directory = Path(os.environ["CELLIST_HOME"]).parent


def load(gap: str) -> ModuleType:
    path = directory / "chores.py"
    path.write_text(SOURCE.format(gap=gap))
    path.touch()
    spec = importlib.util.spec_from_file_location("chores", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


before = load("").tidy.task_key
after = load("# moved\n" * 9).tidy.task_key
assert before == after

# %%
# It is the same in the next process, too.
note = directory / "key.txt"
if note.exists():
    print("met before:", note.read_text() == key)
else:
    note.write_text(key)
    print("first meeting")
# > first meeting
# >> met before: True
