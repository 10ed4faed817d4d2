"""More edits for the corpus: unusual ways to reach code, and texts that only look different."""

from tests.caching.edits import HIT, MISS, Edit, sub

OBJECTS = """
import re, operator, decimal
from pathlib import Path
class Inner:
    def go(self):
        return 1
class Outer:
    def __init__(self):
        self.inner = Inner()
        self.fn = stray
    def run(self, x):
        return self.inner.go() + self.fn(x)
def stray(x):
    return 2
class Memo:
    def __init__(self, fn):
        self.fn = fn
        self.calls = {}
    def __call__(self, x):
        return self.fn(x) + 3
@Memo
def memoised(x):
    return 4
class Desc:
    def __set_name__(self, owner, name):
        self.name = name
    def __get__(self, obj, owner=None):
        return 5
class Holder:
    d = Desc()
    def __init_subclass__(cls, **kw):
        cls.extra = 6
class Child(Holder):
    pass
class Frozen:
    __slots__ = ("v",)
    def __init__(self, v):
        self.v = v
MODELS = [Outer()]
ITEM = Frozen(7)
PATTERN = re.compile("a+", re.I)
WHERE = Path("data/a.csv")
MONEY = decimal.Decimal("8.0")
call = operator.methodcaller("go")
bound = MODELS[0].run
def with_default(x, fn=stray, *, key=lambda v: v + 9):
    return fn(x)
def f(x):
    return (
        MODELS[0].run(x), memoised(x), Child().d, Child.extra, ITEM.v, PATTERN.match(x),
        WHERE, MONEY, call(x), bound(x), with_default(x), list(map(bound, [1])),
    )
"""
DATA = """
import dataclasses, enum, abc
from typing import Generic, TypeVar, Protocol, ClassVar
T = TypeVar("T")
@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int = 1
    y: int = dataclasses.field(default=2, repr=False, metadata={"unit": "m"})
    def norm(self):
        return self.x + 3
@dataclasses.dataclass
class Later:
    a: dataclasses.InitVar[int] = 4
    kind: ClassVar[str] = "k"
    def __post_init__(self, a):
        self.b = a + 5
class Level(enum.IntFlag):
    LOW = enum.auto()
    HIGH = enum.auto()
class Word(enum.StrEnum):
    A = "six"
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape):
    def area(self):
        return 7
class Box(Generic[T]):
    def open(self) -> T:
        return 8
class Named(Protocol):
    name: str
    def hello(self):
        return 9
class Impl(Named):
    name = "ten"
ORIGIN = Point(11, 12)
def f(x):
    return (
        Point().norm(), Later(), Level.LOW, Word.A, Square().area(), Box[int]().open(),
        Impl().hello(), ORIGIN,
    )
"""
CLOSURES = """
def counter(start):
    count = start
    def step(by=1):
        nonlocal count
        count += by
        return count
    return step
def twice(fn):
    def inner(x):
        def innermost():
            return fn(x)
        return innermost() * 2
    return inner
tick = counter(10)
@twice
@twice
def helper(x):
    return x + 1
pair = [counter(20), counter(30)]
either = {counter(40), counter(50)}
def f(x):
    class Local:
        z = K
        def go(self):
            return [tick() for _ in range(3) if helper(_)]
    return Local().go(), [p() for p in pair], (lambda y=L: y)(), either
K = 60
L = 70
"""
SYNTAX = '''
def f(x, y=None):
    big = 1000000
    text = "ab"
    pattern = "\\\\d"
    plain = "abc"
    long = """one
    two"""
    if x:
        z = 1
    else:
        if y:
            z = 2
    with open(x) as a, open(y) as b:
        z = (a, b)
    for i, j in x:
        z = i; w = j
    try:
        raise ExceptionGroup("g", [])
    except* (ValueError, TypeError) as group:
        z = group
    assert z, "message"
    x[1, 2] = x[1:2, ::3]
    print(*x, **y, sep="")
    return z if y else (w, big, text, pattern, plain, long), x @ y, ~x, not y, x is not y
'''
FUTURE = """
from __future__ import annotations
import dataclasses
@dataclasses.dataclass
class D:
    a: int = 1
    def go(self) -> D:
        return self.__hidden(2)
    def __hidden(self, x: Missing) -> None:
        return x
def f(x: D | None) -> Undefined:
    return D().go()
"""
ASYNCS = """
import contextlib, functools, itertools
@contextlib.asynccontextmanager
async def session(x):
    yield x + 1
def gen(n):
    yield from sub_gen(n)
def sub_gen(n):
    received = yield n + 2
@functools.lru_cache
@functools.wraps(gen)
def stacked(x):
    return 3
@functools.total_ordering
class Ordered:
    def __lt__(self, other):
        return 4
    def __eq__(self, other):
        return 5
class Multi:
    @functools.singledispatchmethod
    def show(self, x):
        return 6
    @show.register
    def _(self, x: int):
        return 7
    part = functools.partialmethod(print, 8)
async def f(x):
    async with session(x) as s:
        return list(gen(s)), stacked(x), Ordered(), Multi().show(x), Multi().part()
"""
PLUGINS = """
from tools import *
import tools.deep as deep
try:
    import not_there
except ImportError:
    not_there = None
if False:
    import also_not_there
def f(x):
    return starred(x) + deep.lazy(x) + deep.helper.go(x) + (not_there is None)
### tools/__init__.py
__all__ = ["starred"]
def starred(x):
    return 1
def hidden(x):
    return 2
### tools/deep.py
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from .never import Nothing
from . import helper
def __getattr__(name):
    return [3, name]
### tools/helper.py
def go(x):
    return 4
"""
FRAMES = """
import numpy as np, pandas as pd
DF = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
S = pd.Series([1.0], name="s")
RECORD = np.zeros(2, dtype=[("p", "i4"), ("q", "f8")])
NESTED = {"frames": [DF, {"arr": np.ones(3)}], "fn": np.sum}
def clean(df):
    return df.assign(c=lambda d: d.a * 2)
def f(x):
    return clean(DF).groupby("b").agg({"a": agg}), S, RECORD, NESTED
def agg(v):
    return v.sum() + 1
"""
MODELS = """
import pydantic
from typing import Annotated, Literal, Optional
from annotated_types import Gt
Mode = Literal["a", "b"]
class Base(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    mode: Mode = "a"
class Leaf(pydantic.BaseModel):
    w: Annotated[int, Gt(1)] = 5
class M(Base):
    leaf: Optional[Leaf] = None
    @pydantic.computed_field
    @property
    def area(self) -> int:
        return 6
    @pydantic.model_validator(mode="after")
    def check(self):
        return self
    @pydantic.field_serializer("mode")
    def ser(self, v):
        return v + "7"
DEFAULT = M()
ADAPTER = pydantic.TypeAdapter(list[int])
def f(x):
    return M.model_validate(x), DEFAULT
"""
LAZY = """
def f(x):
    import json as j
    from lib.sub import go as g, K
    import lib.other
    def nested():
        return g(x) + lib.other.thing(K)
    return nested(), j.dumps(x)
### lib/__init__.py
X = 1
### lib/sub.py
K = 2
UNREAD = 3
def go(x):
    return 4
### lib/other.py
def thing(x):
    return 5
def nothing(x):
    return 6
"""
EFFECT = """
def f(x):
    import setup_all
    return x
### setup_all.py
A = 1
"""

