"""Edits of source texts, and whether a task must run again after each: the corpus of the tests.

A text is one or more cells, parted by `# %%`, and files, each after a line `### name`. The task is
called `f`. An edit is a name, the expectation, the text before and the text after; `sub` makes the
second from the first, so that what differs stands out.
"""

from typing import NamedTuple

HIT, MISS = "hit", "miss"


class Edit(NamedTuple):
    name: str
    want: str
    before: str
    after: str


def sub(name: str, want: str, text: str, old: str, new: str) -> Edit:
    assert text.count(old) == 1, (name, old)
    return Edit(name, want, text, text.replace(old, new))


BASIC = '''
TH = 0.5
LIMITS = [1, 2]
UNUSED = 1
def deep(x):
    return x - 1
def clean(x, sep=","):
    return deep(x) * TH
# %%
def f(x, n=10):
    """What it does."""
    return clean(x) + n + LIMITS[0]
'''
LOCAL = """
import mod
from mod import other
def f(x):
    import inner
    from inner import two as zwei
    return mod.k(x) + other(x) + inner.one(x) + zwei(x) + mod.K
### mod.py
K = 3
SECRET = 4
def k(x):
    return _help(x) * 2
def _help(x):
    return x + 1
def other(x):
    return x
def unrelated(x):
    return 1
### inner.py
def one(x):
    return 1
def two(x):
    return 2
def three(x):
    return 3
"""
ESCAPE = """
import mod
name = "k"
def f(x):
    return getattr(mod, name)(x)
### mod.py
def k(x):
    return 1
def j(x):
    return 2
"""
CLASSES = """
import enum, dataclasses, functools
class Base:
    def hello(self):
        return 1
class Meta(type):
    def __call__(cls, *a):
        return super().__call__(*a)
class Model(Base, metaclass=Meta):
    RATE = 0.1
    def __init__(self):
        self._v = 5
    def predict(self, x):
        return self.hello() + x * self.RATE
    @property
    def v(self):
        return self._v
    @v.setter
    def v(self, new):
        self._v = new + 0
    @staticmethod
    def st():
        return 11
    @classmethod
    def cl(cls):
        return 12
    @functools.cached_property
    def cp(self):
        return 13
    class Inner:
        z = 14
@dataclasses.dataclass
class D:
    a: int = 21
    b: list = dataclasses.field(default_factory=lambda: [22])
class Color(enum.Enum):
    RED = 31
    BLUE = 32
    def pretty(self):
        return self.name + "!"
class Slotted:
    __slots__ = ("p", "q")
    def go(self):
        return 41
def f(x):
    m = Model()
    m.v = 3
    return m.predict(x), m.v, D(), Color.RED.pretty(), Slotted().go(), m.cp, Model.Inner.z
"""
WRAPPED = """
import functools
def deco(factor):
    def outer(fn):
        @functools.wraps(fn)
        def inner(*a, **k):
            return fn(*a, **k) * factor
        return inner
    return outer
@deco(2)
def helper(x):
    return x + 1
def f(x):
    return helper(x)
"""
LIBRARY = """
import functools, contextlib, operator
@functools.lru_cache(maxsize=8)
def cached(x):
    return x + 1
@functools.singledispatch
def show(x):
    return "any"
@show.register
def _(x: int):
    return "int"
@contextlib.contextmanager
def ctx(x):
    yield x + 2
part = functools.partial(pow, exp=2)
pick = operator.itemgetter(0)
def reduce_me(a, b):
    return a + b
def f(x):
    with ctx(x) as y:
        return cached(x), show(y), part(x), pick([x]), functools.reduce(reduce_me, [1, 2])
"""
NUMPY = """
import numpy as np
@np.vectorize
def vec(x):
    return x + 1
ARR = np.arange(10)
def f(x):
    return vec(x).sum() + ARR.sum() + np.mean([1])
"""
PYDANTIC = """
import pydantic
class Sub(pydantic.BaseModel):
    w: int = 5
class M(pydantic.BaseModel):
    a: int = 1
    b: float = pydantic.Field(default=2.0, gt=0)
    c: Sub = pydantic.Field(default_factory=lambda: Sub())
    _p: int = pydantic.PrivateAttr(default=7)
    @pydantic.field_validator("a", mode="after")
    @classmethod
    def check(cls, v):
        return v + 1
@pydantic.validate_call
def valid(x: int):
    return x + 3
def f(x):
    return M(a=x), valid(x)
"""
LAMBDAS = """
one = lambda x: x + 1; two = lambda x: x + 2
table = {"a": lambda x: x * 3, "b": lambda x: x * 4}
lst = [lambda x: x * 5, (lambda x: x * 6)]
key = (lambda s: lambda x: (x, s))("k")
f = lambda x: one(two(table["a"](lst[0](key(x)))))
"""
SCOPES = """
A = 1
B = 2
C = 3
D = 4
G = 5
def f(x, *args, k=None, **kw):
    global G
    rows = [(y := i * A) for i in args if i != B]
    def nested(q=C):
        def deeper():
            return q + D
        return deeper
    match x:
        case {"a": [1, *rest], **more}:
            out = rest
        case str() | int() as s if s:
            out = s
        case _:
            out = f"{x:>{10}.{2}} {x!r} {rows=}"
    try:
        del rows
    except NameError as e:
        raise ValueError(f"bad {e}") from None
    G = 6
    return out, nested()()
"""
REGISTRY = """
OPS = {}
def register(fn):
    OPS[fn.__code__.co_argcount] = fn
    return fn
@register
def unary(x):
    return evaluate(x) if x else 1
@register
def binary(x, y):
    return evaluate(x) + evaluate(y)
def evaluate(x):
    return OPS[len(x)](*x)
def f(x):
    return evaluate(x)
"""
RECURSION = """
def even(n):
    return n == 0 or odd(n - 1)
def odd(n):
    return n != 0 and even(n - 1)
def fact(n):
    return 1 if n < 2 else n * fact(n - 1)
def f(n):
    return even(n), fact(n)
"""
STATE = """
import threading, types
lock = threading.Lock()
_MISSING = object()
cfg = types.SimpleNamespace(a=1, lock=threading.Lock())
class Client:
    def __init__(self, url):
        self.url = url
        self.lock = threading.Lock()
    def get(self):
        return self.url
client = Client("http://a")
def helper(x=_MISSING):
    return 1 if x is _MISSING else x
def f(x):
    with lock:
        return cfg.a + helper() + len(client.get())
"""
SUPER = """
class A:
    def go(self):
        return 1
class B(A):
    def __init__(self):
        self.__secret = 2
    def go(self):
        return super().go() + self.__secret
def f(x):
    return B().go()
"""
DOCS = '''
def helper(x):
    """Be kind."""
    return x
def f(x):
    """Mine."""
    return helper.__doc__ + x
'''
NAMED = """
import functools
def loud(fn):
    @functools.wraps(fn)
    def inner(*a):
        return fn.__name__, fn(*a)
    return inner
@loud
def helper(x):
    return x
alias = helper
def f(x):
    return alias(x)
"""
TYPES = """
from typing import NamedTuple, TypedDict, Optional, Union
import collections
class P(NamedTuple):
    x: int = 3
    def norm(self):
        return self.x
Q = collections.namedtuple("Q", "a b", defaults=[5])
class T(TypedDict):
    z: int
Vec = list[int]
Opt = Optional[Vec]
def f(x):
    return P().norm(), Q(1), T(z=1), Vec(), Opt
"""
BODY = """
def f(x):
    total = 0
    for i in range(3):
        if i > 1:
            total += i ** 2
        else:
            total -= x[i:2]
    while total:
        break
    return {**x, "a": total}, (1, 2.0, 3j, b"q", None, True, ...), -total
"""
ASYNC = """
import asyncio
async def fetch(x):
    await asyncio.sleep(0)
    return x
async def agen(n):
    for i in range(n):
        yield i
async def f(x):
    async with asyncio.timeout(1):
        return [await fetch(i) async for i in agen(x)]
"""
SHADOW = """
def f(x):
    return len(x) + sum(x)
"""
METHOD_TASK = """
class Job:
    scale = 2
    def __init__(self, n):
        self.n = n
    def step(self, x):
        return x * self.n * self.scale
    def other(self):
        return 1
f = Job(3).step
"""
CALLABLE_TASK = """
class Job:
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return x * self.n
f = Job(3)
"""
PARTIAL_TASK = """
import functools
def base(x, n):
    return x * n
f = functools.partial(base, n=3)
"""
IMPORTLIB = """
import importlib
def f(x):
    return importlib.import_module("plug").go(x)
### plug.py
def go(x):
    return 1
"""
PACKAGE = """
import pkg.sub
from pkg import sub as again
def f(x):
    return pkg.sub.go(x)
### pkg/__init__.py
V = 1
### pkg/sub.py
from . import leaf
def go(x):
    from .leaf import other
    return leaf.val(x) + other(x)
### pkg/leaf.py
def val(x):
    return 1
def other(x):
    return 2
def third(x):
    return 3
"""
VERSIONED = """
import fakelib
def f(x):
    return fakelib.go(x)
### fakelib/__init__.py
def go(x):
    return 1
### fakelib-1.2.0.dist-info/METADATA
Metadata-Version: 2.1
Name: fakelib
Version: 1.2.0
"""

