"""What pyright and mypy say of decorated functions, and whether it is true.

The programs in `tests/typing` state types with `assert_type` and expected reports as ignores. Both
checkers must agree with all of them; a missing report is an error too, as the ignore is then not
needed. All but `errors.py` are also run, and each value is compared with the type it is said to be.
Where a checker cannot express something the programs say so, and which reading was taken.
"""

import importlib.resources
import importlib.util
import json
import runpy
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest

from cellist import task
from cellist.futures import PrefectFuture, PrefectFutureList

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "tests" / "typing").glob("*.py"))

BROKEN = """
from cellist import task
from typing import assert_type

@task
def double(n: int) -> int:
    return n * 2

assert_type(double(1), str)
double("a")
double(1)  # type: ignore[call-overload]
"""


def pyright(*paths):
    command = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, paths)]
    found = json.loads(run(*command))
    assert found["summary"]["filesAnalyzed"] == len(paths)
    for one in found["generalDiagnostics"]:
        line = one.get("range", {"start": {"line": -1}})["start"]["line"] + 1
        yield Path(one["file"]).name, line, one["message"]


def mypy(*paths):
    for row in run("-m", "mypy", "--output=json", *map(str, paths)).splitlines():
        one = json.loads(row)
        if one["severity"] == "error":
            yield Path(one["file"]).name, one["line"], one["message"]


def run(*command):
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr  # 2 is a fault of the checker
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("checker", [pyright, mypy])
def test_checkers_agree_with_the_programs(checker, tmp_path):
    name = checker.__name__
    assert importlib.util.find_spec(name), f"{name} is missing: pip install -e '.[types]'"
    broken = tmp_path / "broken.py"
    broken.write_text(BROKEN)
    found = list(checker(*PROGRAMS, broken))
    assert [one for one in found if one[0] != broken.name] == []
    assert {line for _, line, _ in found} == {9, 10, 11}, "the checker is asleep"


def test_checkers_may_read_the_installed_package():
    assert (importlib.resources.files("cellist") / "py.typed").is_file()


def is_a(value, kind):
    """Whether a value is of a type, looking into containers and waiting for futures."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is typing.Any:
        return True
    if origin is types.UnionType:
        return any(is_a(value, one) for one in inner)
    if not isinstance(value, types.NoneType if origin is None else origin):
        return False
    if isinstance(value, PrefectFuture):
        return is_a(value.result(), *inner)
    if isinstance(value, PrefectFutureList):
        return is_a(value.result(), list[inner])
    if isinstance(value, dict):
        return is_a(list(value), list[inner[0]]) and is_a(list(value.values()), list[inner[1]])
    if isinstance(value, list | set):
        return all(is_a(one, *inner) for one in value)
    if isinstance(value, tuple) and len(value) == len(inner):
        return all(map(is_a, value, inner))
    return True


def checked(value, kind):
    assert is_a(value, kind), f"{value!r} is no {kind}"
    return value


@pytest.mark.parametrize(
    "program", [one for one in PROGRAMS if one.stem != "errors"], ids=lambda one: one.stem
)
def test_the_types_are_those_of_the_values(program, monkeypatch):
    monkeypatch.setattr(typing, "assert_type", checked)
    runpy.run_path(str(program))


@task
def double(n):
    return n * 2


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: 1, str),
        (lambda: [1], list[str]),
        (lambda: {1: 1}, dict[int, str]),
        (lambda: (1, "a"), tuple[int, int]),
        (lambda: 1, str | None),
        (lambda: double.submit(1), PrefectFuture[str]),
        (lambda: double.map([1]), PrefectFutureList[str]),
    ],
)
def test_a_wrong_type_is_seen(make, kind):
    with pytest.raises(AssertionError, match="is no"):
        checked(make(), kind)
