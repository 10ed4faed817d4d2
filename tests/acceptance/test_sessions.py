"""Cases 3, 7, 11, 15 and 20, as far as one edit between two kernels does not show them."""

import json
import os
import sys

import pytest

from tests.acceptance.conftest import Outcome, Python
from tests.acceptance.edits import EDITS, LIBRARY, library
from tests.caching.edits import MISS

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
OTHER_PYTHONS = list(filter(None, os.environ.get("CELLIST_TEST_PYTHONS", "").split(os.pathsep)))

DATA = """
import dataclasses, datetime, functools, re
from cellist import task
LIMITS = {"a": [1, 2.5], "b": {"x", "y"}}
@dataclasses.dataclass
class Part:
    name: str
    size: int = 3
    def area(self, *, factor=2):
        return [self.size * factor for _ in range(2)]
def clean(text):
    match text.split():
        case [first, *_] if first:
            return f"{first!r:>10}"
    return None
@functools.lru_cache
def doubled(n):
    try:
        return sum(i * 2 for i in range(n))
    except (ValueError, TypeError) as error:
        raise RuntimeError from error
@task
def f(n, text="a b", *, when=datetime.date(2024, 1, 2)):
    parts = [Part(str(i)).area() for i in range(n)]
    return {"parts": parts, "text": clean(text), "n": doubled(n), "when": when, "l": len(LIMITS)}
state = f(3, return_state=True)
assert state.result() == f.fn(3)
print(state.name, state.why, sep=": ")
"""


def test_case_03_another_python(python: Python) -> None:
    """`CELLIST_TEST_PYTHONS` names others, which have what cellist needs; frozen digests (see
    `test_covered.py`) are the same in every Python."""
    assert python(DATA).startswith("Completed")
    for other in [sys.executable, *OTHER_PYTHONS]:
        told = python(DATA, other)
        assert told.startswith("Cached"), (other, told)


@pytest.mark.parametrize("case", [8, 9, 10, 12, 14, 17, 19])
def test_case_07_an_edit_taken_back(outcomes: dict[tuple[int, str], Outcome], case: int) -> None:
    taken_back = [outcomes[case, edit.name] for edit in EDITS[case] if edit.want == MISS]
    assert taken_back
    for before, after, back in taken_back:
        assert back is not None
        assert (after.state, back.state, back.value) == ("Completed", "Cached", before.value)


RELOADING = """
import importlib, json
from pathlib import Path
import case11
from cellist import task
@task
def f(x):
    return [x, case11.k(x)]
told = []
def tell(x):
    state = f(x, return_state=True)
    told.append([state.name, state.result(), f.fn(x)])
tell(1)
Path("case11.py").write_text(NEW)
tell(1)
tell(2)
importlib.reload(case11)
tell(1)
tell(2)
print(json.dumps(told))
"""


def test_case_11_a_module_edited_on_disk(python: Python) -> None:
    old = "def k(x):\n    return x + 1\n"
    new = "# a line more\ndef k(x):\n    return x + 100\n"
    (python.place / "case11.py").write_text(old)
    told = json.loads(python(f"NEW = {new!r}\n{RELOADING}"))
    assert told == [
        ["Completed", [1, 2], [1, 2]],
        ["Cached", [1, 2], [1, 2]],
        ["Completed", [2, 3], [2, 3]],  # the code that is loaded, and so its key
        ["Completed", [1, 101], [1, 101]],
        ["Completed", [2, 102], [2, 102]],
    ]
    assert json.loads(python(f"NEW = {new!r}\n{RELOADING}")) == [
        ["Cached", [x, x + 100], [x, x + 100]] for x in (1, 1, 2, 1, 2)
    ]
    (python.place / "case11.py").write_text(old)
    back = json.loads(python(f"NEW = {old!r}\n{RELOADING}"))
    assert [row[1:] for row in back] == [[[x, x + 1]] * 2 for x in (1, 1, 2, 1, 2)]
    assert back[0][0] == "Cached"


TWO = """
from cellist import task
def make(k):
    @task
    def f(x):
        return x * k
    return f
def plain(k):
    def inner(x):
        return x * k
    return inner
@task
def calls(x):
    return helper(x)
states = [make(k)(10, return_state=True) for k in (2, 3, 2)]
for k in (2, 3, 2):
    helper = plain(k)
    states.append(calls(10, return_state=True))
print(*(f"{state.name}{state.result()}" for state in states))
"""


def test_case_15_equal_text_in_one_session(python: Python) -> None:
    once = ["Completed20", "Completed30", "Cached20"]
    assert python(TWO).split() == once * 2
    assert python(TWO).split() == ["Cached20", "Cached30", "Cached20"] * 2


CALL = """
state = f(3, return_state=True)
print(state.name, state.why, *state.why.notes, sep="|")
"""


@pytest.mark.parametrize(
    ("option", "states"),
    [("", "Completed Cached Completed Cached"),
     ('versions="exact"', "Completed Completed Completed Cached")],
)  # fmt: skip
def test_case_20_another_version_of_a_library(python: Python, option: str, states: str) -> None:
    told = []
    for version in ("1.2.0", "1.2.1", "2.0.0", "1.2.0"):
        program, *files = library(LIBRARY, version).split("\n### ")
        for file in files:
            name, content = file.split("\n", 1)
            path = python.place / "site" / version / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        begin = f"import sys; sys.path.insert(0, 'site/{version}')\nfrom cellist import task\n"
        program = program.replace("@task", f"@task({option})")
        told.append(python(begin + program + CALL).strip().split("|"))
    assert [row[0] for row in told] == states.split()
    if not option:
        assert "1.2.0" in " ".join(told[1])  # recorded with that version, says the note
    assert "case20lib" in " ".join(told[2])


def test_case_20_what_is_not_tracked_is_noted(outcomes: dict[tuple[int, str], Outcome]) -> None:
    before, after, _ = outcomes[20, "logger and lock"]
    assert after.state == "Cached"
    assert [note for note in before.notes if "lock" in note] == ["not tracked: lock"]
