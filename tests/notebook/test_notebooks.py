"""Whole notebooks with `%%task` on every cell leave, show and raise what they do without it."""

import os
from pathlib import Path

import pytest

from tests.notebook.notebook_compare import compare, read_book

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

OFTEN = ("scope", "sim", "env")
IS_WHOLE = bool(os.environ.get("ALL_NOTEBOOKS"))
"""Whether all books are compared, in all turns, which takes a quarter of an hour.

In `etl`, `plots` and `classes` one or two names are then known to be copies where plain cells have
one object.
"""
BOOKS = sorted(Path(__file__).with_name("books").glob("*.txt"))
COMPARED = [path for path in BOOKS if IS_WHOLE or path.stem in OFTEN]
TURNS = {"all", "edited"}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in COMPARED])
def test_a_notebook_of_tasks_is_as_without_them(path: Path, tmp_path: Path) -> None:
    report = compare(read_book(path), tmp_path, None if IS_WHOLE else TURNS)
    assert report.differences == [], "\n".join(report.differences)
    assert "Cached" in report.states["warm all"]
