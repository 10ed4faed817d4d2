"""Docstrings, descriptions and sources of what is passed count for a task that looks at them."""

import dataclasses
import inspect
import linecache
from collections.abc import Callable
from itertools import count
from typing import Any

import pydantic
import pytest

from cellist import task
from cellist.caching import digest_value

_numbers = count()


def made(source: str) -> Any:
    """Return what a cell like this defines as `A`."""
    name = f"<described {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {
        "__name__": "__main__",
        "pydantic": pydantic,
        "dataclass": dataclasses.dataclass,
    }
    exec(compile(source, name, "exec"), space)
    return space["A"]


@task
def documented(thing: Any) -> Any:
    return thing.__doc__


@task
def gotten(thing: Any) -> Any:
    return inspect.getdoc(thing)


@task
def nested(things: Any) -> Any:
    return [thing.__doc__ for thing in things["tools"]]


@task
def of_method(thing: Any) -> Any:
    return thing.m.__doc__


@task
def described(thing: Any) -> Any:
    return thing.model_json_schema()


@task
def adapted(thing: Any) -> Any:
    return pydantic.TypeAdapter(thing).json_schema()


@task
def written(thing: Any) -> Any:
    return inspect.getsource(thing)


MODEL = "class A(pydantic.BaseModel):\n    'a'\n    x: int = pydantic.Field(1, description='b')\n"
EDITS: dict[str, tuple[Callable[..., Any], str, str, str]] = {
    "function": (documented, "def A(x):\n    'a'\n    return x", "'a'", "'c'"),
    "function by getdoc": (gotten, "def A(x):\n    'a'\n    return x", "'a'", "'c'"),
    "class": (documented, "class A:\n    'a'\n", "'a'", "'c'"),
    "dataclass": (documented, "@dataclass\nclass A:\n    'a'\n    x: int = 1\n", "'a'", "'c'"),
    "method": (of_method, "class A:\n    def m(self):\n        'a'\n", "'a'", "'c'"),
    "model": (described, MODEL, "'a'", "'c'"),
    "field": (described, MODEL, "'b'", "'c'"),
    "title": (described, MODEL, "description", "title"),
    "adapter": (adapted, MODEL, "'a'", "'c'"),
    "comment": (written, "def A(x): return 1  # a", "# a", "# c"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_a_task_looks_at_counts(name: str) -> None:
    looking, source, old, new = EDITS[name]
    thing, other = made(source), made(source.replace(old, new))

    assert looking(thing) == looking.fn(thing) != looking.fn(other)
    assert looking(made(source), return_state=True).name == "Cached"
    assert looking(other) == looking.fn(other)


@pytest.mark.parametrize("wrap", [lambda thing: [thing()], lambda thing: [thing, 1]])
def test_it_counts_within_others_and_for_instances(wrap: Any) -> None:
    source = "class A:\n    'a'\n"
    assert nested({"tools": wrap(made(source))})[0] == "a"
    assert nested({"tools": wrap(made(source.replace("'a'", "'c'")))})[0] == "c"


def test_docstrings_do_not_count_for_others() -> None:
    one, other = made("class A:\n    'a'\n"), made("class A:\n    'c'\n")
    assert digest_value(one()) == digest_value(other())
