"""Edits of closures, packages, hierarchies, arrays and generators, and many that change nothing."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

WIDER: list[Edit] = []
LATE = """
fns = []
for i in range(3):
    def fn(x): return x * i
    fns.append(fn)
funcs = {k: (lambda x, k=k: x + k) for k in (1, 2)}
def counter():
    n = 5
    def get():
        nonlocal n
        return n
    def bump():
        nonlocal n
        n += 1
    return get, bump
get, bump = counter()
bump()
acc = (lambda: [y for y in range(z)]) if (z := 4) else None
x0 = [w := 6, w ** 2]
def f(x): return [g(x) for g in fns], funcs[1](x), get(), acc(), x0, w
"""
WIDER += each(
    "late",
    LATE,
    (MISS, "range(3)", "range(4)"),
    (MISS, "x + k", "x - k"),
    (MISS, "n = 5", "n = 50"),
    (MISS, "bump()\nacc", "bump(); bump()\nacc"),
    (MISS, "z := 4", "z := 3"),
    (MISS, "w := 6", "w := 7"),
)
CONDITIONAL = """
import mod
from mod import value as v, HELP
def f(x): return mod.run(x), v(x), HELP, mod.lazy(x), mod.Late.k, mod.max(1, 2)
### mod.py
import sys
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from nowhere import Thing
FAST = True
HELP = {"a": 1}
HELP.update(b=2)
del HELP["a"]
if FAST:
    def run(x): return x + 3
else:
    def run(x): return x + 4
try:
    from missing_lib import value
except ImportError:
    def value(x): return 5
def __getattr__(name):
    if name == "Late":
        return type("Late", (), {"k": 6})
    if name == "lazy":
        from mod2 import lazy
        return lazy
    raise AttributeError(name)
def max(*a): return 7
PLATFORM = "linux" if sys.platform == "linux" else "other"
### mod2.py
import mod
def lazy(x): return 8 + mod.BACK if hasattr(mod, "BACK") else 9
"""
WIDER += each(
    "conditional",
    CONDITIONAL,
    (MISS, "FAST = True", "FAST = False"),
    (MISS, "x + 3", "x + 30"),
    (HIT, "x + 4", "x + 40"),
    (MISS, "b=2", "b=20"),
    (MISS, "return 5", "return 50"),
    (MISS, '"k": 6', '"k": 60'),
    (MISS, "return 7", "return 70"),
    (MISS, "else 9", "else 90"),
    (MISS, "FAST = True", "FAST = True\nBACK = 1"),
    (HIT, "from nowhere import Thing", "from elsewhere import Other"),
    (HIT, '"linux" if', '"Linux" if'),
)
REEXPORT = """
import pkg.sub.deep as pd_, pkg
from pkg import thing as t, sub
from pkg.sub import *
import pkg.sub.side
def f(x): return pd_.a(x), t(x), sub.deep.b(x), star(x), pkg.sub.side.s(x), pkg.alias(x)
### pkg/__init__.py
from .sub.deep import thing, a as alias
from . import sub
VERSION = 1
### pkg/sub/__init__.py
__all__ = ["star"]
from .deep import b
from .side import star
### pkg/sub/deep.py
from . import side
def a(x): return x + 2
def b(x): return side.s(x) + 3
def thing(x): return 4
def unused(x): return 5
### pkg/sub/side.py
def star(x): return 6
def s(x): return 7
def other(x): return 8
"""
WIDER += each(
    "reexport",
    REEXPORT,
    (HIT, "VERSION = 1", "VERSION = 2"),
    (MISS, "x + 2", "x + 20"),
    (MISS, "+ 3", "+ 30"),
    (MISS, "return 4", "return 40"),
    (HIT, "return 5", "return 50"),
    (MISS, "return 6", "return 60"),
    (MISS, "return 7", "return 70"),
    (HIT, "return 8", "return 80"),
    (MISS, "thing, a as alias", "thing, b as alias"),
    (HIT, '__all__ = ["star"]', '__all__ = ["star", "b"]'),
)
CIRCULAR = """
from ca import start
def f(x): return start(x)
### ca.py
import cb
K = 1
def start(x): return cb.step(x) if x else 0
def end(x): return K
### cb.py
import ca
def step(x): return ca.end(x) + 2
def none(x): return 3
"""
WIDER += each(
    "circular",
    CIRCULAR,
    (MISS, "K = 1", "K = 10"),
    (MISS, "+ 2", "+ 20"),
    (HIT, "return 3", "return 30"),
)
NUMPY = """
import numpy as np, pandas as pd
A = np.arange(6).reshape(2, 3)
B = np.asfortranarray(np.ones((2, 2)))
C = np.array([1.5, 2], dtype="float64")
DF = pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]}, index=["r", "s"])
CAT = pd.Series(["x", "y"], dtype="category")
TS = pd.Timestamp("2024-01-01", tz="UTC")
IDX = pd.date_range("2024", periods=3, freq="D")
REC = np.rec.fromarrays([[1], [2]], names="u,v")
V = A[::2]
MASK = np.ma.array([1, 2], mask=[0, 1])
def f(x):
    return (A.shape, B.sum(), str(C.dtype), list(DF.columns), list(CAT.cat.categories),
        TS.isoformat(), IDX.freqstr, REC.dtype.names, V.sum(), MASK.sum(), DF.values.tolist(),
        DF.index.tolist())
