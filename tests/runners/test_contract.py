"""The contract of task runners, for each of them. Clusters are started once, for all tests."""

from typing import Any

import pytest

from cellist.dask import DaskTaskRunner
from cellist.exceptions import ConfigurationError
from cellist.ray import RayTaskRunner
from cellist.task_runners import (
    ConcurrentTaskRunner,
    PrefectTaskRunner,
    ProcessPoolTaskRunner,
    SequentialTaskRunner,
    ThreadPoolTaskRunner,
)
from tests.runners.contract import RunnerContract


class TestThreads(RunnerContract):
    name = "threadpool"

    def make(self):
        return ThreadPoolTaskRunner()


class TestOneThread(TestThreads):
    def make(self):
        return ThreadPoolTaskRunner(max_workers=1)


class TestSequential(RunnerContract):
    name = "sequential"
    at_once = True

    def make(self):
        return SequentialTaskRunner()


@pytest.mark.slow
class TestProcesses(RunnerContract):
    name = "processpool"
    leaves = True
    ends_code = True

    def make(self):
        return ProcessPoolTaskRunner(max_workers=2)


@pytest.mark.slow
class TestDask(RunnerContract):
    name = "dask"
    leaves = True
    cluster: Any = None

    @pytest.fixture(autouse=True)
    def _cluster(self, dask_cluster: Any) -> None:
        type(self).cluster = dask_cluster

    def make(self):
        return DaskTaskRunner(cluster=self.cluster)


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine Ray may have to be started anew
@pytest.mark.filterwarnings("ignore::ResourceWarning:ray")  # pipes to its own processes
class TestRay(RunnerContract):
    name = "ray"
    leaves = True
    ends_code = True

    @pytest.fixture(autouse=True)
    def _cluster(self, ray_cluster: None) -> None:
        """Have Ray started: the runner uses what is there."""

    def make(self):
        return RayTaskRunner()


@pytest.mark.parametrize(
    ("kind", "option", "words"),
    [
        (ThreadPoolTaskRunner, "max_worker", "Did you mean 'max_workers'\\?"),
        (ProcessPoolTaskRunner, "initargz", "Did you mean 'initargs'\\?"),
        (DaskTaskRunner, "cluster_kwarg", "Did you mean 'cluster_kwargs'\\?"),
        (RayTaskRunner, "adress", "Did you mean 'address'\\?"),
        (SequentialTaskRunner, "max_workers", "no option 'max_workers'. It has none"),
    ],
)
def test_misspelled_options(kind: Any, option: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        kind(**{option: 2})


def test_options_of_a_subclass() -> None:
    class Mine(ThreadPoolTaskRunner):
        def __init__(self, **options: Any) -> None:
            super().__init__(max_workers=options["most"])

    assert Mine(most=3).max_workers == 3


def test_what_stands_for_the_runner_of_task_workers() -> None:
    with pytest.raises(ConfigurationError, match=r"`task.delay\(...\)`"):
        PrefectTaskRunner()


def test_the_old_name_of_threads() -> None:
    assert ConcurrentTaskRunner is ThreadPoolTaskRunner
