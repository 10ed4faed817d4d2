"""What a cell reads and binds: frozen tables, and small programs compared with what they do."""

import ast
import textwrap
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cellist.notebook.analysis import names_of

CASES: dict[str, tuple[str, str, str]] = {
    # shape: code, names read before they are certainly bound, names bound
    "assignment": ("x = a + 1", "a", "x"),
    "its own value": ("x = x + 1", "x", "x"),
    "augmented": ("x += a", "x a", "x"),
    "bound before": ("a = 1\nx = a", "", "a x"),
    "unpacking": ("(a, [b, *c]), d.e = v", "v d", "a b c"),
    "chained": ("a = b = c", "c", "a b"),
    "annotated": ("x: int = a\ny: T", "int a T", "x"),
    "subscript target": ("d[k] = v", "v d k", ""),
    "deletion": ("del x", "x", ""),
    "deletion of several": ("del (a, [b])", "a b", ""),
    "bound in one branch": ("if c:\n    x = 1\ny = x", "c x", "x y"),
    "bound in both branches": ("if c:\n    x = 1\nelse:\n    x = 2\ny = x", "c", "x y"),
    "the other branch ends": ("if c:\n    x = 1\nelse:\n    raise E\ny = x", "c E", "x y"),
    "for may run no time": ("for i in s:\n    x = i\ny = x, i", "s x i", "i x y"),
    "a loop reads what it bound": ("for i in s:\n    x = i\n    y = x", "s", "i x y"),
    "while": ("while a:\n    x = 1\nelse:\n    y = x", "a x", "x y"),
    "try may stop early": (
        "try:\n    x = f()\nexcept E as e:\n    y = x\nz = x",
        "f E x",
        "x e y z",
    ),
    "every handler binds": ("try:\n    x = f()\nexcept E:\n    x = 0\ny = x", "f E", "x y"),
    "finally binds": ("try:\n    f()\nfinally:\n    x = 1\ny = x", "f", "x y"),
    "the name of a handler goes": ("try:\n    f()\nexcept E as e:\n    pass\ng(e)", "f E g e", "e"),
    "with": ("with open(p) as h:\n    x = h.read()\ny = x", "open p", "h x y"),
    "with that swallows": ("with suppress(E):\n    x = f()\ny = x", "suppress E f x", "x y"),
    "match": (
        "match v:\n    case [a, K.k]:\n        x = a\n    case _:\n        x = 0\ny = x",
        "v K",
        "a x y",
    ),
    "match that fits nothing": ("match v:\n    case 1:\n        x = 1\ny = x", "v x", "x y"),
    "match with a guard": ("match v:\n    case _ if g:\n        x = 1\ny = x", "v g x", "x y"),
    "match by a name": (
        "match v:\n    case 1:\n        x = 1\n    case w:\n        x = w\ny = x",
        "v",
        "w x y",
    ),
    "match by an alternative": (
        "match v:\n    case 1 | (2 | _) as w:\n        x = w\ny = x",
        "v",
        "w x y",
    ),
    "walrus": ("if (n := f(a)) > 1:\n    x = n\ny = n", "f a", "n x y"),
    "walrus not reached": ("a and (n := 1)\nx = n", "a n", "n x"),
    "walrus in a long comparison": ("a < b < (n := 1)\nx = n", "a b n", "n x"),
    "comprehension": ("x = [i + a for i in s if i]", "s a", "x"),
    "walrus in a comprehension": ("x = [n := i for i in s]\ny = n", "s n", "x n y"),
    "lambda": ("x = g(lambda v, w=a: v + b)", "g a b", "x"),
    "function": ("def f(x, y=a):\n    return x + b\nf(1)", "a b", "f"),
    "functions call each other": (
        "def f(n):\n    return g(n)\ndef g(n):\n    return f(n)\nx = f(a)",
        "a",
        "f g x",
    ),
    "called before the other is there": (
        "def f(n):\n    return g(n)\nx = f(a)\ndef g(n):\n    return n",
        "a g",
        "f g x",
    ),
    "global in a function": ("def f():\n    global t\n    t += 1\nf()", "t", "f t"),
    "a constant after a function": ("def f():\n    return k\nk = 1\nx = f()", "", "f k x"),
    "a call after a function": ("def f():\n    return k\nk = g(f)\nx = f()", "g k", "f k x"),
    "a constant after a function that nothing calls": ("def f():\n    return k\nk = 1", "", "f k"),
    "a constant before it": ("k = 1\nf = lambda: k", "", "f k"),
    "a constant that may not be bound": (
        "def f():\n    return k\nif a:\n    k = 1",
        "a k",
        "f k",
    ),
    "class": ("class A(B):\n    k = c\n    def m(self):\n        return k, d", "B c d k", "A"),
    "a class does not see itself": ("class A:\n    x = A", "A", "A"),
    "comprehension in a class": ("class A:\n    n = 1\n    x = [n for i in s]", "s n", "A"),
    "imports": ("import a.b, c as d\nfrom e import f as g\nx = a, d, g", "", "a d g x"),
    "decorator": ("@d(a)\ndef f():\n    return b", "d a b", "f"),
    "assert": ("assert (a := f()), (b := g())\nx = a, b", "f g b", "a b x"),
    "order in a dict": ("x = {1: a, (a := 2): b}", "a b", "a x"),
    "order in an augmented item": ("d[a] += (a := 1)", "d a", "a"),
    "f-string": ("x = f'{a!r:>{w}}'", "a w", "x"),
    "await": ("x = await f(a)", "f a", "x"),
}


