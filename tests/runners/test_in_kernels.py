"""Runners in a real kernel: what a notebook defines goes to their processes and comes back."""

from collections.abc import Iterator

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(900)]

SET_UP = {
    "processes": """
from cellist.task_runners import ProcessPoolTaskRunner
runner = ProcessPoolTaskRunner(max_workers=1)
""",
    "dask": """
from cellist.dask import DaskTaskRunner
runner = DaskTaskRunner(
    cluster_kwargs={"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
)
""",
    "ray": """
from cellist.ray import RayTaskRunner
from cellist.runners import ray as starting
starting._STARTS = 10  # on a busy machine
runner = RayTaskRunner(init_kwargs={"num_cpus": 1, "include_dashboard": False})
""",
}
CLASS = """
from cellist import flow, task
from cellist.cache_policies import INPUTS, NO_CACHE

STEP = 1

class Box:
    def __init__(self, x):
        self.x = x

    def more(self):
        return self.x + STEP

more = Box.more

@task(cache_policy=NO_CACHE)
def make(x):
    return Box(x)

@task(cache_policy=INPUTS)
def kept(box):
    return {"box": Box(box.more()), "same": type(box) is Box}

@task(cache_policy=NO_CACHE)
def grow(box):
    return type(box) is Box, Box(box.more())

@flow(task_runner=runner)
def work(x):
    made = make.submit(x)
    same, grown = grow.submit(made).result()
    stored = kept.submit(made, return_state=True)
    boxes = [made.result(), grown, stored.result()["box"]]
    return [stored.name, same, stored.result()["same"]], boxes
"""
USE = """
told, boxes = work(1)
STEP = 100
told, [type(box) is Box for box in boxes], [box.more() for box in boxes], Box.more is more
"""


@pytest.fixture(params=list(SET_UP))
def ready(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with kernel({"RAY_AUTH_MODE": "disabled"}) as k:
        cell = k.run(SET_UP[request.param], timeout=120)
        assert cell.error is None, cell.traceback
        yield k


def test_instances_of_a_class_of_the_notebook(ready: Kernel) -> None:
    assert ready.run(CLASS).error is None
    for state in ("Completed", "Cached"):
        cell = ready.run(USE, timeout=600)
        assert cell.error is None, cell.traceback
        assert cell.result == (
            f"(['{state}', True, True], [True, True, True], [101, 102, 102], True)"
        )
        assert ready.run("STEP = 1").error is None


LEFT = """
import os, psutil

def of_ray():
    for one in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(one.info["cmdline"] or [])
        if f"_{os.getpid()}" in line and "/session_" in line and one.info["status"] != "zombie":
            yield line

list(of_ray())
"""


@pytest.mark.parametrize("ready", ["ray"], indirect=True)
def test_nothing_of_ray_is_left_when_its_flow_is_over(ready: Kernel) -> None:
    assert ready.run(CLASS).error is None
    cell = ready.run("work(1)[0]", timeout=600)
    assert cell.error is None, cell.traceback
    assert ready.run(LEFT).result == "[]"
