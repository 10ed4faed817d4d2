"""Imports by names that are computed: what is found is in the corpus; here, what is not."""

import importlib
from typing import Any

from cellist.caching.source import closure_of


def by_name(name: str) -> Any:
    return importlib.import_module(name)


def by_constant() -> Any:
    return by_name("json")


def test_an_import_by_a_name_that_no_text_tells_is_not_tracked() -> None:
    assert closure_of(by_name).untracked == ("what by_name imports",)


def test_a_name_that_means_a_library_is_enough() -> None:
    assert closure_of(by_constant).untracked == ()
