"""Prints that become log records of the run that prints, and of nobody else."""

import asyncio
import builtins
import io
import logging
import sys
import threading

import pytest

from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.logging import patch_print, print_as_log
from cellist.settings import temporary_settings


class Odd(io.StringIO):
    """A file that compares as arrays do: the answer has no truth."""

    def __eq__(self, other):
        raise ValueError

    __hash__ = None  # pyright: ignore[reportAssignmentType] - as such objects have it


@pytest.fixture(autouse=True)
def print_is_put_back():
    before = builtins.print
    yield
    assert builtins.print is before


@pytest.mark.parametrize(
    ("arguments", "options", "logged"),
    [
        (("a", 1), {}, "a 1"),
        (("a", "b"), {"sep": "-"}, "a-b"),
        (("a ", "  \t\n"), {}, "a"),
        (("a",), {"end": "!"}, "a!"),
        (("  a",), {"end": "\n\n"}, "  a"),
        ((), {}, ""),
        (("",), {}, ""),
        (("a",), {"file": None}, "a"),
        (("a",), {"file": "stdout"}, "a"),
        (("a",), {"file": "stderr"}, "a"),
        (("a",), {"flush": True}, "a"),
        (("a\nb",), {}, "a\nb"),
        (("100%", "{x}"), {}, "100% {x}"),
    ],
)
def test_one_record_for_each_call(recorder, capsys, arguments, options, logged):
    @task(cache_policy=NO_CACHE, log_prints=True)
    def work():
        given = dict(options)
        if isinstance(given.get("file"), str):
            given["file"] = getattr(sys, given["file"])
        print(*arguments, **given)

    work()
    assert recorder.logs() == [logged]
    assert capsys.readouterr() == ("", "")


def test_other_files_get_what_is_printed_into_them(recorder, tmp_path):
    @task(cache_policy=NO_CACHE, log_prints=True)
    def work():
        odd = Odd()
        print("odd", file=odd)
        with (tmp_path / "out").open("w") as file:
            print("file", file=file)
        return odd.getvalue()

    assert work() == "odd\n"
    assert (tmp_path / "out").read_text() == "file\n"
    assert recorder.logs() == []


def test_a_print_that_is_wrong_is_wrong_as_ever(recorder):
    @task(cache_policy=NO_CACHE, log_prints=True)
    def work():
        print("a", "b", sep=5)  # pyright: ignore[reportArgumentType] - the point

    with pytest.raises(TypeError, match="sep must be None or a string"):
        work()


CASES = [
    # task, flow, outer flow, setting → whether the task's print is logged
    (True, False, False, False, True),
    (False, True, True, True, False),
    (None, True, False, False, True),
    (None, False, True, True, False),
    (None, None, True, False, True),
    (None, None, False, True, False),
    (None, None, None, True, True),
    (None, None, None, False, False),
]


@pytest.mark.parametrize(("of_task", "of_flow", "of_outer", "setting", "logged"), CASES)
@pytest.mark.parametrize("way", ["call", "submit", "async"])
def test_who_decides(recorder, capsys, way, of_task, of_flow, of_outer, setting, logged):
    @task(cache_policy=NO_CACHE, log_prints=of_task)
    def work():
        print("said")

    @task(cache_policy=NO_CACHE, log_prints=of_task)
    async def awork():
        print("said")

    @flow(log_prints=of_flow)
    def inner():
        if way == "async":
            awork.submit().wait()
        elif way == "submit":
            work.submit().result()
        else:
            work()

    @flow(log_prints=of_outer)
    def outer():
        inner()

    with temporary_settings(logging_log_prints=setting):
        outer()
    assert recorder.logs() == (["said"] if logged else [])
    assert capsys.readouterr().out == ("" if logged else "said\n")


def test_outside_flows_the_setting_decides(recorder):
    @task(cache_policy=NO_CACHE)
    def work():
        print("said")

    with temporary_settings(PREFECT_LOGGING_LOG_PRINTS="true"):
        work()
    assert recorder.logs() == ["said"]


