"""The text of loaded code: in a long file it is found without parsing all of the file."""

import importlib
import linecache
from types import CodeType
from typing import Any

import pytest

from cellist.caching import code_text
from cellist.caching.bytecode import nested
from cellist.caching.parsing import parse

LONG = "".join(f"\n\ndef filler{number}():\n    return {number}\n" for number in range(40))
CODES = {
    "function": "def f(x):\n    return x + 1\n",
    "coroutine": "async def f(x):\n    return await x\n",
    "decorated": "@one\n@two(\n    lambda y: y\n)\ndef f(x):\n    return x\n",
    "continued at the margin": "def f(\n    x,\n):\n    return [\n        x\n]\n",
    "comment at the margin": "def f(x):\n    y = x\n# a comment\n    return y\n",
    "text at the margin": 'def f(x):\n    y = """\nselect a\nfrom b\n"""\n    return x + y\n',
    "long text at the margin": 'def f(x):\n    return """' + "a line\n" * 30 + '"""\n',
    "code in a text": 'def f(x):\n    return """\ndef g(x):\n    return x\n"""\n',
    "docstring": 'class A:\n    """A.\nB.\n    """\n    def f(self):\n        return 1\n',
    "method": "class A:\n    def f(self):\n        return self.__x\n\n    def g(self): return 1\n",
    "decorators at the margin": "@a\n@b(\n    1\n)\n@c\ndef f(x):\n    return x\n"
    + "@d\n" * 15
    + "def g(): pass\n",
    "closure": "def f(x):\n    def g():\n        return x\n    return g\n",
    "branches": "try:\n    def f(): pass\nexcept A:\n    def g(): pass\nelse:\n    def h(): pass\n",
    "lambdas": "f = (\n    lambda x: x,\n    lambda x: -x,\n)\n",
    "two on a line": "f = lambda x: x; g = lambda y: -y\n",
    "one line": "def f(x): return x\n",
    "calls of imports": "import a\nfrom b import (\n    c,\n)\ndef f(x):\n    return a.f(c.g(x))\n",
    "future": "from __future__ import annotations\ndef f(x: A):\n    y: A = x\n    return y\n",
}


def codes_of(text: str, name: str) -> list[CodeType]:
    return [
        code for code in nested(compile(text, name, "exec", dont_inherit=True)) if code.co_flags & 2
    ]


def found_in(text: str, name: str, codes: list[CodeType]) -> list[code_text.CodeText]:
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return [code_text.text_of(code, {}) for code in codes]


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("kind", CODES)
def test_code_in_a_long_file_has_the_text_it_has_in_a_short_one(kind, place):
    text = CODES[kind]
    short = found_in(text, f"<short {kind} {place}>", codes_of(text, f"<short {kind} {place}>"))
    assert short
    assert all(one.text for one in short)
    name = f"<long {kind} {place}>"
    long = text + "\n" + LONG if place == "first" else LONG + "\n\n" + text
    if kind == "future":
        long = text + LONG
    codes = [code for code in codes_of(long, name) if not code.co_name.startswith("filler")]
    assert found_in(long, name, codes) == short


@pytest.fixture
def parsed(monkeypatch) -> list[str]:
    """The texts that were parsed."""
    texts: list[str] = []

    def parse_and_tell(text: str) -> Any:
        texts.append(text.strip())
        return parse(text)

    monkeypatch.setattr(code_text, "parse", parse_and_tell)
    return texts


@pytest.mark.parametrize(
    "kind",
    ["function", "decorated", "text at the margin", "method", "branches", "calls of imports"],
)
def test_a_long_file_is_not_parsed_for_one_statement_of_it(kind, parsed):
    name = f"<parsed {kind}>"
    text = LONG + "\n\n" + CODES[kind]
    codes = [code for code in codes_of(text, name) if not code.co_name.startswith("filler")]
    assert all(one.text for one in found_in(text, name, codes))
    assert not any("filler" in one for one in parsed)


def test_a_long_file_is_parsed_once_if_the_margin_does_not_tell(parsed):
    name = "<margin>"
    text = LONG + "\n\n" + CODES["docstring"] + "    def g(self):\n        return 2\n"
    codes = [code for code in codes_of(text, name) if code.co_name in "fg"]
    assert len(codes) == 2
    assert all(one.text for one in found_in(text, name, codes))
    assert sum("filler39" in one for one in parsed) == 1


def test_a_text_that_looks_like_the_code_does_not_stand_for_it():
    """The file was edited and not reloaded; where the function was, a text now holds another."""
    name = "<edited>"
    before = LONG + "\n\nNOTE = 1\ndef f(x):\n    return x + 1\n"
    code = codes_of(before, name)[-1]
    after = LONG + '\n\nNOTE = """\ndef f(x):\n    return x + 2\n"""\ndef f(x):\n    return x + 3\n'
    assert code.co_name == "f"
    assert not found_in(after, name, [code])[0].text


def test_annotations_are_those_of_the_file_as_it_is(tmp_path, monkeypatch):
    """Their code is equal, so only the text tells them apart."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "annotated_in_a_long_module.py"
    path.write_text(LONG + "\n\ndef f(x: int):\n    return x\n")
    module = importlib.import_module(path.stem)
    first = code_text.text_of(module.f.__code__, vars(module))
    path.write_text(path.read_text().replace("x: int", "x: str"))
    module = importlib.reload(module)
    second = code_text.text_of(module.f.__code__, vars(module))
    assert first.text != second.text
    assert first.shape.digest != second.shape.digest
