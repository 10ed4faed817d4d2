"""What a reason says after an edit: what was edited, by its name, and what became of it."""

import itertools
from pathlib import Path
from typing import Any

import pytest

import cellist
from tests.sessions import Recorder
from tests.sources import module_at

numbers = itertools.count()

CODE = '''
import contextlib, functools, re
from pathlib import Path
from cellist import File, task
RATE = 1
upper = str.upper
clean = re.compile("a+").sub
CONFIG = {"a": 1, "b": 2, "c": 3, "depth": 4, "api_key": "hidden"}
def base(x, *, k=5):
    """Return it."""
    return x
part = functools.partial(base, k=6)
class Timer(contextlib.ContextDecorator):
    def __enter__(self): return self
    def __exit__(self, *error): return False
@contextlib.contextmanager
def opened(x):
    yield x
@Timer()
def timed(x):
    return x
class Count:
    def __init__(self, fn): self.fn = fn
    def __call__(self, x): return self.fn(x)
@Count
def counted(x):
    return x
def marked(**marks):
    def mark(fn):
        fn.marks = marks
        return fn
    return mark
@marked(k=7)
def told(x):
    return told.marks
class Positive:
    def __init__(self, least): self.least = least
    def __get__(self, thing, owner=None): return self.least
class Thing:
    size = Positive(8)
    def __init__(self, n=9): self.n = n
    def go(self, x): return RATE
    @property
    def wide(self): return 10
SPAN = 12
class Job:
    def __init__(self, n): self.n = n
    def run(self, x): return SPAN
@task(version="11", depends_on=[File("{file}")])
def inner(x):
    return x
@task
def f(x, *rest):
    with opened(x) as y:
        return (y, upper("a"), clean("b", "a"), part(x), timed(x), counted(x), told(x),
            Thing().wide, CONFIG["depth"], inner(x), base.__doc__, rest and rest[0].run(x))
'''
EDITS = [
    ("str.upper", "str.lower", "global `upper`: builtins.str.upper → builtins.str.lower"),
    ('"a+"', '"b+"', "global `clean.self`: pattern 'a+' → pattern 'b+'"),
    ("k=6", "k=60", "global `part.k`: 6 → 60"),
    ("    yield x", "    yield -x", "helper `opened` changed (line 2: `yield -x`)"),
    (
        "def timed(x):\n    return x",
        "def timed(x):\n    return -x",
        "helper `timed` changed (line 2: `return -x`)",
    ),
    ("k=7", "k=70", "global `told.marks`: {'k': 7} → {'k': 70}"),
    ("Positive(8)", "Positive(80)", "global `Thing.size` changed (`least`: 8 → 80)"),
    (
        "return 10",
        "return 100",
        "helper `Thing.wide` changed (line 1: `def wide(self): return 100`)",
    ),
    ('"depth": 4', '"depth": 40', "global `CONFIG` changed (`depth`: 4 → 40)"),
    ('"c": 3, ', "", "global `CONFIG` changed (`c` is gone)"),
    ('"11"', '"12"', "global `inner.version`: '11' → '12'"),
    ("Return it.", "Give it.", 'helper `base` changed (line 2: `"""Give it."""`)'),
]
"""What is edited, what it becomes, and what is said of that."""


def loaded(place: Path, text: str) -> Any:
    """Return a new module with this code."""
    file = place / "data.txt"
    if not file.exists():
        file.write_text("one\n", "utf-8")
    path = place / f"cells_{next(numbers)}.py"
    path.write_text(text.replace("{file}", file.as_posix()), "utf-8")
    return module_at(path)


@pytest.mark.parametrize(("old", "new", "said"), EDITS, ids=[new for _, new, _ in EDITS])
def test_what_was_edited_is_named(
    tmp_path: Path, recorder: Recorder, old: str, new: str, said: str
) -> None:
    assert recorder.runs == []
    assert CODE.count(old) == 1
    loaded(tmp_path, CODE).f(1)
    state = loaded(tmp_path, CODE.replace(old, new)).f(1, return_state=True)
    assert state.why.sentence == f"ran: {said}"
    assert loaded(tmp_path, CODE).f(1, return_state=True).name == "Cached"


