"""Tests in several processes at once, as `make test` runs them (`pytest -n 2`).

Each file goes to one process as a whole, and so does a folder whose tests share what is dear to
start. A test that measures how much of the machine is left to the user is marked `alone`: nothing
else runs meanwhile.
"""

import fcntl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = {"tests/acceptance", "tests/runners"}
"""Folders with fixtures for the whole session: kernels that played all edits, clusters."""


class Scheduler(LoadFileScheduling):
    """Gives out whole files and folders, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder in TOGETHER else file


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    config.option.loadscopereorder = False  # or files with many tests would come first
    return Scheduler(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before a time limit begins to count
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with admitted(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def admitted(*, alone: bool, folder: Path = Path(__file__).parent) -> Iterator[None]:
    """Let a test of any process in as soon as it may run, and keep others out if it runs alone.

    Two files of the folder serve as locks, so that nothing has to be made or tidied up. Who wants
    to be alone keeps the door shut while waiting: the others would never all be out at once.
    """
    with (folder / "conftest.py").open("r+") as door, (folder / "chromium.py").open("r+") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)