"""
WIDER += each(
    "numpy",
    NUMPY,
    (MISS, "reshape(2, 3)", "reshape(3, 2)"),
    (HIT, "np.asfortranarray(np.ones((2, 2)))", "np.ones((2, 2))"),
    (MISS, '"float64"', '"float32"'),
    (MISS, '{"a": [1, 2], "b": [3.0, 4.0]}', '{"b": [3.0, 4.0], "a": [1, 2]}'),
    (MISS, '["r", "s"]', '["s", "r"]'),
    (MISS, 'dtype="category"', 'dtype=pd.CategoricalDtype(["y", "x"])'),
    (MISS, 'tz="UTC"', 'tz="Europe/Paris"'),
    (MISS, 'freq="D"', 'freq="h"'),
    (MISS, '"u,v"', '"u,w"'),
    (MISS, "A[::2]", "A[::1]"),
    (MISS, "mask=[0, 1]", "mask=[1, 0]"),
    (HIT, "np.arange(6).reshape(2, 3)", "np.array([[0, 1, 2], [3, 4, 5]])"),
    (MISS, "3.0, 4.0", "3.0, float('nan')"),
)
HIERARCHY = """
import abc
class Meta(type):
    registry = {}
    def __new__(mcls, name, bases, ns, **kw):
        cls = super().__new__(mcls, name, bases, ns)
        mcls.registry[name] = cls
        cls.tag = kw.get("tag", "t1")
        return cls
    @property
    def meta_prop(cls): return 2
    def __getattr__(cls, name): return 3
class Positive:
    def __init__(self, default=4): self.default = default
    def __set_name__(self, owner, name): self.name = "_" + name
    def __get__(self, obj, owner=None):
        return self.default if obj is None else getattr(obj, self.name, self.default)
    def __set__(self, obj, value): setattr(obj, self.name, abs(value) + 5)
class Log:
    def go(self): return ["log6"] + super().go()
class Cache:
    def go(self): return ["cache7"] + super().go()
class Root(metaclass=Meta):
    size = Positive(8)
    def go(self): return ["root9"]
class Leaf(Log, Cache, Root, tag="t10"):
    BASE = 11
    DERIVED = BASE * 2
    __slots__ = ("q",)
    class Config:
        depth = 12
        class Inner:
            deeper = 13
    def __init_subclass__(cls, **k): super().__init_subclass__(**k); cls.born = 14
    def __repr__(self): return "Leaf15"
class Last(Leaf): pass
def f(x):
    l = Last(); l.size = -x
    return (l.go(), l.size, Leaf.meta_prop, Leaf.nope, sorted(Meta.registry), Leaf.tag,
        Leaf.DERIVED, Leaf.Config.Inner.deeper, Last.born, repr(l), Leaf.Config.depth, Root.size)
