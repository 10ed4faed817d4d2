"""What the tests of the result store share: stores over one directory, and their warnings."""

import os
import shutil
import subprocess
import sys

import pytest

from cellist.caching.store import ResultStore


@pytest.fixture
def results(tmp_path):
    """The directory of results."""
    return tmp_path / "results"


@pytest.fixture
def warnings():
    """What the stores told the user."""
    return []


@pytest.fixture
def kind():
    """How stores keep results; a module may run its tests with both."""
    return "auto"


@pytest.fixture
def open_store(results, warnings, kind):
    """Make stores over one directory, as the kernels of a project would."""
    stores = []

    def make(directory=results, **options):
        options.setdefault("kind", kind)
        store = ResultStore(directory, on_warning=warnings.append, **options)
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def mounted(tmp_path):
    """A file system of four megabytes of its own, where tests may mount one."""
    point = tmp_path / "disk"
    point.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(point)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail("CI must be able to mount a file system, or full disks go untested")
        pytest.skip("only on machines where tests may mount a file system")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)
