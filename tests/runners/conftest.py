"""Clusters for the tests of task runners, each started once for all of them."""

import gc
import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from cellist.runners.ray import start

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # it would write a token to the user's home
os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")  # it would change `print` for all tests after


@pytest.fixture(scope="session")
def dask_cluster() -> Iterator[Any]:
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # Ray announces changes of its own that concern no test
        patch.setattr("cellist.runners.ray._STARTS", 10)  # all its tests fail without it
        _, end = start(
            {
                "num_cpus": 2,
                "include_dashboard": False,
                "log_to_driver": False,
                "namespace": "prefect",
            }
        )
        gc.collect()  # processes of a start that was too slow
    yield
    end()