"""
WIDER += each(
    "hierarchy",
    HIERARCHY,
    (MISS, '"t1"', '"t111"'),
    (MISS, "return 2", "return 20"),
    (MISS, "return 3", "return 30"),
    (HIT, "default=4", "default=4 + 0"),
    (MISS, "+ 5", "+ 50"),
    (MISS, '"log6"', '"log60"'),
    (MISS, '"cache7"', '"cache70"'),
    (MISS, "Positive(8)", "Positive(80)"),
    (MISS, '"root9"', '"root90"'),
    (MISS, '"t10"', '"t100"'),
    (MISS, "BASE = 11", "BASE = 110"),
    (MISS, "depth = 12", "depth = 120"),
    (MISS, "deeper = 13", "deeper = 130"),
    (MISS, "cls.born = 14", "cls.born = 140"),
    (MISS, "Leaf15", "Leaf150"),
    (MISS, "Log, Cache", "Cache, Log"),
)
ASYNC_GEN = """
import asyncio, contextlib
class Res:
    async def __aenter__(self): return 1
    async def __aexit__(self, *e): return None
    def __aiter__(self): return agen(2)
    def __await__(self): yield from asyncio.sleep(0).__await__(); return 3
async def agen(n):
    for i in range(n): yield i + 4
@contextlib.asynccontextmanager
async def ctx():
    yield 5
def sub():
    got = yield 6
    return got or 7
def outer():
    r = yield from sub()
    yield r
class It:
    def __iter__(self): self.n = 8; return self
    def __next__(self):
        self.n += 1
        if self.n > 10: raise StopIteration
        return self.n
async def f(x):
    async with Res() as r, ctx() as c:
        out = [y async for y in Res()]
    match out:
        case [4, *rest] if len(rest) < 9: kind = "m11"
        case {"k": str() as s}: kind = s
        case _: kind = "m12"
    return r, c, out, await Res(), list(outer()), list(It()), kind, (n := 13)
"""
WIDER += each(
    "async gen",
    ASYNC_GEN,
    (MISS, "return 1\n", "return 100\n"),
    (MISS, "agen(2)", "agen(3)"),
    (MISS, "return 3", "return 30"),
    (MISS, "i + 4", "i + 5"),
    (MISS, "yield 5", "yield 50"),
    (MISS, "yield 6", "yield 60"),
    (MISS, "got or 7", "got or 70"),
    (MISS, "self.n = 8", "self.n = 7"),
    (MISS, "> 10", "> 11"),
    (MISS, '"m11"', '"m111"'),
    (MISS, "[4, *rest]", "[5, *rest]"),
    (MISS, "n := 13", "n := 14"),
)
COSMETIC = '''
from __future__ import annotations
import os
def a(x):
    # note
    total = 0
    for i in range(3): total += i
    return total + (x if x else 1)
def b(x):
    return {"k": [1, 2], 'j': f"{x:>{3}}" f"{x!r}"}
class C:
    n = 1
    def m(self):
        return self.n
    def o(self): return 2
def f(x):
    """Doc."""
    return a(x), b(x), C().m()
'''
WIDER += each(
    "cosmetic",
    COSMETIC,
    (HIT, "# note", "# other"),
    (HIT, "for i in range(3): total += i", "for i in range(3):\n        total += i"),
    (HIT, "(x if x else 1)", "(\n        x\n        if x\n        else 1\n    )"),
    (HIT, "'j'", '"j"'),
    (HIT, "[1, 2]", "[\n        1,\n        2,\n    ]"),
    (HIT, "from __future__ import annotations\n", ""),
    (HIT, "import os\n", "import os, sys, json\n"),
    (HIT, '"""Doc."""\n', '"""Doc, longer.\n\n    More.\n    """\n'),
    (HIT, "class C:\n", 'class C:\n    """D."""\n\n'),
    (HIT, "def m(self):\n", 'def m(self):\n        """D."""\n'),
    (
        HIT,
        "    n = 1\n    def m(self):\n        return self.n\n    def o(self): return 2\n",
        "    def o(self): return 2\n\n    def m(self):\n        return self.n\n    n = 1\n",
    ),
    (HIT, "def b(x):\n", "def unused(x): return 1\n\n\ndef b(x):\n"),
    (HIT, "total = 0", "total: int = 0"),
)