def test_what_is_secret_is_not_told(tmp_path: Path, recorder: Recorder) -> None:
    assert recorder.runs == []
    loaded(tmp_path, CODE).f(1)
    state = loaded(tmp_path, CODE.replace("hidden", "other")).f(1, return_state=True)
    assert state.why.sentence == "ran: global `CONFIG` changed"
    assert "hidden" not in str(state.why.changes)


def test_a_file_that_an_inner_task_depends_on(tmp_path: Path, recorder: Recorder) -> None:
    assert recorder.runs == []
    f = loaded(tmp_path, CODE).f
    f(1)
    (tmp_path / "data.txt").write_text("two\n", "utf-8")
    why = f(1, return_state=True).why
    assert (
        why.sentence == f"ran: file `{(tmp_path / 'data.txt').as_posix()}` changed (line 1: `two`)"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return SPAN", "return -SPAN", "`Job.run` changed"),
        ("SPAN = 12\n", "SPAN = 120\n", "`cells.SPAN`: 12 → 120"),
    ],
)
def test_code_that_comes_with_an_argument_is_named(
    tmp_path: Path, recorder: Recorder, old: str, new: str, said: str
) -> None:
    assert recorder.runs == []
    before = loaded(tmp_path, CODE)
    before.f(1, before.Job(1))
    after = loaded(tmp_path, CODE.replace(old, new))
    sentence = after.f(1, after.Job(1), return_state=True).why.sentence
    assert sentence == f"ran: argument `rest` changed ({said})"


def test_an_argument_is_told_though_it_was_asked_about_before_the_run(
    tmp_path: Path, recorder: Recorder
) -> None:
    assert recorder.runs == []
    f = loaded(tmp_path, "from cellist import task\n@task\ndef f(x): return x\n").f
    cellist.why(f, 1)
    f(1)
    assert f(2, return_state=True).why.sentence == "ran: argument `x`: 1 → 2"


ROUTES = """
import functools
from cellist import task
class Line:
    weight = 1
    def total(self): return self.weight
line = functools.partial(Line)
@functools.singledispatch
def show(x): return str(x)
@show.register(int)
def show_number(x): return x + 2
@show.register
def _(x: str): return x + "3"
class Small(Exception): pass
class Big(Exception): pass
def guard(kind=Small): return [issubclass(one, kind) for one in (Big, Small)]
def fast(x): return 4
def slow(x): return 5
chosen = fast
def choose(x): return [chosen(x), fast(x), slow(x)]
@task
def f(x):
    return line().total(), show(x), guard(), fast(x), slow(x), choose(x), helper(x)
def helper(x): return fast(x)
"""
ROUTE_EDITS = [
    ("weight = 1", "weight = 10", "global `Line.weight`: 1 → 10"),
    (
        "x + 2",
        "x + 20",
        "helper `show_number` changed (line 1: `def show_number(x): return x + 20`)",
    ),
    ('"3"', '"30"', 'helper `show.str` changed (line 1: `def _(x: str): return x + "30"`)'),
    ("kind=Small", "kind=Big", "default of `guard(kind)`: Small → Big"),
    ("chosen = fast", "chosen = slow", "global `chosen`: fast → slow"),
    (
        "def helper(x): return fast(x)\n",
        "helper = fast\n",
        "helper `helper` is no longer used; global `helper` is new",
    ),
    ("chosen = fast", "pass", "global `chosen` is not defined any more"),
]


@pytest.mark.parametrize(
    ("old", "new", "said"), ROUTE_EDITS, ids=[new for _, new, _ in ROUTE_EDITS]
)
def test_what_is_reached_in_several_ways_is_named(
    tmp_path: Path, recorder: Recorder, old: str, new: str, said: str
) -> None:
    assert recorder.runs == []
    assert ROUTES.count(old) == 1
    before = loaded(tmp_path, ROUTES)
    before.f(1)
    after = loaded(tmp_path, ROUTES.replace(old, new))
    assert cellist.why(after.f, 1).sentence == f"would run: {said}"