HARDER: list[Edit] = [
    *(
        sub(f"objects, {was}", MISS, OBJECTS, was, now)
        for was, now in [
            ("return 1", "return 10"),
            ("return 2", "return 20"),
            ("+ 3", "+ 30"),
            ("return 4", "return 40"),
            ("return 5", "return 50"),
            ("extra = 6", "extra = 60"),
            ("Frozen(7)", "Frozen(70)"),
            ('"a+"', '"b+"'),
            ("re.I)", "re.M)"),
            ("data/a.csv", "data/b.csv"),
            ("8.0", "8.00"),
            ('methodcaller("go")', 'methodcaller("run")'),
            ("v + 9", "v + 90"),
            ("fn=stray", "fn=None"),
            ("MODELS[0].run\ndef", "Inner().go\ndef"),
            ("[Outer()]", "[Outer(), 1]"),
        ]
    ),
    Edit("objects, restart", HIT, OBJECTS, OBJECTS),
    *(
        sub(f"data, {was}", MISS, DATA, was, now)
        for was, now in [
            ("x: int = 1", "x: int = 10"),
            ("default=2", "default=20"),
            ("repr=False", "repr=True"),
            ('"m"', '"km"'),
            ("self.x + 3", "self.x + 30"),
            ("InitVar[int] = 4", "InitVar[int] = 40"),
            ('"k"', '"q"'),
            ("a + 5", "a + 50"),
            ("HIGH = enum.auto()", "MID = enum.auto()\n    HIGH = enum.auto()"),
            ('"six"', '"sixty"'),
            ("return 7", "return 70"),
            ("return 8", "return 80"),
            ("return 9", "return 90"),
            ('"ten"', '"eleven"'),
            ("Point(11", "Point(110"),
            ("frozen=True", "frozen=False"),
            ("enum.IntFlag", "enum.IntEnum"),
            ("class Impl(Named)", "class Impl"),
        ]
    ),
    Edit("data, restart", HIT, DATA, DATA),
    sub("data, comment", HIT, DATA, "class Square(Shape):", "class Square(Shape):  # four sides"),
    *(
        sub(f"closures, {was}", MISS, CLOSURES, was, now)
        for was, now in [
            ("counter(10)", "counter(11)"),
            ("count += by", "count -= by"),
            ("by=1", "by=2"),
            ("innermost() * 2", "innermost() * 3"),
            ("return fn(x)", "return fn(-x)"),
            ("x + 1", "x + 2"),
            ("counter(20), counter(30)", "counter(30), counter(20)"),
            ("counter(40)", "counter(41)"),
            ("K = 60", "K = 61"),
            ("L = 70", "L = 71"),
            ("@twice\n@twice", "@twice"),
            ("range(3)", "range(4)"),
            ("z = K", "z = L"),
        ]
    ),
    Edit("closures, restart", HIT, CLOSURES, CLOSURES),
    *(
        sub(f"syntax, {was}", HIT, SYNTAX, was, now)
        for was, now in [
            ("1000000", "1_000_000"),
            ('"ab"', '"a" "b"'),
            ('"\\\\d"', 'r"\\d"'),
            ('"abc"', 'f"abc"'),
            ("    else:\n        if y:\n            z = 2", "    elif y:\n        z = 2"),
            (
                "with open(x) as a, open(y) as b:",
                "with (\n        open(x) as a,\n        open(y) as b,\n    ):",
            ),
            ("for i, j in x", "for (i, j) in x"),
            ("z = i; w = j", "z = i\n        w = j"),
            ("x[1, 2]", "x[(1, 2)]"),
            ("except* (ValueError", "except *(ValueError"),
            ("return z if y else", "return z if (y) else \\\n      "),
            ("    big =", "    ...\n    big ="),
            (
                "def f(x, y=None):\n",
                "def f(\n    x,\n    y=None,\n):\n    'Doc.'\n    # type: ignore\n",
            ),
        ]
    ),
    Edit(
        "syntax, tabs",
        HIT,
        SYNTAX.replace('"""one\n    two"""', '"1"'),
        SYNTAX.replace('"""one\n    two"""', '"1"').replace("    ", "\t"),
    ),
    Edit(
        "syntax, trailing blanks",
        HIT,
        BLANK := "def f(x):\n    return x\n",
        BLANK.replace("\n", "   \n"),
    ),
    Edit(
        "syntax, nested deeper",
        HIT,
        "if True:\n" + "\n".join("    " + line for line in BLANK.splitlines()) + "\n",
        BLANK,
    ),
    *(
        sub(f"syntax, {was}", MISS, SYNTAX, was, now)
        for was, now in [
            ("one\n    two", "one\n  two"),
            ('"message"', '"other"'),
            ("::3", "::4"),
            ("except*", "except"),
            ("x @ y", "x * y"),
            ("~x", "-x"),
            ("is not y", "is y"),
            ("*x, **y", "x, **y"),
            ("as group", "as z"),
            ("open(x) as a", "open(x)"),
            ('sep=""', 'end=""'),
            ("= 1000000", "= 1000000.0"),
        ]
    ),
    *(
        sub(f"future, {was}", MISS, FUTURE, was, now)
        for was, now in [
            ("a: int = 1", "a: int = 2"),
            ("hidden(2)", "hidden(3)"),
            ("return x\n", "return -x\n"),
        ]
    ),
    Edit("future, restart", HIT, FUTURE, FUTURE),
    *(
        sub(f"asyncs, {was}", MISS, ASYNCS, was, now)
        for was, now in [
            ("yield x + 1", "yield x + 10"),
            ("yield n + 2", "yield n + 20"),
            ("return 3", "return 30"),
            ("return 4", "return 40"),
            ("return 5", "return 50"),
            ("return 6", "return 60"),
            ("return 7", "return 70"),
            ("print, 8", "print, 80"),
            ("x: int", "x: str"),
        ]
    ),
    Edit("asyncs, restart", HIT, ASYNCS, ASYNCS),
    *(
        sub(f"plugins, {was}", want, PLUGINS, was, now)
        for want, was, now in [
            (MISS, "return 1", "return 10"),
            (HIT, "return 2", "return 20"),
            (MISS, "[3, name]", "[30, name]"),
            (MISS, "return 4", "return 40"),
            (HIT, '["starred"]', '["starred", "hidden"]'),
            (HIT, "import also_not_there", "import nor_there"),
            (HIT, "Nothing", "Anything"),
            (MISS, "not_there = None", "not_there = 1"),
        ]
    ),
    *(
        sub(f"frames, {was}", MISS, FRAMES, was, now)
        for was, now in [
            ("[1, 2]", "[1, 3]"),
            ('"b": ["x"', '"c": ["x"'),
            ("[1.0]", "[2.0]"),
            ('name="s"', 'name="t"'),
            ('"i4"', '"i8"'),
            ("np.ones(3)", "np.ones(4)"),
            ("d.a * 2", "d.a * 3"),
            ("v.sum() + 1", "v.sum() + 2"),
            ("np.sum}", "np.prod}"),
        ]
    ),
    Edit("frames, restart", HIT, FRAMES, FRAMES),
    *(
        sub(f"models, {was}", MISS, MODELS, was, now)
        for was, now in [
            ("frozen=True", "frozen=False"),
            ('"a", "b"', '"a", "c"'),
            ('mode: Mode = "a"', 'mode: Mode = "b"'),
            ("Gt(1)", "Gt(2)"),
            ("= 5", "= 6"),
            ("return 6", "return 60"),
            ("return self\n", "return self or 1\n"),
            ('"7"', '"70"'),
            ("M()\n", "M(leaf=Leaf(w=9))\n"),
            ('serializer("mode")', 'serializer("leaf")'),
            ("Optional[Leaf] = None", "Optional[Base] = None"),
        ]
    ),
    Edit("models, restart", HIT, MODELS, MODELS),
    *(
        sub(f"lazy, {was}", want, LAZY, was, now)
        for want, was, now in [
            (MISS, "K = 2", "K = 20"),
            (HIT, "UNREAD = 3", "UNREAD = 30"),
            (MISS, "return 4", "return 40"),
            (MISS, "return 5", "return 50"),
            (HIT, "return 6", "return 60"),
            (HIT, "X = 1", "X = 10"),
            (MISS, "json as j", "pickle as j"),
        ]
    ),
    sub("imported for its effect", MISS, EFFECT, "A = 1", "A = 2"),
]