EDITS: list[Edit] = [
    Edit("restart identical", HIT, BASIC, BASIC),
    sub("helper body", MISS, BASIC, "deep(x) * TH", "deep(x) * TH + 1"),
    sub("helper two levels deep", MISS, BASIC, "x - 1", "x - 2"),
    sub("local module attribute", MISS, LOCAL, "_help(x) * 2", "_help(x) * 3"),
    sub("helper inside a module", MISS, LOCAL, "x + 1", "x + 100"),
    sub(
        "from mod import",
        MISS,
        LOCAL,
        "def other(x):\n    return x",
        "def other(x):\n    return -x",
    ),
    sub("import inside the body", MISS, LOCAL, "one(x):\n    return 1", "one(x):\n    return 5"),
    sub("from-import inside the body", MISS, LOCAL, "return 2", "return 5"),
    sub("unrelated in a module", HIT, LOCAL, "def unrelated(x):\n    return 1", "unrelated = 5"),
    sub("unrelated in an inner module", HIT, LOCAL, "return 3", "return 4"),
    sub("unread constant of a module", HIT, LOCAL, "SECRET = 4", "SECRET = 5"),
    sub("module constant", MISS, LOCAL, "K = 3", "K = 4"),
    sub("getattr(mod, name)", MISS, ESCAPE, "return 1", "return 3"),
    sub("which name of a module", MISS, ESCAPE, 'name = "k"', 'name = "j"'),
    sub(
        "getattr by constant, that one",
        MISS,
        ESCAPE.replace("mod, name", "mod, 'k'"),
        "return 1",
        "return 3",
    ),
    sub(
        "getattr by constant, another",
        HIT,
        ESCAPE.replace("mod, name", "mod, 'k'"),
        "return 2",
        "return 3",
    ),
    sub(
        "module in a list",
        MISS,
        ESCAPE.replace("getattr(mod, name)(x)", "[m.k(x) for m in [mod]]"),
        "return 1",
        "return 3",
    ),
    sub(
        "vars(mod)",
        MISS,
        ESCAPE.replace("getattr(mod, name)", "vars(mod)[name]"),
        "return 1",
        "return 3",
    ),
    sub(
        "mod.__dict__",
        MISS,
        ESCAPE.replace("getattr(mod, name)", "mod.__dict__[name]"),
        "return 1",
        "return 3",
    ),
    sub(
        "comment in the task", HIT, BASIC, "    return clean(x)", "    # why\n\n    return clean(x)"
    ),
    sub("comment in a helper", HIT, BASIC, "x - 1", "x - 1  # less"),
    sub("docstring of the task", HIT, BASIC, "What it does.", "What it does, in more words."),
    sub("docstring added to a helper", HIT, BASIC, "def deep(x):\n", "def deep(x):\n    'New.'\n"),
    sub("docstring that is read", MISS, DOCS, "Be kind.", "Be cruel."),
    sub(
        "docstring read by getdoc",
        MISS,
        DOCS.replace("helper.__doc__", "__import__('inspect').getdoc(helper)"),
        "Be kind.",
        "Be cruel.",
    ),
    sub(
        "reformat",
        HIT,
        BASIC,
        "return clean(x) + n + LIMITS[0]",
        "return (\n        clean(\n            x,\n        )\n"
        "        + n\n        + LIMITS[0]\n    )",
    ),
    sub("global constant", MISS, BASIC, "TH = 0.5", "TH = 0.6"),
    sub("type of a constant", MISS, BASIC, "LIMITS = [1, 2]", "LIMITS = [True, 2]"),
    sub("unused global", HIT, BASIC, "UNUSED = 1", "UNUSED = 2"),
    sub("own default", HIT, BASIC, "n=10", "n=20"),
    sub("default of a helper", MISS, BASIC, 'sep=","', 'sep=";"'),
    sub("keyword default of a helper", MISS, BASIC.replace("sep=", "*, sep="), '","', '";"'),
    sub("renamed local", MISS, BODY, "return {**x", "total = total\n    return {**x"),
    sub("annotation of the task", MISS, BASIC, "f(x, n=10)", "f(x: int, n=10)"),
    sub("annotation of a local", HIT, BODY, "total = 0", "total: int = 0"),
    Edit(
        "moved to another cell", HIT, BASIC, BASIC.replace("# %%\n", "# %%\ny = 2\n# %%\nz = 3\n")
    ),
    Edit("all in one cell", HIT, BASIC, BASIC.replace("# %%\n", "")),
    sub(
        "other code in the cell",
        HIT,
        BASIC,
        "# %%\n",
        "# %%\nimport json\nfor q in range(3): pass\n",
    ),
    Edit(
        "definitions reordered",
        HIT,
        BASIC,
        BASIC[BASIC.index("def clean") :].replace("# %%", "") + BASIC[: BASIC.index("def clean")],
    ),
    sub("mutated list", MISS, BASIC, "UNUSED = 1", "LIMITS.append(3)"),
    sub("own name", HIT, BASIC, "def f(x, n=10)", "def g(x, n=10)"),
    # classes
    sub("method", MISS, CLASSES, "x * self.RATE", "x / self.RATE"),
    sub("method of a base", MISS, CLASSES, "return 1\n", "return 2\n"),
    sub("method of a metaclass", MISS, CLASSES, "super().__call__(*a)", "super().__call__(*a[:])"),
    sub("class attribute", MISS, CLASSES, "RATE = 0.1", "RATE = 0.2"),
    sub("property getter", MISS, CLASSES, "return self._v", "return self._v + 1"),
    sub("property setter", MISS, CLASSES, "new + 0", "new + 1"),
    sub("static method", MISS, CLASSES, "return 11", "return 111"),
    sub("class method", MISS, CLASSES, "return 12", "return 121"),
    sub("cached property", MISS, CLASSES, "return 13", "return 131"),
    sub("inner class", MISS, CLASSES, "z = 14", "z = 15"),
    sub("__init__", MISS, CLASSES, "self._v = 5", "self._v = 6"),
    sub("dataclass default", MISS, CLASSES, "a: int = 21", "a: int = 22"),
    sub("dataclass default factory", MISS, CLASSES, "[22]", "[23]"),
    sub(
        "dataclass option",
        MISS,
        CLASSES,
        "@dataclasses.dataclass\n",
        "@dataclasses.dataclass(order=True)\n",
    ),
    sub("enum value", MISS, CLASSES, "RED = 31", "RED = 33"),
    sub("enum member added", MISS, CLASSES, "BLUE = 32", "BLUE = 32\n    GREEN = 34"),
    sub("enum method", MISS, CLASSES, '"!"', '"?"'),
    sub("method of a slotted class", MISS, CLASSES, "return 41", "return 42"),
    sub("comment in a class", HIT, CLASSES, "RATE = 0.1", "RATE = 0.1  # ten percent\n"),
    sub(
        "docstring of a class", HIT, CLASSES, "class Slotted:\n", "class Slotted:\n    '''Doc.'''\n"
    ),
    Edit("classes moved down a line", HIT, CLASSES, "import os\n# %%\n\n\n" + CLASSES),
    sub("super", MISS, SUPER, "return 1", "return 2"),
    sub("private name", MISS, SUPER, "secret = 2", "secret = 3"),
    # decorators and wrappers
    sub("decorated helper, body", MISS, WRAPPED, "return x + 1", "return x + 2"),
    sub("decorated helper, decorator", MISS, WRAPPED, "**k) * factor", "**k) + factor"),
    sub("decorator's argument", MISS, WRAPPED, "@deco(2)", "@deco(3)"),
    sub(
        "decorator's outer part",
        HIT,
        WRAPPED,
        "    def outer(fn):",
        "    unused = 3\n    def outer(fn):",
    ),
    sub(
        "decorator under the task",
        MISS,
        WRAPPED.replace("def f", "@deco(4)\ndef f"),
        "@deco(4)",
        "@deco(5)",
    ),
    sub("lru_cache", MISS, LIBRARY, "return x + 1", "return x + 2"),
    sub("lru_cache's size", MISS, LIBRARY, "maxsize=8", "maxsize=9"),
    sub("singledispatch, general", MISS, LIBRARY, '"any"', '"all"'),
    sub("singledispatch, registered", MISS, LIBRARY, 'return "int"', 'return "Int"'),
    sub("singledispatch, type", MISS, LIBRARY, "x: int", "x: float"),
    sub("contextmanager", MISS, LIBRARY, "yield x + 2", "yield x + 3"),
    sub("partial", MISS, LIBRARY, "exp=2", "exp=3"),
    sub("itemgetter", MISS, LIBRARY, "itemgetter(0)", "itemgetter(1)"),
    sub("function as argument", MISS, LIBRARY, "return a + b", "return a - b"),
    sub(
        "docstring under contextmanager", HIT, LIBRARY, "def ctx(x):\n", "def ctx(x):\n    'Doc.'\n"
    ),
    sub("np.vectorize", MISS, NUMPY, "return x + 1", "return x + 2"),
    sub("one element of an array", MISS, NUMPY, "np.arange(10)", "np.arange(10); ARR[3] = 7"),
    sub("another library function", MISS, NUMPY, "np.mean", "np.median"),
    sub("pydantic default", MISS, PYDANTIC, "a: int = 1", "a: int = 2"),
    sub("pydantic type", MISS, PYDANTIC, "a: int = 1", "a: float = 1"),
    sub("pydantic Field", MISS, PYDANTIC, "default=2.0", "default=3.0"),
    sub("pydantic constraint", MISS, PYDANTIC, "gt=0", "gt=1"),
    sub("pydantic factory", MISS, PYDANTIC, "lambda: Sub()", "lambda: Sub(w=9)"),
    sub("pydantic nested model", MISS, PYDANTIC, "w: int = 5", "w: int = 6"),
    sub("pydantic private attribute", MISS, PYDANTIC, "default=7", "default=8"),
    sub("pydantic validator", MISS, PYDANTIC, "v + 1", "v + 2"),
    sub("pydantic validator's mode", MISS, PYDANTIC, '"after"', '"before"'),
    sub("validate_call, body", MISS, PYDANTIC, "x + 3", "x + 4"),
    sub("validate_call, annotation", MISS, PYDANTIC, "x: int", "x: float"),
    Edit("pydantic, restart", HIT, PYDANTIC, PYDANTIC),
    # lambdas
    sub("first lambda of a line", MISS, LAMBDAS, "x + 1", "x + 10"),
    sub("second lambda of a line", MISS, LAMBDAS, "x + 2", "x + 20"),
    sub("dict of functions, used", MISS, LAMBDAS, "x * 3", "x * 30"),
    sub("dict of functions, other", MISS, LAMBDAS, "x * 4", "x * 40"),
    sub("list of lambdas", MISS, LAMBDAS, "x * 6", "x * 60"),
    sub("lambda's cell", MISS, LAMBDAS, '"k"', '"l"'),
    Edit("lambdas apart", HIT, LAMBDAS, LAMBDAS.replace("; two", "\n\ntwo")),
    # scopes
    *(
        sub(f"constant {n}", MISS, SCOPES, f"{n} = {i}\n", f"{n} = {i}0\n")
        for i, n in enumerate("ABCDG", 1)
    ),
    sub("format spec", MISS, SCOPES, ".{2}", ".{3}"),
    sub("conversion", MISS, SCOPES, "{x!r}", "{x!s}"),
    sub("walrus", MISS, SCOPES, "i * A", "i + A"),
    sub("match pattern", MISS, SCOPES, "[1, *rest]", "[2, *rest]"),
    sub("match guard", MISS, SCOPES, "as s if s", "as s if not s"),
    sub("parentheses in del", HIT, SCOPES, "del rows", "del (rows)"),
    sub("star arguments", MISS, SCOPES, "*args, k=None", "k=None, *args"),
    sub("nested default", MISS, SCOPES, "q=C", "q=A"),
    # bodies
    sub("operator", MISS, BODY, "i ** 2", "i * 2"),
    sub("comparison", MISS, BODY, "i > 1", "i >= 1"),
    sub("constant", MISS, BODY, "range(3)", "range(4)"),
    sub("1 or True", MISS, BODY, "None, True", "None, 1"),
    sub("1 or 1.0", MISS, BODY, "(1, 2.0", "(1, 2"),
    sub("str or bytes", MISS, BODY, 'b"q"', '"q"'),
    sub("sign", MISS, BODY, "-total\n", "+total\n"),
    sub("slice", MISS, BODY, "x[i:2]", "x[i::2]"),
    sub("pass added", HIT, BODY, "        break", "        pass\n        break"),
    sub(
        "pass does not move a statement",
        MISS,
        BODY,
        "    while total:\n        break",
        "    while total:\n        pass\n    break_ = 1",
    ),
    sub("quotes", HIT, BODY, '"a"', "'a'"),
    sub("number spelled otherwise", HIT, BODY, "range(3)", "range(0x3)"),
    # recursion
    sub("mutual recursion", MISS, RECURSION, "n != 0 and", "n > 0 and"),
    sub("recursion", MISS, RECURSION, "n < 2", "n < 3"),
    sub("registry, entry", MISS, REGISTRY, "else 1", "else 2"),
    sub("registry, dispatcher", MISS, REGISTRY, "OPS[len(x)]", "OPS[len(x) + 0]"),
    Edit("registry, restart", HIT, REGISTRY, REGISTRY),
    # state and what has no digest
    Edit("locks, restart", HIT, STATE, STATE),
    sub("attribute beside a lock", MISS, STATE, "a=1", "a=2"),
    sub("state of a client", MISS, STATE, "http://a", "http://bb"),
    sub("method of a client", MISS, STATE, "return self.url", "return self.url * 2"),
    sub("helper with a mark", MISS, STATE, "else x", "else -x"),
    # names, types, async
    sub(
        "name that is read",
        MISS,
        NAMED,
        "def helper(x):\n    return x\nalias = helper",
        "def helfer(x):\n    return x\nalias = helfer",
    ),
    sub(
        "name that is not read",
        HIT,
        NAMED.replace("fn.__name__", "0"),
        "def helper(x):\n    return x\nalias = helper",
        "def helfer(x):\n    return x\nalias = helfer",
    ),
    sub("NamedTuple default", MISS, TYPES, "x: int = 3", "x: int = 4"),
    sub("NamedTuple method", MISS, TYPES, "return self.x", "return -self.x"),
    sub("namedtuple default", MISS, TYPES, "defaults=[5]", "defaults=[6]"),
    sub("namedtuple fields", MISS, TYPES, '"a b"', '"b a"'),
    sub("alias", MISS, TYPES, "list[int]", "tuple[int]"),
    Edit("types, restart", HIT, TYPES, TYPES),
    sub("coroutine", MISS, ASYNC, "return x\n", "return -x\n"),
    sub("async generator", MISS, ASYNC, "yield i", "yield i + 1"),
    Edit("coroutines, restart", HIT, ASYNC, ASYNC),
    sub("builtin shadowed", MISS, "# %%" + SHADOW, "# %%", "def sum(x):\n    return 0\n"),
    sub(
        "alias of the library",
        MISS,
        "from math import sin as g\ndef f(x):\n    return g(x)\n",
        "sin",
        "cos",
    ),
    sub(
        "path of a file",
        HIT,
        "import os\n__file__ = '/a/b.py'\ndef f(x):\n    return os.path.dirname(__file__)\n",
        "/a/b.py",
        "/c/d.py",
    ),
    sub(
        "random",
        HIT,
        "import random\nrandom.seed(1)\ndef f(x):\n    return random.random() + random.choice(x)\n",
        "seed(1)",
        "seed(2)",
    ),
    sub(
        "environment",
        HIT,
        "import os\nos.environ['Q'] = '1'\ndef f(x):\n    return os.environ['Q']\n",
        "'1'",
        "'2'",
    ),
    sub(
        "function attribute",
        MISS,
        "def f(x):\n    return h.rate\ndef h(): pass\nh.rate = 1\n",
        "rate = 1",
        "rate = 2",
    ),
    sub("globals()[name]", MISS, "K = 1\ndef f(x):\n    return globals()['K']\n", "K = 1", "K = 2"),
    sub("attribute of that name", HIT, "K = 1\ndef f(x):\n    return x.K\n", "K = 1", "K = 2"),
    # tasks that are no functions
    sub("bound method, body", MISS, METHOD_TASK, "x * self.n", "x + self.n"),
    sub("bound method, state", MISS, METHOD_TASK, "Job(3)", "Job(4)"),
    sub("bound method, class attribute", MISS, METHOD_TASK, "scale = 2", "scale = 3"),
    Edit("bound method, restart", HIT, METHOD_TASK, METHOD_TASK),
    sub("callable object, body", MISS, CALLABLE_TASK, "x * self.n", "x + self.n"),
    sub("callable object, state", MISS, CALLABLE_TASK, "Job(3)", "Job(4)"),
    Edit("callable object, restart", HIT, CALLABLE_TASK, CALLABLE_TASK),
    sub("partial as a task, body", MISS, PARTIAL_TASK, "x * n", "x + n"),
    sub("partial as a task, argument", MISS, PARTIAL_TASK, "n=3", "n=4"),
    # modules
    sub("import_module by a constant", MISS, IMPORTLIB, "return 1", "return 2"),
    sub("submodule's sibling", MISS, PACKAGE, "return 1", "return 5"),
    sub("relative import in a body", MISS, PACKAGE, "return 2", "return 5"),
    sub("unrelated in a submodule", HIT, PACKAGE, "return 3", "return 5"),
    sub("unread constant of a package", HIT, PACKAGE, "V = 1", "V = 2"),
    Edit("library, major version", MISS, VERSIONED, VERSIONED.replace("1.2.0", "2.0.0")),
    Edit("library, minor version", MISS, VERSIONED, VERSIONED.replace("1.2.0", "1.3.0")),
    Edit("library, patch version", HIT, VERSIONED, VERSIONED.replace("1.2.0", "1.2.1")),
    sub("library, its text alone", HIT, VERSIONED, "return 1", "return 2"),
]
