"""What a run does that its key does not say is a hint in its reason, and nothing more."""

import datetime as dt
import os
import random
import threading
import time
import uuid
from contextvars import Context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellist import Env, File, Folder, sentinel, settings, task
from cellist.sentinel_texts import habits_of
from tests.sessions import recorded_session


def notes(call, *args):
    return call(*args, return_state=True).why.notes


@task
def read(path):
    with open(path) as file:  # noqa: PTH123 - what most people write
        return file.read()


def test_a_file_that_is_read_is_a_hint_and_stays_one_when_the_result_is_reused(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("1,2")
    hint = f"reads `{data}`, whose content is not in the key: declare it with `File`"
    assert notes(read, str(data)) == (hint,)
    assert notes(read, str(data)) == (hint,)
    assert read(str(data), return_state=True).why.outcome == "hit"


def test_a_file_is_named_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("1")
    assert "`data.csv`" in notes(read, "data.csv")[0]


@pytest.mark.parametrize(
    "how",
    [
        lambda p: Path(p).read_text(),
        lambda p: np.loadtxt(p).tolist(),
        lambda p: os.read(os.open(p, os.O_RDONLY), 9),
        lambda p: __import__("pandas").read_csv(p).size,
    ],
    ids=["pathlib", "numpy", "os", "pandas"],
)
def test_reading_is_seen_however_it_is_done_in_python(tmp_path, how):
    data = tmp_path / "data.txt"
    data.write_text("1\n2\n")
    assert any(f"`{data}`" in note for note in notes(task(how, name="how"), str(data)))


@task
def write_and_read(folder):
    path = Path(folder) / "own.txt"
    path.write_text("mine")
    return path.read_text()


def test_what_a_run_wrote_itself_is_not_read_from_outside(tmp_path):
    assert notes(write_and_read, str(tmp_path)) == ()


@task
def reads_around(_):
    open(os.__file__).close()  # noqa: PTH123 - the code of a library
    open("/proc/self/stat").close()  # noqa: PTH123 - the system's
    return 1


def test_code_and_the_system_are_no_data():
    assert notes(reads_around, 1) == ()


@task
def outer(path):
    return read(path)


def test_what_a_task_inside_reads_is_read_by_the_one_around_it(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("1")
    assert f"`{data}`" in notes(outer, str(data))[0]


def test_also_when_the_one_inside_is_reused(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("1")
    read(str(data))
    assert f"`{data}`" in notes(outer, str(data))[0]


def test_many_files_are_named_in_part(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("x")

    @task
    def read_all(folder):
        return [path.read_text() for path in sorted(Path(folder).glob("*.txt"))]

    (note,) = notes(read_all, str(tmp_path))
    assert "and 2 more, whose contents are not in the key" in note


@task
def draw(scale):
    return random.random() * scale


@task
def draw_numpy(size):
    return np.random.rand(size).sum()  # noqa: NPY002 - what most people write


@task
def seeded(scale):
    random.seed(1)
    return random.random() * scale


@task
def own_generator(seed):
    return random.Random(seed).random() + np.random.default_rng(seed).random()


@task
def unseeded_generator(scale):
    return np.random.default_rng().random() * scale


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (draw, "drew from `random` without a seed"),
        (draw_numpy, "drew from `numpy.random` without a seed"),
        (seeded, None),
        (own_generator, None),
        (unseeded_generator, "it calls `np.random.default_rng`"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_chance(call, said):
    told = notes(call, 3)
    assert (said is None and told == ()) or said in told[0]


def test_drawing_in_a_library_is_seen_too():
    def shuffled(count):  # stands for a library's: its text does not say that it draws
        return sorted(range(count), key=lambda _: getattr(random, "ran" + "dom")())

    told = notes(task(shuffled), 4)
    assert "drew from `random`" in told[0]


def test_a_draw_beside_others_is_nobodys():
    go, done = threading.Event(), threading.Event()

    @task
    def quiet(_):
        go.set()
        assert done.wait(60)
        return 1

    future = quiet.submit(1)
    assert go.wait(60)
    draw(7)
    done.set()
    future.result()
    assert not [note for note in future.state.why.notes if "drew" in note]


@task
def asks_clock(_):
    return dt.datetime.now(dt.UTC), time.time(), uuid.uuid4()


@task
def asks_environment(_):
    return os.environ.get("LEVEL"), os.getenv("PLACE"), os.environ["HOME"]


def test_the_clock_and_the_environment():
    assert [note.split(",")[0] for note in notes(asks_clock, 1)] == [
        "asks the clock (`dt.datetime.now`",
        "is not the same each time: it calls `uuid.uuid4`",
    ]
    (note,) = notes(asks_environment, 1)
    assert "(`LEVEL`, `PLACE`, `HOME`), which is not in the key: declare it with `Env`" in note


def test_measuring_time_is_no_habit():
    assert habits_of(("def f():\n    t = time.perf_counter()\n    time.sleep(1)\n",)).hints == ()


@pytest.mark.parametrize("text", ["def f(:", "x(" * 500, "  (", ""])
def test_what_cannot_be_parsed_says_nothing(text):
    assert habits_of((text,)) == ((), False, False)


def test_hints_can_be_switched_off(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("1")
    with settings.temporary_settings({"tasks_hints": False}):
        assert notes(read, str(data)) == ()
        assert notes(draw, 5) == ()


def test_a_run_that_failed_is_watched_no_more():
    @task
    def fails(_):
        raise ValueError

    failed = fails(1, return_state=True)
    told = notes(task(lambda n: getattr(random, "ran" + "dom")() * n, name="hidden"), 11)
    assert failed.is_failed()
    assert "drew from" in told[0]


def test_what_is_declared_is_no_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    for name in ("a.csv", "b.csv", "d/c.csv", "e.csv"):
        (tmp_path / name).write_text("1")
    listed = File("b.csv")

    def read_all(path: Any, more: Any) -> Any:
        names = (path, *more, listed, "d/c.csv")
        return [Path(name).read_text() for name in names], os.environ.get("LEVEL")

    t = task(read_all, depends_on=[Folder("d"), Env("LEVEL")])
    state = t(File("a.csv"), [File("e.csv")], return_state=True)
    assert state.why.notes == ()
    undeclared = t.with_options(depends_on=None)
    (note, other) = undeclared("a.csv", [File("e.csv")], return_state=True).why.notes
    assert "(`LEVEL`)" in note
    assert other.startswith("reads `a.csv`, `d/c.csv`, whose contents are not in the key")


def test_a_working_directory_that_is_gone_costs_no_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data.csv"
    data.write_text("1")

    @task
    def wander(path):
        text = Path(path).read_text()
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        return text

    assert wander(str(data)) == "1"
    monkeypatch.chdir(tmp_path)
    assert wander(str(data), return_state=True).why.outcome == "hit"


def test_a_fault_of_ours_costs_hints_and_no_result(monkeypatch):
    states = iter([((0,),)])
    monkeypatch.setattr(sentinel, "_states", lambda: next(states))  # fails when it is asked again
    draw = task(lambda x: [x, random.random()], name="draw")
    assert draw(1, return_state=True).why.sentence == "ran: never run before"
    assert draw(1, return_state=True).why.outcome == "hit"


draw_one = random.random


def test_a_run_of_another_session_that_has_not_ended_does_not_count(tmp_path):
    draws = task(lambda x: [x, draw_one()], name="draws")

    @task
    def around(x):
        with recorded_session(tmp_path / "other"):
            return Context().run(draws, x, return_state=True).why.notes

    assert any("drew from `random`" in note for note in around(1))
