"""Things a closure is watched by that change in place, or lead back to themselves."""

import linecache
from typing import Any

from cellist.caching.source import closure_of


def cell(text: str) -> dict[str, Any]:
    """Run a text as a cell and return its namespace."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    name = f"<cell {hash(text)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), namespace)
    return namespace


def test_an_object_that_holds_its_own_methods_is_watched():
    text = """
import functools
class Thing:
    def go(self):
        return 1
thing = Thing()
thing.bound = thing.go
thing.call = [].append.__call__
key = functools.cmp_to_key(lambda a, b: a - b)
def f(x):
    return thing.bound(), thing.call(x), key
"""
    ns = cell(text)
    before = closure_of(ns["f"])
    assert closure_of(ns["f"]) is before
    ns["thing"].size = 2
    assert closure_of(ns["f"]).digest != before.digest


def test_a_class_that_registers_another_is_watched():
    ns = cell("import abc\nclass A(abc.ABC): pass\ndef f(x):\n    return isinstance(x, A)\n")
    before = closure_of(ns["f"])
    assert closure_of(ns["f"]) is before
    ns["A"].register(dict)
    assert closure_of(ns["f"]).digest != before.digest
