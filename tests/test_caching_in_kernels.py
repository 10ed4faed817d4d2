"""Hits and misses per policy in a real kernel: cell run again, edited, moved, kernel restarted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

HELPER = "def helper(x):\n    return x + 1\n"
CELL = """
from cellist import flow, task
from cellist.cache_policies import DEFAULT, FLOW_PARAMETERS, INPUTS, RUN_ID, TASK_SOURCE
from cellist.tasks import task_input_hash

def f(n):
    return helper(n) * 2

variants = {
    "INPUTS": task(f, cache_policy=INPUTS),
    "TASK_SOURCE": task(f, cache_policy=TASK_SOURCE),
    "DEFAULT": task(f),
    "RUN_ID": task(f, cache_policy=INPUTS + RUN_ID),
    "FLOW_PARAMETERS": task(f, cache_policy=FLOW_PARAMETERS),
    "task_input_hash": task(f, cache_key_fn=task_input_hash),
}

@flow
def whole(p):
    return [name for name, t in variants.items() if t(3, return_state=True).name == "Cached"]

print(*whole(1))
"""
ALL = {"INPUTS", "TASK_SOURCE", "DEFAULT", "FLOW_PARAMETERS", "task_input_hash"}
BLIND = {"INPUTS", "FLOW_PARAMETERS"}  # to what the code says


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    place = tmp_path_factory.mktemp("kernel")
    env = {
        "CELLIST_HOME": str(place / "home"),
        "CELLIST_SECRET_DIR": str(place / "secret"),
        "CELLIST_UI": "off",
    }
    with kernel(env, str(place)) as running:
        yield running


def hits(running: Kernel, code: str = CELL) -> set[str]:
    cell = running.run(code)
    assert cell.error is None, cell.traceback
    return set(cell.stdout.split())


def test_the_table(started: Kernel) -> None:
    started.run(HELPER)
    assert hits(started) == set()
    assert hits(started) == ALL, "the same cell again"
    edited = CELL.replace("* 2", "* 3")
    assert hits(started, edited) == BLIND, "the cell edited"
    assert hits(started, CELL) == ALL, "and edited back"
    moved = "# a comment\n\n\nunrelated = 5\n" + CELL.replace("* 2", "* 2  # twice")
    assert hits(started, moved) == ALL, "the function moved, a comment added"
    started.run(HELPER.replace("+ 1", "+ 2"))
    assert hits(started) == BLIND, "a helper edited"
    started.run(HELPER)
    assert hits(started, CELL.replace("whole(1)", "whole(2)")) == ALL - {"FLOW_PARAMETERS"}
    started.restart()
    started.run(HELPER)
    assert hits(started) == ALL, "the kernel restarted"


def test_single_flight_does_not_hold_up_the_kernel(started: Kernel, tmp_path: Path) -> None:
    """Two coroutines of one cell want the same; the kernel's loop goes on meanwhile."""
    cell = started.run(
        """
import asyncio
from cellist import task
from cellist.cache_policies import INPUTS
ran = []

@task(cache_policy=INPUTS)
async def slow(n):
    ran.append(n)
    await asyncio.sleep(0.1)
    return n

states = await asyncio.gather(*[slow(9, return_state=True) for _ in range(3)])
print(len(ran), sorted(state.name for state in states))
"""
    )
    assert cell.error is None, cell.traceback
    assert cell.stdout.strip() == "1 ['Cached', 'Cached', 'Completed']"


def test_an_interrupt_ends_the_wait_for_another_process(started: Kernel) -> None:
    cell = started.run(
        """
from cellist import task
from cellist.caching.leases import FileSystemLockManager, Lease
from cellist.session import get_session
Lease.is_above = False
get_session().stores.locks_of(get_session().store).acquire_lock("held", "other")

@task(cache_key_fn=lambda *_: "held")
def wanted(n):
    return n

wanted(1)
""",
        interrupt_when=started.at_rest,
    )
    assert cell.error is not None
    assert cell.error[0] in {"KeyboardInterrupt", "CancelledRun"}
    assert cell.seconds < 20
    after = started.run("print(get_session().cache.flights.up)")
    assert after.stdout.strip() == "{}"
