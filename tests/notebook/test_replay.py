"""What tasks showed is shown again in a real kernel: under the cell that found the result."""

import re

import pytest

from tests.kernels import Cell, Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """%load_ext cellist
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from IPython.display import HTML, clear_output, display
import cellist
from cellist import flow, get_run_logger, task
"""
TASKS = """
@task
def rich(n):
    print("one", n)
    display(HTML(f"<i>two {n}</i>"))
    print("three", n)
    thread = threading.Thread(target=print, args=("four",))
    thread.start(); thread.join()
    get_run_logger().info("logged")
    print("five", n, file=sys.stderr)
    return n

@task(log_prints=True)
def logs(n):
    print("printed", n)
    return n

@task
def inner(n):
    print("inner", n)
    return n

@task
def outer(n):
    print("before")
    value = inner(n)
    print("after")
    return value

@task
async def later(n):
    print("begin", n)
    await asyncio.sleep(0.01)
    print("end", n)
    return n

@task
def figure(n):
    import matplotlib.pyplot as plt
    plt.plot([1, n])
    return n

@task
def widget(n):
    import ipywidgets
    display(ipywidgets.IntSlider(n))
    return n

@task
def silent(n):
    return n

@task(replay=False)
def off(n):
    print("never again")
    return n

@task
def progress(n):
    for step in range(n):
        print(f"\\rstep {step}", end="")
    print()
    print("old")
    clear_output()
    handle = display("first", display_id=True)
    handle.update("last")
    return n
"""
MARK = re.compile(r"\x1b\[38;5;243m(↺ [^\n]* · recorded \d\d:\d\d)\x1b\[0m\n")


def marks(cell: Cell) -> list[str]:
    return MARK.findall(cell.stdout + cell.stderr)


def text(cell: Cell) -> str:
    return MARK.sub("", cell.stdout)


def own(cell: Cell) -> list[dict]:
    """What the code displayed: no boards."""
    return [
        bundle
        for bundle in cell.shown
        if "widget-view" not in str(bundle) and "data-cellist" not in str(bundle)
    ]


def logs_of(one: Kernel, name: str) -> str:
    return one.run(f"[log.message for log in cellist.run({name!r}).logs]").result or ""


@pytest.fixture(scope="module")
def restarted(tmp_path_factory):
    """A kernel that has run these cells before it was restarted."""
    with kernel(cwd=str(tmp_path_factory.mktemp("replay"))) as one:
        assert one.run(SETUP + TASKS).error is None
        first = {code: one.run(code) for code in CELLS}
        one.restart()
        assert one.run(SETUP + TASKS).error is None
        yield one, first


CELLS = [
    "rich(1)",
    "logs(1)",
    "outer(1)",
    "await asyncio.gather(later(1), later(2))",
    "figure(2)",
    "widget(2)",
    "silent(1)",
    "off(1)",
    "progress(3)",
    "inner.map(range(100, 140)).result()",
    "[f.result() for f in [later.submit(n) for n in (10, 20)]]",
    "%%flow -q named\nrich(2)\ninner.map([7, 8]).result()",
]


@pytest.mark.parametrize("code", CELLS)
def test_no_cell_fails(restarted, code):
    one, first = restarted
    assert first[code].error is None, first[code].traceback
    again = one.run(code)
    assert again.error is None, again.traceback
    assert again.result == first[code].result
    assert first[code].elsewhere == again.elsewhere == ""


def test_prints_displays_and_threads_come_back_in_order(restarted):
    one, first = restarted
    again = one.run("rich(1)")
    assert text(again) == first["rich(1)"].stdout == "one 1\nthree 1\nfour\n"
    assert again.stderr == first["rich(1)"].stderr == "five 1\n"
    assert own(again) == own(first["rich(1)"])
    assert [mark.split(" ")[1] for mark in marks(again)] == ["rich"]
    assert re.fullmatch(r"\['↺ \d\d:\d\d · logged'\]", logs_of(one, "rich"))
    order = one.run(
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as got: rich(1)\n"
        "got.stdout, [o.data['text/html'] for o in got.outputs]"
    )
    assert "three 1" in str(order.result)
    assert "<i>two 1</i>" in str(order.result)


def test_the_order_of_messages_is_that_of_the_run(restarted):
    one, _ = restarted
    sent = one.client.execute("rich(1)")
    kinds: list[str] = []
    while True:
        message = one.client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") != sent:
            continue
        content = message["content"]
        if content.get("execution_state") == "idle":
            break
        shown = content.get("text") or str(content.get("data", ""))
        kinds += re.findall(r"recorded|one 1|two 1|three 1|four", shown)
    assert kinds == ["recorded", "one 1", "two 1", "three 1", "four"]


