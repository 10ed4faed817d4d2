"""The promise of conftest.py: what could not be tested is said, and fails in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITE = """
import os
import pytest

def test_passes():
    assert os.environ["CELLIST_HOME"] != os.environ["CELLIST_SECRET_DIR"]
    assert "CELLIST_UI" not in os.environ

@pytest.mark.browser
def test_in_a_browser():
    raise AssertionError("without Chromium this must not run")
"""
SETTINGS = """
[pytest]
pythonpath = .
addopts = --import-mode=importlib -p no:cacheprovider
markers =
    browser
    alone
    slow
"""
SKIP = "\n@pytest.mark.skip(reason={reason!r})\ndef test_skipped(): ...\n"


@pytest.fixture
def run(tmp_path):
    def run(suite, *arguments, ci):
        tests = tmp_path / "suite" / "tests"
        tests.mkdir(parents=True)
        for name in ("conftest.py", "chromium.py", "parallel.py"):
            shutil.copy(HERE / name, tests)
        (tests / "test_suite.py").write_text(suite)
        (tests.parent / "pytest.ini").write_text(SETTINGS)
        environment = {
            **os.environ,
            "CI": "true" if ci else "",
            "CELLIST_CHROMIUM": str(tmp_path / "nowhere"),
            "CELLIST_UI": "off",
        }
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=tests.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


PROCESSES = pytest.mark.parametrize("processes", ["-n0", "-n2"])


@pytest.mark.parametrize(
    ("processes", "counts"), [("-n0", "1 passed, 1 deselected in"), ("-n2", "1 passed in")]
)
def test_missing_browser_is_one_line_here(run, processes, counts):
    done = run(SUITE, processes, ci=False)
    assert done.returncode == 0, done.stdout
    assert counts in done.stdout
    line = "Not tested on this machine: no Chromium for the browser tests (1)"
    assert line in done.stdout.splitlines()


@PROCESSES
def test_missing_browser_fails_in_ci(run, processes):
    done = run(SUITE, processes, ci=True)
    assert done.returncode == 1, done.stdout
    assert "In CI that is a failure." in done.stdout


@PROCESSES
def test_skip_fails_in_ci_with_its_reason(run, processes):
    suite = SUITE + SKIP.format(reason="no dask")
    done = run(suite, "-m", "not browser", processes, ci=True)
    assert done.returncode == 1, done.stdout
    assert "Not tested on this machine: no dask (1)" in done.stdout


def test_skip_for_another_platform_passes_in_ci(run):
    suite = SUITE + SKIP.format(reason="only on Windows: drive letters")
    done = run(suite, "-m", "not browser", ci=True)
    assert done.returncode == 0, done.stdout
    assert "Not tested on this machine: only on Windows: drive letters (1)" in done.stdout


def test_each_test_has_its_own_home(own_home, tmp_path):
    assert own_home.parent == tmp_path
    assert os.environ["CELLIST_HOME"] == str(own_home)
    assert not own_home.exists()
