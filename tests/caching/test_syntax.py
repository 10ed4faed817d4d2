"""The canonical syntax tree: frozen vectors, and what it says besides the digest."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from cellist.caching.syntax import digest_of, shape_of
from cellist.caching.tree_parts import BodyImport

VECTORS = Path(__file__).with_name("syntax_vectors.json")


def shape(text):
    node = ast.parse(text).body[0]
    definition: Any = node.value if isinstance(node, ast.Expr) else node
    return shape_of(definition)


@pytest.mark.parametrize(
    "vector", json.loads(VECTORS.read_text()), ids=lambda vector: vector["name"]
)
def test_frozen_vectors(vector):
    """These hold on every Python; a change of one makes every cache cold and needs a new schema."""
    assert shape(vector["text"]).digest == vector["digest"]
    assert digest_of(ast.parse(vector["text"])) == vector["tree"]


def test_vectors_are_distinct():
    vectors = json.loads(VECTORS.read_text())
    assert len({vector["digest"] for vector in vectors}) == len(vectors) > 40


def test_names():
    found = shape(
        "def f(x, y: A.B = D) -> R:\n"
        "    import m.n, o.p as q\n"
        "    from ..r import s as t\n"
        "    mod.sub.k(x)\n"
        "    getattr(other, 'name')(1)\n"
        "    globals()['G']\n"
        "    __import__('dyn')\n"
        "    return x.attr.__doc__\n"
    )
    assert {("mod", "sub", "k"), ("other", "name"), ("x", "attr", "__doc__")} <= found.chains
    assert ("other",) not in found.chains
    assert ("D",) not in found.chains
    assert found.forced == {("G",)}
    assert found.annotations == {("A", "B"), ("R",)}
    assert set(found.imports) == {
        BodyImport("m", "m.n", None, 0, True),
        BodyImport("q", "o.p"),
        BodyImport("t", "r", "s", 2),
        BodyImport("", "dyn"),
    }
    assert "__doc__" in found.reads


def test_deep_expressions_need_no_recursion():
    text = "def f(x):\n    return " + "+".join(["x"] * 1500)
    assert shape(text).digest != shape(text + "+x").digest


def test_texts_cannot_be_confused():
    assert shape("def f(): return 'a', 'b'").digest != shape("""def f(): return "a', 'b" """).digest
    assert shape("def f(): return ab").digest != shape("def f(): return 'ab'").digest
    assert shape("def f(): return -1").digest != shape("def f(): return 1").digest
    assert shape("def f(): return 0.0").digest != shape("def f(): return -0.0").digest
    assert shape("def f(): return b'a'").digest != shape("def f(): return 'a'").digest
    assert shape("def f(a, /, b): pass").digest != shape("def f(a, b, /): pass").digest
    assert shape("def f(a, *, b): pass").digest != shape("def f(a, b): pass").digest
    assert (
        shape("def f(): return [x for x in y if z]").digest
        != shape("def f(): return [x for x in y]").digest
    )
    assert shape("async def f(): return 1").digest != shape("def f(): return 1").digest
    assert shape("def f(): return '\\ud800'").digest != shape("def f(): return '?'").digest


def test_own_name_decorators_defaults_and_docstring_do_not_count():
    plain = shape("def f(x, n):\n    return f(x)").digest
    assert shape("@deco(3)\ndef g(x, n=10):\n    'Doc.'\n    return g(x)").digest == plain
