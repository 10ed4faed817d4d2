"""Edits around tasks: tasks that call tasks, methods, patched code, chains of modules."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

TASKS = """
import functools
from cellist import flow, task
def helper(x): return 1
def timed(fn):
    @functools.wraps(fn)
    def inner(*args, **kwargs):
        return fn(*args, **kwargs), 2
    return inner
@task(retries=3, name="inner")
def inner(x): return helper(x) + 4
@flow(name="sub")
def sub(x): return inner(x) + 5
class Jobs:
    scale = 6
    @task
    def step(self, x): return self.scale + 7
    @staticmethod
    @task
    def fixed(x): return 8
    @classmethod
    @task
    def made(cls, x): return cls.scale + 9
steps = {"a": inner, "b": Jobs.fixed}
quick = inner.with_options(retries=10)
@task(retries=11, tags={"a"})
@timed
def f(x, n=12):
    return (inner(x), inner.fn(x), inner.submit(x).result(), sub(x), Jobs().step(x), Jobs.fixed(x),
        Jobs.made(x), steps["b"](x), quick(x), sub.fn(x))
"""
TASKED: list[Edit] = each(
    "tasks",
    TASKS,
    (MISS, "return 1", "return 10"),
    (MISS, "), 2", "), 20"),
    (HIT, "retries=3", "retries=30"),
    (MISS, "+ 4", "+ 40"),
    (MISS, "+ 5", "+ 50"),
    (MISS, "scale = 6", "scale = 60"),
    (MISS, "+ 7", "+ 70"),
    (MISS, "return 8", "return 80"),
    (MISS, "+ 9", "+ 90"),
    (HIT, "retries=10", "retries=100"),
    (HIT, 'retries=11, tags={"a"}', "retries=12"),
    (MISS, "@timed\n", ""),
    (HIT, "def f(x, n=12):\n", "def f(x, n=12):\n    'Doc.'\n    # a comment\n"),
)
METHODS = """
from cellist import task
class Base:
    rate = 1
    def __init_subclass__(cls, /, kind=2, **kw):
        super().__init_subclass__(**kw)
        cls.kind = kind
    def hook(self): return 3
class Model(Base, kind=4):
    def __init__(self, n): self.n = n
    def __getattr__(self, name): return 5
    def __class_getitem__(cls, item): return 6
    def unrelated(self): return 7
    def run(self, x):
        action = getattr(self, f"do_{x}")
        return action() + self.hook() + self.rate + self.kind + Model[0] + self.missing
    def do_a(self): return 8
    f = task(run)
f = Model.f
"""
TASKED += each(
    "methods",
    METHODS.replace("self.hook()", "super().hook()"),
    (MISS, "rate = 1", "rate = 10"),
    (MISS, "return 3", "return 30"),
    (MISS, "kind=4", "kind=40"),
    (MISS, "return 5", "return 50"),
    (MISS, "return 6", "return 60"),
    (MISS, "return 8", "return 80"),
)
CHAIN = """
from app import api as service
import app.core.rules as rules
def f(x):
    return service.handle(x), rules.DEPTH
### app/__init__.py
from .api import handle
VERSION = 1
### app/api.py
from .core import rules
from .core.rules import Config as C, CONFIG
from . import core
def handle(x):
    if x == core.LIMIT: raise rules.Refused(x)
    return rules.apply(x, CONFIG) + C.base
### app/core/__init__.py
LIMIT = 2
SPARE = 3
### app/core/rules.py
import dataclasses, types, re
from ..util.numbers import *
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Nothing
DEPTH = 4
class Refused(Exception):
    code = 5
    def __str__(self): return "no 6"
@dataclasses.dataclass(frozen=True)
class Config:
    base = 7
    name: "Nothing" = "8"
    sizes: tuple = dataclasses.field(default_factory=lambda: (9,))
CONFIG = Config(name="10")
TABLE = types.MappingProxyType({"a": re.compile("11")})
def apply(x, config):
    return rounded(x) + len(TABLE["a"].findall(config.name)) + later.late(x)
from . import later
### app/core/later.py
def late(x):
    from ..util import numbers
    return numbers.hidden(x)
