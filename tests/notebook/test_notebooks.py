"""Whole notebooks with `%%task` on every cell leave, show and raise what they do without it."""

import os
from pathlib import Path

import pytest

from tests.notebook.notebook_compare import compare, read_book

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

BOOKS = sorted(Path(__file__).with_name("books").glob("*.txt"))
OFTEN = {"scope", "sim", "env"}
"""Notebooks that are compared with every run of the suite; `ALL_NOTEBOOKS=1` compares all."""
TURNS = {"all", "edited"}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in BOOKS])
def test_a_notebook_of_tasks_is_as_without_them(path: Path, tmp_path: Path) -> None:
    is_whole = bool(os.environ.get("ALL_NOTEBOOKS"))
    if path.stem not in OFTEN and not is_whole:
        pytest.skip("only with ALL_NOTEBOOKS=1")
    report = compare(read_book(path), tmp_path, None if is_whole else TURNS)
    assert report.differences == [], "\n".join(report.differences)
    assert "Cached" in report.states["warm all"]
