"""Cases 21 to 30: when two values are one to a task, and what has no value that could be kept."""

import json
import math
import os
import time
from pathlib import Path

import pytest

import cellist
from cellist.caching import digest_value
from tests.acceptance.conftest import Python
from tests.acceptance.values import DIFFER, EVERY_TYPE, PAIRS, REFUSED, SETUP

pytestmark = pytest.mark.slow

DIGESTS = """
import json
from cellist.caching import digest_value
print(json.dumps({text: digest_value(eval(text)) for text in TEXTS}))
"""
Digests = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """The digests of all values in two processes, the second one going through them backwards."""
    python = Python(tmp_path_factory.mktemp("values"))
    texts = list(dict.fromkeys(text for of in PAIRS.values() for a, _, b in of for text in (a, b)))
    one, two = (
        json.loads(python(f"{SETUP}\nTEXTS = {order!r}\n{DIGESTS}"))
        for order in (texts, texts[::-1])
    )
    return one, two


def check(digests: Digests, case: int) -> None:
    one, two = digests
    wrong = []
    for a, want, b in PAIRS[case]:
        assert one[a] == two[a], f"unstable: {a}"
        assert one[b] == two[b], f"unstable: {b}"
        if (one[a] == two[b]) == (want == DIFFER):
            wrong.append(f"{a} | {b}: should {want}")
    assert wrong == []


def test_case_21_numbers(digests: Digests) -> None:
    check(digests, 21)


def test_case_22_containers(digests: Digests) -> None:
    check(digests, 22)


def test_case_23_sharing_and_cycles(digests: Digests) -> None:
    check(digests, 23)


def test_case_23_a_deep_web_is_fast() -> None:
    made: list[object] = [0]
    for _ in range(60):
        made = [made, made]
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        digest_value(made)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.1


CALLS = """
from cellist import task
@task
def f(x, n=10, *rest, flag=False, **more):
    return x
CALLS = ["f(1)", "f(x=1)", "f(1, 10)", "f(1, n=10)", "f(n=10, x=1)", "f(1, flag=False)"]
OTHERS = ["f(2)", "f(1, 11)", "f(1, 10, 3)", "f(1, flag=True)", "f(1, more=1)", "f(1.0)"]
for text in CALLS + OTHERS:
    print(eval(text[:-1] + ", return_state=True)").name)
"""


def test_case_24_how_arguments_are_passed(python: Python) -> None:
    assert python(CALLS).split() == ["Completed", *["Cached"] * 5, *["Completed"] * 6]
    assert python(CALLS).split() == ["Cached"] * 12


def test_case_25_arrays(digests: Digests) -> None:
    check(digests, 25)


def test_case_26_frames_and_tables(digests: Digests) -> None:
    check(digests, 26)


def test_case_27_types_and_models(digests: Digests) -> None:
    check(digests, 27)


REFUSE = """
import json, warnings
from cellist import task
from cellist.caching import digest_value
@task
def f(cfg):
    return 5
found = {}
for name, text in TEXTS.items():
    try:
        error = digest_value(deep_in("conn", eval(text)))
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        states = [f(deep_in("conn", eval(text)), return_state=True) for _ in range(2)]
    found[name] = [
        error,
        [state.name for state in states],
        [state.result() for state in states],
        states[1].why.sentence,
        [str(one.message) for one in caught],
    ]
print(json.dumps(found))
"""


def test_case_28_what_has_no_value_is_refused_and_the_call_runs(python: Python) -> None:
    found = json.loads(python(f"{SETUP}\nTEXTS = {REFUSED!r}\n{REFUSE}"))
    assert set(found) == set(REFUSED)
    for name, (error, states, values, why, warned) in found.items():
        assert "['db'][0].conn" in error, (name, error)
        assert states == ["Completed"] * 2, name
        assert values == [5, 5], name
        assert "`cfg" in why, (name, why)
        assert any("cfg['db'][0].conn" in text for text in [why, *warned]), (name, why, warned)


FILES = """
import sys
from pathlib import Path
from cellist import Env, File, task
from cellist.cache_policies import INPUTS, TASK_SOURCE
@task
def read(file: File):
    return Path(file).read_text()
@task(depends_on=[File("other.csv"), Env("CASE_29")])
def depending(x):
    return x
@task(cache_policy=INPUTS - "verbose" + TASK_SOURCE)
def ignoring(x, verbose):
    return x
states = [
    read(File("data.csv"), return_state=True),
    depending(1, return_state=True),
    ignoring(1, sys.argv, return_state=True),
    ignoring(1, object(), return_state=True),
]
assert states[0].result() == Path("data.csv").read_text()
print(*(state.name for state in states), sep=",")
print(*(state.why for state in states), sep="\\n")
"""


