"""Edits as notebooks and projects see them: imports, classes, registries, data that holds code."""

from collections import Counter

from tests.caching.edits import HIT, MISS, Edit, sub


def each(name: str, text: str, *edits: tuple[str, str, str]) -> list[Edit]:
    """Return an edit for each (want, was, now) of a text, and that a restart changes nothing."""
    counted = Counter(was for _, was, _ in edits)  # one text may be changed in two ways
    made = [
        sub(f"{name}, {was}{f' to {now}' if counted[was] > 1 else ''}", want, text, was, now)
        for want, was, now in edits
    ]
    return [*made, Edit(f"{name}, restarted", HIT, text, text)]


FALLBACK = """
def f(x):
    try:
        import fast_impl as impl
    except ImportError:
        import slow_impl as impl
    import lib.one
    import lib.two
    if x:
        from lib.three import go
    else:
        from lib.four import go
    return impl.run(x), lib.one.a(x), lib.two.b(x), go(x)
### fast_impl.py
def run(x): return 1
### slow_impl.py
def run(x): return 2
def walk(x): return 3
### lib/__init__.py
HERE = 0
### lib/one.py
def a(x): return 4
### lib/two.py
def b(x): return 5
def c(x): return 6
### lib/three.py
def go(x): return 7
### lib/four.py
def go(x): return 8
"""
SUBTLE: list[Edit] = each(
    "fallback",
    FALLBACK,
    (MISS, "return 1", "return 10"),
    (MISS, "return 2", "return 20"),
    (HIT, "return 3", "return 30"),
    (MISS, "return 4", "return 40"),
    (MISS, "return 5", "return 50"),
    (HIT, "return 6", "return 60"),
    (MISS, "return 7", "return 70"),
    (MISS, "return 8", "return 80"),
)

NAMESPACES = """
import sys, mod
def handle_a(x): return 1
def handle_b(x): return 2
LIMIT = 3
RATE = 4
SCALE = 5
OTHER = 6
def by_module(x): return sys.modules["mod"].go(x)
def by_own(x): return getattr(sys.modules[__name__], "handle_a")(x)
def by_get(x): return globals().get("LIMIT")
def by_query(df): return df.query("a > @RATE and b < @local", engine="python")
def by_eval(x): return eval("x * SCALE")
def f(x):
    return by_module(x), by_own(x), by_get(x), by_query(x), by_eval(x)
### mod.py
def go(x): return 7
def free(x): return 8
"""
SUBTLE += each(
    "namespaces",
    NAMESPACES,
    (MISS, "return 1", "return 10"),
    (HIT, "return 2", "return 20"),
    (MISS, "LIMIT = 3", "LIMIT = 30"),
    (MISS, "RATE = 4", "RATE = 40"),
    (MISS, "SCALE = 5", "SCALE = 50"),
    (HIT, "OTHER = 6", "OTHER = 60"),
    (MISS, "return 7", "return 70"),
)
DYNAMIC = """
KIND = "a"
def handle_a(x): return 1
def handle_b(x): return 2
def f(x):
    return globals()[f"handle_{KIND}"](x)
"""
SUBTLE += each("dynamic", DYNAMIC, (MISS, "return 1", "return 10"), (MISS, '"a"', '"b"'))

DECORATED = """
import functools, dataclasses, contextlib, enum
class classproperty(property):
    def __get__(self, obj, owner=None): return self.fget(owner)
class lazy(functools.cached_property):
    def extra(self): return 1
class bind(functools.partial):
    pass
class static(staticmethod):
    tag = 2
def logged(cls):
    init = cls.__init__
    @functools.wraps(init)
    def __init__(self, *a, **k):
        init(self, *a, **k)
        self.extra = 3
    cls.__init__ = __init__
    return cls
@logged
@dataclasses.dataclass
class D:
    a: int = 0
class K:
    @classproperty
    def cp(cls): return 4
    @lazy
    def lz(self): return 5
    @static
    def st(): return 6
def base(x, n): return 7
bound = bind(base, n=8)
class Colour(enum.Enum):
    RED = (9, "r")
    def __init__(self, number, short): self.number = number + 10
    def __new__(cls, *args):
        made = object.__new__(cls)
        made._value_ = args[0] + 11
        return made
    @enum.property
    def nice(self): return 12
class Perm(enum.Flag, boundary=enum.KEEP):
    R = 1
class Op(enum.Enum):
    ADD = enum.member(functools.partial(lambda a, b: a + b))
    SUB = enum.member(lambda a, b: a - b)
    LIMIT = enum.nonmember(13)
def f(x):
    return D().extra, K.cp, K().lz, K.st(), bound(x), Colour.RED.nice, Perm(8), Op.ADD.value(1, 2)
"""
SUBTLE += each(
    "decorated",
    DECORATED,
    (MISS, "self.fget(owner)", "self.fget(owner) + 1"),
    (MISS, "return 1\n", "return 100\n"),
    (MISS, "tag = 2", "tag = 20"),
    (MISS, "self.extra = 3", "self.extra = 30"),
    (MISS, "return 4", "return 40"),
    (MISS, "return 5", "return 50"),
    (MISS, "return 6", "return 60"),
    (MISS, "return 7", "return 70"),
    (MISS, "n=8", "n=80"),
    (MISS, '(9, "r")', '(90, "r")'),
    (MISS, "number + 10", "number + 100"),
    (MISS, "args[0] + 11", "args[0] + 110"),
    (MISS, "return 12", "return 120"),
    (MISS, "enum.KEEP", "enum.EJECT"),
    (MISS, "a + b", "a * b"),
    (MISS, "a - b", "a / b"),
    (MISS, "nonmember(13)", "nonmember(130)"),
)

