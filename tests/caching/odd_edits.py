"""Edits of code that reaches other code in odd ways, or by way of several modules."""

from tests.caching.edits import HIT, MISS, Edit, sub

TOOLS = """
import functools, itertools, collections, threading, logging, weakref, random, datetime, os, json
log = logging.getLogger("x")
def retry(n):
    def deco(fn):
        @functools.wraps(fn)
        def inner(*a, **k):
            for i in range(n):
                try:
                    return fn(*a, **k)
                except ValueError:
                    log.info("again %s", fn)
        inner.attempts = n
        return inner
    return deco
class Registry(dict):
    def get_it(self, k):
        return self[k]
REG = Registry(a=1)
dd = collections.defaultdict(lambda: 5, a=1)
counter = itertools.count(3)
START = datetime.datetime(2024, 1, 1)
Cfg = collections.namedtuple("Cfg", "th path")
cfg = Cfg(0.5, "p")
class Plugin:
    registry = {}
    def __init_subclass__(cls):
        Plugin.registry[cls.__name__] = cls
class A(Plugin):
    def go(self): return 11
class B(Plugin):
    def go(self): return 12
@retry(3)
def fetch(u):
    return parse(u)
def parse(u):
    return [*map(strip_it, u)]
strip_it = str.strip
def pick(kind):
    return Plugin.registry[kind]().go()
def helper_kw(*, mode="fast"): return mode
class Ctx:
    def __enter__(self): return self
    def __exit__(self, *a): return False
class Lazy:
    @functools.cached_property
    def val(self): return 21
    @property
    def w(self): return self.val
    w2 = w
    alias = staticmethod(parse)
lazy = Lazy()
def f(x):
    with Ctx() as c:
        log.info("x")
        next(counter)
        return (
            fetch(x), REG.get_it("a"), dd["q"], START, cfg.th, pick("A"), helper_kw(), lazy.w,
            random.Random(4).random(),
        )
"""
TOOLS_EDITS = [
    ("range(n)", "range(n + 1)"),
    ("@retry(3)", "@retry(4)"),
    ("self[k]", "self.get(k)"),
    ("Registry(a=1)", "Registry(a=2)"),
    ("lambda: 5", "lambda: 6"),
    ("2024, 1, 1", "2024, 1, 2"),
    ("Cfg(0.5", "Cfg(0.6"),
    ("return 11", "return 110"),
    ("return 12", "return 120"),
    ("str.strip", "str.lower"),
    ('"fast"', '"slow"'),
    ("return False", "return True"),
    ("return 21", "return 22"),
    ("w2 = w", "w2 = None"),
    ("staticmethod(parse)", "staticmethod(pick)"),
    ("Random(4)", "Random(5)"),
    ('"again %s"', '"again! %s"'),
]
ODD: list[Edit] = [sub("tools, " + a, MISS, TOOLS, a, b) for a, b in TOOLS_EDITS] + [
    Edit("tools, restart", HIT, TOOLS, TOOLS),
    Edit(
        "tools, moved",
        HIT,
        TOOLS,
        "# hi\nimport sys\n" + TOOLS.replace("class B", "\n\n# b\nclass B"),
    ),
]
MODULES = """
import mod, other
from mod import Base, CONST, make
class Mine(Base):
    def run(self): return super().run() + 1
g = make(3)
obj = mod.Thing()
inst = mod.SINGLE
def f(x):
    return Mine().run(), g(x), obj.val(), inst.val(), other.use(x), mod.LIST[0], CONST
### mod.py
import os
CONST = 1
LIST = [2]
HERE = os.path.dirname(__file__)
STAMP = __import__("time").time()
class Base:
    def run(self): return hidden()
def hidden(): return 3
def make(k):
    def inner(x):
        return x * k + OFF
    return inner
OFF = 4
class Thing:
    size = 5
    def val(self): return self.size + EXTRA
EXTRA = 6
SINGLE = Thing()
def free(): return 7
### other.py
import mod as m
from mod import hidden as h
def use(x):
    return m.EXTRA + h() + local(x)
def local(x):
    global STATE
    return os_sep()
def os_sep(): return 8
STATE = None
"""
ODD += [
    sub("modules, " + a, w, MODULES, a, b)
    for w, a, b in [
        (MISS, "run() + 1", "run() + 2"),
        (MISS, "make(3)", "make(4)"),
        (MISS, "CONST = 1", "CONST = 10"),
        (MISS, "LIST = [2]", "LIST = [20]"),
        (MISS, "return 3", "return 30"),
        (MISS, "OFF = 4", "OFF = 40"),
        (MISS, "size = 5", "size = 50"),
        (MISS, "EXTRA = 6", "EXTRA = 60"),
        (HIT, "return 7", "return 70"),
        (MISS, "return 8", "return 80"),
        (HIT, "HERE = ", "THERE = "),
    ]
] + [Edit("modules, restart", HIT, MODULES, MODULES)]
THIRD = """
import pydantic, numpy as np, functools, enum, typing
from functools import lru_cache, wraps, partial
class Kind(str, enum.Enum):
    A = "a"
    @classmethod
    def _missing_(cls, v): return cls.A
    @property
    def nice(self): return self.value.upper()
class Opts(pydantic.BaseModel):
    kind: Kind = Kind.A
    tags: list[str] = []
    @property
    def n(self): return len(self.tags)
    @pydantic.model_validator(mode="before")
    @classmethod
    def pre(cls, data): return data or {}
    @pydantic.field_validator("tags")
    def ft(cls, v): return v[:3]
opts = Opts(tags=["z"])
vec = np.vectorize(lambda a, b: a + b, otypes=[float])
uf = np.frompyfunc(lambda a: a * 2, 1, 1)
pl = partial(lambda a, b: a - b, b=7)
chain = [partial(print, sep="-"), lru_cache(None)(lambda q: q + 9), opts.model_dump]
typed: typing.Annotated[int, "m"] = 5
class CallMe:
    __slots__ = ()
    def __call__(self, x): return inner_call(x)
def inner_call(x): return 31
call_me = CallMe()
@lru_cache
@wraps(inner_call)
def both(x): return call_me(x)
def f(x, cb=call_me):
    return opts.n, vec(x, 1), uf(x), pl(x), chain, typed, Kind("b").nice, both(x)
"""
ODD += [
    sub("third, " + a, MISS, THIRD, a, b)
    for a, b in [
        ("return cls.A", "return None"),
        ("upper()", "lower()"),
        ("= Kind.A", "= None"),
        ("len(self.tags)", "2"),
        ("data or {}", "data"),
        ("v[:3]", "v[:4]"),
        ('["z"]', '["y"]'),
        ("a + b", "a * b"),
        ("[float]", "[int]"),
        ("a - b", "b - a"),
        ("b=7", "b=8"),
        ('sep="-"', 'sep="+"'),
        ("q + 9", "q + 8"),
        ('typed: typing.Annotated[int, "m"] = 5', "typed = 6"),
        ("return 31", "return 32"),
    ]
] + [Edit("third, restart", HIT, THIRD, THIRD)]
NESTED = """
def outer():
    cfg = {"k": 1}
    def helper(x):
        return cfg["k"] + x
    def f(x):
        def rec(n):
            return rec(n - 1) if n else helper(x)
        return rec(3)
    return f
f = outer()
"""
ODD += [
    sub("nested, " + a, MISS, NESTED, a, b)
    for a, b in [('"k": 1', '"k": 2'), ('["k"] + x', '["k"] - x'), ("rec(3)", "rec(4)")]
] + [Edit("nested, restart", HIT, NESTED, NESTED)]
BLOCKS = """
import asyncio
class Base:
    async def go(self): return await self.inner()
    async def inner(self): return 1
class Sub(Base):
    async def inner(self): return 2 + await super().inner()
TABLE = {i: (lambda i=i: i) for i in range(3)}
SQ = [lambda: i for i in range(3)]
def gen():
    yield from (x for x in LST if x not in SKIP)
LST = (1, 2); SKIP = {3, 4}
async def f(x):
    s = Sub()
    return await s.go(), [t() for t in TABLE.values()], SQ, list(gen()), "%s" % FMT, FN.__name__
FMT = "a"
def FN(): pass
"""
ODD += [
    sub("blocks, " + a, MISS, BLOCKS, a, b)
    for a, b in [
        ("return 1", "return 9"),
        ("2 + await", "3 + await"),
        ("lambda i=i: i", "lambda i=i: -i"),
        ("{i: (lambda i=i: i) for i in range(3)}", "{i: (lambda i=i: i) for i in range(4)}"),
        ("lambda: i for i in range(3)", "lambda: i for i in range(5)"),
        ("not in SKIP", "in SKIP"),
        ("{3, 4}", "{3, 5}"),
        ('"a"', '"b"'),
    ]
] + [Edit("blocks, restart", HIT, BLOCKS, BLOCKS)]
STRINGS = """
from __future__ import annotations
import dataclasses
SCHEMA = None
class Item:
    price: float = 1.0
    def total(self: Item) -> float: return self.price
def build(cls):
    cls.extra = helper2
    return cls
def helper2(self): return 41
@build
class Dec:
    pass
def add(a, b): return a + b
ops = {"+": add}
class Node:
    def __init__(self): self.children = []; self.parent = None
root = Node(); child = Node(); child.parent = root; root.children.append(child); child.op = add
def f(x):
    return Item().total(), Dec().extra(), root.children[0].op(1, 2), ops
"""
ODD += [
    sub("strings, " + a, MISS, STRINGS, a, b)
    for a, b in [
        ("float = 1.0", "float = 2.0"),
        ("return self.price", "return -self.price"),
        ("return 41", "return 42"),
        ("a + b", "a - b"),
        ("self.parent = None", "self.parent = 0"),
    ]
] + [Edit("strings, restart", HIT, STRINGS, STRINGS)]