def test_case_29_files_variables_and_ignored_arguments(python: Python) -> None:
    data, other = python.place / "data.csv", python.place / "other.csv"
    data.write_text("1\n")
    other.write_text("2\n")

    def states(**env: str) -> list[str]:
        return python(FILES, **{"CASE_29": "a", **env}).splitlines()[0].split(",")

    assert states() == ["Completed", "Completed", "Completed", "Cached"]
    os.utime(data, (1, 1))
    os.utime(other, (2, 2))
    assert states() == ["Cached"] * 4
    then = data.stat()
    data.write_text("3\n")  # as long as before, and
    os.utime(data, ns=(then.st_atime_ns, then.st_mtime_ns))  # as old
    assert states() == ["Completed", "Cached", "Cached", "Cached"]
    other.write_text("4\n")
    assert states() == ["Cached", "Completed", "Cached", "Cached"]
    assert states(CASE_29="b") == ["Cached", "Completed", "Cached", "Cached"]
    data.write_text("1\n")
    other.write_text("2\n")
    assert states() == ["Cached"] * 4


TWICE = """
import json
from cellist import flow, task
from cellist.cache_policies import DEFAULT
from cellist.caching import digest_value
TEXTS = EVERY
@task(persist_result=True, cache_policy=DEFAULT)
def make(text):
    return eval(text)
@task
def use(text, value):
    return 5
def go():  # in a function: what a task evaluates may use any global
    found = {}
    for text in TEXTS:
        made = make(text, return_state=True)
        value = made.result()
        fresh = digest_value(eval(text))
        used = use(text, value, return_state=True)
        found[text] = [made.name, used.name, digest_value(value) == fresh, str(used.why)]
    return found
print(json.dumps(go()))
"""


def test_case_30_a_restored_value_is_the_fresh_one(python: Python) -> None:
    program = SETUP + TWICE.replace("EVERY", repr(EVERY_TYPE))
    first = json.loads(python(program))
    again = json.loads(python(program))
    fresh = ["Completed", "Completed", True]
    assert {text: row for text, row in first.items() if row[:3] != fresh} == {}
    kept = ["Cached", "Cached", True]
    assert {text: row for text, row in again.items() if row[:3] != kept} == {}


POOL = """
import enum
from cellist import flow, task
from cellist.task_runners import ProcessPoolTaskRunner
class Base:
    kinds = []
    def __init_subclass__(cls):
        Base.kinds.append(cls.__name__)
class Known(Base):
    pass
class Point:
    scale = 1
    def __init__(self, x):
        self.x = x
    def up(self):
        return self.x + 1
class Color(enum.Enum):
    RED = 1
@task
def make(x):
    class Made(Base):
        def up(self):
            return 7
    Point.scale = 3
    return [Point(x), Color.RED, Made(), Known()]
@task
def use(point, color):
    return point.up() * color.value
@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def work():
    return make.with_options(persist_result=False).submit(4).result()
if __name__ == "__main__":
    up = Point.up
    states = [use(Point(4), Color.RED, return_state=True)]
    point, color, made, known = work()
    assert (type(point), Point.up, Point.scale, color) == (Point, up, 1, Color.RED)
    assert (type(known), made.up(), Base.kinds) == (Known, 7, ["Known", "Made"])
    states.append(use(point, color, return_state=True))
    print(*(state.name for state in states))
"""


def test_case_30_a_value_from_a_process_is_the_fresh_one(python: Python) -> None:
    assert python(POOL).split() == ["Completed", "Cached"]
    assert python(POOL).split() == ["Cached", "Cached"]


OWN = """
import cellist
from cellist import task
class Scene:
    def __init__(self, id, cache):
        self.id, self.cache = id, cache
    def __cellist_key__(self):
        return self.id
class Remote:
    def __init__(self, url, handle):
        self.url, self.handle = url, handle
@cellist.hasher(Remote)
def url(remote):
    return remote.url
@task
def f(scene, remote):
    return 5
calls = [(1, "a"), (1, "a"), (2, "a"), (1, "b")]
states = [f(Scene(i, object()), Remote(u, object()), return_state=True) for i, u in calls]
print(*(state.name for state in states))
"""


def test_case_30_types_that_tell_their_key(python: Python) -> None:
    assert python(OWN).split() == ["Completed", "Cached", "Completed", "Completed"]
    assert python(OWN).split() == ["Cached"] * 4


def test_the_digest_is_public() -> None:
    assert digest_value(math.pi) == cellist.caching.digest_value(math.pi)
    assert len(bytes.fromhex(digest_value(1))) == 32
    assert Path(cellist.caching.__file__).name == "__init__.py"