REGISTERED = """
import abc, collections.abc, weakref
from typing import Generic, TypeVar, get_args
T = TypeVar("T")
class Shape(abc.ABC):
    pass
class Square: pass
class Circle: pass
Shape.register(Square)
class Plugin:
    def go(self): return 0
class First(Plugin):
    def go(self): return 1
class Second(Plugin):
    def go(self): return 2
class Repo(Generic[T]):
    def kind(self): return get_args(type(self).__orig_bases__[0])[0]
class Users(Repo[int]): pass
HANDLERS = {}
def on(name, *, order=0):
    def mark(fn):
        HANDLERS.setdefault(name, []).append((order, fn))
        return fn
    return mark
@on("a", order=3)
def first(x): return 4
@on("a")
@on("b")
def second(x): return 5
BY_TYPE = {int: first, str: second, (1, "k"): lambda x: 6}
def f(x):
    plugins = [p().go() for p in Plugin.__subclasses__()]
    return plugins, isinstance(x, Shape), Users().kind(), HANDLERS["a"], BY_TYPE[type(x)](x)
"""
SUBTLE += each(
    "registered",
    REGISTERED,
    (MISS, "Shape.register(Square)", "Shape.register(Circle)"),
    (MISS, "Shape.register(Square)\n", "Shape.register(Square); Shape.register(Circle)\n"),
    (MISS, "return 1", "return 10"),
    (MISS, "return 2", "return 20"),
    (MISS, "class Second(Plugin)", "class Second"),
    (MISS, "Repo[int]", "Repo[str]"),
    (MISS, "order=3", "order=2"),
    (MISS, "return 4", "return 40"),
    (MISS, "return 5", "return 50"),
    (MISS, "x: 6", "x: 60"),
    (MISS, '@on("b")\n', ""),
    (MISS, "{int: first", "{bool: first"),
)

HOLDERS = """
import collections, types, functools, struct, string, contextvars, operator, weakref, itertools
import numpy as np
def one(x): return 1
def two(x): return 2
def three(x): return 3
def four(x): return 4
def five(x): return 5
def six(x): return 6
def compare(a, b): return a - b
def eight(x): return 8
def nine(a): return a * 9
queue = collections.deque([one], maxlen=10)
default = collections.defaultdict(two.__call__, {"k": two})
ordered = collections.OrderedDict(a=three)
proxy = types.MappingProxyType({"p": four})
space = types.SimpleNamespace(go=five)
chain = collections.ChainMap({"c": six}, {"d": 11})
frozen = frozenset({one, two})
counter = collections.Counter("aab")
key = functools.cmp_to_key(compare)
pack = struct.Struct("<I")
template = string.Template("$a 12")
names = {"n": 13}.keys()
values = {"n": 14}.values()
items = {"n": 15}.items()
code = compile("x + 16", "<s>", "eval")
vec = np.frompyfunc(nine, 1, 1)
method = types.MethodType(eight, [17])
user = collections.UserDict(u=18)
get = operator.attrgetter("a.b")
window = slice(1, 19)
view = memoryview(b"20")
table = str.maketrans("a", "b")
def f(x):
    return (queue[0](x), default["z"], ordered["a"], proxy["p"](x), space.go(x), chain["c"](x),
        frozen, counter, sorted(x, key=key), pack.pack(x), template.substitute(a=x), names, values,
        items, eval(code), vec(x), method(), user, get(x), x[window], view, x.translate(table))
"""
SUBTLE += each(
    "holders",
    HOLDERS,
    *(
        (MISS, was, now)
        for was, now in [
            ("return 1\n", "return 10\n"),
            ("return 2", "return 20"),
            ("return 3", "return 30"),
            ("return 4", "return 40"),
            ("return 5", "return 50"),
            ("return 6", "return 60"),
            ("a - b", "b - a"),
            ("return 8", "return 80"),
            ("a * 9", "a * 90"),
            ("maxlen=10", "maxlen=11"),
            ('"d": 11', '"d": 110'),
            ('"aab"', '"aabb"'),
            ('"<I"', '"<Q"'),
            ("$a 12", "$a 120"),
            ('{"n": 13}', '{"m": 13}'),
            ('"n": 14', '"n": 140'),
            ('"n": 15', '"n": 150'),
            ("x + 16", "x + 160"),
            ("[17]", "[170]"),
            ("u=18", "u=180"),
            ("a.b", "a.c"),
            ("1, 19", "1, 190"),
            ('b"20"', 'b"21"'),
            ('"a", "b")\n', '"a", "c")\n'),
        ]
    ),
)

