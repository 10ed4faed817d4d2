"""The options are listed once, and everything that takes them agrees."""

import inspect
import re

import pytest

from cellist import flow, task
from cellist.flows import Flow
from cellist.options import FLOW_DEFAULTS, TASK_DEFAULTS, FlowOptions, TaskOptions
from cellist.tasks import Task

KINDS = [
    (task, Task, TaskOptions, TASK_DEFAULTS),
    (flow, Flow, FlowOptions, FLOW_DEFAULTS),
]


def options_in(signature):
    return {
        name: (one.annotation, one.default)
        for name, one in signature.parameters.items()
        if one.kind is one.KEYWORD_ONLY
    }


@pytest.mark.parametrize(("decorator", "kind", "options", "defaults"), KINDS)
def test_signatures_spell_the_options_out(decorator, kind, options, defaults):
    listed = {name: (hint, defaults[name]) for name, hint in options.__annotations__.items()}
    assert options_in(inspect.signature(decorator)) == listed
    built = options_in(inspect.signature(kind))
    assert built.keys() == listed.keys()
    changed = options_in(inspect.signature(decorator(lambda: 1).with_options))
    assert {name: hint for name, (hint, _) in changed.items()} == options.__annotations__
    assert {repr(default) for _, default in changed.values()} == {"NotSet"}


@pytest.mark.parametrize(("decorator", "kind", "options", "defaults"), KINDS)
def test_defaults_are_what_a_bare_decorator_uses(decorator, kind, options, defaults):
    assert decorator(lambda: 1).options == defaults
    assert defaults.keys() == options.__annotations__.keys()


@pytest.mark.parametrize(("decorator", "kind", "options", "defaults"), KINDS)
def test_unknown_options_are_refused_at_once(decorator, kind, options, defaults):
    for make in (decorator, lambda **given: kind(lambda: 1, **given)):
        with pytest.raises(TypeError, match=r"has no option 'retires'. Did you mean 'retries'"):
            make(retires=2)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("name", 3, "`name` of task 'f' must be text, got 3"),
        ("version", 3, "`version` of task 'f' must be text, got 3"),
        ("description", 3, "`description` of task 'f' must be text, got 3"),
        ("replay", "off", "`replay` of task 'f' must be True, False or None, got 'off'"),
        ("refresh_cache", 1, "`refresh_cache` of task 'f' must be True, False or None, got 1"),
        ("versions", {"numpy": "all"}, "versions['numpy']='all' is not one of 'minor'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_option(option, value, message):
    def f():
        pass

    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        task(f, **{option: value})


def test_the_constructor_of_a_task_does_not_inherit_log_prints():
    assert Task(lambda: 1).log_prints is False
    assert task(lambda: 1).log_prints is None
