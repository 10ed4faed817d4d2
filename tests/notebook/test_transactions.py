"""Transactions in a real kernel: what an interrupt undoes, and what the next cell sees."""

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(300)]

SETUP = """
%load_ext cellist
import asyncio, time
import cellist
from cellist import flow, task
from cellist.cache_policies import NO_CACHE
from cellist.transactions import atransaction, get_transaction, transaction

undone = []

@task(cache_policy=NO_CACHE, on_rollback=[lambda txn: undone.append("save")])
def save():
    return 1

@task(cache_policy=NO_CACHE, on_rollback=[lambda txn: undone.append("asave")])
async def asave():
    return 1

@task(cache_policy=NO_CACHE)
async def doze(seconds):
    await asyncio.sleep(seconds)
"""
INTERRUPTED = {
    "a sync block": "with transaction():\n    save()\n    time.sleep(60)",
    "an async block": "async with atransaction():\n    await asave()\n    await doze(60)",
    "in a flow cell": "%%flow\nwith transaction():\n    save()\n    await asyncio.sleep(60)",
    "around a task": "with transaction():\n    save()\n    task(time.sleep)(60)",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    env = {"CELLIST_HOME": str(home / "store"), "CELLIST_SECRET_DIR": str(home / "secret")}
    with kernel(env, str(home)) as one:
        first = one.run(SETUP)
        assert first.error is None, first.traceback
        yield one


@pytest.mark.parametrize("case", INTERRUPTED)
def test_an_interrupted_cell_is_undone(shared: Kernel, case: str) -> None:
    cell = shared.run(INTERRUPTED[case], interrupt_when=shared.at_rest)
    assert cell.error is not None
    assert cell.error[0] in {"KeyboardInterrupt", "CancelledError"}
    assert cell.seconds < 20
    after = shared.run("print(undone, get_transaction()); undone.clear()")
    assert after.stdout in {"['save'] None\n", "['asave'] None\n"}, (cell, after)


def test_a_block_left_open_is_not_seen_by_the_next_cell(shared: Kernel) -> None:
    cell = shared.run("left = transaction()\nleft.__enter__()\nsave()\nlen(left.children)")
    assert cell.result == "1"
    assert shared.run("get_transaction() is None").result == "True"
    assert shared.run("save(); left.children").result == "[Transaction(state=STAGED)]"
