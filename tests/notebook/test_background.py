"""`%%flow --bg` in a shell without a kernel: on the session's loop, while prompts come and go."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from cellist.exceptions import CancelledRun, PausedRun
from cellist.model.runs import Run
from cellist.notebook import background
from cellist.notebook.status import usual_text
from tests.shells import Shell, shell

SETUP = """
import asyncio, threading, time
from cellist import flow, task
from cellist.cache_policies import NO_CACHE

go, begun = threading.Event(), threading.Event()

async def gone():
    while not go.is_set():
        await asyncio.sleep(0.01)

@task(cache_policy=NO_CACHE)
def double(x):
    return 2 * x

@task(cache_policy=NO_CACHE)
async def slow(x):
    await gone()
    return x
"""


@pytest.fixture
def ipython(tmp_path):
    with shell(tmp_path) as started:
        started.run(SETUP)
        yield started
        started["go"].set()
        for flow in list(background.running.values()):
            flow.cancel()
            flow.future.wait(60)


def handle(ipython: Shell, name: str = "h") -> background.FlowFuture:
    return ipython[name]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_of(ipython: Shell) -> Run:
    return handle(ipython).run


def test_the_cell_returns_and_the_handle_gives_the_value_later(ipython: Shell) -> None:
    cell = ipython.run(
        "%%flow crawl --bg -o h\nx = 1\nbegun.set()\nawait gone()\nx = double(x)\nx + 40"
    )
    assert cell.error is None
    assert "`crawl`" in cell.out
    assert "%cellist cancel crawl" in cell.out
    assert ipython["begun"].wait(60)
    assert handle(ipython).done() is False
    assert handle(ipython).state.is_running()
    assert ipython.run("x").result == 1  # assigned, and there already
    ipython["go"].set()
    assert handle(ipython).result(60) == 42
    assert ipython["x"] == 2
    assert [state.name for state in run_of(ipython).states] == ["Pending", "Running", "Completed"]
    assert background.running == {}
    assert not any(name.startswith("__cellist") for name in ipython.shell.user_ns)


def test_futures_in_the_value_become_what_they_give(ipython: Shell) -> None:
    ipython.run("%%flow --bg -o h\ndouble.map([1, 2, 3])")
    assert handle(ipython).result(60) == [2, 4, 6]


def test_an_error_is_kept_and_told_under_the_cell(ipython: Shell, capsys) -> None:
    ipython.run("%%flow bad --bg -o h\nawait gone()\n1 / 0")
    ipython["go"].set()
    assert isinstance(handle(ipython).exception(60), ZeroDivisionError)
    assert handle(ipython).state.is_failed()
    told = capsys.readouterr().out
    assert "----> 3 1 / 0" in told
    assert "cellist/" not in told
    with pytest.raises(ZeroDivisionError):
        handle(ipython).result()


def test_one_that_cannot_be_made_says_so_in_its_cell(ipython: Shell) -> None:
    cell = ipython.run("%%flow --bg --retry-delay nan\n1")
    assert isinstance(cell.error, ValueError)
    assert "retry_delay_seconds" in str(cell.error)
    assert background.running == {}


def test_it_is_retried(ipython: Shell) -> None:
    ipython.run("tries = []")
    ipython.run(
        "%%flow again --bg --retries 2 -o h\n"
        "tries.append(1)\nif len(tries) < 3: raise ValueError('not yet')\nlen(tries)"
    )
    assert handle(ipython).result(60) == 3
    assert run_of(ipython).attempts == 3


def test_letting_go_of_the_handle_changes_nothing(ipython: Shell) -> None:
    ipython.run("%%flow --bg -o h\nawait gone()\ndone = True")
    future = handle(ipython)
    ipython.run("del h; import gc; gc.collect();")
    ipython["go"].set()
    future.wait(60)
    assert ipython["done"] is True


def test_two_run_at_once_and_cancel_concerns_one(ipython: Shell) -> None:
    ipython.run("%%flow one --bg -o h\nawait slow(1)")
    ipython.run("%%flow two --bg -o g\nawait slow(2)")
    until(lambda: ipython.run("%cellist status").out.count("1 running") == 2)
    said = ipython.run("%cellist status").out
    assert "flow one" in said
    assert "flow two" in said
    assert said.count("in the background") == 2
    assert said.count("1 running") == 2
    ipython.run("%cellist cancel one")
    assert isinstance(handle(ipython).exception(60), CancelledRun)
    assert handle(ipython).state.is_cancelled()
    assert handle(ipython, "g").done() is False
    assert "flow one" not in ipython.run("%cellist status").out
    ipython["go"].set()
    assert handle(ipython, "g").result(60) == 2


def test_a_second_of_the_same_name_is_refused_until_the_first_is_over(ipython: Shell) -> None:
    ipython.run("%%flow one --bg -o h\nawait gone()")
    again = ipython.run("%%flow one --bg\nsecond = True")
    assert "'one' still runs, since " in str(again.error)
    assert "%cellist cancel one" in str(again.error)
    assert "second" not in ipython
    ipython["go"].set()
    handle(ipython).wait(60)
    ipython.run("%%flow one --bg -o h\nsecond = True")
    handle(ipython).wait(60)
    assert ipython["second"] is True


@pytest.mark.parametrize(
    ("body", "shown"), [("6 * 7", "42"), ("6 * 7;", ""), ("x = 1", ""), ("None", "")]
)
def test_the_last_value_is_displayed_as_of_a_cell(ipython: Shell, capsys, body, shown) -> None:
    ipython.run(f"%%flow --bg -o h\nawait gone()\n{body}")
    publisher: Any = ipython.shell.display_pub
    publisher.shown = []
    capsys.readouterr()
    ipython["go"].set()
    handle(ipython).wait(60)
    assert "".join(one.get("text/plain", "") for one in publisher.shown) == shown


def test_syntax_errors_futures_and_magics_are_those_of_a_cell(ipython: Shell) -> None:
    assert isinstance(ipython.run("%%flow --bg\nx = = 1").error, SyntaxError)
    assert isinstance(ipython.run("%%flow --bg\nbreak").error, SyntaxError)
    ipython.run(
        "%%flow --bg -o h\nfrom __future__ import annotations\n"
        "def f(x: nowhere): return 3\n%precision 2\nf(1)"
    )
    assert handle(ipython).result(60) == 3


def test_a_background_flow_that_is_stopped_by_its_time_limit(ipython: Shell) -> None:
    ipython.run("%%flow late --bg --timeout 0.1 -o h\nawait gone()")
    assert isinstance(handle(ipython).exception(60), TimeoutError)
    assert run_of(ipython).state_name == "TimedOut"


def test_how_many_tasks_wait_is_told_in_words(ipython: Shell) -> None:
    ipython.run("@task(retries=1, retry_delay_seconds=60)\ndef fail(): raise ValueError")
    ipython.run("%%flow late --bg -o h\nawait fail.submit()")
    until(lambda: "1 awaiting retry" in ipython.run("%cellist status").out)
    ipython.run("h.cancel()")


def test_cancelling_what_is_on_the_loop_is_not_called_impossible(ipython: Shell) -> None:
    ipython.run("%%flow one --bg -o h\nawait gone()")
    said = ipython.run("%cellist cancel one").out
    assert said.startswith(("Asked to stop: `", "Cancelled `"))
    assert isinstance(handle(ipython).exception(20), CancelledRun)


def test_how_far_a_loop_is_is_told(ipython: Shell) -> None:
    ipython.run(
        "import cellist\n@task\nasync def steps():\n"
        "    for step in cellist.progress(range(4)):\n"
        "        if step == 1: await gone()"
    )
    ipython.run("%%flow one --bg -o h\nawait steps.submit()")
    until(lambda: "1 of 4" in ipython.run("%cellist status").out)
    ipython["go"].set()
    handle(ipython).wait(20)


def test_deferred_runs_that_nobody_carries_out_are_told(ipython: Shell) -> None:
    ipython.run("one = double.delay(1)")
    said = ipython.run("%cellist status").out
    assert "task double: 1 deferred run waits for a worker, such as BackgroundWorker" in said
    assert "Nothing is running." not in said
    ipython.run("two = double.delay(2)")
    assert "2 deferred runs wait" in ipython.run("%cellist status").out
    ipython.run("%cellist cancel double")
    assert "Nothing is running." in ipython.run("%cellist status").out


def test_a_suspended_flow_is_listed_until_it_is_resumed(ipython: Shell) -> None:
    ipython.run("from cellist import resume_flow_run, suspend_flow_run")
    stopped = ipython.run("%%flow publish\nsuspend_flow_run(wait_for_input=int)")
    assert isinstance(stopped.error, PausedRun)
    said = ipython.run("%cellist status").out
    assert "flow publish" in said
    assert "Suspended since " in said
    assert "Waits for input `value` (a whole number)." in said
    ipython.run("resume_flow_run('publish', 4)")
    assert "Nothing is running." in ipython.run("%cellist status").out
    assert ipython.run("%%flow publish\nsuspend_flow_run(wait_for_input=int)").result == 4


@pytest.mark.parametrize(
    ("durations", "text"),
    [
        ([], None),
        ([3.0], None),
        ([3.0, 3.0, 3.0], "usually 3.0 s (last 3 runs)"),
        ([60.0, 120.0, 180.0, 240.0, 300.0], "usually 2 m 0 s to 4 m 0 s (last 5 runs)"),
    ],
)
def test_how_long_runs_usually_take(durations, text) -> None:
    assert usual_text(durations) == text
