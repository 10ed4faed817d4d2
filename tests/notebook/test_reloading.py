"""Tasks and flows imported from a module that is edited while autoreload is on, in a kernel."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernels import Kernel, kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

MODULE = """
from cellist import flow, task

def helper(x):
    return x + 1

@task
def fetch(x, k=1):
    return helper(x) * k

@flow
def crawl(x):
    return fetch(x)
"""
CALL = "print(fetch(1), crawl(1), fetch(1, return_state=True).name, fetch.retries)"


class Edited:
    """A module, and a kernel that has imported from it."""

    def __init__(self, running: Kernel, file: Path) -> None:
        self._running = running
        self._file = file
        self._edits = 0

    def replace(self, old: str, new: str) -> None:
        text = self._file.read_text()
        assert old in text
        self._file.write_text(text.replace(old, new))
        self._edits += 1
        later = self._file.stat().st_mtime + 10 * self._edits  # autoreload goes by the time
        os.utime(self._file, (later, later))

    def call(self) -> str:
        cell = self._running.run(CALL)
        assert cell.error is None, cell.traceback
        return cell.stdout.strip()


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[Edited]:
    file = tmp_path / "steps.py"
    file.write_text(MODULE)
    env = {
        "CELLIST_HOME": str(tmp_path / "home"),
        "CELLIST_SECRET_DIR": str(tmp_path / "secret"),
        "CELLIST_UI": "off",
    }
    with kernel(env, str(tmp_path)) as running:
        for cell in (
            "%load_ext cellist",
            "%load_ext autoreload\n%autoreload 2",
            "from steps import crawl, fetch",
        ):
            assert running.run(cell).error is None
        yield Edited(running, file)


def test_what_was_imported_by_name_follows_the_file(edited: Edited) -> None:
    assert edited.call() == "2 2 Cached 0"
    edited.replace("k=1", "k=10")
    assert edited.call() == "20 20 Cached 0"
    edited.replace("x + 1", "x + 100")
    assert edited.call() == "1010 1010 Cached 0"
    edited.replace("return fetch(x)", "return -fetch(x)")
    assert edited.call() == "1010 -1010 Cached 0"
    edited.replace("@task", "@task(retries=2)")
    assert edited.call() == "1010 -1010 Cached 2"
    edited.replace("helper(x) * k", "helper(x) * k + 3")
    assert edited.call() == "1013 -1013 Cached 2"