### app/util/__init__.py
OTHER = 12
### app/util/numbers.py
__all__ = ["rounded"]
PLACES = 13
def rounded(x): return round(x, PLACES)
def hidden(x): return 14
def never(x): return 15
"""
TASKED += each(
    "chain",
    CHAIN,
    *(
        (want, was, now)
        for want, was, now in [
            (HIT, "VERSION = 1", "VERSION = 10"),
            (MISS, "LIMIT = 2", "LIMIT = 20"),
            (HIT, "SPARE = 3", "SPARE = 30"),
            (MISS, "DEPTH = 4", "DEPTH = 40"),
            (MISS, "code = 5", "code = 50"),
            (MISS, "no 6", "no 60"),
            (MISS, "base = 7", "base = 70"),
            (MISS, '= "8"', '= "80"'),
            (MISS, "(9,)", "(90,)"),
            (MISS, '"10"', '"100"'),
            (MISS, '"11"', '"110"'),
            (HIT, "OTHER = 12", "OTHER = 120"),
            (MISS, "PLACES = 13", "PLACES = 130"),
            (MISS, "return 14", "return 140"),
            (HIT, "return 15", "return 150"),
            (HIT, "    from somewhere import Nothing", "    from elsewhere import Nothing"),
            (HIT, "types, re\n", "types, re, os\n"),
        ]
    ),
)
PATCHED = """
import mod, types, functools, math
from mod import Thing, go
def better(x): return 1
def method(self): return 2
mod.inner = better
Thing.run = method
Thing.late = property(lambda self: 3)
math.user_made = lambda x: 4
thing = Thing(); thing.special = types.MethodType(lambda self: 5, thing)
go.rate = 6
mod.TABLE["k"] = lambda x: 7
compose = lambda *fs: functools.reduce(lambda g, h: lambda x: h(g(x)), fs)
pipe = compose(lambda x: x + 8, lambda x: x * 9, better)
def make(n):
    def power(x, _memo={"k": 10}): return x ** n
    return power
powers = [make(n) for n in (2, 3, 11)]
lazy = [lambda: i for i in (1, 12)]
async def agen(x):
    async for y in source(x): yield y + 13
async def source(x):
    yield 14
def coroutine():
    got = yield from delegate()
    return got
def delegate():
    try: yield 15
    finally: cleanup()
def cleanup(): return 16
class Stack:
    def __enter__(self): return 17
    def __exit__(self, *error): return error[0] is KeyError and 18
    def __len__(self): return 19
    def __iter__(self): yield 20
    def __eq__(self, other): return 21
    __hash__ = None
    def __getitem__(self, key): return 22
    def __format__(self, spec): return "23"
async def f(x):
    match x:
        case Thing(a=24) | {"k": mod.CONST}: pass
    with Stack() as s:
        print(f"{s:x}", *s, x[s], sep=str(len(s)))
    return (go(x), thing.run(), thing.late, math.user_made(x), thing.special(), go.rate,
        mod.TABLE["k"](x), pipe(x), powers, lazy[0](), [y async for y in agen(x)],
        list(coroutine()))
### mod.py
CONST = 25
TABLE = {}
def inner(x): return 26
def go(x): return inner(x)
class Thing:
    __match_args__ = ("a",)
    def run(self): return 27
"""
TASKED += each(
    "patched",
    PATCHED,
    *(
        (MISS, was, now)
        for was, now in [
            ("return 1\n", "return 100\n"),
            ("return 2\n", "return 200\n"),
            ("self: 3", "self: 30"),
            ("x: 4", "x: 40"),
            ("self: 5", "self: 50"),
            ("rate = 6", "rate = 60"),
            ("x: 7", "x: 70"),
            ("x + 8", "x + 80"),
            ("x * 9", "x * 90"),
            ('"k": 10', '"k": 100'),
            ("3, 11)", "3, 110)"),
            ("(1, 12)", "(1, 120)"),
            ("y + 13", "y + 130"),
            ("yield 14", "yield 140"),
            ("yield 15", "yield 150"),
            ("return 16", "return 160"),
            ("return 17", "return 170"),
            ("and 18", "and 180"),
            ("return 19", "return 190"),
            ("yield 20", "yield 200"),
            ("return 21", "return 210"),
            ("return 22", "return 220"),
            ('"23"', '"230"'),
            ("a=24", "a=240"),
            ("CONST = 25", "CONST = 250"),
            ('("a",)', '("b",)'),
        ]
    ),
    (HIT, "return 26", "return 260"),
    (HIT, "return 27", "return 270"),
)
READERS = """
import inspect
def prompt(x):
    # be 1
    return x
def show(fn): return inspect.getsource(fn)
def f(x): return show(prompt)
"""
TASKED += each("readers", READERS, (MISS, "# be 1", "# be 2"))