MODELS = """
import pydantic, attrs, dataclasses
from typing import Annotated, Any, Union, Literal
def double(v): return v * 1
def shout(v): return v + "2"
def make(): return 3
class Cfg(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(str_strip_whitespace=True)
    a: Annotated[int, pydantic.AfterValidator(double)] = 1
    b: Annotated[str, pydantic.PlainSerializer(shout)] = "b"
    c: int = pydantic.Field(default_factory=make)
    d: int = pydantic.Field(4, alias="dd")
    _e: int = pydantic.PrivateAttr(5)
    @pydantic.field_validator("a", mode="wrap")
    @classmethod
    def wrapped(cls, v, handler): return handler(v) + 6
    @pydantic.model_serializer(mode="wrap")
    def out(self, handler): return handler(self) or 7
    def model_post_init(self, context): self.c += 8
MANY = pydantic.TypeAdapter(list[Cfg])
ADAPTER = pydantic.TypeAdapter(Annotated[int, pydantic.AfterValidator(lambda v: v + 9)])
Made = pydantic.create_model("Made", q=(int, 10))
class Rows(pydantic.RootModel[list[Literal["e11"]]]): pass
@pydantic.dataclasses.dataclass
class PD:
    z: int = 12
    @pydantic.field_validator("z")
    @classmethod
    def chk(cls, v): return v + 13
@attrs.define(eq=True)
class At:
    a: int = attrs.field(default=14, converter=int, metadata={"m": 15})
    b: list = attrs.field(factory=lambda: [16])
    c: int = attrs.field()
    @c.default
    def _c(self): return 17
    @c.validator
    def _cv(self, attribute, value): assert value != 18
    def __attrs_post_init__(self): self.a += 19
CONF = Cfg(a=20)
AT = At(a=21)
def f(x):
    return (Cfg(a=x), ADAPTER.validate_python(x), Made(), Rows([]), MANY.validate_python([]), PD(),
        At(), CONF, AT)
"""
SUBTLE += each(
    "models",
    MODELS,
    *(
        (MISS, was, now)
        for was, now in [
            ("v * 1", "v * 2"),
            ('v + "2"', 'v + "3"'),
            ("return 3", "return 30"),
            ("whitespace=True", "whitespace=False"),
            ("Field(4", "Field(40"),
            ('"dd"', '"DD"'),
            ("PrivateAttr(5)", "PrivateAttr(50)"),
            ("(v) + 6", "(v) + 60"),
            ("or 7", "or 70"),
            ("+= 8", "+= 80"),
            ("v + 9", "v + 90"),
            ("(int, 10)", "(int, 100)"),
            ("e11", "e110"),
            ("z: int = 12", "z: int = 120"),
            ("v + 13", "v + 130"),
            ("eq=True", "eq=False"),
            ("eq=True", "eq=True, order=True"),
            ("self.a += 19", "self.b += [190]"),
            ("default=14", "default=140"),
            ("converter=int", "converter=float"),
            ('"m": 15', '"m": 150'),
            ("[16]", "[160]"),
            ("return 17", "return 170"),
            ("!= 18", "!= 180"),
            ("+= 19", "+= 190"),
            ("a=20", "a=200"),
            ("a=21", "a=210"),
        ]
    ),
)