@pytest.mark.parametrize("shape", CASES)
def test_shapes(shape: str) -> None:
    code, reads, binds = CASES[shape]
    found = names_of(ast.parse(code))
    assert list(found.reads) == reads.split() or set(found.reads) == set(reads.split())
    assert set(found.binds) == set(binds.split())
    assert found.awaits == (shape == "await")
    assert not found.hidden


HIDDEN = {
    "exec('x = 1')": "exec()",
    "x = eval('a')": "eval()",
    "globals()['x'] = 1": "globals()",
    "x = locals()": "locals()",
    "x = vars()": "vars()",
    "def f():\n    return globals()": "globals()",
    "from m import *": "import *",
    "get_ipython().run_line_magic('time', 'x = 1')": "%time",
    "get_ipython().run_cell_magic('bash', '', 'ls')": "%bash",
    "x = get_ipython().getoutput('ls')": "!ls",
    "x = input()": "input()",
    "ip = get_ipython()\nx = ip.user_ns['a']": "get_ipython()",
    "x = get_ipython().user_ns['a']": "get_ipython()",
}


@pytest.mark.parametrize("code", HIDDEN)
def test_what_hides_names_is_told(code: str) -> None:
    assert list(names_of(ast.parse(code)).hidden) == [HIDDEN[code]]


@pytest.mark.parametrize(
    "code", ["x = vars(a)", "x = dir(a)", "get_ipython().run_line_magic('matplotlib', 'inline')"]
)
def test_what_only_looks_like_it_is_not(code: str) -> None:
    assert not names_of(ast.parse(code)).hidden


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("df['x'] = 1", "df"),
        ("a.b.c = 1", "a"),
        ("x += [1]", "x"),
        ("del d[0]", "d"),
        ("x = []\nx += [1]", ""),
        ("for a[0] in s: pass", "a"),
    ],
)
def test_changes_in_place_are_seen(code: str, changes: str) -> None:
    assert " ".join(names_of(ast.parse(code)).changes) == changes


def test_definitions_and_words_in_texts_are_listed() -> None:
    code = (
        "import a, b as c\nf = lambda: 1\ndef g(): pass\nclass K: pass\nx = df.query('y > @limit')"
    )
    found = names_of(ast.parse(code))
    kinds = {name: [type(s).__name__ for s in made] for name, made in found.definitions.items()}
    assert kinds == {
        "a": ["Import"],
        "c": ["Import"],
        "f": ["Assign"],
        "g": ["FunctionDef"],
        "K": ["ClassDef"],
    }
    assert ast.unparse(found.definitions["c"][0]) == "import b as c"
    assert found.assigned == {"x"}
    assert set(found.mentions) == {"y", "limit"}


# -- programs --

NAMES = "abcd"
name = st.sampled_from(NAMES)


def expressions(depth: int = 2) -> st.SearchStrategy[str]:
    atoms = st.one_of(name, name, st.sampled_from(["0", "1", "[]"]))
    if not depth:
        return atoms
    inner = expressions(depth - 1)
    return st.one_of(
        atoms,
        st.builds("({} or {})".format, inner, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} := {})".format, name, inner),
        st.builds("[{} for {} in [1, 2] if {}]".format, inner, name, inner),
        st.builds("[{1} for _ in [1] for {0} in [{2}]]".format, name, inner, inner),
        st.builds("{{1: {}, 2: {}}}".format, inner, inner),
        st.builds("(lambda {}=({}): {})()".format, name, inner, inner),
        st.builds("call(f)".format),
        st.builds("call(g)".format),
        st.builds("({}, {})".format, inner, inner),
        st.builds("(1 < 2 < 0 < {})".format, inner),
    )


