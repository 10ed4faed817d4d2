"""Modules that are imported when they are first used."""

import sys

import pytest

from cellist.model.later import later


def test_a_module_takes_its_own_place_at_the_first_look(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    namespace = {}
    namespace["colorsys"] = later("colorsys", namespace)
    assert "colorsys" not in sys.modules
    assert namespace["colorsys"].rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert namespace["colorsys"] is sys.modules["colorsys"]


def test_a_submodule_goes_by_the_last_part_of_its_name():
    namespace = {}
    namespace["machinery"] = later("importlib.machinery", namespace)
    assert namespace["machinery"].ModuleSpec.__name__ == "ModuleSpec"
    assert namespace["machinery"] is sys.modules["importlib.machinery"]


def test_what_a_module_does_not_have_is_an_error_of_the_module():
    namespace = {}
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'nothing'"):
        _ = later("json", namespace).nothing
