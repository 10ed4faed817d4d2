"""Workers in notebooks: in a cell, in the background of a kernel, and for another kernel."""

import pytest

from tests.kernels import kernel

pytestmark = [pytest.mark.slow, pytest.mark.kernel]

SETUP = """
from cellist import task
from cellist.cache_policies import NO_CACHE
import cellist

@task(cache_policy=NO_CACHE)
def double(x):
    return 2 * x

@task(cache_policy=NO_CACHE)
async def triple(x):
    return 3 * x
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two kernels of one project."""
    folder = tmp_path_factory.mktemp("project")
    own = {"CELLIST_HOME": str(folder / "home"), "CELLIST_SECRET_DIR": str(folder / "secret")}
    with kernel(own, str(folder)) as first, kernel(own, str(folder)) as second:
        for one in (first, second):
            assert one.run(SETUP).error is None
        yield first, second


def test_a_cell_serves_another_kernel_until_it_is_interrupted(two):
    producer, server = two
    queued = producer.run("a, b = double.delay(4), triple.delay(4)")
    assert queued.error is None, queued.traceback

    def both_are_done() -> bool:
        found = producer.run("print(a.result(timeout=60), b.result(timeout=60))")
        assert found.stdout == "8 12\n", found.traceback
        return True

    cell = server.run("cellist.serve(double, triple)", interrupt_when=both_are_done)
    assert cell.error is None, cell.traceback
    assert cell.seconds < 30
    assert "Task worker stopped" in cell.stderr
    assert server.run("1 + 1").result == "2"


def test_awaited_in_a_cell(two):
    producer, server = two
    producer.run("a = triple.delay(5)")
    for _ in range(10):  # one turn may be too short on a busy machine
        cell = server.run("await cellist.serve(triple, timeout=1.0)")
        assert cell.error is None, cell.traceback
        if producer.run("a.done()").result == "True":
            break
    assert producer.run("print(a.result(timeout=0))").stdout == "15\n"


def test_in_the_background_of_the_same_kernel(two):
    kernel_, _ = two
    cell = kernel_.run(
        "from cellist.task_worker import BackgroundWorker\n"
        "with BackgroundWorker(double, triple) as worker:\n"
        "    print(double.delay(1).result(timeout=60), (await triple.delay(2)))\n"
    )
    assert cell.error is None, cell.traceback
    assert cell.stdout == "2 6\n"


def test_on_the_kernels_loop_while_a_cell_blocks(two):
    """The worker needs the loop that the cell blocks, which goes on meanwhile."""
    kernel_, _ = two
    started = kernel_.run(
        "import asyncio\nserving = asyncio.create_task(cellist.aserve(triple, double))\n"
        "await asyncio.sleep(0.2)"
    )
    assert started.error is None, started.traceback
    cell = kernel_.run("print(triple.delay(3).result(timeout=60), double.delay(3).result(60))")
    assert cell.error is None, cell.traceback
    assert cell.stdout == "9 6\n"
    ended = kernel_.run(
        "serving.cancel()\nawait asyncio.wait([serving])\nprint(serving.cancelled())"
    )
    assert ended.stdout == "True\n", ended.traceback


def test_a_class_of_the_notebook_stays_the_same(two):
    kernel_, _ = two
    cell = kernel_.run(
        "class Point:\n"
        "    def __init__(self, x):\n        self.x = x\n"
        "    def norm(self):\n        return abs(self.x)\n"
        "before = Point.norm\n"
        "@task(cache_policy=NO_CACHE)\n"
        "def shift(p):\n    return Point(p.x + 1)\n"
        "with BackgroundWorker(shift):\n"
        "    found = shift.delay(Point(1)).result(timeout=60)\n"
        "print(type(found) is Point, Point.norm is before, found.x)\n"
    )
    assert cell.stdout == "True True 2\n", cell.traceback
