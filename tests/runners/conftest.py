"""Clusters for the tests of task runners, each started once for all of them."""

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # it would write a token to the user's home
os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")  # it would change `print` for all tests after
# A busy machine has slow moments; Ray gives up on itself after 30 s, and on its agents after 15.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")


@pytest.fixture(scope="session")
def dask_cluster() -> Iterator[Any]:
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    import ray

    with warnings.catch_warnings():  # Ray announces changes of its own that concern no test
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="prefect")
    yield
    ray.shutdown()
