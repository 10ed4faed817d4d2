"""Limits in a real kernel, whose loop always runs."""

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """
%load_ext cellist
import asyncio, threading, time
from cellist import flow, limits, task
from cellist.cache_policies import NO_CACHE
from cellist.concurrency import concurrency, rate_limit

limits.set("db", 1)
limits.set_tag("db", 1)

async def hold(seconds):
    async with concurrency("db"):
        await asyncio.sleep(seconds)

@task(tags=["db"], cache_policy=NO_CACHE)
async def doze(seconds):
    await asyncio.sleep(seconds)
    return seconds

@task(tags=["db"], cache_policy=NO_CACHE)
def query():
    return "asked"
"""
HOLD = "holder = asyncio.ensure_future(hold(0.3)); await asyncio.sleep(0)"
SOON = 20.0  # seconds after the press; what is not stopped waits for good
IN_USE = "[(one.name, one.in_use, one.waiting) for one in limits.table()]"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """Give one kernel to all tests here that leave nothing behind."""
    home = tmp_path_factory.mktemp("home")
    env = {"CELLIST_HOME": str(home / "store"), "CELLIST_SECRET_DIR": str(home / "secret")}
    with kernel(env, str(home)) as one:
        first = one.run(SETUP)
        assert first.error is None, first.traceback
        yield one


@pytest.fixture(autouse=True)
def nothing_is_left(shared: Kernel):
    yield
    assert shared.run(IN_USE).result == "[('db', 0, 0), ('tag:db', 0, 0)]"


def test_a_cell_waits_for_what_the_loop_has_to_end(shared: Kernel):
    assert shared.run(HOLD).error is None
    cell = shared.run("with concurrency('db'):\n    print('inside', holder.done())")
    assert (cell.error, cell.stdout) == (None, "inside True\n")
    assert shared.run(HOLD).error is None
    cell = shared.run("async with concurrency('db'):\n    print('inside', holder.done())")
    assert (cell.error, cell.stdout) == (None, "inside True\n")


@pytest.mark.parametrize(
    "code",
    ["query()", "query.submit().result()", "%%flow\nquery()", "%%flow\nawait query.submit()"],
)
def test_a_run_waits_for_a_slot_that_the_loop_has_to_free(shared: Kernel, code: str):
    assert shared.run("other = doze.submit(0.3)").error is None
    cell = shared.run(code)
    assert cell.error is None, cell.traceback
    assert cell.result == "'asked'"


def test_a_cell_says_what_it_wants_of_a_rate(shared: Kernel):
    shared.run("limits.set_rate('api', per_second=4)")
    cell = shared.run("began = time.monotonic()\nfor _ in range(3): rate_limit('api')")
    assert cell.error is None
    cell = shared.run("await rate_limit('api')\nrate_limit('api')\nprint(time.monotonic() - began)")
    assert cell.error is None, "the second one is a coroutine that nobody awaits"
    assert float(cell.stdout) >= 0.75
    cell = shared.run("rate_limit('api')")
    assert (cell.result, cell.shown, cell.error) == (None, [], None)
    shared.run("limits.remove('api')")


@pytest.mark.parametrize(
    "code",
    [
        "with concurrency('db'): pass",
        "async with concurrency('db'): pass",
        "%%flow\nwith concurrency('db'): pass",
        "%%flow\nasync with concurrency('db'): pass",
        "query()",
        "query.submit().result()",
        "await query.submit()",
        "await doze(0)",
        "%%flow\nquery.submit().result()",
        "%%flow\nawait doze(0)",
    ],
)
def test_stop_ends_the_wait(shared: Kernel, code: str):
    begin = """
    stop = threading.Event()
    ready = threading.Event()
    def work():
        with concurrency(["db", "tag:db"]):
            ready.set()
            stop.wait()
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    """
    assert shared.run(begin).error is None
    cell = shared.run(code, interrupt_when=shared.at_rest)
    assert cell.error is not None
    assert cell.error[0] in {"KeyboardInterrupt", "CancelledError"}
    assert cell.seconds < SOON
    assert shared.run("stop.set(); thread.join()").error is None