def test_prints_that_are_logs_come_back_as_logs(restarted):
    one, _ = restarted
    again = one.run("logs(1)")
    assert again.stdout == again.stderr == ""
    assert re.fullmatch(r"\['↺ \d\d:\d\d · printed 1'\]", logs_of(one, "logs"))


def test_nested_tasks_are_shown_once(restarted):
    one, _ = restarted
    whole = one.run("outer(1)")
    assert text(whole) == "before\ninner 1\nafter\n"
    assert len(marks(whole)) == 1
    assert text(one.run("inner(1)")) == "inner 1\n"


def test_async_runs_come_back_one_by_one(restarted):
    one, first = restarted
    again = one.run(CELLS[3])
    assert len(marks(again)) == 2
    assert sorted(text(again).split()) == sorted(first[CELLS[3]].stdout.split())
    assert "begin 1\nend 1\n" in text(again)
    submitted = one.run(CELLS[10])
    assert "begin 20\nend 20\n" in text(submitted)


def test_open_figures_and_widgets(restarted):
    one, first = restarted
    figure = own(one.run("figure(2)"))
    assert [sorted(bundle) for bundle in figure] == [["image/png", "text/plain"]]
    assert figure == own(first["figure(2)"])
    assert one.run("plt = __import__('matplotlib.pyplot').pyplot; plt.get_fignums()").result == "[]"
    (widget,) = own(one.run("widget(2)"))
    assert widget["text/plain"].startswith("IntSlider(value=2)\n[a widget")


def test_what_was_cleared_or_replaced_is_gone(restarted):
    one, _ = restarted
    again = one.run("progress(3)")
    assert text(again) == ""
    assert [bundle["text/plain"] for bundle in own(again)] == ["'last'"]


def test_nothing_is_said_of_runs_that_show_nothing(restarted):
    one, _ = restarted
    assert marks(one.run("silent(1)")) == []
    again = one.run("off(1)")
    assert (again.stdout, marks(again)) == ("", [])


def test_a_map_has_a_mark_for_each_run(restarted):
    one, _ = restarted
    again = one.run(CELLS[9])
    assert len(marks(again)) == 40
    assert sorted(text(again).splitlines()) == sorted(f"inner {n}" for n in range(100, 140))
    blocks = MARK.split(again.stdout)[2::2]
    assert all(re.fullmatch(r"inner \d+\n", block) for block in blocks)


def test_quiet_cells_show_it_without_a_mark(restarted):
    one, first = restarted
    again = one.run(CELLS[11])
    assert marks(again) == []
    assert sorted(again.stdout.split()) == sorted(first[CELLS[11]].stdout.split())
    assert own(again) == own(first[CELLS[11]])


def test_what_others_do_meanwhile_goes_elsewhere(restarted):
    one, _ = restarted
    one.run("go = threading.Event()\n@task\ndef wait():\n    go.wait(60)\n    return inner(3)")
    one.run("inner(3)")
    one.run("future = wait.submit()")
    last = one.run("go.set(); future.result()")
    assert text(last) == ""
    assert "inner 3\n" in last.elsewhere
    assert "recorded" in last.elsewhere


def test_a_cell_that_is_a_task_has_what_its_tasks_showed(restarted):
    one, _ = restarted
    code = "%%task whole\nx = outer(1)\nprint('own')"
    first, again = one.run(code), one.run(code)
    assert text(first) == again.stdout == "before\ninner 1\nafter\nown\n"
    assert (len(marks(first)), len(marks(again))) == (1, 0)


@pytest.mark.parametrize("how", ["environment", "unload"])
def test_it_can_be_turned_off(restarted, how):
    one, _ = restarted
    turn = {
        "environment": ("%env CELLIST_REPLAY=off", "%env CELLIST_REPLAY=auto"),
        "unload": ("%unload_ext cellist", "%load_ext cellist"),
    }
    off, on = turn[how]
    one.run(off)
    assert one.run("rich(1)").stdout == ""
    assert (
        one.run("print('tapped', hasattr(sys.stdout.write, 'is_tap'))").stdout == "tapped False\n"
    )
    one.run(on)
    assert text(one.run("rich(1)")) == "one 1\nthree 1\nfour\n"
