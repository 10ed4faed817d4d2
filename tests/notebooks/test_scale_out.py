"""The notebook about threads, processes and Dask: it runs, and says what it promises."""

import re
from pathlib import Path

import nbformat
import pytest

from tests.notebooks.test_notebooks import A_PATH, NOTEBOOKS, demonstrate, printed

SCALE_OUT = NOTEBOOKS / "scale_out.ipynb"


@pytest.fixture(scope="module")
def scale_out(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("scale_out")
    return demonstrate(SCALE_OUT, folder / "out")


def check(notebook):
    assert "same answers: True" in printed(notebook, "compare")
    told = printed(notebook, "compare")
    used = re.search(r"processes: \{'threads': (\d+), 'processes': (\d+)", told)
    assert used is not None
    assert int(used[1]) == 1
    assert int(used[2]) >= 1
    assert printed(notebook, "flow-cell").count("more than 15 minutes late") == 16
    assert "{'Cached'}" in printed(notebook, "reuse")
    assert printed(notebook, "trouble").splitlines() == [
        "CrashedRun: The process running task `dies` went away: it ended with exit code 1.",
        "TaskRunTimeoutError: Scope timed out after 0.5 second(s).",
        *(f"int: {n * n}" for n in range(4)),
    ]


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_runs_twice_and_reuses_what_is_kept(scale_out):
    assert scale_out.code == 0, scale_out.said + scale_out.errors
    for number in (1, 2):
        assert "same answers: True" in printed(scale_out.notebook(number), "compare")
    check(scale_out.notebook(1))


def test_the_committed_copy_shows_the_same():
    notebook = nbformat.read(SCALE_OUT, as_version=4)
    check(notebook)
    assert A_PATH.search(str([cell.get("outputs") for cell in notebook.cells])) is None
