"""Edits of typed classes, of classes derived from those of libraries, and of operators."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

TYPED: list[Edit] = []
TYPING = """
import dataclasses, enum, typing, collections, functools, abc
from typing import NamedTuple, TypedDict, Literal, Generic, TypeVar, ClassVar, NewType, Annotated
T = TypeVar("T")
class Row(NamedTuple):
    a: int = 1
    b: str = "x"
    def total(self): return self.a + 2
Point = collections.namedtuple("Point", ["x", "y"], defaults=(3, 4))
class Movie(TypedDict):
    name: str
class Level(enum.IntEnum):
    LOW = 5
    HIGH = enum.auto()
    @classmethod
    def default(cls): return cls.LOW
class Flag(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = A | B
class Auto(enum.Enum):
    def _generate_next_value_(name, start, count, last): return name.lower() + "6"
    ONE = enum.auto()
@dataclasses.dataclass(order=True, slots=True, kw_only=True)
class Item:
    rank: int = 7
    tags: list = dataclasses.field(default_factory=list, compare=False)
    def __post_init__(self): self.rank += 8
@dataclasses.dataclass
class Child(Item):
    extra: int = 9
class Stack(Generic[T]):
    limit: ClassVar[int] = 10
    def push(self, v: T) -> int: return self.limit
    class Node:
        depth = 11
@functools.total_ordering
class Ver:
    def __init__(self, n): self.n = n
    def __eq__(self, o): return self.n == o.n
    def __lt__(self, o): return self.n < o.n
    def __hash__(self): return 12
MODE: Literal["a", "b"] = "a"
UserId = NewType("UserId", int)
def f(x):
    return (Row().total(), Point(0), Movie(name="m"), Level.default(), Level.HIGH.value,
        Flag.AB.value, Auto.ONE.value, Item().rank, Child().extra,
        Stack[int]().push(1), Stack.Node.depth, hash(Ver(1)), Ver(1) >= Ver(2), MODE, UserId(3),
        Item(tags=[1]) == Item(), sorted(typing.get_type_hints(Movie)))
"""
TYPED += each(
    "typing",
    TYPING,
    (MISS, "a: int = 1", "a: int = 10"),
    (MISS, "self.a + 2", "self.a + 20"),
    (MISS, "(3, 4)", "(3, 40)"),
    (MISS, "    name: str\n", "    name: str\n    year: int\n"),
    (MISS, "LOW = 5", "LOW = 50"),
    (MISS, "AB = A | B", "AB = A"),
    (MISS, '"6"', '"60"'),
    (MISS, "rank: int = 7", "rank: int = 70"),
    (MISS, ", compare=False", ""),
    (MISS, "+= 8", "+= 80"),
    (MISS, "extra: int = 9", "extra: int = 90"),
    (MISS, "] = 10", "] = 100"),
    (MISS, "depth = 11", "depth = 110"),
    (MISS, "return 12", "return 120"),
    (MISS, "self.n < o.n", "self.n > o.n"),
    (MISS, '"b"] = "a"', '"b"] = "b"'),
    (HIT, "class Row(NamedTuple):\n", 'class Row(NamedTuple):\n    """Doc."""\n'),
    (HIT, "def total(self):", "def total(self):  # why\n       "),
)
LIBRARY_SUBCLASS = """
import json, string, collections, collections.abc, ast, datetime, html.parser
import numpy as np, pandas as pd
class Enc(json.JSONEncoder):
    def default(self, o): return "enc1"
class Tpl(string.Template):
    delimiter = "%"
class Fmt(string.Formatter):
    def get_value(self, key, args, kw): return "fmt2"
class D(collections.UserDict):
    def __missing__(self, key): return 3
class DD(dict):
    def __missing__(self, key): return 4
class L(list):
    def first(self): return 5
class S(str):
    def shout(self): return self + "6"
class V(ast.NodeVisitor):
    def visit_Name(self, node): self.n = 7
class P(html.parser.HTMLParser):
    found = 8
    def handle_starttag(self, tag, attrs): self.seen = (tag, self.found)
class Seq(collections.abc.Sequence):
    def __len__(self): return 2
    def __getitem__(self, i):
        if i > 1: raise IndexError
        return i + 9
class Arr(np.ndarray):
    def twice(self): return 10
class Frame(pd.DataFrame):
    def more(self): return 11
class Err(ValueError):
    code = 12
    def __str__(self): return "err13"
class Day(datetime.date):
    def nice(self): return 14
def parse(x):
    try: raise Err(x)
    except Err as e: return str(e), e.code
def f(x):
    v = V(); v.visit(ast.parse("a"))
    p = P(); p.feed("<b>")
    return (json.dumps(object(), cls=Enc), Tpl("%a").substitute(a=1), Fmt().format("{k}"),
        D()["z"], DD()["z"], L([1]).first(), S("a").shout(), v.n, p.seen, list(Seq()),
        np.ones(2).view(Arr).twice(), Frame().more(), parse(x), Day(2020, 1, 1).nice())
"""
TYPED += each(
    "library subclass",
    LIBRARY_SUBCLASS,
    (MISS, '"enc1"', '"enc10"'),
    (MISS, 'delimiter = "%"', 'delimiter = "%"\n    braceidpattern = "[a-c]"'),
    (MISS, '"fmt2"', '"fmt20"'),
    (MISS, "return 3", "return 30"),
    (MISS, "return 4", "return 40"),
    (MISS, "return 5", "return 50"),
    (MISS, '"6"', '"60"'),
    (MISS, "self.n = 7", "self.n = 70"),
    (MISS, "found = 8", "found = 80"),
    (MISS, "i + 9", "i + 90"),
    (MISS, "return 10", "return 100"),
    (MISS, "return 11", "return 110"),
    (MISS, "code = 12", "code = 120"),
    (MISS, "err13", "err130"),
    (MISS, "return 14", "return 140"),
)
OPERATORS = """
import functools, itertools, operator
class Vec:
    def __init__(self, n): self.n = n
    def __add__(self, o): return Vec(self.n + o.n + 1)
    def __radd__(self, o): return self
    def __bool__(self): return self.n > 2
    def __contains__(self, i): return i == 3
    def __call__(self, k=4): return k
    def __enter__(self): return 5
    def __exit__(self, *a): return True
    def __getitem__(self, i): return 6
    def __matmul__(self, o): return 7
    def __index__(self): return 8
    def __del__(self): pass
    def __missing(self): return 9
    def call_missing(self): return self.__missing()
V = Vec(10)
total = functools.reduce(operator.add, [V, V])
pipeline = [str, lambda s: s + "11", str.upper]
def run(x):
    for step in pipeline: x = step(x)
    return x
def compose(x, *, how=operator.mul): return how(x, 12)
def f(x):
    with V as entered: pass
    return ((V + V).n, sum([V, V]).n, bool(V), 3 in V, V(), entered, V[0], V @ V, range(20)[V],
        V.call_missing(), total.n, run(x), compose(x))
"""
TYPED += each(
    "operators",
    OPERATORS,
    (MISS, "+ 1)", "+ 100)"),
    (MISS, "return self\n", "return Vec(0)\n"),
    (MISS, "> 2", "> 200"),
    (MISS, "i == 3", "i == 30"),
    (MISS, "k=4", "k=40"),
    (MISS, "return 5", "return 50"),
    (MISS, "return 6", "return 60"),
    (MISS, "return 7", "return 70"),
    (MISS, "return 8", "return 9"),
    (MISS, "return 9\n", "return 90\n"),
    (MISS, "Vec(10)", "Vec(11)"),
    (MISS, '"11"', '"110"'),
    (MISS, "operator.mul", "operator.add"),
    (MISS, "how(x, 12)", "how(x, 120)"),
)
