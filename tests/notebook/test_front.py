"""What tasks showed is shown again by a shell, here one without a front end."""

import re

import pytest

from cellist.notebook import extension
from tests.shells import shell

TASKS = """
import sys, threading
from IPython.display import HTML, display
from cellist import flow, get_run_logger, task

@task
def rich(n):
    print("one")
    display(HTML("two"))
    print("three")
    return n

@task
def logged(n):
    get_run_logger().info("logged")
    return n

@task
def outer(n):
    display(HTML("zero"))
    return rich(n)
"""


@pytest.fixture
def ipython(tmp_path):
    with shell(tmp_path) as started:
        started.run(TASKS)
        yield started


def test_displays_come_back_among_the_prints(ipython):
    first, again = ipython.run("rich(1);"), ipython.run("rich(1);")
    assert (
        first.shown
        == again.shown
        == [{"text/plain": first.shown[0]["text/plain"], "text/html": "two"}]
    )
    assert first.out.startswith("one\nthree\n")
    assert re.match(r"\S*↺ rich · recorded \d\d:\d\d\S*\none\nthree\n", again.out)


def test_it_survives_the_kernel(ipython):
    ipython.run("outer(1);")
    ipython.restart()
    ipython.run(TASKS)
    again = ipython.run("outer(1);")
    assert [one["text/html"] for one in again.shown] == ["zero", "two"]
    assert again.out.count("recorded") == 1
    assert "one\nthree\n" in again.out


def test_without_the_extension_nothing_comes_back_and_displays_become_text(ipython):
    ipython.run("rich(1);")
    extension.unload(ipython.shell)
    assert ipython.run("rich(1);").out == ""
    ran = ipython.run(
        "from cellist.settings import temporary_settings\n"
        "with temporary_settings(replay='on'): rich(1);"
    )
    _, *lines = ran.out.splitlines()
    assert lines[:1] == ["one"]
    assert "HTML object" in lines[1]
    assert lines[2:] == ["three"]
    assert ran.shown == []


@pytest.mark.parametrize("how", ["import os; os.environ['CELLIST_UI'] = 'off'", "pass"])
def test_our_own_lines_can_be_turned_off(ipython, how, monkeypatch):
    monkeypatch.setenv("CELLIST_UI", "auto")
    ipython.run(how)
    ipython.run("rich(1);")
    again = ipython.run("rich(1);")
    assert ("recorded" in again.out) == (how == "pass")
    assert "one\nthree\n" in again.out


def test_logs_are_written_where_no_board_shows_them(ipython, monkeypatch):
    import logging

    logger = logging.getLogger("cellist.task_runs")
    monkeypatch.setattr(logger, "propagate", False)  # pytest's handlers are above
    first, again = ipython.run("logged(1);"), ipython.run("logged(1);")
    assert first.err.count(" - logged\n") == again.err.count(" · logged\n") == 1
    assert "↺ " in again.err
    assert "↺ " not in again.out


def test_a_cell_does_not_record_what_we_say(ipython):
    first = ipython.run("%%task whole\nx = rich(1)\nx = rich(1)")
    again = ipython.run("%%task whole\nx = rich(1)\nx = rich(1)")
    assert first.out.count("recorded") == 1
    assert "recorded" not in again.out.replace("reused", "")
    assert again.out.count("one\nthree\n") == 2
    assert len(again.shown) == 2


def test_figures_left_open_are_kept_as_the_task_left_them(ipython):
    ipython.run("%matplotlib inline")
    ipython.run(
        "import matplotlib.pyplot as plt\n"
        "@task\n"
        "def inner(n):\n    plt.figure(figsize=(1, 1)); plt.plot([2, n])\n    return n\n"
        "@task\n"
        "def drawn(n):\n    plt.figure(figsize=(1, 1)); plt.plot([1, n])\n    return inner(n)\n"
    )
    first = ipython.run("drawn(1); len(plt.get_fignums())")
    again = ipython.run("drawn(1); len(plt.get_fignums())")
    assert (first.result, again.result) == (2, 0)
    assert [sorted(one) for one in first.shown] == [["image/png", "text/plain"]] * 2
    assert sorted(map(str, again.shown)) == sorted(map(str, first.shown))


def test_what_capture_captures_is_captured_again(ipython):
    ipython.run("rich(1);")
    ipython.run("%%capture got\nx = rich(1)")
    assert "one\nthree\n" in ipython["got"].stdout
    assert len(ipython["got"].outputs) == 1
    ipython.run("%%capture\nx = rich(2)")
    assert ipython.run("rich(2);").shown[0]["text/html"] == "two"