def block(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lines = st.lists(statements, min_size=1, max_size=3).map("\n".join)
    return lines.map(lambda text: textwrap.indent(text, "    "))


def statements(depth: int = 2) -> st.SearchStrategy[str]:
    value = expressions()
    simple = st.one_of(
        st.builds("{} = {}".format, name, value),
        st.builds("{} = {} = {}".format, name, name, value),
        st.builds("{} += [{}]".format, name, value),
        st.builds("box[str({})] = {}".format, value, value),
        st.builds("del {}".format, name),
        st.builds("{} = lambda: {}".format, st.sampled_from("fg"), value),
        value,
    )
    if not depth:
        return simple
    body = block(statements(depth - 1))
    return st.one_of(
        simple,
        simple,
        st.builds("if {}:\n{}\nelse:\n{}".format, value, body, body),
        st.builds("if {}:\n{}".format, value, body),
        st.builds("for {} in {}:\n{}".format, name, st.sampled_from(["[]", "[1, 2]"]), body),
        st.builds("for {} in [1, 2]:\n{}\n    break\nelse:\n{}".format, name, body, body),
        st.builds("while {}:\n{}\n    break".format, value, body),
        st.builds("try:\n{}\nexcept Exception as {}:\n{}".format, body, name, body),
        st.builds("try:\n{}\n    raise ValueError\nexcept ValueError:\n{}".format, body, body),
        st.builds("try:\n{}\nfinally:\n{}".format, body, body),
        st.builds("with suppress(Exception):\n{}".format, body),
        st.builds("with suppress(Exception):\n{}\n    1 / 0".format, body),
        st.builds("with manager() as {}:\n{}".format, name, body),
        st.builds(
            "match {}:\n    case [{}]:\n        {}\n    case _:\n        {}".format,
            value,
            name,
            value,
            value,
        ),
        st.builds("def {}({}=({})):\n{}".format, st.sampled_from("fg"), name, value, body),
        st.builds("def {}():\n    global {}\n{}".format, st.sampled_from("fg"), name, body),
        st.builds("class K:\n{}\n    def m(self):\n        {}\nK().m()".format, body, value),
        st.builds(
            "class K:\n    class L:\n{}".format, body.map(lambda t: textwrap.indent(t, "    "))
        ),
    )


def _compiles(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec")
    except SyntaxError:
        return False
    return True


class Recording(dict[str, Any]):
    """A namespace that notes which names are read while they are as they were at the start."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(entry)
        self.entry = dict(entry)
        self.read: set[str] = set()
        self.bound: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        if key not in self.bound and self._is_as_it_was(key):
            self.read.add(key)
        return super().__getitem__(key)

    def _is_as_it_was(self, key: str) -> bool:
        if key not in self.entry:
            return key not in self
        return key in self and super().__getitem__(key) is self.entry[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.bound.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.bound.add(key)
        super().__delitem__(key)


class Manager:
    def __enter__(self) -> int:
        return 7

    def __exit__(self, *_: object) -> None:
        return None


class Unlike(int):
    """A number no program makes, so that identity tells whether a name still is as it was."""


@st.composite
def programs(draw: st.DrawFn) -> str:
    return "\n".join(draw(st.lists(statements(), min_size=1, max_size=5)))


@given(programs(), st.sets(name))
@example("def f():\n    return g()\nif a:\n    f()\ndef g():\n    return b\nf()", {"b"})
@example("def f():\n    return a\nb = call(f)\na = 1", {"a"})
@example("with suppress(Exception):\n    a = 1 / 0\nb = a", {"a"})
@example("class K:\n    a = 1\n    class L:\n        b = a\n", {"a"})
def test_programs_read_and_bind_what_the_analysis_says(code: str, present: set[str]) -> None:
    from contextlib import suppress

    assume(_compiles(code))
    depth = 0

    def call(function: Any) -> Any:
        nonlocal depth
        depth += 1
        if depth < 20 and callable(function):
            return function()
        return 0

    entry: dict[str, Any] = {one: Unlike(index) for index, one in enumerate(sorted(present))}
    world = {
        "f": lambda: 1,
        "g": lambda: 2,
        "call": call,
        "suppress": suppress,
        "manager": Manager,
        "box": {},
        "K": Manager,
    }
    namespace = Recording({**world, **entry})
    with suppress(Exception):
        exec(compile(code, "<cell>", "exec", dont_inherit=True), namespace)
    names = names_of(ast.parse(code))
    known = {*NAMES, "f", "g", "K"}
    after = {key for key in namespace if key in known}
    changed = {key for key in after if namespace.entry.get(key) is not namespace.get(key)}
    assert (namespace.read & known) - names.reads.keys() == set(), code
    assert ((namespace.bound & known) | changed) - {*names.binds, *names.deletes} == set(), code
