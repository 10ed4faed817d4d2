"""Edits of classes of libraries, of tasks with declarations and options, and of decorators."""

from tests.caching.edits import HIT, MISS, Edit
from tests.caching.subtle_edits import each

DECLARED: list[Edit] = []
DATACLASS = """
import dataclasses, abc, enum, typing, inspect
from dataclasses import field
@dataclasses.dataclass(frozen=True)
class D:
    a: int = 1
    b: int = field(default=2)
    c: int = field(default=3, compare=True)
class Base(abc.ABC):
    @abc.abstractmethod
    def go(self): return 4
    def stay(self): return 5
@typing.runtime_checkable
class HasGo(typing.Protocol):
    def go(self): ...
class Impl:
    def go(self): return 6
    def walk(self): return 6
class Cols:
    one = 1
    two = 2
    def z(self): return 3
class Named(typing.NamedTuple):
    p: int
    q: int = 2
class TD(typing.TypedDict, total=False):
    k: int
    m: int
def checked(x):
    try: return isinstance(x, HasGo)
    except TypeError: return "no"
def f(x):
    return (hash(D(1, 2, 3)) == hash(D(1, 5, 3)), inspect.isabstract(Base), checked(Impl()),
        [k for k in vars(Cols) if not k.startswith("_")], Named(1), sorted(TD.__optional_keys__))
"""
DECLARED += each(
    "dataclass",
    DATACLASS,
    (MISS, "field(default=2)", "field(default=2, hash=False)"),
    (MISS, "    @abc.abstractmethod\n", ""),
    (MISS, "@typing.runtime_checkable\n", ""),
    (MISS, "    one = 1\n    two = 2\n", "    two = 2\n    one = 1\n"),
    (MISS, "    p: int\n    q: int = 2\n", "    q: int\n    p: int = 2\n"),
    (MISS, "total=False", "total=True"),
    (HIT, "    def stay(self): return 5", "    # c\n    def stay(self):\n        return 5"),
    (MISS, "def go(self): ...", "def walk(self): ...\n    def run(self): ..."),
)
MARKS = """
import typing, typing_extensions
class A:
    def go(self): return 1
class B(A):
    def go(self): return 2
def h(x): return x
def f(x): return B().go(), h(x)
"""
DECLARED += each(
    "marks",
    MARKS,
    (HIT, "class B(A):\n", "@typing.final\nclass B(A):\n"),
    (HIT, "class B(A):\n    def go", "class B(A):\n    @typing.final\n    def go"),
    (HIT, "class B(A):\n    def go", "class B(A):\n    @typing_extensions.override\n    def go"),
    (HIT, "def h(x)", "@typing.no_type_check\ndef h(x)"),
    (
        HIT,
        "def h(x)",
        "@typing.overload\ndef h(x: int): ...\n@typing.overload\ndef h(x: str): ...\ndef h(x)",
    ),
)
ATTRS = """
import attrs
def shown(v): return "v1"
@attrs.define(repr=True)
class A:
    a: int = attrs.field(default=1, repr=shown)
    b: str = attrs.field(default="B", eq=str.lower)
    c: int = attrs.field(default=3, on_setattr=attrs.setters.frozen)
    d: int = attrs.field(default=4, alias="dd")
    e: int = attrs.field(default=4, repr=False)
@attrs.frozen
class F:
    z: int = 1
@attrs.define
class G:
    z: int = 1
def setc(a):
    try: a.c = 9
    except Exception as e: return "frozen"
    return a.c
def setz(a):
    try: a.z = 9
    except Exception as e: return "frozen"
    return a.z
def f(x):
    names = [n.alias for n in attrs.fields(A)]
    return repr(A()), A() == A(b="b"), setc(A()), names, setz(F()), setz(G()), repr(G())
"""
DECLARED += each(
    "attrs",
    ATTRS,
    (MISS, '"v1"', '"v2"'),
    (MISS, "eq=str.lower", "eq=str.strip"),
    (MISS, ", on_setattr=attrs.setters.frozen", ""),
    (MISS, '"dd"', '"ee"'),
    (MISS, "default=4, repr=False", "default=4, repr=True"),
    (MISS, "@attrs.frozen", "@attrs.mutable"),
    (MISS, "repr=True)\nclass", "repr=False)\nclass"),
)
PYDANTIC = '''
import pydantic
from typing import TypeVar, Generic, Literal, Union, Annotated
T = TypeVar("T", int, str)
class M(pydantic.BaseModel):
    """The model."""
    a: int = pydantic.Field(1, description="first", title="A", examples=[1])
    b: str = pydantic.Field("b", min_length=1)
class Gen(pydantic.BaseModel, Generic[T]):
    v: T
class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9
class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    legs: int = 4
class Zoo(pydantic.BaseModel):
    pet: Annotated[Union[Cat, Dog], pydantic.Field(discriminator="kind")]
def gen(v):
    try: return type(Gen(v=v).v).__name__
    except Exception: return "bad"
def f(x):
    zoo = Zoo.model_validate({"pet": {"kind": "dog"}})
    return M.model_json_schema(), gen(1.5), gen("a"), zoo.model_dump()
'''
DECLARED += each(
    "pydantic",
    PYDANTIC,
    (MISS, '"first"', '"1st"'),
    (MISS, 'title="A"', 'title="AA"'),
    (MISS, "examples=[1]", "examples=[2]"),
    (MISS, "The model.", "A model."),
    (MISS, 'TypeVar("T", int, str)', 'TypeVar("T", float, str)'),
    (MISS, "legs: int = 4", "legs: int = 3"),
    (MISS, "min_length=1", "min_length=2"),
)
PYDANTIC_UNREAD = '''
import pydantic
class M(pydantic.BaseModel):
    """The model."""
    a: int = pydantic.Field(1, description="first")
def f(x): return M().a
'''
DECLARED += each(
    "pydantic unread", PYDANTIC_UNREAD, (MISS, '"first"', '"1st"'), (HIT, "The model.", "A model.")
)
INNER_TASK = """
from cellist import File, task
from pathlib import Path
P = Path("p.txt").absolute()
def helper(): return 1
@task(depends_on=[File("p.txt")], version="1")
def inner(x): return Path("p.txt").read_text()
@task(depends_on=[helper])
def inner2(x): return 5
@task
def f(x): return inner(x), inner2(x)
### p.txt
one
"""
DECLARED += each(
    "inner task",
    INNER_TASK,
    (MISS, "one\n", "two\n"),
    (MISS, 'version="1"', 'version="2"'),
    (MISS, "return 1", "return 10"),
    (MISS, "return 5", "return 50"),
)
FLOW_CALLING = """
from cellist import File, flow, task
from pathlib import Path
@task(depends_on=[File("p.txt")])
def inner(x): return Path("p.txt").read_text()
@flow
def sub(x): return inner(x)
@task
def f(x): return sub(x), inner.submit(x).result(), inner.map([x]).result()
### p.txt
one
"""
DECLARED += each("flow calling", FLOW_CALLING, (MISS, "one\n", "two\n"))
OPTIONS = """
from cellist import task
def hook(t, r, s): pass
def h(x): return x + 1
class K:
    def __init__(self, n): self.n = n
    @task(retries=2)
    def go(self, x): return self.n
@task(name="inner", tags=["q"], timeout_seconds=5, log_prints=False)
def inner(x): return h(x)
@task(
    retries=1, retry_delay_seconds=3, tags=["a"], timeout_seconds=60, log_prints=True,
    persist_result=True, task_run_name="r-{x}", description="d",
    on_completion=[hook],
    cache_result_in_memory=True
)
def f(x): return inner(x), K(3).go(x)
"""
DECLARED += each(
    "options",
    OPTIONS,
    (HIT, "retries=1", "retries=5"),
    (HIT, "retry_delay_seconds=3", "retry_delay_seconds=4"),
    (HIT, '["a"]', '["b"]'),
    (HIT, "timeout_seconds=60", "timeout_seconds=61"),
    (HIT, "log_prints=True", "log_prints=False"),
    (HIT, "persist_result=True, ", ""),
    (HIT, 'task_run_name="r-{x}", ', ""),
    (HIT, 'description="d",', ""),
    (HIT, "on_completion=[hook],", ""),
    (HIT, "cache_result_in_memory=True", "cache_result_in_memory=False"),
    (HIT, 'name="inner"', 'name="outer"'),
    (HIT, "timeout_seconds=5,", "timeout_seconds=6,"),
    (HIT, "retries=2", "retries=3"),
    (HIT, "def hook(t, r, s): pass", "def hook(t, r, s): print(1)"),
    (MISS, "K(3)", "K(4)"),
    (MISS, "x + 1", "x + 2"),
)
PARTIALS = """
from cellist import task
import functools
def base(x, *, k=1, m=2): return x, k, m
@task
def inner(x, n=3): return x + n
p = functools.partial(inner, n=4)
q = functools.partial(functools.partial(base, k=5), m=6)
class A:
    def raw(self, a, b=7): return a, b
    go = functools.partialmethod(raw, b=8)
@task
def f(x): return p(x), q(x), A().go(x)
"""
DECLARED += each(
    "partials",
    PARTIALS,
    (MISS, "n=4", "n=5"),
    (MISS, "k=5", "k=50"),
    (MISS, "m=6", "m=60"),
    (MISS, "b=8", "b=80"),
    (MISS, "return x + n", "return x - n"),
)
DECORATORS = """
import functools, contextlib, time
class Timer(contextlib.ContextDecorator):
    scale = 1
    def __init__(self, n): self.n = n
    def __enter__(self): return self
    def __exit__(self, *e): return False
class Count:
    def __init__(self, fn): functools.update_wrapper(self, fn); self.fn = fn; self.calls = 0
    def __call__(self, *a): return self.fn(*a) + 2
    def __get__(self, obj, owner): return functools.partial(self, obj)
def memo(fn):
    @functools.wraps(fn)
    def inner(*a):
        return fn(*a) + 0
    return inner
def register(**opts):
    def mark(fn):
        fn.opts = opts
        return fn
    return mark
def compose(*decos):
    def deco(fn):
        for d in reversed(decos): fn = d(fn)
        return fn
    return deco
def plus(n):
    def deco(fn): return lambda *a: fn(*a) + n
    return deco
def times(n):
    def deco(fn): return lambda *a: fn(*a) * n
    return deco
@Timer(3)
def a(x): return 4
@Count
def b(x): return 5
@memo
def c(x): return 6
@register(k=7)
def d(x): return d.opts["k"]
@compose(plus(8), times(9))
def e(x): return x
class H:
    @Count
    def m(self): return 10
    @functools.lru_cache(maxsize=None)
    def n(self): return 11
    @staticmethod
    @memo
    def o(): return 12
    @property
    @functools.lru_cache
    def p(self): return 13
def f(x): return a(x), b(x), c(x), d(x), e(x), H().m(), H().n(), H.o(), H().p
"""
DECLARED += each(
    "decorators",
    DECORATORS,
    (HIT, "scale = 1\n", "scale = 1  # c\n"),
    (MISS, "Timer(3)", "Timer(30)"),
    (MISS, "return 4", "return 40"),
    (MISS, "return 5", "return 50"),
    (MISS, "+ 2", "+ 20"),
    (MISS, "return 6", "return 60"),
    (MISS, "k=7", "k=70"),
    (MISS, "plus(8), times(9)", "times(9), plus(8)"),
    (MISS, "plus(8)", "plus(80)"),
    (MISS, "return 10", "return 100"),
    (MISS, "return 11", "return 110"),
    (MISS, "return 12", "return 120"),
    (MISS, "return 13", "return 130"),
    (MISS, "reversed(decos)", "decos"),
)
BOUND_C = """
import re, operator, functools, itertools
import numpy as np
clean = re.compile("a+").sub
lookup = {"k": 1}.get
fmt = "{:>5}".format
up = "abc".upper
app = [1, 2].count
add = np.add.reduce
conv = functools.partial(int, base=16)
cut = np.array([1, 2, 3]).take
pick = operator.itemgetter(1, 2)
upper = str.upper
chain = itertools.chain.from_iterable
def f(x): return (clean("b", "aab"), lookup("k"), fmt(x), up(), app(1), add([1, 2]), conv("ff"),
        int(cut(1)), pick([1, 2, 3]), upper("x"), list(chain([[1]])))
"""
DECLARED += each(
    "bound C",
    BOUND_C,
    (MISS, '"a+"', '"b+"'),
    (MISS, '{"k": 1}', '{"k": 2}'),
    (MISS, ":>5", ":<5"),
    (MISS, '"abc"', '"abd"'),
    (MISS, "[1, 2].count", "[1, 1].count"),
    (MISS, "np.add.reduce", "np.multiply.reduce"),
    (MISS, "base=16", "base=17"),
    (MISS, "[1, 2, 3]).take", "[1, 5, 3]).take"),
    (MISS, "itemgetter(1, 2)", "itemgetter(2, 1)"),
    (MISS, "str.upper", "str.lower"),
)
