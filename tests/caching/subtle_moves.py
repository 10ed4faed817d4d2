"""Edits that change where code stands or how it is written, and those that only look like it."""

from tests.caching.edits import HIT, MISS, Edit, sub
from tests.caching.subtle_edits import each

HELPERS = """
import logging, dataclasses, enum, functools
import numpy as np
log = logging.getLogger(__name__)
WEIGHTS = {"a": 1}
class Kind(enum.Enum):
    A = 2
@dataclasses.dataclass
class Row:
    n: int = 3
    def size(self): return self.n + np.sum([4])
class Trouble(ValueError): pass
def quiet(fn):
    @functools.wraps(fn)
    def inner(*args):
        log.info("called")
        return fn(*args)
    return inner
@quiet
def clean(x):
    if x is None: raise Trouble("none")
    return Row(x).size() * WEIGHTS["a"], Kind.A
"""
TASK = """
def f(x):
    return clean(x)
"""
MOVED: list[Edit] = [
    Edit(
        "moved to a module",
        HIT,
        HELPERS + TASK,
        f"from helpers import clean\n{TASK}\n### helpers.py\n{HELPERS}",
    ),
    Edit(
        "moved to a package",
        HIT,
        f"from helpers import clean\n{TASK}\n### helpers.py\n{HELPERS}",
        f"from pkg.deep.helpers import clean\n{TASK}\n### pkg/deep/helpers.py\n{HELPERS}",
    ),
    Edit(
        "exported by the package",
        HIT,
        f"from pkg.helpers import clean\n{TASK}\n### pkg/helpers.py\n{HELPERS}",
        f"from pkg import *\n{TASK}\n### pkg/__init__.py\nfrom .helpers import clean\n"
        f"### pkg/helpers.py\n{HELPERS}",
    ),
    Edit(
        "module renamed",
        HIT,
        f"from one import clean\n{TASK}\n### one.py\n{HELPERS}",
        f"from two import clean\n{TASK}\n### two.py\n{HELPERS}",
    ),
    Edit(
        "task moved to a module",
        HIT,
        HELPERS + TASK,
        f"from work import f\n### work.py\n{HELPERS}{TASK}",
    ),
    Edit(
        "methods reordered",
        HIT,
        "class A:\n    k = 1\n    def a(self): return 1\n    def b(self): return 2\n"
        "def f(x): return A().a()\n",
        "class A:\n    def b(self): return 2\n    def a(self): return 1\n    k = 1\n"
        "def f(x): return A().a()\n",
    ),
    Edit(
        "imports reordered",
        HIT,
        "import json\nimport numpy as np, pandas as pd\n"
        "def f(x): return pd.DataFrame(np.ones(3))\n",
        "import pandas as pd\nimport os, sys\nimport numpy as np\n"
        "def f(x): return pd.DataFrame(np.ones(3))\n",
    ),
    Edit(
        "line ends",
        HIT,
        f"from helpers import clean\n{TASK}\n### helpers.py\n{HELPERS}",
        f"from helpers import clean\n{TASK}\n### helpers.py\n" + HELPERS.replace("\n", "\r\n"),
    ),
    Edit(
        "long module",
        HIT,
        f"from helpers import clean\n{TASK}\n### helpers.py\n{HELPERS}",
        f"from helpers import clean\n{TASK}\n### helpers.py\n# -*- coding: utf-8 -*-\n"
        + "".join(f"def unused_{n}(x):\n    return {n}\n" for n in range(300))
        + HELPERS,
    ),
]
ROOT = """
import data
from pathlib import Path
def f(x):
    return (data.ROOT / "in" / x, data.TEXT, data.TABLE, data.paths(x), data.Where.base, data.ABOVE)
### data.py
import os
from pathlib import Path
ROOT = Path(__file__).resolve().parent / "in1"
TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in2")
TABLE = {"in": ROOT / "in3", "out": [TEXT + "/in4"]}
ABOVE = Path(__file__).parent
class Where:
    base = ROOT.joinpath("in5")
def paths(x, here=ROOT / "in6"):
    return here / x
"""
MOVED += each(
    "paths",
    ROOT,
    (MISS, '"in1"', '"in10"'),
    (MISS, '"in2"', '"in20"'),
    (MISS, '"in3"', '"in30"'),
    (MISS, "/in4", "/in40"),
    (MISS, '"in5"', '"in50"'),
    (MISS, '"in6"', '"in60"'),
)
ALIASES = """
import typing
from typing import Optional, List, Dict, Annotated, Callable
class Foo:
    n = 1
def check(v): return 2
class A:
    x: Optional[Foo]
    y: Dict[str, List[Foo]]
    z: Annotated[int, check]
    q: Callable[[Foo], int]
# %%
pass
# %%
class B:
    x: Optional[Foo]
    y: Dict[str, List[Foo]]
    z: Annotated[int, check]
    q: Callable[[Foo], int]
def f(x):
    return A(), B()
"""
MOVED += each("aliases", ALIASES, (MISS, "n = 1", "n = 10"), (MISS, "return 2", "return 20"))
MOVED += [
    sub(
        "aliases, others between",
        HIT,
        ALIASES,
        "pass",
        "for i in range(400):\n    T = type(f'T{i}', (), {})\n"
        "    Optional[T]; List[T]; Dict[str, T]; Annotated[int, T]; Callable[[T], int]",
    )
]
LAMBDAS = """
import functools
pick = [lambda a, b: a or b, lambda a, b: a and b]
either = lambda a: 1 if a else 2; other = lambda a: 3 if a else 4
chained = lambda a: 5 < a < 6; negated = lambda a: not a
nothing = lambda: None; seven = lambda: 7
comp = lambda a: [i * 8 for i in a]; gen = lambda a: (i * 9 for i in a)
nested = lambda a: lambda b: a + b + 10; inner = nested(1)
default = lambda a, k=lambda b: b + 11: k(a)
text = lambda a: f"{a:>12}"; walrus = lambda a: (b := a) + 13
star = lambda *a, k=14, **b: (a, k, b)
called = (lambda a: lambda: a + 15)(16)
many = dict(a=lambda a: a + 17, b=lambda a: a + 18, c=lambda a: (
    a + 19))
yielding = lambda a: (yield a + 20)
awaited = lambda a: {k: v for k, v in a if v != 21}
starred = lambda a: (*a, 22); indexed = lambda a: a[23:]; attr = lambda a: a.real24
sub = lambda a: {**a, "k": 25}; tern = lambda a: (lambda: 26)() if a else (lambda: 27)()
same = [lambda a: a + 28, lambda a: a + 28]
def f(x):
    return (pick, either(x), other(x), chained, negated, nothing, seven, comp, gen, inner, default,
        text, walrus, star, called, many, yielding, awaited, starred, indexed, attr, sub, tern,
        same, sorted(x, key=lambda r: (r[29], -r[30])), functools.reduce(lambda p, q: p + 31, x))
"""
MOVED += each(
    "lambdas",
    LAMBDAS,
    *(
        (MISS, was, now)
        for was, now in [
            ("a or b", "b or a"),
            ("1 if a", "10 if a"),
            ("else 4", "else 40"),
            ("5 < a < 6", "5 < a <= 6"),
            ("not a", "a"),
            ("lambda: 7", "lambda: 70"),
            ("i * 8", "i * 80"),
            ("i * 9", "i * 90"),
            ("b + 10", "b + 100"),
            ("b + 11", "b + 110"),
            (">12", ">120"),
            (") + 13", ") + 130"),
            ("k=14", "k=140"),
            ("a + 15", "a + 150"),
            ("(16)", "(160)"),
            ("a + 18", "a + 180"),
            ("a + 19", "a + 190"),
            ("a + 20", "a + 200"),
            ("!= 21", "!= 210"),
            ("*a, 22", "*a, 220"),
            ("a[23:]", "a[230:]"),
            ("real24", "real240"),
            ("25", "250"),
            ("lambda: 27", "lambda: 270"),
            ("r[29]", "r[290]"),
            ("p + 31", "p - 31"),
        ]
    ),
    (HIT, "lambda a: a + 17, b=", "lambda a: a + 17,\n    b="),
    (HIT, "lambda a: (yield a + 20)", "(\n    lambda a: (yield a + 20))"),
    (HIT, "lambda a: not a", "(lambda a: (not a))"),
)
LOOKS = '''
def f(x):
    """Doc."""
    y = 1
    z = -1_0.5
    text = "one" "two"
    path = f"{x}/a" "b"
    q = x if y else z
    if not x: return (y)
    for i in x: y += i
    t = 1,
    d = {"a": 1, "b": [1, 2]}
    raise ValueError(text, path, q, t, d) from None
'''
MOVED += each(
    "looks",
    LOOKS,
    (HIT, '    """Doc."""\n', "    'Other.'\n    y: int\n"),
    (HIT, "    y = 1\n", "    y = 0b1\n"),
    (HIT, "-1_0.5", "-10.50"),
    (HIT, '"one" "two"', "'onetwo'"),
    (HIT, '"one" "two"\n', '(\n        "one"\n        "two"\n    )\n'),
    (HIT, 'f"{x}/a" "b"', "f'{x}/ab'"),
    (HIT, "if not x: return (y)", "if not x:\n        # so\n        return y"),
    (HIT, "t = 1,", "t = (1,)"),
    (HIT, '"b": [1, 2]}', '"b": [\n        1,\n        2,\n    ],}'),
    (HIT, "(text, path, q, t, d) from None", "(text, path, q, t, d,) \\\n        from None"),
    (HIT, "y = 1\n", "y = 1  # type: int\n"),
    (HIT, "    z =", "    'a comment';  z ="),
    (HIT, "def f(x):", "def f(\n    x,  # input\n):"),
    (MISS, "    t = 1,", "    t = 1"),
    (MISS, "z = -1_0.5", "z = -105"),
)
SCOPED = """
import mod
K = 1
def use(x): return x + K
def f(x):
    found = [K for K in x]
    mod = object()
    def inner(use):
        return use(x)
    class Local:
        def use(self): return 2
        K = 3
    return found, mod, inner(len), Local().use(), outer(x), [use(i) for i in x if i], {K for K in x}
def outer(x):
    global COUNT
    COUNT = 4
    return [mod.go(i) for i in x], lambda mod: mod.free(x)
### mod.py
def go(x): return 5
def free(x): return 6
"""
MOVED += each(
    "scopes",
    SCOPED,
    (MISS, "K = 1\n", "K = 10\n"),
    (MISS, "return 2", "return 20"),
    (MISS, "K = 3", "K = 30"),
    (MISS, "COUNT = 4", "COUNT = 40"),
    (MISS, "return 5", "return 50"),
)
TEMPLATES = """
import jinja2, argparse, configparser, requests, sqlite3, threading, datetime, zoneinfo, uuid
import polars as pl, pandas as pd, numpy as np, re, fractions, ipaddress, contextvars
from sklearn.preprocessing import FunctionTransformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer
import scipy.stats, scipy.interpolate
def scale(x): return x * 1
def score(a, b): return 2
def kind(text): return 3
def mapped(v): return 4
template = jinja2.Template("Hello {{ name }} 5")
parser = argparse.ArgumentParser(prog="p"); parser.add_argument("--n", type=kind, default=6)
config = configparser.ConfigParser(); config.read_string("[a]\\nb = 7")
session = requests.Session(); session.headers["X"] = "8"
conn = sqlite3.connect(":memory:")
pipe = make_pipeline(FunctionTransformer(scale), Ridge(alpha=9))
scorer = make_scorer(score)
expr = pl.col("a") * 10
mapper = {"b": mapped}
norm = scipy.stats.norm(11, 1)
spline = scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 12])
zone = zoneinfo.ZoneInfo("Europe/Paris")
offset = pd.offsets.BDay(13)
agg = pd.NamedAgg("c", scale)
poly = np.poly1d([1, 14])
rng = np.random.default_rng(15)
env = jinja2.Environment(); env.filters["double"] = lambda v: v * 16
args = argparse.Namespace(n=17)
ns = argparse.ArgumentParser().parse_args([])
frac = fractions.Fraction(1, 18)
var = contextvars.ContextVar("v", default=19)
net = ipaddress.ip_network("10.0.20.0/24")
dtype = np.dtype([("a", "<i4"), ("b21", "<f8")])
def f(x):
    return (template.render(name=x), parser.parse_args(x), config["a"]["b"], session.headers,
        conn, pipe.fit(x), scorer, expr, mapper, norm.cdf(x), spline(x), zone, offset, agg, poly,
        rng.random(), env.from_string(x), args.n, ns, frac, var.get(), net, dtype)
"""
MOVED += each(
    "templates",
    TEMPLATES,
    *(
        (MISS, was, now)
        for was, now in [
            ("x * 1\n", "x * 10\n"),
            ("return 2", "return 20"),
            ("return 3", "return 30"),
            ("return 4", "return 40"),
            ("}} 5", "}} 50"),
            ("default=6", "default=60"),
            ("b = 7", "b = 70"),
            ('"8"', '"80"'),
            ("alpha=9", "alpha=90"),
            ('"a") * 10', '"a") * 100'),
            ("norm(11", "norm(110"),
            ("1, 12]", "1, 120]"),
            ("Europe/Paris", "Europe/Rome"),
            ("BDay(13)", "BDay(130)"),
            ("[1, 14]", "[1, 140]"),
            ("rng(15)", "rng(150)"),
            ("v * 16", "v * 160"),
            ("n=17", "n=170"),
            ("(1, 18)", "(1, 19)"),
            ("default=19", "default=190"),
            ("10.0.20.0", "10.0.21.0"),
            ("b21", "b22"),
        ]
    ),
)