def test_twenty_at_once_land_in_their_own_runs(recorder, capsys):
    """Threads, coroutines and tasks in tasks, all of them between prints at the same time."""
    meeting = threading.Barrier(10)

    @task(cache_policy=NO_CACHE, log_prints=True, task_run_name="inner-{n}")
    def inner(n):
        print("inner", n)

    @task(cache_policy=NO_CACHE, log_prints=True, task_run_name="thread-{n}")
    def in_thread(n):
        print("thread", n)
        meeting.wait(30)
        inner(n)
        print("thread", n)

    @task(cache_policy=NO_CACHE, log_prints=True, task_run_name="loop-{n}")
    async def on_loop(n):
        print("loop", n)
        await asyncio.sleep(0)
        inner(100 + n)
        await asyncio.sleep(0)
        print("loop", n)

    @flow
    async def crowd():
        threads = in_thread.map(range(10))
        await asyncio.gather(*(on_loop(n) for n in range(10)))
        await threads
        print("plain")

    asyncio.run(crowd())
    said = {}
    for event in recorder.events:
        if len(event) == 4:
            said.setdefault(event.run.name, []).append(event.message)
    expected = {}
    for n in range(10):
        expected[f"thread-{n}"] = [f"thread {n}"] * 2
        expected[f"loop-{n}"] = [f"loop {n}"] * 2
        expected[f"inner-{n}"] = [f"inner {n}"]
        expected[f"inner-{100 + n}"] = [f"inner {100 + n}"]
    assert said == expected
    assert capsys.readouterr().out == "plain\n"


def test_a_thread_of_ones_own_prints_as_ever(recorder, capsys):
    inside, done = threading.Event(), threading.Event()

    def other():
        assert inside.wait(30)
        print("from outside")
        done.set()

    @task(cache_policy=NO_CACHE, log_prints=True)
    def work():
        inside.set()
        assert done.wait(30)
        print("from inside")

    thread = threading.Thread(target=other)
    thread.start()
    work()
    thread.join()
    assert recorder.logs() == ["from inside"]
    assert capsys.readouterr().out == "from outside\n"


def test_a_handler_that_prints_is_no_loop(recorder, capsys):
    class Printing(logging.Handler):
        def emit(self, record):
            print("handled", record.getMessage())

    @task(cache_policy=NO_CACHE, log_prints=True)
    def work():
        print("once")

    logger = logging.getLogger("cellist.task_runs")
    handler = Printing()
    logger.addHandler(handler)
    try:
        work()
    finally:
        logger.removeHandler(handler)
    assert recorder.logs() == ["once"]
    assert capsys.readouterr().out == "handled once\n"


def test_print_is_put_back_after_an_error(recorder):
    @task(cache_policy=NO_CACHE, log_prints=True)
    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        fail()


def test_a_patch_that_somebody_else_put_meanwhile_stays(recorder):
    before = builtins.print
    said = []

    def theirs(*args, **kwargs):
        said.append(args)
        ours(*args, **kwargs)

    @task(cache_policy=NO_CACHE, log_prints=True)
    def patching():
        nonlocal ours
        ours = builtins.print
        builtins.print = theirs
        print("both")

    ours = before
    try:
        patching()
        assert builtins.print is theirs
    finally:
        builtins.print = before
    assert said == [("both",)]
    assert recorder.logs() == ["both"]


def test_the_two_tools_themselves(recorder, capsys):
    print_as_log("outside")
    with patch_print():
        print("outside as well")

    @task(cache_policy=NO_CACHE)
    def work():
        print("plain")
        print_as_log("logged", 1)
        with patch_print():
            print("patched")
        print("plain again")

    work()
    assert recorder.logs() == ["logged 1", "patched"]
    assert capsys.readouterr().out == "outside\noutside as well\nplain\nplain again\n"
