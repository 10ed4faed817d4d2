"""`%%flow --bg` in a real kernel: other cells run meanwhile, stop concerns the cell in front."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """
%load_ext cellist
import asyncio, threading, time
import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE

@task(cache_policy=NO_CACHE)
def nap(seconds):
    time.sleep(seconds)
    return seconds

@task(cache_policy=NO_CACHE)
async def doze(seconds):
    await asyncio.sleep(seconds)
    return seconds
"""
SOON = 20.0  # seconds after the press; what is stopped would go on for sixty


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """Give one kernel to all tests here that leave nothing behind."""
    home = tmp_path_factory.mktemp("home")
    env = {"CELLIST_HOME": str(home / "store"), "CELLIST_SECRET_DIR": str(home / "secret")}
    with kernel(env, str(home)) as one:
        first = one.run(SETUP)
        assert first.error is None, first.traceback
        yield one


def state(one: Kernel, name: str) -> str:
    return (one.run(f"{name}.state.name").result or "").strip("'")


def test_prints_displays_and_the_value_belong_to_the_cell_of_the_flow(shared: Kernel) -> None:
    shared.run("go = asyncio.Event()")
    cell = shared.run(
        "%%flow late --bg -o h\nprint('one')\nawait go.wait()\nprint('two')\nfound = 6\nfound * 7",
        cell_id="late",
    )
    assert cell.error is None
    other = shared.run("print('between'); 'found' in globals()")
    assert (other.stdout, other.result) == ("between\n", "False")
    shared.run("go.set(); asyncio.get_running_loop()")  # the loop the flow runs on
    assert shared.run("await h").result == "42"
    assert shared.run("found").result == "6"
    assert cell.stdout == "one\ntwo\n"
    assert "42" in [shown["text/plain"] for shown in cell.shown]
    shared.wait_for(lambda: "late: completed" in str(cell.shown))


def test_an_error_appears_under_the_cell_of_the_flow(shared: Kernel) -> None:
    cell = shared.run("%%flow bad --bg -o h\nawait asyncio.sleep(0.1)\n1 / 0", cell_id="bad")
    assert cell.error is None
    shared.wait_for(lambda: cell.error is not None)
    assert cell.error == ("ZeroDivisionError", "division by zero")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", cell.traceback)
    assert "----> 3 1 / 0" in plain
    assert "cellist/" not in plain
    assert shared.run("type(h.exception()).__name__").result == "'ZeroDivisionError'"
    shared.wait_for(lambda: "bad: failed" in str(cell.shown))


def test_cells_run_while_the_flow_waits_without_await(shared: Kernel) -> None:
    shared.run(
        "go = threading.Event()\n@task(cache_policy=NO_CACHE)\ndef hold(n): go.wait(); return n"
    )
    shared.run("%%flow waits --bg -o h\nsum(hold.map([2, 2]).result())", cell_id="waits")
    for code in ("6 * 7", "await asyncio.sleep(0.01)\n42"):
        cell = shared.run(code)
        assert cell.result == "42"
    assert state(shared, "h") == "Running"
    refused = shared.run("h.result()")
    assert refused.error is not None
    assert "Use `await` here" in refused.error[1]
    assert shared.run("go.set()\nawait h").result == "4"


FRONT = {
    "a flow that awaits": "%%flow\nawait asyncio.sleep(60)",
    "a flow with tasks": "%%flow\nnap.map([60, 61]).result()",
    "code that awaits the flow": "await h",
    "code that blocks for the flow": "h.result()",
    "other code": "time.sleep(60)",
}


@pytest.mark.parametrize("code", FRONT.values(), ids=FRONT.keys())
def test_stop_concerns_the_cell_in_front(shared: Kernel, code: str) -> None:
    shared.run("%%flow behind --bg -o h\nawait asyncio.gather(doze(600), doze(601))", cell_id="b")
    stopped = shared.run(code, interrupt_when=shared.at_rest)
    assert stopped.seconds < SOON
    assert stopped.error is not None
    shared.interrupt()  # with nothing in front
    assert state(shared, "h") == "Running"
    shared.run("h.cancel()")
    assert "CancelledRun" in (shared.run("type(h.exception(60))").result or "")


def test_stop_ends_a_flow_that_keeps_the_kernel(shared: Kernel) -> None:
    cell = shared.run(
        "%%flow greedy --bg -o h\nawait asyncio.sleep(0.1)\nnap(60)", cell_id="greedy"
    )
    shared.wait_for(lambda: "does not await" in cell.html)
    shared.interrupt()
    assert shared.run("6 * 7").seconds < SOON
    assert state(shared, "h") == "Cancelled"
    assert cell.error is not None
    assert cell.error[0] == "KeyboardInterrupt"


def test_a_time_limit_and_a_cancel_end_code_that_does_not_await(shared: Kernel) -> None:
    shared.run("%%flow late --bg -o h --timeout 0.5\ntime.sleep(60)", cell_id="l")
    assert shared.run("1").seconds < SOON
    assert state(shared, "h") == "TimedOut"
    shared.run(
        "%%flow never --bg -o h\nthreading.Timer(0.5, lambda: h.cancel()).start()\ntime.sleep(60)",
        cell_id="n",
    )
    assert shared.run("await asyncio.sleep(0.1)").seconds < SOON
    assert state(shared, "h") == "Cancelled"


def test_a_run_that_the_body_has_called_is_cancelled_alone(shared: Kernel) -> None:
    shared.run(
        "%%flow caller --bg -o h\n"
        "from cellist.session import get_session\n"
        "@task(cache_policy=NO_CACHE)\n"
        "def called(): time.sleep(60)\n"
        "def cancel():\n"
        "    live = get_session().live.values()\n"
        "    get_session().cancel(next(x for x in live if x.definition.name == 'called'))\n"
        "threading.Timer(0.5, cancel).start()\n"
        "began = time.monotonic()\n"
        "try:\n"
        "    called()\n"
        "except BaseException:\n"
        "    took = time.monotonic() - began\n"
        "took",
        cell_id="c",
    )
    assert float(shared.run("await h").result or SOON) < SOON


def test_a_cell_that_is_run_again_shows_the_board_of_the_flow_that_goes_on(shared: Kernel) -> None:
    first = shared.run("%%flow --bg -o h\nawait asyncio.sleep(600)", cell_id="again")
    second = shared.run("%%flow --bg\nprint('anew')", cell_id="again")
    assert "still runs, since " in second.stderr
    assert [set(shown) for shown in first.shown[:2]] == [set(shown) for shown in second.shown[:2]]
    assert "anew" not in second.stdout
    shared.run("h.cancel()")
    assert "CancelledRun" in (shared.run("type(h.exception(60))").result or "")
    shared.wait_for(lambda: "cancelled" in second.sentence)


def test_without_a_front_end_the_cell_waits_and_says_so(shared: Kernel) -> None:
    cell = shared.run("%%flow here --bg -o h\nx = await doze(0.2)\nx + 1")
    assert "this cell waits for its flow" in cell.html
    assert "1.2" in [shown["text/plain"] for shown in cell.shown]
    assert shared.run("h.result()").result == "1.2"
    failed = shared.run("%%flow here --bg\n1 / 0")
    assert failed.error is not None
    assert failed.error[0] == "ZeroDivisionError"
    stopped = shared.run("%%flow here --bg\nawait asyncio.sleep(60)", interrupt_when=shared.at_rest)
    assert stopped.seconds < SOON
    assert stopped.error is not None


def test_a_kernel_that_ends_is_told_in_the_history(tmp_path: Path) -> None:
    env = {"CELLIST_HOME": str(tmp_path / "s"), "CELLIST_SECRET_DIR": str(tmp_path / "k")}
    with kernel(env, str(tmp_path)) as one:
        one.run(SETUP)
        one.run("%%flow cut --bg\nawait asyncio.sleep(600)", cell_id="cut")
        one.run("await asyncio.sleep(0.1)")
        one.restart()
        one.run("import cellist")
        told = one.run("cellist.run('cut').states[-1][:3]").result or ""
        assert "'Crashed'" in told
        assert "went away" in told


def test_nothing_is_left_behind(shared: Kernel) -> None:
    left = shared.run("[t for t in asyncio.all_tasks() if 'cellist' in repr(t.get_coro())]")
    assert left.result == "[]"
    assert "flow" not in shared.run("%cellist status").stdout  # threads may sleep on for a while
